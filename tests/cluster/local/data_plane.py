"""Traefik as the data plane: a host process that implements the Gateway API, and one Gateway for everybody."""

from dataclasses import dataclass
from pathlib import Path

from tests.cluster.contract import GatewayInfo
from tests.cluster.local.component import Component, Task
from tests.cluster.local.control_plane import ControlPlane
from tests.cluster.local.daemon import Daemon
from tests.cluster.local.objects import Kubectl
from tests.cluster.local.plan import POD_CIDR, SERVICE_CIDR
from tests.cluster.local.probes import page

CLASS, CONTROLLER = "traefik", "traefik.io/gateway-controller"
NAMESPACE, GATEWAY = "gateways", "public"
# Seconds; dense where a model's latency limits usually lie.
BUCKETS = "0.005,0.01,0.02,0.03,0.05,0.075,0.1,0.15,0.2,0.25,0.3,0.4,0.5,0.75,1,1.5,2,3,5,10"


@dataclass(frozen=True)
class DataPlane:
    """Makes the components; `program` is traefik."""

    plane: ControlPlane
    kubectl: Kubectl
    program: Path

    def info(self) -> GatewayInfo:
        ports = self.plane.plan.ports
        return GatewayInfo(
            url=f"http://127.0.0.1:{ports['gateway']}",
            class_name=CLASS,
            name=GATEWAY,
            namespace=NAMESPACE,
            metrics_url=f"http://127.0.0.1:{ports['traefik']}/metrics",
        )

    def traefik(self) -> Component:
        ports = self.plane.plan.ports
        argv = [
            self.program,
            # A listener of a Gateway is served by the entry point with the same port.
            f"--entryPoints.web.address=127.0.0.1:{ports['gateway']}",
            f"--entryPoints.internal.address=127.0.0.1:{ports['traefik']}",
            "--providers.kubernetesGateway",
            "--ping",
            "--ping.entryPoint=internal",
            "--metrics.prometheus",
            "--metrics.prometheus.entryPoint=internal",
            "--metrics.prometheus.addServicesLabels",
            f"--metrics.prometheus.buckets={BUCKETS}",
            "--global.checkNewVersion=false",
            "--global.sendAnonymousUsage=false",
            "--log.level=INFO",
        ]
        places = self.plane.places
        env = {"KUBECONFIG": str(places.kubeconfig)}
        probe = page(f"http://127.0.0.1:{ports['traefik']}/ping")
        return Daemon("traefik", argv, places.root, probe, env=env, no_proxy=(SERVICE_CIDR, POD_CIDR))

    def gateway(self) -> Task:
        return Task("gateway", do=self._apply, check=self._reason)

    def _apply(self) -> None:
        group = "gateway.networking.k8s.io/v1"
        listener = {
            "name": "http",
            "protocol": "HTTP",
            "port": self.plane.plan.ports["gateway"],
            "allowedRoutes": {"namespaces": {"from": "All"}},
        }
        self.kubectl.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}])
        self.kubectl.apply(
            [
                {
                    "apiVersion": group,
                    "kind": "GatewayClass",
                    "metadata": {"name": CLASS},
                    "spec": {"controllerName": CONTROLLER},
                },
                {
                    "apiVersion": group,
                    "kind": "Gateway",
                    "metadata": {"name": GATEWAY, "namespace": NAMESPACE},
                    "spec": {"gatewayClassName": CLASS, "listeners": [listener]},
                },
            ]
        )

    def _reason(self) -> str:
        return self.kubectl.condition("gateways", "Programmed", f"--namespace={NAMESPACE}")
