"""What is said before the first weight of a plan that is out of reach, and to whom."""

from dataclasses import replace

import pytest

from modelrollout.analysis.planner import Stage, Traffic, underpowered
from modelrollout.api.scalars import Timestamp
from modelrollout.rollout.asked import asked
from modelrollout.rollout.decide import decide
from modelrollout.rollout.outlook import outlook
from modelrollout.rollout.situation import PreflightFacts, Problem
from tests.unit.rollout.test_judged_steps import BEGUN, ERRORS, plan_of, under_way

HOUR = [{"name": "half", "weight": 50, "hold": "20m"}]
LATENCY = {"name": "latency", "latency": {}, "compare": {}, "overdispersion": 1}


def facts(rps, rate, effect="1"):
    return PreflightFacts(effects={"errors": effect}, traffic={"errors": Traffic(rps, rate)})


def said(rps, rate, *metrics, effect="1", steps=None, **analysis):
    return outlook(plan_of(*(metrics or (ERRORS,)), steps=steps or HOUR, **analysis), facts(rps, rate, effect))


def test_enough_traffic_is_not_worth_a_word():
    assert not said(50, 0.005)


def test_too_little_is_told_with_what_would_help():
    text = said(0.2, 0.005)
    assert text.startswith(
        "errors: at stable's 12 requests a minute, 0.5 % of them bad, certainty that a healthy candidate"
    )
    assert "the time of step half is up after 1h: the rollout pauses there for an approval." in text
    assert "Send more traffic, or raise its weight, maxDuration, ignoreBelow or nonInferiorityMargin." in text


@pytest.mark.parametrize(
    ("choice", "then"),
    [("Rollback", "is taken back there as inconclusive"), ("Promote", "goes on from there without it")],
)
def test_what_follows_is_what_the_spec_says(choice, then):
    assert then in said(0.2, 0.005, onInconclusive=choice)


def test_no_requests_at_all_is_told_in_other_words():
    assert "as stable had no requests lately, certainty" in said(0.0, 0.0)


def test_the_line_is_where_the_planner_draws_it():
    plan = plan_of(ERRORS, steps=HOUR)
    certification = asked(plan.metrics[0], plan, 0.005, 1.0).certification
    for rps in (1.0, 2.0, 4.0, 8.0, 16.0):
        out_of_reach = underpowered(certification, Traffic(rps, 0.005), [Stage(0.5, 3600.0)])
        assert bool(said(rps, 0.005)) == out_of_reach
    assert said(1.0, 0.005)
    assert not said(16.0, 0.005)


def test_pods_that_differ_need_more():
    assert not said(8.0, 0.005)
    assert said(8.0, 0.005, effect="6 (stable's pods differ)")


def test_metrics_that_promotion_does_not_wait_for_are_left_out():
    assert not said(0.2, 0.005, ERRORS | {"onBreach": "Warn"})
    assert not said(0.2, 0.005, {"name": "errors", "errorRate": {}, "method": "Threshold", "limit": "1%"})
    assert not said(0.2, 0.005, LATENCY)


def before_the_first_weight(preflight):
    situation = under_way(plan_of(ERRORS, steps=HOUR), weight=0)
    step = situation.status.step.model_copy(update={"index": 0, "name": "", "applied_at": None})
    status = situation.status.model_copy(update={"step": step})
    return replace(situation, status=status, now=BEGUN + 10.0, elapsed=10.0, preflight=preflight)


def test_it_is_recorded_and_told_with_the_first_weight():
    decision = decide(before_the_first_weight(facts(0.2, 0.005)))
    assert decision.status.rollout.outlook == said(0.2, 0.005)
    assert [(note.reason, note.warning) for note in decision.events] == [
        ("WeightChanged", False),
        ("Underpowered", True),
    ]
    assert decision.events[1].message == decision.status.rollout.outlook
    healthy = decide(before_the_first_weight(facts(50, 0.005)))
    assert healthy.status.rollout.outlook is None
    assert [note.reason for note in healthy.events] == ["WeightChanged"]


def unanswered(passed):
    problem = Problem("MetricsUnavailable", "the provider does not answer.")
    situation = before_the_first_weight(PreflightFacts(ready=False, problem=problem))
    return replace(situation, now=BEGUN + passed, elapsed=passed)


def test_whoever_is_on_call_is_told_once_when_the_deadline_for_data_passes():
    waiting = decide(unanswered(10.0))
    assert waiting.events == ()
    assert waiting.wake_at == BEGUN + 3600.0
    overdue = decide(replace(unanswered(3601.0), status=waiting.status))
    assert [(note.reason, note.warning) for note in overdue.events] == [("MetricsUnavailable", True)]
    assert overdue.events[0].message == "Holding at 0 %: the provider does not answer."
    assert decide(replace(unanswered(3700.0), status=overdue.status)).events == ()


def test_a_spec_that_is_refused_is_told_and_so_is_the_next_one_that_is():
    def refused(message, status):
        situation = under_way(plan_of(ERRORS, steps=HOUR))
        return decide(replace(situation, status=status, target=Problem("InvalidSpec", message)))

    first = refused("spec.replicas: too many.", under_way(plan_of(ERRORS, steps=HOUR)).status)
    assert [note.reason for note in first.events] == ["InvalidSpec"]
    assert first.events[0].message.startswith("spec.replicas: too many.")
    assert refused("spec.replicas: too many.", first.status).events == ()
    assert [note.reason for note in refused("spec.version: too long.", first.status).events] == ["InvalidSpec"]


def test_what_was_taken_back_is_told_once():
    situation = under_way(plan_of(ERRORS, steps=HOUR))
    rollout = situation.status.rollout.model_copy(update={"loaded_at": Timestamp(BEGUN)})
    crashed = replace(situation.revisions["2-bb"], restarts=3, trouble="container exits")
    status = situation.status.model_copy(update={"rollout": rollout})
    reasons = []
    for _ in range(6):
        decision = decide(replace(situation, status=status, revisions=situation.revisions | {"2-bb": crashed}))
        reasons += [note.reason for note in decision.events]
        status = decision.status
    assert reasons == ["RolledBack"]


def test_a_preview_adds_nothing_to_what_is_expected_and_without_a_live_step_nothing_is():
    asked_there = ERRORS | {"when": ["Preview", "Live"]}
    preview = [{"weight": 0, "hold": "20m"}, *HOUR]
    assert not said(50, 0.005, asked_there, steps=preview)
    assert "the time of step half is up after 1h20m" in said(0.2, 0.005, asked_there, steps=preview)
    assert not said(0.2, 0.005, steps=[{"weight": 0}, {"weight": 100, "hold": "1h"}])
