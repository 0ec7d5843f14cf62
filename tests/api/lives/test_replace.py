"""Replace: stop, start, watch, return; one version at a time, and the gap is told."""

from tests.api.lives.test_metrics import ERRORS, judged
from tests.harness.life import conditions, steadily
from tests.harness.specs import behaving, slow
from tests.harness.traffic import Answers

SHORT = {"strategy": "Replace", "steps": [{"weight": 100, "hold": "2s"}]}
LONG = {"strategy": "Replace", "steps": [{"weight": 100, "hold": "1h"}]}


def alone(life):
    """No two versions had pods at the same time, those on their way out counted."""
    living = {}
    for sight in life.observer.history("Pod"):
        name = sight.name
        if sight.gone:
            living.pop(name, None)
            continue
        living[name] = sight.raw["metadata"]["labels"]["modelrollout.dev/revision"]
        assert len(set(living.values())) <= 1, f"at once: {living}"


def reasons(life):
    return [entry["reason"] for entry in life.status["conditions"] if entry["type"] == "Available"]


def test_the_old_version_stops_the_new_one_starts_and_is_promoted_after_its_bake(life):
    life.begin("1", rollout=SHORT)
    life.apply("2", rollout=SHORT, env=slow("4s"))
    life.until(lambda status: status.get("down"), "stable is down by order")
    life.reason("ModelLoading")
    assert "Nothing answers since" in life.message
    assert "expected back about" in life.message, "version 1 was measured when it loaded"
    available = conditions(life.status)["Available"]
    assert (available["status"], available["reason"]) == ("False", "Replacing")
    life.healthy("2")
    assert "down" not in life.status
    assert life.timeline() == [("1", 100), ("2", 100)]
    assert {"StoppedForReplacement", "ServingAgain"} <= life.events().keys()
    life.pods_are("1", 0)
    alone(life)


def test_a_model_that_does_not_load_gives_its_place_back(life):
    life.begin("1", rollout=SHORT)
    life.apply("2", rollout=SHORT | {"loadDeadline": "5s"}, env=behaving("never-ready"))
    life.taken_back("2", phase="Failed")
    life.ready("1", 2)
    life.until(lambda status: "down" not in status, "version 1 answers again")
    assert life.timeline() == [("1", 100)]
    assert life.outcomes()[-1] == ("2", "Failed")
    alone(life)


def test_a_breach_in_the_bake_stops_the_new_version_and_starts_the_old_one(life, traffic):
    fields = judged(ERRORS) | {"steps": None, "rollout": LONG}
    life.begin("1", **fields)
    life.apply("2", **fields)
    life.carries(v2=100)
    life.reason("AnalysisPassing")
    assert "down" not in life.status
    traffic.answers["2"] = Answers(errors=0.5)
    life.until(lambda status: status["phase"] == "RollingBack" and status.get("down"), "the way back is told")
    life.taken_back("2")
    life.ready("1", 2)
    life.carries(v1=100)
    life.reason("ErrorRateTooHigh")
    assert life.timeline() == [("1", 100), ("2", 100), ("2", 0)]
    alone(life)


def test_a_pause_and_an_abort_before_and_after_the_stop(life):
    life.begin("1", rollout=SHORT)
    former = life.pods("1").keys()
    life.apply("2", rollout=SHORT | {"paused": True}, env=slow("30s"))
    life.reason("PausedBySpec")
    steadily(life, lambda: life.pods("1").keys() == former, 3, "a pause stops nothing")
    life.apply("2", rollout=SHORT, env=slow("30s"))
    life.reason("ModelLoading")
    life.accepted("Abort")
    life.taken_back("2")
    life.ready("1", 2)
    assert life.timeline() == [("1", 100)]
    alone(life)


def test_an_operator_that_is_killed_goes_on_in_each_part(life):
    life.begin("1", rollout=SHORT)
    life.apply("2", rollout=SHORT, env=slow("3s"))
    life.until(lambda status: status.get("down"), "stable is down by order")
    life.operator.kill()
    life.operator.start(wait=False)
    life.reason("ModelLoading")
    life.operator.kill()
    life.operator.start(wait=False)
    life.carries(v2=100)
    life.operator.kill()
    life.operator.start(wait=False)
    life.healthy("2")
    assert life.timeline() == [("1", 100), ("2", 100)]
    alone(life)


def test_a_newer_version_takes_the_place_and_the_old_one_is_not_started_in_between(life):
    life.begin("1", rollout=LONG)
    life.apply("2", rollout=LONG, env=slow("60s"))
    life.reason("ModelLoading")
    life.apply("3", rollout=LONG)
    life.carries(v3=100)
    life.until(lambda status: "down" not in status, "version 3 answers")
    assert life.timeline() == [("1", 100), ("3", 100)]
    alone(life)


def test_the_strategy_may_be_edited_both_ways_in_mid_rollout(life):
    life.begin("1")
    life.apply("2")
    life.waits("tenth")
    life.apply("2", rollout=LONG)
    life.carries(v2=100)
    life.until(lambda status: status["summary"]["reason"] == "Unjudged", "it bakes")
    life.pods_are("1", 0)
    assert life.timeline() == [("1", 100), ("2", 10), ("2", 0), ("2", 100)]
    life.apply("2", rollout={"scaleDownDelay": "1s"}, steps=[{"weight": 100, "advance": "Approval", "name": "look"}])
    life.pods_are("1", 2)
    life.waits("look")
    life.accepted("Approve", "look")
    life.healthy("2")
