"""What happens to a cluster: nodes go, pods are evicted, images vanish, quotas end, namespaces are deleted, somebody interferes."""

import json

import pytest

from tests.api.lives.conftest import lived
from tests.harness.life import steadily
from tests.harness.watching import WATCHED

ALL = [("1", 100), ("2", 10), ("2", 50), ("2", 100)]
SHORT = [{"name": "tenth", "weight": 10, "hold": "2s"}, {"name": "half", "weight": 50, "hold": "2s"}]


def at_tenth(life, **fields):
    life.begin("1")
    life.apply("2", **fields)
    life.waits("tenth")


def goes_on(life) -> None:
    life.waits("tenth")
    life.accepted("Approve", "tenth")
    life.waits("half")
    life.accepted("Approve", "half")
    life.healthy("2")


@pytest.fixture
def node(life, cluster):
    """A node of the test's own, for pods that ask for it. Returns its manifest."""
    name = f"node-{life.namespace}"
    labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "pool": name}
    taints = [{"key": "pool", "value": name, "effect": "NoSchedule"}]
    manifest = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}
    manifest |= {"spec": {"taints": taints}}
    assert cluster.kubectl.apply(manifest).code == 0
    yield manifest
    cluster.kubectl("delete", "node", name, "--ignore-not-found")


def on(node) -> dict:
    """A template whose pods run on that node only."""
    name = node["metadata"]["name"]
    return {"spec": {"nodeSelector": {"pool": name}, "tolerations": [{"key": "pool", "operator": "Exists"}]}}


def test_a_node_that_goes_with_all_pods_of_the_candidate_gives_their_traffic_to_stable(life, cluster, node):
    at_tenth(life, template=on(node), rollout={"unavailableDeadline": "10m"})
    kept = life.pods("1").keys()
    cluster.kubectl.ok("delete", "node", node["metadata"]["name"])
    for pod in life.pods("2").values():  # as the collector of orphaned pods does it, after its forty seconds
        life.kubectl.ok("delete", "pod", pod["metadata"]["name"], "--force", "--grace-period=0")
    life.carries(v1=100)
    life.until(lambda status: "cannot be scheduled" in status["message"], "the reason is told")
    assert life.pods("1").keys() == kept
    assert cluster.kubectl.apply(node).code == 0
    life.carries(v1=90, v2=10)
    goes_on(life)
    assert life.timeline() == [("1", 100), ("2", 10), ("2", 0), ("2", 10), ("2", 50), ("2", 100)]


def test_a_candidate_whose_pods_are_evicted_again_and_again_goes_on_when_that_ends(life):
    at_tenth(life)
    kept = life.pods("1").keys()
    for _ in range(4):
        pods = life.pods("2")
        for pod in pods.values():
            _evict(life, pod["metadata"]["name"])
        life.observer.until(lambda pods=pods: life.pods("2").keys() - pods.keys(), "a new pod is there")
        life.ready("2", 1)
    goes_on(life)
    assert life.pods("2").keys().isdisjoint(kept)
    assert {weight for version, weight in life.timeline() if version == "2"} <= {0, 10, 50, 100}
    assert life.outcomes()[-1] == ("2", "Promoted")
    assert life.status["rejected"] == []


def _evict(life, pod: str) -> None:
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": life.namespace}}
    life.objects.ask("POST", f"/api/v1/namespaces/{life.namespace}/pods/{pod}/eviction", eviction)


def test_an_image_that_is_deleted_under_a_running_candidate_is_named_and_stable_serves(life):
    at_tenth(life, rollout={"unavailableDeadline": "10m"})
    life.behave("2", "image-pull-error")
    life.carries(v1=100)
    life.until(lambda status: "ImagePullBackOff" in status["message"], "the reason is told")
    life.edit(rollout={"unavailableDeadline": "1s"})
    life.taken_back("2")
    assert life.outcomes()[-1] == ("2", "Failed")


def test_a_quota_that_is_exhausted_is_named_and_when_it_is_raised_the_rollout_goes_on(life):
    life.begin("1")
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "pods"}, "spec": {"hard": {"pods": "2"}}}
    assert life.kubectl.apply(quota).code == 0
    life.kubectl.ok("wait", "--for=jsonpath={.status.used.pods}=2", "--timeout=60s", "resourcequota/pods")
    life.apply("2")
    status = life.until(lambda status: "exceeded quota: pods" in status["message"], "the quota is named")
    assert status["phase"] == "Loading"
    assert life.timeline() == [("1", 100)]
    quota["spec"]["hard"]["pods"] = "20"
    assert life.kubectl.apply(quota).code == 0
    life.waits("tenth")
    assert "quota" not in life.message


def test_a_namespace_that_is_being_deleted_makes_the_operator_quiet_there_and_others_go_on(
    life, cluster, server, tmp_path
):
    with lived(cluster.kubectl, server, tmp_path, {}) as leaving:
        both = {"namespaces": [life.namespace, leaving.namespace]}
        life.operator.settings |= both
        life.operator._namespace = ""
        leaving.operator = life.operator
        at_tenth(life)
        at_tenth(leaving)
        hold = {"metadata": {"finalizers": ["example.com/slow"]}}
        leaving.objects.patch("ModelDeployment", "fraud", hold)
        leaving.kubectl.ok("delete", "namespace", leaving.namespace, "--wait=false")
        for kind in WATCHED:
            if kind != "ModelDeployment":  # its finalizer holds it
                leaving.observer.until(lambda kind=kind: not leaving.observer.all(kind), f"each {kind} is gone")
        life.sentinel()
        quiet = len(leaving.observer.history())
        lines = len(life.operator.lines())
        life.accepted("Approve", "tenth")
        life.waits("half")
        steadily(life, lambda: len(leaving.observer.history()) == quiet, 5, "nothing is written there any more")
        here = [line for line in life.operator.lines()[lines:] if leaving.namespace in json.dumps(line)]
        assert not here, here[:3]
        life.accepted("Approve", "half")
        life.healthy("2")
        leaving.objects.patch("ModelDeployment", "fraud", {"metadata": {"finalizers": None}})
        leaving.gone("ModelDeployment", "fraud")
    assert life.timeline() == ALL


def test_while_a_gateway_restarts_no_weight_rises(life):
    life.begin("1", steps=SHORT)
    life.apply("2", steps=SHORT)
    life.until(lambda status: (status.get("step") or {}).get("appliedAt"), "the first step has begun")
    life.gateway.hold()
    life.objects.patch("HTTPRoute", "fraud", {"status": {"parents": []}}, "status", manager="gateway")
    assert life.status["step"]["name"] == "tenth", "too late"
    steadily(life, lambda: life.timeline() == ALL[:2], 5, "no weight rises")
    life.carries(v1=90, v2=10)
    assert "oute" in life.message, life.message
    life.gateway.release()
    life.healthy("2")
    assert life.timeline() == ALL


def test_an_autoscaler_that_fights_over_the_pods_is_put_right_each_time_and_named(life):
    at_tenth(life)
    name = life.deployment("1")
    for _ in range(5):
        version = int(_scaled(life, name, 1)["metadata"]["resourceVersion"])
        life.observer.until(lambda version=version: _restored(life, name, version), "it is put right")
    life.observer.until(lambda: life.events().get("DriftCorrected") == "Warning", "an Event tells of it")
    life.pods_are("1", 2)
    life.ready("1", 2)
    goes_on(life)
    assert life.outcomes()[-1] == ("2", "Promoted")


def _scaled(life, name: str, replicas: int):
    return life.objects.patch("Deployment", name, {"spec": {"replicas": replicas}}, "scale", manager="autoscaler")


def _restored(life, name: str, version: int) -> bool:
    last = life.observer.history("Deployment", name)[-1]
    return last.version > version and last.raw["spec"]["replicas"] == 2


def test_records_that_somebody_deletes_in_mid_step_take_nothing_along(life):
    at_tenth(life)
    kept = {*life.pods("1"), *life.pods("2")}
    for record in life.objects.list("ControllerRevision"):
        life.objects.delete("ControllerRevision", record["metadata"]["name"])
    life.sentinel()
    assert {*life.pods("1"), *life.pods("2")} == kept
    life.carries(v1=90, v2=10)
    plan = life.status["plan"]
    life.observer.until(lambda: life.observer.now("ControllerRevision", plan), "the plan's record is made again")
    goes_on(life)
    assert life.timeline() == ALL


def test_a_record_that_is_lost_while_the_operator_is_down_is_named_and_the_route_stays(life):
    at_tenth(life)
    kept = {*life.pods("1"), *life.pods("2")}
    life.operator.kill()
    record = life.objects.get("ControllerRevision", life.deployment("1"))
    life.objects.delete("ControllerRevision", record["metadata"]["name"])
    life.operator.start()
    life.reason("RecordMissing")
    assert record["metadata"]["name"] in life.message
    approval = life.command("Approve", "tenth")
    life.outcome(approval)
    life.sentinel()
    steadily(life, lambda: set(life.route().values()) == {9000, 1000}, 2, "the route stays")
    assert {*life.pods("1"), *life.pods("2")} >= kept
    entry = life.observer.now("Service", "fraud")["spec"]["selector"]
    assert entry["modelrollout.dev/revision"] == life.revision("1"), "callers of the entry Service reach stable"
    for name in ("uid", "resourceVersion", "creationTimestamp", "managedFields"):
        record["metadata"].pop(name, None)
    life.objects.create(record, manager="modelrollout")
    life.until(lambda status: status["summary"]["reason"] != "RecordMissing", "the record is there again")
    if ("2", 50) not in life.timeline():
        life.accepted("Approve", "tenth")
    life.waits("half")
    life.accepted("Approve", "half")
    life.healthy("2")


@pytest.mark.parametrize("kind", ["HTTPRoute", "Service", "Deployment"])
def test_a_child_that_somebody_deletes_in_mid_step_comes_back_and_no_weight_is_lost(life, kind):
    at_tenth(life)
    stable = life.pods("1").keys()
    name = {"HTTPRoute": "fraud", "Service": life.deployment("2"), "Deployment": life.deployment("2")}[kind]
    uid = life.observer.now(kind, name)["metadata"]["uid"]
    life.objects.delete(kind, name, propagationPolicy="Background")
    life.observer.until(
        lambda: (life.observer.now(kind, name) or {"metadata": {"uid": uid}})["metadata"]["uid"] != uid,
        f"the {kind} is made again",
    )
    life.carries(v1=90, v2=10)
    goes_on(life)
    assert life.pods("1").keys() <= stable
    assert life.outcomes()[-1] == ("2", "Promoted")
