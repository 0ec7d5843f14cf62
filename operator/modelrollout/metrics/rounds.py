"""One round at one grid point: the tracks that stand right before it take one step, those further behind are brought up.

Tracks that are up to date go first, with one question for all of them. The others read what they have missed by range queries,
those that are furthest behind first, in portions of bounded size, until they are up to date or the next round is due. A round
never raises for what Prometheus does: what cannot be learnt becomes an ERROR window with the reason in words.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from modelrollout.api.scalars import Timestamp

from . import pod_names, promql, tables
from .asking import Inquiry, Job, Needs, When
from .counting import CounterTrack
from .errors import MetricsError, RefusedError, UnavailableError
from .reading import Reader
from .subscription import Key, VersionSelector
from .tables import moment
from .tracks import NumberTrack, Track

POINTS = 20_000
"""Values that one range query is expected to answer at most."""
STEPS = 500
"""Grid points that one range query covers at most."""

_BREATH = 25

Entry = tuple[Key, Track]
T = TypeVar("T", bound=Track)


@dataclass(slots=True)
class Round:
    """A grid point that is being worked on. `woken`: keys that have something new to see."""

    inquiry: Inquiry
    reader: Reader
    point: float
    step: float
    late: Callable[[], bool]
    woken: set[Key] = field(default_factory=set)

    async def run(self, entries: Sequence[Entry]) -> None:
        """Bring all tracks up to the point."""
        for _, track in entries:
            track.look(self.point - track.shift)
        live = [entry for entry in entries if self._next(entry) == self.point]
        await self._stretch(live, self._when(self.point, 1))
        behind = [entry for entry in entries if self._next(entry) < self.point]
        if live and self.inquiry.failure is not None:
            self._fail_all(behind, self.inquiry.failure)
            return
        while behind:
            start = min(map(self._next, behind))
            points = round((self.point - start) / self.step) + 1
            portion, points = portion_of([entry for entry in behind if self._next(entry) == start], points)
            await self._stretch(portion, self._when(start, points))
            stuck = {
                id(track)
                for _, track in portion
                if track.awaited is not None or track.next_point() + track.shift == start
            }
            behind = [entry for entry in behind if id(entry[1]) not in stuck and self._next(entry) <= self.point]
            if self.inquiry.failure is not None:
                self._fail_all(behind, self.inquiry.failure)
                return
            if self.late():
                return

    def _next(self, entry: Entry) -> float:
        """When the next point of a track is to be sampled."""
        return entry[1].next_point() + entry[1].shift

    def _when(self, start: float, points: int) -> When:
        return When(start, start + (points - 1) * self.step, self.step)

    async def _stretch(self, entries: Sequence[Entry], when: When) -> None:
        counters = _of(entries, CounterTrack)
        if counters:
            await self._counters(counters, when)
        numbers = _of(entries, NumberTrack)
        if numbers:
            await self._numbers(numbers, when)

    async def _counters(self, entries: Sequence[tuple[Key, CounterTrack]], when: When) -> None:
        reader = self.reader
        if not await reader.learn_bounds([track for _, track in entries], when):
            assert self.inquiry.failure is not None
            self._fail_all(entries, self.inquiry.failure)
            return
        before = {id(track): track.generation for _, track in entries}
        obstacles = {id(track): reader.prepare(track) for _, track in entries}
        # A track that has to begin anew does so in the next portion of this round.
        entries = [(key, track) for key, track in entries if track.generation == before[id(track)]]
        needs = Needs()
        for _, track in entries:
            reader.need(track, needs)
        answers = await self.inquiry.ask(needs, when)
        work = 0
        for key, track in entries:
            error = reader.error(track, answers)
            if error is not None and track.generation == before[id(track)]:
                self._fail(key, track, error)
            for at in map(moment, when.points() if error is None else ()):
                if work % _BREATH == 0:
                    await asyncio.sleep(0)  # a fleet takes a while, and others have things to do on this loop
                work += 1
                if track.generation != before[id(track)]:
                    break
                ours, theirs = reader.points(track, answers, at)
                self._seen(key, track.see(at - track.shift, ours, theirs, obstacle=obstacles[id(track)]))

    async def _numbers(self, entries: Sequence[tuple[Key, NumberTrack]], when: When) -> None:
        found: dict[tuple[int, str], Mapping[float, float] | MetricsError] = {}
        before = {id(track): track.generation for _, track in entries}
        jobs = [_number_job(track, version, found) for _, track in entries for version in _versions(track)]
        await self.inquiry.run(jobs, when)
        for key, track in entries:
            if track.generation != before[id(track)]:
                continue
            values = [found[id(track), version.revision] for version in _versions(track)]
            error = next((value for value in values if isinstance(value, MetricsError)), None)
            if error is not None:
                self._fail(key, track, error)
                continue
            ours, theirs = (*[value for value in values if not isinstance(value, MetricsError)], {})[:2]
            for at in map(moment, when.points()):
                self._seen(key, track.see(at - track.shift, ours.get(at), theirs.get(at)))

    def _seen(self, key: Key, news: bool) -> None:
        if news:
            self.woken.add(key)

    def _fail_all(self, entries: Iterable[Entry], error: MetricsError) -> None:
        for key, track in entries:
            self._fail(key, track, error)

    def _fail(self, key: Key, track: Track, error: MetricsError) -> None:
        provider = self.inquiry.provider.name
        if isinstance(error, RefusedError):
            message = f'provider "{provider}" refuses the query of metric {track.metric.name} ({error.brief})'
        else:
            begin = self.inquiry.failing if self.inquiry.failing is not None else self.point
            since = f"{Timestamp(begin).clock[:5]}Z"
            what = "has not answered" if isinstance(error, UnavailableError) else "has given no usable answer"
            message = f'provider "{provider}" {what} since {since} ({error.brief})'
        if track.fail(self.point - track.shift, message):
            self.woken.add(key)


def _of(entries: Iterable[Entry], kind: type[T]) -> list[tuple[Key, T]]:
    return [(key, track) for key, track in entries if isinstance(track, kind)]


def portion_of(entries: Sequence[tuple[Key, T]], points: int) -> tuple[list[tuple[Key, T]], int]:
    """As many tracks, and of so many grid points as many, as one range query may answer; one of each at least.

    Small tracks go first: a version with a thousand pods is read in short stretches, and holds up nobody.
    """
    found: list[tuple[Key, T]] = []
    values = 0
    points = min(STEPS, points)
    for entry in sorted(entries, key=lambda entry: _values(entry[1])):
        each = _values(entry[1])
        if not found:
            points = max(1, min(points, POINTS // each))
        values += each * points
        if found and values > POINTS:
            break
        found.append(entry)
    return found, points


def _values(track: Track) -> int:
    """About how many values one grid point of a track has in the answer to one query."""
    return track.size * track.series if isinstance(track, CounterTrack) else 1


def _versions(track: NumberTrack) -> tuple[VersionSelector, ...]:
    subscription = track.subscription
    return tuple(version for version in (subscription.candidate, subscription.stable) if version is not None)


def _number_job(
    track: NumberTrack,
    version: VersionSelector,
    found: dict[tuple[int, str], Mapping[float, float] | MetricsError],
) -> Job:
    key = (id(track), version.revision)

    def keep(outcome: Mapping[float, float] | MetricsError) -> None:
        found[key] = outcome

    return Job(query_of(track, version), tables.numbers, keep, keep)


def query_of(track: NumberTrack, version: VersionSelector) -> str:
    """The user's query filled in for one version."""
    assert track.metric.query is not None
    return promql.fill(
        track.metric.query,
        {
            "namespace": track.subscription.namespace,
            "pods": pod_names.expression([version.deployment]),
            "revision": version.revision,
            "version": version.version,
        },
    )
