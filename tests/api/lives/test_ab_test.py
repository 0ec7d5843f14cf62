"""A/B tests: shares at once and as asked, a bad variant taken out alone, winners and their spec, restarts and edits in the middle."""

import pytest

from tests.api.lives.test_metrics import ERRORS, judged
from tests.api.lives.test_warm_up import WARM_UP
from tests.harness.golden import Golden
from tests.harness.life import steadily
from tests.harness.specs import APPROVED, ab_test
from tests.harness.traffic import Answers

GOAL = {
    "unit": "Request",
    "ratio": {
        "bad": {"series": "http_requests_total", "match": [{"label": "status", "value": "500"}]},
        "total": {"series": "http_requests_total"},
    },
}
WARNED = ERRORS | {"onBreach": "Warn"}


def judged_by(metric, **rollout):
    return judged(metric) | {"steps": None, "rollout": ab_test(**rollout)}


def arm(status, name):
    arms = (status.get("experiment") or {}).get("variants", ())
    return next((found for found in arms if found["name"] == name), {})


def under_way(life):
    life.carries(v1=50, v2=20, v3=30)
    life.until(lambda status: "appliedAt" in (status.get("experiment") or {}), "the shares are in force")
    return life.reason("ExperimentRunning")


def cookies(life):
    """The revisions to which cookies lead."""
    rules = life.observer.now("HTTPRoute", "fraud")["spec"]["rules"]
    return {
        rule["backendRefs"][0]["name"].removeprefix("fraud-").rsplit("-", 1)[0]
        for rule in rules
        if any(header["name"] == "Cookie" for match in rule["matches"] for header in match.get("headers", ()))
    }


def test_a_test_ends_with_the_winner_stable_and_says_what_to_commit(life, traffic):
    traffic.answers = {"1": Answers(errors=0.3), "2": Answers(errors=0.02), "3": Answers(errors=0.3)}
    life.begin("1", **judged(WARNED))
    life.apply("1", **judged_by(WARNED, duration="8s", end="PromoteWinner", goal=GOAL))
    under_way(life)
    pods = life.pods("2").keys()
    life.reason("SpecBehind")
    life.carries(v2=100)
    assert pods <= life.pods("2").keys(), "the winner's pods became stable's"
    assert '{"server":{"image":"registry.example.com/fraud:2"}}' in life.message
    ended = life.status["concluded"][0]
    assert (ended["outcome"], ended["winner"]) == ("Won", "b")
    stable = life.pods("2").keys()
    life.apply("2", **judged(WARNED))
    life.reason("Serving")
    assert life.pods("2").keys() == stable, "what was committed is what runs"
    life.pods_are("3", 0)


def test_without_a_winner_stable_is_kept_and_the_test_is_not_held_again(life):
    life.begin("1")
    life.apply("1", rollout=ab_test(duration="4s", end="KeepStable"))
    under_way(life)
    life.reason("StableKept")
    life.carries(v1=100)
    life.pods_are("2", 0)
    life.pods_are("3", 0)
    set_before = life.timeline()
    steadily(life, lambda: life.timeline() == set_before, 4, "the spec that still names the test does not start it")
    life.edit(rollout={"attempt": 1})
    under_way(life)


def test_a_bad_variant_is_taken_out_alone(life, traffic):
    life.begin("1", **judged(ERRORS))
    life.apply("1", **judged_by(ERRORS, assignment={"type": "Sticky"}))
    under_way(life)
    assert cookies(life) == {"1", "2", "3"}
    traffic.answers["3"] = Answers(errors=0.5)
    life.carries(v1=80, v2=20)
    status = life.until(lambda status: "out" in arm(status, "c"), "variant c is out")
    assert cookies(life) == {"1", "2"}, "nobody is kept on it"
    assert "out" not in arm(status, "b")
    life.reason("ExperimentRunning")
    traffic.answers["3"] = Answers()
    steadily(life, lambda: life.route().get(life.revision("3"), 0) == 0, 4, "it does not come back by itself")
    life.accepted("Retry", revision=life.revision("3"))
    life.carries(v1=50, v2=20, v3=30)


def test_a_restart_in_the_middle_goes_on_where_it_was(life, traffic):
    life.begin("1", **judged(ERRORS))
    life.apply("1", **judged_by(ERRORS, duration="1h", end="PromoteWinner", goal=GOAL))
    under_way(life)
    told, pods = life.timeline(), {version: life.pods(version).keys() for version in "123"}
    life.operator.kill()
    life.operator.start()
    life.sentinel()
    steadily(life, lambda: life.timeline() == told, 4, "no share moves")
    assert {version: life.pods(version).keys() for version in "123"} == pods
    traffic.answers["2"] = Answers(errors=0.5)
    life.carries(v1=70, v3=30)


def test_another_strategy_in_mid_test_goes_back_to_the_control_first(life):
    life.begin("1")
    life.apply("1", rollout=ab_test())
    under_way(life)
    life.apply("2", steps=APPROVED)
    life.waits("tenth")
    life.carries(v1=90, v2=10)
    assert life.timeline()[-3:] == [("2", 0), ("3", 0), ("2", 10)]
    life.pods_are("3", 0)
    assert "experiment" not in life.status


@pytest.mark.parametrize("ends", ["Promote", "Abort"])
def test_a_person_ends_a_test(life, ends):
    life.begin("1")
    life.apply("1", rollout=ab_test())
    under_way(life)
    life.accepted(ends, revision=life.revision("3" if ends == "Promote" else "1"))
    life.carries(**{"v3" if ends == "Promote" else "v1": 100})
    assert life.status["concluded"][0]["outcome"] == ("Won" if ends == "Promote" else "Aborted")


def test_a_variant_that_answers_golden_requests_wrongly_is_left_out_before_any_user_has_met_it(life):
    with Golden() as right, Golden(body='{"label": "fine"}') as wrong:
        life.begin("1", **right.fields())
        test = ab_test(warmUp=WARM_UP)
        test["variants"][1]["server"]["port"] = wrong.port
        life.apply("1", **right.fields(), rollout=test)
        life.carries(v1=80, v2=20)
        life.reason("ExperimentRunning")
        assert right.asked == ["/predict"], "the only pod of variant b, once"
    out = arm(life.status, "c")["out"]
    assert out["reason"] == "WarmUpFailed"
    assert "expected fraud at $.label, got fine" in out["message"]
    assert life.timeline() == [("1", 100), ("2", 20)]
