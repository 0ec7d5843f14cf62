"""The node of the pods flavor: containerd with a bridge network, kubelet, kube-proxy."""

import json
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.build.archive import tags
from tests.cluster.build.base import PAUSE_TAG
from tests.cluster.commands import run
from tests.cluster.contract import ClusterError
from tests.cluster.local.component import Component, Task
from tests.cluster.local.control_plane import ControlPlane
from tests.cluster.local.daemon import Daemon
from tests.cluster.local.host import BRIDGE, Host
from tests.cluster.local.plan import BRIDGE_ADDRESS, CLUSTER_DOMAIN, NODE_NAME, POD_CIDR, SERVICE_CIDR
from tests.cluster.local.probes import page

CNI_FOLDERS = (Path("/usr/lib/cni"), Path("/opt/cni/bin"))


@dataclass(frozen=True)
class Node:
    """Makes the components of the one node."""

    plane: ControlPlane
    host: Host

    @property
    def socket(self) -> Path:
        return self.plane.places.run / "containerd.sock"

    def ctr(self, *words: str | Path) -> str:
        """containerd's own client, in the namespace that the kubelet uses; raises CommandError."""
        return run(["ctr", f"--address={self.socket}", "--namespace=k8s.io", *words], timeout=300)

    def containerd(self) -> Component:
        places = self.plane.places
        config, network = places.config / "containerd.toml", places.config / "cni" / "10-bridge.conflist"
        files = {config: self._containerd_config(network.parent), network: json.dumps(self._network(), indent=2)}

        def probe() -> str:
            try:
                run(["ctr", f"--address={self.socket}", "--timeout=2s", "version"], timeout=5)
            except ClusterError as error:
                return str(error)
            return ""

        argv: list[str | Path] = ["/usr/bin/containerd", "--config", config]
        return Daemon("containerd", argv, places.root, probe, files)

    def pause(self, archive: Path) -> Task:
        return Task("pause-image", do=lambda: self.load(archive), check=lambda: "")

    def load(self, archive: Path) -> None:
        """Import a docker-archive; raises ClusterError."""
        if not archive.is_file():
            raise ClusterError(f"no image archive {archive}")
        self.ctr("images", "import", archive)
        missing = [tag for tag in tags(archive) if not self._has(tag)]
        if missing:
            raise ClusterError(f"containerd imported {archive} without {', '.join(missing)}")

    def _has(self, tag: str) -> bool:
        listed = self.ctr("images", "ls", "-q").split()
        return any(name == tag or name.endswith(f"/{tag}") for name in listed)

    def kubelet(self) -> Component:
        places, ports = self.plane.places, self.plane.plan.ports
        config = places.config / "kubelet.json"
        argv: list[str | Path] = [
            self.plane.kubernetes / "kubelet",
            f"--config={config}",
            f"--kubeconfig={self.plane.kubeconfig('node')}",
            f"--root-dir={places.data / 'kubelet'}",
            f"--cert-dir={places.pki / 'kubelet'}",
            f"--hostname-override={NODE_NAME}",
            # With a loopback address the node would have none, and kube-proxy, exec and logs would fail.
            f"--node-ip={BRIDGE_ADDRESS}",
        ]
        probe = page(f"http://127.0.0.1:{ports['kubelet-health']}/healthz")
        files = {config: json.dumps(self._kubelet_config(), indent=2)}
        return Daemon("kubelet", argv, places.root, probe, files, no_proxy=(SERVICE_CIDR, POD_CIDR))

    def proxy(self) -> Component:
        places, ports = self.plane.places, self.plane.plan.ports
        config = places.config / "kube-proxy.json"
        document = {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "nftables",
            "clusterCIDR": POD_CIDR,
            "hostnameOverride": NODE_NAME,
            "clientConnection": {"kubeconfig": str(self.plane.kubeconfig("proxy"))},
            "bindAddress": "127.0.0.1",
            "healthzBindAddress": f"127.0.0.1:{ports['proxy-health']}",
            "metricsBindAddress": f"127.0.0.1:{ports['proxy-metrics']}",
            # Both pods of a connection sit on one bridge, where answers would pass by the host and its address
            # translation; with the host as sender they come back through it.
            "nftables": {"masqueradeAll": True, "syncPeriod": "30s", "minSyncPeriod": "100ms"},
            "conntrack": {"maxPerCore": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        }
        argv: list[str | Path] = [self.plane.kubernetes / "kube-proxy", f"--config={config}"]
        probe = page(f"http://127.0.0.1:{ports['proxy-health']}/healthz")
        return Daemon("kube-proxy", argv, places.root, probe, {config: json.dumps(document, indent=2)})

    def _containerd_config(self, networks: Path) -> str:
        folders = [folder for folder in CNI_FOLDERS if (folder / "bridge").exists()]
        programs = folders[0] if folders else CNI_FOLDERS[0]
        return f"""\
version = 2
root = "{self.plane.places.data / "containerd"}"
state = "{self.plane.places.run / "containerd"}"
# `opt` would make a folder in /opt; the others ask for file systems that are not there.
disabled_plugins = [
  "io.containerd.internal.v1.opt",
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
]
[grpc]
  address = "{self.socket}"
[ttrpc]
  address = "{self.socket}.ttrpc"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_TAG}"
  # Where the machine may not lower OOM scores, runc would fail without this.
  restrict_oom_score_adj = true
  tolerate_missing_hugetlb_controller = true
  netns_mounts_under_state_dir = true
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{programs}"
    conf_dir = "{networks}"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
        Root = "{self.plane.places.run / "runc"}"
"""

    def _network(self) -> dict[str, object]:
        addresses = {
            "type": "host-local",
            "dataDir": str(self.plane.places.data / "cni"),
            "ranges": [[{"subnet": POD_CIDR, "gateway": BRIDGE_ADDRESS}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        }
        bridge = {"type": "bridge", "bridge": BRIDGE, "isGateway": True, "hairpinMode": True, "ipam": addresses}
        return {"cniVersion": "0.4.0", "name": self.host.network_name, "plugins": [bridge]}

    def _kubelet_config(self) -> dict[str, object]:
        places, ports = self.plane.places, self.plane.plan.ports
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": BRIDGE_ADDRESS,
            "port": ports["kubelet"],
            "healthzBindAddress": "127.0.0.1",
            "healthzPort": ports["kubelet-health"],
            "authentication": {
                "x509": {"clientCAFile": str(self.plane.pki.authority)},
                "anonymous": {"enabled": False},
            },
            "containerRuntimeEndpoint": f"unix://{self.socket}",
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": self.host.cgroup,
            "failCgroupV1": False,
            "failSwapOn": False,
            "enforceNodeAllocatable": [],
            "localStorageCapacityIsolation": False,
            "makeIPTablesUtilChains": False,
            "podLogsDir": str(places.data / "pod-logs"),
            "volumePluginDir": str(places.data / "volume-plugins"),
            "clusterDomain": CLUSTER_DOMAIN,
            **({"clusterDNS": [BRIDGE_ADDRESS]} if self.plane.plan.options.envoy else {}),
            "serializeImagePulls": False,
            "maxPods": 200,
            # Images come from files: one that was collected could not be pulled again. A full disk is not our test.
            "imageGCHighThresholdPercent": 100,
            "imageGCLowThresholdPercent": 99,
            "evictionHard": {"memory.available": "0%", "nodefs.available": "0%", "imagefs.available": "0%"},
            # Readiness must not lag behind what the pods do.
            "kubeAPIQPS": 100,
            "kubeAPIBurst": 200,
        }
