"""What every test cluster offers, however it is made.

Tests, the demo and the benchmarks know a cluster by this contract alone: bring it up, read `ClusterInfo`, load images,
take it down. `ClusterInfo` is plain data that survives as JSON, so a second process finds a cluster that the first one
started. It carries addresses and paths, never a client: whoever needs one makes it from the kubeconfig.
"""

import json
import os
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol


class ClusterError(Exception):
    """Says what went wrong with a cluster, and which log or command tells more."""


class Provider(StrEnum):
    """Who makes the cluster."""

    LOCAL = "local"
    KIND = "kind"
    EXISTING = "existing"


class Flavor(StrEnum):
    """What stands behind the API server: real pods, or kwok playing them."""

    PODS = "pods"
    KWOK = "kwok"


class State(StrEnum):
    """The state of a whole cluster."""

    RUNNING = "Running"
    DEGRADED = "Degraded"
    DOWN = "Down"


@dataclass(frozen=True)
class GatewayInfo:
    """A Gateway that takes routes from all namespaces.

    `url` is where its listener is reached from the host, without a trailing slash. `metrics_url` is the data plane's own
    metrics page as seen from the host, None where it has none.
    """

    url: str
    class_name: str
    name: str
    namespace: str
    metrics_url: str | None = None


@dataclass(frozen=True)
class PrometheusInfo:
    """One Prometheus: `url` for the host, `pod_url` for programs in pods; no trailing slash."""

    url: str
    pod_url: str


@dataclass(frozen=True)
class ClusterInfo:
    """Where a running cluster is.

    The kubeconfig is the administrator's. `gateway`, `prometheus` and `pod_cidr` are None where nothing real runs (kwok).
    `envoy` is a second Gateway, one of Envoy Gateway, and None where that was not asked for.
    """

    name: str
    provider: Provider
    flavor: Flavor
    server: str
    kubeconfig: Path
    kubectl: Path
    helm: Path
    gateway: GatewayInfo | None = None
    envoy: GatewayInfo | None = None
    prometheus: PrometheusInfo | None = None
    pod_cidr: str | None = None

    def environment(self) -> dict[str, str]:
        """The process environment plus KUBECONFIG, this cluster's kubectl and helm first on PATH, and no proxy to it."""
        env = dict(os.environ)
        folders = dict.fromkeys(str(tool.parent) for tool in (self.kubectl, self.helm))
        env["PATH"] = os.pathsep.join([*folders, env.get("PATH", os.defpath)])
        env["KUBECONFIG"] = str(self.kubeconfig)
        return without_proxy(env, *([self.pod_cidr] if self.pod_cidr else []))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data; `from_dict` reads it back."""
        return {key: str(value) if isinstance(value, Path) else value for key, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "ClusterInfo":
        """Read what `to_dict` wrote; raises KeyError, TypeError or ValueError for anything else."""
        gateway, envoy, prometheus = data["gateway"], data["envoy"], data["prometheus"]
        return cls(
            name=data["name"],
            provider=Provider(data["provider"]),
            flavor=Flavor(data["flavor"]),
            server=data["server"],
            kubeconfig=Path(data["kubeconfig"]),
            kubectl=Path(data["kubectl"]),
            helm=Path(data["helm"]),
            gateway=GatewayInfo(**gateway) if gateway else None,
            envoy=GatewayInfo(**envoy) if envoy else None,
            prometheus=PrometheusInfo(**prometheus) if prometheus else None,
            pod_cidr=data["pod_cidr"],
        )

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), indent=2)


@dataclass(frozen=True)
class ComponentStatus:
    """One part of a cluster; `reason` is empty when it is ready."""

    name: str
    ready: bool
    reason: str = ""
    pid: int | None = None
    log: Path | None = None


@dataclass(frozen=True)
class ClusterStatus:
    """A cluster as it is now; `info` is None when it is down."""

    name: str
    state: State
    components: tuple[ComponentStatus, ...] = ()
    info: ClusterInfo | None = None

    def to_dict(self) -> dict[str, Any]:
        parts = [
            {
                "name": part.name,
                "ready": part.ready,
                "reason": part.reason,
                "pid": part.pid,
                "log": str(part.log) if part.log else None,
            }
            for part in self.components
        ]
        return {
            "name": self.name,
            "state": self.state.value,
            "components": parts,
            "info": self.info.to_dict() if self.info else None,
        }


class Cluster(Protocol):
    """A test cluster that can be made, found, used and removed."""

    name: str

    def build(self) -> None:
        """Make everything that `up` needs and that can be made beforehand."""

    def up(self) -> ClusterInfo:
        """Bring it up, or return at once when it is up and healthy. Raises ClusterError."""

    def down(self) -> None:
        """Remove it with everything it left on the machine; nothing to remove is no error."""

    def status(self) -> ClusterStatus:
        """Look at it without changing it."""

    def load_image(self, image: str | Path) -> None:
        """Make an image (path of a docker-archive, or a tag the provider knows) usable by pods. Raises ClusterError."""


def read_info(path: Path) -> ClusterInfo | None:
    """The ClusterInfo in a file; None when there is none, or one of another version of this project."""
    try:
        return ClusterInfo.from_dict(json.loads(path.read_text()))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def without_proxy(env: dict[str, str], *more: str) -> dict[str, str]:
    """The environment with loopback and the given networks added to NO_PROXY, in both spellings."""
    hosts = [part for part in env.get("NO_PROXY", env.get("no_proxy", "")).split(",") if part]
    joined = ",".join(dict.fromkeys([*hosts, "127.0.0.1", "localhost", *more]))
    return {**env, "NO_PROXY": joined, "no_proxy": joined}
