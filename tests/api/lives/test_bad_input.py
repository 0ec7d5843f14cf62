"""Specs that the API server takes and the operator has to refuse: word by word what a person gets who applies them.

What is refused by `kubectl apply` itself is in `tests/api/test_admission.py`; images and models that cannot start are in
`test_pods.py` and, with real pods, in `tests/e2e/test_bad_input.py`.
"""

from dataclasses import dataclass
from typing import Any

from tests.harness.life import conditions
from tests.harness.specs import APPROVED, model

_ADMIN = "is not allowed here; ask the administrator to set podSecurity.{}, or remove it"


@dataclass(frozen=True)
class Bad:
    fields: dict[str, Any]
    message: str
    reason: str = "InvalidSpec"


def pod(**fields: Any) -> dict[str, Any]:
    return {"template": {"spec": fields}}


BAD = {
    "runtime": Bad(
        {"server": {"runtime": "Torch"}}, 'spec.server.runtime: no runtime "Torch"; known here: Custom, FastAPI'
    ),
    "provider": Bad(
        {"analysis": {"provider": "other"}},
        'spec.analysis.provider: no metrics provider "other" is set up; ask the administrator for one, '
        "or set spec.analysis.mode: None to go by time alone",
        reason="NoMetricsProvider",
    ),
    "host-network": Bad(pod(hostNetwork=True), f"spec.template.spec.hostNetwork: {_ADMIN.format('allowHostNetwork')}"),
    "host-pid": Bad(pod(hostPID=True), f"spec.template.spec.hostPID: {_ADMIN.format('allowHostNamespaces')}"),
    "host-path": Bad(
        pod(volumes=[{"name": "host", "hostPath": {"path": "/"}}]),
        f"spec.template.spec.volumes[0].hostPath: {_ADMIN.format('allowHostPath')}",
    ),
    "privileged": Bad(
        pod(containers=[{"name": "server", "securityContext": {"privileged": True}}]),
        f"spec.template.spec.containers[server].securityContext.privileged: {_ADMIN.format('allowPrivileged')}",
    ),
    "too-fine": Bad(
        {"traffic": {"service": {}}, "rollout": {"steps": [{"weight": 5}]}},
        "spec.rollout.steps[0].weight: step weight-5 asks for 5 %, but 2 pods behind a Service can carry no share below "
        "33.33 %; name a gateway under spec.traffic, run at least 19 pods, or set spec.traffic.service.coarse: Accept",
    ),
}


def test_a_first_spec_that_is_refused_makes_nothing_and_says_what_to_change(life):
    life.operator.start(wait=False)
    for name, bad in BAD.items():
        answer = life.kubectl.apply(model(name=name, **bad.fields))
        assert answer.code == 0, answer.err
    for name, bad in BAD.items():
        status = _told(life, name, bad)
        assert status["phase"] == "Failed"
        row = life.kubectl.ok("get", "mdep", name, "--no-headers").split()
        assert row[1:3] == ["Failed", "0/0"], row
        assert bad.reason in row
    assert life.observer.all("Deployment") == []
    life.apply("1")
    life.healthy("1")


def test_a_running_version_is_left_alone_by_specs_that_are_refused(life):
    life.kubectl.apply(model("1"))
    life.operator.start(wait=False)
    life.healthy("1")
    pods, template = life.pods("1").keys(), life.observer.now("Deployment", life.deployment("1"))["spec"]
    for bad in BAD.values():
        answer = life.kubectl.apply(model("2", **bad.fields))
        assert answer.code == 0, answer.err
        _told(life, "fraud", bad)
        assert life.status["summary"]["stable"] == "1"
        life.carries(v1=100)
    assert life.pods("1").keys() == pods
    assert [one["spec"] for one in life.observer.all("Deployment")] == [template]
    life.kubectl.apply(model("1"))
    life.healthy("1")
    assert life.timeline() == [("1", 100)]


def _told(life, name: str, bad: Bad) -> dict[str, Any]:
    def told() -> dict[str, Any] | None:
        raw = life.observer.now("ModelDeployment", name) or {}
        status = raw.get("status") or {}
        current = status.get("observedGeneration") == raw.get("metadata", {}).get("generation")
        return status if current and bad.message in status["message"] else None

    status = life.observer.until(told, f"{name}: {bad.message}")
    assert status["summary"]["reason"] == bad.reason
    found = conditions(status)
    assert (found["Stalled"]["status"], found["Stalled"]["reason"]) == ("True", bad.reason)
    assert found["Ready"]["status"] == "False"
    assert bad.message in found["Stalled"]["message"]
    return status


def test_a_gateway_that_is_not_there_is_named_and_awaited(life):
    life.gateway.hold()
    life.operator.start(wait=False)
    life.kubectl.apply(model("1"))
    life.reason("RouteNotAccepted", seconds=90)
    assert "no gateway controller has taken the route for Gateway " in life.message
    assert life.message.rstrip(".").endswith("/public")
    life.gateway.release()
    life.healthy("1")


def test_no_replicas_need_no_pod_and_no_gateway(life):
    life.operator.start(wait=False)
    life.kubectl.apply(model("1", replicas=0))
    status = life.reason("ScaledToZero")
    assert status["summary"]["ready"] == "0/0"
    life.sentinel()
    assert life.observer.all("Pod") == []


def test_a_command_for_a_former_version_is_refused(life):
    life.begin("1")
    former = life.revision("1")
    life.promote("2")
    life.apply("3", steps=APPROVED)
    life.waits("tenth")
    for action, step in (("Approve", "tenth"), ("Abort", None), ("Promote", None)):
        assert "the candidate is 3-" in life.refused(action, step, revision=former)
    life.carries(v2=90, v3=10)
