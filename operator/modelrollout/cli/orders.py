"""What a command asks for, made from the state that the person saw.

Each command is bound to a revision (and `approve` to a step), so that a command that arrives late cannot hit something else than
was meant. What cannot make sense is refused here, in words; everything else is for the operator to decide. Pure: a
`Deployment` in, an `Order` out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from modelrollout.api.command import Action
from modelrollout.api.status import DesiredState, HistoryEntry, Outcome
from modelrollout.kube.kinds import MODEL_DEPLOYMENT, OWNER_LABEL, ROLLOUT_COMMAND
from modelrollout.rollout.plan import Plan

from .deployment import Deployment
from .failures import Refused
from .trials import Order, in_test, serving
from .words import percent


def order(action: Action, deployment: Deployment, plan: Plan | None = None, variant: str | None = None) -> Order:
    """Bind an action to the state. Raises Refused when there is nothing that it could be for.

    `variant`: of an A/B test, the one that is meant.
    """
    if deployment.status.experiment is not None:
        return in_test(action, deployment, variant)
    if variant is not None:
        raise Refused(
            f"{deployment.name}: there is no variant {variant}: no A/B test is under way ({serving(deployment)})"
        )
    return _promote(deployment, plan) if action is Action.PROMOTE else _ORDERS[action](deployment)


def manifest(deployment: Deployment, asked: Order, *, by: str, reason: str | None) -> dict[str, Any]:
    """The RolloutCommand to create. It belongs to its target, and goes with it."""
    spec = {
        "target": deployment.name,
        "action": str(asked.action),
        "revision": asked.revision,
        "step": asked.step,
        "by": by[:253] or None,
        "reason": reason,
    }
    owner = {
        "apiVersion": MODEL_DEPLOYMENT.api_version,
        "kind": MODEL_DEPLOYMENT.kind,
        "name": deployment.name,
        "uid": deployment.uid,
        "controller": False,
        "blockOwnerDeletion": False,
    }
    return {
        "apiVersion": ROLLOUT_COMMAND.api_version,
        "kind": ROLLOUT_COMMAND.kind,
        "metadata": {
            "generateName": f"{deployment.name}-",
            "namespace": deployment.namespace,
            "labels": {OWNER_LABEL: deployment.name},
            "ownerReferences": [owner],
        },
        "spec": {name: value for name, value in spec.items() if value is not None},
    }


def _candidate(deployment: Deployment, verb: str) -> str:
    if deployment.status.rollout is None:
        raise Refused(f"{deployment.name}: nothing to {verb}: no rollout is under way ({serving(deployment)})")
    return deployment.status.rollout.revision


def _version(deployment: Deployment, revision: str) -> str:
    found = deployment.revision(revision)
    return found.version if found else revision


def _approve(deployment: Deployment) -> Order:
    revision = _candidate(deployment, "approve")
    step = deployment.status.step
    if step is None or step.index == 0:
        raise Refused(
            f"{deployment.name}: nothing to approve yet: no step has begun, version {_version(deployment, revision)} is "
            f"{(deployment.status.phase or 'pending').lower()}"
        )
    return Order(Action.APPROVE, revision, step.name)


def _pause(deployment: Deployment) -> Order:
    return Order(Action.PAUSE, _candidate(deployment, "pause"))


def _resume(deployment: Deployment) -> Order:
    return Order(Action.RESUME, _candidate(deployment, "resume"))


def _abort(deployment: Deployment) -> Order:
    revision = _candidate(deployment, "abort")
    candidate, stable = deployment.candidate, deployment.stable
    share = (
        f"its {percent(candidate.weight)} of traffic goes" if candidate and candidate.weight else "all traffic stays"
    )
    back = f"with version {stable.version}" if stable else "nowhere"
    if candidate and candidate.weight and stable:
        back = f"to version {stable.version} at once"
    return Order(
        Action.ABORT,
        revision,
        announcement=f"taking version {_version(deployment, revision)} back: {share} {back}; it stays rejected until it is retried",
    )


def _retry(deployment: Deployment) -> Order:
    status = deployment.status
    if status.rollout is not None and status.rollout.blocked is not None:
        return Order(Action.RETRY, status.rollout.revision)
    if status.desired is None or status.desired.revision is None:
        raise Refused(f"{deployment.name}: nothing to retry: {status.message or serving(deployment)}")
    if status.desired.state is not DesiredState.REJECTED:
        raise Refused(
            f"{deployment.name}: nothing to retry: version {status.desired.version}, which the spec asks for, was not taken back"
            f"{_other_rejections(deployment)}"
        )
    return Order(Action.RETRY, status.desired.revision)


def _other_rejections(deployment: Deployment) -> str:
    versions = [entry.version for entry in deployment.status.rejected]
    return f" (version {versions[-1]} was: apply it again first)" if versions else ""


def _promote(deployment: Deployment, plan: Plan | None) -> Order:
    revision = _candidate(deployment, "promote")
    index = deployment.status.step.index if deployment.status.step else 0
    left = [step.name for step in plan.steps[index:]] if plan else []
    skipped = f"; skipped: {', '.join(left)}" if left else ""
    return Order(
        Action.PROMOTE,
        revision,
        announcement=f"promoting version {_version(deployment, revision)}: all traffic as soon as all its pods are ready{skipped}",
    )


def _undo(deployment: Deployment) -> Order:
    stable = deployment.stable
    if deployment.status.rollout is not None:
        raise Refused(
            f"{deployment.name}: a rollout is under way: `kubectl modelrollout abort {deployment.name}` takes it back"
        )
    before = _before(deployment)
    if stable is None or before is None:
        raise Refused(
            f"{deployment.name}: nothing to undo: there is no earlier version to go back to ({serving(deployment)})"
        )
    warm = deployment.former is not None and deployment.former.revision == before.revision
    how = "its pods are still warm" if warm else "its pods start first"
    return Order(
        Action.UNDO,
        stable.revision,
        announcement=f"going back from version {stable.version} to version {before.version} ({how}); "
        f"version {stable.version} stays rejected until it is retried",
    )


def _before(deployment: Deployment) -> HistoryEntry | None:
    """The version that was stable before, as the operator finds it: promoted once and not taken back since."""
    stable = deployment.stable.revision if deployment.stable else ""
    rejected = {entry.revision for entry in deployment.status.rejected}
    promoted = (entry for entry in reversed(deployment.status.history) if entry.outcome is Outcome.PROMOTED)
    return next((entry for entry in promoted if entry.revision not in rejected | {stable}), None)


_ORDERS: dict[Action, Callable[[Deployment], Order]] = {
    Action.APPROVE: _approve,
    Action.PAUSE: _pause,
    Action.RESUME: _resume,
    Action.ABORT: _abort,
    Action.RETRY: _retry,
    Action.UNDO: _undo,
}
