"""Where test clusters keep their files: builds in the cache, running clusters in the state folder.

Nothing is written into the checkout. The cache may be deleted at any time while no cluster runs; a cluster's folder is
deleted by `down`.
"""

import os
from dataclasses import dataclass
from pathlib import Path


def cache_home() -> Path:
    """Folder of everything that can be built again; not made here."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "modelrollout"


def state_home() -> Path:
    """Folder of the clusters that run now; not made here."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "modelrollout"


def starts_lock() -> Path:
    """Held while a new cluster chooses its ports and takes them: two that choose together would find the same ones free."""
    return cache_home() / "locks" / "starts"


def clusters_home() -> Path:
    """The parent of all cluster folders."""
    return state_home() / "clusters"


@dataclass(frozen=True)
class ClusterPlaces:
    """The files of one cluster, all below `root` but for unix sockets, which have a length limit of 107 bytes."""

    name: str
    root: Path

    @classmethod
    def of(cls, name: str) -> "ClusterPlaces":
        return cls(name, clusters_home() / name)

    @property
    def info(self) -> Path:
        """ClusterInfo as JSON; exists only while the cluster was completely up."""
        return self.root / "cluster.json"

    @property
    def plan(self) -> Path:
        """The ports and options chosen by the `up` that made the cluster."""
        return self.root / "plan.json"

    @property
    def kubeconfig(self) -> Path:
        return self.root / "kubeconfig"

    @property
    def pki(self) -> Path:
        return self.root / "pki"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def pids(self) -> Path:
        return self.root / "pids"

    @property
    def config(self) -> Path:
        return self.root / "config"

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def run(self) -> Path:
        """Short path for unix sockets; only clusters of root use it."""
        return Path("/run") / f"modelrollout-{self.name}"

    @property
    def lock(self) -> Path:
        """Held by `up` and `down`; lies outside of `root`, which `down` deletes."""
        return cache_home() / "locks" / f"cluster-{self.name}"

    def make(self) -> None:
        for folder in (self.root, self.pki, self.logs, self.pids, self.config, self.data):
            folder.mkdir(parents=True, exist_ok=True, mode=0o755)
