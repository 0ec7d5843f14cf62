"""Which pods are handed to the warmer, and what a Situation says of them."""

from types import SimpleNamespace

import pytest

from modelrollout.api.scalars import Timestamp
from modelrollout.api.settings import Settings
from modelrollout.api.spec import ModelDeploymentSpec
from modelrollout.api.status import Mode, ModelDeploymentStatus, RevisionStatus, Role, RolloutStatus, WarmUpStatus
from modelrollout.controller.memory import Memory, PodsSeen
from modelrollout.controller.warming import Warming
from modelrollout.kube.pods import pod_facts
from modelrollout.rollout.plan import resolve
from modelrollout.rollout.situation import Situation, Target
from modelrollout.warmup.warmer import Results

KEY, REVISION = ("ml", "fraud"), "2-bbbb2222"
GOLDEN = {"requests": [{"name": "cat", "path": "/predict"}]}
CHILDREN = SimpleNamespace(records={REVISION: SimpleNamespace(port=8000)})


class Source:
    def __init__(self):
        self.wanted, self.found = None, Results()

    def want(self, key, errand):
        self.wanted = errand

    def drop(self, key):
        self.wanted = None

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
