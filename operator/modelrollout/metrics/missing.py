"""Series that ought to be there and are not: the difference between "no requests yet" and "nobody exposes this metric".

Label sets are born with their first request, so an absent series means nothing by itself. It means something once stable's requests
and the candidate's share of them say that there should have been some, and then four more windows have passed; or if Prometheus
has never heard of the candidate's pods at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from modelrollout.api.reasons import Reason
from modelrollout.rollout.situation import Problem

from .counting import CounterTrack
from .subscription import Preflight
from .tracks import Track

WINDOWS = 4
"""So many windows are waited for."""

_WAYS_ON = (
    "Expose the series on the model server's /metrics and have it scraped, or name counters that exist (ratio or query) "
    "in spec.analysis.metrics, or set spec.analysis.mode: None to go on by time only"
)


def problem(tracks: Iterable[Track], query: Callable[[Track], str]) -> Problem | None:
    """What is missing under traffic; `query` tells the one that ought to find something."""
    for track in tracks:
        sight, name = track.sight, track.metric.name
        if sight.untargeted >= WINDOWS:
            return _missing(
                f"Prometheus has no target for the candidate's pods (metric {name}): {query(track)} finds nothing"
            )
        if sight.unmet >= WINDOWS:
            return _missing(
                f"metric {name}: {query(track)} finds nothing for the candidate, which should have had about "
                f"{sight.expected:,.0f} requests"
            )
    return None


def preflight(tracks: Iterable[Track], query: Callable[[Track], str]) -> Preflight:
    """Whether each metric exists for either version and the candidate's target is up."""
    ready = True
    for track in tracks:
        sight, name = track.sight, track.metric.name
        known = sight.candidate or sight.stable
        up = sight.candidate_up or not isinstance(track, CounterTrack)
        if known and up:
            continue
        ready = False
        if sight.points > WINDOWS:
            what = "finds nothing, neither for stable nor for the candidate" if up else "finds no target that is up"
            return Preflight(ready=False, problem=_missing(f"metric {name}: {query(track)} {what}"))
    return Preflight(ready)


def _missing(what: str) -> Problem:
    return Problem(Reason.METRICS_MISSING, f"{what}. {_WAYS_ON}.")
