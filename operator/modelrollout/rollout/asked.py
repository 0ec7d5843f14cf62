"""What a plan asks of a candidate, as the planner takes it: the tests that its metrics make, with all defaults filled in.

Only questions that are answered by evidence (method Sequential) can be planned; of every other metric it is said why not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from modelrollout.analysis.planner import Certification, Rollback, Stage
from modelrollout.analysis.sequential import UNKNOWN_EFFECT
from modelrollout.analysis.sequential import Asked as Questions
from modelrollout.analysis.step import compares
from modelrollout.api.analysis import Metric
from modelrollout.api.scalars import FULL_WEIGHT

from .capacity import shares
from .plan import Plan, PlanStep

_PODS_TO_MEASURE = 2
"""Fewer pods of stable tell nothing about how much pods differ."""
BOUNDS = 10
"""Without a threshold all bounds of a histogram are judged together: about so many."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One metric that can be planned. `compare`, `limit`: its tests; `certification`: what promotion asks of it, None: nothing."""

    metric: Metric
    stable_rate: float
    compare: Rollback | None
    limit: Rollback | None
    certification: Certification | None

    @property
    def noticed(self) -> float:
        """The rate from which on anything is said to be bad: stable's, or where that is smaller what is ignored."""
        return max(self.stable_rate, min(test.question.floor or 0.0 for test in self.all_tests))

    @property
    def all_tests(self) -> tuple[Rollback, ...]:
        """Both tests, as far as they are asked at all."""
        return tuple(test for test in (self.compare, self.limit) if test is not None)

    def tests(self, step: PlanStep) -> tuple[Rollback, ...]:
        """Those that are asked in a step."""
        if step.kind not in self.metric.kinds_of_steps:
            return ()
        compare = self.compare if compares(self.metric, step.kind) else None
        return tuple(test for test in (compare, self.limit) if test is not None)


def asked(metric: Metric, plan: Plan, rate: float, effect: float | None = None) -> Asked:
    """The tests of a metric that is judged by evidence, where `rate` of stable's requests are bad. `effect`: as it was measured."""
    questions = Questions.of(metric)
    effect = _effect(metric, plan) if effect is None else effect
    share = plan.terms.weight(metric) / (BOUNDS if boundless(metric) else 1)
    compare, limit = (
        None if question is None else Rollback(question, plan.false_rollback, share, effect, metric.least_errors)
        for question in (questions.worse, questions.limit)
    )
    certification = Certification(questions.margin, questions.floor, plan.bad_promotion, effect)
    return Asked(metric, rate, compare, limit, certification if metric.gates else None)


def boundless(metric: Metric) -> bool:
    """Whether it is a latency that names no threshold, and is judged at each bound of the histogram."""
    return metric.latency is not None and metric.latency.threshold is None


def stage(plan: Plan, step: PlanStep, seconds: float | None = None) -> Stage:
    """A step as the planner takes it; `seconds` in place of its hold."""
    return Stage(effective(plan, step.weight) / FULL_WEIGHT, step.hold if seconds is None else seconds)


def stages(plan: Plan, one: Asked, test: Rollback | None, steps: Sequence[PlanStep]) -> list[Stage]:
    """Steps as the planner takes them for one test (None: for any); where it is not asked, time passes and nothing is added."""

    def asks(step: PlanStep) -> bool:
        return bool(one.tests(step)) if test is None else test in one.tests(step)

    return [stage(plan, step) if asks(step) else Stage(0.0, step.hold) for step in steps]


def effective(plan: Plan, weight: int) -> int:
    """The share in basis points that the router can carry out."""
    if plan.router != "Service" or not 0 < weight < FULL_WEIGHT or plan.replicas < 1:
        return weight
    return shares(weight, plan.replicas)[2]


def _effect(metric: Metric, plan: Plan) -> float:
    """The design effect that is stated; where it will be measured, the cautious guess for a single pod and none for more."""
    stated = metric.overdispersion.stated if metric.overdispersion is not None else None
    if stated is not None:
        return stated
    return UNKNOWN_EFFECT if plan.replicas < _PODS_TO_MEASURE else 1.0
