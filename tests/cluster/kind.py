"""kind: the same contract on a machine with Docker.

A thin adapter: `kind create cluster` with two mapped ports, then the same Gateway API definitions, Traefik and Prometheus as
on the local cluster, as ordinary manifests with images from their registries. Both data planes therefore answer on the host
at an address of ClusterInfo, and tests see no difference.

What was tried of it, plainly: the manifests against a real API server (server-side dry run) and the commands against a stand-in
for the program `kind`. It has not been run with a Docker engine, for want of one where it was written.
"""

import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from tests.cluster.build.programs import gateway_crds, helm, kubernetes
from tests.cluster.commands import CommandError, run
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
    read_info,
)
from tests.cluster.kind_manifests import (
    GATEWAY_NODE_PORT,
    METRICS_NODE_PORT,
    PROMETHEUS_NODE_PORT,
    PROMETHEUS_POD_URL,
    manifests,
)
from tests.cluster.local.daemon import write_atomically
from tests.cluster.local.objects import Kubectl
from tests.cluster.local.plan import Options, choose_ports
from tests.cluster.locks import exclusive
from tests.cluster.places import ClusterPlaces
from tests.cluster.progress import Steps, default_steps
from tests.cluster.stack import GATEWAY_CLASS, GATEWAY_NAME, GATEWAY_NAMESPACE

# Which Kubernetes runs: a node image of kind, by default the one that the installed kind was released with.
IMAGE_VARIABLE = "MODELROLLOUT_KIND_IMAGE"
NODE_PORTS = {"gateway": GATEWAY_NODE_PORT, "metrics": METRICS_NODE_PORT, "prometheus": PROMETHEUS_NODE_PORT}
PREFERRED = {"gateway": 18080, "metrics": 18081, "prometheus": 19090}
POD_CIDR = "10.244.0.0/16"


@dataclass
class KindCluster:
    """See `Cluster`."""

    name: str = "modelrollout"
    options: Options = field(default_factory=Options)
    steps: Steps = field(default_factory=default_steps)

    @property
    def places(self) -> ClusterPlaces:
        return ClusterPlaces.of(f"kind-{self.name}")

    def build(self) -> None:
        gateway_crds().provide(self.steps)
        self._tool("kubectl")
        self._tool("helm")

    def up(self) -> ClusterInfo:
        _require_kind()
        with exclusive(self.places.lock):
            info = read_info(self.places.info)
            if info and self._exists() and not self._reasons(Kubectl(info.kubectl, info.kubeconfig)):
                return info
            self._remove()
            return self._make()

    def down(self) -> None:
        with exclusive(self.places.lock):
            self._remove()

    def status(self) -> ClusterStatus:
        info = read_info(self.places.info)
        if info is None or not self._exists():
            return ClusterStatus(self.name, State.DOWN)
        reasons = self._reasons(Kubectl(info.kubectl, info.kubeconfig))
        parts = tuple(ComponentStatus(name, False, reason) for name, reason in reasons.items())
        return ClusterStatus(self.name, State.DEGRADED if parts else State.RUNNING, parts, info)

    def load_image(self, image: str | Path) -> None:
        """Load a docker-archive, or a tag of the Docker engine."""
        what = ["image-archive", image] if Path(image).is_file() else ["docker-image", image]
        run(["kind", "load", *what, "--name", self.name], timeout=600)

    def _make(self) -> ClusterInfo:
        crds = gateway_crds().provide(self.steps) / "crds.yaml"
        kubectl_program, helm_program = self._tool("kubectl"), self._tool("helm")
        self.places.make()
        ports = choose_ports(PREFERRED)
        image = os.environ.get(IMAGE_VARIABLE)
        words: list[str | Path] = [
            "--name",
            self.name,
            "--kubeconfig",
            self.places.kubeconfig,
            "--wait=120s",
            "--config=-",
        ]
        log = self.places.logs / "kind.log"
        try:
            with self.steps.step("Create the kind cluster", expected=90, log=log):
                chosen = ["--image", image] if image else []
                run(["kind", "create", "cluster", *words, *chosen], log=log, stdin=json.dumps(config(ports)))
            kubectl = Kubectl(kubectl_program, self.places.kubeconfig)
            with self.steps.step("Install Gateway API, Traefik and Prometheus", expected=60):
                self._install(kubectl, crds)
        except BaseException:
            self._remove()
            raise
        info = self._info(ports, kubectl_program, helm_program)
        write_atomically(self.places.info, info.to_json())
        return info

    def _install(self, kubectl: Kubectl, crds: Path) -> None:
        kubectl.apply(crds)
        kubectl("wait", "crd", "--all", "--for=condition=Established", "--timeout=60s", timeout=70)
        for wave in manifests(self.options.scrape_interval):
            kubectl.apply(wave)
        for where, name in ((GATEWAY_NAMESPACE, "traefik"), ("monitoring", "prometheus")):
            kubectl("rollout", "status", f"deployment/{name}", "-n", where, "--timeout=300s", timeout=310)
        gateway = f"gateway/{GATEWAY_NAME}"
        kubectl("wait", gateway, "-n", GATEWAY_NAMESPACE, "--for=condition=Programmed", "--timeout=60s", timeout=70)

    def _info(self, ports: dict[str, int], kubectl: Path, helm_program: Path) -> ClusterInfo:
        server = Kubectl(kubectl, self.places.kubeconfig)(
            "config", "view", "-o", "jsonpath={.clusters[0].cluster.server}"
        )
        local = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
        gateway = GatewayInfo(
            local["gateway"], GATEWAY_CLASS, GATEWAY_NAME, GATEWAY_NAMESPACE, f"{local['metrics']}/metrics"
        )
        return ClusterInfo(
            name=self.name,
            provider=Provider.KIND,
            flavor=Flavor.PODS,
            server=server,
            kubeconfig=self.places.kubeconfig,
            kubectl=kubectl,
            helm=helm_program,
            gateway=gateway,
            prometheus=PrometheusInfo(local["prometheus"], PROMETHEUS_POD_URL),
            pod_cidr=POD_CIDR,
        )

    def _tool(self, name: str) -> Path:
        """The machine's own program if it has one, else the one that the local cluster would build."""
        found = shutil.which(name)
        artifact = kubernetes if name == "kubectl" else helm
        return Path(found) if found else artifact().provide(self.steps) / "bin" / name

    def _exists(self) -> bool:
        try:
            return self.name in run(["kind", "get", "clusters"]).split()
        except CommandError:
            return False

    def _reasons(self, kubectl: Kubectl) -> dict[str, str]:
        looked = {
            "node": kubectl.condition("nodes", "Ready"),
            "gateway": kubectl.condition("gateways", "Programmed", f"--namespace={GATEWAY_NAMESPACE}"),
            "prometheus": kubectl.condition("deployments", "Available", "--namespace=monitoring"),
        }
        return {name: reason for name, reason in looked.items() if reason}

    def _remove(self) -> None:
        if self._exists():
            run(["kind", "delete", "cluster", "--name", self.name], timeout=120)
        shutil.rmtree(self.places.root, ignore_errors=True)


def config(ports: dict[str, int]) -> dict[str, object]:
    """kind's configuration: one node whose node ports are reached on the host's loopback."""
    mapped = [
        {"containerPort": NODE_PORTS[name], "hostPort": port, "listenAddress": "127.0.0.1"}
        for name, port in ports.items()
    ]
    return {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "networking": {"podSubnet": POD_CIDR},
        "nodes": [{"role": "control-plane", "extraPortMappings": mapped}],
    }


def _require_kind() -> None:
    if not shutil.which("kind"):
        raise ClusterError("there is no `kind` on PATH; install it, or use --cluster local")
    if not shutil.which("docker") and not shutil.which("podman"):
        raise ClusterError("kind needs Docker or Podman; use --cluster local on a Linux machine without them")
