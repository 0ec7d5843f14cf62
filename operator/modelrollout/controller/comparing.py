"""The comparer of a rollout in the cluster: made while a step that compares is under way or ahead, removed once no copy reaches it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from modelrollout.api.reasons import Reason
from modelrollout.api.settings import ComparerSettings
from modelrollout.api.shadow import Shadow
from modelrollout.api.status import ModelDeploymentStatus, Role
from modelrollout.kube.api import KubeApi
from modelrollout.kube.apply import controller_of
from modelrollout.kube.errors import Conflict, NotFound
from modelrollout.kube.kinds import DEPLOYMENT, POD_MONITOR, ref_of
from modelrollout.rollout.mirroring import compares_ahead
from modelrollout.rollout.plan import Plan
from modelrollout.rollout.situation import Problem
from modelrollout.workload.comparer import comparer_deployment, comparer_monitor, comparer_name, comparer_service
from modelrollout.workload.identity import Owner

from .children import Children
from .kinds import ServedKinds


@dataclass(frozen=True, slots=True)
class Comparer:
    """What is compared: for which candidate, against which stable revision, and how."""

    owner: Owner
    settings: ComparerSettings
    shadow: Shadow
    candidate: str
    stable: str

    @classmethod
    def of(cls, owner: Owner, settings: ComparerSettings, plan: Plan, status: ModelDeploymentStatus) -> Comparer | None:
        """The comparer that a rollout needs; None where it needs none."""
        shadow = compares_ahead(plan, status)
        if shadow is None:
            return None
        by_role = {entry.role: entry.revision for entry in status.revisions}
        return cls(owner, settings, shadow, by_role[Role.CANDIDATE], by_role[Role.STABLE])

    @property
    def problem(self) -> Problem | None:
        """Why it cannot be made."""
        if self.settings.image is not None:
            return None
        text = "The administrator has set up no image for the comparer (comparer.image in the operator's settings); set it, or leave out shadow.compare."
        return Problem(Reason.COMPARER_UNREADY, text)

    def manifests(self) -> Iterator[dict[str, Any]]:
        """Its Service and Deployment. There is no `problem`."""
        yield comparer_service(self.owner, self.candidate)
        yield comparer_deployment(self.owner, self.settings, self.shadow, self.candidate, self.stable)

    def monitor(self) -> dict[str, Any]:
        """Its PodMonitor."""
        return comparer_monitor(self.owner)


async def unmonitor(api: KubeApi, served: ServedKinds, owner: Owner) -> None:
    """Remove the PodMonitor, if it is ours. Raises `ApiError`."""
    if not await served.has(POD_MONITOR):
        return
    manifest = comparer_monitor(owner)
    served.forget(manifest)
    ref = ref_of(manifest)
    with suppress(NotFound, Conflict):
        if controller_of(await api.get(ref)) == owner.uid:
            await api.delete(ref)


def is_compared(children: Children, candidate: str) -> bool:
    """Whether a comparer for this very candidate is ready."""
    found = children.entry(DEPLOYMENT, comparer_name(children.name))
    return found is not None and found.view.compares == candidate and found.view.ready > 0
