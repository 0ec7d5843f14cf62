"""What the chart installs, on a real API server: examples, rights of the operator and of people, the policy for commands."""

import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.api.kubectl import Answer, Kubectl, command, deployment, document, fresh_namespace, until
from tests.cluster.build import programs
from tests.cluster.progress import Steps
from tools.chart import CHART, ROOT

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

EXAMPLES = sorted((ROOT / "manifests" / "examples").glob("*.yaml"))
IMAGE = {"server": {"image": "registry.example.com/fraud:2"}}
PAUSE = {"target": "fraud", "action": "Pause", "revision": "2-7c9f4a1b"}


@pytest.fixture(scope="module")
def kubectl(cluster) -> Iterator[Kubectl]:
    with fresh_namespace(cluster.kubectl, "install") as found:
        yield found


@pytest.fixture(scope="module")
def release(kubectl: Kubectl) -> Iterator[str]:
    """The chart without its CRDs, which are shared, under a name of its own; its policy binds one namespace only."""
    name = f"mr-{uuid.uuid4().hex[:6]}"
    values = {
        "crds": {"install": False},
        "replicas": 0,
        "rbac": {"aggregate": False},
        "commandPolicy": {"enabled": True},
        "networkPolicy": {"enabled": True},
        "podDisruptionBudget": {"enabled": True},
    }
    objects = render(name, kubectl.namespace, values)
    for found in objects:
        if found["kind"] == "ValidatingAdmissionPolicyBinding":
            selector = {"matchLabels": {"kubernetes.io/metadata.name": kubectl.namespace}}
            found["spec"]["matchResources"] = {"namespaceSelector": selector}
    kubectl.ok("apply", "--server-side", "-f", "-", stdin=document(*objects))
    for role in ("deployer", "approver", "viewer"):
        kubectl.ok("create", "rolebinding", role, f"--clusterrole={name}-{role}", f"--user={role}")
    yield name
    kubectl("delete", "--wait=false", "-f", "-", stdin=document(*objects))


def render(name: str, namespace: str, values: dict[str, Any]) -> list[dict[str, Any]]:
    helm: Path = programs.helm().provide(Steps()) / "bin" / "helm"
    argv = [helm, "template", name, CHART, "--namespace", namespace, "--values", "-"]
    text = subprocess.run(argv, input=yaml.safe_dump(values), check=True, capture_output=True, text=True).stdout
    return [found for found in yaml.safe_load_all(text) if found]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_is_taken(kubectl: Kubectl, path: Path):
    answer = kubectl("apply", "--dry-run=server", "-f", str(path))
    assert (answer.code, answer.err) == (0, "")


def test_the_kustomize_install_is_taken(kubectl: Kubectl):
    built = kubectl.ok("kustomize", str(ROOT / "manifests" / "install"))
    objects = [found for found in yaml.safe_load_all(built) if found["kind"] != "Namespace"]
    for found in objects:
        # A dry run makes no namespace for what comes after it.
        if "namespace" in found["metadata"]:
            found["metadata"]["namespace"] = kubectl.namespace
    answer = kubectl("apply", "--dry-run=server", "-f", "-", stdin=document(*objects))
    assert answer.code == 0, answer.err


@pytest.mark.parametrize(
    ("verb", "resource", "expected"),
    [
        ("list", "modeldeployments.modelrollout.dev", True),
        ("update", "modeldeployments.modelrollout.dev/status", True),
        ("patch", "deployments.apps", True),
        ("create", "controllerrevisions.apps", True),
        ("patch", "httproutes.gateway.networking.k8s.io", True),
        ("create", "events.events.k8s.io", True),
        ("update", "modeldeployments.modelrollout.dev", False),
        ("create", "rolloutcommands.modelrollout.dev", False),
        ("get", "secrets", False),
        ("list", "secrets", False),
        ("get", "configmaps", False),
        ("delete", "pods", False),
        ("create", "pods/exec", False),
        ("create", "clusterroles.rbac.authorization.k8s.io", False),
    ],
)
def test_the_operator_may_do_its_work_and_no_more(
    kubectl: Kubectl, release: str, verb: str, resource: str, expected: bool
):
    account = f"system:serviceaccount:{kubectl.namespace}:{release}"
    kind, _, part = resource.partition("/")
    answer = kubectl("auth", "can-i", verb, kind, f"--subresource={part}", "--as", account)
    assert answer.out.strip() == ("yes" if expected else "no"), answer.err


def test_the_operator_may_change_its_own_lease_only(kubectl: Kubectl, release: str):
    account = f"system:serviceaccount:{kubectl.namespace}:{release}"

    def may(verb: str, name: str) -> str:
        return kubectl("auth", "can-i", verb, f"leases.coordination.k8s.io/{name}", "--as", account).out.strip()

    assert (may("update", release), may("update", "other")) == ("yes", "no")


def acting(kubectl: Kubectl, user: str, found: dict[str, Any]) -> Answer:
    return kubectl("create", "--as", user, "-f", "-", stdin=document(found))


def test_a_deployer_deploys_but_does_not_approve(kubectl: Kubectl, release: str):
    assert acting(kubectl, "deployer", deployment(IMAGE)).code == 0
    answer = acting(kubectl, "deployer", command({**PAUSE, "by": "deployer"}))
    assert "forbidden" in answer.err
    assert kubectl("get", "rolloutcommands", "--as", "deployer").code == 0


def test_an_approver_commands_but_does_not_deploy(kubectl: Kubectl, release: str):
    assert acting(kubectl, "approver", command({**PAUSE, "by": "approver"}, "by-approver")).code == 0
    assert "forbidden" in acting(kubectl, "approver", deployment(IMAGE, "other")).err
    assert "forbidden" in kubectl("delete", "rolloutcommand", "by-approver", "--as", "approver").err


def test_a_viewer_changes_nothing(kubectl: Kubectl, release: str):
    assert kubectl("get", "mdep", "--as", "viewer").code == 0
    assert "forbidden" in acting(kubectl, "viewer", deployment(IMAGE, "other")).err
    assert "forbidden" in acting(kubectl, "viewer", command(PAUSE, "by-viewer")).err


@pytest.mark.parametrize("by", ["alice", None])
def test_a_command_in_another_name_is_refused(kubectl: Kubectl, release: str, by: str | None):
    asked = PAUSE if by is None else {**PAUSE, "by": by}
    found = command(asked, f"forged-{uuid.uuid4().hex[:6]}")

    def refused() -> bool:
        # A new policy takes effect a moment after it was created.
        answer = kubectl("create", "--dry-run=server", "--as", "approver", "-f", "-", stdin=document(found))
        return "spec.by must be the requesting user, approver" in answer.err

    until(refused, "the policy is in force")
