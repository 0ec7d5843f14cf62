"""A latency without a threshold: one window for each stretch of time, with counts for each bound of the histogram.

All buckets come with one query, so the bounds are learnt from the answers themselves. Which of them are used depends on nothing but
what the two versions expose: a version that has served no request yet exposes none, counts no request at any bound, and is taken
to have those of the other one.
"""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from modelrollout.analysis.window import Answer, Counts, Window

from .bounds import Bound, Known, spread
from .counters import ladder
from .counting import ByPod, CounterTrack, Points, total
from .questions import Histogram
from .sides import Side

Ladder = tuple[Counts, ...]
"""All requests, then for each bound those that were slower."""


class LadderTrack(CounterTrack):
    """Differences of whole histograms."""

    series: ClassVar[int] = 16
    _known: tuple[Known | None, Known | None] = (None, None)
    _bounds: tuple[Bound, ...] = ()

    def see(self, point: float, candidate: Points, stable: Points, *, obstacle: str = "") -> bool:
        """As `CounterTrack.see`; no common bound is an obstacle."""
        ours, theirs = _exposed(self.candidate, candidate), _exposed(self.stable, stable)
        self._known = (ours or self._known[0], theirs or self._known[1])
        bounds = spread(*self._known)
        if isinstance(bounds, str):
            return super().see(point, candidate, stable, obstacle=bounds)
        self._bounds = bounds
        return super().see(point, candidate, stable, obstacle=obstacle)

    def _window(self, start: float, end: float, olds: tuple[Points, Points], news: tuple[Points, Points]) -> Window:
        bounds, span = self._bounds, (start, end)
        ours = self._version(olds[0], news[0], span, partial(ladder, bounds=[one.candidate for one in bounds]))
        theirs: ByPod[Ladder] | str = ()
        if self.stable is not None:
            theirs = self._version(olds[1], news[1], span, partial(ladder, bounds=[one.stable for one in bounds]))
        if isinstance(ours, str) or (isinstance(theirs, str) and self._comparing):
            return self._nothing(start, end, ours, theirs)
        stable = () if isinstance(theirs, str) else theirs
        return Window(
            start,
            end,
            Answer.COUNTS,
            candidate=total(_rung(ours, 0)),
            stable=total(_rung(stable, 0)),
            candidate_pods=_rung(ours, 0),
            stable_pods=_rung(stable, 0),
            bounds=tuple(
                (bound.text, total(_rung(ours, place)), total(_rung(stable, place)))
                for place, bound in enumerate(bounds, start=1)
            ),
        )


def _exposed(one: Side | None, points: Points) -> Known | None:
    """The bounds that all pods of a version have which expose the histogram."""
    found = [frozenset(point.cells) for point in points.values() if point.cells]
    if one is None or not found or not isinstance(one.question, Histogram):
        return None
    return Known(frozenset.intersection(*found), one.question.unit)


def _rung(pods: ByPod[Ladder], place: int) -> ByPod[Counts]:
    return tuple((pod, counts[place]) for pod, counts in pods)
