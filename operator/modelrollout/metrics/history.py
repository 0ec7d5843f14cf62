"""Stable's own past: how much its pods differ, measured once before a candidate gets any weight.

Errors that come in bursts per pod weigh less as evidence than their number says. By how much is the *design effect* of a rate, and
it is computed from some hours of stable's counts by pod, in windows of a minute. They are asked for and counted like windows that
were missed in an outage (the same questions, portions and arithmetic), for all rollouts that begin at once, and only until they
are known: then windows and questions are gone, and the effects stay as they are.

A past that is empty is an answer. A provider that does not answer is none: the effects stay unknown, and it is asked again.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, replace

from modelrollout.analysis.dispersion import Effect, design_effect
from modelrollout.api.analysis import Method, Metric
from modelrollout.api.reasons import Reason
from modelrollout.rollout.situation import Problem
from modelrollout.runtime.clock import Clock

from .asking import Inquiry, When
from .counting import CounterTrack
from .reading import Reader
from .rounds import Round, portion_of
from .subscription import Key, Preflight, Subscription
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
    return metric.judged_by is Method.SEQUENTIAL and stated is None


@dataclass(slots=True, eq=False)
class Past:
    """One metric of one rollout. `effect`: None until it is known; `obstacle`: why it could not be read lately."""

    metric: Metric
    subscription: Subscription
    pods: Pods
    effect: Effect | None = None
    obstacle: str = ""

    def __post_init__(self) -> None:
        if self.subscription.stable is None:
            self.effect = design_effect((), STEP)

    def begin(self, point: float) -> CounterTrack:
        """Stable alone, in windows of a minute, from some hours before `point` on."""
        stable, start = self.subscription.stable, point - SPAN
        assert stable is not None
        alone = replace(
            self.subscription, candidate=stable, stable=None, interval=STEP, since=start, keep_from=start, share=0.0
        )
        return CounterTrack(self.metric, alone, self.pods, everyone=True)

    def take(self, track: CounterTrack, point: float) -> bool:
        """Take what a track has read up to `point`; tells whether that is news."""
        if track.awaited is not None:
            return self.hinder(track.awaited.message)
        if track.at is None or track.at + track.shift < point:
            return False
        history = (dict(window.candidate_pods) for window in track.windows())
        self.effect, self.obstacle = design_effect(history, STEP), ""
        return True

    def hinder(self, obstacle: str) -> bool:
        """Note why nothing could be read; tells whether that is news."""
        news, self.obstacle = obstacle != self.obstacle, obstacle
        return news


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
        entries: list[tuple[Key, CounterTrack]] = []
        pasts: dict[int, Past] = {}
        for (key, _), past in self._wanted.items():
            track = past.begin(point)
            entries.append((key, track))
            pasts[id(track)] = past
        # Not as of long ago: a version's bounds are what it exposes now.
        await self._reader.learn_bounds((track for _, track in entries), When(point, point, STEP))
        news: set[Key] = set()
        while entries:
            portion, _ = portion_of(entries, _POINTS)
            await Round(self._inquiry, self._reader, point, STEP, lambda: False).run(portion)
            news |= {key for key, track in portion if pasts[id(track)].take(track, point)}
            done = {id(track) for _, track in portion}
            entries = [entry for entry in entries if id(entry[1]) not in done]
            obstacle = next((track.awaited.message for _, track in portion if track.awaited is not None), "")
            if obstacle and self._inquiry.failure is not None:
                news |= {key for key, track in entries if pasts[id(track)].hinder(obstacle)}
                break
        self._wanted = {place: past for place, past in self._wanted.items() if past.effect is None}
        if any(past.obstacle for past in self._wanted.values()):
            self._again = self._clock.monotonic() + AGAIN
        return news


def completed(found: Preflight, pasts: Collection[Past]) -> Preflight:
    """With the effects that are known; it waits for those that are not."""
    unknown = [past for past in pasts if past.effect is None]
    hindered = next((past for past in unknown if past.obstacle), None)
    problem = found.problem
    if problem is None and hindered is not None:
        text = f"metric {hindered.metric.name}: how much stable's pods differ is not known: {hindered.obstacle}"
        problem = Problem(Reason.METRICS_UNAVAILABLE, f"{text}. It is asked again; no weight is given before.")
    effects = {past.metric.name: past.effect for past in pasts if past.effect is not None}
    return Preflight(found.ready and not unknown, problem, effects)
