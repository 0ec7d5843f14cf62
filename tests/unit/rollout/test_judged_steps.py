"""Steps that metrics are judged in: decisions window by window, on a rollout under way."""

from dataclasses import replace

from modelrollout.analysis.window import Answer, Counts, Window
from modelrollout.api.scalars import Timestamp
from modelrollout.api.settings import Settings
from modelrollout.api.spec import ModelDeploymentSpec
from modelrollout.api.status import (
    ModelDeploymentStatus,
    Phase,
    RevisionStatus,
    Role,
    RolloutStatus,
    StepStatus,
    TrafficStatus,
)
from modelrollout.rollout.book import unseen
from modelrollout.rollout.decide import decide
from modelrollout.rollout.plan import resolve
from modelrollout.rollout.situation import RevisionFacts, RouteFacts, Situation, Target

BEGUN = 1_700_000_000.0
FIRST = 1_700_000_010.0
ERRORS = {"name": "errors", "errorRate": {}, "compare": {}, "overdispersion": 1}


def plan_of(*metrics, steps=None, **analysis):
    written = {
        "server": {"image": "fraud:2"},
        "rollout": {"steps": steps or [{"weight": 50, "hold": "10m"}]},
        "analysis": {"metrics": list(metrics)} | analysis,
    }
    return resolve(ModelDeploymentSpec.model_validate(written), Settings())


def under_way(plan, weight=50, index=1):
    """The first decision's situation: the step's weight was just applied."""
    status = ModelDeploymentStatus(
        observed_generation=1,
        seen_at=BEGUN,
        plan="plan",
        revisions=(
            RevisionStatus(revision="1-aa", version="1", role=Role.STABLE, weight=100 - weight, replicas=1),
            RevisionStatus(revision="2-bb", version="2", role=Role.CANDIDATE, weight=weight, replicas=1),
        ),
        traffic=TrafficStatus(router=plan.router, set_at=BEGUN, applied_at=BEGUN),
        rollout=RolloutStatus(
            revision="2-bb", started_at=BEGUN, replicas=1, loaded_at=BEGUN, planned_windows=plan.planned_windows
        ),
        step=StepStatus(
            name=plan.steps[index - 1].name, index=index, total=len(plan.steps), started_at=BEGUN, applied_at=BEGUN
        ),
    )
    ready = RevisionFacts(exists=True, replicas=1, pods=1, ready=1, ready_since=BEGUN - 100.0)
    carried = {"1-aa": 100 * (100 - weight), "2-bb": 100 * weight}
    return Situation(
        now=BEGUN,
        name="fraud",
        generation=1,
        status=status,
        target=Target("2-bb", "2"),
        plan=plan,
        plan_name="plan",
        elapsed=0.0,
        revisions={"1-aa": ready, "2-bb": ready},
        route=RouteFacts(exists=True, weights=carried, accepted=True, since=BEGUN - 100.0),
    )


def window(index, bad=0, requests=40, stable=(1, 700)):
    start = FIRST + 15.0 * index
    return Window(start, start + 15.0, Answer.COUNTS, Counts(requests, bad), Counts(stable[1], stable[0]))


def lived(situation, windows, name="errors"):
    """The decisions, one a window, each on the status that the one before has made."""
    found = []
    for number, one in enumerate(windows):
        situation = replace(situation, now=one.end + 5.0, elapsed=15.0, windows={name: tuple(windows[: number + 1])})
        decision = decide(situation)
        found.append(decision)
        situation = replace(situation, status=decision.status)
    return found


def test_no_window_counts_twice_where_the_clock_is_set_back_between_two_steps():
    plan = plan_of(ERRORS, steps=[{"weight": 25, "hold": "10m"}, {"weight": 50, "hold": "10m"}])
    windows = [window(index) for index in range(20)]
    first = lived(under_way(plan, weight=25), windows)[-1].status
    assert first.metrics[0].total_requests == 800
    second = under_way(plan, weight=50, index=2)
    begun = BEGUN + 100.0
    status = second.status.model_copy(
        update={
            "step": second.status.step.model_copy(update={"applied_at": None, "started_at": Timestamp(begun)}),
            "traffic": second.status.traffic.model_copy(update={"applied_at": Timestamp(begun)}),
            "metrics": unseen(first.metrics),
        }
    )
    decision = decide(replace(second, now=begun + 5.0, status=status, windows={"errors": tuple(windows)}))
    assert decision.status.metrics[0].total_requests == 800


def test_a_pause_on_breach_is_written_once_and_not_at_each_window():
    made = lived(under_way(plan_of(ERRORS | {"onBreach": "Pause"})), [window(index, bad=8) for index in range(20)])
    assert (made[-1].status.phase, made[-1].status.summary.reason) == (Phase.PAUSED, "MetricBreached")
    assert made[-1].status.message.startswith(
        "Paused at 50 %: errors: the candidate's error rate is worse than stable's"
    )
    paused = [decision for decision in made if decision.status.phase is Phase.PAUSED]
    assert len(paused) > 10
    assert all(decision.checkpoint for decision in paused[1:])


def test_a_step_that_waits_for_a_person_is_written_once_and_not_at_each_window():
    plan = plan_of(ERRORS, steps=[{"weight": 50, "hold": "1m", "maxDuration": "2m"}])
    made = lived(under_way(plan), [window(index, stable=(index % 2, 700)) for index in range(30)])
    assert (made[-1].status.phase, made[-1].status.summary.reason) == (Phase.PAUSED, "NotEnoughEvidence")
    written = [decision for decision in made if decision.status.phase is Phase.PAUSED and not decision.checkpoint]
    assert len(written) <= 2


def test_harm_that_begins_after_an_hour_of_waiting_for_approval_is_found_within_minutes():
    plan = plan_of(ERRORS, steps=[{"weight": 50, "advance": "Approval"}])
    quiet = [window(index, bad=index % 2, requests=375, stable=(index % 2, 375)) for index in range(240)]
    bad = [window(240 + index, bad=8, requests=375, stable=(index % 2, 375)) for index in range(20)]
    made = lived(under_way(plan), quiet + bad)
    assert made[239].status.phase is Phase.PAUSED
    taken = next(number for number, decision in enumerate(made) if decision.status.rejected)
    assert 240 <= taken <= 246


def test_a_step_has_time_for_data_that_come_late():
    late = {"name": "fraud", "ratio": {"bad": {"series": "a_total"}, "total": {"series": "b_total"}}, "compare": {}}
    plan = plan_of(ERRORS, late | {"delay": "2h"})
    assert plan.steps[0].max_duration == 3 * (600 + 7200)
    decision = decide(replace(under_way(plan), now=BEGUN + 20.0))
    assert decision.status.step.advance_at == BEGUN + 600 + 7200


def test_time_counts_once_where_an_edit_has_metrics_gate_a_step_under_way():
    windows = [window(index) for index in range(40)]
    situation = under_way(plan_of(ERRORS | {"gate": False}))
    for gates in (False, True, False, True):
        situation = replace(situation, plan=plan_of(ERRORS | {"gate": gates}))
        until = situation.now + 120.0
        while situation.now < until:
            situation = replace(situation, now=situation.now + 15.0, elapsed=15.0)
            seen = tuple(one for one in windows if one.end + 5.0 <= situation.now)
            situation = replace(situation, status=decide(replace(situation, windows={"errors": seen})).status)
    assert 300.0 < situation.status.step.covered.seconds <= 480.0
