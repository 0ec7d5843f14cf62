"""The Sampler: all rollouts, all providers, one fixed grid.

Grid points are multiples of the interval in wall time, the same for every rollout, so that one query answers for all of them.
`evaluationDelay` after each point its counters are read *as of that point*: the answer is then final and could be read again. What
was missed (an outage, a restart of this process) is read back by range. Rounds of one grid never overlap; grids and
providers do not wait for each other.

Wall time may jump. Forward, the skipped points are behind and are read back like after an outage. Backward, windows that lie in
what is now the future are dropped and made again when their time has come; who counts them knows by `through` which he had.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from modelrollout.analysis.window import Answer, Window
from modelrollout.api.analysis import Metric
from modelrollout.api.errors import SpecError
from modelrollout.api.reasons import Reason
from modelrollout.api.settings import Provider, Settings
from modelrollout.rollout.situation import Problem
from modelrollout.runtime.clock import Clock

from . import missing
from .asking import Inquiry
from .counting import CounterTrack
from .history import History, Past, completed, is_asked_for
from .ladders import LadderTrack
from .provider import Observer, PrometheusSource, Source
from .questions import question
from .reading import Reader
from .rounds import Round
from .subscription import Key, Preflight, Subscription
from .tracks import NumberTrack, Pods, Track

_LOOK = 5.0  # seconds after which the wall clock is read again, for it may have jumped


@dataclass(slots=True)
class _Rollout:
    """One subscriber. `refused`: why some metric of it cannot be asked at all."""

    subscription: Subscription
    pods: Pods = field(default_factory=Pods)
    tracks: dict[str, Track] = field(default_factory=dict)
    pasts: dict[str, Past] = field(default_factory=dict)
    refused: Problem | None = None


@dataclass(slots=True)
class _Grid:
    """All tracks of one provider with windows of one length."""

    inquiry: Inquiry
    reader: Reader
    step: float
    tracks: dict[tuple[Key, str], Track] = field(default_factory=dict)
    last: float | None = None
    busy: bool = False


class Sampler:
    """Reads counters for all subscribed rollouts; the contract is `MetricsSource`.

    `wake(key)` is called on the event loop when there is something new to see. `source` makes the connection to a provider.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        wake: Callable[[Key], None],
        *,
        observer: Observer | None = None,
        source: Callable[[Provider], Source] | None = None,
    ) -> None:
        self._clock = clock
        self._wake = wake
        self._delay = settings.evaluation_delay.seconds
        self._settings = settings
        self._observer = observer
        self._source = source or (lambda provider: PrometheusSource(provider, now=clock.now, observer=observer))
        self._sources: dict[str, Source] = {}
        self._readers: dict[str, tuple[Inquiry, Reader]] = {}
        self._rollouts: dict[Key, _Rollout] = {}
        self._grids: dict[tuple[str, float], _Grid] = {}
        self._histories: dict[str, History] = {}
        self._changed = asyncio.Event()

    def subscribe(self, key: Key, subscription: Subscription) -> None:
        """Measure from now on; see `MetricsSource`."""
        old = self._rollouts.get(key)
        if old is not None and old.subscription == subscription:
            return
        if old is None or _shape(old.subscription) != _shape(subscription):
            self.unsubscribe(key)
            old = self._rollouts[key] = _Rollout(subscription)
        else:
            old.subscription = subscription
        old.pods.learn(subscription.counts_from)
        self._follow(key, old)

    def unsubscribe(self, key: Key) -> None:
        """Forget the rollout."""
        rollout = self._rollouts.pop(key, None)
        if rollout is None:
            return
        for track in rollout.tracks.values():
            self._drop(key, track)
        for past in rollout.pasts.values():
            self._unwant(key, past)

    def windows(self, key: Key) -> Mapping[str, tuple[Window, ...]]:
        """By metric name, oldest first; empty for an unknown key."""
        rollout = self._rollouts.get(key)
        if rollout is None:
            return {}
        found = {name: track.windows() for name, track in rollout.tracks.items()}
        problem = rollout.refused or self._unknown_provider(rollout.subscription)
        if problem is not None:
            since = rollout.subscription.since
            lost = (Window(since, max(since, self._clock.now()), Answer.ERROR, message=problem.message),)
            found |= {metric.name: lost for metric in rollout.subscription.metrics if metric.name not in found}
        return found

    def problem(self, key: Key) -> Problem | None:
        """Why the rollout cannot be measured."""
        rollout = self._rollouts.get(key)
        if rollout is None:
            return None
        unknown = self._unknown_provider(rollout.subscription) or rollout.refused
        return unknown or missing.problem(rollout.tracks.values(), self._queries(rollout))

    def preflight(self, key: Key) -> Preflight:
        """Whether the first weight may be given."""
        rollout = self._rollouts.get(key)
        if rollout is None:
            return Preflight(ready=False)
        unknown = self._unknown_provider(rollout.subscription) or rollout.refused
        if unknown is not None:
            return Preflight(ready=False, problem=unknown)
        found = missing.preflight(rollout.tracks.values(), self._queries(rollout))
        return completed(found, rollout.pasts.values())

    async def run(self) -> None:
        """Sample until cancelled. A fault of ours ends it with an ExceptionGroup."""
        try:
            async with asyncio.TaskGroup() as tasks:
                while True:
                    self._changed.clear()
                    for one in list(self._grids.values()):
                        self._turn(one, tasks)
                    for history in self._histories.values():
                        self._recall(history, tasks)
                    await self._rest()
        finally:
            for source in self._sources.values():
                if isinstance(source, PrometheusSource):
                    source.close()

    def _queries(self, rollout: _Rollout) -> missing.Queries:
        return missing.Queries(self._reader(rollout.subscription.provider)[0])

    def _unknown_provider(self, subscription: Subscription) -> Problem | None:
        if self._settings.provider(subscription.provider) is not None:
            return None
        known = ", ".join(f'"{provider.name}"' for provider in self._settings.providers)
        return Problem(
            Reason.NO_METRICS_PROVIDER,
            f'spec.analysis.provider: no metrics provider "{subscription.provider}" is set up ({known or "none is"}); '
            "have the administrator add it to the operator's settings, name another one, or set "
            "spec.analysis.mode: None to go on by time only.",
        )

    def _follow(self, key: Key, rollout: _Rollout) -> None:
        """Make the tracks fit the subscription."""
        subscription = rollout.subscription
        if self._unknown_provider(subscription) is not None:
            return
        rollout.refused = None
        wanted = {metric.name: metric for metric in subscription.metrics}
        for name, track in list(rollout.tracks.items()):
            if wanted.get(name) == track.metric:
                track.resubscribe(subscription)
            else:
                self._drop(key, rollout.tracks.pop(name))
        for name, metric in wanted.items():
            if name not in rollout.tracks:
                try:
                    track = _track(metric, subscription, rollout.pods)
                except SpecError as error:
                    rollout.refused = Problem(error.reason, str(error))
                    continue
                rollout.tracks[name] = track
                self._grid(subscription, track.step).tracks[key, name] = track
        self._look_back(key, rollout)

    def _look_back(self, key: Key, rollout: _Rollout) -> None:
        """Want the pasts that the subscription asks for, and no others; what is known stays as it is."""
        subscription = rollout.subscription
        rates = {
            name: track.metric
            for name, track in rollout.tracks.items()
            if isinstance(track, CounterTrack) and is_asked_for(track.metric)
        }
        for name, past in list(rollout.pasts.items()):
            if rates.get(name) != past.metric or (past.effects is None and not subscription.history):
                self._unwant(key, rollout.pasts.pop(name))
        for name in rates.keys() - rollout.pasts.keys() if subscription.history else ():
            past = rollout.pasts[name] = Past(rates[name], subscription, rollout.pods)
            if past.effects is None:
                self._history(subscription.provider).want(key, past)
                self._changed.set()

    def _history(self, provider: str) -> History:
        if provider not in self._histories:
            self._histories[provider] = History(*self._reader(provider), self._clock, self._delay)
        return self._histories[provider]

    def _unwant(self, key: Key, past: Past) -> None:
        self._history(past.subscription.provider).forget(key, past.metric.name)

    def _drop(self, key: Key, track: Track) -> None:
        place = (track.subscription.provider, track.step)
        one = self._grids.get(place)
        if one is None:
            return
        one.tracks.pop((key, track.metric.name), None)
        if not one.tracks:
            del self._grids[place]
        if isinstance(track, CounterTrack):
            one.reader.forget(track.targets)

    def _grid(self, subscription: Subscription, step: float) -> _Grid:
        place = (subscription.provider, step)
        if place not in self._grids:
            self._grids[place] = _Grid(*self._reader(subscription.provider), step)
            self._changed.set()
        return self._grids[place]

    def _reader(self, name: str) -> tuple[Inquiry, Reader]:
        if name not in self._readers:
            provider = self._settings.provider(name)
            assert provider is not None
            source = self._sources[name] = self._source(provider)
            inquiry = Inquiry(
                provider, source, self._clock.now, lambda reason, count: self._dropped(name, reason, count)
            )
            self._readers[name] = (inquiry, Reader(inquiry))
        return self._readers[name]

    def _dropped(self, provider: str, reason: str, count: int) -> None:
        if self._observer is not None:
            self._observer.dropped(provider, reason, count)

    def _turn(self, one: _Grid, tasks: asyncio.TaskGroup) -> None:
        """Begin a round if a grid point has passed that had none."""
        if one.busy:
            return
        point = math.floor((self._clock.now() - self._delay) / one.step) * one.step
        if one.last is not None and point < one.last - one.step:
            for track in one.tracks.values():
                track.rewind(point - track.shift)
            one.last = None
        if one.last is None or point > one.last:
            one.last, one.busy = point, True
            tasks.create_task(self._round(one, point))

    def _recall(self, history: History, tasks: asyncio.TaskGroup) -> None:
        """Begin to read pasts if any are wanted."""
        if history.wait() == 0.0:
            history.busy = True
            tasks.create_task(self._remember(history))

    async def _remember(self, history: History) -> None:
        woken = await history.read()
        history.busy = False
        self._changed.set()
        for key in woken:
            self._wake(key)

    async def _round(self, one: _Grid, point: float) -> None:
        entries = [(key, track) for (key, _), track in one.tracks.items()]
        due = point + one.step + self._delay
        this = Round(one.inquiry, one.reader, point, one.step, lambda: self._clock.now() >= due)
        await this.run(entries)
        one.busy = False
        self._changed.set()
        for key in this.woken:
            self._wake(key)
        for key in {key for key, _ in entries}:
            rollout = self._rollouts.get(key)
            if rollout is not None and all(track.awaited is None for track in rollout.tracks.values()):
                rollout.pods.forget_gone()

    async def _rest(self) -> None:
        """Sleep until the next grid point of any grid, something changes, or the clock ought to be looked at again."""
        now = self._clock.now()
        due = [
            one.last + one.step + self._delay - now
            for one in self._grids.values()
            if one.last is not None and not one.busy
        ]
        due += [left for history in self._histories.values() if (left := history.wait()) is not None]
        seconds = max(0.0, min([_LOOK, *due]))
        waits = {
            asyncio.ensure_future(self._clock.sleep_until(self._clock.monotonic() + seconds)),
            asyncio.ensure_future(self._changed.wait()),
        }
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()


def _track(metric: Metric, subscription: Subscription, pods: Pods) -> Track:
    if metric.query is None:
        open_ended = metric.latency is not None and metric.latency.threshold is None
        return (LadderTrack if open_ended else CounterTrack)(metric, subscription, pods)
    question(metric, subscription.candidate.preset)
    return NumberTrack(metric, subscription)


def _shape(subscription: Subscription) -> tuple[object, ...]:
    """What cannot change without beginning anew."""
    one = subscription
    return (one.provider, one.interval, one.namespace, one.candidate, one.stable, one.identify)
