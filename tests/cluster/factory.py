"""Choosing a cluster by name."""

import os

from tests.cluster.contract import Cluster, ClusterError, ClusterInfo, Flavor, Provider, read_info
from tests.cluster.existing import ExistingCluster
from tests.cluster.kind import KindCluster
from tests.cluster.local.cluster import LocalCluster
from tests.cluster.local.plan import Options
from tests.cluster.places import ClusterPlaces
from tests.cluster.progress import Steps, default_steps

PROVIDER_VARIABLE = "MODELROLLOUT_CLUSTER"


def default_provider() -> Provider:
    """MODELROLLOUT_CLUSTER if set, else `local`."""
    asked = os.environ.get(PROVIDER_VARIABLE, Provider.LOCAL)
    try:
        return Provider(asked)
    except ValueError:
        known = ", ".join(Provider)
        raise ClusterError(f"{PROVIDER_VARIABLE}={asked!r} is no kind of cluster; known: {known}") from None


def make_cluster(
    provider: Provider | str | None = None,
    flavor: Flavor | str = Flavor.PODS,
    name: str | None = None,
    options: Options | None = None,
    steps: Steps | None = None,
) -> Cluster:
    """The cluster to use, not yet up. Raises ClusterError for a combination that does not exist."""
    provider, flavor = Provider(provider or default_provider()), Flavor(flavor)
    envoy = options is not None and options.envoy
    if envoy and (provider, flavor) != (Provider.LOCAL, Flavor.PODS):
        raise ClusterError("Envoy Gateway is brought up only with --cluster local --flavor pods")
    if provider is Provider.LOCAL:
        return LocalCluster(flavor, name, options, steps)
    if flavor is not Flavor.PODS:
        raise ClusterError(f"the flavor {flavor} exists only as --cluster local")
    if provider is Provider.KIND:
        return KindCluster(name or "modelrollout", options or Options(), steps or default_steps())
    return ExistingCluster(name or "existing")


def find_info(name: str) -> ClusterInfo | None:
    """What is known of a local cluster that was brought up under this name; None when it is not up."""
    return read_info(ClusterPlaces.of(name).info)
