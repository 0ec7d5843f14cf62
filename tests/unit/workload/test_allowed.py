"""What a pod template may say."""

import re

import pytest

from modelrollout.api.errors import SpecError
from modelrollout.api.settings import Settings
from modelrollout.workload.allowed import validate

OPEN = Settings.model_validate(
    {
        "podSecurity": {
            "allowHostNetwork": True,
            "allowHostNamespaces": True,
            "allowHostPath": True,
            "allowPrivileged": True,
        }
    }
)


def pod(**fields):
    return {"template": {"spec": fields}}


def container(**fields):
    return pod(containers=[{"name": "server", "image": "a:1", **fields}])


GUARDED = [
    (pod(hostNetwork=True), "spec.template.spec.hostNetwork: is not allowed here"),
    (pod(hostPID=True), "spec.template.spec.hostPID: is not allowed here"),
    (pod(hostIPC=True), "spec.template.spec.hostIPC: is not allowed here"),
    (pod(volumes=[{"name": "v", "hostPath": {"path": "/"}}]), "spec.template.spec.volumes[0].hostPath: is not allowed"),
    (container(securityContext={"privileged": True}), "containers[server].securityContext.privileged: is not allowed"),
    (container(securityContext={"procMount": "Unmasked"}), "securityContext.procMount: found Unmasked"),
    (container(securityContext={"capabilities": {"add": ["SYS_ADMIN"]}}), "capabilities.add: found SYS_ADMIN"),
    (container(ports=[{"containerPort": 80, "hostPort": 80}]), "containers[server].ports[0].hostPort: is not allowed"),
    (pod(securityContext={"windowsOptions": {"hostProcess": True}}), "windowsOptions.hostProcess: is not allowed"),
    (
        pod(initContainers=[{"name": "i", "image": "a", "securityContext": {"privileged": True}}]),
        "spec.template.spec.initContainers[i].securityContext.privileged: is not allowed",
    ),
]


@pytest.mark.parametrize(("raw", "message"), GUARDED)
def test_reaching_for_the_node_is_refused_unless_the_administrator_allows_it(raw, message):
    with pytest.raises(SpecError, match=re.escape(message)) as refused:
        validate(raw, Settings())
    assert "ask the administrator to set podSecurity.allow" in str(refused.value)
    validate(raw, OPEN)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (pod(nodeName="n1"), "spec.template.spec.nodeName: is not among the fields that a template may have"),
        (pod(replicas=3), "spec.template.spec.replicas: is not among"),
        (pod(serviceAccount="x"), "spec.template.spec.serviceAccount: is not among"),
        (pod(ephemeralContainers=[]), "spec.template.spec.ephemeralContainers: is not among"),
        (pod(restartPolicy="Never"), "spec.template.spec.restartPolicy: found Never"),
        (container(stdin=True), "spec.template.spec.containers[server].stdin: is not among"),
        (pod(volumes=[{"name": "v", "flexVolume": {}}]), "spec.template.spec.volumes[0].flexVolume: is not allowed"),
        (pod(volumes=[{"emptyDir": {}}]), "spec.template.spec.volumes[0].name: is missing"),
        (pod(containers=[{"image": "a"}]), "spec.template.spec.containers[0].name: is missing"),
        (pod(containers=[{"name": "a"}, {"name": "a"}]), 'spec.template.spec.containers[1].name: "a" stands twice'),
        (pod(containers={}), "spec.template.spec.containers: found {}; a list is expected"),
        (pod(containers=["x"]), "spec.template.spec.containers[0]: found 'x'; a map of fields is expected"),
        (container(env=[{"name": "A", "value": 1}]), "containers[server].env[A].value: found 1; write it as a text"),
        (container(env=[{"name": "MODELROLLOUT_X", "value": "1"}]), "env[MODELROLLOUT_X]: names that begin with"),
        (container(volumeMounts=[{"name": "v"}]), "containers[server].volumeMounts[0].mountPath: is missing"),
        (container(resources=[]), "containers[server].resources: found []; a map of fields is expected"),
        ({"server": {"env": [{"name": "A"}, {"name": "A"}]}}, 'spec.server.env[1].name: "A" stands twice'),
        (
            {"template": {"metadata": {"labels": {"modelrollout.dev/revision": "x"}}}},
            "spec.template.metadata.labels[modelrollout.dev/revision]: is set by the operator",
        ),
        (
            {"template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "now"}}}},
            "spec.template.metadata.annotations[kubectl.kubernetes.io/restartedAt]: would make a new version",
        ),
        ({"template": {"metadata": {"name": "x"}}}, "spec.template.metadata.name: is not among"),
        (
            {"template": {"metadata": {"labels": {"a": 1}}}},
            "spec.template.metadata.labels[a]: found 1; write it as a text",
        ),
    ],
)
def test_what_is_not_on_the_list_is_refused_with_its_path_even_in_an_open_cluster(raw, message):
    for settings in (Settings(), OPEN):
        with pytest.raises(SpecError, match=re.escape(message)):
            validate(raw, settings)


def test_an_ordinary_template_passes():
    validate(
        {
            "server": {"image": "a:1", "env": [{"name": "A", "value": "1"}, {"name": "B", "valueFrom": {}}]},
            "template": {
                "metadata": {"labels": {"team": "risk"}, "annotations": {"a": "b"}},
                "spec": {
                    "hostNetwork": False,
                    "restartPolicy": "Always",
                    "containers": [
                        {
                            "name": "server",
                            "securityContext": {"capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}},
                            "volumeMounts": [{"name": "m", "mountPath": "/models"}],
                        },
                        {"name": "sidecar", "image": "b:1", "ports": [{"containerPort": 9}]},
                    ],
                    "volumes": [{"name": "m", "persistentVolumeClaim": {"claimName": "models"}}],
                    "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
                },
            },
        },
        Settings(),
    )
