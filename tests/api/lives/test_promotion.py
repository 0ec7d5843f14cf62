"""A version's way to all traffic."""

from datetime import datetime

from tests.harness.life import conditions
from tests.harness.specs import SWIFT, slow


def test_a_first_version_gets_all_traffic_without_steps(life):
    status = life.begin("1")
    assert life.timeline() == [("1", 100)]
    assert life.outcomes() == [("1", "Promoted")]
    assert [entry["role"] for entry in status["revisions"]] == ["Stable"]
    assert conditions(status)["Available"]["status"] == "True"
    life.carries(v1=100)


def test_a_canary_goes_through_its_approved_steps_and_its_pods_become_stable(life):
    life.begin("1")
    life.apply("2")
    life.waits("tenth")
    life.carries(v1=90, v2=10)
    first = life.pods_are("2", 1)
    assert conditions(life.status)["Ready"]["status"] == "False"
    life.accepted("Approve", "tenth")
    life.waits("half")
    life.carries(v1=50, v2=50)
    assert first.keys() <= life.pods("2").keys()
    life.accepted("Approve", "half")
    life.healthy("2")
    life.carries(v2=100)
    assert first.keys() <= life.pods_are("2", 2).keys()
    assert life.timeline() == [("1", 100), ("2", 10), ("2", 50), ("2", 100)]
    assert life.outcomes() == [("1", "Promoted"), ("2", "Promoted")]
    assert life.role("Former")["version"] == "1"
    assert len(life.pods("1")) == 2


def test_an_approval_is_for_its_step_only(life):
    life.begin("1")
    life.apply("2")
    life.waits("tenth")
    assert "is not under way" in life.refused("Approve", "half")
    assert "there is no step 'third'" in life.refused("Approve", "third")
    life.accepted("Approve", "tenth")
    life.waits("half")
    assert life.status["step"].get("approval") is None
    assert "alice" in next(one["message"] for one in life.status["commands"] if one["outcome"] == "Accepted")


def test_steps_end_by_themselves_after_their_hold(life):
    life.begin("1")
    life.apply("2", steps=SWIFT)
    life.healthy("2")
    set_at = {entry["weight"]: entry["at"] for entry in life.status["timeline"] if entry["revision"].startswith("2")}
    applied = [
        sight.raw["status"]["step"]
        for sight in life.observer.history("ModelDeployment")
        if (sight.raw.get("status") or {}).get("step", {}).get("appliedAt")
    ]
    for step, following in (("tenth", 50), ("half", 100)):
        began = next(one["appliedAt"] for one in applied if one["name"] == step)
        assert _seconds(began, set_at[following]) >= 1.0


def test_a_bake_at_100_percent_keeps_the_former_version_warm(life):
    life.begin("1")
    life.apply("2", steps=[{"weight": 50}, {"name": "bake", "weight": 100, "advance": "Approval"}])
    life.waits("bake")
    life.carries(v2=100)
    assert life.role("Stable")["version"] == "1"
    assert life.role("Stable")["replicas"] == 2
    assert life.status["readyReplicas"] == 2
    life.accepted("Approve", "bake")
    life.healthy("2")


def test_the_former_version_leaves_after_its_warm_time_and_its_record_stays(life):
    life.begin("1", rollout={"scaleDownDelay": "3s"})
    life.promote("2", rollout={"scaleDownDelay": "3s"})
    record = life.deployment("1")
    warm = life.role("Former")["warmUntil"]
    life.pods_are("1", 0)
    life.until(lambda status: len(status["revisions"]) == 1, "the former version is gone")
    life.gone("Deployment", record)
    life.gone("Service", record)
    assert life.observer.now("ControllerRevision", record) is not None
    ordered = next(
        sight
        for sight in life.observer.history("Deployment", record)
        if not sight.gone and sight.raw["spec"]["replicas"] == 0
    )
    assert _seconds(warm, _stamp(life, ordered.version)) > -1, "managedFields count whole seconds"


def test_history_is_bounded_and_old_records_go(life):
    life.begin("1", rollout={"scaleDownDelay": "0s"}, steps=[{"weight": 100}])
    for version in range(2, 14):
        life.apply(str(version), rollout={"scaleDownDelay": "0s"}, steps=[{"weight": 100}])
        life.healthy(str(version))
    assert [version for version, _ in life.outcomes()] == [str(version) for version in range(4, 14)]
    life.until(lambda status: len(status["revisions"]) == 1, "all former versions are gone")

    def records() -> list[str]:
        return [one["metadata"]["name"] for one in life.observer.all("ControllerRevision")]

    life.observer.until(lambda: len(records()) <= 11, f"old records are gone: {records()}")


def test_pods_of_a_slow_version_get_no_traffic_before_they_are_ready(life):
    life.begin("1")
    life.apply("2", env=slow("3s"))
    life.reason("ModelLoading")
    assert life.status["phase"] == "Loading"
    life.carries(v1=100)
    life.waits("tenth")


def test_the_routers_word_is_awaited_before_a_step_begins_to_count(life):
    life.begin("1")
    life.apply("2")
    life.waits("tenth")
    life.gateway.hold()
    life.accepted("Approve", "tenth")
    life.carries(v1=50, v2=50)
    life.reason("RoutePending")
    life.sentinel()
    assert "appliedAt" not in life.status["step"]
    life.gateway.release()
    life.waits("half")
    assert life.status["step"]["appliedAt"] > life.status["traffic"]["setAt"]


def test_a_refused_route_is_told_in_the_routers_words(life):
    life.gateway.refuse("hostname is taken by another team")
    life.apply("1")
    life.operator.start(wait=False)
    life.reason("RouteNotAccepted", seconds=90)
    assert "hostname is taken by another team" in life.message
    life.gateway.refuse("")
    life.healthy("1")


def _seconds(earlier: str, later: str) -> float:
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


def _stamp(life, version: int) -> str:
    """When the last status before this version of the store was written."""
    known = [sight for sight in life.observer.history("ModelDeployment") if sight.version <= version]
    return max(one["time"] for one in known[-1].raw["metadata"]["managedFields"] if one["manager"] == "modelrollout")
