"""One version at a time: what is looked at again, and when."""

from dataclasses import replace

from modelrollout.api.settings import Settings
from modelrollout.api.spec import ModelDeploymentSpec
from modelrollout.rollout.decide import decide
from modelrollout.rollout.plan import resolve
from tests.unit.rollout.test_judged_steps import BEGUN, under_way

SPEC = {
    "server": {"image": "fraud:2"},
    "replicas": 1,
    "traffic": {"gateway": {"parentRefs": [{"name": "public"}]}},
    "rollout": {"strategy": "Replace", "steps": [{"name": "bake", "weight": 100, "hold": "2h"}]},
    "analysis": {"mode": "None"},
}


def test_a_version_beside_the_one_that_bakes_stops_at_the_end_of_the_drain_without_any_event():
    """So it stands after an edit from another strategy, in which both had their pods."""
    situation = under_way(resolve(ModelDeploymentSpec.model_validate(SPEC), Settings()), weight=100)
    decision = decide(situation)
    assert decision.wake_at == BEGUN + situation.timing.drain
    later = replace(situation, status=decision.status, now=decision.wake_at, elapsed=situation.timing.drain)
    stopped = decide(later).status
    assert {entry.revision: entry.replicas for entry in stopped.revisions} == {"1-aa": 0, "2-bb": 1}
