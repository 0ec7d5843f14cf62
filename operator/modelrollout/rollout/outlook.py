"""What the plan is going to come to at the traffic that stable has: said before the first weight, while all can still be changed.

It is the computation of `kubectl modelrollout plan`, on rates that were measured instead of named.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from modelrollout.analysis.planner import FOREVER, Traffic, certificate_seconds
from modelrollout.analysis.terms import by_evidence
from modelrollout.api.analysis import OnInconclusive

from .asked import Asked, asked, boundless, stage, stages
from .plan import Plan
from .situation import PreflightFacts
from .words import span

_MINUTE = 60.0
_TYPICAL = 0.5
"""A plan that does for every other healthy candidate is not complained of."""
_THEN = {
    OnInconclusive.HOLD: "pauses there for an approval",
    OnInconclusive.ROLLBACK: "is taken back there as inconclusive",
    OnInconclusive.PROMOTE: "goes on from there without it",
}


@dataclass(frozen=True, slots=True)
class Certified:
    """When a healthy version is certified, in seconds from the first step on; None: not within the plan.

    `late`: then how far beyond the hold of the last live step, where its `maxDuration` allows it; None: out of reach.
    """

    seconds: float | None
    late: float | None = None


def certified(plan: Plan, one: Asked, where: Traffic, certainty: float) -> Certified | None:
    """When so many (`certainty`, 0 to 1) of healthy versions are certified; None where no certificate is asked."""
    last = plan.last_live_step
    if one.certification is None or last is None:
        return None
    before = stages(plan, one, None, plan.steps[: plan.steps.index(last)])
    begin = sum(part.seconds for part in before)
    longest = stage(plan, last, max(last.max_duration, last.hold))
    when = certificate_seconds(one.certification, where, [*before, longest], certainty)
    if when is None or when <= begin + last.hold:
        return Certified(when)
    return Certified(None, when - begin - last.hold)


def outlook(plan: Plan, found: PreflightFacts) -> str:
    """What of the plan is out of reach at stable's traffic, of the first metric of which that is so; empty where nothing is."""
    for metric in by_evidence(plan.metrics):
        where = found.traffic.get(metric.name)
        if where is None or boundless(metric) or not metric.gates:
            continue
        effect = float(found.effects[metric.name].split()[0]) if metric.name in found.effects else None
        one = asked(metric, plan, where.stable_rate, effect)
        where = replace(where, window=plan.interval)
        when = certified(plan, one, where, _TYPICAL) if where.rps else Certified(None)
        if when is not None and when.seconds is None and when.late is None:
            return _underpowered(plan, one, where)
    return ""


def _underpowered(plan: Plan, one: Asked, where: Traffic) -> str:
    last = plan.last_live_step
    assert last is not None
    assert one.certification is not None
    begin = stages(plan, one, None, plan.steps[: plan.steps.index(last)])
    unending = [*begin, stage(plan, last, FOREVER)]
    needed = certificate_seconds(one.certification, where, unending, _TYPICAL) if where.rps else None
    takes = "is not to be had at all" if needed is None else f"takes about {span(needed)}"
    most = sum(part.seconds for part in begin) + max(last.max_duration, last.hold)
    return (
        f"{one.metric.name}: {_asked_of(where)}, certainty that a healthy candidate is not much worse {takes}, and the time of step "
        f"{last.name} is up after {span(most)}: the rollout {_THEN[plan.on_inconclusive]}. "
        f"Send more traffic, or raise its weight, maxDuration, ignoreBelow or nonInferiorityMargin."
    )


def _asked_of(where: Traffic) -> str:
    if not where.rps:
        return "as stable had no requests lately"
    pace = f"{where.rps:.3g} requests a second" if where.rps >= 1 else f"{where.rps * _MINUTE:.2g} requests a minute"
    return f"at stable's {pace}, {100 * where.stable_rate:.2g} % of them bad"
