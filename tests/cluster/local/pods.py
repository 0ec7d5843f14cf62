"""The pods flavor: one real node, a real data plane, a real Prometheus. Needs root."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from tests.cluster.contract import ClusterInfo
from tests.cluster.local.component import Task, Waves
from tests.cluster.local.control_plane import ControlPlane
from tests.cluster.local.data_plane import DataPlane
from tests.cluster.local.envoy import EnvoyGateway
from tests.cluster.local.host import Host
from tests.cluster.local.monitoring import Monitoring
from tests.cluster.local.names import names
from tests.cluster.local.node import Node
from tests.cluster.local.objects import Kubectl, default_account, definitions
from tests.cluster.local.plan import POD_CIDR


@dataclass(frozen=True)
class PodsFlavor:
    """See `Parts`."""

    plane: ControlPlane
    kubectl: Kubectl
    built: Mapping[str, Path]

    def waves(self) -> Waves:
        plane, host, node, data_plane = self.plane, self._host, self._node, self._data_plane
        return (
            (host.network(), host.cgroups()),
            (plane.store(), node.containerd()),
            (plane.api_server(), node.pause(self.built["pause-image"] / "image.tar")),
            (
                plane.controller_manager(),
                plane.scheduler(),
                definitions(self.kubectl, self.built["gateway-crds"] / "crds.yaml"),
                node.kubelet(),
                self._monitoring.prometheus(),
            ),
            (Task("node", check=lambda: self.kubectl.condition("nodes", "Ready")), default_account(self.kubectl)),
            (node.proxy(), data_plane.traefik(), data_plane.gateway()),
            *self._envoy_waves(),
        )

    def _envoy_waves(self) -> Waves:
        if not self._with_envoy:
            return ()
        envoy = self._envoy
        return (
            (names(self.plane, self.built["coredns"] / "bin" / "coredns"), envoy.definitions(), envoy.images()),
            (envoy.controller(),),
            (envoy.gateway(),),
        )

    def describe(self, info: ClusterInfo) -> ClusterInfo:
        return replace(
            info,
            gateway=self._data_plane.info(),
            envoy=self._envoy.info() if self._with_envoy else None,
            prometheus=self._monitoring.info(),
            pod_cidr=POD_CIDR,
        )

    def check_machine(self) -> None:
        self._host.check_free()

    def remember(self) -> None:
        self._host.remember()

    def clear(self) -> None:
        self._host.clear()

    def load_image(self, image: str | Path) -> None:
        self._node.load(Path(image))

    @property
    def _host(self) -> Host:
        return Host(self.plane.places)

    @property
    def _node(self) -> Node:
        return Node(self.plane, self._host)

    @property
    def _data_plane(self) -> DataPlane:
        return DataPlane(self.plane, self.kubectl, self.built["traefik"] / "bin" / "traefik")

    @property
    def _with_envoy(self) -> bool:
        return self.plane.plan.options.envoy

    @property
    def _envoy(self) -> EnvoyGateway:
        return EnvoyGateway(self.plane, self.kubectl, self._node, self.built)

    @property
    def _monitoring(self) -> Monitoring:
        program = self.built["prometheus"] / "bin" / "prometheus"
        return Monitoring(self.plane, program, self._data_plane.internal)
