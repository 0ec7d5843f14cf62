"""Edits of a spec while a rollout is under way, wrong ones included."""

import pytest

from tests.harness.life import conditions
from tests.harness.specs import image, model

APPROVAL = "Approval"


def at_half(life):
    life.begin("1")
    life.apply("2")
    life.waits("tenth")
    life.accepted("Approve", "tenth")
    life.waits("half")


def test_steps_that_are_edited_never_raise_a_weight(life):
    at_half(life)
    steps = [
        {"weight": 20, "advance": APPROVAL},
        {"weight": 40, "advance": APPROVAL},
        {"weight": 80, "advance": APPROVAL},
    ]
    life.apply("2", steps=steps)
    life.waits("weight-40")
    life.carries(v1=60, v2=40)
    assert life.status["summary"]["step"] == "2/4"
    life.accepted("Approve", "weight-40")
    life.waits("weight-80")
    assert life.timeline() == [("1", 100), ("2", 10), ("2", 50), ("2", 40), ("2", 80)]


def test_a_step_that_is_kept_goes_on_under_its_new_number(life):
    at_half(life)
    before = life.status["step"]["appliedAt"]
    life.apply("2", steps=[{"name": "half", "weight": 50, "advance": APPROVAL}])
    life.until(lambda status: status["summary"]["step"] == "1/2", "the step is the first now")
    assert life.status["step"]["appliedAt"] == before
    life.accepted("Approve", "half")
    life.healthy("2")


def test_scaling_up_and_down_in_mid_rollout_keeps_the_weight_and_the_pods(life):
    at_half(life)
    kept = life.pods("2").keys()
    life.edit(replicas=6)
    life.pods_are("1", 6)
    life.observer.until(lambda: len(life.pods("2")) >= 3, "the candidate grows")
    assert kept <= life.pods("2").keys()
    life.edit(replicas=2)
    life.pods_are("1", 2)
    assert life.timeline() == [("1", 100), ("2", 10), ("2", 50)]
    life.carries(v1=50, v2=50)
    life.accepted("Approve", "half")
    life.healthy("2")
    life.pods_are("2", 2)


def test_version_and_replicas_can_change_at_once(life):
    life.begin("1")
    life.promote("2", replicas=4)
    life.pods_are("2", 4)
    assert life.status["replicas"] == 4


@pytest.mark.parametrize("change", ["version", "image"])
def test_a_change_of_the_version_alone_or_of_the_image_alone_is_a_new_revision(life, change):
    life.apply("1", version="7.0")
    life.operator.start(wait=False)
    life.healthy("7.0")
    before = life.role("Stable")["revision"]
    fields = {"version": "7.1"} if change == "version" else {"version": "7.0", "server": {"image": image("9")}}
    life.apply("1", **fields)
    life.waits("tenth")
    candidate = life.role("Candidate")
    assert candidate["version"] == fields["version"]
    assert candidate["revision"] != before
    life.observer.until(lambda: set(life.route().values()) == {9000, 1000}, "it gets a tenth")


def test_a_spec_that_is_broken_in_mid_rollout_changes_nothing_and_is_told(life):
    at_half(life)
    pods = life.pods("1").keys() | life.pods("2").keys()
    life.edit(server={"runtime": "Unknown"})
    status = life.reason("InvalidSpec")
    assert conditions(status)["Stalled"]["status"] == "True"
    assert 'no runtime "Unknown"' in life.message
    life.carries(v1=50, v2=50)
    life.accepted("Approve", "half")
    life.until(lambda status: status["summary"]["stable"] == "2", "the rollout goes on by the accepted plan")
    life.carries(v2=100)
    assert pods <= life.pods("1").keys() | life.pods("2").keys()
    life.edit(server={"runtime": "FastAPI"})
    life.healthy("2")


def test_a_broken_spec_can_be_mended_in_mid_rollout(life):
    at_half(life)
    life.edit(server={"runtime": "Unknown"})
    life.reason("InvalidSpec")
    life.edit(server={"runtime": "FastAPI"})
    life.waits("half")
    assert life.timeline() == [("1", 100), ("2", 10), ("2", 50)]


def test_a_candidate_can_be_aborted_while_the_spec_is_broken(life):
    at_half(life)
    life.edit(server={"runtime": "Unknown"})
    life.reason("InvalidSpec")
    life.accepted("Abort")
    life.carries(v1=100)
    life.until(lambda status: not status["summary"]["candidate"], "the candidate is taken back")
    life.until(lambda status: conditions(status)["Stalled"]["status"] == "True", "it needs a person")


def test_a_first_spec_that_is_broken_says_why_and_is_mended(life):
    life.operator.start(wait=False)
    life.apply("1", server={"runtime": "Unknown"})
    status = life.reason("InvalidSpec")
    assert status["phase"] == "Failed"
    assert "spec.server.runtime" in life.message
    assert life.observer.all("Deployment") == []
    life.apply("1")
    life.healthy("1")


def test_scaling_to_zero_and_back(life):
    life.begin("1")
    life.kubectl.ok("scale", "mdep", "fraud", "--replicas=0")
    status = life.reason("ScaledToZero")
    assert conditions(status)["Ready"]["status"] == "True"
    life.pods_are("1", 0)
    life.kubectl.ok("scale", "mdep", "fraud", "--replicas=3")
    life.healthy("1")
    life.pods_are("1", 3)
    life.until(lambda status: status["summary"]["ready"] == "3/3", "3 of 3 are ready")


def test_a_version_that_arrives_while_scaled_to_zero_needs_no_steps(life):
    life.begin("1", replicas=0)
    life.apply("2", replicas=0)
    life.until(lambda status: status["summary"]["stable"] == "2" and not status["summary"]["candidate"], "2 is stable")
    life.edit(replicas=2)
    life.pods_are("2", 2)
    life.healthy("2")
    assert life.pods("1") == {}


def test_scaling_to_zero_in_mid_rollout_and_back(life):
    at_half(life)
    life.edit(replicas=0)
    life.pods_are("1", 0)
    life.edit(replicas=2)
    life.pods_are("1", 2)
    life.until(lambda status: status["summary"]["candidate"] in ("2", ""), "it goes on")
    life.waits("half")
    life.accepted("Approve", "half")
    life.healthy("2")


def test_a_gateway_can_be_left_for_the_service_router(life):
    life.begin("1")
    pods = life.pods("1").keys()
    life.edit(traffic=None, rollout={"steps": [{"weight": 50}]})
    life.gone("HTTPRoute", "fraud")
    life.healthy("1")
    assert life.pods("1").keys() == pods
    assert life.observer.now("Service", "fraud")["spec"]["selector"]["modelrollout.dev/revision"] == life.revision("1")


def test_the_service_router_can_be_left_for_a_gateway(life):
    life.begin("1", traffic=None, steps=[{"weight": 50}])
    assert life.observer.all("HTTPRoute") == []
    life.objects.apply(model("1"), manager="team")
    life.healthy("1")
    life.carries(v1=100)
