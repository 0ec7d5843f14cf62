"""Test clusters: one interface, three ways to get a cluster.

    from tests.cluster import Flavor, make_cluster

    cluster = make_cluster("local", Flavor.KWOK)
    info = cluster.up()  # at once when it is up already

`info` (a `ClusterInfo`) says where everything is: kubeconfig, kubectl, helm, gateway, Prometheus. What runs behind it, and
how it is built and cleared away, stays in here; see README.md beside this file.
"""

from tests.cluster.contract import (
    Cluster,
    ClusterError,
    ClusterInfo,
    ClusterStatus,
    ComponentStatus,
    Flavor,
    GatewayInfo,
    PrometheusInfo,
    Provider,
    State,
)
from tests.cluster.factory import default_provider, find_info, make_cluster
from tests.cluster.local.plan import Options

__all__ = [
    "Cluster",
    "ClusterError",
    "ClusterInfo",
    "ClusterStatus",
    "ComponentStatus",
    "Flavor",
    "GatewayInfo",
    "Options",
    "PrometheusInfo",
    "Provider",
    "State",
    "default_provider",
    "find_info",
    "make_cluster",
]
