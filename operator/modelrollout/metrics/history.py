"""Stable's own past: how much its pods differ, measured once before a candidate gets any weight.

Errors that come in bursts per pod weigh less as evidence than their number says. By how much is the *design effect* of a rate, and
it is computed from some hours of stable's counts by pod, in windows of a minute. They are asked for and counted like windows that
were missed in an outage (the same questions, portions and arithmetic), for all rollouts that begin at once, and only until they
are known: then windows and questions are gone, and the effects stay as they are.

A past that is empty is an answer. A provider that does not answer is none: the effects stay unknown, and it is asked again.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from modelrollout.analysis.dispersion import Effect, design_effect
from modelrollout.analysis.planner import Traffic
from modelrollout.analysis.window import ZERO, Window
from modelrollout.api.analysis import Method, Metric
from modelrollout.api.reasons import Reason
from modelrollout.rollout.situation import Problem
from modelrollout.runtime.clock import Clock

from .asking import Inquiry, When
from .bounds import Known, spread
from .counting import CounterTrack
from .reading import Reader
from .rounds import Round, portion_of
from .subscription import Key, Preflight, Subscription, effect_name
from .tracks import Pods

STEP = 60.0
"""Seconds of a window of the past."""
SPAN = 6 * 3600.0
"""Seconds that are looked back on."""
AGAIN = 15.0
"""Seconds after which a provider that did not answer is asked again."""

_POINTS = round(SPAN / STEP) + 1


def is_asked_for(metric: Metric) -> bool:
    """Whether a metric's design effect is to be measured: it is judged by evidence, and nobody has stated it."""
    stated = metric.overdispersion.stated if metric.overdispersion is not None else None
    # Pairs of answers have no past: nothing compared them before there was a candidate.
    return metric.judged_by is Method.SEQUENTIAL and stated is None and metric.disagreement is None


@dataclass(slots=True, eq=False)
class Past:
    """One metric of one rollout. `effects`: by `effect_name`, None until all are known; `obstacle`: why they could not be read lately.

    `traffic`: what stable was asked; None where that is not known, or differs from bound to bound.
    """

    metric: Metric
    subscription: Subscription
    pods: Pods
    effects: Mapping[str, Effect] | None = None
    obstacle: str = ""
    traffic: Traffic | None = None

    def __post_init__(self) -> None:
        if self.subscription.stable is None:
            self.effects = {self.metric.name: design_effect((), STEP)}

    def track(self, point: float, threshold: float = 0.0) -> CounterTrack:
        """Stable alone, in windows of a minute, from some hours before `point` on. `threshold` is for a latency that names none."""
        stable, start = self.subscription.stable, point - SPAN
        assert stable is not None
        alone = replace(
            self.subscription,
            candidate=stable,
            stable=None,
            interval=STEP,
            since=start,
            keep_from=start,
            share=0.0,
            preflight=False,
        )
        return CounterTrack(self.metric, alone, self.pods, everyone=True, threshold=threshold)


class _Reading:
    """A past while it is being read: one track, or one for each bound of a latency without a threshold."""

    def __init__(self, key: Key, past: Past, point: float) -> None:
        self.key, self.past, self._point = key, past, point
        self.tracks = {past.metric.name: past.track(point)}
        self._found: dict[str, Effect] = {}

    def spread(self, known: Known | None) -> None:
        """Be about each bound that stable's histogram is known to have, where the metric names none."""
        metric = self.past.metric
        if metric.latency is None or metric.latency.threshold is not None:
            return
        bounds = spread(None, known)
        if not isinstance(bounds, str) and bounds:
            self.tracks = {
                effect_name(metric.name, bound.text): self.past.track(self._point, bound.seconds) for bound in bounds
            }

    def take(self, track: CounterTrack) -> bool:
        """Take what a track has read up to the point; tells whether that is news."""
        if track.awaited is not None:
            return self.hinder(track.awaited.message)
        if track.at is None or track.at + track.shift < self._point:
            return False
        name = next(name for name, one in self.tracks.items() if one is track)
        windows = track.windows()
        self._found[name] = design_effect((dict(window.candidate_pods) for window in windows), STEP)
        self.past.traffic = _traffic(windows) if len(self.tracks) == 1 else None
        track.restart(self._point)  # hours of windows are not to be kept until the whole fleet has been read
        if len(self._found) < len(self.tracks):
            return False
        largest = max(self._found.values(), key=lambda effect: effect.value)
        self.past.effects, self.past.obstacle = {self.past.metric.name: largest, **self._found}, ""
        return True

    def hinder(self, obstacle: str) -> bool:
        """Note why nothing could be read; tells whether that is news."""
        news, self.past.obstacle = obstacle != self.past.obstacle, obstacle
        return news


def _traffic(windows: Iterable[Window]) -> Traffic | None:
    """The mean of the time that is known of; None without any."""
    total, known = ZERO, 0
    for window in windows:
        if window.answered:
            total, known = total + window.candidate, known + 1
    if not known:
        return None
    return Traffic(total.requests / (known * STEP), total.bad / total.requests if total.requests else 0.0, STEP)


class History:
    """All pasts that one provider is to be asked for."""

    def __init__(self, inquiry: Inquiry, reader: Reader, clock: Clock, delay: float) -> None:
        self._inquiry, self._reader, self._clock, self._delay = inquiry, reader, clock, delay
        self._wanted: dict[tuple[Key, str], Past] = {}
        self._again = -math.inf
        self.busy = False

    def want(self, key: Key, past: Past) -> None:
        """Find out what is not known of it."""
        self._wanted[key, past.metric.name] = past

    def forget(self, key: Key, name: str) -> None:
        """It is not wanted any more, or never was."""
        self._wanted.pop((key, name), None)

    def wait(self) -> float | None:
        """Seconds until `read` has something to do; None: for now it has nothing."""
        return max(0.0, self._again - self._clock.monotonic()) if self._wanted and not self.busy else None

    async def read(self) -> set[Key]:
        """Read all that is wanted, in portions; gives the keys that have news. Never raises for what Prometheus does."""
        point = math.floor((self._clock.now() - self._delay) / STEP) * STEP
        readings = [_Reading(key, past, point) for (key, _), past in self._wanted.items()]
        # Not as of long ago: a version's bounds are what it exposes now.
        await self._reader.learn_bounds(
            (track for reading in readings for track in reading.tracks.values()), When(point, point, STEP)
        )
        by_track: dict[int, _Reading] = {}
        entries: list[tuple[Key, CounterTrack]] = []
        for reading in readings:
            reading.spread(self._reader.known(reading.tracks[reading.past.metric.name].candidate))
            by_track |= {id(track): reading for track in reading.tracks.values()}
            entries += [(reading.key, track) for track in reading.tracks.values()]
        news = await self._read(entries, by_track, point)
        self._wanted = {place: past for place, past in self._wanted.items() if past.effects is None}
        if any(past.obstacle for past in self._wanted.values()):
            self._again = self._clock.monotonic() + AGAIN
        return news

    async def _read(
        self, entries: list[tuple[Key, CounterTrack]], by_track: Mapping[int, _Reading], point: float
    ) -> set[Key]:
        news: set[Key] = set()
        while entries:
            portion, _ = portion_of(entries, _POINTS)
            await Round(self._inquiry, self._reader, point, STEP, lambda: False).run(portion)
            obstacle = next((track.awaited.message for _, track in portion if track.awaited is not None), "")
            news |= {key for key, track in portion if by_track[id(track)].take(track)}
            done = {id(track) for _, track in portion}
            entries = [entry for entry in entries if id(entry[1]) not in done]
            if obstacle and self._inquiry.failure is not None:
                return news | {key for key, track in entries if by_track[id(track)].hinder(obstacle)}
        return news


def completed(found: Preflight, pasts: Collection[Past]) -> Preflight:
    """With the effects that are known; it waits for those that are not."""
    unknown = [past for past in pasts if past.effects is None]
    hindered = next((past for past in unknown if past.obstacle), None)
    problem = found.problem
    if problem is None and hindered is not None:
        text = f"metric {hindered.metric.name}: how much stable's pods differ is not known: {hindered.obstacle}"
        problem = Problem(Reason.METRICS_UNAVAILABLE, f"{text}. It is asked again; no weight is given before.")
    effects = {name: effect for past in pasts for name, effect in (past.effects or {}).items()}
    traffic = {past.metric.name: past.traffic for past in pasts if past.traffic is not None}
    return Preflight(found.ready and not unknown, problem, effects, traffic)
