"""Candidates judged by what a Prometheus says of them, and what happens while it says nothing."""

import os
from datetime import datetime

import pytest

from tests.harness.life import conditions, steadily
from tests.harness.specs import errors
from tests.harness.traffic import FAULTS, Answers

ERRORS = errors("2s")
WORSE = {name: value for name, value in ERRORS.items() if name != "limit"} | {"compare": {"margin": "2"}}
LATENCY = {name: value for name, value in ERRORS.items() if name != "errorRate"} | {
    "name": "latency",
    "latency": {"threshold": "500ms"},
}
STEPS = [{"name": "tenth", "weight": 10, "hold": "3s"}, {"name": "half", "weight": 50, "hold": "3s"}]
AWAY = ["refused", "hanging", "500", "empty", "nan", "stale"]
AWAY_SECONDS = float(os.environ.get("MODELROLLOUT_AWAY_SECONDS", "4"))
"""How long it is away in each step: longer than a hold, by which the step would have ended by the clock. Minutes on demand."""


def judged(*metrics, **fields):
    return {"steps": STEPS, "analysis": {"interval": "1s", "warmUp": "0s", "metrics": list(metrics), **fields}}


def step_of(status) -> str:
    return status.get("step", {}).get("name", "")


def test_a_version_that_answers_well_is_promoted_by_its_metrics(life, traffic):
    life.begin("1", **judged(ERRORS, LATENCY))
    life.apply("2", **judged(ERRORS, LATENCY))
    life.reason("AnalysisPassing")
    life.until(lambda status: step_of(status) == "half", "the next step has begun")
    life.healthy("2")
    seen = [
        metric
        for sight in life.observer.history("ModelDeployment", "fraud")
        for metric in (sight.raw.get("status") or {}).get("metrics", ())
    ]
    assert max(metric["requests"] for metric in seen) >= 20
    assert life.outcomes()[-1] == ("2", "Promoted")


def test_pods_are_found_by_their_names_when_the_model_has_the_longest_that_is_allowed(life, traffic):
    life.name = "m" * 36
    life.begin("10000000001", **judged(ERRORS))
    names = [pod["metadata"]["name"] for pod in life.pods("10000000001").values()]
    assert {len(name) for name in names} == {63}, "cut by the API server"
    life.apply("10000000002", **judged(ERRORS))
    life.reason("AnalysisPassing")
    life.healthy("10000000002")


@pytest.mark.parametrize(
    ("metric", "answers", "reason"),
    [
        (ERRORS, Answers(errors=0.2), "ErrorRateTooHigh"),
        (WORSE, Answers(errors=0.2), "ErrorRateWorse"),
        (LATENCY, Answers(slow=0.3), "LatencyTooHigh"),
    ],
    ids=["errors", "compared", "latency"],
)
def test_a_version_that_answers_badly_is_taken_back(life, traffic, metric, answers, reason):
    traffic.answers = {"1": Answers(errors=0.01), "2": answers}
    life.begin("1", **judged(metric))
    life.apply("2", **judged(metric))
    status = life.taken_back("2")
    life.carries(v1=100)
    assert life.reason(reason)
    assert conditions(status)["Stalled"]["status"] == "True"
    assert conditions(status)["RolloutSucceeded"]["status"] == "False"
    assert "%" in life.message
    assert life.outcomes()[-1] == ("2", "RolledBack")
    assert ("2", 50) not in life.timeline()


def test_a_version_that_turns_bad_at_half_of_the_traffic_is_taken_back(life, traffic):
    life.begin("1", **judged(ERRORS))
    life.apply("2", **judged(ERRORS))
    life.until(lambda status: step_of(status) == "half", "it has half of the traffic")
    traffic.answers["2"] = Answers(errors=0.5)
    life.taken_back("2")
    life.carries(v1=100)


def test_a_version_that_turns_bad_while_paused_is_taken_back(life, traffic):
    life.begin("1", **judged(ERRORS))
    life.apply("2", **judged(ERRORS))
    life.until(lambda status: status.get("step", {}).get("appliedAt"), "the first step has begun")
    life.accepted("Pause")
    traffic.answers["2"] = Answers(errors=0.5)
    life.taken_back("2")


def test_a_breach_that_only_pauses_waits_for_a_person(life, traffic):
    traffic.answers["2"] = Answers(errors=0.5)
    life.begin("1", **judged(ERRORS | {"onBreach": "Pause"}))
    life.apply("2", **judged(ERRORS | {"onBreach": "Pause"}))
    life.reason("MetricBreached")
    assert life.status["phase"] == "Paused"
    life.carries(v1=90, v2=10)
    life.accepted("Abort")
    life.taken_back("2")


def test_without_enough_requests_nothing_advances(life, traffic):
    traffic.answers["2"] = Answers(rate=0.5)
    life.begin("1", **judged(ERRORS))
    life.apply("2", **judged(ERRORS))
    life.reason("CollectingData")
    steadily(life, lambda: ("2", 50) not in life.timeline(), 6, "it stays in its step")
    traffic.answers["2"] = Answers()
    life.healthy("2")


def test_a_version_that_exposes_no_counters_is_not_judged_by_their_absence(life, traffic):
    traffic.answers["2"] = Answers(exposed=False)
    life.begin("1", **judged(ERRORS))
    life.apply("2", **judged(ERRORS))
    life.until(lambda status: status["summary"]["reason"] in ("MetricsMissing", "MetricsUnavailable"), "it is told")
    life.sentinel()
    assert ("2", 50) not in life.timeline()
    assert life.status["rejected"] == []
    life.reason("MetricsMissing")
    assert "http_requests_total" in life.message
    life.carries(v1=100)


def test_a_provider_that_nobody_set_up_is_named(life, traffic):
    life.operator.start(wait=False)
    life.apply("1", **judged(ERRORS, provider="other"))
    life.reason("NoMetricsProvider")
    assert 'no metrics provider "other"' in life.message
    life.apply("1", **judged(ERRORS))
    life.healthy("1")


def test_an_analysis_that_is_edited_in_mid_rollout_is_in_force_at_once(life, traffic):
    traffic.answers["2"] = Answers(errors=0.2)
    lenient = ERRORS | {"limit": "50%"}
    steps = [{"name": "tenth", "weight": 10, "advance": "Approval"}]
    life.begin("1", **judged(lenient) | {"steps": steps})
    life.apply("2", **judged(lenient) | {"steps": steps})
    life.waits("tenth")
    life.apply("2", **judged(ERRORS) | {"steps": steps})
    life.taken_back("2")


def test_requests_are_counted_once_although_the_operator_is_killed(life, traffic):
    steps = [{"name": "tenth", "weight": 10, "hold": "6s"}]
    life.begin("1", **judged(ERRORS) | {"steps": steps})
    life.apply("2", **judged(ERRORS) | {"steps": steps})

    def counted() -> int:
        return next((one["requests"] for one in life.status.get("metrics", ()) if one["name"] == "errors"), 0)

    life.observer.until(lambda: counted() > 20, "requests are counted")
    life.operator.kill()
    life.operator.start(wait=False)
    life.healthy("2")
    for sight in life.observer.history("ModelDeployment", "fraud"):
        status = sight.raw.get("status") or {}
        step = status.get("step") or {}
        if step.get("name") != "tenth" or not step.get("appliedAt"):
            continue
        for metric in status["metrics"]:
            # One pod of the candidate answers 60 requests a second; windows are of one second.
            if metric["requests"]:
                seconds = _epoch(metric["through"]) - _epoch(step["appliedAt"])
                assert metric["requests"] <= 60 * (seconds + 2), f"{metric['requests']} in {seconds} s"


def _epoch(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp()


def test_whatever_prometheus_answers_instead_of_numbers_no_weight_moves(life, traffic):
    steps = [{"name": "tenth", "weight": 10, "hold": "10m"}, {"name": "half", "weight": 50, "hold": "1s"}]
    traffic.answers = {"1": Answers(rate=180.0), "2": Answers(rate=40.0)}  # of two pods and one: as 10 % should be
    life.begin("1", **judged(ERRORS, LATENCY))
    life.apply("2", **judged(ERRORS, LATENCY) | {"steps": steps})
    for how in sorted(FAULTS.keys() - set(AWAY)):
        life.reason("AnalysisPassing")
        traffic.away(how)
        status = life.reason("MetricsUnavailable")
        verdicts = {metric["name"]: metric["verdict"] for metric in status["metrics"]}
        assert verdicts["latency"] in ("NoData", "Error"), how
        if how == "partial":
            assert verdicts["errors"] == "Pass", "one query that is refused hurts its own metric only"
        assert "Holding at" in life.message, life.message
        traffic.back()
    assert life.timeline() == [("1", 100), ("2", 10)]
    life.apply("2", **judged(ERRORS, LATENCY))
    life.healthy("2")


@pytest.mark.timeout(420 + 4 * AWAY_SECONDS)
@pytest.mark.parametrize("how", AWAY)
def test_while_prometheus_is_away_no_weight_moves_and_then_it_goes_on(life, traffic, how):
    life.begin("1", **judged(ERRORS))
    steps = [*STEPS, {"name": "bake", "weight": 100, "hold": "3s"}]
    life.apply("2", **judged(ERRORS) | {"steps": steps})
    for step in ("tenth", "half", "bake"):
        life.until(
            lambda status, step=step: (
                (status.get("step") or {}).get("name") == step and status["step"].get("appliedAt")
            ),
            f"step {step} has begun",
        )
        traffic.away(how)
        life.reason("MetricsUnavailable", "CollectingData")
        weights = life.timeline()
        assert life.status["step"]["name"] == step, "it went away too late"
        life.reason("MetricsUnavailable")
        stands = f"weights stand in step {step}"
        steadily(life, lambda weights=weights: life.timeline() == weights, AWAY_SECONDS, stands)
        assert "Holding at" in life.message, life.message
        traffic.back()
    life.healthy("2")
    assert life.timeline() == [("1", 100), ("2", 10), ("2", 50), ("2", 100)]
