"""The ControllerRevisions that status refers to: made before the status that names them, pruned when nothing does.

They are immutable and only ever created: a record that exists was made by whatever operator came first, and stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from modelrollout.api.errors import SpecError
from modelrollout.api.reasons import Reason
from modelrollout.api.status import ModelDeploymentStatus
from modelrollout.kube.api import KubeApi
from modelrollout.kube.apply import controller_of
from modelrollout.kube.errors import AlreadyExists, Conflict, Forbidden, Invalid, NotFound
from modelrollout.kube.kinds import CONTROLLER_REVISION, Ref
from modelrollout.rollout.revision import child_name
from modelrollout.rollout.situation import Problem
from modelrollout.runtime.store import Store
from modelrollout.workload.identity import Owner
from modelrollout.workload.records import PlanRecord, plan_name

from .children import Children
from .memory import Memory, Record
from .views import ResourceView


@dataclass(frozen=True, slots=True)
class Records:
    """Creates and prunes records."""

    api: KubeApi
    store: Store

    async def provide(
        self, owner: Owner, view: ResourceView, status: ModelDeploymentStatus, children: Children
    ) -> Problem | None:
        """Make the records that `status` is about to name. Raises `ApiError`; a foreign object is a Problem."""
        if isinstance(view.accepted, SpecError):
            return None
        accepted = view.accepted
        named = {entry.revision for entry in status.revisions}
        wanted = [
            record.manifest(owner)
            for record in accepted.records
            if record.revision in named - set(children.records) - set(children.deployments)
        ]
        plan = PlanRecord.of(accepted.plan)
        if status.plan == plan_name(owner.name, plan.digest) and status.plan not in children.plans:
            wanted.append(plan.manifest(owner))
        for manifest in wanted:
            if (problem := await self._create(owner, manifest)) is not None:
                return problem
        return None

    async def restore(
        self, owner: Owner, status: ModelDeploymentStatus, children: Children, memory: Memory
    ) -> list[Problem]:
        """Make again what somebody has deleted of the records that status refers to, as this process has seen them last."""
        present: dict[str, Record] = {record.name(owner): record for record in children.records.values()}
        present |= children.plans
        needed = {child_name(owner.name, revision) for revision in _referred(status)} | {status.plan or ""}
        lost = {name: record for name, record in memory.records.items() if name in needed and name not in present}
        memory.records = {name: record for name, record in present.items() if name in needed} | lost
        found = [await self._create(owner, record.manifest(owner)) for record in lost.values()]
        return [problem for problem in found if problem is not None]

    async def _create(self, owner: Owner, manifest: dict[str, Any]) -> Problem | None:
        try:
            raw = await self.api.create(manifest)
        except AlreadyExists:
            name = manifest["metadata"]["name"]
            raw = await self.api.get(Ref(CONTROLLER_REVISION, owner.namespace, name))
            if controller_of(raw) != owner.uid:
                text = f"ControllerRevision {name} exists and is not ours; it was left alone. Delete it, or use another name."
                return Problem(Reason.FOREIGN_OBJECT, text)
        except (Invalid, Forbidden) as error:
            text = f"The API server refused ControllerRevision {manifest['metadata']['name']}: {error.message}"
            return Problem(Reason.REFUSED_BY_SERVER, text)
        self.store.took(CONTROLLER_REVISION.kind, raw)
        return None

    async def prune(self, owner: Owner, status: ModelDeploymentStatus, children: Children) -> None:
        """Delete records that nothing refers to: not running, not in history (a way back), not rejected."""
        if status.under_way or not status.revisions:
            return
        kept = _referred(status)
        stale = [child_name(owner.name, revision) for revision in children.records if revision not in kept]
        stale += [name for name in children.plans if name != status.plan]
        for name in stale:
            entry = children.entry(CONTROLLER_REVISION, name)
            if entry is None:
                continue
            try:
                await self.api.delete(Ref(CONTROLLER_REVISION, owner.namespace, name), uid=entry.uid)
            except (NotFound, Conflict):
                self.store.missing(CONTROLLER_REVISION.kind, (owner.namespace, name), entry.version)


def _referred(status: ModelDeploymentStatus) -> set[str]:
    """The revisions that are running, in history (a way back), or rejected."""
    listed = (status.revisions, status.history, status.rejected)
    return {entry.revision for entries in listed for entry in entries}
