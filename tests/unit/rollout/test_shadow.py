"""Steps that mirror: the plan that they make, and what an edit of them does. That nobody is harmed is a matter of tests/property."""

from dataclasses import replace

import pytest

from modelrollout.api.analysis import StepKind
from modelrollout.api.errors import SpecError
from modelrollout.api.scalars import Weight
from modelrollout.api.settings import Settings
from modelrollout.api.spec import ModelDeploymentSpec
from modelrollout.api.status import Phase
from modelrollout.rollout.mirroring import compares_ahead, mirrored, mirrors_next
from modelrollout.rollout.plan import resolve
from modelrollout.rollout.situation import MirrorFacts, Problem, RouteFacts
from modelrollout.traffic.base import beyond
from modelrollout.traffic.routers import OBJECT_ROUTERS, SERVICE
from modelrollout.workload.checks import check_comparison
from tests.unit.rollout.test_judged_steps import BEGUN, under_way
from tests.unit.rollout.test_preview import after, settled

MATCH = [{"method": "POST", "path": "/predict"}]
COPIES = {"name": "copies", "shadow": {"percent": 10}, "hold": "10m"}
HALF = {"name": "half", "weight": 50, "hold": "10m"}


def plan_of(*steps, replicas=1, metrics=None, **rollout):
    spec = {
        "server": {"image": "fraud:2"},
        "replicas": replicas,
        "traffic": {"gateway": {"parentRefs": [{"name": "public"}]}},
        "rollout": rollout | ({"steps": list(steps)} if steps else {}),
        "analysis": {"metrics": metrics} if metrics else {"mode": "None"},
    }
    return resolve(ModelDeploymentSpec.model_validate(spec), Settings())


def mirroring(plan, percent=10, index=1):
    """A situation in which a share of requests is copied, as the step under way asks for."""
    situation = under_way(plan, weight=0, index=index)
    share = Weight(100 * percent)
    stable, candidate = situation.status.revisions
    assert situation.status.step is not None
    status = situation.status.model_copy(
        update={
            "revisions": (stable, candidate.model_copy(update={"mirror": share})),
            "step": situation.status.step.model_copy(update={"weight": Weight(0), "mirror": share}),
        }
    )
    route = RouteFacts(True, {"1-aa": 10_000, "2-bb": 0}, accepted=True, since=BEGUN - 10, mirrors={"2-bb": int(share)})
    return replace(situation, status=status, route=route)


def candidate_of(status):
    return status.revisions[1]


def shares(status):
    return int(candidate_of(status).weight), int(candidate_of(status).mirror)


def test_the_strategy_is_copies_of_all_requests_and_then_a_canary():
    plan = plan_of(strategy="Shadow")
    assert [(step.name, step.kind, int(step.mirror)) for step in plan.steps[:2]] == [
        ("shadow-100", StepKind.SHADOW, 10_000),
        ("weight-1", StepKind.LIVE, 0),
    ]
    assert plan.steps[1:] == plan_of(strategy="Canary").steps


def test_steps_are_named_by_what_they_give():
    plan = plan_of({"shadow": {"percent": "0.5%"}}, {"weight": 0}, {"shadow": {"percent": 20}}, {"weight": 5})
    assert [(step.name, step.kind) for step in plan.steps] == [
        ("shadow-0-5", StepKind.SHADOW),
        ("weight-0", StepKind.PREVIEW),
        ("shadow-20", StepKind.SHADOW),
        ("weight-5", StepKind.LIVE),
        ("weight-100", StepKind.BAKE),
    ]
    assert plan.last_live_step.name == "weight-5"


def test_a_plan_survives_its_record():
    plan = plan_of({"shadow": {"percent": 20, "match": MATCH, "compare": {"method": "Label"}}}, HALF)
    assert plan.written["rollout"]["steps"][0]["shadow"]["compare"] == {"method": "Label"}
    assert plan.steps[0].shadow.compare.text == '{"method":"Label"}'


def test_errors_and_latency_speak_in_shadow_steps_and_others_only_where_they_are_asked():
    ratio = {"total": {"series": "a"}, "bad": {"series": "b"}}
    plan = plan_of(
        COPIES,
        metrics=[
            {"name": "errors", "errorRate": {}, "compare": {}},
            {"name": "business", "ratio": ratio, "limit": "1%"},
            {"name": "asked", "ratio": ratio, "limit": "1%", "when": ["Shadow"]},
        ],
    )
    spoken = [metric.name for metric in plan.metrics if StepKind.SHADOW in metric.kinds_of_steps]
    assert spoken == ["errors", "asked"]


def test_evidence_is_planned_for_the_time_of_copies_too():
    assert plan_of(COPIES | {"hold": "10h"}, HALF).planned_windows > plan_of(HALF).planned_windows


def test_a_router_that_cannot_refuses_by_name():
    plan = plan_of(COPIES, HALF)
    for router in (SERVICE, *OBJECT_ROUTERS.values()):
        refusal = str(beyond(router, plan) or "")
        wanted = f"spec.rollout.steps[0].shadow: the router {router.name} cannot mirror requests; name a gateway"
        assert refusal.startswith(wanted) is not router.capabilities.mirror


def test_disagreement_needs_a_step_that_compares_and_that_a_comparer():
    metric = [{"name": "answers", "disagreement": {}, "limit": "1%"}]
    with pytest.raises(SpecError, match="answers counts answers that differ, and no step compares any"):
        check_comparison(plan_of(COPIES, metrics=metric), Settings())
    compared = COPIES | {"shadow": {"percent": 10, "match": MATCH, "compare": {"method": "Exact"}}}
    with pytest.raises(SpecError, match=r"steps\[0\].shadow.compare: the administrator has set up no comparer"):
        check_comparison(plan_of(compared, metrics=metric), Settings())
    settings = Settings.model_validate({"comparer": {"image": "comparer:1"}})
    check_comparison(plan_of(compared, metrics=metric), settings)


def test_disagreement_does_not_gate_a_step_that_compares_nothing():
    settings = Settings.model_validate({"comparer": {"image": "comparer:1"}})
    compared = COPIES | {"shadow": {"percent": 10, "match": MATCH, "compare": {"method": "Exact"}}}
    metric = {"name": "answers", "disagreement": {}, "limit": "1%"}
    steps = ({**COPIES, "name": "first"}, {**compared, "name": "second"})
    with pytest.raises(
        SpecError, match=r"steps\[0\].shadow: answers would wait in this step for answers that nobody compares"
    ):
        check_comparison(plan_of(*steps, metrics=[metric]), settings)
    check_comparison(plan_of(*steps, metrics=[metric | {"gate": False, "onBreach": "Warn"}]), settings)


def test_what_is_said_while_requests_are_mirrored():
    status = settled(mirroring(plan_of(COPIES, HALF)))
    assert status.summary.weight == "0 (10 mirrored)"
    assert status.message.startswith("At 0 % (10 % mirrored) as planned; 50 % not before ")
    assert status.phase is Phase.PROGRESSING


def test_another_share_begins_the_step_anew_and_a_larger_one_asks_the_gateway_first():
    before = mirroring(plan_of(COPIES, HALF))
    assert before.status.step.applied_at is not None
    smaller = settled(replace(before, plan=plan_of(COPIES | {"shadow": {"percent": 5}}, HALF), plan_name="other"))
    assert shares(smaller) == (0, 500)
    assert smaller.step.applied_at is None
    larger = replace(before, plan=plan_of(COPIES | {"shadow": {"percent": 20}}, HALF), plan_name="other")
    assert shares(settled(replace(larger, mirror=MirrorFacts(known=False)))) == (0, 0)
    assert shares(settled(larger))[0] == 0


def test_edited_to_a_canary_the_copies_end_and_its_first_step_begins():
    before = mirroring(plan_of(COPIES, HALF))
    status = settled(replace(before, plan=plan_of(HALF), plan_name="other"))
    assert shares(status) == (0, 0)
    assert status.step.index == 0


def test_edited_to_copies_a_canary_gives_its_traffic_back():
    before = under_way(plan_of(HALF), weight=50)
    status = settled(replace(before, plan=plan_of(COPIES), plan_name="other"))
    assert shares(status)[0] == 0, "a share that no step judges is given back at once"


def test_copies_that_turn_out_impossible_end_and_are_not_asked_for_again():
    problem = Problem("MirrorUnsupported", "Gateway ml/public cannot mirror requests.")
    before = replace(mirroring(plan_of(COPIES, HALF)), mirror=MirrorFacts(problem=problem))
    status = settled(before)
    assert shares(status) == (0, 0)
    later = settled(after(before, 60.0))
    assert shares(later) == (0, 0)
    assert later.summary.reason in ("MirrorUnsupported", "RoutePending")


def test_who_is_mirrored_what_comes_next_and_what_is_compared():
    compared = {"shadow": {"percent": 50, "match": MATCH, "compare": {"method": "Exact"}}, "hold": "1m"}
    plan = plan_of(COPIES, compared, HALF)
    status = mirroring(plan).status
    revision, shadow = mirrored(plan, status)
    assert (revision, int(shadow.percent)) == ("2-bb", 1000)
    assert [int(one.percent) for one in mirrors_next(plan, status)] == [1000, 5000]
    assert compares_ahead(plan, status).compare is not None
    live = under_way(plan, weight=50, index=3).status
    assert mirrored(plan, live) is None
    assert mirrors_next(plan, live) == ()
    assert compares_ahead(plan, live) is None
