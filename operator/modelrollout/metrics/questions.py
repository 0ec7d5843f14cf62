"""From a metric as written to the counters that answer it.

Whatever the kind, a rate is asked as two monotone counters: all events and bad ones (for a histogram: all requests and those
above a bound). A `Family` is one series with its fixed conditions; families that are equal for many rollouts are asked once for
all of them. What a metric asks and the runtime cannot answer is refused by name, before any query is sent.
"""

from __future__ import annotations

from dataclasses import dataclass

from modelrollout.api.analysis import ErrorRate, Latency, Metric, Selector
from modelrollout.api.errors import SpecError
from modelrollout.api.settings import RequestSeries, RuntimePreset

from . import promql

TEMPLATE_NAMES = frozenset({"namespace", "pods", "revision", "version"})
COMPARISONS, OUTCOME, AGREE, DISAGREE = "shadow_comparisons_total", "outcome", "Agree", "Disagree"
"""What the comparer counts: pairs of answers. Other outcomes tell of requests without a pair, which say nothing."""
SHORTEST_QUERY_INTERVAL = 60.0
"""A user's query is asked no more often than this, in seconds."""


@dataclass(frozen=True, slots=True)
class Family:
    """One series with the conditions that hold for every rollout; `buckets`: it has a row for each bound `le`."""

    series: str
    conditions: tuple[str, ...] = ()
    buckets: bool = False


@dataclass(frozen=True, slots=True)
class Pair:
    """All events, and the bad ones (or, with `good`, the good ones). `within`: the ones are among the others."""

    total: Family
    part: Family
    good: bool = False
    within: bool = True

    @property
    def families(self) -> tuple[Family, ...]:
        return (self.total, self.part)


@dataclass(frozen=True, slots=True)
class Histogram:
    """Requests in buckets; bad are those above the nearest bound at or above `threshold` (seconds; None: above each bound).

    `unit`: seconds per unit of the histogram's bounds.
    """

    family: Family
    threshold: float | None
    unit: float = 1.0
    good: bool = True
    """A bucket counts the requests that were fast enough."""
    within: bool = True

    @property
    def families(self) -> tuple[Family, ...]:
        return (self.family,)


@dataclass(frozen=True, slots=True)
class Gauge:
    """A user's query: one number for each version."""

    template: str


Counters = Pair | Histogram
Question = Counters | Gauge


def question(metric: Metric, preset: RuntimePreset) -> Question:
    """What to ask for one version that runs on this preset. Raises SpecError."""
    if metric.error_rate is not None:
        return _errors(metric, metric.error_rate, preset)
    if metric.latency is not None:
        return _latency(metric, metric.latency, preset)
    if metric.ratio is not None:
        bad, good = metric.ratio.bad, metric.ratio.good
        part = bad or good
        assert part is not None
        return Pair(_family(metric.ratio.total), _family(part), good=bad is None, within=metric.part_of_total)
    if metric.disagreement is not None:
        answered = Family(COMPARISONS, (promql.is_one_of(OUTCOME, (AGREE, DISAGREE)),))
        return Pair(answered, Family(COMPARISONS, (promql.is_one_of(OUTCOME, (DISAGREE,)),)))
    assert metric.query is not None
    unknown = promql.places(metric.query) - TEMPLATE_NAMES
    if unknown:
        names = ", ".join(f"{{{{{name}}}}}" for name in sorted(TEMPLATE_NAMES))
        raise SpecError(_path(metric, "query"), f"{{{{{min(unknown)}}}}} is not known; there are {names}")
    return Gauge(metric.query)


def grid(metric: Metric, interval: float) -> float:
    """Length of the metric's windows in seconds: the interval, for a query the first multiple of it from 60 s on."""
    if metric.query is None:
        return interval
    return interval * max(1, -(-SHORTEST_QUERY_INTERVAL // interval))


def check(metrics: tuple[Metric, ...], preset: RuntimePreset) -> None:
    """Refuse metrics that cannot be measured on this preset. Raises SpecError."""
    for metric in metrics:
        question(metric, preset)


def _path(metric: Metric, field: str) -> str:
    return f"spec.analysis.metrics[{metric.name}].{field}"


def _family(selector: Selector, *conditions: str) -> Family:
    return Family(selector.series, (*promql.matchers(selector), *conditions))


def _errors(metric: Metric, asked: ErrorRate, preset: RuntimePreset) -> Pair:
    series = _series(metric, preset)
    excluded = _excluded(metric, series, tuple(asked.exclude_paths or ()))
    statuses = asked.statuses or ["5xx"]
    # A class stands in a label as 503 or as 5xx; either has three characters and begins alike.
    expression = "|".join(f"{status[0]}.." if status.endswith("xx") else status for status in statuses)
    total = _family(series.requests, *excluded)
    return Pair(total, Family(total.series, (*total.conditions, promql.matches(series.status_label, expression))))


def _latency(metric: Metric, asked: Latency, preset: RuntimePreset) -> Histogram:
    series = _series(metric, preset)
    if series.latency is None:
        raise SpecError(
            _path(metric, "latency"),
            f"the runtime {preset.name} names no latency histogram; use ratio with selectors of its counters",
        )
    family = _family(series.latency, *_excluded(metric, series, ()))
    buckets = Family(f"{family.series}_bucket", family.conditions, buckets=True)
    threshold = None if asked.threshold is None else asked.threshold.seconds
    return Histogram(buckets, threshold, series.latency_unit)


def _series(metric: Metric, preset: RuntimePreset) -> RequestSeries:
    if preset.series is None:
        raise SpecError(
            _path(metric, metric.kind),
            f"the runtime {preset.name} names no series of requests; use ratio or query, or another spec.server.runtime",
        )
    return preset.series


def _excluded(metric: Metric, series: RequestSeries, paths: tuple[str, ...]) -> tuple[str, ...]:
    if series.path_label is None:
        if paths:
            raise SpecError(
                _path(metric, "errorRate.excludePaths"), "the series of this runtime do not tell paths apart"
            )
        return ()
    excluded = tuple(dict.fromkeys((*series.exclude_paths, *paths)))
    return (promql.is_none_of(series.path_label, excluded),) if excluded else ()
