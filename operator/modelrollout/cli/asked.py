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
from modelrollout.api.analysis import Method, Metric
from modelrollout.api.scalars import FULL_WEIGHT
from modelrollout.rollout.capacity import shares
from modelrollout.rollout.plan import Plan, PlanStep

_PODS_TO_MEASURE = 2
"""Fewer pods of stable tell nothing about how much pods differ."""
BOUNDS = 10
"""Without a threshold all bounds of a histogram are judged together: about so many."""


@dataclass(frozen=True, slots=True)
class Given:
    """What a person says about the traffic: requests per second of all versions, shares of bad and of slow ones (None: not said)."""

    rps: float
    error_rate: float
    slow_share: float | None = None


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


def why_not(metric: Metric, given: Given) -> str:
    """Why a metric cannot be planned; empty where it can."""
    if metric.query is not None:
        return "a query yields a number, not counts: failed checks decide, with no stated error probability"
    if metric.judged_by is not Method.SEQUENTIAL:
        return "method Threshold: failed checks decide, with no stated error probability"
    if metric.ratio is not None:
        return "its rate is its own, and only those of errors and slow requests can be named here"
    if metric.latency is not None and given.slow_share is None:
        return f"name the share of requests {slower(metric)} with --slow-share"
    return ""


def asked(metric: Metric, plan: Plan, given: Given) -> Asked:
    """The tests of a metric for which `why_not` is empty."""
    rate = given.error_rate if given.slow_share is None or metric.latency is None else given.slow_share
    questions, effect = Questions.of(metric), _effect(metric, plan)
    boundless = metric.latency is not None and metric.latency.threshold is None
    share = plan.terms.weight(metric) / (BOUNDS if boundless else 1)
    compare, limit = (
        None if question is None else Rollback(question, plan.false_rollback, share, effect, metric.least_errors)
        for question in (questions.worse, questions.limit)
    )
    certification = Certification(questions.margin, questions.floor, plan.bad_promotion, effect)
    return Asked(metric, rate, compare, limit, certification if metric.gates else None)


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


def slower(metric: Metric) -> str:
    """Which requests of a latency metric are bad."""
    assert metric.latency is not None
    bound = metric.latency.threshold
    return f"slower than {bound}" if bound is not None else "slower than one of its bounds"


def _effect(metric: Metric, plan: Plan) -> float:
    """The design effect that is stated; where it will be measured, the cautious guess for a single pod and none for more."""
    stated = metric.overdispersion.stated if metric.overdispersion is not None else None
    if stated is not None:
        return stated
    return UNKNOWN_EFFECT if plan.replicas < _PODS_TO_MEASURE else 1.0
