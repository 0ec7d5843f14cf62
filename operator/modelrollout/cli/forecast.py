"""What a plan of steps will see at a given traffic, worked out once for the terminal and for machines.

`forecast` is pure: a resolved plan and what a person says about the traffic in, a frozen `Forecast` out. For each step it says how
small a regression shows within its hold, and how long given ones take in that step alone; for all steps together the same with
the evidence carried from one to the next, as the operator does it, and when a healthy version is certified. All times are those
within which nine of ten rollouts are done.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from modelrollout.analysis.planner import (
    FOREVER,
    Rollback,
    Stage,
    Traffic,
    requests,
    rollback_seconds,
    smallest_rate,
)
from modelrollout.api.scalars import Weight
from modelrollout.rollout.asked import Asked, asked, effective, stage, stages
from modelrollout.rollout.outlook import Certified, certified
from modelrollout.rollout.plan import Plan, PlanStep

from .given import Given, why_not
from .view import camel

CERTAINTY = 0.9
FACTORS = (2, 5, 10)
"""How many times as bad as stable: the regressions whose times are told."""

Tests = Sequence[tuple[Rollback, Sequence[Stage]]]
"""Tests, each with the stages in which it is asked."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What shows in a stretch of time: the smallest rate of bad requests, and seconds until each of `FACTORS` does (None: never).

    `smallest_ratio` is the same rate in units of stable's, None where that is 0.
    """

    hold_seconds: float
    requests: float
    smallest_rate: float | None
    smallest_ratio: float | None
    seconds: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class StepForecast:
    """One step for one metric. `sight` is None where the metric does not speak; `certified` is No, Here or Yes, None: not asked."""

    name: str
    weight: str
    effective_weight: str | None
    hold_seconds: float
    sight: Sight | None
    certified: str | None


@dataclass(frozen=True, slots=True)
class MetricForecast:
    """One metric over all steps; `slow`: its bad requests are slow ones. `certified` is None where no certificate is asked."""

    name: str
    slow: bool
    stable_rate: float
    steps: tuple[StepForecast, ...]
    whole: Sight
    certified: Certified | None


@dataclass(frozen=True, slots=True)
class Forecast:
    """Everything that `plan` shows but the warnings. `silent`: metrics that cannot be planned, and why."""

    name: str
    namespace: str
    given: Given
    false_rollback: float
    bad_promotion: float
    judged: bool
    metrics: tuple[MetricForecast, ...]
    silent: tuple[tuple[str, str], ...]


def forecast(name: str, namespace: str, plan: Plan, given: Given) -> Forecast:
    """Work out what there is to see."""
    reasons = ((metric.name, why_not(metric, given)) for metric in plan.metrics)
    return Forecast(
        name=name,
        namespace=namespace,
        given=given,
        false_rollback=plan.false_rollback,
        bad_promotion=plan.bad_promotion,
        judged=plan.judged,
        metrics=tuple(_metric(plan, given, one) for one in planned(plan, given)),
        silent=tuple((metric, why) for metric, why in reasons if why),
    )


def planned(plan: Plan, given: Given) -> tuple[Asked, ...]:
    """The metrics that can be planned."""
    return tuple(asked(metric, plan, given.rate(metric)) for metric in plan.metrics if not why_not(metric, given))


def traffic(plan: Plan, given: Given, one: Asked) -> Traffic:
    """As the planner takes it."""
    return Traffic(given.rps, one.stable_rate, plan.interval)


def soonest(tests: Tests, where: Traffic, rate: float) -> float | None:
    """When the first of the tests takes a candidate of that rate back; None: none does."""
    found = (rollback_seconds(test, where, asking, rate, CERTAINTY) for test, asking in tests)
    return min((when for when in found if when is not None), default=None)


def smallest(tests: Tests, where: Traffic) -> float | None:
    """The smallest rate that one of the tests sees; None: none sees any."""
    found = (smallest_rate(test, where, asking, CERTAINTY) for test, asking in tests)
    return min((rate for rate in found if rate is not None), default=None)


def alone(plan: Plan, one: Asked, step: PlanStep, seconds: float = FOREVER) -> Tests:
    """The tests of a single step that lasts for so long."""
    return [(test, [stage(plan, step, seconds)]) for test in one.tests(step)]


def _metric(plan: Plan, given: Given, one: Asked) -> MetricForecast:
    where = traffic(plan, given, one)
    found = certified(plan, one, where, CERTAINTY)
    carried = [(test, stages(plan, one, test, plan.steps)) for test in one.all_tests]
    total = sum(step.hold for step in plan.steps)
    return MetricForecast(
        name=one.metric.name,
        slow=one.metric.latency is not None,
        stable_rate=one.stable_rate,
        steps=tuple(_step(plan, one, where, step, found) for step in plan.steps),
        whole=_sight(carried, carried, where, [stage(plan, step) for step in plan.steps], total),
        certified=found,
    )


def _step(plan: Plan, one: Asked, where: Traffic, step: PlanStep, found: Certified | None) -> StepForecast:
    weight = effective(plan, step.weight)
    within = alone(plan, one, step, step.hold)
    seen = _sight(within, alone(plan, one, step), where, [stage(plan, step)], step.hold) if within and weight else None
    return StepForecast(
        name=step.name,
        weight=step.weight.percent,
        effective_weight=Weight(weight).percent if weight != step.weight else None,
        hold_seconds=step.hold,
        sight=seen,
        certified=_standing(plan, step, found),
    )


def _sight(within: Tests, unending: Tests, where: Traffic, steps: Sequence[Stage], hold: float) -> Sight:
    rate, stable = smallest(within, where), where.stable_rate
    return Sight(
        hold_seconds=hold,
        requests=requests(where, steps, hold),
        smallest_rate=rate,
        smallest_ratio=rate / stable if rate and stable else None,
        seconds=tuple(soonest(unending, where, k * stable) if 0 < k * stable <= 1 else None for k in FACTORS),
    )


def _standing(plan: Plan, step: PlanStep, found: Certified | None) -> str | None:
    """How it stands with the certificate at the end of a step."""
    position, last = plan.steps.index(step), plan.last_live_step
    if found is None or last is None or position > plan.steps.index(last) or not step.weight:
        return None
    begin = sum(one.hold for one in plan.steps[:position])
    if found.seconds is None or found.seconds > begin + step.hold:
        return "No"
    return "Here" if found.seconds > begin else "Yes"


def as_document(found: Forecast) -> dict[str, Any]:
    """The fields of `--output json`, camelCase, absent values omitted."""
    return {
        "name": found.name,
        "namespace": found.namespace,
        "requestsPerSecond": found.given.rps,
        "certainty": CERTAINTY,
        "falseRollbackProbability": found.false_rollback,
        "badPromotionProbability": found.bad_promotion,
        "judged": found.judged,
        "metrics": [_named(asdict(metric)) for metric in found.metrics],
        "notPlanned": [{"metric": name, "why": why} for name, why in found.silent],
    }


def _named(metric: dict[str, Any]) -> Any:
    """With each time beside the regression that it speaks of, and no more digits than mean anything."""
    for sight in (metric["whole"], *(step["sight"] for step in metric["steps"])):
        if sight is not None:
            times = zip(FACTORS, sight.pop("seconds"), strict=True)
            sight["regressions"] = [{"ratio": ratio, "seconds": seconds} for ratio, seconds in times]
    return camel(_rounded(metric))


def _rounded(value: Any) -> Any:
    match value:
        case float():
            return float(f"{value:.4g}")
        case dict():
            return {name: _rounded(item) for name, item in value.items()}
        case list() | tuple():
            return [_rounded(item) for item in value]
    return value
