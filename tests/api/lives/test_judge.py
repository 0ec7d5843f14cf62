"""Candidates judged by evidence: what is looked at before the first weight, certificates, incidents, and people who decide."""

from tests.api.lives.test_metrics import judged, step_of
from tests.harness.life import conditions, steadily
from tests.harness.traffic import Answers

EASY = {
    "name": "errors",
    "errorRate": {},
    "compare": {"ignoreBelow": "10%"},
    "minimumSampleSize": 20,
    "overdispersion": 1,
}
"""Certified after some eighty requests without an error."""
STRICT = EASY | {"compare": {}}
"""Certified after some 8,000."""
ABSOLUTE = {"name": "errors", "errorRate": {}, "limit": "5%", "minimumSampleSize": 20, "overdispersion": 1}


def test_a_version_as_good_as_stable_is_certified_and_promoted(life, traffic):
    life.begin("1", **judged(EASY))
    life.apply("2", **judged(EASY))
    status = life.until(lambda status: step_of(status) == "half" and status["metrics"][0].get("certified"), "certified")
    assert status["metrics"][0]["certificate"] == "100 %"
    assert status["rollout"]["plannedWindows"] == 60, "the fewest that evidence is prepared for"
    life.healthy("2")


def test_a_version_that_is_worse_is_taken_back_with_how_certain_that_is(life, traffic):
    traffic.answers = {"1": Answers(errors=0.01), "2": Answers(errors=0.3)}
    life.begin("1", **judged(STRICT))
    life.apply("2", **judged(STRICT))
    life.taken_back("2")
    life.reason("ErrorRateWorse")
    assert "certain to 1 in " in life.message
    assert "1 in 100 was asked" in life.message
    life.carries(v1=100)


def test_what_promotion_cannot_be_certain_of_waits_for_a_person(life, traffic):
    steps = [{"name": "half", "weight": 50, "hold": "3s", "maxDuration": "12s"}]
    life.begin("1", **judged(STRICT) | {"steps": steps})
    life.apply("2", **judged(STRICT) | {"steps": steps})
    life.reason("Underpowered")
    assert "certainty about errors is not to be had at this traffic" in life.message
    life.reason("NotEnoughEvidence")
    assert conditions(life.status)["Ready"]["status"] == "False"
    life.carries(v1=50, v2=50)
    life.accepted("Approve", "half")
    life.healthy("2")


def test_at_the_pace_of_evidence_a_certified_step_ends_early(life, traffic):
    steps = [{"name": "half", "weight": 50, "hold": "1h"}]
    life.begin("1", **judged(EASY) | {"steps": steps, "rollout": {"pace": "Evidence"}})
    life.apply("2", **judged(EASY) | {"steps": steps, "rollout": {"pace": "Evidence"}})
    life.healthy("2")


def test_without_an_answer_no_first_weight_is_given_and_then_it_goes_on(life, traffic):
    life.begin("1", **judged(EASY))
    traffic.away("refused")
    life.apply("2", **judged(EASY))
    life.until(lambda status: status["summary"]["reason"] == "MetricsUnavailable", "it is told")
    assert life.message.startswith("Holding at 0 %: ")
    steadily(life, lambda: life.timeline() == [("1", 100)], 4, "no weight is given")
    traffic.back()
    life.healthy("2")


def test_a_metric_that_does_not_exist_keeps_the_first_weight_and_names_its_query(life, traffic):
    unknown = {"name": "cache", "ratio": {"bad": {"series": "cache_misses_total"}, "total": {"series": "cache_total"}}}
    life.begin("1", **judged(EASY))
    life.apply("2", **judged(EASY, unknown | {"compare": {}}))
    life.reason("MetricsMissing")
    assert "cache_total" in life.message
    assert "neither for stable nor for the candidate" in life.message
    assert conditions(life.status)["Stalled"]["status"] == "True"
    life.observer.until(lambda: life.events().get("MetricsMissing") == "Warning", "whoever is on call is told")
    assert life.timeline() == [("1", 100)]
    life.apply("2", **judged(EASY))
    life.healthy("2")


def test_an_incident_that_hits_both_versions_pauses_and_takes_nobody_back(life, traffic):
    steps = [{"name": "half", "weight": 50, "hold": "3s"}]
    life.begin("1", **judged(ABSOLUTE) | {"steps": steps})
    traffic.answers = {"1": Answers(errors=0.3), "2": Answers(errors=0.3)}
    life.apply("2", **judged(ABSOLUTE) | {"steps": steps})
    life.reason("StableBreachesToo")
    assert life.status["phase"] == "Paused"
    assert "both versions are above the limit of 5%" in life.message
    traffic.answers = {}
    life.healthy("2")
    assert life.status["rejected"] == []
