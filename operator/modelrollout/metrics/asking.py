"""The handful of queries of one grid point, or of a stretch of them, for all rollouts of a provider.

What is asked is collected by *channel* (a series with its fixed conditions), so that a thousand rollouts of one runtime make the
same few queries as one. A batch that fails spoils its own targets and no others. While a provider is failing, one query goes
first as a probe, and the others are sent only if it comes back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from modelrollout.api.settings import Provider, TargetLabels

from . import promql, tables
from .batches import OTHER_PARAMETERS, Batch, Breadth, Target, batches
from .errors import ClockError, MetricsError, RefusedError, TooLargeError
from .provider import Source
from .questions import Family
from .tables import Bounds, Presence, Row, Rows, Table

SKEW = 5.0
"""Seconds by which the provider's clock and ours may differ."""

_PLANS = 64
_SCRAPES = 300.0  # seconds in which a series that still exists was scraped


class Channel(NamedTuple):
    """What one kind of query asks: a family, told apart by pods (no label) or by a label.

    `every`: all buckets of a histogram, whatever their bounds; otherwise those that are wanted by somebody.
    """

    family: Family
    label: str = ""
    every: bool = False


@dataclass(frozen=True, slots=True)
class When:
    """One grid point (`start` = `end`), or all from `start` to `end` at distances of `step`; seconds since 1970."""

    start: float
    end: float
    step: float

    def points(self) -> list[float]:
        """All of them, oldest first."""
        return [self.start + self.step * index for index in range(round((self.end - self.start) / self.step) + 1)]


@dataclass(slots=True)
class Needs:
    """What a set of rollouts wants to know. `channels`: for each target the bounds `le` that are wanted (plain counters and `every`: none)."""

    channels: dict[Channel, dict[Target, set[str]]] = field(default_factory=dict)

    def add(self, channel: Channel, target: Target, les: Iterable[str] = ()) -> None:
        """Want to know this of a version, and whether its pods are up."""
        self.channels.setdefault(channel, {}).setdefault(target, set()).update(les)

    @property
    def targets(self) -> set[Target]:
        """All versions that anything is wanted of."""
        return {target for wanted in self.channels.values() for target in wanted}


@dataclass(slots=True)
class Answers:
    """What came back. `failed`: by channel (None: presence) and target."""

    tables: dict[Channel, Table] = field(default_factory=dict)
    presence: Presence = field(default_factory=dict)
    failed: dict[tuple[Channel | None, Target], MetricsError] = field(default_factory=dict)

    def error(self, channels: Iterable[Channel], target: Target) -> MetricsError | None:
        """Why not everything is known of the target; None: it is."""
        if not self.failed:
            return None
        keys = ((channel, target) for channel in (None, *channels))
        return next((self.failed[key] for key in keys if key in self.failed), None)

    def row(self, channel: Channel, at: float, target: Target) -> Row:
        """Counters by pod; `at` is a `moment`."""
        table = self.tables.get(channel)
        return {} if table is None else table.rows.get(at, {}).get(target, {})

    def buckets(self, channel: Channel, at: float, target: Target) -> Mapping[str, Mapping[str, float]]:
        """Buckets by pod and bound; `at` is a `moment`."""
        table = self.tables.get(channel)
        return {} if table is None else table.buckets.get(at, {}).get(target, {})


@dataclass(frozen=True, slots=True)
class Job:
    """One query: `parse` its rows in a thread, then `take` the outcome, or `lose` it, on the event loop."""

    query: str
    parse: Callable[[Rows], Any]
    take: Callable[[Any], None]
    lose: Callable[[MetricsError], None]


class Inquiry:
    """Asks one provider. `failing`: since when nothing has come back, `failure`: why (None: it answers)."""

    def __init__(
        self, provider: Provider, source: Source, now: Callable[[], float], spoilt: Callable[[str, int], None]
    ) -> None:
        self.provider = provider
        self.failing: float | None = None
        self.failure: MetricsError | None = None
        self._source = source
        self._now = now
        self._spoilt = spoilt
        self._narrow: set[Family | None] = set()
        self._plans: dict[tuple[object, ...], tuple[Breadth, frozenset[Target], list[Batch]]] = {}
        self._room = provider.max_url_length - len(str(provider.url)) - OTHER_PARAMETERS

    @property
    def labels(self) -> TargetLabels:
        """Names of the labels that tell pods apart."""
        return self.provider.labels

    async def ask(self, needs: Needs, when: When) -> Answers:
        """All counters, and which pods are up. Errors are in the answers."""
        answers = Answers()
        jobs = self._presence_jobs(needs.targets, answers)
        for channel, wanted in needs.channels.items():
            jobs += self._counter_jobs(channel, wanted, answers)
        await self.run(jobs, when)
        for table in answers.tables.values():
            if table.spoilt:
                self._spoilt("no count", table.spoilt)
        return answers

    async def bounds(
        self, wanted: Mapping[Channel, set[Target]], when: When
    ) -> dict[tuple[Channel, Target], frozenset[str]]:
        """Bounds of histograms as they are written (`le`), as far as they can be found."""
        found: dict[tuple[Channel, Target], frozenset[str]] = {}
        jobs = []
        span = max(_SCRAPES, when.end - when.start)
        for channel, targets in wanted.items():
            by = (*self._by(channel.label), "le")

            def render(conditions: Sequence[str], channel: Channel = channel, by: tuple[str, ...] = by) -> str:
                selector = promql.select(channel.family.series, (*channel.family.conditions, *conditions))
                return f"group by ({','.join(by)}) (last_over_time({selector}[{span:.0f}s]))"

            def take(bounds: Bounds, channel: Channel = channel) -> None:
                found.update({(channel, target): frozenset(les) for target, les in bounds.items()})

            for batch in batches(targets, self.labels, render, self._room):
                parse = tables.bounds(self.labels, channel.label, batch.targets)
                jobs.append(Job(render(batch.conditions), parse, take, lambda _: None))
        await self.run(jobs, When(when.end, when.end, when.step))
        return found

    async def run(self, jobs: Sequence[Job], when: When) -> None:
        """Do all jobs side by side; while the provider is failing, the first one alone decides about the others."""
        if not jobs:
            return
        results: list[MetricsError | None] = []
        rest = jobs
        if self.failing is not None:
            results.append(await self._do(jobs[0], when))
            rest = jobs[1:]
            if (outage := _outage(results)) is not None:
                self.failure = outage
                for job in rest:
                    job.lose(outage)
                return
        results += await asyncio.gather(*(self._do(job, when) for job in rest))
        self.failure = _outage(results)
        if self.failure is None:
            self.failing = None
        elif self.failing is None:
            self.failing = self._now()

    async def _do(self, job: Job, when: When) -> MetricsError | None:
        try:
            if when.start == when.end:
                found = await self._source.instant(job.query, when.end, job.parse)
            else:
                found = await self._source.range(job.query, when.start, when.end, when.step, job.parse)
            skew = self._source.skew
            if skew is not None and abs(skew) > SKEW:
                raise ClockError(f"its clock is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} ours")
        except MetricsError as error:
            job.lose(error)
            return error
        job.take(found)
        return None

    def _planned(
        self,
        kind: tuple[object, ...],
        targets: AbstractSet[Target],
        render: Callable[[Sequence[str]], str],
        breadth: Breadth,
    ) -> list[Batch]:
        """Batches, kept from round to round while nothing changes; `kind` tells the query apart from others."""
        known = self._plans.get(kind)
        if known is None or known[0] is not breadth or known[1] != targets:
            plan = batches(targets, self.labels, render, self._room, breadth)
            known = self._plans[kind] = (breadth, frozenset(targets), plan)
            while len(self._plans) > _PLANS:
                del self._plans[next(iter(self._plans))]
        return known[2]

    def _breadth(self, family: Family | None) -> Breadth:
        return Breadth.NAMED if family in self._narrow else Breadth.FITTING

    def _by(self, label: str) -> tuple[str, ...]:
        return (self.labels.namespace, self.labels.pod, *((label,) if label else ()))

    def _presence_jobs(self, targets: set[Target], answers: Answers) -> list[Job]:
        by = self._by("")

        def render(conditions: Sequence[str]) -> str:
            return promql.presence(promql.select("up", conditions), by)

        def take(found: Presence) -> None:
            for at, pods in found.items():
                answers.presence.setdefault(at, {}).update(pods)

        parse = tables.presence(self.labels)
        jobs = []
        for label in {target.label for target in targets}:
            # Pods that are told apart by a label have any name, so all pods of their namespaces are asked for.
            these = {target for target in targets if target.label == label}
            breadth = Breadth.SPACES if label else self._breadth(None)
            jobs += [
                Job(render(batch.conditions), parse, take, self._lose(answers, None, batch.targets))
                for batch in self._planned((None, label), these, render, breadth)
            ]
        return jobs

    def _counter_jobs(self, channel: Channel, wanted: dict[Target, set[str]], answers: Answers) -> list[Job]:
        family = channel.family
        by = (*self._by(channel.label), *(("le",) if family.buckets else ()))
        les = sorted(set().union(*wanted.values()))
        fixed = (*family.conditions, *((promql.is_one_of("le", les),) if family.buckets and not channel.every else ()))
        table = answers.tables.setdefault(channel, Table())

        def render(conditions: Sequence[str]) -> str:
            return promql.deduplicated_sum(promql.select(family.series, (*fixed, *conditions)), by)

        found = self._planned((channel, *les), wanted.keys(), render, self._breadth(family))
        return [
            Job(
                render(batch.conditions),
                tables.counts(self.labels, channel.label, batch.targets, buckets=family.buckets),
                table.merge,
                self._lose(answers, channel, batch.targets),
            )
            for batch in found
        ]

    def _lose(
        self, answers: Answers, channel: Channel | None, targets: Iterable[Target]
    ) -> Callable[[MetricsError], None]:
        def lose(error: MetricsError) -> None:
            if isinstance(error, TooLargeError):
                self._narrow.add(None if channel is None else channel.family)
            for target in targets:
                answers.failed[channel, target] = error

        return lose

    def example(self, channel: Channel, target: Target) -> str:
        """The query for one version, for messages."""
        family = channel.family
        [batch] = batches([target], self.labels, ",".join, self._room)
        return promql.select(family.series, (*family.conditions, *batch.conditions))


def _outage(results: Iterable[MetricsError | None]) -> MetricsError | None:
    """The error of a provider from which nothing at all has come back."""
    last = None
    for error in results:
        if error is None or isinstance(error, RefusedError):
            return None
        last = error
    return last
