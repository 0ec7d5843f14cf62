"""The plan of steps that a status speaks of: the accepted one from its record, else the one that the spec makes.

The record is read with the caller's rights. Whoever may not read it, or has an older or newer plugin than the operator, still
sees everything but maybe the list of steps.
"""

from __future__ import annotations

from pydantic import ValidationError

from modelrollout.api.errors import RecordError
from modelrollout.api.settings import Settings
from modelrollout.api.spec import ModelDeploymentSpec
from modelrollout.kube.errors import Forbidden, NotFound
from modelrollout.kube.kinds import CONTROLLER_REVISION, Ref
from modelrollout.rollout.plan import Plan, resolve
from modelrollout.traffic.ratio import reachable
from modelrollout.workload.records import PlanRecord

from .cluster import Cluster
from .deployment import Deployment


class Plans:
    """Plans by name of their record. Records never change, so each is read once in a long `--watch`."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._known: dict[str, Plan] = {}

    async def of(self, deployment: Deployment) -> Plan | None:
        """The plan in force, or None where it cannot be known."""
        name = deployment.status.plan
        if name is None:
            return planned(deployment)
        if name not in self._known:
            recorded = await self._read(Ref(CONTROLLER_REVISION, deployment.namespace, name))
            if recorded is None:
                return planned(deployment)
            self._known[name] = recorded
        return self._known[name]

    async def _read(self, ref: Ref) -> Plan | None:
        try:
            return PlanRecord.parse(await self._cluster.get(ref)).plan(Settings())
        except (NotFound, Forbidden, RecordError):
            return None


def planned(deployment: Deployment) -> Plan | None:
    """The plan that the spec makes, or None for an invalid one."""
    try:
        return reachable(resolve(ModelDeploymentSpec.model_validate(dict(deployment.spec)), Settings()))
    except ValidationError:
        return None
