"""What one local cluster is to be: its flavor, its ports, its options. Made once by `up`, kept until `down`.

Every flavor prefers ports of its own, so that both run side by side; a port that something else holds is replaced by a
free one. Programs that live in the cluster for long learn the ports from ClusterInfo, never from here.
"""

import json
import socket
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.cluster.contract import Flavor
from tests.cluster.local.daemon import write_atomically

SERVICE_CIDR = "10.96.0.0/16"
SERVICE_API = "10.96.0.1"
POD_CIDR = "10.244.0.0/24"
BRIDGE_ADDRESS = "10.244.0.1"
CLUSTER_DOMAIN = "cluster.local"
NODE_NAME = "modelrollout-node"

CONTROL_PLANE_PORTS = ("api", "etcd", "etcd-peer", "controller-manager", "scheduler")
PREFERRED: dict[Flavor, dict[str, int]] = {
    Flavor.PODS: {
        "api": 6443,
        "etcd": 12379,
        "etcd-peer": 12380,
        "controller-manager": 10257,
        "scheduler": 10259,
        "kubelet": 10250,
        "kubelet-health": 10248,
        "proxy-health": 10256,
        "proxy-metrics": 10249,
        "gateway": 18080,
        "traefik": 18081,
        "prometheus": 19090,
        "names-health": 18082,
    },
    Flavor.KWOK: {
        "api": 16443,
        "etcd": 22379,
        "etcd-peer": 22380,
        "controller-manager": 20257,
        "scheduler": 20259,
        "kwok": 20247,
    },
}


@dataclass(frozen=True)
class Options:
    """What a caller may choose.

    Prometheus' scrape interval (pods), the number of nodes (kwok), and whether Envoy Gateway runs beside Traefik and pods
    resolve names of Services (pods).
    """

    scrape_interval: str = "1s"
    nodes: int = 5
    envoy: bool = False


@dataclass(frozen=True)
class Plan:
    """The choices of one cluster."""

    flavor: Flavor
    ports: dict[str, int]
    options: Options = field(default_factory=Options)

    @classmethod
    def fresh(cls, flavor: Flavor, options: Options) -> "Plan":
        """A new plan with ports that are free now."""
        return cls(flavor, choose_ports(PREFERRED[flavor]), options)

    @classmethod
    def load(cls, path: Path) -> "Plan | None":
        """The plan of the cluster that is there; None when there is none or its file is broken."""
        try:
            data = json.loads(path.read_text())
            return cls(Flavor(data["flavor"]), data["ports"], Options(**data["options"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def save(self, path: Path) -> None:
        write_atomically(path, json.dumps(asdict(self), indent=2))

    @property
    def server(self) -> str:
        return f"https://127.0.0.1:{self.ports['api']}"


def choose_ports(preferred: dict[str, int]) -> dict[str, int]:
    """Each preferred port if it is free, another free one otherwise; all different."""
    chosen: dict[str, int] = {}
    for name, port in preferred.items():
        while not is_free(port) or port in chosen.values():
            port = _any_free_port()  # noqa: PLW2901 - the loop looks for another port for the same name
        chosen[name] = port
    return chosen


def is_free(port: int) -> bool:
    """Whether a TCP port can be bound on all addresses now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))
        except OSError:
            return False
    return True


def _any_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
