"""Envoy Gateway: its controller from its own chart, and one Gateway for everybody beside that of Traefik.

The controller makes the Deployment of Envoy itself, and Envoy finds the controller by its name; so this part needs pods, images
and names of Services.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster import stack
from tests.cluster.build.envoy import PROXY_TAG
from tests.cluster.commands import run
from tests.cluster.contract import GatewayInfo, without_proxy
from tests.cluster.local.component import Task
from tests.cluster.local.control_plane import ControlPlane
from tests.cluster.local.node import Node
from tests.cluster.local.objects import Kubectl, definitions

NAMESPACE = "envoy-gateway-system"
RELEASE = "envoy-gateway"
NAME = "envoy"
"""Of the Gateway, of its class and of the settings of its proxies."""
ADDRESS = "10.96.0.80"
"""Of Envoy's Service, in the range that the API server leaves to those who name an address. The host reaches it by kube-proxy."""
PORT = 80


@dataclass(frozen=True)
class EnvoyGateway:
    """Makes the components; `built` holds the folder of each artifact."""

    plane: ControlPlane
    kubectl: Kubectl
    node: Node
    built: Mapping[str, Path]

    def info(self) -> GatewayInfo:
        return GatewayInfo(f"http://{ADDRESS}:{PORT}", NAME, NAME, stack.GATEWAY_NAMESPACE)

    def definitions(self) -> Task:
        return definitions(self.kubectl, self.built["envoy-gateway-chart"] / "crds.yaml", "envoy-crds")

    def images(self) -> Task:
        def load() -> None:
            for name in ("envoy-gateway-image", "envoy-image"):
                self.node.load(self.built[name] / "image.tar")

        return Task("envoy-images", do=load)

    def controller(self) -> Task:
        def installed() -> str:
            return self.kubectl.condition("deployments", "Available", f"--namespace={NAMESPACE}")

        return Task("envoy-gateway", do=self._install, check=installed)

    def gateway(self) -> Task:
        return Task("envoy", do=self._apply, check=self._reason)

    def _install(self) -> None:
        # Without the injector the chart leaves Envoy waiting for what it would tell of zones, unless the controller knows, too.
        settings = {
            "crds.enabled": "false",
            "topologyInjector.enabled": "false",
            "config.envoyGateway.provider.kubernetes.proxyTopologyInjector.disabled": "true",
        }
        words: list[str | Path] = [
            self.built["helm"] / "bin" / "helm",
            "upgrade",
            "--install",
            RELEASE,
            self.built["envoy-gateway-chart"] / "chart",
            f"--kubeconfig={self.plane.places.kubeconfig}",
            f"--namespace={NAMESPACE}",
            "--create-namespace",
            *(f"--set={name}={value}" for name, value in settings.items()),
        ]
        run(words, env=without_proxy(dict(os.environ)), timeout=120)

    def _apply(self) -> None:
        self.kubectl.apply([stack.namespace(stack.GATEWAY_NAMESPACE), *gateway_objects()])

    def _reason(self) -> str:
        return self.kubectl.programmed(stack.GATEWAY_NAMESPACE, NAME) or self.kubectl.condition(
            "pods", "Ready", f"--namespace={NAMESPACE}", f"--selector=gateway.envoyproxy.io/owning-gateway-name={NAME}"
        )


def gateway_objects() -> list[dict[str, Any]]:
    """The class, what its proxies are, and a Gateway that takes routes from all namespaces; their namespace has to be there."""
    where = {"name": NAME, "namespace": stack.GATEWAY_NAMESPACE}
    service = {"type": "ClusterIP", "patch": {"type": "StrategicMerge", "value": {"spec": {"clusterIP": ADDRESS}}}}
    kubernetes = {"envoyDeployment": {"container": {"image": PROXY_TAG}}, "envoyService": service}
    proxy = {
        "apiVersion": "gateway.envoyproxy.io/v1alpha1",
        "kind": "EnvoyProxy",
        "metadata": where,
        "spec": {"provider": {"type": "Kubernetes", "kubernetes": kubernetes}},
    }
    reference = {"group": "gateway.envoyproxy.io", "kind": "EnvoyProxy", **where}
    made = stack.gateway_of(NAME, "gateway.envoyproxy.io/gatewayclass-controller", NAME, PORT, reference)
    return [proxy, *made]
