"""The arithmetic of windows: what one pod counted between two points of the grid.

Pure. A *point* is what Prometheus knew of a pod at one time: how many of its targets were up, when they were last scraped, and its
two counters. From two points comes a difference, or the reason why there is none. The rules (their order matters):

- a value that is no count (NaN, infinite, negative, doubled) spoils the pod's window;
- between two points with a different number of targets up, sums of counters mean different things: no difference;
- a target that was not scraped lately is as good as down, or minutes in which Prometheus itself was away would look like
  minutes without a request;
- a series absent while its target is up stands at 0: label sets are born with their first event;
- a counter that has fallen was reset with its process, and so were all others of the pod: they count from 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from modelrollout.analysis.window import ZERO, Counts

INF = "+Inf"
"""The bound of the bucket that holds all events."""
LARGEST = float(1 << 53)
PATIENCE = 60.0
"""Seconds since the last scrape for which a target counts as up until its rhythm is known."""
SLACK = 1.25
"""… and afterwards this many times its rhythm or the grid's."""


class Gap(StrEnum):
    """Why a pod has no difference; the sentence goes into messages."""

    UNKNOWN = "is not known to Prometheus"
    DOWN = "has no target up"
    STALE = "was not scraped lately"
    CHANGED = "had a different number of targets up before"
    VANISHED = "no longer exposes the series"
    BORN = "has counters but no earlier value to count from"
    SPOILT = "exposes values that are no counts"


class Point(NamedTuple):
    """A pod at one time. `targets`: how many are up (None: it has none at all); `scraped`: mean time of their last scrape.

    `total`, `part`: all events, and the bad (or the good) ones; None where the series is absent, NaN where it is no count.
    `cells`: bound `le` as written → events in that bucket, where a whole histogram is read; None where it is absent.
    """

    targets: int | None = None
    scraped: float = 0.0
    total: float | None = None
    part: float | None = None
    cells: Mapping[str, float] | None = None


NOTHING = Point()


def count(value: float) -> float:
    """The value of a counter, rounded to a whole number; NaN if it cannot be one."""
    return float(round(value)) if 0 <= value <= LARGEST else math.nan


def patience(before: Point, after: Point, step: float) -> float:
    """For how long after a scrape the target counts as up, in seconds, as far as two points `step` apart tell."""
    rhythm = after.scraped - before.scraped
    if not before.targets or rhythm <= 0:
        return max(PATIENCE, SLACK * step) + 1
    return SLACK * max(step, min(rhythm, PATIENCE)) + 1


def difference(  # noqa: PLR0913  two points, a span, and how to read them
    before: Point, after: Point, start: float, end: float, *, good: bool = False, within: bool = True
) -> Counts | Gap:
    """What the pod counted from `start` to `end` (seconds since 1970), given its points there.

    `good`: `part` counts the good events. `within`: they are among those of `total`, so there are no more of them. Resets are told by the counters as they are, never by what is made of them: total less
    good may fall by itself, when a request is counted in one before the other.
    """
    known = _gap(before, after, start, end)
    if known is not None:
        return known
    if after.total is None:
        return ZERO if before.total is None else Gap.VANISHED
    if before.total is None and not before.targets:
        return Gap.BORN
    old = (before.total or 0.0, before.part or 0.0)
    new = (after.total, after.part or 0.0)
    if new[0] < old[0] or new[1] < old[1]:
        old = (0.0, 0.0)
    requests = int(new[0] - old[0])
    part = int(new[1] - old[1])
    part = min(requests, part) if within else part
    return Counts(requests, requests - part if good else part)


def ladder(
    before: Point, after: Point, start: float, end: float, *, bounds: Sequence[str | None]
) -> tuple[Counts, ...] | Gap:
    """`difference` for a whole histogram: all requests (none bad), then for each of its `bounds` those that were slower.

    A reset shows in any bucket and concerns all of them. A bound that the pod should have and has not spoils its window.
    """
    known = _gap(before, after, start, end)
    if known is not None:
        return known
    if after.total is None:
        return (ZERO,) * (1 + len(bounds)) if before.total is None else Gap.VANISHED
    if before.total is None and not before.targets:
        return Gap.BORN
    new, old = after.cells or {}, before.cells or {}
    written = [bound for bound in bounds if bound is not None and bound in new]
    if len(written) < len(bounds) or _any_nan(new) or _any_nan(old):
        return Gap.SPOILT
    if any(new.get(bound, 0.0) < value for bound, value in old.items()):
        old = {}
    total = int(new[INF] - old.get(INF, 0.0))
    fast = (min(total, int(new[bound] - old.get(bound, 0.0))) for bound in written)
    return (Counts(total, 0), *(Counts(total, total - one) for one in fast))


def _any_nan(cells: Mapping[str, float]) -> bool:
    return any(map(math.isnan, cells.values()))


def _gap(before: Point, after: Point, start: float, end: float) -> Gap | None:
    if _spoilt(before) or _spoilt(after):
        return Gap.SPOILT
    if after.targets is None and after.total is None:
        return Gap.UNKNOWN
    if after.targets == 0:
        return Gap.DOWN
    if after.targets is not None:
        lasting = patience(before, after, end - start)
        if end - after.scraped > lasting or (before.targets and start - before.scraped > lasting):
            return Gap.STALE
    if before.targets != after.targets:
        return Gap.CHANGED
    return None


def _spoilt(point: Point) -> bool:
    # Only NaN differs from itself.
    return point.total != point.total or point.part != point.part
