"""`spec.analysis`: how a candidate is judged."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, model_validator

from .base import Enum, Flag, Model, Whole, canonical_json, rule, unique, validations
from .scalars import AboveOne, Duration, Factor, LatencyBound, Margin, Number, Rate

Name = Annotated[str, Field(pattern=r"^[a-z]([-a-z0-9]{0,30}[a-z0-9])?$", max_length=32)]
LabelName = Annotated[str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$", max_length=64)]
SeriesName = Annotated[str, Field(pattern=r"^[a-zA-Z_:][a-zA-Z0-9_:]*$", max_length=200)]
LabelValue = Annotated[str, Field(max_length=200)]


class Mode(Enum):
    """Whether a candidate is judged by metrics at all."""

    METRICS = "Metrics"
    NONE = "None"


class Source(Enum):
    """Whose counters are read."""

    AUTO = "Auto"
    SERVER = "Server"


class Method(Enum):
    """How the questions of a metric are answered."""

    SEQUENTIAL = "Sequential"
    """By evidence, with a stated error probability."""
    THRESHOLD = "Threshold"
    """By failed checks over a look-back."""


class OnBreach(Enum):
    """What a Fail does."""

    ROLLBACK = "Rollback"
    PAUSE = "Pause"
    WARN = "Warn"


class OnInconclusive(Enum):
    """What happens to a step that still lacks evidence at its `maxDuration`."""

    HOLD = "Hold"
    PROMOTE = "Promote"
    ROLLBACK = "Rollback"


class StepKind(Enum):
    """The kind of a step, for `when`."""

    SHADOW = "Shadow"
    """Requests are mirrored to the candidate; its answers reach nobody."""
    PREVIEW = "Preview"
    """Weight 0: only header testers and preview callers reach the candidate."""
    LIVE = "Live"
    BAKE = "Bake"
    """Weight 100: stable has no traffic to compare with."""


class IdentifyBy(Enum):
    """What the value of a version label says."""

    REVISION = "Revision"
    VERSION = "Version"


_ONE_MATCH = "(has(self.value) ? 1 : 0) + (has(self.values) ? 1 : 0) + (has(self.not) ? 1 : 0) == 1"


class Matcher(Model, json_schema_extra=validations(rule(_ONE_MATCH, "name exactly one of value, values, not"))):
    """One label of a series and the values it may have."""

    label: LabelName
    """Name of the label."""
    value: LabelValue | None = None
    """The label equals this text."""
    values: Annotated[list[LabelValue], Field(max_length=20)] | None = None
    """The label equals one of these texts."""
    not_: Annotated[list[LabelValue] | None, Field(alias="not", max_length=20)] = None
    """The label equals none of these texts."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(form is not None for form in (self.value, self.values, self.not_)) != 1:
            raise ValueError("name exactly one of value, values, not")
        return self


class Selector(Model):
    """A counter: the name of its series and which of its label sets count."""

    series: SeriesName
    """Name of the counter, such as `http_requests_total`."""
    match: Annotated[list[Matcher], Field(max_length=10)] = Field(
        default_factory=list, exclude_if=lambda found: not found
    )
    """Only label sets that fit all of these."""


class ErrorRate(Model):
    """The share of requests that were answered with an error."""

    source: Source | None = None
    """Whose counters: the server's own, or (Auto, the default) the best of those at hand, which today are the server's, too."""
    statuses: (
        Annotated[
            list[Annotated[str, Field(pattern=r"^[1-5]([0-9]{2}|xx)$", max_length=3)]],
            Field(max_length=20, min_length=1),
        ]
        | None
    ) = None
    """Which answers are errors: codes such as `503` or classes such as `5xx`. Default: `5xx`."""
    exclude_paths: Annotated[list[LabelValue], Field(max_length=20)] | None = None
    """Paths that do not count, beside those of probes and scrapes, where the series tell paths apart."""


class Latency(Model):
    """The share of requests that took longer than a threshold."""

    threshold: LatencyBound | None = None
    """Slower than this is bad. The next bound of the histogram at or above it is used and shown as `effectiveThreshold`. Without it (method Sequential) all bounds are judged together."""
    source: Source | None = None
    """Whose histogram, as for `errorRate`."""


class Ratio(
    Model, json_schema_extra=validations(rule("has(self.bad) != has(self.good)", "name either bad or good, not both"))
):
    """A share of events from two counters of the model server."""

    bad: Selector | None = None
    """Counts the bad events."""
    good: Selector | None = None
    """Counts the good events; bad are the others of `total`."""
    total: Selector
    """Counts all events."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.bad is None) == (self.good is None):
            raise ValueError("name either bad or good, not both")
        return self


class Disagreement(Model):
    """The share of mirrored requests to which the candidate answered otherwise than stable, as `shadow.compare` of the step says."""


class Compare(Model):
    """The question against stable."""

    margin: Margin | None = None
    """Rates: at most this many times stable's rate. Default with method Sequential: 1, or 1.2 for latency."""
    ignore_below: Rate | None = None
    """Rates: a candidate below this rate is never said to be worse. Default 0.1%."""
    non_inferiority_margin: AboveOne | None = None
    """Rates: promotion asks for a certificate that the candidate is less than this many times as bad as stable. Default 2, or 1.5 times `margin` if that is more."""
    max_drop: Number | None = None
    """Query: the candidate's number may lie at most this far below stable's."""
    max_rise: Number | None = None
    """Query: the candidate's number may lie at most this far above stable's."""


class Range(Model, json_schema_extra=validations(rule("has(self.min) || has(self.max)", "name min, max or both"))):
    """The absolute question on a number."""

    min: Number | None = None
    """The candidate's number must not be below."""
    max: Number | None = None
    """The candidate's number must not be above."""

    @model_validator(mode="after")
    def _some(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("name min, max or both")
        return self


class Anomaly(Model):
    """The question whether a number is unusual among stable's own recent ones."""

    sensitivity: Factor | None = None
    """A check fails when the candidate's number lies further from the median of stable's last half hour than this many robust standard deviations (from the median absolute deviation). Default 6."""


_FAILURES_OF = "(has(self.failures) ? self.failures : 3) <= (has(self.of) ? self.of : 5)"


class Threshold(
    Model,
    json_schema_extra=validations(rule(_FAILURES_OF, "failures (default 3) must not exceed of (default 5)")),
):
    """How many checks over which look-back decide."""

    lookback: Duration | None = None
    """A check looks at this much of the past within the current weight. Default 1m."""
    failures: Annotated[Whole, Field(ge=1, le=100)] | None = None
    """Fail at so many failed checks … Default 3."""
    of: Annotated[Whole, Field(ge=1, le=100)] | None = None
    """… among the last so many. Default 5."""

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if (3 if self.failures is None else self.failures) > (5 if self.of is None else self.of):
            raise ValueError("failures (default 3) must not exceed of (default 5)")
        return self


DEFAULT_METHOD = Method.SEQUENTIAL
"""How rates are judged where nothing is named."""

_KINDS = ("errorRate", "latency", "ratio", "disagreement", "query")
_ONE_KIND_TEXT = f"name exactly one of {', '.join(_KINDS)}"
_OF_DISAGREEMENT = (
    "has(self.limit) && !has(self.compare) && !has(self.delay) && (!has(self.when) || self.when == ['Shadow'])"
)
_OF_DISAGREEMENT_TEXT = "disagreement takes limit alone, and is asked in Shadow steps only"
_ONE_KIND = " + ".join(f"(has(self.{kind}) ? 1 : 0)" for kind in _KINDS) + " == 1"


class Overdispersion(Factor):
    """A design effect as a number of at least 1, or ``Auto``."""

    __slots__ = ()
    pattern = r"^(Auto|[1-9][0-9]{0,3}(\.[0-9]{1,4})?)$"
    example = 'Auto or "1.5"'
    integers = (1, 9_999)

    @property
    def stated(self) -> float | None:
        """The number, None for Auto."""
        return None if self == "Auto" else float(self)


_NO_LIMIT_OF_ZERO = (
    'limit must be above 0% with method Sequential, such as "0.01%"; to allow no bad event at all use method Threshold'
)


class Metric(
    Model,
    json_schema_extra=validations(
        rule(_ONE_KIND, _ONE_KIND_TEXT),
        rule(f"!has(self.disagreement) || ({_OF_DISAGREEMENT})", _OF_DISAGREEMENT_TEXT),
        rule("!has(self.limit) || !has(self.query)", "limit is for rates; a query takes range"),
        rule("!has(self.range) || has(self.query)", "range is for a query; rates take limit"),
        rule(
            "!has(self.limit) || (has(self.method) && self.method == 'Threshold') || self.limit.matches('[1-9]')",
            _NO_LIMIT_OF_ZERO,
        ),
        rule(
            "!has(self.latency) || has(self.latency.threshold)"
            " || !(has(self.limit) || (has(self.method) && self.method == 'Threshold'))",
            "latency.threshold must be named with limit or method Threshold, such as 250ms",
        ),
        rule(
            "has(self.limit) || has(self.range) || has(self.compare) || has(self.anomaly)",
            "ask at least one question: limit or range, or compare",
        ),
        rule(
            "!has(self.anomaly) || (has(self.query) && !has(self.range) && !has(self.compare))",
            "anomaly is for a query, and a metric of its own beside range or compare",
        ),
        rule(
            "!has(self.compare) || has(self.query) || has(self.compare.margin)"
            " || !has(self.method) || self.method != 'Threshold'",
            'compare.margin must be named with method Threshold, such as "1.5"',
        ),
        rule(
            "!has(self.method) || self.method != 'Sequential' || !has(self.query)",
            "method Sequential is for rates; a query is judged by method Threshold",
        ),
        rule(
            "!has(self.threshold) || has(self.query) || (has(self.method) && self.method == 'Threshold')",
            "threshold belongs to method Threshold; name that method, or leave threshold out",
        ),
        rule(
            "!(has(self.minimumErrors) || has(self.overdispersion)) || !(has(self.query)"
            " || (has(self.method) && self.method == 'Threshold'))",
            "minimumErrors and overdispersion belong to method Sequential",
        ),
        rule(
            "!has(self.compare) || !has(self.query) || has(self.compare.maxDrop) || has(self.compare.maxRise)",
            "compare of a query takes maxDrop or maxRise",
        ),
        rule(
            "!has(self.compare) || !has(self.query) || !(has(self.compare.margin) || has(self.compare.ignoreBelow)"
            " || has(self.compare.nonInferiorityMargin))",
            "margin, ignoreBelow and nonInferiorityMargin are for rates; compare of a query takes maxDrop or maxRise",
        ),
        rule(
            "!has(self.compare) || has(self.query) || !(has(self.compare.maxDrop) || has(self.compare.maxRise))",
            "maxDrop and maxRise are for a query; compare of a rate takes margin",
        ),
    ),
):
    """One thing that is measured, the questions asked of it, and what a breach does."""

    part_of_total: ClassVar[bool] = True
    """Whether what a ratio counts in part is among what it counts in total."""

    name: Name
    """Unique name, shown in status and messages."""
    error_rate: ErrorRate | None = None
    """Share of requests answered with an error."""
    latency: Latency | None = None
    """Share of requests slower than a threshold."""
    ratio: Ratio | None = None
    """Share of bad events from counters of the model server."""
    disagreement: Disagreement | None = None
    """Share of mirrored requests to which the candidate answered otherwise than stable; the steps say with `shadow.compare` what that means."""
    query: Annotated[str, Field(max_length=2000, min_length=1)] | None = None
    """PromQL that yields one number per version. `{{namespace}}`, `{{pods}}` (a regular expression), `{{revision}}` and `{{version}}` are filled in, escaped."""
    limit: Rate | None = None
    """The rate must not exceed this."""
    range: Range | None = None
    """The number must lie within this."""
    compare: Compare | None = None
    """The candidate must not be worse than stable by more than this."""
    anomaly: Anomaly | None = None
    """Query: the candidate's number must not be unusual among stable's recent ones. A breach warns, unless `onBreach` says more."""
    method: Method | None = None
    """How the questions are answered. Default: Sequential for rates, Threshold for a query."""
    threshold: Threshold | None = None
    """Threshold: look-back and number of failed checks."""
    delay: Duration | None = None
    """How late the data come in: the step ends no earlier than hold + delay."""
    when: Annotated[list[StepKind], Field(max_length=4, min_length=1)] | None = None
    """The steps it gates. Default: Live and Bake; of errorRate and latency also Shadow, of disagreement Shadow alone."""
    minimum_sample_size: Annotated[Whole, Field(ge=0, le=1_000_000_000)] | None = None
    """Candidate requests in the step below which the metric neither passes nor (Threshold) fails. Default 100."""
    minimum_errors: Annotated[Whole, Field(ge=0, le=1_000_000_000)] | None = None
    """Sequential: bad events of the candidate below which the metric does not fail. Default 3."""
    overdispersion: Overdispersion | None = None
    """Sequential: how much more the errors of stable's pods vary than chance explains: Auto (the default) measures it, a number such as `"1.5"` states it."""
    on_breach: OnBreach | None = None
    """What Fail does. Default: Rollback; Warn for an anomaly."""
    gate: Flag | None = None
    """Whether a step waits for it to pass. Default: true, or false with onBreach Warn."""

    @cached_property
    def text(self) -> str:
        """As written, as canonical JSON: equal texts, the same definition."""
        return canonical_json(self.written())

    @property
    def kind(self) -> str:
        """`errorRate`, `latency`, `ratio`, `disagreement` or `query`."""
        return next(kind for kind, value in zip(_KINDS, self._kinds, strict=True) if value is not None)

    @property
    def _kinds(self) -> tuple[Any, ...]:
        return (self.error_rate, self.latency, self.ratio, self.disagreement, self.query)

    @property
    def breach(self) -> OnBreach:
        """What Fail does, resolved."""
        return self.on_breach or (OnBreach.ROLLBACK if self.anomaly is None else OnBreach.WARN)

    @property
    def gates(self) -> bool:
        """Whether a step waits for it to pass, resolved."""
        return self.gate if self.gate is not None else self.breach is not OnBreach.WARN

    @property
    def judged_by(self) -> Method:
        """How the questions are answered, resolved."""
        if self.query is not None:
            return Method.THRESHOLD
        return self.method or DEFAULT_METHOD

    @property
    def least_errors(self) -> int:
        """Minimum of bad events for a Fail by evidence, resolved."""
        return 3 if self.minimum_errors is None else self.minimum_errors

    @property
    def sample(self) -> int:
        """Minimum sample in candidate requests, resolved; a query has none."""
        if self.query is not None:
            return 0
        return 100 if self.minimum_sample_size is None else self.minimum_sample_size

    @property
    def kinds_of_steps(self) -> frozenset[StepKind]:
        """The kinds of steps that it gates, resolved."""
        if self.when:
            return frozenset(self.when)
        if self.disagreement is not None:
            return frozenset({StepKind.SHADOW})
        mirrored = (self.error_rate or self.latency) is not None
        return frozenset({StepKind.LIVE, StepKind.BAKE, *([StepKind.SHADOW] if mirrored else [])})

    @model_validator(mode="after")
    def _questions(self) -> Self:
        if sum(kind is not None for kind in self._kinds) != 1:
            raise ValueError(_ONE_KIND_TEXT)
        if self.disagreement is not None and not self._is_about_disagreement:
            raise ValueError(_OF_DISAGREEMENT_TEXT)
        if self.query is None:
            self._questions_of_rate()
        else:
            self._questions_of_query()
        self._options_of_methods()
        if self.anomaly is not None and (self.query is None or self.range is not None or self.compare is not None):
            raise ValueError("anomaly is for a query, and a metric of its own beside range or compare")
        if self.limit is None and self.range is None and self.compare is None and self.anomaly is None:
            raise ValueError("ask at least one question: limit or range, or compare")
        return self

    @property
    def _is_about_disagreement(self) -> bool:
        """Whether it asks what can be asked of disagreement: there is no stable to compare with, and no pair of answers elsewhere."""
        only_shadow = self.when in (None, [StepKind.SHADOW])
        return self.limit is not None and self.compare is None and self.delay is None and only_shadow

    def _options_of_methods(self) -> None:
        boundless = self.latency is not None and self.latency.threshold is None
        if boundless and (self.limit is not None or self.judged_by is Method.THRESHOLD):
            raise ValueError("latency.threshold must be named with limit or method Threshold, such as 250ms")
        if self.query is not None and self.method is Method.SEQUENTIAL:
            raise ValueError("method Sequential is for rates; a query is judged by method Threshold")
        if self.threshold is not None and self.judged_by is Method.SEQUENTIAL:
            raise ValueError("threshold belongs to method Threshold; name that method, or leave threshold out")
        by_evidence = self.minimum_errors is not None or self.overdispersion is not None
        if by_evidence and self.judged_by is Method.THRESHOLD:
            raise ValueError("minimumErrors and overdispersion belong to method Sequential")

    def _questions_of_rate(self) -> None:
        if self.range is not None:
            raise ValueError("range is for a query; rates take limit")
        if self.limit is not None and not self.limit.fraction and self.judged_by is Method.SEQUENTIAL:
            raise ValueError(_NO_LIMIT_OF_ZERO)
        if self.compare is None:
            return
        if self.compare.margin is None and self.judged_by is Method.THRESHOLD:
            raise ValueError('compare.margin must be named with method Threshold, such as "1.5"')
        if self.compare.max_drop is not None or self.compare.max_rise is not None:
            raise ValueError("maxDrop and maxRise are for a query; compare of a rate takes margin")

    def _questions_of_query(self) -> None:
        if self.limit is not None:
            raise ValueError("limit is for rates; a query takes range")
        if self.compare is None:
            return
        if self.compare.max_drop is None and self.compare.max_rise is None:
            raise ValueError("compare of a query takes maxDrop or maxRise")
        ratios = (self.compare.margin, self.compare.ignore_below, self.compare.non_inferiority_margin)
        if any(field is not None for field in ratios):
            raise ValueError(
                "margin, ignoreBelow and nonInferiorityMargin are for rates; compare of a query takes maxDrop or maxRise"
            )


class Probability(Rate):
    """The probability of a wrong verdict: more than 0, at most 50 %."""

    __slots__ = ()
    pattern = r"^(50(\.0{1,4})?|[1-4][0-9](\.[0-9]{1,4})?|[1-9](\.[0-9]{1,4})?|0\.[0-9]{0,3}[1-9][0-9]{0,3})%$"
    example = '"1%" or "0.1%", from 0.0001% to 50%'


class Identify(Model):
    """How series of the versions are told apart, where the ordinary target labels cannot do it."""

    label: LabelName
    """The label that names the version."""
    by: IdentifyBy | None = None
    """What its value says. Default: Version."""


BOUNDLESS_LIMIT = 3
"""Latencies without a threshold: each keeps evidence for every bound of its histogram, and status has to hold it."""
_BOUNDLESS = "self.metrics.filter(m, has(m.latency) && !has(m.latency.threshold)).size()"
_TOO_MANY_BOUNDLESS = f"at most {BOUNDLESS_LIMIT} latencies may leave out the threshold"


class Analysis(
    Model,
    json_schema_extra=validations(
        rule(f"!has(self.metrics) || {_BOUNDLESS} <= {BOUNDLESS_LIMIT}", _TOO_MANY_BOUNDLESS)
    ),
):
    """How a candidate is judged."""

    mode: Mode | None = None
    """Metrics (the default), or None: promotion by time only, shown as Unjudged."""
    provider: Annotated[str, Field(pattern=r"^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$", max_length=63)] | None = None
    """Name of a metrics provider that the administrator set up. Default: `default`."""
    interval: Duration | None = None
    """Length of a window. Default 15s."""
    warm_up: Duration | None = None
    """A pod's counts start this long after it became ready. Default 60s."""
    identify: Identify | None = None
    """Tell versions apart by a label instead of by pod."""
    no_data_deadline: Duration | None = None
    """Missing answers for this long are also reported as Stalled. Default 1h."""
    false_rollback_probability: Probability | None = None
    """Sequential: a candidate that is no worse than stable is taken back with at most this probability. Default 1%."""
    bad_promotion_probability: Probability | None = None
    """Sequential: a candidate that is `nonInferiorityMargin` times as bad as stable is certified with at most this probability. Default 5%."""
    on_inconclusive: OnInconclusive | None = None
    """What happens to a step that lacks evidence at its maxDuration. Default Hold."""
    metrics: (
        Annotated[
            list[Metric],
            Field(
                max_length=10,
                json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
            ),
        ]
        | None
    ) = None
    """What is measured. Default: errors and latency of the runtime preset, compared with stable."""

    @model_validator(mode="after")
    def _unique(self) -> Self:
        unique((metric.name for metric in self.metrics or ()), "names of metrics")
        latencies = (metric.latency for metric in self.metrics or ())
        if sum(latency is not None and latency.threshold is None for latency in latencies) > BOUNDLESS_LIMIT:
            raise ValueError(_TOO_MANY_BOUNDLESS)
        return self

    @property
    def judged(self) -> bool:
        """Whether metrics are judged at all."""
        return self.mode is not Mode.NONE
