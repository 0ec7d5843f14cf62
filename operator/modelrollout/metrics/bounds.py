"""Which bounds of a histogram stand for a latency: the one for a threshold, or several where none is named.

The nearest bound at or above the threshold is used. Both versions must have it, or their counts of slow requests would not mean the
same; where their bounds differ, the nearest common one is taken, and said. Without a threshold all common bounds are used, thinned
where there are many.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

_TOLERANCE = 1e-9
_SHOWN = 6
MOST = 12
"""So many bounds are looked at together."""


@dataclass(frozen=True, slots=True)
class Bound:
    """The bound in use: as each version writes it (`le`; None: that version has it not), in words, and in seconds."""

    candidate: str | None
    stable: str | None
    text: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Known:
    """The bounds of one version as written, in units of `unit` seconds."""

    written: frozenset[str]
    unit: float = 1.0

    def seconds(self) -> dict[float, str]:
        """Finite bounds in seconds, rounded to the nanosecond so that units and spellings compare."""
        found = {round(float(text) * self.unit, 9): text for text in sorted(self.written)}
        return {value: text for value, text in found.items() if math.isfinite(value)}


@functools.lru_cache(maxsize=4096)
def choose(threshold: float, candidate: Known | None, stable: Known | None, *, comparing: bool) -> Bound | str | None:
    """The bound for a threshold in seconds, or a sentence why there is none; None while no bounds are known (None) at all."""
    if candidate is None and (stable is None or not comparing):
        return None
    ours = None if candidate is None else candidate.seconds()
    theirs = None if stable is None else stable.seconds()
    own = sorted(ours if ours is not None else theirs or ())
    fit = [bound for bound in own if bound >= threshold - _TOLERANCE]
    if not fit:
        return f"the histogram has no bound at or above {threshold:g}s; its bounds are {_list(own)}"
    if ours is None or theirs is None or not comparing:
        return _bound(fit[0], ours, theirs)
    common = next((bound for bound in fit if bound in theirs), None)
    if common is None:
        return (
            f"the histograms of the two versions have no common bound at or above {threshold:g}s "
            f"(candidate: {_list(own)}; stable: {_list(sorted(theirs))})"
        )
    nearer = any(threshold - _TOLERANCE <= bound < common for bound in (*own, *theirs))
    return _bound(common, ours, theirs, ", the nearest that both versions have" if nearer else "")


@functools.lru_cache(maxsize=4096)
def spread(candidate: Known | None, stable: Known | None) -> tuple[Bound, ...] | str:
    """At most `MOST` bounds that both versions have, rising, or a sentence why there are none.

    A version whose bounds are not known (None) is taken to have those of the other one: it has not served a request yet.
    """
    ours = None if candidate is None else candidate.seconds()
    theirs = None if stable is None else stable.seconds()
    known = [set(bounds) for bounds in (ours, theirs) if bounds is not None]
    both = sorted(set.intersection(*known)) if known else []
    if known and not both:
        return (
            "the histograms of the two versions have no common bound "
            f"(candidate: {_list(sorted(ours or ()))}; stable: {_list(sorted(theirs or ()))})"
        )
    return tuple(_bound(value, ours, theirs) for value in _thinned(both))


def _thinned(values: Sequence[float]) -> Sequence[float]:
    """The first, the last, and evenly many between them."""
    if len(values) <= MOST:
        return values
    return [values[round(place * (len(values) - 1) / (MOST - 1))] for place in range(MOST)]


def _bound(value: float, ours: dict[float, str] | None, theirs: dict[float, str] | None, note: str = "") -> Bound:
    return Bound((ours or {}).get(value), (theirs or {}).get(value), f"{value:g}s{note}", value)


def _list(values: Collection[float]) -> str:
    shown = [f"{value:g}s" for value in list(values)[-_SHOWN:]]
    return ("… " if len(values) > _SHOWN else "") + ", ".join(shown) if shown else "none"
