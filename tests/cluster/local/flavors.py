"""What tells the flavors of the local cluster apart: what they are built from, and the parts they start."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from tests.cluster.build import base, envoy, programs
from tests.cluster.build.artifact import Artifact
from tests.cluster.contract import ClusterInfo, Flavor
from tests.cluster.local.component import Waves
from tests.cluster.local.control_plane import ControlPlane
from tests.cluster.local.kwok import KwokFlavor
from tests.cluster.local.objects import Kubectl
from tests.cluster.local.plan import Plan
from tests.cluster.local.pods import PodsFlavor
from tests.cluster.places import ClusterPlaces
from tests.cluster.versions import CONTROL_PLANE_PACKAGES, NODE_PACKAGES


class Parts(Protocol):
    """One cluster of a flavor."""

    def waves(self) -> Waves:
        """Everything that runs, in the order of its start."""

    def describe(self, info: ClusterInfo) -> ClusterInfo:
        """Add the addresses that only this flavor has."""

    def check_machine(self) -> None:
        """Raise ClusterError when the machine cannot take the cluster; asked before anything is changed."""

    def remember(self) -> None:
        """Record what `clear` has to restore; called before anything is changed."""

    def clear(self) -> None:
        """Take back what is left on the machine after all parts were stopped, also after a crash."""

    def load_image(self, image: str | Path) -> None:
        """Make a docker-archive usable by pods; raises ClusterError."""


def artifacts(flavor: Flavor, with_envoy: bool) -> list[Artifact]:
    """What a flavor is built from, the slowest first."""
    common = [programs.kubernetes(), programs.etcd(), programs.gateway_crds(), programs.helm()]
    if flavor is Flavor.KWOK:
        return [*common, programs.kwok()]
    more = [programs.coredns(), *envoy.artifacts()] if with_envoy else []
    return [*common, programs.prometheus(), programs.traefik(), base.pause(), *more]


def packages(flavor: Flavor) -> dict[str, str]:
    """Debian packages by the file that shows that they are there."""
    return CONTROL_PLANE_PACKAGES if flavor is Flavor.KWOK else {**CONTROL_PLANE_PACKAGES, **NODE_PACKAGES}


def parts(plan: Plan, places: ClusterPlaces, built: Mapping[str, Path]) -> Parts:
    """The parts of a cluster; `built` holds the folder of each artifact by its name."""
    plane = control_plane(plan, places, built)
    kubectl = Kubectl(plane.kubernetes / "kubectl", places.kubeconfig)
    return (KwokFlavor if plan.flavor is Flavor.KWOK else PodsFlavor)(plane, kubectl, built)


def control_plane(plan: Plan, places: ClusterPlaces, built: Mapping[str, Path]) -> ControlPlane:
    return ControlPlane(places, plan, built["kubernetes"] / "bin", built["etcd"] / "bin")
