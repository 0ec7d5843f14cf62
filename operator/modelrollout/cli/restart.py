"""`restart`: new pods for the versions that serve, without a rollout.

As `kubectl rollout restart` does it: an annotation of the pod template makes the Deployment replace its pods within its own
limits. It is written with the rights of the person who asks, and the operator leaves it alone (it belongs to nobody else's
fields, and is no part of a revision).
"""

from __future__ import annotations

from datetime import UTC, datetime

from modelrollout.kube.errors import NotFound
from modelrollout.kube.kinds import DEPLOYMENT, Ref
from modelrollout.rollout.revision import child_name

from .cluster import Cluster
from .deployment import read
from .failures import ExitCode, Failure, Refused
from .out import say

ANNOTATION = "kubectl.kubernetes.io/restartedAt"


async def restart(cluster: Cluster, name: str, now: float) -> ExitCode:
    """Restart the pods of every revision that has traffic."""
    deployment = await read(cluster, name)
    serving = [found for found in deployment.status.revisions if found.weight]
    if not serving:
        raise Refused(f"{deployment.name}: nothing to restart: no version has traffic")
    moment = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    patch = {"spec": {"template": {"metadata": {"annotations": {ANNOTATION: moment}}}}}
    for found in serving:
        child = child_name(deployment.name, found.revision)
        try:
            await cluster.patch(Ref(DEPLOYMENT, deployment.namespace, child), patch)
        except NotFound as error:
            raise Failure(
                f'{deployment.name}: Deployment "{child}" of version {found.version} does not exist'
            ) from error
        say(f"deployment.apps/{child} restarted (version {found.version}, {found.weight.percent} % of traffic)")
    return ExitCode.DONE
