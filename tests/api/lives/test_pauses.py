"""Pauses stop advances and nothing else."""

from tests.harness.specs import SWIFT, behaving, slow


def test_a_pause_in_the_spec_holds_the_step_until_it_is_lifted(life):
    life.begin("1")
    life.apply("2")
    life.waits("tenth")
    life.edit(rollout={"paused": True})
    life.reason("PausedBySpec")
    life.accepted("Approve", "tenth")
    life.sentinel()
    assert life.status["phase"] == "Paused"
    assert "spec.rollout.paused is true" in life.message
    life.carries(v1=90, v2=10)
    life.edit(rollout={"paused": False})
    life.waits("half")


def test_a_pause_by_command_is_ended_by_resume(life):
    life.begin("1")
    life.apply("2")
    life.waits("tenth")
    life.accepted("Pause")
    life.reason("PausedByCommand")
    assert "paused by alice" in life.message
    assert "already paused" in life.refused("Pause")
    life.accepted("Approve", "tenth")
    life.sentinel()
    life.carries(v1=90, v2=10)
    life.accepted("Resume")
    life.waits("half")


def test_a_version_that_is_applied_paused_gets_no_traffic_before_it_is_resumed(life):
    life.begin("1", steps=SWIFT)
    life.apply("2", steps=SWIFT, rollout={"paused": True})
    life.reason("PausedBySpec")
    life.ready("2", 1)
    assert life.timeline() == [("1", 100)]
    life.edit(rollout={"paused": False})
    life.healthy("2")


def test_a_pause_does_not_stop_an_abort(life):
    life.begin("1")
    life.apply("2")
    life.waits("tenth")
    life.accepted("Pause")
    life.reason("PausedByCommand")
    life.accepted("Abort")
    life.taken_back("2")
    life.carries(v1=100)
    assert "paused" not in life.status


def test_a_load_deadline_ends_within_a_pause(life):
    life.begin("1")
    life.apply("2", env=behaving("never-ready"), rollout={"paused": True, "loadDeadline": "3s"})
    life.taken_back("2", phase="Failed")
    assert life.reason("ModelLoadFailed")
    life.carries(v1=100)


def test_a_load_deadline_that_outlasts_a_pause_changes_nothing(life):
    life.begin("1")
    life.apply("2", env=slow("3s"), rollout={"paused": True, "loadDeadline": "2m"})
    life.reason("ModelLoading")
    life.ready("2", 1)
    life.reason("PausedBySpec")
    life.edit(rollout={"paused": False})
    life.waits("tenth")
    life.carries(v1=90, v2=10)


def test_scaling_while_paused_changes_pods_and_no_weight(life):
    life.begin("1")
    life.apply("2")
    life.waits("tenth")
    life.accepted("Approve", "tenth")
    life.waits("half")
    life.accepted("Pause")
    life.reason("PausedByCommand")
    life.edit(replicas=4)
    life.pods_are("1", 4)
    life.observer.until(lambda: len(life.pods("2")) >= 2, "the candidate has what half of the traffic needs")
    life.sentinel()
    assert life.status["phase"] == "Paused"
    life.carries(v1=50, v2=50)
    assert life.timeline() == [("1", 100), ("2", 10), ("2", 50)]


def test_promote_goes_on_in_spite_of_a_pause(life):
    life.begin("1")
    life.apply("2")
    life.waits("tenth")
    life.accepted("Pause")
    life.accepted("Promote")
    life.healthy("2")
