"""A cluster that somebody else made: taken from the environment, never created, changed or removed.

| variable | meaning | default |
|---|---|---|
| `KUBECONFIG` | administrator's kubeconfig (one file) | `~/.kube/config` |
| `MODELROLLOUT_GATEWAY` | `namespace/name` of a Gateway that takes routes from all namespaces | none: no gateway |
| `MODELROLLOUT_GATEWAY_URL` | where its listener is reached from here | needed with a gateway |
| `MODELROLLOUT_GATEWAY_METRICS_URL` | the data plane's metrics page | none |
| `MODELROLLOUT_PROMETHEUS_URL` | a Prometheus that scrapes annotated pods, as reached from here | none |
| `MODELROLLOUT_PROMETHEUS_POD_URL` | the same as reached from pods | the one above |
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.contract import (
    ClusterError,
    ClusterInfo,
    ClusterStatus,
    ComponentStatus,
    Flavor,
    GatewayInfo,
    PrometheusInfo,
    Provider,
    State,
)
from tests.cluster.local.objects import Kubectl

GATEWAY = "MODELROLLOUT_GATEWAY"
GATEWAY_URL = "MODELROLLOUT_GATEWAY_URL"
GATEWAY_METRICS_URL = "MODELROLLOUT_GATEWAY_METRICS_URL"
PROMETHEUS_URL = "MODELROLLOUT_PROMETHEUS_URL"
PROMETHEUS_POD_URL = "MODELROLLOUT_PROMETHEUS_POD_URL"


@dataclass
class ExistingCluster:
    """See `Cluster`."""

    name: str = "existing"

    def build(self) -> None:
        """Nothing is built for it."""

    def up(self) -> ClusterInfo:
        info = self._info()
        reason = self._reason(info)
        if reason:
            raise ClusterError(f"the cluster of {info.kubeconfig} is not usable: {reason}")
        return info

    def down(self) -> None:
        """It is not ours to remove."""

    def status(self) -> ClusterStatus:
        info = self._info()
        reason = self._reason(info)
        part = ComponentStatus("nodes", not reason, reason)
        return ClusterStatus(self.name, State.DEGRADED if reason else State.RUNNING, (part,), info)

    def load_image(self, image: str | Path) -> None:
        """A tag is taken as one that the nodes can pull; an archive cannot be brought to them from here."""
        if Path(image).is_file():
            raise ClusterError(f"push {image} to a registry that the nodes of the cluster reach, and use its tag")

    def _info(self) -> ClusterInfo:
        kubeconfig = Path(os.environ.get("KUBECONFIG") or Path.home() / ".kube" / "config")
        if not kubeconfig.is_file():
            raise ClusterError(f"no kubeconfig at {kubeconfig}; set KUBECONFIG to one file")
        kubectl = _tool("kubectl")
        return ClusterInfo(
            name=self.name,
            provider=Provider.EXISTING,
            flavor=Flavor.PODS,
            server=Kubectl(kubectl, kubeconfig)(
                "config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}"
            ),
            kubeconfig=kubeconfig,
            kubectl=kubectl,
            helm=_tool("helm"),
            gateway=_gateway(Kubectl(kubectl, kubeconfig)),
            prometheus=_prometheus(),
        )

    @staticmethod
    def _reason(info: ClusterInfo) -> str:
        return Kubectl(info.kubectl, info.kubeconfig).condition("nodes", "Ready")


def _gateway(kubectl: Kubectl) -> GatewayInfo | None:
    named = os.environ.get(GATEWAY)
    if not named:
        return None
    where, _, name = named.partition("/")
    url = os.environ.get(GATEWAY_URL)
    if not name or not url:
        raise ClusterError(f"{GATEWAY}={named!r} should be namespace/name, and {GATEWAY_URL} say where it is reached")
    class_name = kubectl("get", "gateway", name, "-n", where, "-o", "jsonpath={.spec.gatewayClassName}")
    return GatewayInfo(url.rstrip("/"), class_name, name, where, os.environ.get(GATEWAY_METRICS_URL))


def _prometheus() -> PrometheusInfo | None:
    url = os.environ.get(PROMETHEUS_URL, "").rstrip("/")
    return PrometheusInfo(url, os.environ.get(PROMETHEUS_POD_URL, url).rstrip("/")) if url else None


def _tool(name: str) -> Path:
    found = shutil.which(name)
    if not found:
        raise ClusterError(f"there is no `{name}` on PATH")
    return Path(found)
