"""What `kubectl get`, `scale` and `explain` show of a ModelDeployment whose status an operator has written."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from modelrollout.api.scalars import Timestamp, Weight
from modelrollout.api.status import (
    Condition,
    ModelDeploymentStatus,
    Phase,
    RevisionStatus,
    Role,
    Summary,
)
from tests.api.kubectl import Kubectl, command, deployment, fresh_namespace, until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

IMAGE = {"server": {"image": "registry.example.com/fraud:2"}}
MESSAGE = "Holding 25 % until 14:05:00Z."


@pytest.fixture(scope="module")
def kubectl(cluster) -> Iterator[Kubectl]:
    with fresh_namespace(cluster.kubectl, "columns") as found:
        assert found.apply(deployment(IMAGE | {"replicas": 3})).code == 0
        patch(found, status().written())
        yield found


def status() -> ModelDeploymentStatus:
    return ModelDeploymentStatus(
        observed_generation=1,
        phase=Phase.PROGRESSING,
        message=MESSAGE,
        summary=Summary(stable="1", candidate="2", weight="25", step="2/4", ready="3/3", reason="AnalysisPassing"),
        revisions=(
            RevisionStatus(revision="1-5d8c7b20", version="1", role=Role.STABLE, weight=Weight(7450), replicas=3),
            RevisionStatus(revision="2-7c9f4a1b", version="2", role=Role.CANDIDATE, weight=Weight(2550), replicas=1),
        ),
        replicas=3,
        ready_replicas=3,
        selector="modelrollout.dev/revision=1-5d8c7b20",
        conditions=(
            Condition(
                type="Ready", status="False", reason="Progressing", last_transition_time=Timestamp(1_700_000_000)
            ),
        ),
    )


def patch(kubectl: Kubectl, written: dict[str, Any]) -> None:
    body = json.dumps({"status": written})
    kubectl.ok("patch", "mdep", "fraud", "--subresource=status", "--type=merge", "-p", body)


def rows(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def test_columns_tell_the_whole_story(kubectl: Kubectl):
    header, row = rows(kubectl.ok("get", "modeldeployments"))
    assert header == ["NAME", "STABLE", "CANDIDATE", "WEIGHT", "STEP", "STATUS", "READY", "REASON", "AGE"]
    assert row[:-1] == ["fraud", "1", "2", "25", "2/4", "Progressing", "3/3", "AnalysisPassing"]


def test_the_message_is_one_option_away(kubectl: Kubectl):
    assert MESSAGE in kubectl.ok("get", "mdep", "fraud", "-o", "wide")


def test_get_all_shows_it(kubectl: Kubectl):
    assert "modeldeployment.modelrollout.dev/fraud" in kubectl.ok("get", "all", "-o", "name").split()


def test_a_status_that_the_models_write_comes_back_whole(kubectl: Kubectl):
    patch(kubectl, status().written())
    found = json.loads(kubectl.ok("get", "mdep", "fraud", "-o", "json"))["status"]
    assert found == status().written()
    assert ModelDeploymentStatus.model_validate(found) == status()


def test_commands_are_an_audit_log(kubectl: Kubectl):
    asked = {
        "target": "fraud",
        "action": "Approve",
        "revision": "2-7c9f4a1b",
        "step": "half",
        "by": "alice@example.com",
    }
    assert kubectl.apply(command(asked)).code == 0
    body = json.dumps({"status": {"outcome": "Accepted", "at": "2026-01-01T00:00:00.500Z", "message": "done"}})
    kubectl.ok("patch", "rolloutcommand", "fraud-1", "--subresource=status", "--type=merge", "-p", body)
    header, row = rows(kubectl.ok("get", "rolloutcommands"))
    assert header == ["NAME", "TARGET", "ACTION", "STEP", "BY", "OUTCOME", "AGE"]
    assert row[:-1] == ["fraud-1", "fraud", "Approve", "half", "alice@example.com", "Accepted"]


def test_scale_changes_replicas_and_reads_status(kubectl: Kubectl):
    path = f"/apis/modelrollout.dev/v1alpha1/namespaces/{kubectl.namespace}/modeldeployments/fraud/scale"
    found = json.loads(kubectl.ok("get", "--raw", path))
    assert found["status"] == {"replicas": 3, "selector": "modelrollout.dev/revision=1-5d8c7b20"}
    kubectl.ok("scale", "mdep", "fraud", "--replicas=5")
    assert kubectl.ok("get", "mdep", "fraud", "-o", "jsonpath={.spec.replicas}") == "5"
    kubectl.ok("scale", "mdep", "fraud", "--replicas=3")


def test_scale_works_where_the_spec_names_no_replicas(kubectl: Kubectl):
    # The schema has no default for replicas, because it depends on `autoscaling`.
    assert kubectl.apply(deployment(IMAGE, "unscaled")).code == 0
    kubectl.ok("scale", "mdep", "unscaled", "--replicas=2")
    assert kubectl.ok("get", "mdep", "unscaled", "-o", "jsonpath={.spec.replicas}") == "2"
    kubectl.ok("delete", "mdep", "unscaled")


def test_kubectl_wait_reads_conditions_of_the_current_generation_only(kubectl: Kubectl):
    generation = int(kubectl.ok("get", "mdep", "fraud", "-o", "jsonpath={.metadata.generation}"))
    patch(kubectl, {"observedGeneration": generation})
    kubectl.ok("wait", "--for=condition=Ready=False", "--timeout=5s", "mdep/fraud")
    assert kubectl("wait", "--for=condition=Ready", "--timeout=1s", "mdep/fraud").code == 1
    patch(kubectl, {"observedGeneration": generation - 1})
    assert kubectl("wait", "--for=condition=Ready=False", "--timeout=1s", "mdep/fraud").code == 1


def test_explain_tells_what_a_field_means(kubectl: Kubectl):
    path = "modeldeployment.spec.rollout.steps"
    # The API server publishes the schema a moment after the CRD is established.
    until(lambda: kubectl("explain", path).code == 0, "the schema is published")
    said = " ".join(kubectl.ok("explain", path).split())
    assert "Share of traffic for the candidate, in percent" in said
    assert "Approval: the step ends only when somebody approves" in said


def test_a_status_cannot_be_written_with_the_spec(kubectl: Kubectl):
    body = json.dumps({"status": {"phase": "Healthy"}})
    kubectl.ok("patch", "mdep", "fraud", "--type=merge", "-p", body)
    assert kubectl.ok("get", "mdep", "fraud", "-o", "jsonpath={.status.phase}") == "Progressing"
