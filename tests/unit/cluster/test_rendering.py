"""Configurations say what they should, seen from the program that reads them."""

import json
import re

import pytest
import yaml

from tests.cluster.build.base import choose_release
from tests.cluster.contract import ClusterError
from tests.cluster.kind import config as kind_config
from tests.cluster.kind_manifests import manifests, prometheus_release
from tests.cluster.local.host import overlapping
from tests.cluster.local.kwok_stages import config, stages
from tests.cluster.stack import prometheus_config

TARGETS = """\
http://mirror/third third main Other
http://mirror/debian-security bookworm-security main Debian
http://mirror/debian bookworm main Debian
http://mirror/debian bookworm-updates main Debian
"""


def test_the_base_image_comes_from_the_machines_own_release():
    assert choose_release(TARGETS, "bookworm") == ("http://mirror/debian", "bookworm")


def test_a_machine_without_a_source_for_its_release_is_told_so():
    with pytest.raises(ClusterError, match="no Debian or Ubuntu source for trixie"):
        choose_release(TARGETS, "trixie")


@pytest.mark.parametrize(
    ("routes", "found"),
    [
        ("default via 172.16.0.1 dev eth0\n172.16.0.0/24 dev eth0 proto kernel", False),
        ("10.244.0.0/16 dev flannel", True),
        ("10.96.0.10 dev vpn", True),
        ("10.0.0.0/8 via 172.16.0.2 dev vpn", True),
        ("local 10.244.0.1 dev cni0 table local", True),
        ("fe80::/64 dev eth0\nff00::/8 dev eth0 table local", False),
    ],
)
def test_addresses_in_use_are_noticed(routes, found):
    assert bool(overlapping(routes, ("10.244.0.0/24", "10.96.0.0/16"))) is found


def test_each_behavior_is_played_by_one_stage_that_notes_what_it_played():
    pods = [stage for stage in stages() if stage["spec"]["resourceRef"]["kind"] == "Pod"]
    behaviors = {}
    for stage in pods:
        wishes = [rule for rule in stage["spec"]["selector"]["matchExpressions"] if "kwok-behavior" in rule["key"]]
        if wishes:
            [behavior] = wishes[0]["values"]
            behaviors[behavior] = stage
    assert set(behaviors) == {"ready", "never-ready", "crash-loop", "image-pull-error"}
    for behavior, stage in behaviors.items():
        note = "".join(word.capitalize() for word in behavior.split("-"))
        [done] = [rule for rule in stage["spec"]["selector"]["matchExpressions"] if rule["operator"] == "NotIn"]
        assert done["values"] == [note]
        assert f"reason: {note}," in stage["spec"]["steps"][0]["patch"]["template"]


def test_kwoks_configuration_is_a_file_of_yaml_documents():
    kinds = [document["kind"] for document in yaml.safe_load_all(config())]
    assert kinds[0] == "KwokConfiguration"
    assert set(kinds[1:]) == {"Stage"}


def rewritten(pod: dict[str, str]) -> dict[str, str] | None:
    """What Prometheus' relabelling makes of a pod's discovered labels; None when it drops the target."""
    labels = {"__address__": "10.244.0.9:1", "__metrics_path__": "/metrics", **pod}
    for rule in prometheus_config("1s", "gateway:1")["scrape_configs"][0]["relabel_configs"]:
        value = rule.get("separator", ";").join(labels.get(name, "") for name in rule["source_labels"])
        match = re.fullmatch(rule.get("regex", "(.*)"), value)
        action = rule.get("action", "replace")
        if (action == "keep" and not match) or (action == "drop" and match):
            return None
        if action == "replace" and match:
            replacement = re.sub(r"\$(\d)", r"\\\1", rule.get("replacement", "$1"))
            labels[rule["target_label"]] = match.expand(replacement)
    return labels


POD = {
    "__meta_kubernetes_namespace": "team",
    "__meta_kubernetes_pod_name": "fraud-1",
    "__meta_kubernetes_pod_ip": "10.244.0.9",
    "__meta_kubernetes_pod_phase": "Running",
    "__meta_kubernetes_pod_container_init": "false",
}
PREFIX = "__meta_kubernetes_pod_annotation_prometheus_io_"


def test_pods_are_scraped_only_when_they_ask_and_where_they_ask():
    assert rewritten(POD) is None
    asked = rewritten({**POD, f"{PREFIX}scrape": "true", f"{PREFIX}port": "8000", f"{PREFIX}path": "/numbers"})
    assert asked is not None
    assert asked["__address__"] == "10.244.0.9:8000"
    assert asked["__metrics_path__"] == "/numbers"
    assert (asked["namespace"], asked["pod"]) == ("team", "fraud-1")


def test_without_port_and_path_the_declared_port_and_the_usual_path_are_used():
    asked = rewritten({**POD, f"{PREFIX}scrape": "true"})
    assert asked is not None
    assert asked["__address__"] == "10.244.0.9:1"
    assert asked["__metrics_path__"] == "/metrics"


def test_pods_that_do_not_run_are_not_scraped():
    assert rewritten({**POD, f"{PREFIX}scrape": "true", "__meta_kubernetes_pod_phase": "Failed"}) is None


def test_kind_maps_the_node_ports_of_the_manifests_to_the_loopback():
    node = kind_config({"gateway": 1, "metrics": 2, "prometheus": 3})["nodes"][0]
    mapped = {port["containerPort"]: port["hostPort"] for port in node["extraPortMappings"]}
    services = [item for wave in manifests("1s") for item in wave if item["kind"] == "Service"]
    assert set(mapped) == {port["nodePort"] for service in services for port in service["spec"]["ports"]}
    assert {port["listenAddress"] for port in node["extraPortMappings"]} == {"127.0.0.1"}


def test_the_prometheus_of_a_registry_is_the_release_of_the_module():
    assert prometheus_release() == "3.16.0"
    [config_map] = [item for wave in manifests("2s") for item in wave if item["kind"] == "ConfigMap"]
    assert json.loads(config_map["data"]["prometheus.yml"])["global"]["scrape_interval"] == "2s"
