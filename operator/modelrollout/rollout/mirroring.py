"""What a recorded rollout mirrors now, and what it is going to mirror: the questions of those who build routes and comparers."""

from __future__ import annotations

from modelrollout.api.shadow import Shadow
from modelrollout.api.status import Mode, ModelDeploymentStatus, RevisionStatus, Role

from .plan import Plan, PlanStep


def mirrored(plan: Plan, status: ModelDeploymentStatus) -> tuple[str, Shadow] | None:
    """The revision that gets copies, and of which requests; None while none does. The share is the recorded one."""
    candidate, step = _candidate(status), _step(plan, status)
    if candidate is None or not candidate.mirror or step is None or step.shadow is None:
        return None
    return candidate.revision, step.shadow.model_copy(update={"percent": candidate.mirror})


def mirrors_next(plan: Plan, status: ModelDeploymentStatus) -> tuple[Shadow, ...]:
    """The copies that the step under way and the one after it ask for."""
    return tuple(step.shadow for step in _ahead(plan, status)[:2] if step.shadow is not None)


def compares_ahead(plan: Plan, status: ModelDeploymentStatus) -> Shadow | None:
    """The next copies whose answers are compared, those of the step under way included; None where there are none any more."""
    shadows = (step.shadow for step in _ahead(plan, status))
    return next((shadow for shadow in shadows if shadow is not None and shadow.compare is not None), None)


def _ahead(plan: Plan, status: ModelDeploymentStatus) -> tuple[PlanStep, ...]:
    """The step under way and all after it; none where a candidate gets its traffic without steps, or there is no stable."""
    rollout, candidate = status.rollout, _candidate(status)
    if rollout is None or candidate is None or rollout.mode is not Mode.STEPS:
        return ()
    if not any(entry.role is Role.STABLE for entry in status.revisions):
        return ()
    step = _step(plan, status)
    return plan.steps if step is None else plan.steps[plan.steps.index(step) :]


def _step(plan: Plan, status: ModelDeploymentStatus) -> PlanStep | None:
    recorded = status.step
    if recorded is None or not recorded.index:
        return None
    return next((step for step in plan.steps if step.name == recorded.name), None)


def _candidate(status: ModelDeploymentStatus) -> RevisionStatus | None:
    return next((entry for entry in status.revisions if entry.role is Role.CANDIDATE), None)
