"""Commands on their way: create the RolloutCommand, then wait a little for what the operator says.

Creating it is the act; waiting only saves a second look. So a time-out is no failure of the command: it stays, an operator may
still take it, and the line that is printed names it.
"""

from __future__ import annotations

import asyncio

from modelrollout.api.command import Action, RolloutCommandStatus
from modelrollout.api.status import CommandOutcome
from modelrollout.kube.kinds import ROLLOUT_COMMAND, Ref
from modelrollout.rollout.plan import Plan
from modelrollout.rollout.words import carries

from .cluster import Cluster
from .deployment import Deployment, read
from .failures import ExitCode, Failure, Refused
from .follow import follow
from .orders import manifest, order
from .out import say
from .plans import Plans
from .words import spaced


async def ask(  # noqa: PLR0913  what a command line says
    cluster: Cluster,
    name: str,
    action: Action,
    *,
    reason: str | None,
    patience: float,
    variant: str | None = None,
) -> ExitCode:
    """Give one command and print its outcome. Raises Failure when it was refused or not taken within `patience` seconds."""
    deployment = await read(cluster, name)
    plan = await Plans(cluster).of(deployment) if action in (Action.APPROVE, Action.PROMOTE) else None
    asked = order(action, deployment, plan, variant)
    if asked.announcement:
        say(f"{deployment.name}: {asked.announcement}")
    created = await cluster.create(manifest(deployment, asked, by=await cluster.user(), reason=reason))
    command = Ref(ROLLOUT_COMMAND, deployment.namespace, str(created["metadata"]["name"]))
    answer = await _outcome(cluster, command, patience)
    if answer is None:
        raise Failure(
            f"{deployment.name}: {action} was not taken within {patience:g} s, so it is still open: "
            f"`kubectl -n {command.namespace} get rolloutcommand {command.name}`; is the operator running?",
            ExitCode.NOT_TAKEN,
        )
    message = spaced(answer.message) or f"{action} {str(answer.outcome).lower()}"
    if answer.outcome is CommandOutcome.REFUSED:
        raise Refused(f"{deployment.name}: refused: {message}")
    say(f"{deployment.name}: {message}{_then(deployment, plan) if action is Action.APPROVE else ''}")
    return ExitCode.DONE


async def _outcome(cluster: Cluster, command: Ref, patience: float) -> RolloutCommandStatus | None:
    try:
        async with asyncio.timeout(patience):
            async for item in follow(cluster, command):
                status = RolloutCommandStatus.model_validate(item.get("status") or {})
                if status.outcome is not None:
                    return status
    except TimeoutError:
        pass
    return None


def _then(deployment: Deployment, plan: Plan | None) -> str:
    """What an approved step gives way to."""
    index = deployment.status.step.index if deployment.status.step else 0
    if plan is None or index > len(plan.steps):
        return ""
    if index == len(plan.steps):
        return "; then promotion"
    return f"; then {carries(plan.steps[index].weight, plan.steps[index].mirror)}"
