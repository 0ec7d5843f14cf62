"""Which pods are handed to the warmer, and what a Situation says of them."""

from types import SimpleNamespace

import pytest

from modelrollout.api.scalars import Timestamp
from modelrollout.api.settings import Settings
from modelrollout.api.spec import ModelDeploymentSpec
from modelrollout.api.status import (
    ArmStatus,
    ExperimentStatus,
    Mode,
    ModelDeploymentStatus,
    Problem,
    RevisionStatus,
    Role,
    RolloutStatus,
    WarmUpStatus,
)
from modelrollout.controller.memory import Memory, PodsSeen
from modelrollout.controller.warming import Warming
from modelrollout.kube.pods import pod_facts
from modelrollout.metrics.subscription import slot_of
from modelrollout.rollout.plan import resolve
from modelrollout.rollout.situation import ArmFacts, Situation, Target
from modelrollout.warmup.warmer import Results

KEY, REVISION = ("ml", "fraud"), "2-bbbb2222"
GOLDEN = {"requests": [{"name": "cat", "path": "/predict"}]}
CHILDREN = SimpleNamespace(records={REVISION: SimpleNamespace(port=8000)})


class Source:
    def __init__(self):
        self.wanted, self.found, self.errands, self.dropped = None, Results(), {}, []

    def want(self, key, errand):
        self.wanted = errand
        self.errands[key] = errand

    def drop(self, key):
        self.wanted = None
        self.errands.pop(key, None)
        self.dropped.append(key)

    def results(self, key, definition):
        return self.found


def pod(number, ready=True, address="10.0.0.1", owner="fraud-2-bbbb2222-6d4cf56db6", restarts=0, **spec):
    condition = {"type": "Ready", "status": str(ready), "lastTransitionTime": "2026-01-01T00:00:00Z"}
    return pod_facts(
        {
            "metadata": {
                "name": f"fraud-2-bbbb2222-{number}",
                "uid": f"uid{number}-aaaa",
                "ownerReferences": [{"kind": "ReplicaSet", "name": owner, "controller": True}],
            },
            "spec": spec,
            "status": {
                "conditions": [condition],
                "podIP": address,
                "containerStatuses": [{"name": "server", "restartCount": restarts}],
            },
        }
    )


def status(**fields):
    return ModelDeploymentStatus(
        revisions=(RevisionStatus(revision=REVISION, version="2", role=Role.CANDIDATE, replicas=2),),
        rollout=RolloutStatus(revision=REVISION, started_at=Timestamp(1.0), replicas=2, **fields),
    )


def looked(*pods, found=None, golden=GOLDEN, **fields):
    spec = {"server": {"image": "fraud:2"}, "rollout": {"warmUp": golden}}
    plan = resolve(ModelDeploymentSpec.model_validate(spec), Settings())
    memory, source, now = Memory(), Source(), status(**fields)
    memory.pods[REVISION] = PodsSeen(pods, None, 0.0)
    source.found = found or Results()
    warming = Warming(source)
    facts = warming.facts(KEY, now, plan, memory)
    situation = Situation(5.0, "fraud", 1, now, Target(REVISION, "2"), plan, warm_up=facts)
    warming.ask(KEY, situation, now, memory, CHILDREN)
    return facts, source.wanted


def test_ready_pods_of_the_candidate_are_asked_at_their_own_address_and_the_recorded_port():
    _, wanted = looked(pod(1, address="10.0.0.7"), pod(2, ready=False))
    [one] = wanted.pods
    assert (one.identity, one.address, one.port) == ("uid1.0", "10.0.0.7", 8000)


@pytest.mark.parametrize(
    "stranger",
    [
        pod(9, owner="other-6d4cf56db6"),
        pod(9, address="169.254.169.254"),
        pod(9, address="fe80::1"),
        pod(9, address="0.0.0.0"),
        pod(9, address="metadata.internal"),
        pod(9, address=""),
        pod(9, hostNetwork=True),
    ],
)
def test_no_other_address_is_ever_asked(stranger):
    _, wanted = looked(stranger)
    assert wanted.pods == ()


def test_what_is_warm_counts_and_is_not_asked_again_unless_it_restarts():
    found = Results(warm={"uid1.0": 0.02, "uid2.0": 0.05})
    facts, wanted = looked(pod(1), pod(2, restarts=1), pod(3), found=found)
    assert (facts.warm, facts.pods, facts.slowest) == (1, ("uid1.0",), 0.05)
    assert [one.identity for one in wanted.pods] == ["uid2.1", "uid3.0"]


def test_a_pod_that_is_unready_stays_warm_and_does_not_count():
    facts, _ = looked(pod(1, ready=False), found=Results(warm={"uid1.0": 0.0}))
    assert (facts.warm, facts.pods) == (0, ("uid1.0",))


def test_a_restart_of_the_operator_asks_no_pod_again_that_stands_on_record():
    first, _ = looked(pod(1), found=Results(warm={"uid1.0": 0.0}))
    recorded = WarmUpStatus(definition=first.definition, warm=1, pods=first.pods)
    facts, wanted = looked(pod(1), warm_up=recorded)
    assert (facts.warm, wanted.pods) == (1, ())
    other = {"requests": [{"name": "dog", "path": "/predict"}]}
    facts, wanted = looked(pod(1), warm_up=recorded, golden=other)
    assert facts.warm == 0
    assert len(wanted.pods) == 1, "other requests have not been answered"


def test_a_version_that_has_served_is_not_asked():
    assert looked(pod(1), mode=Mode.DIRECT, cause="WayBack")[1] is None
    assert looked(pod(1), mode=Mode.DIRECT, cause="FirstVersion")[1] is not None


def test_what_went_wrong_is_told():
    found = Results(failures={"uid1.0": "expected cat, got dog"}, troubles={"uid2.0": "no connection", "gone.0": "x"})
    facts, _ = looked(pod(1), pod(2), found=found)
    assert (facts.failure, facts.trouble) == ("expected cat, got dog", "no connection")
    facts, _ = looked(pod(1, hostNetwork=True))
    assert facts.trouble == "pod fraud-2-bbbb2222-1 has no address of its own"


SLOT = slot_of(KEY, REVISION)


def with_a_test(out=None, warm_up=None):
    """An A/B test with one variant."""
    arm = ArmStatus(name="b", revision=REVISION, out=out, warm_up=warm_up)
    return ModelDeploymentStatus(
        revisions=(RevisionStatus(revision=REVISION, version="2", role=Role.VARIANT, replicas=2),),
        experiment=ExperimentStatus(
            id="t", control="1-aaaa1111", started_at=Timestamp(1.0), replicas=2, variants=(arm,)
        ),
    )


OUT = Problem(reason="WarmUpFailed", message="expected cat, got dog")


class Looks:
    """Looks of one process at one A/B test."""

    def __init__(self):
        self.memory, self.source = Memory(), Source()
        self.warming = Warming(self.source)
        self.memory.pods[REVISION] = PodsSeen((pod(1), pod(2)), None, 0.0)
        self.plan = resolve(ModelDeploymentSpec.model_validate(TEST), Settings())

    def look(self, before, after=None):
        found = self.warming.variants(KEY, before, self.plan, self.memory)
        arms = {revision: ArmFacts(warm_up=facts) for revision, facts in found.items()}
        situation = Situation(5.0, "fraud", 1, before, Target(REVISION, "2"), self.plan, arms=arms)
        self.warming.ask(KEY, situation, after or before, self.memory, CHILDREN)
        return found.get(REVISION)


TEST = {
    "server": {"image": "fraud:1"},
    "traffic": {"gateway": {"parentRefs": [{"name": "public"}]}},
    "rollout": {
        "strategy": "ABTest",
        "variants": [{"name": "b", "weight": 20, "version": "2"}],
        "warmUp": GOLDEN,
    },
}


def test_each_variant_has_an_errand_of_its_own_until_it_is_taken_out_or_the_test_is_over():
    looks = Looks()
    assert looks.look(with_a_test()).warm == 0
    assert [one.identity for one in looks.source.errands[SLOT].pods] == ["uid1.0", "uid2.0"]
    looks.look(with_a_test(), with_a_test(out=OUT))
    assert looks.source.errands == {}
    looks.look(with_a_test())
    looks.look(with_a_test(), ModelDeploymentStatus())
    assert looks.source.errands == {}


def test_pods_of_a_variant_that_stand_on_record_are_not_asked_again():
    looks = Looks()
    definition = looks.look(with_a_test()).definition
    recorded = WarmUpStatus(definition=definition, warm=1, pods=("uid1.0",))
    again = Looks()
    assert again.look(with_a_test(warm_up=recorded)).warm == 1
    assert [one.identity for one in again.source.errands[SLOT].pods] == ["uid2.0"]


def test_a_variant_that_takes_part_again_is_asked_anew():
    looks = Looks()
    looks.look(with_a_test(out=OUT), with_a_test())
    assert SLOT in looks.source.dropped
    assert SLOT in looks.source.errands


def test_a_resource_that_is_gone_leaves_no_errand():
    looks = Looks()
    looks.look(with_a_test())
    looks.warming.forget(KEY, looks.memory)
    assert looks.source.errands == {}
