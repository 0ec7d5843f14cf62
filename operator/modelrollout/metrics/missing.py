"""Series that ought to be there and are not: the difference between "no requests yet" and "nobody exposes this metric".

Label sets are born with their first request, so an absent series means nothing by itself. It means something once stable's requests
and the candidate's share of them say that there should have been some, and then four more windows have passed; or if Prometheus
has never heard of the candidate's pods at all.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from modelrollout.api.reasons import Reason
from modelrollout.rollout.situation import Problem

from .asking import Channel, Inquiry
from .batches import Target
from .counting import CounterTrack
from .questions import Family
from .rounds import query_of
from .subscription import Preflight
from .tracks import NumberTrack, Track

WINDOWS = 4
"""So many windows are waited for."""

_WAYS_ON = (
    "Expose the series on the model server's /metrics and have it scraped, or name counters that exist (ratio or query) "
    "in spec.analysis.metrics, or set spec.analysis.mode: None to go on by time only"
)


@dataclass(frozen=True, slots=True)
class Queries:
    """The queries that ought to find something, for messages."""

    inquiry: Inquiry

    def series(self, track: Track) -> str:
        """The candidate's share of a metric."""
        if isinstance(track, CounterTrack):
            return self.inquiry.example(track.candidate.channels[0], track.candidate.target)
        assert isinstance(track, NumberTrack)
        return query_of(track, track.subscription.candidate)

    def targets(self, track: Track) -> str:
        """Whether the candidate's pods are scraped."""
        subscription = track.subscription
        pods = Target(subscription.namespace, subscription.candidate.deployment)
        if isinstance(track, CounterTrack) and track.metric.disagreement is not None:
            pods = track.candidate.target
        return self.inquiry.example(Channel(Family("up")), pods)


def problem(tracks: Iterable[Track], queries: Queries) -> Problem | None:
    """What is missing under traffic."""
    for track in tracks:
        sight, name = track.sight, track.metric.name
        if sight.untargeted >= WINDOWS:
            return _missing(
                f"Prometheus has no target for the candidate's pods (metric {name}): {queries.targets(track)} finds nothing"
            )
        if sight.unmet >= WINDOWS:
            return _missing(
                f"metric {name}: {queries.series(track)} finds nothing for the candidate, which should have had about "
                f"{sight.expected:,.0f} requests"
            )
    return None


def preflight(tracks: Iterable[Track], queries: Queries) -> Preflight:
    """Whether each metric exists for either version, can be used, and the candidate's target is up."""
    ready = True
    for track in tracks:
        sight, name = track.sight, track.metric.name
        if track.awaited is not None:
            return Preflight(ready=False, problem=Problem(Reason.METRICS_UNAVAILABLE, f"{track.awaited.message}."))
        if sight.obstacle:
            return Preflight(ready=False, problem=_missing(f"metric {name}: {sight.obstacle}"))
        known, up = sight.candidate or sight.stable, _is_up(track)
        if known and up:
            continue
        ready = False
        if sight.points > WINDOWS:
            what = (
                f"{queries.series(track)} finds nothing, neither for stable nor for the candidate"
                if up
                else f"{queries.targets(track)} finds no target that is up"
            )
            return Preflight(ready=False, problem=_missing(f"metric {name}: {what}"))
    return Preflight(ready)


def _is_up(track: Track) -> bool:
    """Whether whatever exposes the candidate's series is scraped: its pods, or (by a label) perhaps a router's."""
    if not isinstance(track, CounterTrack):
        return True
    labelled = track.subscription.identify is not None
    return track.sight.candidate_up or (labelled and track.sight.stable_up)


def _missing(what: str) -> Problem:
    return Problem(Reason.METRICS_MISSING, f"{what}. {_WAYS_ON}.")
