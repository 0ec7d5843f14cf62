"""Traefik as the data plane: a host process that implements the Gateway API, and one Gateway for everybody."""

from dataclasses import dataclass
from pathlib import Path

from tests.cluster import stack
from tests.cluster.contract import GatewayInfo
from tests.cluster.local.component import Component, Task
from tests.cluster.local.control_plane import ControlPlane
from tests.cluster.local.daemon import Daemon
from tests.cluster.local.objects import Kubectl
from tests.cluster.local.plan import POD_CIDR, SERVICE_CIDR
from tests.cluster.local.probes import page


@dataclass(frozen=True)
class DataPlane:
    """Makes the components; `program` is traefik."""

    plane: ControlPlane
    kubectl: Kubectl
    program: Path

    def info(self) -> GatewayInfo:
        return GatewayInfo(
            url=f"http://{self._web}",
            class_name=stack.GATEWAY_CLASS,
            name=stack.GATEWAY_NAME,
            namespace=stack.GATEWAY_NAMESPACE,
            metrics_url=f"http://{self.internal}/metrics",
        )

    @property
    def internal(self) -> str:
        """host:port of ping and metrics."""
        return f"127.0.0.1:{self.plane.plan.ports['traefik']}"

    @property
    def _web(self) -> str:
        return f"127.0.0.1:{self.plane.plan.ports['gateway']}"

    def traefik(self) -> Component:
        places = self.plane.places
        argv: list[str | Path] = [self.program, *stack.traefik_arguments(self._web, self.internal)]
        env = {"KUBECONFIG": str(places.kubeconfig)}
        probe = page(f"http://{self.internal}/ping")
        return Daemon("traefik", argv, places.root, probe, env=env, no_proxy=(SERVICE_CIDR, POD_CIDR))

    def gateway(self) -> Task:
        return Task("gateway", do=self._apply, check=self._reason)

    def _apply(self) -> None:
        self.kubectl.apply([stack.namespace(stack.GATEWAY_NAMESPACE)])
        self.kubectl.apply(stack.gateway_objects(self.plane.plan.ports["gateway"]))

    def _reason(self) -> str:
        return self.kubectl.programmed(stack.GATEWAY_NAMESPACE, stack.GATEWAY_NAME)
