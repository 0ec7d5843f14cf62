"""Within a capacity: what is said and done while no node has room, and what the way back would cost."""

from dataclasses import replace

import pytest

from modelrollout.api.scalars import Span
from modelrollout.api.settings import Settings
from modelrollout.api.spec import ModelDeploymentSpec
from modelrollout.rollout.book import change
from modelrollout.rollout.decide import decide
from modelrollout.rollout.plan import resolve
from modelrollout.rollout.situation import RevisionFacts
from tests.unit.rollout.test_judged_steps import BEGUN, under_way

SPEC = {
    "server": {"image": "fraud:2"},
    "replicas": 4,
    "traffic": {"gateway": {"parentRefs": [{"name": "public"}]}},
    "rollout": {"capacity": {"maxSurge": 1, "schedulingDeadline": "30m"}, "steps": [{"weight": 50, "hold": "2h"}]},
    "analysis": {"mode": "None"},
}
PLAN = resolve(ModelDeploymentSpec.model_validate(SPEC), Settings())
FULL = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu"


def bounded(weight, stable, candidate, ready, **facts):
    """A rollout with so many pods of each, of the candidate's so many ready."""
    situation = under_way(PLAN, weight=weight)
    rollout = situation.status.rollout.model_copy(update={"replicas": 4})
    status = situation.status.model_copy(update={"rollout": rollout})
    status = change(change(status, "1-aa", replicas=stable), "2-bb", replicas=candidate)
    seen = {
        "1-aa": RevisionFacts(
            exists=True, replicas=stable, pods=stable, ready=stable, ready_since=BEGUN - 100.0, full_since=BEGUN - 100.0
        ),
        "2-bb": RevisionFacts(
            exists=True,
            replicas=candidate,
            pods=candidate,
            ready=ready,
            ready_since=BEGUN - 100.0 if ready else None,
            **facts,
        ),
    }
    return replace(situation, status=status, revisions=seen)


def without_room(situation, seconds):
    """The decision after so long without a node for the next pod, looked at every minute."""
    decision = decide(situation)
    for minute in range(1, round(seconds / 60) + 1):
        situation = replace(situation, status=decision.status, now=BEGUN + 60.0 * minute, elapsed=60.0)
        decision = decide(situation)
    return decision


def test_a_first_pod_without_a_node_waits_and_is_taken_back_at_the_scheduling_deadline():
    situation = bounded(0, 4, 1, 0, unschedulable=True, trouble=FULL)
    fresh = situation.status.rollout.model_copy(update={"loaded_at": None})
    situation = replace(situation, status=situation.status.model_copy(update={"rollout": fresh}))
    waiting = without_room(situation, 29 * 60).status
    assert waiting.summary.reason == "NoCapacity"
    assert FULL in waiting.message
    assert waiting.rollout.loading.seconds == 0, "what waits for a node does not load"
    ended = without_room(situation, 31 * 60).status
    assert ended.rejected[-1].reason == "NoCapacity"
    assert ended.rejected[-1].message == f"No node had room within 30m: {FULL}. No traffic was moved."


def test_with_traffic_it_holds_and_calls_for_a_person_after_the_deadline():
    situation = bounded(25, 3, 2, 1, unschedulable=True, trouble=FULL)
    for seconds, stalled in ((29 * 60, False), (31 * 60, True)):
        decision = without_room(situation, seconds)
        assert decision.status.summary.reason == "NoCapacity"
        assert decision.status.message.startswith("Holding at 25 %: no node has room for version 2")
        [condition] = [one for one in decision.status.conditions if one.type == "Stalled"]
        assert (condition.status == "True") is stalled
        assert not decision.status.rejected
        assert {one.revision: int(one.weight) for one in decision.status.revisions} == {"1-aa": 7_500, "2-bb": 2_500}


def test_it_goes_on_by_itself_once_there_is_room():
    stuck = without_room(bounded(25, 3, 2, 1, unschedulable=True, trouble=FULL), 31 * 60)
    found = bounded(25, 3, 2, 2, full_since=BEGUN)
    again = decide(replace(found, status=stuck.status, now=BEGUN + 32 * 60.0, elapsed=60.0)).status
    assert {one.revision: int(one.weight) for one in again.revisions} == {"1-aa": 5_000, "2-bb": 5_000}
    assert again.rollout.unscheduled is None


@pytest.mark.parametrize(
    ("load", "words"), [(None, "until they have loaded"), (360.0, "for about 6m, by how long a load took")]
)
def test_while_it_waits_it_says_what_the_way_back_would_cost(load, words):
    situation = bounded(50, 2, 2, 2, full_since=BEGUN - 100.0)
    status = change(situation.status, "1-aa", load=Span.of(load) if load else None)
    message = decide(replace(situation, status=status)).status.message
    assert message.endswith(f"Taken back now, version 1 would carry all traffic with 2 of 4 pods {words}.")


def test_where_stable_has_all_its_pods_it_says_nothing():
    assert "Taken back now" not in decide(bounded(50, 4, 2, 2, full_since=BEGUN - 100.0)).status.message
