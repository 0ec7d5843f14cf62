"""etcd, API server, controller manager and scheduler as host processes, the same for both flavors."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.contract import Flavor
from tests.cluster.local.component import Component
from tests.cluster.local.daemon import Daemon
from tests.cluster.local.pki import Pki
from tests.cluster.local.plan import BRIDGE_ADDRESS, NODE_NAME, POD_CIDR, SERVICE_API, SERVICE_CIDR, Plan
from tests.cluster.local.probes import page, secure_page
from tests.cluster.places import ClusterPlaces

ISSUER = "https://kubernetes.default.svc"


@dataclass(frozen=True)
class ControlPlane:
    """Makes the components; `kubernetes` and `etcd` are folders with the programs."""

    places: ClusterPlaces
    plan: Plan
    kubernetes: Path
    etcd: Path

    @property
    def pki(self) -> Pki:
        return Pki(self.places.pki)

    def kubeconfig(self, user: str) -> Path:
        """The kubeconfig of a component; `prepare` makes it."""
        return self.places.config / f"{user}.kubeconfig"

    def prepare(self) -> None:
        """Make certificates and kubeconfigs, those of the administrator included."""
        pods = self.plan.flavor is Flavor.PODS
        addresses = ("127.0.0.1", SERVICE_API, *([BRIDGE_ADDRESS] if pods else []))
        self.pki.make(addresses, NODE_NAME if pods else None)
        for user in ("controller-manager", "scheduler", *(["node", "proxy"] if pods else [])):
            self.pki.kubeconfig(self.kubeconfig(user), user, self.plan.server)
        self.pki.kubeconfig(self.places.kubeconfig, "admin", self.plan.server)

    def store(self) -> Component:
        """etcd; without fsync, since nobody needs a test cluster after a power cut."""
        client = f"http://127.0.0.1:{self.plan.ports['etcd']}"
        peer = f"http://127.0.0.1:{self.plan.ports['etcd-peer']}"
        argv: list[str | Path] = [
            self.etcd / "etcd",
            f"--data-dir={self.places.data / 'etcd'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--quota-backend-bytes=4294967296",
            "--unsafe-no-fsync",
            "--log-level=warn",
        ]
        return self._daemon("etcd", argv, page(f"{client}/readyz"))

    def api_server(self) -> Component:
        pki, port = self.pki, self.plan.ports["api"]
        argv: list[str | Path] = [
            self.kubernetes / "kube-apiserver",
            f"--etcd-servers=http://127.0.0.1:{self.plan.ports['etcd']}",
            f"--secure-port={port}",
            f"--service-cluster-ip-range={SERVICE_CIDR}",
            "--authorization-mode=Node,RBAC",
            "--allow-privileged",
            f"--client-ca-file={pki.authority}",
            f"--tls-cert-file={pki.certificate('apiserver')}",
            f"--tls-private-key-file={pki.key('apiserver')}",
            f"--service-account-issuer={ISSUER}",
            f"--service-account-key-file={pki.account_public}",
            f"--service-account-signing-key-file={pki.account_key}",
            f"--kubelet-client-certificate={pki.certificate('admin')}",
            f"--kubelet-client-key={pki.key('admin')}",
            "--kubelet-preferred-address-types=InternalIP",
            "--profiling=false",
            *self._exposure(),
        ]
        client = (pki.certificate("admin"), pki.key("admin"))
        return self._daemon("kube-apiserver", argv, secure_page(f"{self.plan.server}/readyz", pki.authority, client))

    def _exposure(self) -> list[str]:
        if self.plan.flavor is Flavor.KWOK:
            # No pod will ever connect; and the address of the `kubernetes` Service may not be a loopback one.
            return ["--bind-address=127.0.0.1", "--endpoint-reconciler-type=none"]
        return ["--bind-address=0.0.0.0", f"--advertise-address={BRIDGE_ADDRESS}"]

    def controller_manager(self) -> Component:
        kubeconfig, port = self.kubeconfig("controller-manager"), self.plan.ports["controller-manager"]
        addresses = f"--cluster-cidr={POD_CIDR}" if self.plan.flavor is Flavor.PODS else "--cluster-cidr="
        argv: list[str | Path] = [
            self.kubernetes / "kube-controller-manager",
            f"--kubeconfig={kubeconfig}",
            "--bind-address=127.0.0.1",
            f"--secure-port={port}",
            "--leader-elect=false",
            "--use-service-account-credentials",
            f"--service-account-private-key-file={self.pki.account_key}",
            f"--root-ca-file={self.pki.authority}",
            f"--service-cluster-ip-range={SERVICE_CIDR}",
            addresses,
            # The defaults (20/s) would make a fleet of rollouts wait for the client, not for the operator.
            "--kube-api-qps=300",
            "--kube-api-burst=600",
        ]
        return self._daemon("kube-controller-manager", argv, secure_page(f"https://127.0.0.1:{port}/healthz"))

    def scheduler(self) -> Component:
        port = self.plan.ports["scheduler"]
        connection = {"kubeconfig": str(self.kubeconfig("scheduler")), "qps": 300, "burst": 600}
        config = self.places.config / "scheduler.json"
        document = {
            "apiVersion": "kubescheduler.config.k8s.io/v1",
            "kind": "KubeSchedulerConfiguration",
            "clientConnection": connection,
            "leaderElection": {"leaderElect": False},
        }
        argv: list[str | Path] = [
            self.kubernetes / "kube-scheduler",
            f"--config={config}",
            "--bind-address=127.0.0.1",
            f"--secure-port={port}",
        ]
        probe = secure_page(f"https://127.0.0.1:{port}/readyz")
        return self._daemon("kube-scheduler", argv, probe, {config: json.dumps(document, indent=2)})

    def _daemon(
        self,
        name: str,
        argv: list[str | Path],
        probe: Callable[[], str],
        files: Mapping[Path, str] | None = None,
    ) -> Component:
        return Daemon(name, argv, self.places.root, probe, files or {}, no_proxy=(SERVICE_CIDR, POD_CIDR))
