"""What helm and kustomize make of the chart, by the programs that the test cluster is built from."""

import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from modelrollout import operator
from modelrollout.api import crd
from modelrollout.api.settings import RouterName, Settings
from modelrollout.kube.kinds import EVENT, POD, POD_MONITOR
from tests.cluster.build import programs
from tests.cluster.progress import Steps
from tools import manifests
from tools.chart import CHART, ROOT

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

SIZED = [
    shlex.split(line)
    for line in (ROOT / "docs" / "sizing.md").read_text().splitlines()
    if line.startswith(("helm install ", "helm upgrade "))
]
"""The commands of docs/sizing.md."""

Objects = list[dict[str, Any]]
Render = Callable[..., Objects]


@pytest.fixture(scope="session")
def helm() -> Path:
    return programs.helm().provide(Steps()) / "bin" / "helm"


@pytest.fixture(scope="session")
def kubectl() -> Path:
    return programs.kubernetes().provide(Steps()) / "bin" / "kubectl"


@pytest.fixture(scope="session")
def run(helm: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    def render(values: dict[str, Any] | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [helm, "template", "mr", CHART, "--namespace", "ops", "--values", "-"],
            input=yaml.safe_dump(values or {}),
            capture_output=True,
            text=True,
            check=False,
        )

    return render


@pytest.fixture(scope="session")
def render(run) -> Render:
    def found(values: dict[str, Any] | None = None) -> Objects:
        answer = run(values)
        assert answer.returncode == 0, answer.stderr
        return [one for one in yaml.safe_load_all(answer.stdout) if one]

    return found


def one(objects: Objects, kind: str, name: str) -> dict[str, Any]:
    [found] = [found for found in objects if found["kind"] == kind and found["metadata"]["name"] == name]
    return found


def kinds(objects: Objects) -> set[str]:
    return {found["kind"] for found in objects}


def allowed(rules: list[dict[str, Any]]) -> set[tuple[str, str, str]]:
    return {
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def operator_role(objects: Objects) -> set[tuple[str, str, str]]:
    return allowed(one(objects, "ClusterRole", "mr")["rules"])


def test_lint_finds_nothing(helm: Path):
    answer = subprocess.run([helm, "lint", "--strict", CHART], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout


class TestPod:
    def test_runs_without_any_privilege(self, render: Render):
        pod = one(render(), "Deployment", "mr")["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        [container] = pod["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }

    def test_the_settings_file_is_what_the_operator_reads(self, render: Render):
        wanted = {"workers": 3, "providers": [{"name": "default", "url": "http://prometheus:9090"}]}
        objects = render({"settings": wanted, "watchNamespaces": ["ml"]})
        found = yaml.safe_load(one(objects, "ConfigMap", "mr-settings")["data"]["settings.yaml"])
        settings = Settings.model_validate(found)
        assert (settings.workers, settings.namespaces) == (3, ("ml",))
        assert settings.provider("default") is not None

    def test_the_comparer_is_set_up_unless_somebody_says_otherwise(self, render: Render):
        def comparer(values: dict[str, Any]) -> dict[str, Any] | None:
            settings = yaml.safe_load(one(render(values), "ConfigMap", "mr-settings")["data"]["settings.yaml"])
            Settings.model_validate(settings)
            return settings.get("comparer")

        made = comparer({"comparer": {"image": {"repository": "r/comparer", "tag": "7"}}})
        assert made == {"image": "r/comparer:7", "imagePullPolicy": "IfNotPresent"}
        assert comparer({"comparer": {"image": {"digest": "sha256:ab"}}})["image"] == "modelrollout/comparer@sha256:ab"
        assert comparer({"comparer": {"enabled": False}}) is None
        assert comparer({"settings": {"comparer": {"image": "mine:1"}}}) == {"image": "mine:1"}
        assert comparer({"settings": {"comparer": {"imagePullSecrets": ["s"]}}})["imagePullSecrets"] == ["s"]

    def test_new_settings_restart_the_pod(self, render: Render):
        def mark(values: dict[str, Any]) -> str:
            template = one(render(values), "Deployment", "mr")["spec"]["template"]
            return template["metadata"]["annotations"]["checksum/settings"]

        assert mark({}) == mark({"replicas": 2}) != mark({"settings": {"workers": 2}})

    def test_probes_and_ports_follow_the_settings(self, render: Render):
        objects = render({"settings": {"healthPort": 0, "metricsPort": 9999}})
        [container] = one(objects, "Deployment", "mr")["spec"]["template"]["spec"]["containers"]
        assert not [key for key in container if key.endswith("Probe")]
        assert container["ports"] == [{"name": "metrics", "containerPort": 9999}]
        assert one(objects, "Service", "mr-metrics")["spec"]["ports"][0]["port"] == 9999

    def test_a_digest_goes_before_the_tag(self, render: Render):
        digest = f"sha256:{'0' * 64}"
        objects = render({"image": {"repository": "example.com/mr", "tag": "1", "digest": digest}})
        [container] = one(objects, "Deployment", "mr")["spec"]["template"]["spec"]["containers"]
        assert container["image"] == f"example.com/mr@{digest}"

    def test_credentials_are_files(self, render: Render):
        objects = render({"credentials": {"secrets": ["prometheus-token"], "configMaps": ["corporate-ca"]}})
        pod = one(objects, "Deployment", "mr")["spec"]["template"]["spec"]
        mounts = {mount["name"]: mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
        assert mounts["secret-0"] == "/etc/modelrollout/credentials/prometheus-token"
        assert mounts["ca-0"] == "/etc/modelrollout/ca/corporate-ca"
        assert {"name": "secret-0", "secret": {"secretName": "prometheus-token", "defaultMode": 0o440}} in pod[
            "volumes"
        ]


class TestRights:
    def test_what_is_watched_can_be_read(self, render: Render):
        found = operator_role(render())
        for kind in operator.WATCHED + operator.CHILDREN + operator.routes(Settings()):
            for verb in ("get", "list", "watch"):
                assert (kind.group, kind.plural, verb) in found

    def test_nothing_is_allowed_beyond_what_the_operator_sends(self, render: Render):
        # Reads of what is watched; apply (create and patch) and delete of children; status of our own kinds.
        watched = {
            (kind.group, kind.plural, verb)
            for kind in operator.WATCHED + operator.CHILDREN + operator.routes(Settings())
            for verb in ("get", "list", "watch")
        }
        children = {
            (group, resource, verb)
            for group, resource in (
                ("apps", "deployments"),
                ("", "services"),
                ("autoscaling", "horizontalpodautoscalers"),
                ("gateway.networking.k8s.io", "httproutes"),
                (POD_MONITOR.group, POD_MONITOR.plural),
            )
            for verb in ("create", "patch", "delete")
        }
        others = {
            ("apps", "controllerrevisions", "create"),
            ("apps", "controllerrevisions", "delete"),
            (POD.group, POD.plural, "list"),
            (POD_MONITOR.group, POD_MONITOR.plural, "get"),
            (EVENT.group, EVENT.plural, "create"),
            (EVENT.group, EVENT.plural, "patch"),
            (crd.GROUP, "modeldeployments/status", "update"),
            (crd.GROUP, "modeldeployments/finalizers", "update"),
            (crd.GROUP, "rolloutcommands/status", "update"),
            (crd.GROUP, "rolloutcommands", "delete"),
        }
        assert operator_role(render()) == watched | children | others

    @pytest.mark.parametrize("routers", [[], *([name] for name in RouterName), list(RouterName)], ids=str)
    def test_of_routers_only_the_kinds_of_those_that_are_enabled_can_be_read_and_written(self, render: Render, routers):
        found = operator_role(render({"settings": {"routers": [str(name) for name in routers]}}))
        every = {(kind.group, kind.plural) for kind in operator.routes(Settings(routers=tuple(RouterName)))}
        enabled = operator.routes(Settings(routers=tuple(routers)))
        verbs = ("get", "list", "watch", "create", "patch", "delete")
        assert {one for one in found if one[:2] in every} == {
            (kind.group, kind.plural, verb) for kind in enabled for verb in verbs
        }

    def test_gateways_and_their_classes_are_read_one_by_one_where_the_cluster_is_ours(self, render: Render):
        group = "gateway.networking.k8s.io"
        wanted = {(group, "gateways", "get"), (group, "gatewayclasses", "get")}
        assert allowed(one(render(), "ClusterRole", "mr-gateways")["rules"]) == wanted
        for values in ({"rbac": {"gateways": False}}, {"watchNamespaces": ["ml"]}):
            assert "mr-gateways" not in {found["metadata"]["name"] for found in render(values)}

    def test_no_role_of_any_kind_knows_secrets_or_wildcards(self, render: Render):
        for values in ({}, {"watchNamespaces": ["ml"]}):
            for found in render(values):
                for group, resource, verb in allowed(found.get("rules", [])):
                    assert resource != "secrets"
                    assert "*" not in (group, resource, verb)

    def test_named_namespaces_get_a_role_each_and_the_cluster_none(self, render: Render):
        objects = render({"watchNamespaces": ["ml", "risk"]})
        for namespace in ("ml", "risk"):
            [role] = [
                found for found in objects if found["kind"] == "Role" and found["metadata"]["namespace"] == namespace
            ]
            assert allowed(role["rules"]) == operator_role(render())
        assert "ClusterRoleBinding" not in kinds(objects)
        names = {found["metadata"]["name"] for found in objects if found["kind"] == "ClusterRole"}
        assert names == {"mr-viewer", "mr-deployer", "mr-approver"}

    def test_the_lease_is_the_only_one_it_can_change(self, render: Render):
        rules = one(render({"settings": {"leadership": {"name": "blue"}}}), "Role", "mr-leader")["rules"]
        assert [(rule["verbs"], rule.get("resourceNames")) for rule in rules] == [
            (["create"], None),
            (["get", "update"], ["blue"]),
        ]

    def test_each_release_has_a_lease_of_its_own(self, render: Render):
        objects = render()
        settings = yaml.safe_load(one(objects, "ConfigMap", "mr-settings")["data"]["settings.yaml"])
        assert settings["leadership"] == {"name": "mr"}
        assert one(objects, "Role", "mr-leader")["rules"][1]["resourceNames"] == ["mr"]
        objects = render({"settings": {"leadership": {"duration": "30s"}}})
        settings = yaml.safe_load(one(objects, "ConfigMap", "mr-settings")["data"]["settings.yaml"])
        assert settings["leadership"] == {"name": "mr", "duration": "30s"}

    @pytest.mark.parametrize("command", SIZED, ids=range(len(SIZED)))
    def test_the_commands_of_the_page_on_sizing_make_operators_that_start(self, helm: Path, command: list[str]):
        words = ["template", *(word for word in command[2:] if word != "--reuse-values")]
        answer = subprocess.run([helm, *words], cwd=ROOT, capture_output=True, text=True, check=False)
        assert answer.returncode == 0, answer.stderr
        name, objects = command[2], [found for found in yaml.safe_load_all(answer.stdout) if found]
        found = yaml.safe_load(one(objects, "ConfigMap", f"{name}-settings")["data"]["settings.yaml"])
        settings = Settings.model_validate(found)
        assert settings.leadership.name == name
        assert one(objects, "Role", f"{name}-leader")["rules"][1]["resourceNames"] == [name]
        assert (settings.selector or "").startswith("shard=") is ("settings.selector" in " ".join(command))
        assert bool(settings.namespaces) is ("watchNamespaces" in " ".join(command))

    def test_deploying_does_not_include_approving(self, render: Render):
        objects = render()
        changing = {"create", "update", "patch", "delete"}

        def may(role: str, resource: str) -> set[str]:
            rules = allowed(one(objects, "ClusterRole", f"mr-{role}")["rules"])
            return {verb for _, found, verb in rules if found == resource} & changing

        assert may("deployer", "modeldeployments") == changing
        assert may("deployer", "rolloutcommands") == set()
        assert may("approver", "rolloutcommands") == {"create"}
        assert may("approver", "modeldeployments") == set()
        assert all(may("viewer", resource) == set() for resource in ("modeldeployments", "rolloutcommands"))

    def test_people_without_aggregation(self, render: Render):
        for found in render({"rbac": {"aggregate": False}}):
            assert not [label for label in found["metadata"].get("labels", {}) if "aggregate-to" in label]


class TestCrds:
    def test_are_those_of_the_repository_and_stay_on_uninstall(self, render: Render):
        found = [one for one in render() if one["kind"] == "CustomResourceDefinition"]
        for made, resource in zip(found, crd.RESOURCES, strict=True):
            assert made["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
            assert made == crd.crd(resource)

    def test_can_go_with_the_release_or_be_left_to_others(self, render: Render):
        going = [found for found in render({"crds": {"keep": False}}) if found["kind"] == "CustomResourceDefinition"]
        assert going == [crd.crd(resource) for resource in crd.RESOURCES]
        assert "CustomResourceDefinition" not in kinds(render({"crds": {"install": False}}))


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ({"metrics": {"serviceMonitor": {"enabled": True}}}, "ServiceMonitor"),
        ({"networkPolicy": {"enabled": True}}, "NetworkPolicy"),
        ({"podDisruptionBudget": {"enabled": True}, "replicas": 2}, "PodDisruptionBudget"),
        ({"commandPolicy": {"enabled": True}}, "ValidatingAdmissionPolicy"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_options_are_off_until_asked_for(render: Render, values: dict[str, Any], kind: str):
    assert kind not in kinds(render())
    assert kind in kinds(render(values))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"imgae": {}}, "additional properties 'imgae' not allowed"),
        ({"replicas": "two"}, "at '/replicas': got string, want integer"),
        ({"settings": {"wokers": 2}}, "additional properties 'wokers' not allowed"),
        ({"settings": {"settle": "2 seconds"}}, "at '/settings/settle': '2 seconds' does not match pattern"),
        ({"settings": {"providers": [{"name": "default"}]}}, "missing property 'url'"),
        ({"settings": {"namespaces": ["ml"]}}, "set watchNamespaces instead"),
        (
            {"replicas": 2, "settings": {"leadership": {"enabled": False}}},
            "more than one process needs settings.leadership.enabled",
        ),
    ],
    ids=str,
)
def test_wrong_values_are_refused_before_anything_is_installed(run, values: dict[str, Any], message: str):
    answer = run(values)
    assert answer.returncode != 0
    assert message in answer.stderr


class TestKustomize:
    def test_the_install_is_what_the_chart_makes_of_its_defaults(self, helm: Path):
        for name, content in manifests.files(helm).items():
            assert (manifests.INSTALL / name).read_text() == content, f"{name}: run `python -m tools.manifests`"

    def test_it_builds_with_all_of_it_in_its_namespace(self, kubectl: Path):
        objects = build(kubectl, manifests.INSTALL)
        assert {found["metadata"].get("namespace") for found in objects} == {manifests.NAMESPACE, None}
        [settings] = [found["metadata"]["name"] for found in objects if found["kind"] == "ConfigMap"]
        [deployment] = [found for found in objects if found["kind"] == "Deployment"]
        volumes = deployment["spec"]["template"]["spec"]["volumes"]
        assert {"name": "settings", "configMap": {"name": settings}} in volumes

    def test_transformers_know_the_fields_of_a_model_deployment(self, kubectl: Path, tmp_path: Path):
        (tmp_path / "modelrollout.yaml").write_text((ROOT / "manifests/kustomize/modelrollout.yaml").read_text())
        (tmp_path / "fraud.yaml").write_text(yaml.safe_dump_all([DEPLOYMENT, COMMAND, CONFIG]))
        (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(OVERLAY))
        objects = build(kubectl, tmp_path)
        [deployment] = [found for found in objects if found["kind"] == "ModelDeployment"]
        assert deployment["spec"]["server"]["image"] == "registry.example.com/fraud:3"
        assert deployment["spec"]["template"]["spec"]["containers"][0]["image"] == "registry.example.com/fraud:3"
        assert deployment["spec"]["replicas"] == 7
        volume = deployment["spec"]["template"]["spec"]["volumes"][0]
        assert volume["configMap"]["name"] == "staging-features"
        [command] = [found for found in objects if found["kind"] == "RolloutCommand"]
        assert command["spec"]["target"] == deployment["metadata"]["name"] == "staging-fraud"


DEPLOYMENT = {
    "apiVersion": "modelrollout.dev/v1alpha1",
    "kind": "ModelDeployment",
    "metadata": {"name": "fraud"},
    "spec": {
        "replicas": 1,
        "server": {"image": "fraud:1"},
        "template": {
            "spec": {
                "containers": [{"name": "server", "image": "fraud:1"}],
                "volumes": [{"name": "features", "configMap": {"name": "features"}}],
            }
        },
    },
}
COMMAND = {
    "apiVersion": "modelrollout.dev/v1alpha1",
    "kind": "RolloutCommand",
    "metadata": {"name": "go"},
    "spec": {"target": "fraud", "action": "Pause", "revision": "1-00000000"},
}
CONFIG = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "features"}, "data": {"a": "b"}}
OVERLAY = {
    "resources": ["fraud.yaml"],
    "configurations": ["modelrollout.yaml"],
    "namePrefix": "staging-",
    "images": [{"name": "fraud", "newName": "registry.example.com/fraud", "newTag": "3"}],
    "replicas": [{"name": "fraud", "count": 7}],
}


def build(kubectl: Path, folder: Path) -> Objects:
    answer = subprocess.run([kubectl, "kustomize", folder], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    return list(yaml.safe_load_all(answer.stdout))
