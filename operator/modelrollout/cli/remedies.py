"""Where a plan will not do what is hoped of it, and the change that would help. Pure.

A step is too short or too thin when not even an obvious fault (`OBVIOUS` times what is noticed at all) shows within its hold. A
plan is too short when a healthy version is not certified by the end of the last step in which both versions have traffic. The
rest are steps in which nothing is judged, or which cannot end with their hold for want of requests.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from modelrollout.analysis.planner import FOREVER, Traffic, certificate_seconds
from modelrollout.analysis.step import speaks
from modelrollout.api.analysis import StepKind
from modelrollout.api.scalars import FULL_WEIGHT, Weight
from modelrollout.rollout.asked import Asked, effective, stage, stages
from modelrollout.rollout.plan import Plan, PlanStep

from .forecast import CERTAINTY, Forecast, MetricForecast, alone, planned, smallest, soonest, traffic
from .given import Given
from .words import share, span, times

OBVIOUS = 10.0
LONGEST = 14 * 86_400.0
"""Seconds of a hold beyond which more time is no advice any more."""
_PERCENT = 100
_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86_400.0
_INTERVALS = (_MINUTE, 5 * _MINUTE, 15 * _MINUTE)
_WINDOWS = 4
"""A hold has so many windows at least."""
_GRAINS = (
    (10 * _MINUTE, _MINUTE),
    (_HOUR, 5 * _MINUTE),
    (6 * _HOUR, 15 * _MINUTE),
    (48 * _HOUR, _HOUR),
    (math.inf, 12 * _HOUR),
)
"""Below so many seconds, a hold is proposed in units of so many."""


@dataclass(frozen=True, slots=True)
class Warned:
    """Something that will not work as hoped, and what would help (empty: nothing in the plan would)."""

    text: str
    cure: str
    step: str | None = None
    metric: str | None = None


def warnings(plan: Plan, given: Given, found: Forecast) -> tuple[Warned, ...]:
    """Everything that a person should know before the plan is used, step by step, then of the plan as a whole."""
    pairs = list(zip(planned(plan, given), found.metrics, strict=True))
    warned = [one for step in plan.steps for one in _of_step(plan, given, step, pairs)]
    for one, metric in pairs:
        warned += [*_of_limit(one), *_of_certificate(plan, given, one, metric)]
    return tuple(warned)


Pairs = Sequence[tuple[Asked, MetricForecast]]


def _of_step(plan: Plan, given: Given, step: PlanStep, pairs: Pairs) -> Iterator[Warned]:
    speaking = [one for one, _ in pairs if one.tests(step)]
    if step.kind is StepKind.BAKE and step.hold and pairs and not any(speaks(m, step.kind) for m in plan.metrics):
        text = f"nothing is judged for {span(step.hold)}, because stable has no traffic to compare with"
        yield Warned(text, "give a metric a limit", step.name)
    if step.kind is not StepKind.LIVE:
        return
    gating = [one for one in speaking if one.metric.gates]
    pace = given.rps * effective(plan, step.weight) / FULL_WEIGHT
    sampled = max((one.metric.sample for one in gating), default=0) / pace
    if step.hold and sampled > step.hold:
        yield _of_sample(plan, step, pace * step.hold, sampled, gating)
    for one in speaking:
        yield from _of_sight(plan, given, step, one, max(step.hold, sampled if step.hold else 0.0))


def _of_sample(plan: Plan, step: PlanStep, count: float, sampled: float, gating: Sequence[Asked]) -> Warned:
    """A step waits for the minimum sample of the metrics that gate it."""
    most = max(one.metric.sample for one in gating)
    names = " and ".join(one.metric.name for one in gating if one.metric.sample == most)
    end = f"it will last about {span(sampled)}"
    if sampled > step.max_duration:
        end = f"not even its maxDuration of {span(step.max_duration)} is enough, and then onInconclusive is {plan.on_inconclusive}"
    text = f"{count:,.0f} request{'' if round(count) == 1 else 's'} in {span(step.hold)}, {most:,} needed for {names}: {end}"
    return Warned(text, f"raise the hold to {_nice(sampled)}, or lower minimumSampleSize", step.name)


def _of_sight(plan: Plan, given: Given, step: PlanStep, one: Asked, lasts: float) -> Iterator[Warned]:
    """A step in whose time, as long as it will last, not even an obvious fault shows."""
    where = traffic(plan, given, one)
    wanted = min(OBVIOUS * one.noticed, (1.0 + one.noticed) / 2.0)
    rate = smallest(alone(plan, one, step, lasts), where)
    if rate is not None and rate <= wanted:
        return
    takes = soonest(alone(plan, one, step), where, wanted)
    seen = f"sees {_bad(one, rate)}" if rate is not None else f"sees nothing, not even {_everything(one)}"
    never = "would never be seen" if takes is None else f"would take {span(takes)}"
    yield Warned(
        f"{one.metric.name}: {span(lasts) if lasts else 'no hold'} at {step.weight.percent} % {seen}; {_bad(one, wanted)} {never}",
        _raised(
            _hold(takes),
            _weight(plan, step, one, where, wanted),
            _interval(plan, step, one, where, wanted),
        ),
        step.name,
        one.metric.name,
    )


def _raised(*fields: str) -> str:
    *others, last = [field for field in fields if field] or [""]
    if not last:
        return "send it more traffic"
    return f"raise {', '.join(others)} or {last}" if others else f"raise {last}"


def _bad(one: Asked, rate: float) -> str:
    """A rate of bad requests as people compare it: `12x (6 %)`; the rate alone where stable's is below what is noticed."""
    if one.stable_rate and one.stable_rate >= one.noticed:
        return f"{times(rate / one.stable_rate)} ({share(rate)})"
    return share(rate)


def _everything(one: Asked) -> str:
    return "a version that is always slow" if one.metric.latency else "a version that answers nothing but errors"


def _hold(seconds: float | None) -> str:
    return "" if seconds is None or seconds > LONGEST else f"the hold to {_nice(seconds)}"


def _weight(plan: Plan, step: PlanStep, one: Asked, where: Traffic, wanted: float) -> str:
    """The smallest weight in whole percents, no larger than the next step's, at which the step's hold would do."""
    position = plan.steps.index(step) + 1
    following = plan.steps[position].weight if position < len(plan.steps) else FULL_WEIGHT
    highest = min(int(following), FULL_WEIGHT // 2) // _PERCENT
    for percent in range(int(step.weight) // _PERCENT + 1, highest + 1):
        other = Weight(percent * _PERCENT)
        thicker = PlanStep(step.name, other, step.hold, step.max_duration, step.approval)
        seen = smallest(alone(plan, one, thicker, step.hold), where)
        if seen is not None and seen <= wanted:
            return f"the weight to {percent} %"
    return ""


def _interval(plan: Plan, step: PlanStep, one: Asked, where: Traffic, wanted: float) -> str:
    """A longer window with which the step's hold would do: in nearly empty ones both reasons for innocence count against a fault."""
    for longer in _INTERVALS:
        if plan.interval < longer <= step.hold / _WINDOWS:
            seen = smallest(alone(plan, one, step, step.hold), replace(where, window=longer))
            if seen is not None and seen <= wanted:
                return f"analysis.interval to {span(longer)}"
    return ""


def _of_limit(one: Asked) -> Iterator[Warned]:
    limit = one.metric.limit
    if limit is not None and one.stable_rate >= limit.fraction:
        yield Warned(
            f"{one.metric.name}: stable itself, at {share(one.stable_rate)}, is above the limit of {share(limit.fraction)}",
            f"raise the limit, or leave it out: at {share(one.stable_rate)} every rollout would end or pause by it",
            metric=one.metric.name,
        )


def _of_certificate(plan: Plan, given: Given, one: Asked, metric: MetricForecast) -> Iterator[Warned]:
    """A healthy version that is not certified when the last live step ends."""
    last, found = plan.last_live_step, metric.certified
    if found is None or last is None or found.seconds is not None or one.certification is None:
        return
    before = stages(plan, one, None, plan.steps[: plan.steps.index(last)])
    unending = [*before, stage(plan, last, FOREVER)]
    whole = certificate_seconds(one.certification, traffic(plan, given, one), unending, CERTAINTY)
    needed = None if whole is None else whole - sum(part.seconds for part in before)
    if found.late is not None:
        text = f"promotion will wait about {span(found.late)} beyond the hold of step {last.name} for its certificate"
    else:
        text = (
            f"a healthy version is not certified within the maxDuration of step {last.name} ({span(last.max_duration)}); "
            f"it ends Underpowered, with onInconclusive {plan.on_inconclusive}"
        )
    cures = [f"raise the hold of {last.name} to {_nice(needed)}"] if needed is not None and needed <= LONGEST else []
    if one.certification.floor and (needed is None or needed > _DAY):
        cures.append(f"raise ignoreBelow (now {share(one.certification.floor)})")
    yield Warned(f"{one.metric.name}: {text}", ", ".join([*cures, "or send more traffic"]), last.name, one.metric.name)


def _nice(seconds: float) -> str:
    """A hold as people write it, no shorter: `15m`, `2h30m`, `36h`."""
    grain = next(grain for below, grain in _GRAINS if seconds <= below)
    return span(math.ceil(seconds / grain - 1e-9) * grain)
