"""Tells commands what became of them, and removes old ones.

What a command did is recorded in the ModelDeployment's status with its effect; here the same is written into the command, for
`kubectl get rolloutcommands`. Doing so twice, or after a crash, changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import itemgetter

from modelrollout.api.command import RolloutCommandStatus
from modelrollout.api.status import ModelDeploymentStatus
from modelrollout.kube.api import KubeApi
from modelrollout.kube.errors import Conflict, NotFound
from modelrollout.kube.kinds import ROLLOUT_COMMAND, Ref
from modelrollout.runtime.store import Store
from modelrollout.workload.identity import Owner

from .children import Children

KEPT = 50
"""Taken commands that are kept for each resource, as its audit log."""


@dataclass(frozen=True, slots=True)
class Answers:
    """Writes outcomes into commands."""

    api: KubeApi
    store: Store

    async def give(self, owner: Owner, status: ModelDeploymentStatus, children: Children) -> None:
        """Write what is recorded into each command that does not have it yet, then prune."""
        taken = {command.uid: command for command in status.commands}
        for name, entry in children.commands:
            command = taken.get(entry.view.uid)
            if command is None or entry.view.taken:
                continue
            answer = RolloutCommandStatus(outcome=command.outcome, at=command.at, message=command.message)
            ref = Ref(ROLLOUT_COMMAND, owner.namespace, name)
            try:
                raw = await self.api.replace_status(ref, answer.written(), resource_version=entry.resource_version)
            except Conflict:
                raw = await self.api.get(ref)
            except NotFound:
                self.store.missing(ROLLOUT_COMMAND.kind, (owner.namespace, name), entry.version)
                continue
            self.store.took(ROLLOUT_COMMAND.kind, raw)
        await self._prune(owner, children)

    async def _prune(self, owner: Owner, children: Children) -> None:
        done = [(entry.view.created, name, entry) for name, entry in children.commands if entry.view.taken]
        for _, name, entry in sorted(done, key=itemgetter(0, 1))[:-KEPT]:
            try:
                await self.api.delete(Ref(ROLLOUT_COMMAND, owner.namespace, name), uid=entry.uid)
            except (NotFound, Conflict):
                self.store.missing(ROLLOUT_COMMAND.kind, (owner.namespace, name), entry.version)
