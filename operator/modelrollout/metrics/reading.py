"""Between tracks and answers: what a track needs to know, and what the answers say to it.

Bounds of histograms are learnt once for each version (they are part of its code) and remembered. Until a version's histogram has
been seen, only its total is asked for; if it is absent while the pod is up, that reads as no requests, like any other counter
that is born with its first event.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from . import promql
from .asking import Answers, Channel, Inquiry, Needs, When
from .batches import Target
from .bounds import Bound, Known, choose
from .counters import INF, Point
from .counting import CounterTrack
from .errors import MetricsError
from .questions import Histogram
from .sides import Side

_Counters = tuple[float | None, float | None, Mapping[str, float] | None]
Counted = dict[str, _Counters]
"""Pod → all events, a part of them, and the buckets of a whole histogram; None where there is no such series."""

_ABSENT = (None, 0.0)
_UNCOUNTED = (None, None, None)


class Reader:
    """Reads counters for tracks from one provider."""

    def __init__(self, inquiry: Inquiry) -> None:
        self._inquiry = inquiry
        self._bounds: dict[tuple[Channel, Target], frozenset[str]] = {}

    def forget(self, targets: Iterable[Target]) -> None:
        """These versions are gone."""
        gone = set(targets)
        self._bounds = {key: bounds for key, bounds in self._bounds.items() if key[1] not in gone}

    async def learn_bounds(self, tracks: Iterable[CounterTrack], when: When) -> bool:
        """Find out the bounds of histograms that are not known yet; False if the provider does not answer."""
        wanted: dict[Channel, set[Target]] = {}
        for track in tracks:
            for one in (track.candidate, track.stable):
                if one is not None and isinstance(one.question, Histogram) and one.question.threshold is not None:
                    [channel] = one.channels
                    if (channel, one.target) not in self._bounds:
                        wanted.setdefault(channel, set()).add(one.target)
        if not wanted:
            return True
        self._bounds |= await self._inquiry.bounds(wanted, when)
        return self._inquiry.failure is None

    def prepare(self, track: CounterTrack) -> str:
        """Choose the track's bound; says why there is none, or nothing. A new bound makes the track begin anew where it stands."""
        asked = track.candidate.question
        if not isinstance(asked, Histogram) or asked.threshold is None:
            return ""
        comparing = track.metric.compare is not None and track.stable is not None
        chosen = choose(asked.threshold, self.known(track.candidate), self.known(track.stable), comparing=comparing)
        if isinstance(chosen, str):
            return chosen
        if chosen is not None:
            if track.bound is not None and _changed(track.bound, chosen):
                track.rebase()
            track.bound = chosen
        return ""

    def need(self, track: CounterTrack, needs: Needs) -> None:
        """Add what the track wants to know."""
        for one, le in _sides(track):
            for channel in one.channels:
                some = isinstance(one.question, Histogram) and not channel.every
                needs.add(channel, one.target, () if not some else (INF,) if le is None else (le, INF))

    def error(self, track: CounterTrack, answers: Answers) -> MetricsError | None:
        """Why the answers do not suffice for the track."""
        errors = (answers.error(one.channels, one.target) for one, _ in _sides(track))
        return next((error for error in errors if error is not None), None)

    def points(self, track: CounterTrack, answers: Answers, at: float) -> tuple[dict[str, Point], dict[str, Point]]:
        """The candidate's and stable's pods at one time (a `moment`)."""
        sides = _sides(track)
        counted = [self._counted(one, answers, at, le) for one, le in sides]
        up = answers.presence.get(at, {})
        carriers = _carriers(track, counted, up)
        found = [
            {
                pod: _point(up.get((one.target.namespace, pod)), counters.get(pod))
                for pod in {*counters, *(carriers or track.pods.by_deployment.get(one.deployment, ()))}
            }
            for (one, _), counters in zip(sides, counted, strict=True)
        ]
        return found[0], found[1] if len(found) > 1 else {}

    def known(self, one: Side | None) -> Known | None:
        """The bounds of a version's histogram, as far as they have been learnt."""
        if one is None or not isinstance(one.question, Histogram):
            return None
        written = self._bounds.get((one.channels[0], one.target))
        return None if written is None else Known(written, one.question.unit)

    def _counted(self, one: Side, answers: Answers, at: float, le: str | None) -> Counted:
        return self._buckets(one, answers, at, le) if isinstance(one.question, Histogram) else _pair(one, answers, at)

    def _buckets(self, one: Side, answers: Answers, at: float, le: str | None) -> Counted:
        """All requests and fast ones by pod, or all buckets."""
        [channel] = one.channels
        found: Counted = {}
        for pod, cells in answers.buckets(channel, at, one.target).items():
            if channel.every:
                found[pod] = (cells.get(INF, math.nan), None, cells)
                continue
            found[pod] = (cells.get(INF, math.nan), math.nan if le is None else cells.get(le, math.nan), None)
            if le is not None and le not in cells:
                self._bounds.pop((channel, one.target), None)  # other bounds than the version had: look again
        return found


def _pair(one: Side, answers: Answers, at: float) -> Counted:
    """All events and the part of them by pod."""
    total_channel, part_channel = one.channels
    totals = answers.row(total_channel, at, one.target)
    parts = answers.row(part_channel, at, one.target)
    found: Counted = {pod: (total, parts.get(pod), None) for pod, total in totals.items()}
    # A part without a whole: the two selectors do not belong together.
    return found | {pod: (math.nan, part, None) for pod, part in parts.items() if pod not in totals and part != 0}


def _point(presence: float | None, counters: _Counters | None) -> Point:
    up = presence is not None and math.isfinite(presence)
    targets, scraped = promql.decode_presence(presence or 0.0) if up else _ABSENT
    return Point(targets, scraped, *(counters or _UNCOUNTED))


def _carriers(track: CounterTrack, counted: Iterable[Counted], up: Mapping[tuple[str, str], float]) -> frozenset[str]:
    """The pods that count for both versions, where a label tells these apart on pods that are not their own: routers, say.

    A router whose target is down or gone takes its counts with it: then there is no data, however well the versions' own pods are
    scraped. So it is remembered for as long as Prometheus knows of it, and the last ones until others have come.
    """
    subscription = track.subscription
    if subscription.identify is None:
        return frozenset()
    own = {pod for one, _ in _sides(track) for pod in track.pods.by_deployment.get(one.deployment, ())}
    seen = frozenset(pod for counters in counted for pod in counters if pod not in own)
    known = frozenset(pod for pod in track.carriers if (subscription.namespace, pod) in up)
    carriers, track.carriers = track.carriers | seen, (seen | known) or track.carriers
    return carriers


def _sides(track: CounterTrack) -> list[tuple[Side, str | None]]:
    bound = track.bound
    found: list[tuple[Side, str | None]] = [(track.candidate, bound.candidate if bound else None)]
    if track.stable is not None:
        found.append((track.stable, bound.stable if bound else None))
    return found


def _changed(old: Bound, new: Bound) -> bool:
    pairs = ((old.candidate, new.candidate), (old.stable, new.stable))
    return any(before is not None and before != after for before, after in pairs)
