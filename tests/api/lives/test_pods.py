"""Pods that crash, vanish, hang or are restarted."""

import os
import subprocess
import sys

import pytest

from tests.harness.life import conditions, steadily
from tests.harness.process import ROOT
from tests.harness.specs import APPROVED, SWIFT, behaving


def at_tenth(life, **fields):
    life.begin("1")
    life.apply("2", **fields)
    life.waits("tenth")


def test_a_candidate_that_crash_loops_with_a_few_percent_is_taken_back(life):
    life.begin("1")
    life.apply("2", steps=[{"name": "five", "weight": 5, "advance": "Approval"}])
    life.waits("five")
    life.behave("2", "crash-loop")
    life.taken_back("2")
    life.carries(v1=100)
    assert life.reason("CandidateUnstable")
    assert "restarted" in life.message
    assert life.outcomes()[-1] == ("2", "Failed")


def test_a_candidate_without_ready_pods_gives_its_traffic_back_and_may_return(life):
    at_tenth(life)
    life.behave("2", "never-ready")
    life.carries(v1=100)
    life.until(lambda status: status["summary"]["reason"] == "CandidateUnready", "it is told")
    life.behave("2", "ready")
    life.waits("tenth")
    life.carries(v1=90, v2=10)
    assert life.timeline() == [("1", 100), ("2", 10), ("2", 0), ("2", 10)]


def test_a_candidate_that_stays_without_ready_pods_fails(life):
    at_tenth(life, rollout={"unavailableDeadline": "3s"})
    life.behave("2", "never-ready")
    life.taken_back("2")
    assert "had no ready pod for 3s" in life.message


def test_all_candidate_pods_deleted_in_mid_step_come_back_and_the_rollout_ends(life):
    at_tenth(life)
    before = life.pods("2").keys()
    life.kubectl.ok("delete", "pods", "-l", f"modelrollout.dev/revision={life.revision('2')}")
    life.observer.until(lambda: life.pods("2").keys() - before, "new pods are there")
    life.waits("tenth")
    life.accepted("Approve", "tenth")
    life.waits("half")
    life.accepted("Approve", "half")
    life.healthy("2")


def test_all_candidate_pods_deleted_while_it_is_aborted(life):
    at_tenth(life)
    life.gateway.hold()
    life.accepted("Abort")
    life.kubectl.ok("delete", "pods", "-l", f"modelrollout.dev/revision={life.revision('2')}")
    life.gateway.release()
    life.taken_back("2")
    life.carries(v1=100)


def test_a_stable_version_without_ready_pods_pushes_no_traffic_onto_the_candidate(life):
    at_tenth(life)
    life.down("1")
    life.reason("StableUnavailable")
    life.accepted("Approve", "tenth")
    life.sentinel()
    life.carries(v1=90, v2=10)
    assert "kubectl modelrollout promote fraud" in life.message
    life.accepted("Promote")
    life.healthy("2")
    life.carries(v2=100)


def test_an_abort_with_no_stable_pod_waits_for_one_before_traffic_returns(life):
    at_tenth(life)
    life.down("1")
    life.reason("StableUnavailable")
    life.accepted("Abort")
    life.until(lambda status: status["phase"] == "RollingBack", "it is taken back")
    life.sentinel()
    life.carries(v1=90, v2=10)
    life.behave("1", "ready")
    life.taken_back("2")
    life.carries(v1=100)


def test_a_version_that_replaces_one_that_is_down_needs_no_steps(life):
    life.begin("1")
    life.edit(rollout={"loadDeadline": "3s"})
    life.down("1")
    life.until(lambda status: conditions(status)["Available"]["status"] == "False", "stable is down")
    steadily(life, lambda: conditions(life.status)["Available"]["status"] == "False", 5, "it is down for long")
    life.apply("2")
    life.healthy("2")
    assert life.timeline() == [("1", 100), ("2", 100)]


def test_a_first_version_that_never_becomes_ready_fails_and_the_next_one_needs_no_steps(life):
    life.apply("1", env=behaving("never-ready"), rollout={"loadDeadline": "3s"})
    life.operator.start(wait=False)
    life.reason("ModelLoadFailed")
    life.until(lambda status: conditions(status)["Stalled"]["status"] == "True", "it needs a person")
    life.apply("2")
    life.healthy("2")
    assert life.timeline() == [("2", 100)]


def test_a_candidate_that_does_not_load_in_time_moves_no_traffic_and_says_why(life):
    life.begin("1")
    life.apply("2", env=behaving("crash-loop"), rollout={"loadDeadline": "5m"})
    life.until(lambda status: 'container "server"' in status["message"], "the trouble is seen")
    life.edit(rollout={"loadDeadline": "2s"})
    life.taken_back("2", phase="Failed")
    assert "Not ready within 2s" in life.message
    assert life.timeline() == [("1", 100)]
    assert 'container "server"' in life.message
    assert life.outcomes()[-1] == ("2", "Failed")


def test_an_image_that_is_never_pulled_is_named(life):
    life.begin("1")
    life.apply("2", env=behaving("image-pull-error"), rollout={"loadDeadline": "1m"})
    status = life.until(lambda status: "ImagePullBackOff" in status["message"], "it is told")
    assert status["phase"] == "Loading"
    life.apply("1")
    life.healthy("1")


@pytest.mark.parametrize("how", ["kubectl rollout restart", "kubectl modelrollout restart"])
def test_a_restart_of_all_pods_is_no_rollout(life, how):
    life.begin("1")
    before = life.pods("1").keys()
    name = life.deployment("1")
    if how == "kubectl rollout restart":
        life.kubectl.ok("rollout", "restart", f"deployment/{name}")
    else:
        environment = life.kubectl.environment | {"PYTHONPATH": os.pathsep.join([str(ROOT / "operator"), str(ROOT)])}
        words = [
            sys.executable,
            "-c",
            "from modelrollout.cli import main; main()",
            "restart",
            "fraud",
            "-n",
            life.namespace,
        ]
        subprocess.run(words, env=environment, check=True, timeout=60)
    life.observer.until(lambda: len(life.pods("1")) == 2 and not life.pods("1").keys() & before, "all pods are new")
    life.sentinel()
    life.healthy("1")
    annotations = life.observer.now("Deployment", name)["spec"]["template"]["metadata"]["annotations"]
    assert "kubectl.kubernetes.io/restartedAt" in annotations
    assert life.outcomes() == [("1", "Promoted")]


def test_a_disruption_budget_stands_in_the_way_of_nothing(life):
    budget = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "all"},
        "spec": {"minAvailable": "100%", "selector": {"matchLabels": {"modelrollout.dev/deployment": "fraud"}}},
    }
    life.objects.create(budget)
    life.begin("1", rollout={"scaleDownDelay": "0s"})
    life.apply("2", steps=SWIFT, rollout={"scaleDownDelay": "0s"})
    life.healthy("2")
    life.pods_are("1", 0)


def test_behind_a_plain_service_the_share_is_made_of_pods(life):
    life.begin("1", traffic=None, replicas=4, steps=APPROVED[1:])
    life.apply("2", traffic=None, replicas=4, steps=APPROVED[1:])
    life.waits("half")
    counts = {version: len(life.pods(version)) for version in "12"}
    assert counts["1"] == counts["2"] >= 2
    selector = life.observer.now("Service", "fraud")["spec"]["selector"]
    assert "modelrollout.dev/revision" not in selector
    life.accepted("Approve", "half")
    life.healthy("2")
    assert life.observer.now("Service", "fraud")["spec"]["selector"]["modelrollout.dev/revision"] == life.revision("2")
    life.pods_are("2", 4)


def test_behind_a_plain_service_an_abort_deletes_the_candidates_pods(life):
    life.begin("1", traffic=None, replicas=4, steps=APPROVED[1:])
    life.apply("2", traffic=None, replicas=4, steps=APPROVED[1:])
    life.waits("half")
    life.accepted("Abort")
    life.taken_back("2")
    life.pods_are("1", 4)
    life.pods_are("2", 0)
