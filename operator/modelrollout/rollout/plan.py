"""The resolved plan: a spec with all defaults filled in, as the decision core reads it.

A plan is made from a *valid* spec and recorded (as written) in a ControllerRevision, so that a rollout under way goes on by the
last accepted plan while an invalid spec waits to be mended.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from modelrollout.analysis.terms import Terms
from modelrollout.api.analysis import Analysis, Metric, OnInconclusive, Probability, StepKind
from modelrollout.api.base import canonical_json
from modelrollout.api.experiment import Assignment, End, Goal
from modelrollout.api.rollout import (
    Advance,
    CandidateReplicas,
    Pace,
    ReadyWhen,
    Rollout,
    Step,
    Strategy,
    WhenSuperseded,
)
from modelrollout.api.scalars import FULL_WEIGHT, Duration, Weight
from modelrollout.api.settings import Settings
from modelrollout.api.shadow import Comparison, Shadow
from modelrollout.api.spec import ModelDeploymentSpec
from modelrollout.api.warmup import WarmUp

HOUR = 3600.0
USUAL_TEST = 7 * 24 * HOUR
"""How long an A/B test is expected to take that does not say so."""
FEWEST_WINDOWS = 60
"""For which the evidence is prepared at least."""
CANARY_STEPS: tuple[tuple[int, str], ...] = ((1, "1h"), (5, "3h"), (10, "4h"), (25, "16h"), (50, "24h"), (100, "0s"))
DEFAULT_STEPS: dict[Strategy, tuple[Step, ...]] = {
    Strategy.CANARY: tuple(Step(weight=Weight(percent * 100), hold=Duration(hold)) for percent, hold in CANARY_STEPS),
    Strategy.BLUE_GREEN: (
        Step(weight=Weight(0), advance=Advance.APPROVAL),
        Step(weight=Weight(FULL_WEIGHT), hold=Duration("1h")),
    ),
    Strategy.REPLACE: (Step(weight=Weight(FULL_WEIGHT), hold=Duration("1h")),),
}
DEFAULT_STEPS[Strategy.SHADOW] = (
    Step(shadow=Shadow(percent=Weight(FULL_WEIGHT)), hold=Duration("1h")),
    *DEFAULT_STEPS[Strategy.CANARY],
)
DEFAULT_STEPS[Strategy.AB_TEST] = DEFAULT_STEPS[Strategy.CANARY]
"""An A/B test goes by none; whatever would ask for one finds the most careful."""
STEP_NAMES: dict[Strategy, dict[StepKind, str]] = {
    Strategy.BLUE_GREEN: {StepKind.PREVIEW: "preview", StepKind.BAKE: "bake"},
    Strategy.REPLACE: {StepKind.BAKE: "bake"},
}
"""What steps without a name are called, where it is not by their weight."""


@dataclass(frozen=True, slots=True)
class PlanStep:
    """One step, resolved. Weight in basis points, times in seconds. `shadow`: which requests are mirrored, None: none."""

    name: str
    weight: Weight
    hold: float
    max_duration: float
    approval: bool
    shadow: Shadow | None = None

    @property
    def mirror(self) -> Weight:
        """The share of requests that is mirrored, in basis points."""
        return self.shadow.percent if self.shadow is not None else Weight(0)

    @property
    def share(self) -> int:
        """Of how many requests the candidate gets the original or a copy, in basis points."""
        return max(self.weight, self.mirror)

    @property
    def kind(self) -> StepKind:
        """By weight, and whether it mirrors."""
        return kind_of(self.weight, self.mirror)


@dataclass(frozen=True, slots=True)
class Experiment:
    """An A/B test as the plan has it: shares by name of variant, who meets which, and how it ends. `duration` in seconds."""

    shares: tuple[tuple[str, Weight], ...]
    assignment: Assignment = field(default_factory=Assignment)
    duration: float | None = None
    goal: Goal | None = None
    end: End = End.MANUAL

    def share(self, name: str) -> Weight:
        """The share of a variant; 0 for one that the plan does not know."""
        return dict(self.shares).get(name, Weight(0))


def kind_of(weight: int, mirror: int = 0) -> StepKind:
    """No weight is a preview, or with copies a shadow; all of it is a bake."""
    if not weight:
        return StepKind.SHADOW if mirror else StepKind.PREVIEW
    return StepKind.BAKE if weight == FULL_WEIGHT else StepKind.LIVE


@dataclass(frozen=True)
class Plan:
    """What the decision core needs of a spec. Times in seconds.

    `steps` always ends with a step at 100 %. `metrics` is empty and `judged` False for `analysis.mode: None`. `by_evidence`: a step
    ends early once its metrics are certified. `false_rollback` and `bad_promotion` are probabilities.
    """

    steps: tuple[PlanStep, ...]
    replicas: int
    autoscaled: tuple[int, int] | None = None
    load_deadline: float = 900.0
    unavailable_deadline: float = 120.0
    scale_down_delay: float = 900.0
    keep_failed: float = 600.0
    full_candidate: bool = False
    surge: int | None = None
    """At most so many pods above R for all versions together; None: not bounded."""
    scheduling_deadline: float = 1800.0
    in_place: bool = False
    """One version at a time: stable is stopped before the candidate is started."""
    finish_when_superseded: bool = False
    ready_when_serving: bool = False
    paused: bool = False
    attempt: int = 0
    judged: bool = True
    metrics: tuple[Metric, ...] = ()
    provider: str = "default"
    interval: float = 15.0
    warm_up: float = 60.0
    golden: WarmUp | None = field(default=None, hash=False)
    """Requests that each pod of a candidate answers before it counts for a weight."""
    no_data_deadline: float = HOUR
    on_inconclusive: OnInconclusive = OnInconclusive.HOLD
    by_evidence: bool = False
    false_rollback: float = 0.01
    bad_promotion: float = 0.05
    experiment: Experiment | None = None
    router: str = "Service"
    coarse: bool = False
    text: str = field(default="{}", compare=False, repr=False)
    """The fields of the spec that the plan was made from, as they are recorded: canonical JSON, a fifth of what dictionaries take."""

    @cached_property
    def terms(self) -> Terms:
        """What the tests have in common, for a candidate that starts now."""
        compared = "\n".join(comparison.text for comparison in self.comparisons) if self._disagreement else ""
        return Terms(
            self.false_rollback, self.bad_promotion, self.planned_windows, self.interval, self.metrics, compared
        )

    @property
    def _disagreement(self) -> bool:
        return any(metric.disagreement is not None for metric in self.metrics)

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        """How answers are compared, step by step, where they are."""
        shadows = (step.shadow for step in self.steps)
        return tuple(shadow.compare for shadow in shadows if shadow is not None and shadow.compare is not None)

    @cached_property
    def terms_of_variants(self) -> Terms:
        """What the tests of one variant have in common: all variants share the probability that a sound one is taken out."""
        variants = len(self.experiment.shares) if self.experiment else 1
        return replace(self.terms, alpha=self.false_rollback / variants)

    @cached_property
    def planned_windows(self) -> int:
        """Windows that the rollout is expected to have: over so many the evidence spreads its stakes.

        Those of all holds; a person who is to approve a step is expected to take an hour. Never less than a quarter of an hour's at the
        usual interval: beyond the plan stakes halve again and again, and a step may last much longer than its hold. An A/B test has
        those of its duration.
        """
        if self.experiment is not None:
            return max(FEWEST_WINDOWS, round((self.experiment.duration or USUAL_TEST) / self.interval))
        expected = sum(max(step.hold, HOUR if step.approval else 0.0) for step in self.steps if step.share)
        return max(FEWEST_WINDOWS, round(expected / self.interval))

    @cached_property
    def last_live_step(self) -> PlanStep | None:
        """The step that asks for certificates: the last one in which both versions have traffic."""
        return next((step for step in reversed(self.steps) if step.kind is StepKind.LIVE), None)

    @property
    def written(self) -> dict[str, Any]:
        """The recorded fields; new ones each time."""
        found: dict[str, Any] = json.loads(self.text)
        return found

    @cached_property
    def digest(self) -> str:
        """Eight hex digits that name the record of this plan."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:8]


PLAN_FIELDS = ("replicas", "autoscaling", "traffic", "service", "rollout", "analysis")


def resolve(spec: ModelDeploymentSpec, settings: Settings, preset_metrics: tuple[Metric, ...] = ()) -> Plan:
    """Fill in every default. `preset_metrics` are those of the runtime, used when the spec names none."""
    rollout, analysis = spec.rollout or Rollout(), spec.analysis or Analysis()
    written = spec.written()
    interval = max(_seconds(analysis.interval, settings.default_interval.seconds), settings.minimum_interval.seconds)
    metrics = _metrics(analysis, preset_metrics)
    late = max((_seconds(metric.delay, 0) for metric in metrics if metric.gates), default=0.0)
    return Plan(
        steps=_steps(rollout, late),
        replicas=spec.autoscaling.min_replicas if spec.autoscaling else 1 if spec.replicas is None else spec.replicas,
        autoscaled=(spec.autoscaling.min_replicas, spec.autoscaling.max_replicas) if spec.autoscaling else None,
        load_deadline=_seconds(rollout.load_deadline, 900),
        unavailable_deadline=_seconds(rollout.unavailable_deadline, 120),
        scale_down_delay=_seconds(rollout.scale_down_delay, 900),
        keep_failed=_seconds(rollout.keep_failed, 600),
        full_candidate=_full_candidate(rollout),
        in_place=rollout.strategy is Strategy.REPLACE,
        surge=rollout.capacity.max_surge if rollout.capacity else None,
        scheduling_deadline=_seconds(rollout.capacity.scheduling_deadline if rollout.capacity else None, 1800),
        finish_when_superseded=rollout.when_superseded is WhenSuperseded.FINISH,
        ready_when_serving=rollout.ready_when is ReadyWhen.SERVING,
        paused=bool(rollout.paused),
        attempt=rollout.attempt or 0,
        judged=analysis.judged,
        metrics=metrics,
        provider=analysis.provider or "default",
        interval=interval,
        warm_up=_seconds(analysis.warm_up, 60),
        golden=rollout.warm_up,
        no_data_deadline=_seconds(analysis.no_data_deadline, HOUR),
        on_inconclusive=analysis.on_inconclusive or OnInconclusive.HOLD,
        by_evidence=rollout.pace is Pace.EVIDENCE,
        false_rollback=_probability(analysis.false_rollback_probability, 0.01),
        bad_promotion=_probability(analysis.bad_promotion_probability, 0.05),
        experiment=_experiment(rollout),
        router=spec.traffic.router if spec.traffic else "Service",
        coarse=bool(spec.traffic and spec.traffic.service and spec.traffic.service.coarse == "Accept"),
        text=canonical_json({name: written[name] for name in PLAN_FIELDS if name in written}),
    )


def _metrics(analysis: Analysis, preset: tuple[Metric, ...]) -> tuple[Metric, ...]:
    if not analysis.judged:
        return ()
    return preset if analysis.metrics is None else tuple(analysis.metrics)


def _steps(rollout: Rollout, late: float) -> tuple[PlanStep, ...]:
    """`late`: by how many seconds a step outlasts its hold, since data come so late."""
    strategy = rollout.strategy or Strategy.CANARY
    written = list(rollout.steps or DEFAULT_STEPS[strategy])
    if written[-1].weight < FULL_WEIGHT:
        written.append(Step(weight=Weight(FULL_WEIGHT)))
    return tuple(_named([_step(step, late, strategy) for step in written]))


def _experiment(rollout: Rollout) -> Experiment | None:
    if rollout.strategy is not Strategy.AB_TEST:
        return None
    return Experiment(
        shares=tuple((variant.name, variant.weight) for variant in rollout.variants or ()),
        assignment=rollout.assignment or Assignment(),
        duration=None if rollout.duration is None else rollout.duration.seconds,
        goal=rollout.goal,
        end=rollout.end or End.MANUAL,
    )


def _full_candidate(rollout: Rollout) -> bool:
    """What is switched to at once is looked at in full size."""
    if rollout.candidate_replicas is None:
        return rollout.strategy is Strategy.BLUE_GREEN
    return rollout.candidate_replicas is CandidateReplicas.FULL


def _step(step: Step, late: float, strategy: Strategy) -> PlanStep:
    hold = _seconds(step.hold, 0)
    shadow = step.shadow
    kind, share = ("weight", step.weight) if shadow is None else ("shadow", shadow.percent)
    by_share = f"{kind}-{share.percent.replace('.', '-')}"
    return PlanStep(
        name=step.name or STEP_NAMES.get(strategy, {}).get(kind_of(step.weight, share if shadow else 0), by_share),
        weight=step.weight,
        hold=hold,
        max_duration=_seconds(step.max_duration, max(3 * (hold + late), HOUR)),
        approval=step.advance is Advance.APPROVAL,
        shadow=shadow,
    )


def _named(steps: list[PlanStep]) -> list[PlanStep]:
    """Two steps may have one weight (bake in two parts): the later default names get a number."""
    seen: set[str] = set()
    named = []
    for index, step in enumerate(steps, start=1):
        name = step.name if step.name not in seen else f"{step.name}-{index}"
        seen.add(name)
        named.append(step if name == step.name else replace(step, name=name))
    return named


def _seconds(duration: Duration | None, default: float) -> float:
    return default if duration is None else duration.seconds


def _probability(written: Probability | None, default: float) -> float:
    return default if written is None else written.fraction
