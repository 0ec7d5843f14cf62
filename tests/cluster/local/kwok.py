"""The kwok flavor: a real API server whose nodes and pods are played.

Good for thousands of pods and for every life of a rollout that needs no traffic. Needs no root and no network of its own.
"""

from dataclasses import dataclass
from pathlib import Path

from tests.cluster.local.component import Task, Waves
from tests.cluster.local.control_plane import ControlPlane
from tests.cluster.local.daemon import Daemon
from tests.cluster.local.kwok_stages import config
from tests.cluster.local.objects import Kubectl
from tests.cluster.local.probes import page

POD_ADDRESSES = "10.128.0.0/14"


@dataclass(frozen=True)
class KwokFlavor:
    """Makes the components; `program` is kwok, `crds` a file to apply."""

    plane: ControlPlane
    kubectl: Kubectl
    program: Path
    crds: Path

    def waves(self) -> Waves:
        plane = self.plane
        return (
            (plane.store(),),
            (plane.api_server(),),
            (
                plane.controller_manager(),
                plane.scheduler(),
                self._kwok(),
                objects("gateway-crds", self.kubectl, self.crds),
            ),
            (Task("nodes", do=self._apply_nodes, check=lambda: self.kubectl.condition("nodes", "Ready")),),
            (default_account(self.kubectl),),
        )

    def _kwok(self) -> Daemon:
        places, port = self.plane.places, self.plane.plan.ports["kwok"]
        stages = places.config / "kwok.yaml"
        argv = [
            self.program,
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


def objects(name: str, kubectl: Kubectl, file: Path) -> Task:
    """Definitions from a file, ready when the API server serves all of them."""
    return Task(
        name,
        do=lambda: kubectl.apply(file),
        check=lambda: kubectl.condition("customresourcedefinitions", "Established"),
    )


def default_account(kubectl: Kubectl) -> Task:
    """Without it no pod can be made in the namespace `default`, so a cluster is not up before it is there."""

    def check() -> str:
        names = kubectl("get", "serviceaccounts", "--namespace=default", "-o", "name").split()
        return "" if "serviceaccount/default" in names else "no service account `default` yet"

    return Task("default-account", check=check)
