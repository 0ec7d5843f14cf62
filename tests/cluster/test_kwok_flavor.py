"""Pods of the kwok flavor behave as their annotations and variables ask."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.cluster import Flavor, find_info, make_cluster
from tests.cluster.kind_manifests import manifests
from tests.cluster.local.objects import Kubectl

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

BEHAVIOR = "modelrollout.dev/kwok-behavior"
DELAY = "modelrollout.dev/kwok-ready-delay"


@pytest.fixture(scope="module")
def kubectl() -> Kubectl:
    info = make_cluster("local", Flavor.KWOK).up()
    return Kubectl(info.kubectl, info.kubeconfig)


@pytest.fixture
def namespace(kubectl: Kubectl) -> Iterator[str]:
    name = f"kwok-{time.time_ns():x}"
    kubectl("create", "namespace", name)
    until(lambda: "default" in kubectl("get", "serviceaccounts", "-n", name, "-o", "name"))
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


def until(condition: Callable[[], bool], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not become true in time"
        time.sleep(0.05)


def pod(
    name: str, annotations: dict[str, str] | None = None, variables: dict[str, str] | None = None
) -> dict[str, Any]:
    env = [{"name": key, "value": value} for key, value in (variables or {}).items()]
    container = {"name": "server", "image": "none", "env": env}
    metadata = {"name": name, "annotations": annotations or {}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}}


def create(kubectl: Kubectl, namespace: str, made: dict[str, Any]) -> None:
    kubectl("create", "-n", namespace, "-f", "-", stdin=json.dumps(made))


def look(kubectl: Kubectl, namespace: str, name: str) -> dict[str, Any]:
    return json.loads(kubectl("get", "pod", name, "-n", namespace, "-o", "json"))


def is_ready(kubectl: Kubectl, namespace: str, name: str) -> bool:
    conditions = look(kubectl, namespace, name)["status"].get("conditions", [])
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def waiting_reason(kubectl: Kubectl, namespace: str, name: str) -> str:
    statuses = look(kubectl, namespace, name)["status"].get("containerStatuses", [])
    return statuses[0]["state"].get("waiting", {}).get("reason", "") if statuses else ""


def test_a_plain_pod_gets_an_address_and_becomes_ready(kubectl, namespace):
    create(kubectl, namespace, pod("plain"))
    until(lambda: is_ready(kubectl, namespace, "plain"))
    assert look(kubectl, namespace, "plain")["status"]["podIP"]


def test_readiness_waits_for_the_delay(kubectl, namespace):
    create(kubectl, namespace, pod("slow", annotations={DELAY: "3s"}))
    began = time.monotonic()
    until(lambda: is_ready(kubectl, namespace, "slow"))
    assert 2.0 < time.monotonic() - began < 10


@pytest.mark.parametrize(
    ("behavior", "reason"),
    [("crash-loop", "CrashLoopBackOff"), ("image-pull-error", "ImagePullBackOff")],
)
def test_a_variable_makes_a_container_wait_with_the_reason(kubectl, namespace, behavior, reason):
    create(kubectl, namespace, pod("bad", variables={"KWOK_BEHAVIOR": behavior}))
    until(lambda: waiting_reason(kubectl, namespace, "bad") == reason)
    assert not is_ready(kubectl, namespace, "bad")


def test_an_annotation_changes_a_running_pod_and_wins_over_the_variable(kubectl, namespace):
    create(kubectl, namespace, pod("moody", variables={"KWOK_BEHAVIOR": "never-ready"}))
    until(lambda: look(kubectl, namespace, "moody")["status"]["phase"] == "Running")
    assert not is_ready(kubectl, namespace, "moody")
    address = look(kubectl, namespace, "moody")["status"]["podIP"]
    kubectl("annotate", "pod", "moody", "-n", namespace, f"{BEHAVIOR}=ready")
    until(lambda: is_ready(kubectl, namespace, "moody"))
    kubectl("annotate", "pod", "moody", "-n", namespace, f"{BEHAVIOR}=crash-loop", "--overwrite")
    until(lambda: not is_ready(kubectl, namespace, "moody"))
    kubectl("annotate", "pod", "moody", "-n", namespace, f"{BEHAVIOR}=ready", "--overwrite")
    until(lambda: is_ready(kubectl, namespace, "moody"))
    assert look(kubectl, namespace, "moody")["status"]["podIP"] == address


def test_a_deleted_pod_goes(kubectl, namespace):
    create(kubectl, namespace, pod("gone"))
    until(lambda: is_ready(kubectl, namespace, "gone"))
    kubectl("delete", "pod", "gone", "-n", namespace, "--timeout=10s")
    assert "gone" not in kubectl("get", "pods", "-n", namespace, "-o", "name")


def test_the_manifests_for_kind_are_accepted_by_an_api_server(kubectl):
    namespaces, objects = manifests("1s")
    kubectl.apply(namespaces)
    document = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    said = kubectl("create", "--dry-run=server", "--validate=strict", "-f", "-", stdin=document)
    assert said.count("created (server dry run)") == len(objects)
    for made in namespaces:
        kubectl("delete", "namespace", made["metadata"]["name"], "--wait=false")


def test_a_second_process_finds_the_cluster(kubectl):
    info = find_info("kwok")
    assert info is not None
    assert info.kubeconfig.is_file()
