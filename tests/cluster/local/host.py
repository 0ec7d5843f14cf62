"""What the pods flavor changes on the machine itself, and how each change is taken back.

Before the first change a record is made of the kernel settings that components write and of the folders they leave behind
in fixed places. `clear` works from that record and from names that are ours alone, so it does the same after a proper
`down` and after a crash, and never touches what was there before.
"""

import contextlib
import ipaddress
import json
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.build.artifact import remove_tree
from tests.cluster.commands import CommandError, run
from tests.cluster.contract import ClusterError
from tests.cluster.local.component import Task
from tests.cluster.local.daemon import ProcessId, end, write_atomically
from tests.cluster.local.plan import BRIDGE_ADDRESS, POD_CIDR, SERVICE_CIDR
from tests.cluster.places import ClusterPlaces

BRIDGE = "mrollout0"
# Of all pods together, by the file of each version of cgroups; 16 times the weight of one process.
CPU_WEIGHTS = {"cpu.shares": "16384", "cpu.weight": "1600"}
# Written by the kubelet, kube-proxy and us.
SETTINGS = (
    "net/ipv4/ip_forward",
    "net/ipv4/conf/all/route_localnet",
    "net/bridge/bridge-nf-call-iptables",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxbytes",
    "kernel/keys/root_maxkeys",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "net/netfilter/nf_conntrack_max",
    "net/netfilter/nf_conntrack_tcp_be_liberal",
)
# Fixed places of containerd, the CNI library and the kubelet that no option moves.
SHARED_FOLDERS = (
    "/run/containerd/s",
    "/run/containerd",
    "/run/netns",
    "/var/lib/cni/results",
    "/var/lib/cni",
    "/var/lib/kubelet/device-plugins",
    "/var/lib/kubelet/plugins_registry",
    "/var/lib/kubelet",
    "/var/log/containers",
    "/var/log/pods",
)
PROXY_TABLES = (("ip", "kube-proxy"), ("ip6", "kube-proxy"))


@dataclass(frozen=True)
class Host:
    """The machine as one cluster uses it."""

    places: ClusterPlaces

    @property
    def cgroup(self) -> str:
        """The cgroup below which all pods live, in every hierarchy."""
        return f"/modelrollout-{self.places.name}"

    @property
    def network_name(self) -> str:
        return f"modelrollout-{self.places.name}"

    @property
    def _record(self) -> Path:
        return self.places.root / "host.json"

    def check_free(self) -> None:
        """Refuse a machine that is a Kubernetes node already or uses our addresses; raises ClusterError."""
        tables = run(["nft", "list", "tables"])
        if any(f"table {family} {table}" in tables for family, table in PROXY_TABLES):
            raise ClusterError("another kube-proxy has its rules on this machine; use --cluster existing there")
        if owner := _bridge_owner():
            raise ClusterError(
                f"the bridge {BRIDGE} is there and belongs to {owner}; one cluster with real pods at a time"
            )
        taken = overlapping(run(["ip", "route", "show", "table", "all"]), (POD_CIDR, SERVICE_CIDR))
        if taken:
            raise ClusterError(f"this machine routes addresses that the cluster would use: {taken}")

    def remember(self) -> None:
        """Record what is to be restored, once."""
        if self._record.exists():
            return
        settings = {name: path.read_text().strip() for name in SETTINGS if (path := Path("/proc/sys", name)).exists()}
        absent = [folder for folder in SHARED_FOLDERS if not Path(folder).exists()]
        write_atomically(self._record, json.dumps({"settings": settings, "absent": absent}, indent=2))

    def network(self) -> Task:
        return Task("bridge", do=self._make_bridge, check=_bridge_reason, undo=self._remove_bridge)

    def cgroups(self) -> Task:
        return Task("cgroups", do=self._make_cgroups, check=self._cgroups_reason, undo=self._remove_cgroups)

    def clear(self) -> None:
        """Take back what the parts of the cluster left; all of its host processes have ended before."""
        self._remove_cgroups()
        for family, table in PROXY_TABLES:
            with contextlib.suppress(CommandError):
                run(["nft", "delete", "table", family, table])
        unmount_below(self.places.root, self.places.run)
        self._remove_bridge()
        remove_tree(self.places.run)
        self._clear_shared_folders()
        self._restore()

    def _make_bridge(self) -> None:
        if not Path("/sys/class/net", BRIDGE).exists():
            run(["ip", "link", "add", BRIDGE, "type", "bridge"])
            run(["ip", "link", "set", BRIDGE, "alias", self.places.name])
        prefix = ipaddress.ip_network(POD_CIDR).prefixlen
        run(["ip", "address", "replace", f"{BRIDGE_ADDRESS}/{prefix}", "dev", BRIDGE])
        run(["ip", "link", "set", BRIDGE, "up"])
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1")

    def _remove_bridge(self) -> None:
        if _bridge_owner() == self.places.name:
            for peer in Path("/sys/class/net", BRIDGE, "brif").iterdir():
                # Its other end goes with the pod's namespace, a little later than the pod.
                with contextlib.suppress(CommandError):
                    run(["ip", "link", "delete", peer.name])
            run(["ip", "link", "delete", BRIDGE])

    def _make_cgroups(self) -> None:
        for hierarchy in self._hierarchies_of_pods():
            folder = hierarchy / self.cgroup[1:]
            folder.mkdir(exist_ok=True)
            for name, weight in CPU_WEIGHTS.items():
                # A cgroup weighs as much as one process beside it, and this one holds all pods of a node.
                with contextlib.suppress(OSError):  # only one of the files is there, and only where CPU is divided
                    if (folder / name).is_file():
                        (folder / name).write_text(weight)

    def _cgroups_reason(self) -> str:
        missing = [
            str(hierarchy) for hierarchy in self._hierarchies_of_pods() if not (hierarchy / self.cgroup[1:]).is_dir()
        ]
        return f"no {self.cgroup} in {', '.join(missing)}" if missing else ""

    @staticmethod
    def _hierarchies_of_pods() -> list[Path]:
        """Every hierarchy of version 1 where there is one, else that of version 2."""
        mounted = hierarchies()
        return mounted["cgroup"] or mounted["cgroup2"]

    def _remove_cgroups(self) -> None:
        # Beside version 1 runc makes cgroups of version 2 as well, where that is mounted.
        mounted = [path for paths in hierarchies().values() for path in paths]
        tops = [top for hierarchy in mounted if (top := hierarchy / self.cgroup[1:]).is_dir()]
        members = {pid for top in tops for file in top.rglob("cgroup.procs") for pid in _pids(file)}
        processes = [process for pid in members if (process := ProcessId.of(pid))]
        for process in processes:
            process.send(signal.SIGKILL)
        end(processes)
        for top in tops:
            _remove_cgroup(top)

    def _clear_shared_folders(self) -> None:
        for folder in ("/run/containerd/s", "/var/lib/kubelet/device-plugins"):
            _remove_dead_sockets(Path(folder))
        for file in Path("/var/lib/cni/results").glob("*"):
            if str(self.places.run) in file.read_text(errors="replace"):  # the network namespace it is about
                file.unlink()
        for link in Path("/var/log/containers").glob("*.log"):
            if link.is_symlink() and str(link.readlink()).startswith(str(self.places.root)):
                link.unlink(missing_ok=True)

    def _restore(self) -> None:
        try:
            record = json.loads(self._record.read_text())
        except (OSError, ValueError):
            return
        for folder in record["absent"]:
            with contextlib.suppress(OSError):  # not empty: somebody else uses it by now
                Path(folder).rmdir()
        for name, value in record["settings"].items():
            setting = Path("/proc/sys", name)
            with contextlib.suppress(OSError):
                if setting.read_text().strip() != value:
                    setting.write_text(value)


def hierarchies() -> dict[str, list[Path]]:
    """Where cgroups are mounted, by version (`cgroup`, `cgroup2`)."""
    found: dict[str, list[Path]] = {"cgroup": [], "cgroup2": []}
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, where, kind, *_ = line.split()
        if kind in found:
            found[kind].append(Path(where))
    return found


def overlapping(routes: str, networks: tuple[str, ...]) -> str:
    """The first line of `ip route` whose destination overlaps one of the networks; empty when none does."""
    wanted = [ipaddress.ip_network(network) for network in networks]
    for line in routes.splitlines():
        for word in line.split()[:2]:  # the destination is the first word, or the second after `local`, `broadcast` …
            try:
                destination = ipaddress.ip_network(word, strict=False)
            except ValueError:
                continue
            if destination.version == 4 and any(destination.overlaps(network) for network in wanted):
                return line.strip()
    return ""


def unmount_below(*folders: Path) -> None:
    """Unmount everything in these folders, the innermost first."""
    prefixes = tuple(f"{folder}/" for folder in folders)
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for point in reversed([point for point in points if point.startswith(prefixes)]):
        run(["umount", "--lazy", point])


def _bridge_owner() -> str:
    alias = Path("/sys/class/net", BRIDGE, "ifalias")
    return (alias.read_text().strip() or "something unknown") if alias.exists() else ""


def _bridge_reason() -> str:
    return "" if Path("/sys/class/net", BRIDGE).exists() else f"no interface {BRIDGE}"


def _pids(file: Path) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(word) for word in file.read_text().split()]
    return []


def _remove_cgroup(top: Path) -> None:
    """Remove a tree of cgroups; the kernel needs a moment after the last process has gone."""
    deadline = time.monotonic() + 5
    while top.is_dir():
        for folder, _, _ in os.walk(top, topdown=False):
            with contextlib.suppress(OSError):
                Path(folder).rmdir()
        if time.monotonic() > deadline:
            raise ClusterError(f"cannot remove the cgroup {top}: processes or cgroups are still in it")
        time.sleep(0.02)


def _remove_dead_sockets(folder: Path) -> None:
    """Sockets of containerd's helpers and of the kubelet stay as files when those are killed."""
    listening = Path("/proc/net/unix").read_text()
    for file in folder.glob("*"):
        if file.is_socket() and str(file) not in listening:
            file.unlink(missing_ok=True)
