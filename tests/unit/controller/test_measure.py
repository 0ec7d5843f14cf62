"""What is asked of the metrics layer, from the candidate's loading to its first weights."""

from types import SimpleNamespace

from modelrollout.api.scalars import Timestamp, Weight
from modelrollout.api.settings import Settings
from modelrollout.api.spec import ModelDeploymentSpec
from modelrollout.api.status import (
    MetricStatus,
    Mode,
    ModelDeploymentStatus,
    RevisionStatus,
    Role,
    RolloutStatus,
    StepStatus,
)
from modelrollout.controller.measure import Measured
from modelrollout.controller.memory import Memory, PodsSeen
from modelrollout.kube.pods import PodFacts
from modelrollout.rollout.plan import resolve

KEY = ("ml", "fraud")
SPEC = {
    "server": {"image": "fraud:2"},
    "replicas": 3,
    "rollout": {"steps": [{"weight": 5, "hold": "10m"}, {"weight": 50, "hold": "10m"}]},
    "analysis": {"metrics": [{"name": "errors", "errorRate": {}, "limit": "1%"}]},
}
LOADED, APPLIED = 1_700_000_100.0, 1_700_000_200.0


def status(index, weight, **fields):
    """A rollout at a step; `fields` of `status.rollout`."""
    return ModelDeploymentStatus(
        revisions=(
            RevisionStatus(revision="1-aaaa1111", version="1", role=Role.STABLE, weight=Weight(10_000 - weight)),
            RevisionStatus(revision="2-bbbb2222", version="2", role=Role.CANDIDATE, weight=Weight(weight)),
        ),
        rollout=RolloutStatus(
            **{
                "revision": "2-bbbb2222",
                "mode": Mode.STEPS,
                "started_at": Timestamp(LOADED - 60),
                "replicas": 3,
                "loaded_at": Timestamp(LOADED),
            }
            | fields
        ),
        step=StepStatus(
            name="weight-5" if index else "",
            index=index,
            total=3,
            started_at=Timestamp(LOADED - 60),
            applied_at=Timestamp(APPLIED) if index else None,
        ),
    )


def subscription(found, **analysis):
    spec = ModelDeploymentSpec.model_validate({**SPEC, "analysis": {**SPEC["analysis"], **analysis}})
    pod = PodFacts("fraud-2-bbbb2222-5d8c7b20-abcde", "u", LOADED - 60, "Running", False, LOADED, 0)
    memory = Memory(pods={"2-bbbb2222": PodsSeen((pod,), None, 0.0)})
    children = SimpleNamespace(records={})
    return Measured(Settings()).subscription(KEY, found, resolve(spec, Settings()), children, memory)


def test_a_candidate_that_has_loaded_is_looked_at_before_its_first_weight():
    found = subscription(status(0, 0))
    assert (found.preflight, found.history, found.share) == (True, True, 0.0)
    assert found.since == found.keep_from == LOADED, "a recorded time, or each look would begin anew"
    assert (found.candidate.deployment, found.stable.deployment) == ("fraud-2-bbbb2222", "fraud-1-aaaa1111")
    assert found.counts_from == {"fraud-2-bbbb2222-5d8c7b20-abcde": LOADED + 60}


def test_one_that_has_not_loaded_or_is_not_judged_is_not_looked_at():
    assert subscription(status(0, 0, loaded_at=None)) is None
    assert subscription(status(0, 0, mode=Mode.DIRECT)) is None
    assert subscription(status(0, 0), mode="None", metrics=None) is None


def test_with_its_first_weight_it_is_measured_and_the_past_is_not_asked_for():
    found = subscription(status(1, 500))
    assert (found.preflight, found.history, found.share, found.since) == (False, False, 0.05, APPLIED)


def in_a_preview(*metrics):
    found = status(1, 0)
    step = found.step.model_copy(update={"name": "preview"})
    spec = SPEC | {"rollout": {"strategy": "BlueGreen"}, "analysis": {"metrics": list(metrics)}}
    pod = PodFacts("fraud-2-bbbb2222-5d8c7b20-abcde", "u", LOADED - 60, "Running", False, LOADED, 0)
    memory = Memory(pods={"2-bbbb2222": PodsSeen((pod,), None, 0.0)})
    plan = resolve(ModelDeploymentSpec.model_validate(spec), Settings())
    shown = found.model_copy(update={"step": step})
    return Measured(Settings()).subscription(KEY, shown, plan, SimpleNamespace(records={}), memory)


def test_in_a_preview_what_testers_meet_is_measured_if_a_metric_is_asked_there():
    found = in_a_preview(LIMIT | {"when": ["Preview", "Bake"]}, RESTS)
    assert [metric.name for metric in found.metrics] == ["errors"]
    assert (found.preflight, found.share, found.since) == (False, 0.0, APPLIED)
    assert found.stable is not None
    assert in_a_preview(LIMIT, RESTS) is None


def at_100_percent(*metrics, through, covered_through=None):
    """What is measured in a bake, with every window counted so far that these metrics have seen."""
    found = status(3, 10_000)
    step = found.step.model_copy(update={"name": "weight-100", "covered_through": covered_through})
    seen = tuple(MetricStatus(name=name, through=through) for name in ("errors",))
    return subscription(found.model_copy(update={"step": step, "metrics": seen}), metrics=list(metrics))


LIMIT = {"name": "errors", "errorRate": {}, "limit": "1%"}
RESTS = {"name": "latency", "latency": {"threshold": "250ms"}, "compare": {}}


def test_what_rests_in_a_step_is_not_measured_and_keeps_no_windows():
    later = Timestamp(APPLIED + 3600)
    found = at_100_percent(LIMIT, RESTS, through=later, covered_through=later)
    assert [metric.name for metric in found.metrics] == ["errors"]
    assert found.keep_from == later
    assert at_100_percent(RESTS, through=None) is None


def test_windows_that_no_covered_time_waits_for_are_not_kept():
    later = Timestamp(APPLIED + 3600)
    assert at_100_percent(LIMIT | {"gate": False}, through=later).keep_from == later


def test_copies_are_measured_beside_stable_and_nobody_knows_how_many_there_ought_to_be():
    mirroring = {"percent": 50, "match": [{"method": "POST"}], "compare": {"method": "Exact"}}
    steps = [{"name": "weight-5", "shadow": mirroring}, {"weight": 50}]
    ratio = {"total": {"series": "a"}, "bad": {"series": "b"}}
    metrics = [
        {"name": "errors", "errorRate": {}, "limit": "1%"},
        {"name": "answers", "disagreement": {}, "limit": "1%"},
        {"name": "business", "ratio": ratio, "limit": "1%"},
    ]
    routed = {"traffic": {"gateway": {"parentRefs": [{"name": "public"}]}}, "rollout": {"steps": steps}}
    spec = ModelDeploymentSpec.model_validate({**SPEC, **routed, "analysis": {"metrics": metrics}})
    children = SimpleNamespace(records={})
    found = Measured(Settings()).subscription(KEY, status(1, 0), resolve(spec, Settings()), children, Memory())
    assert [metric.name for metric in found.metrics] == ["errors", "answers"]
    assert found.stable is not None
    assert found.share == 0.0
