"""The operator is killed and started again, at every state and between any two writes. It goes on from what is recorded."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness.life import carried
from tests.harness.process import Operator
from tests.harness.proxy import Fate, Proxy
from tests.harness.specs import SWIFT, slow

State = Callable[..., None]


def loading(life):
    life.begin("1")
    life.apply("2", env=slow("6s"))
    life.reason("ModelLoading")


def first_weight_pending(life):
    life.begin("1")
    life.apply("2")
    life.reason("WarmingUp")


def waiting_for_approval(life):
    life.begin("1")
    life.apply("2")
    life.waits("tenth")


def route_pending(life):
    waiting_for_approval(life)
    life.gateway.hold()
    life.accepted("Approve", "tenth")
    life.carries(v1=50, v2=50)


def paused(life):
    waiting_for_approval(life)
    life.accepted("Pause")
    life.reason("PausedByCommand")


def at_all_traffic(life):
    waiting_for_approval(life)
    life.accepted("Approve", "tenth")
    life.waits("half")
    life.gateway.hold()
    life.accepted("Approve", "half")
    life.carries(v2=100)


STEPS_LEFT = {
    loading: ("tenth", "half"),
    first_weight_pending: ("tenth", "half"),
    waiting_for_approval: ("tenth", "half"),
    route_pending: ("half",),
    paused: ("tenth", "half"),
    at_all_traffic: (),
}


@pytest.mark.parametrize("state", STEPS_LEFT, ids=lambda state: state.__name__)
def test_an_operator_that_is_killed_goes_on_to_the_promotion(life, state):
    state(life)
    before = life.pods("1").keys() | life.pods("2").keys()
    weights = life.timeline()
    life.operator.kill()
    life.gateway.release()
    life.operator.start(wait=False)
    life.sentinel()
    if state is paused:
        life.reason("PausedByCommand")
        assert life.timeline() == weights
        life.accepted("Resume")
    for step in STEPS_LEFT[state]:
        life.waits(step)
        life.accepted("Approve", step)
    life.healthy("2")
    assert before <= life.pods("1").keys() | life.pods("2").keys()
    assert life.timeline() == [("1", 100), ("2", 10), ("2", 50), ("2", 100)]
    assert life.outcomes() == [("1", "Promoted"), ("2", "Promoted")]


def test_an_operator_that_is_killed_in_a_rollback_ends_it(life):
    waiting_for_approval(life)
    life.gateway.hold()
    life.accepted("Abort")
    life.carries(v1=100)
    life.operator.kill()
    life.gateway.release()
    life.operator.start(wait=False)
    life.taken_back("2")
    life.carries(v1=100)
    assert life.timeline() == [("1", 100), ("2", 10), ("2", 0)]


def test_an_abort_that_came_while_it_was_down_is_taken_first(life):
    waiting_for_approval(life)
    life.operator.kill()
    approve, abort = life.command("Approve", "tenth"), life.command("Abort")
    life.operator.start(wait=False)
    assert life.outcome(abort)["outcome"] == "Accepted"
    assert life.outcome(approve)["outcome"] == "Refused"
    life.taken_back("2")
    assert life.timeline() == [("1", 100), ("2", 10), ("2", 0)]


def test_a_version_that_was_applied_and_reverted_while_it_was_down_leaves_no_trace(life):
    life.begin("1")
    life.operator.kill()
    life.apply("2")
    life.apply("1")
    life.operator.start(wait=False)
    life.healthy("1")
    assert life.timeline() == [("1", 100)]


def test_what_changed_while_it_was_down_is_put_right(life):
    waiting_for_approval(life)
    life.operator.kill()
    life.objects.delete("HTTPRoute", "fraud")
    life.objects.patch("Deployment", life.deployment("1"), {"spec": {"replicas": 0}})
    life.gone("HTTPRoute", "fraud")
    life.operator.start(wait=False)
    life.carries(v1=90, v2=10)
    life.pods_are("1", 2)
    life.waits("tenth")


def test_a_warm_former_version_leaves_in_time_although_the_operator_was_down(life):
    warm = {"scaleDownDelay": "3s"}
    life.begin("1", rollout=warm)
    life.promote("2", rollout=warm)
    life.operator.kill()
    life.operator.start(wait=False)
    life.pods_are("1", 0)
    life.healthy("2")


def test_a_hold_is_not_shortened_by_restarts(life):
    steps = [{"name": "tenth", "weight": 10, "hold": "15s"}]
    life.begin("1", steps=steps)
    life.apply("2", steps=steps)
    for _ in range(2):
        life.until(lambda status: (status.get("step") or {}).get("appliedAt"), "the step has begun")
        life.operator.kill()
        life.operator.start()
        life.sentinel()
    life.healthy("2")
    ends = [sight for sight in life.observer.history("HTTPRoute") if _share(life, sight.raw) == 10_000]
    begins = [sight for sight in life.observer.history("HTTPRoute") if _share(life, sight.raw) == 1000]
    assert ends[0].at - begins[0].at > 15.0


def _share(life, route) -> int:
    return next((weight for revision, weight in carried("fraud", route).items() if revision.startswith("2-")), 0)


def test_a_stopped_operator_ends_cleanly_and_gives_its_lease_back(life, tmp_path):
    settings = {"leadership": {"name": "lives", "namespace": life.namespace}}
    life.operator = Operator(
        tmp_path, Path(life.kubectl.environment["KUBECONFIG"]), life.namespace, settings, lease=True
    )
    life.begin("1")
    assert life.kubectl.ok("get", "lease", "lives", "-o", "jsonpath={.spec.holderIdentity}")
    assert life.operator.stop() == 0
    assert not life.kubectl.ok("get", "lease", "lives", "-o", "jsonpath={.spec.holderIdentity}")
    life.apply("2", steps=SWIFT)
    life.operator.start(wait=False)
    life.healthy("2")


def test_the_accepted_plan_outlives_a_restart_while_the_spec_is_broken(life):
    waiting_for_approval(life)
    life.edit(server={"runtime": "Unknown"})
    life.reason("InvalidSpec")
    life.operator.kill()
    life.operator.start(wait=False)
    life.accepted("Approve", "tenth")
    life.carries(v1=50, v2=50)
    life.until(lambda status: status["step"]["name"] == "half", "the recorded plan is gone by")
    assert 'no runtime "Unknown"' in life.message


def test_an_upgrade_that_renders_pods_differently_restarts_none(life):
    waiting_for_approval(life)
    before = life.pods("1").keys() | life.pods("2").keys()
    life.operator.stop()
    life.operator.start("tests.harness.upgraded")
    life.sentinel()
    for step in ("tenth", "half"):
        life.waits(step)
        life.accepted("Approve", step)
    life.healthy("2")
    assert before <= life.pods("1").keys() | life.pods("2").keys()
    life.apply("3")
    life.waits("tenth")
    [pod] = life.pods("3").values()
    assert pod["spec"]["terminationGracePeriodSeconds"] == 77, "the other release makes new versions its own way"
    life.operator.stop()
    life.operator.start()
    life.waits("tenth")
    life.accepted("Promote")
    life.healthy("3")
    assert pod["metadata"]["uid"] in life.pods("3")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("fate", [Fate.KILL_BEFORE, Fate.KILL_AFTER], ids=["before", "after"])
@pytest.mark.parametrize("story", ["promotion", "rollback"])
def test_an_operator_that_is_killed_between_any_two_writes_goes_on(life, server, tmp_path, fate, story):
    def kill() -> None:
        life.operator.kill()

    proxy = Proxy(server, fate, kill, every=3)
    life.operator = Operator(tmp_path, proxy.kubeconfig(tmp_path), life.namespace)
    brief = {"keepFailed": "2s", "scaleDownDelay": "2s"}

    def alive(condition, what):
        def found():
            if not life.operator.running:
                life.operator.start(wait=False)
            status = (life.observer.now("ModelDeployment", "fraud") or {}).get("status") or {}
            return condition(status) if status.get("summary") else None

        life.observer.until(found, what, seconds=500)

    try:
        life.apply("1", steps=SWIFT, rollout=brief)
        alive(lambda status: status["phase"] == "Healthy", "version 1 is healthy")
        if story == "promotion":
            life.apply("2", steps=SWIFT, rollout=brief)
            alive(lambda status: status["summary"]["stable"] == "2", "version 2 is stable")
        else:
            life.apply("2", rollout=brief)
            alive(lambda status: status["summary"]["reason"] == "ApprovalRequired", "version 2 waits")
            life.command("Abort")
            alive(lambda status: status["phase"] == "RolledBack", "version 2 is taken back")
        alive(lambda status: len(status["revisions"]) == 1, "the other version is gone")
        assert len(proxy.struck) >= 8
    finally:
        proxy.fate = Fate.PASS
        life.operator.kill() if life.operator.running else None
        proxy.close()
    stable = "2" if story == "promotion" else "1"
    assert len(life.pods(stable)) == 2
    life.carries(**{f"v{stable}": 100})
    assert life.outcomes() == [("1", "Promoted"), ("2", "Promoted" if story == "promotion" else "Aborted")]
