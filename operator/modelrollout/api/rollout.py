"""`spec.rollout`: the strategies, their steps and variants, and what bounds them."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from .base import Enum, Flag, Model, Whole, rule, unique, validations
from .experiment import CONTROL, Assignment, End, Goal
from .scalars import FULL_WEIGHT, Duration, Weight
from .server import LIST_MAP, VERSION_PATTERN, ModelInfo, Server, Template
from .shadow import Shadow
from .warmup import WarmUp


class Strategy(Enum):
    """The default list of steps and a few names."""

    CANARY = "Canary"
    """Shares of traffic that grow."""
    BLUE_GREEN = "BlueGreen"
    """A preview at weight 0, one switch, a bake."""
    SHADOW = "Shadow"
    """Copies of requests first, then shares of traffic that grow."""
    REPLACE = "Replace"
    """The old version is stopped, then the new one is started: for models that cannot run twice."""
    AB_TEST = "ABTest"
    """Two versions or more side by side at fixed shares, until one is chosen."""


class Advance(Enum):
    """How a step ends."""

    AUTOMATIC = "Automatic"
    APPROVAL = "Approval"


class CandidateReplicas(Enum):
    """How many pods a candidate runs below 100 %."""

    PROPORTIONAL = "Proportional"
    FULL = "Full"


class WhenSuperseded(Enum):
    """What a new spec does to a rollout that is under way."""

    REPLACE = "Replace"
    FINISH = "Finish"


class ReadyWhen(Enum):
    """When the condition Ready is true."""

    PROMOTED = "Promoted"
    SERVING = "Serving"


_ALL_ZERO = [f"{whole}{rest}{sign}" for whole in ("0", "00") for rest in ("", ".0", ".00") for sign in ("", "%")]
_WEIGHTLESS = (
    "!has(self.shadow) || !has(self.weight) || "
    f"(type(self.weight) == int ? self.weight == 0 : self.weight in {_ALL_ZERO})"
)
_WEIGHTLESS_TEXT = "a step that mirrors has weight 0: give the candidate its share in a step after it"
_WEIGHTED_TEXT = "name weight or shadow"


class Step(
    Model,
    json_schema_extra=validations(
        rule("has(self.weight) || has(self.shadow)", _WEIGHTED_TEXT), rule(_WEIGHTLESS, _WEIGHTLESS_TEXT)
    ),
):
    """One step: a share of traffic, held for a time, and how it ends."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=32)] | None = None
    """Unique name. Default: weight-<n>, or shadow-<n> where it mirrors; with strategy BlueGreen preview and bake, with Replace bake."""
    weight: Weight = Weight(0)
    """Share of traffic for the candidate, in percent: an integer, or a string of at most two decimals. 0 is a preview: only testers reach it. May be left out beside shadow."""
    shadow: Shadow | None = None
    """Copy requests to the candidate instead, which serves nobody. Needs traffic.gateway."""
    hold: Duration | None = None
    """How much covered time the step needs. Default 0s."""
    max_duration: Duration | None = None
    """A step that lacks evidence by then follows analysis.onInconclusive. Default: three times the hold and the longest `delay` of a metric, at least 1h."""
    advance: Advance | None = None
    """Automatic (the default), or Approval: the step ends only when somebody approves."""

    @model_serializer(mode="wrap")
    def _as_written(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A weight that was left out beside shadow stays so."""
        found: dict[str, Any] = dump(self)
        return found if "weight" in self.model_fields_set else {key: found[key] for key in found if key != "weight"}

    @model_validator(mode="after")
    def _mirrored_or_weighted(self) -> Self:
        if self.shadow is None and "weight" not in self.model_fields_set:
            raise ValueError(_WEIGHTED_TEXT)
        if self.shadow is not None and self.weight:
            raise ValueError(_WEIGHTLESS_TEXT)
        return self


STEPS_LIMIT = 20
_PERCENTS = (
    "self.map(s, !has(s.weight) ? 0.0 : type(s.weight) == int ? double(s.weight) : s.weight.endsWith('%') "
    "? double(s.weight.substring(0, size(s.weight) - 1)) : double(s.weight))"
)
# The API server refuses a rule whose estimated cost is high. So percentages, the dear part, are read once; and numbers of
# steps are cut out of a text of known length, because the length of string(int) counts as unbounded.
_NUMBERS = f"'{''.join(f'{number:>2}' for number in range(1, STEPS_LIMIT + 1))}'"
_FALLS = f"[{_PERCENTS}].map(w, {list(range(1, STEPS_LIMIT))}.filter(i, i < size(w) && w[i] < w[i - 1]))"
_FALL = (
    f"{_FALLS}.map(f, 'weights must not fall: step ' + {_NUMBERS}.substring(2 * f[0], 2 * f[0] + 2).trim()"
    " + ' (' + string(self[f[0]].weight)"
    f" + ') is below step ' + {_NUMBERS}.substring(2 * f[0] - 2, 2 * f[0]).trim()"
    " + ' (' + string(self[f[0] - 1].weight) + ')')[0]"
)
_STEP_RULES = [
    rule(f"{_PERCENTS}.isSorted()", "weights must not fall from one step to the next", message_expression=_FALL),
    rule(
        "self.all(s, !has(s.name) || self.exists_one(o, has(o.name) && o.name == s.name))",
        "names of steps must be unique",
    ),
]


class Pace(Enum):
    """What ends a step that all metrics pass."""

    SCHEDULE = "Schedule"
    """Its hold."""
    EVIDENCE = "Evidence"
    """Its metrics being certified, or its hold, whichever comes first."""


VARIANTS_LIMIT = 4
_OWN_FIELDS = "has(self.version) || has(self.model) || has(self.server) || has(self.template)"
_OWN_FIELDS_TEXT = "a variant differs from the control in version, model, server or template; name at least one of them"
_ALL_SHARES = "variants: their weights must add up to less than 100, for the rest is the control's"
_NO_SHARE = "variants: each needs a weight of more than 0"
_NO_CONTROL = f"variants: {CONTROL} is the spec's own version and no name for a variant"
_VARIANT_RULES = [
    rule(f"{_PERCENTS}.sum() < 100.0", _ALL_SHARES.partition(": ")[2]),
    rule(f"{_PERCENTS}.all(w, w > 0.0)", _NO_SHARE.partition(": ")[2]),
    rule(f"self.all(v, v.name != '{CONTROL}')", _NO_CONTROL.partition(": ")[2]),
]


class Variant(Model, json_schema_extra=validations(rule(_OWN_FIELDS, _OWN_FIELDS_TEXT))):
    """One challenger of an A/B test: a share of traffic, and what differs from the spec's own version.

    Maps merge over those of the spec; a list replaces the spec's, save containers, which merge by name, and `env`, by variable.
    """

    name: Annotated[str, Field(pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$", max_length=24)]
    """Unique name of the arm, such as `b`; not `control`."""
    weight: Weight
    """Share of traffic in percent, the same throughout the test. With a Flag assignment the share that is expected to come with the flag; it sizes the pods."""
    version: Annotated[str, Field(pattern=VERSION_PATTERN, max_length=63)] | None = None
    """Name of the version. Default: the spec's version, if it has one, else the image's tag."""
    model: ModelInfo | None = None
    """Merged over the spec's."""
    server: Server | None = None
    """Merged over the spec's."""
    template: Template | None = None
    """Merged over the spec's."""

    @model_validator(mode="after")
    def _different(self) -> Self:
        if self.version is None and self.model is None and self.server is None and self.template is None:
            raise ValueError(_OWN_FIELDS_TEXT)
        return self


# A list of all forms is a cheap question; a regular expression on a value that may be an integer is not.
_NONE_OR_ALL = [
    f"{whole}{rest}{sign}" for whole in ("0", "00", "100") for rest in ("", ".0", ".00") for sign in ("", "%")
]
_AT_ONCE = (
    "!has(self.strategy) || self.strategy != 'BlueGreen' || !has(self.steps) || self.steps.all(s, !has(s.weight) || "
    f"(type(s.weight) == int ? s.weight in [0, 100] : s.weight in {_NONE_OR_ALL}))"
)


class Capacity(Model):
    """How many pods both versions have together, where each is dear."""

    max_surge: Annotated[Whole, Field(ge=1, le=10_000)]
    """At most so many pods above `replicas`, for both versions together. For none at all there is strategy Replace."""
    scheduling_deadline: Duration | None = None
    """How long the candidate's pods may wait for a node; that time does not count for loadDeadline. A candidate without traffic is taken back then; one with traffic holds its weight and a person is needed. Default 30m."""


_ONE_BY_ONE = (
    "!has(self.capacity) || ((!has(self.strategy) || self.strategy == 'Canary')"
    " && (!has(self.candidateReplicas) || self.candidateReplicas == 'Proportional')"
    " && (!has(self.steps) || !self.steps.exists(s, has(s.shadow))))"
)
_ONE_BY_ONE_TEXT = "capacity needs a candidate that grows with its weight: strategy Canary, candidateReplicas Proportional, steps without shadow"
_IN_PLACE = (
    "!has(self.strategy) || self.strategy != 'Replace' || !has(self.steps) || self.steps.all(s, has(s.weight) && "
    f"(type(s.weight) == int ? s.weight == 100 : s.weight in {[form for form in _NONE_OR_ALL if form.startswith('100')]}))"
)
_IN_PLACE_TEXT = "Replace has one version at a time: its steps have weight 100; for others use another strategy"
_AT_ONCE_TEXT = "BlueGreen switches all traffic at once: its steps have weight 0 or 100; for others use strategy Canary"
_MIRRORS = "!has(self.strategy) || self.strategy != 'Shadow' || !has(self.steps) || self.steps.exists(s, has(s.shadow))"
_MIRRORS_TEXT = "strategy Shadow mirrors: give a step shadow, such as {shadow: {percent: 10}}, or use strategy Canary"
_TESTED = "has(self.strategy) && self.strategy == 'ABTest'"
_NEEDS_VARIANTS = f"({_TESTED}) == has(self.variants)"
_NEEDS_VARIANTS_TEXT = "strategy ABTest needs variants, and no other strategy has them"
_ONLY_TESTS = f"({_TESTED}) || !(has(self.assignment) || has(self.duration) || has(self.goal) || has(self.end))"
_ONLY_TESTS_TEXT = "assignment, duration, goal and end belong to strategy ABTest"
_NO_STEPS = f"!({_TESTED}) || !has(self.steps)"
_NO_STEPS_TEXT = "an A/B test has fixed shares (variants[].weight) and a duration instead of steps"
_ENDS = "!has(self.end) || self.end == 'Manual' || has(self.duration)"
_ENDS_TEXT = "with end PromoteWinner or KeepStable a test needs a duration, such as 14d"
_WINS = "!has(self.end) || self.end != 'PromoteWinner' || has(self.goal)"
_WINS_TEXT = "end PromoteWinner needs a goal by which a winner is told"
_TEST_RULES = [
    rule(_NEEDS_VARIANTS, _NEEDS_VARIANTS_TEXT, field_path=".variants"),
    rule(_ONLY_TESTS, _ONLY_TESTS_TEXT),
    rule(_NO_STEPS, _NO_STEPS_TEXT, field_path=".steps"),
    rule(_ENDS, _ENDS_TEXT),
    rule(_WINS, _WINS_TEXT),
]


class Rollout(
    Model,
    json_schema_extra=validations(
        rule(_AT_ONCE, _AT_ONCE_TEXT, field_path=".steps"),
        rule(_MIRRORS, _MIRRORS_TEXT, field_path=".steps"),
        rule(_IN_PLACE, _IN_PLACE_TEXT, field_path=".steps"),
        rule(_ONE_BY_ONE, _ONE_BY_ONE_TEXT, field_path=".capacity"),
        *_TEST_RULES,
    ),
):
    """How a new version gets its traffic."""

    strategy: Strategy | None = None
    """The default steps: Canary (the default); BlueGreen, whose steps have weight 0 or 100 and whose candidate runs in full size; Shadow, which begins with a step that mirrors; Replace, whose steps have weight 100 and whose candidate starts when the old version has stopped: nothing answers in between; or ABTest, which has variants and no steps."""
    steps: (
        Annotated[list[Step], Field(max_length=STEPS_LIMIT, min_length=1, json_schema_extra=validations(*_STEP_RULES))]
        | None
    ) = None
    """Default: 1 % 1h, 5 % 3h, 10 % 4h, 25 % 16h, 50 % 24h, then 100 %. With BlueGreen: a preview until it is approved, then 100 % 1h. With Shadow: all requests are mirrored for 1h, then as Canary. With Replace: 100 % 1h."""
    warm_up: WarmUp | None = None
    """Golden requests with expected answers, sent to each pod of a candidate or variant before it counts for a weight."""
    variants: (
        Annotated[
            list[Variant],
            Field(max_length=VARIANTS_LIMIT, min_length=1, json_schema_extra=LIST_MAP | validations(*_VARIANT_RULES)),
        ]
        | None
    ) = None
    """ABTest: the challengers, each a version of its own. The control is the version that the spec itself names; it gets the rest of the traffic."""
    assignment: Assignment | None = None
    """ABTest: which requests meet which variant. Default: Random."""
    duration: Duration | None = None
    """ABTest: how much time with the shares in force, and answers for the goal, the test needs."""
    goal: Goal | None = None
    """ABTest: what the winner must improve."""
    end: End | None = None
    """ABTest: what happens after `duration` (with pace Evidence: as soon as there is a winner). Manual (the default), KeepStable, or PromoteWinner."""
    load_deadline: Duration | None = None
    """The candidate must be ready by then, model download and load included. Default 15m."""
    unavailable_deadline: Duration | None = None
    """A candidate with traffic that is unready for so long has failed. Default 2m."""
    scale_down_delay: Duration | None = None
    """How long the former stable stays warm after the last step. Default 15m."""
    keep_failed: Duration | None = None
    """How long one pod of a rejected candidate stays for its logs. Default 10m."""
    candidate_replicas: CandidateReplicas | None = None
    """Proportional to the weight (the default), or Full (the default with BlueGreen)."""
    capacity: Capacity | None = None
    """Bounds the pods of both versions together: the weight follows ready pods, and stable shrinks behind it."""
    when_superseded: WhenSuperseded | None = None
    """What a new spec does to a rollout under way: Replace it (the default), or let it Finish."""
    pace: Pace | None = None
    """A step ends with its hold (Schedule, the default), or as soon as its metrics are certified (Evidence)."""
    ready_when: ReadyWhen | None = None
    """Ready is true when the desired version is Promoted (the default), or while it is Serving as planned."""
    paused: Flag | None = None
    """True holds the rollout where it is; rollbacks still happen."""
    attempt: Annotated[Whole, Field(ge=0, le=1_000_000)] | None = None
    """Raise it to try a rejected revision again."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        weights = [step.weight for step in self.steps or ()]
        for index, (before, after) in enumerate(pairwise(weights), start=2):
            if after < before:
                raise ValueError(
                    f"weights must not fall: step {index} ({after.percent}) is below step {index - 1} ({before.percent})"
                )
        unique((step.name for step in self.steps or ()), "names of steps")
        if self.strategy is Strategy.BLUE_GREEN and any(0 < weight < FULL_WEIGHT for weight in weights):
            raise ValueError(_AT_ONCE_TEXT)
        if self.strategy is Strategy.SHADOW and self.mirrors is False:
            raise ValueError(_MIRRORS_TEXT)
        if self.strategy is Strategy.REPLACE and any(weight < FULL_WEIGHT for weight in weights):
            raise ValueError(_IN_PLACE_TEXT)
        grows = self.strategy in (None, Strategy.CANARY) and self.candidate_replicas is not CandidateReplicas.FULL
        if self.capacity is not None and (not grows or self.mirrors):
            raise ValueError(_ONE_BY_ONE_TEXT)
        return self

    @property
    def mirrors(self) -> bool:
        """Whether some step mirrors requests."""
        if self.steps is None:
            return self.strategy is Strategy.SHADOW
        return any(step.shadow is not None for step in self.steps)

    @model_validator(mode="after")
    def _tested(self) -> Self:
        testing, variants = self.strategy is Strategy.AB_TEST, self.variants or []
        if testing != (self.variants is not None):
            raise ValueError(f"variants: {_NEEDS_VARIANTS_TEXT}")
        if not testing and any(field is not None for field in (self.assignment, self.duration, self.goal, self.end)):
            raise ValueError(f"strategy: {_ONLY_TESTS_TEXT}")
        if testing and self.steps is not None:
            raise ValueError(f"steps: {_NO_STEPS_TEXT}")
        unique((variant.name for variant in variants), "names of variants")
        if any(variant.name == CONTROL for variant in variants):
            raise ValueError(_NO_CONTROL)
        if not all(variant.weight for variant in variants):
            raise ValueError(_NO_SHARE)
        if sum(variant.weight for variant in variants) >= FULL_WEIGHT:
            raise ValueError(_ALL_SHARES)
        if self.end not in (None, End.MANUAL) and self.duration is None:
            raise ValueError(f"duration: {_ENDS_TEXT}")
        if self.end is End.PROMOTE_WINNER and self.goal is None:
            raise ValueError(f"goal: {_WINS_TEXT}")
        return self
