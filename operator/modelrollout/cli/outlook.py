"""What comes next, and what a person can do about it: two short lines made from the recorded state.

The operator's own sentence is `status.message`; these lines add the step after it and the command that fits, so that a reader
need not know the reference by heart. They promise nothing that the operator has not recorded.
"""

from __future__ import annotations

from modelrollout.api.reasons import Reason
from modelrollout.api.status import DesiredState, Mode, Phase
from modelrollout.rollout.plan import Plan, PlanStep
from modelrollout.rollout.words import carries

from .deployment import Deployment
from .words import moment, span

_BY_REASON = {
    Reason.APPROVAL_REQUIRED: "approve",
    Reason.NOT_ENOUGH_EVIDENCE: "approve",
    Reason.METRIC_BREACHED: "abort",
    Reason.PAUSED_BY_COMMAND: "resume",
    Reason.STABLE_UNAVAILABLE: "promote",
}


def advice(deployment: Deployment) -> str:
    """The command that fits the state: `kubectl modelrollout approve fraud`; empty where nothing is to be done."""
    status = deployment.status
    verb = next((verb for reason, verb in _BY_REASON.items() if reason == deployment.reason), "")
    if not verb and status.desired and status.desired.state is DesiredState.REJECTED:
        verb = "retry"
    if not verb and status.rollout is None and status.phase is Phase.HEALTHY and deployment.former:
        verb = "undo"
    return f"kubectl modelrollout {verb} {deployment.name}" if verb else ""


def outlook(deployment: Deployment, plan: Plan | None, now: float) -> str:
    """What happens next if nothing gets in the way; empty where nothing is due or it is not known."""
    status = deployment.status
    if status.rollout is None:
        former = deployment.former
        return f"version {former.version} is scaled down at {moment(former.warm_until or now, now)}" if former else ""
    if status.phase is Phase.PAUSED and deployment.reason in (Reason.PAUSED_BY_COMMAND, Reason.PAUSED_BY_SPEC):
        how = "it is resumed" if deployment.reason == Reason.PAUSED_BY_COMMAND else "spec.rollout.paused is false"
        return f"nothing until {how}; a failing candidate is still taken back"
    if status.rollout.mode is Mode.DIRECT:
        return (
            "100 % as soon as all its pods are ready"
            if deployment.candidate and not deployment.candidate.weight
            else ""
        )
    return _in_steps(deployment, plan, now) if plan else ""


def _in_steps(deployment: Deployment, plan: Plan, now: float) -> str:
    status = deployment.status
    assert status.rollout is not None
    index = status.step.index if status.step else 0
    if index == 0:
        left = plan.load_deadline - status.rollout.loading.seconds
        limit = f"; it has {span(left)} left to load" if status.rollout.loaded_at is None and left > 0 else ""
        first = plan.steps[0]
        what = carries(first.weight, first.mirror) if first.share else f"step {first.name} at 0 %"
        return f"{what} when its pods are ready{limit}"
    if index > len(plan.steps):
        return ""
    following = plan.steps[index] if index < len(plan.steps) else None
    current = plan.steps[index - 1]
    what = carries(following.weight, following.mirror) if following else "promotion"
    if following and (following.weight, following.mirror) == (current.weight, current.mirror):
        what = f"step {following.name}"
    return f"{what} {_when(deployment, plan.steps[index - 1], now)}"


def _when(deployment: Deployment, current: PlanStep, now: float) -> str:
    """When a step ends: by whom and not before what time."""
    step = deployment.status.step
    assert step is not None
    due = step.advance_at is not None and step.advance_at > now
    at = moment(step.advance_at, now) if step.advance_at is not None and due else ""
    if (current.approval or step.inconclusive) and step.approval is None:
        return f"when approved, not before {at}" if at else "when approved"
    by = f" (approved by {step.approval.by})" if step.approval else ""
    if at:
        return f"about {at} if nothing speaks against it{by}"
    left = current.hold - step.covered.seconds
    return f"after {span(left)} more of covered time{by}" if left > 0 else f"when its metrics allow it{by}"
