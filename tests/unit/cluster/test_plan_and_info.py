"""What a second process reads is what the first one wrote."""

import json
import os
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cluster import ClusterError, ClusterInfo, Flavor, GatewayInfo, Options, PrometheusInfo, Provider, State
from tests.cluster.contract import read_info, without_proxy
from tests.cluster.factory import default_provider, find_info, make_cluster
from tests.cluster.local.flavors import artifacts
from tests.cluster.local.plan import PREFERRED, Plan, choose_ports
from tests.cluster.places import ClusterPlaces

INFO = ClusterInfo(
    name="local",
    provider=Provider.LOCAL,
    flavor=Flavor.PODS,
    server="https://127.0.0.1:6443",
    kubeconfig=Path("/k/kubeconfig"),
    kubectl=Path("/k/bin/kubectl"),
    helm=Path("/h/bin/helm"),
    gateway=GatewayInfo("http://127.0.0.1:1", "traefik", "public", "gateways"),
    prometheus=PrometheusInfo("http://127.0.0.1:2", "http://10.244.0.1:2"),
    pod_cidr="10.244.0.0/24",
)


ENVOY = replace(INFO, envoy=GatewayInfo("http://10.96.0.80:80", "envoy", "envoy", "gateways"))


@pytest.mark.parametrize("info", [INFO, ENVOY, replace(INFO, gateway=None, prometheus=None)])
def test_info_survives_as_json(info):
    assert ClusterInfo.from_dict(json.loads(info.to_json())) == info


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"name": "x"}', json.dumps({**INFO.to_dict(), "flavor": "odd"})]
)
def test_a_damaged_info_reads_as_none(tmp_path, text):
    file = tmp_path / "cluster.json"
    file.write_text(text)
    assert read_info(file) is None


def test_a_cluster_is_found_by_its_name():
    places = ClusterPlaces.of("local")
    places.make()
    assert find_info("local") is None
    places.info.write_text(INFO.to_json())
    assert find_info("local") == INFO


def test_the_environment_prefers_the_clusters_tools_and_spares_it_the_proxy(monkeypatch):
    monkeypatch.setenv("PATH", "/usr/bin")
    monkeypatch.setenv("NO_PROXY", "example.com")
    env = INFO.environment()
    assert env["PATH"] == "/k/bin:/h/bin:/usr/bin"
    assert env["KUBECONFIG"] == "/k/kubeconfig"
    assert env["NO_PROXY"] == env["no_proxy"] == "example.com,127.0.0.1,localhost,10.244.0.0/24"


def test_no_proxy_is_added_once():
    assert without_proxy({"no_proxy": "localhost,127.0.0.1"})["NO_PROXY"] == "localhost,127.0.0.1"


def test_a_plan_survives_as_json_and_a_damaged_one_reads_as_none(tmp_path):
    plan, file = Plan(Flavor.KWOK, {"api": 1}, Options("2s", 3)), tmp_path / "plan.json"
    plan.save(file)
    assert Plan.load(file) == plan
    file.write_text('{"flavor": "kwok"}')
    assert Plan.load(file) is None


def test_a_port_that_is_taken_is_replaced_by_a_free_one():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        chosen = choose_ports({"a": port, "b": port})
    assert port not in chosen.values()
    assert chosen["a"] != chosen["b"]


def test_the_flavors_prefer_different_ports():
    assert not set(PREFERRED[Flavor.PODS].values()) & set(PREFERRED[Flavor.KWOK].values())


def test_a_cluster_that_was_never_up_is_down_and_taking_it_down_is_no_error():
    cluster = make_cluster("local", Flavor.KWOK, "never")
    assert cluster.status().state is State.DOWN
    cluster.down()


def test_unknown_providers_and_impossible_pairs_are_refused_with_the_known_ones(monkeypatch):
    monkeypatch.setenv("MODELROLLOUT_CLUSTER", "minikube")
    with pytest.raises(ClusterError, match=r"'minikube' is no kind of cluster; known: local, kind, existing"):
        default_provider()
    with pytest.raises(ClusterError, match="only as --cluster local"):
        make_cluster("kind", Flavor.KWOK)


@pytest.mark.parametrize(("provider", "flavor"), [("kind", Flavor.PODS), ("local", Flavor.KWOK)])
def test_envoy_gateway_is_refused_where_it_cannot_be_brought_up(provider, flavor):
    with pytest.raises(ClusterError, match="Envoy Gateway is brought up only with --cluster local --flavor pods"):
        make_cluster(provider, flavor, options=Options(envoy=True))


def test_a_cluster_without_envoy_gateway_does_not_get_it_later(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    cluster = make_cluster("local", Flavor.PODS, options=Options(envoy=True))
    places = ClusterPlaces.of(cluster.name)
    places.make()
    Plan(Flavor.PODS, PREFERRED[Flavor.PODS]).save(places.plan)
    places.info.write_text(INFO.to_json())
    with pytest.raises(ClusterError, match="cluster local is there without Envoy Gateway; take it down first"):
        cluster.up()


def test_envoy_gateway_costs_an_ordinary_cluster_nothing():
    more = {artifact.name for artifact in artifacts(Flavor.PODS, True)} - {
        artifact.name for artifact in artifacts(Flavor.PODS, False)
    }
    assert more == {"coredns", "envoy", "envoy-gateway", "envoy-gateway-image", "envoy-image", "envoy-gateway-chart"}
    assert not more & {artifact.name for artifact in artifacts(Flavor.KWOK, False)}
