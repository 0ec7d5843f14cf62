"""What `kubectl apply` answers to a person, word by word."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.api.kubectl import Kubectl, command, deployment, document, fresh_namespace
from tests.strategies import FAULTS, Spec, invalid_names, invalid_specs, names, specs

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

IMAGE: Spec = {"server": {"image": "registry.example.com/fraud:2"}}
SERVER_ALONE = settings(
    max_examples=4,
    deadline=None,
    database=None,
    phases=[Phase.generate],  # the answer names the one that differs; to shrink a batch takes minutes
    suppress_health_check=list(HealthCheck),
)
BATCH = 40


@pytest.fixture(scope="module")
def kubectl(cluster) -> Iterator[Kubectl]:
    with fresh_namespace(cluster.kubectl, "admission") as found:
        yield found


def steps(*weights: int | str) -> Spec:
    return {"rollout": {"steps": [{"weight": weight} for weight in weights]}}


def metric(**fields: Any) -> Spec:
    return {"analysis": {"metrics": [{"name": "m", **fields}]}}


GATEWAY = {"gateway": {"parentRefs": [{"name": "public"}]}}


def ab_test(*variants: Spec, **fields: Any) -> Spec:
    arms = list(variants) or [{"name": "b", "weight": 20, "version": "2"}]
    return {"traffic": GATEWAY, "rollout": {"strategy": "ABTest", "variants": arms, **fields}}


REFUSALS: dict[str, tuple[Spec, str]] = {
    "shares that leave nothing to the control": (
        ab_test({"name": "b", "weight": 60, "version": "2"}, {"name": "c", "weight": "40%", "version": "3"}),
        "spec.rollout.variants: Invalid value: their weights must add up to less than 100, for the rest is the control's",
    ),
    "a variant that differs in nothing": (
        ab_test({"name": "b", "weight": 20}),
        "spec.rollout.variants[0]: Invalid value: a variant differs from the control in version, model, server or template; name at least one of them",
    ),
    "a test without variants": (
        {"traffic": GATEWAY, "rollout": {"strategy": "ABTest"}},
        "spec.rollout.variants: Invalid value: strategy ABTest needs variants, and no other strategy has them",
    ),
    "a test behind a Service": (
        ab_test() | {"traffic": {"service": {}}},
        "spec.traffic: Invalid value: strategy ABTest needs exact shares",
    ),
    "users told by a router that cannot": (
        ab_test(assignment={"type": "Sticky"}) | {"traffic": {"traefik": {}}},
        "spec.rollout.assignment: Invalid value: assignment Sticky and Flag need rules by header, which only the route of a Gateway has",
    ),
    "more variants than a router divides between": (
        ab_test({"name": "b", "weight": 20, "version": "2"}, {"name": "c", "weight": 20, "version": "3"})
        | {"traffic": {"nginx": {"hosts": ["fraud.example.com"]}}},
        "spec.rollout.variants: Invalid value: Nginx divides traffic between 2 versions: test one variant",
    ),
    "a test within a capacity": (
        ab_test(capacity={"maxSurge": 1}),
        "spec.rollout.capacity: Invalid value: capacity needs a candidate that grows with its weight",
    ),
    "a flag without a header": (
        ab_test(assignment={"type": "Flag"}),
        "spec.rollout.assignment: Invalid value: type Flag needs header, such as x-experiment-arm, and no other type takes one",
    ),
    "a winner that nothing tells": (
        ab_test(duration="14d", end="PromoteWinner"),
        "spec.rollout: Invalid value: end PromoteWinner needs a goal by which a winner is told",
    ),
    "falling weights": (
        steps(5, 25, 10),
        "spec.rollout.steps: Invalid value: weights must not fall: step 3 (10) is below step 2 (25)",
    ),
    "falling weights in mixed forms": (
        steps("0.5%", "25%", 10, 3),
        "spec.rollout.steps: Invalid value: weights must not fall: step 3 (10) is below step 2 (25%)",
    ),
    "a weight above 100": (
        steps(120),
        "spec.rollout.steps[0].weight: Invalid value: 120: spec.rollout.steps[0].weight in body should be less than or equal to 100",
    ),
    "a weight text above 100": (
        steps("120%"),
        'spec.rollout.steps[0].weight: Invalid value: "120%": spec.rollout.steps[0].weight in body should match',
    ),
    "a float": (
        steps(0.5),
        'spec.rollout.steps[0].weight: Invalid value: "number": spec.rollout.steps[0].weight in body must be of type integer,string: "number"',
    ),
    "an unparsable duration": (
        {"rollout": {"loadDeadline": "5 minutes"}},
        'spec.rollout.loadDeadline: Invalid value: "5 minutes": not of the form 90s, 15m or 1h30m',
    ),
    "a negative duration": (
        {"rollout": {"steps": [{"weight": 5, "hold": "-5m"}]}},
        'spec.rollout.steps[0].hold: Invalid value: "-5m": not of the form 90s, 15m or 1h30m',
    ),
    "two steps of one name": (
        {"rollout": {"steps": [{"weight": 5, "name": "a"}, {"weight": 6, "name": "a"}]}},
        "spec.rollout.steps: Invalid value: names of steps must be unique",
    ),
    "two routers": (
        {"traffic": {**GATEWAY, "service": {}}},
        "spec.traffic: Invalid value: name exactly one router, found gateway and service",
    ),
    "replicas and autoscaling": (
        {"replicas": 3, "autoscaling": {"minReplicas": 1, "maxReplicas": 3}},
        "spec: Invalid value: name either replicas or autoscaling, not both",
    ),
    "least above most": (
        {"autoscaling": {"minReplicas": 3, "maxReplicas": 2}},
        "spec.autoscaling: Invalid value: minReplicas must not exceed maxReplicas",
    ),
    "an unknown word": (
        {"rollout": {"strategy": "canary"}},
        'spec.rollout.strategy: Unsupported value: "canary": supported values: "Canary", "BlueGreen"',
    ),
    "blue/green in parts": (
        {"rollout": {"strategy": "BlueGreen", "steps": [{"weight": 0}, {"weight": 50}, {"weight": 100}]}},
        "spec.rollout.steps: Invalid value: BlueGreen switches all traffic at once: its steps have weight 0 or 100; for others use strategy Canary",
    ),
    "previews where users are": (
        {
            "traffic": {
                "gateway": GATEWAY["gateway"]
                | {"hostnames": ["a.example.com"], "previewHostnames": ["b.example.com", "a.example.com"]}
            }
        },
        "spec.traffic.gateway: Invalid value: a preview host name must not be one of hostnames: users would be split between two routes",
    ),
    "host names of previews in a mesh": (
        {
            "traffic": {
                "gateway": {"parentRefs": [{"name": "fraud", "kind": "Service"}], "previewHostnames": ["a.example.com"]}
            }
        },
        "spec.traffic.gateway: Invalid value: previewHostnames need a Gateway: a mesh (a parentRef of kind Service) does not look at host names",
    ),
    "counters that are not read": (
        metric(errorRate={"source": "Router"}, limit="1%"),
        'spec.analysis.metrics[0].errorRate.source: Unsupported value: "Router": supported values: "Auto", "Server"',
    ),
    "a rate that is none": (
        metric(errorRate={}, limit="0.02"),
        'spec.analysis.metrics[0].limit: Invalid value: "0.02": not of the form "1%" or "0.25%"',
    ),
    "a latency bound that is none": (
        metric(latency={"threshold": "fast"}, limit="1%"),
        'spec.analysis.metrics[0].latency.threshold: Invalid value: "fast": not of the form 250ms or 2s',
    ),
    "a metric that asks nothing": (
        metric(errorRate={}),
        "spec.analysis.metrics[0]: Invalid value: ask at least one question: limit or range, or compare",
    ),
    "a limit on a query": (
        metric(query="1", limit="1%"),
        "spec.analysis.metrics[0]: Invalid value: limit is for rates; a query takes range",
    ),
    "a comparison without margin": (
        metric(errorRate={}, method="Threshold", compare={}),
        'spec.analysis.metrics[0]: Invalid value: compare.margin must be named with method Threshold, such as "1.5"',
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_refusal_says_what_was_found_and_what_would_be_right(kubectl: Kubectl, case: str):
    spec, message = REFUSALS[case]
    answer = kubectl.apply(deployment(IMAGE | spec))
    assert answer.code == 1
    assert 'The ModelDeployment "fraud" is invalid:' in answer.err
    assert message in answer.err


@pytest.mark.parametrize("spec", [{}, {"server": {}}, {"version": "2"}], ids=str)
def test_a_missing_image_is_named(kubectl: Kubectl, spec: Spec):
    assert kubectl.apply(deployment(spec)).err == (
        'The ModelDeployment "fraud" is invalid: spec.server.image: Invalid value: '
        "an image is needed, such as registry.example.com/fraud:2\n"
    )


def test_a_missing_spec_is_named(kubectl: Kubectl):
    found = deployment({})
    del found["spec"]
    assert "spec: Required value" in kubectl.apply(found).err


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a" * 37, "the name must have at most 36 characters, because names of pods begin with it"),
        ("1fraud", "begin with a letter and end with a letter or digit, because Services are named after it"),
        ("fraud.v2", "the name must consist of a-z, 0-9 and -"),
    ],
)
def test_a_name_that_children_could_not_bear_is_refused(kubectl: Kubectl, name: str, message: str):
    answer = kubectl.apply(deployment(IMAGE, name))
    assert answer.code == 1
    assert f'The ModelDeployment "{name}" is invalid: metadata.name: Invalid value: ' in answer.err
    assert message in answer.err


def test_the_longest_name_is_taken(kubectl: Kubectl):
    assert kubectl.apply(deployment(IMAGE, "a" * 36), options=("--dry-run=server",)).code == 0


@pytest.mark.parametrize(
    ("spec", "field"),
    [({"rollouts": {}}, "spec.rollouts"), ({"rollout": {"step": []}}, "spec.rollout.step")],
)
def test_an_unknown_field_is_named(kubectl: Kubectl, spec: Spec, field: str):
    answer = kubectl.apply(deployment(IMAGE | spec))
    assert answer.code == 1
    assert f'strict decoding error: unknown field "{field}"' in answer.err


def test_a_query_with_quotes_is_kept_to_the_letter(kubectl: Kubectl):
    query = """sum(rate(x{job="it's \\"quoted\\"",pod=~'{{pods}}'}[1m])) # ok"""
    assert kubectl.apply(deployment(IMAGE | metric(query=query, range={"max": "0.5"}), "quoted")).code == 0
    assert kubectl.ok("get", "mdep", "quoted", "-o", "jsonpath={.spec.analysis.metrics[0].query}") == query


def test_parts_of_a_pod_that_the_schema_does_not_know_are_kept(kubectl: Kubectl):
    template = {"spec": {"containers": [{"name": "server", "image": "fraud:2", "someNewField": {"a": [1]}}]}}
    assert kubectl.apply(deployment({"template": template}, "open")).code == 0
    path = "jsonpath={.spec.template.spec.containers[0].someNewField.a[0]}"
    assert kubectl.ok("get", "mdep", "open", "-o", path) == "1"


def test_client_side_and_server_side_apply_agree(kubectl: Kubectl):
    found = deployment(IMAGE | steps(5, 100), "agree")
    assert kubectl.apply(found).code == 0
    again = kubectl.apply(found)
    assert "unchanged" in again.out
    server_side = kubectl.apply(found, options=("--server-side", "--force-conflicts"))
    assert server_side.code == 0, server_side.err
    assert kubectl("diff", "-f", "-", stdin=document(found)).code == 0


def test_metrics_of_two_managers_merge_by_name(kubectl: Kubectl):
    errors = {"name": "errors", "errorRate": {}, "limit": "1%"}
    drift = {"name": "drift", "query": "1", "range": {"max": 1}}
    kubectl.apply(deployment(IMAGE | {"analysis": {"metrics": [errors]}}, "merged"), options=_managed_by("team"))
    second = deployment({"analysis": {"metrics": [drift]}}, "merged")
    answer = kubectl.apply(second, options=_managed_by("platform"))
    assert answer.code == 0, answer.err
    found = kubectl.ok("get", "mdep", "merged", "-o", "jsonpath={.spec.analysis.metrics[*].name}")
    assert sorted(found.split()) == ["drift", "errors"]


def test_a_command_cannot_be_changed(kubectl: Kubectl):
    asked = {"target": "fraud", "action": "Approve", "revision": "2-7c9f4a1b", "step": "half", "by": "alice"}
    assert kubectl.apply(command(asked)).code == 0
    answer = kubectl.apply(command({**asked, "by": "mallory"}))
    assert answer.err == (
        'The RolloutCommand "fraud-1" is invalid: spec: Invalid value: a command is immutable: create another one\n'
    )


def test_an_approval_names_its_step(kubectl: Kubectl):
    answer = kubectl.apply(command({"target": "fraud", "action": "Approve", "revision": "2-7c9f4a1b"}, "no-step"))
    assert "spec.step: Invalid value: Approve needs the name of the step" in answer.err


def test_an_unknown_action_is_refused_with_the_list_of_actions(kubectl: Kubectl):
    answer = kubectl.apply(command({"target": "fraud", "action": "Stop", "revision": "2-7c9f4a1b"}, "stop"))
    assert (
        'spec.action: Unsupported value: "Stop": supported values: '
        '"Approve", "Pause", "Resume", "Abort", "Retry", "Promote", "Undo"'
    ) in answer.err


@given(
    st.lists(specs(), min_size=BATCH, max_size=BATCH), st.lists(names(), min_size=BATCH, max_size=BATCH, unique=True)
)
@SERVER_ALONE
def test_whatever_the_models_take_the_api_server_takes(kubectl: Kubectl, found: list[Spec], called: list[str]):
    objects = [deployment(spec, name) for spec, name in zip(found, called, strict=True)]
    answer = kubectl.apply(*objects, options=("--dry-run=server",))
    assert answer.err == ""
    assert answer.out.count("created (server dry run)") == BATCH


@given(st.lists(invalid_specs(), min_size=BATCH, max_size=BATCH))
@SERVER_ALONE
def test_whatever_the_models_refuse_the_api_server_refuses(kubectl: Kubectl, found: list[tuple[str, Spec]]):
    assert_all_refused(kubectl, found)


def test_each_fault_is_refused_in_the_smallest_spec(kubectl: Kubectl):
    assert_all_refused(kubectl, [(fault, plant(IMAGE)) for fault, plant in FAULTS.items()])


@given(st.lists(invalid_names(), min_size=3, max_size=3, unique=True))
@SERVER_ALONE
def test_no_bad_name_is_taken(kubectl: Kubectl, found: list[str]):
    answer = kubectl.apply(*(deployment(IMAGE, name) for name in found), options=("--dry-run=server",))
    assert answer.out == ""


def assert_all_refused(kubectl: Kubectl, found: list[tuple[str, Spec]]) -> None:
    called = {f"case-{index}": fault for index, (fault, _) in enumerate(found)}
    objects = [deployment(spec, name) for name, (_, spec) in zip(called, found, strict=True)]
    answer = kubectl.apply(*objects, options=("--dry-run=server",))
    taken = [line.split()[0].rpartition("/")[2] for line in answer.out.splitlines()]
    assert [called[name] for name in taken] == []


def _managed_by(manager: str) -> tuple[str, ...]:
    return ("--server-side", f"--field-manager={manager}")
