"""The kwok flavor: a real API server whose nodes and pods are played.

Good for thousands of pods and for every life of a rollout that needs no traffic. Needs no root and no network of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.contract import ClusterInfo
from tests.cluster.local.component import Task, Waves
from tests.cluster.local.control_plane import ControlPlane
from tests.cluster.local.daemon import Daemon
from tests.cluster.local.kwok_stages import config
from tests.cluster.local.objects import Kubectl, default_account, definitions
from tests.cluster.local.probes import page

POD_ADDRESSES = "10.128.0.0/14"


@dataclass(frozen=True)
class KwokFlavor:
    """See `Parts`. Nothing of it touches the machine beyond its processes and files."""

    plane: ControlPlane
    kubectl: Kubectl
    built: Mapping[str, Path]

    def waves(self) -> Waves:
        plane = self.plane
        return (
            (plane.store(),),
            (plane.api_server(),),
            (
                plane.controller_manager(),
                plane.scheduler(),
                self._kwok(),
                definitions(self.kubectl, self.built["gateway-crds"] / "crds.yaml"),
            ),
            (Task("nodes", do=self._apply_nodes, check=lambda: self.kubectl.condition("nodes", "Ready")),),
            (default_account(self.kubectl),),
        )

    def describe(self, info: ClusterInfo) -> ClusterInfo:
        return info

    def check_machine(self) -> None:
        pass

    def remember(self) -> None:
        pass

    def clear(self) -> None:
        pass

    def load_image(self, image: str | Path) -> None:
        """Pods are played: no image is ever read."""

    def _kwok(self) -> Daemon:
        places, port = self.plane.places, self.plane.plan.ports["kwok"]
        stages = places.config / "kwok.yaml"
        argv: list[str | Path] = [
            self.built["kwok"] / "bin" / "kwok",
            f"--kubeconfig={places.kubeconfig}",
            f"--config={stages}",
            "--manage-all-nodes",
            "--node-lease-duration-seconds=40",
            f"--cidr={POD_ADDRESSES}",
            f"--server-address=127.0.0.1:{port}",
        ]
        return Daemon("kwok", argv, places.root, page(f"http://127.0.0.1:{port}/readyz"), {stages: config()})

    def _apply_nodes(self) -> None:
        count = self.plane.plan.options.nodes
        self.kubectl.apply(
            [
                {
                    "apiVersion": "v1",
                    "kind": "Node",
                    "metadata": {
                        "name": f"kwok-{number}",
                        "labels": {"kubernetes.io/hostname": f"kwok-{number}", "kubernetes.io/os": "linux"},
                    },
                }
                for number in range(count)
            ]
        )
