"""Names of Services: CoreDNS as a host process on the bridge, asked by all pods.

It knows the cluster's names alone and answers at once that there are no others, so no question leaves the machine.
"""

from pathlib import Path

from tests.cluster.local.component import Component
from tests.cluster.local.control_plane import ControlPlane
from tests.cluster.local.daemon import Daemon
from tests.cluster.local.plan import BRIDGE_ADDRESS, CLUSTER_DOMAIN
from tests.cluster.local.probes import page


def names(plane: ControlPlane, program: Path) -> Component:
    """`program` is coredns."""
    places, health = plane.places, f"127.0.0.1:{plane.plan.ports['names-health']}"
    config = places.config / "Corefile"
    text = f"""\
{CLUSTER_DOMAIN}:53 {{
    bind {BRIDGE_ADDRESS}
    errors
    ready {health}
    kubernetes {{
        kubeconfig {places.kubeconfig}
    }}
}}
.:53 {{
    bind {BRIDGE_ADDRESS}
    template ANY ANY {{
        rcode NXDOMAIN
    }}
}}
"""
    argv: list[str | Path] = [program, "-conf", config]
    return Daemon("coredns", argv, places.root, page(f"http://{health}/ready"), {config: text})
