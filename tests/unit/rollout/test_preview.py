"""A step of weight 0: only testers meet the candidate, and what they meet may be judged."""

from dataclasses import replace

import pytest

from modelrollout.api.command import Action
from modelrollout.api.scalars import Span
from modelrollout.api.settings import Settings
from modelrollout.api.spec import ModelDeploymentSpec
from modelrollout.api.status import Outcome, Phase, Role
from modelrollout.rollout.decide import decide
from modelrollout.rollout.plan import resolve
from modelrollout.rollout.situation import CommandFacts, Problem, RevisionFacts, RouteFacts
from tests.unit.rollout.test_judged_steps import BEGUN, lived, under_way, window

LIMIT = {
    "name": "errors",
    "errorRate": {},
    "limit": "5%",
    "method": "Threshold",
    "minimumSampleSize": 40,
    "threshold": {"lookback": "30s", "failures": 2, "of": 3},
    "when": ["Preview", "Bake"],
}
COMPARED = {"name": "errors", "errorRate": {}, "compare": {}}


def plan_of(*metrics, replicas=1, **rollout):
    spec = {
        "server": {"image": "fraud:2"},
        "replicas": replicas,
        "traffic": {"gateway": {"parentRefs": [{"name": "public"}]}},
        "rollout": {"strategy": "BlueGreen", **rollout},
        "analysis": {"metrics": list(metrics)} if metrics else {"mode": "None"},
    }
    return resolve(ModelDeploymentSpec.model_validate(spec), Settings())


def previewed(plan, **changes):
    """The first decision's situation in the preview: nothing was moved."""
    return replace(under_way(plan, weight=0), preview_url="http://fraud-preview.ml.svc", **changes)


def after(situation, seconds, **changes):
    """What is decided so much later, on what was decided before."""
    status = decide(situation).status
    return replace(situation, status=status, now=situation.now + seconds, elapsed=seconds, **changes)


def approval(step="preview"):
    return CommandFacts("u1", "fraud-1", Action.APPROVE, "2-bb", step, "alice", created=BEGUN)


def settled(situation, limit=12):
    """The status after all decisions that follow at once."""
    for _ in range(limit):
        decision = decide(situation)
        situation = replace(situation, status=decision.status)
        if not decision.again:
            return decision.status
    raise AssertionError(f"still moving: {situation.status.message}")


def test_it_waits_for_approval_and_says_where_the_candidate_answers():
    status = settled(previewed(plan_of()))
    assert (status.phase, status.summary.reason) == (Phase.PAUSED, "ApprovalRequired")
    assert (status.summary.weight, status.summary.step) == ("0", "1/2")
    assert status.preview_url == "http://fraud-preview.ml.svc"
    assert status.message == (
        "Step 1 of 2 (preview) waits for approval: `kubectl modelrollout approve fraud`. Then 100 %."
        " It answers testers at http://fraud-preview.ml.svc."
    )


def test_it_says_why_testers_do_not_reach_it():
    status = settled(previewed(plan_of(), preview_problem="Gateway ml/public: NoMatchingListenerHostname"))
    assert status.message.endswith(
        "Testers do not reach it at http://fraud-preview.ml.svc: Gateway ml/public: NoMatchingListenerHostname."
    )


def test_approved_it_switches_at_once_with_all_pods_and_then_bakes():
    status = settled(previewed(plan_of(), commands=(approval(),)))
    assert {entry.revision: int(entry.weight) for entry in status.revisions} == {"1-aa": 0, "2-bb": 10_000}
    assert (status.step.name, int(status.step.weight)) == ("bake", 10_000)
    assert [entry.replicas for entry in status.revisions] == [1, 1], "the former version stays in full size"


def test_a_candidate_in_small_grows_to_full_size_before_the_switch():
    plan = plan_of(replicas=3, candidateReplicas="Proportional")
    one = previewed(plan).revisions["2-bb"]
    pods = {"1-aa": replace(one, replicas=3, pods=3, ready=3), "2-bb": one}
    status = settled(previewed(plan, commands=(approval(),), revisions=pods))
    candidate = next(entry for entry in status.revisions if entry.role is Role.CANDIDATE)
    assert (int(candidate.weight), candidate.replicas) == (0, 3)
    assert (status.phase, status.summary.reason) == (Phase.PROGRESSING, "ScalingUp")


def test_a_blue_green_candidate_is_previewed_in_full_size_and_not_approved_before():
    status = settled(previewed(plan_of(replicas=3), commands=(approval(),)))
    assert [(int(one.weight), one.replicas) for one in status.revisions if one.role is Role.CANDIDATE] == [(0, 3)]
    assert status.step.name == "preview"
    assert status.summary.reason == "ScalingUp"


def test_before_the_switch_it_grows_to_what_an_autoscaler_has_made_of_stable():
    plan = replace(plan_of(replicas=1), autoscaled=(1, 4))
    one = previewed(plan).revisions["2-bb"]
    pods = {"1-aa": replace(one, replicas=9, pods=9, ready=9), "2-bb": one}
    held = settled(previewed(plan, revisions=pods))
    assert (held.rollout.replicas, [entry.replicas for entry in held.revisions]) == (1, [1, 1])
    status = settled(previewed(plan, commands=(approval(),), revisions=pods))
    assert status.rollout.replicas == 4, "as many as the autoscaler may make"
    assert [(int(entry.weight), entry.replicas) for entry in status.revisions] == [(10_000, 4), (0, 4)]
    assert status.summary.reason == "ScalingUp"


def test_time_without_a_ready_pod_is_not_covered():
    plan = plan_of(steps=[{"weight": 0, "hold": "1m"}, {"weight": 100}])
    gone = {"1-aa": previewed(plan).revisions["1-aa"], "2-bb": RevisionFacts(exists=True, replicas=1, pods=1)}
    situation = after(previewed(plan), 10.0)
    situation = after(situation, 40.0, revisions=gone)
    assert situation.status.step.covered == Span("10s")
    situation = after(situation, 5.0)
    assert situation.status.step.covered == Span("10s")
    assert situation.status.summary.reason == "CandidateUnready"


def test_a_candidate_that_stays_unready_in_its_preview_has_failed():
    plan = plan_of()
    gone = {"1-aa": previewed(plan).revisions["1-aa"], "2-bb": RevisionFacts(exists=True, replicas=1, pods=1)}
    situation = previewed(plan, revisions=gone)
    for _ in range(14):
        situation = after(situation, 10.0)
    assert situation.status.history[-1].outcome is Outcome.FAILED
    assert situation.status.rejected[-1].reason == "CandidateUnstable"


def test_what_testers_meet_is_judged_and_takes_the_candidate_back():
    plan = plan_of(LIMIT, steps=[{"weight": 0, "hold": "10m"}, {"weight": 100, "hold": "1h"}])
    made = lived(previewed(plan), [window(index, bad=20) for index in range(6)])
    assert made[-1].status.rejected[-1].reason == "ErrorRateTooHigh"
    assert made[-1].status.preview_url is None
    assert [entry.revision for entry in made[-1].status.timeline] == [], "no weight was ever given"


def test_without_testers_it_lacks_evidence_and_asks_a_person():
    steps = [{"weight": 0, "maxDuration": "1m"}, {"weight": 100, "hold": "1h"}]
    made = lived(previewed(plan_of(LIMIT, steps=steps)), [window(index, requests=0) for index in range(8)])
    assert (made[-1].status.phase, made[-1].status.summary.reason) == (Phase.PAUSED, "NotEnoughEvidence")
    assert made[-1].status.message.startswith("Paused at 0 %: not enough evidence (errors needs more data)")


def test_with_its_sample_it_ends_by_itself():
    steps = [{"weight": 0, "hold": "30s"}, {"weight": 100, "hold": "1h"}]
    made = lived(previewed(plan_of(LIMIT, steps=steps)), [window(index) for index in range(4)])
    assert made[-1].status.step.name == "bake"


def test_a_breach_in_the_bake_returns_to_the_former_version_in_one_decision():
    plan = plan_of(LIMIT)
    made = lived(under_way(plan, weight=100, index=2), [window(index, bad=20, stable=(0, 0)) for index in range(6)])
    back = next(decision for decision in made if decision.status.rejected)
    assert back.urgent
    assert {entry.revision: int(entry.weight) for entry in back.status.revisions} == {"1-aa": 10_000, "2-bb": 0}
    assert back.status.rejected[-1].reason == "ErrorRateTooHigh"


def test_metrics_that_only_compare_leave_blue_green_unjudged_and_it_says_so():
    decision = decide(replace(under_way(plan_of(COMPARED), weight=100, index=2), now=BEGUN + 20.0))
    assert decision.status.summary.reason == "Unjudged"
    judged = decide(replace(under_way(plan_of(LIMIT), weight=100, index=2), now=BEGUN + 20.0))
    assert judged.status.summary.reason == "CollectingData"


def test_a_preview_that_is_given_a_weight_by_an_edit_begins_anew_and_a_pause_holds_it():
    first = replace(previewed(plan_of()), plan_name="plan")
    status = decide(first).status
    status = status.model_copy(update={"step": status.step.model_copy(update={"weight": plan_of().steps[0].weight})})
    steps = [{"name": "preview", "weight": 50, "hold": "10m"}, {"weight": 100}]
    edited = plan_of(strategy="Canary", steps=steps, paused=True)
    status = settled(replace(first, status=status, plan=edited, plan_name="other"))
    assert [int(entry.weight) for entry in status.revisions] == [10_000, 0]
    assert (status.step.index, status.phase) == (0, Phase.PAUSED)


def test_an_edit_from_canary_to_blue_green_takes_the_traffic_back_and_previews():
    canary = plan_of(strategy="Canary", steps=[{"weight": 50, "hold": "10m"}])
    status = settled(replace(under_way(canary), plan=plan_of(), plan_name="other"))
    assert [int(entry.weight) for entry in status.revisions] == [10_000, 0]
    assert (status.step.name, status.step.applied_at) == ("preview", None)


def test_an_edit_that_takes_traffic_back_gives_stable_its_pods_first():
    canary = plan_of(strategy="Canary", steps=[{"weight": 50, "hold": "10m"}])
    found = under_way(canary)
    stable, candidate = found.status.revisions
    status = found.status.model_copy(update={"revisions": (stable.model_copy(update={"replicas": 0}), candidate)})
    gone = {"1-aa": RevisionFacts(exists=True), "2-bb": found.revisions["2-bb"]}
    after_it = settled(replace(found, status=status, revisions=gone, plan=plan_of(), plan_name="other"))
    assert [(int(entry.weight), entry.replicas) for entry in after_it.revisions] == [(5000, 1), (5000, 1)]
    assert after_it.summary.reason == "StableUnavailable"


def test_an_edit_from_canary_to_blue_green_in_a_bake_stays_at_100():
    canary = plan_of(strategy="Canary", steps=[{"weight": 50}, {"weight": 100, "hold": "10m"}])
    status = settled(replace(under_way(canary, weight=100, index=2), plan=plan_of(), plan_name="other"))
    assert [int(entry.weight) for entry in status.revisions] == [0, 10_000]
    assert (status.step.name, status.step.covered) == ("bake", Span("0s"))


@pytest.mark.parametrize("problem", ["ForeignObject", "MetricsMissing"])
def test_what_stands_in_the_way_is_told_as_in_any_step(problem):
    found = Problem(problem, "Something is missing.")
    where = {"problems": (found,)} if problem == "ForeignObject" else {"metrics_problem": found}
    status = settled(previewed(plan_of(LIMIT), **where))
    assert (status.phase, status.summary.reason) == (Phase.PROGRESSING, problem)


def test_a_route_that_is_not_as_intended_is_waited_for():
    route = RouteFacts(exists=True, weights={"1-aa": 5000, "2-bb": 5000}, accepted=True, since=BEGUN)
    assert settled(previewed(plan_of(), route=route)).summary.reason == "RoutePending"
