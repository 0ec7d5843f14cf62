"""What golden requests do to a rollout: pods count once they are warm, a wrong answer rejects, and status says so."""

from dataclasses import replace

import pytest

from modelrollout.api.scalars import Span, Timestamp
from modelrollout.api.settings import Settings
from modelrollout.api.spec import ModelDeploymentSpec
from modelrollout.api.status import Mode, Outcome, Phase
from modelrollout.rollout.decide import decide
from modelrollout.rollout.plan import resolve
from modelrollout.rollout.situation import RevisionFacts, WarmUpFacts
from tests.unit.rollout.test_judged_steps import BEGUN, under_way
from tests.unit.rollout.test_preview import settled

PLAN = resolve(
    ModelDeploymentSpec.model_validate(
        {
            "server": {"image": "fraud:2"},
            "replicas": 2,
            "traffic": {"gateway": {"parentRefs": [{"name": "public"}]}},
            "rollout": {
                "warmUp": {"requests": [{"name": "g", "path": "/predict"}]},
                "steps": [{"weight": 60, "hold": "1m"}],
            },
            "analysis": {"mode": "None"},
        }
    ),
    Settings(),
)
PODS = RevisionFacts(exists=True, replicas=2, pods=2, ready=2, ready_since=BEGUN - 60)


def loading(**warm_up):
    """Before the first weight, with two ready pods of each version."""
    found = under_way(PLAN, weight=0)
    step = found.status.step.model_copy(update={"name": "", "index": 0, "applied_at": None})
    rollout = found.status.rollout.model_copy(update={"loaded_at": None, "replicas": 2, "loading": Span("60s")})
    entries = tuple(entry.model_copy(update={"replicas": 2, "ready_replicas": 2}) for entry in found.status.revisions)
    status = found.status.model_copy(update={"step": step, "rollout": rollout, "revisions": entries})
    pods = dict.fromkeys(found.revisions, PODS)
    return replace(found, status=status, revisions=pods, warm_up=WarmUpFacts(definition="d", **warm_up))


def test_ready_pods_wait_until_all_that_the_weight_needs_are_warm():
    status = settled(loading(warm=1, pods=("a.0",)))
    assert (status.phase, status.summary.reason) == (Phase.WARMING_UP, "WarmingUp")
    assert status.message.startswith(
        "1 of 2 ready pods of version 2 have answered the golden requests. All must have by "
    )
    assert (status.rollout.warm_up.warm, status.rollout.warm_up.pods) == (1, ("a.0",))
    assert status.rollout.loaded_at is None
    status = settled(loading(warm=2, pods=("a.0", "b.0"), slowest=0.0421))
    assert status.step.name == "weight-60"
    assert status.rollout.warm_up.slowest == "42ms"


def test_a_pod_that_gives_no_answer_is_told_and_counts_for_the_load_deadline():
    silent = loading(trouble="pod x: g: no connection")
    status = settled(silent)
    assert (status.phase, status.summary.reason) == (Phase.WARMING_UP, "WarmUpUnanswered")
    assert "pod x: g: no connection" in status.message
    late = silent.status.rollout.model_copy(update={"loading": Span("900s")})
    status = settled(replace(silent, status=silent.status.model_copy(update={"rollout": late})))
    assert (status.phase, status.summary.reason) == (Phase.FAILED, "ModelLoadFailed")
    assert "Not ready within 15m: pod x: g: no connection" in status.message


def test_a_wrong_answer_rejects_like_a_model_that_does_not_load():
    status = settled(loading(warm=1, pods=("a.0",), failure="Golden request g to pod x: expected 1, got 2"))
    assert (status.phase, status.summary.reason) == (Phase.FAILED, "WarmUpFailed")
    assert (status.history[-1].outcome, status.rejected[-1].reason) == (Outcome.FAILED, "WarmUpFailed")
    assert "Version 2 failed at" in status.message
    assert "expected 1, got 2. Now version 1 serves all traffic." in status.message


def test_a_wrong_answer_of_a_pod_that_came_later_takes_the_weight_back():
    found = replace(under_way(PLAN, weight=60), warm_up=WarmUpFacts(definition="d", failure="expected 1, got 2"))
    decision = decide(found)
    assert decision.urgent
    assert {entry.revision: int(entry.weight) for entry in decision.status.revisions} == {"1-aa": 10_000, "2-bb": 0}
    assert decision.status.phase == Phase.ROLLING_BACK


@pytest.mark.parametrize(("cause", "waits"), [("FirstVersion", True), ("WayBack", False), ("Promoted", False)])
def test_what_has_served_and_what_a_person_promotes_is_not_asked(cause, waits):
    found = loading()
    direct = found.status.rollout.model_copy(
        update={"mode": Mode.DIRECT, "cause": cause, "started_at": Timestamp(BEGUN - 60)}
    )
    status = settled(replace(found, status=found.status.model_copy(update={"rollout": direct})))
    assert (status.phase == Phase.WARMING_UP) is waits
