"""The operator's pod is killed in the middle of a step: its successor goes on from what is recorded."""

import time

from modelrollout.api.scalars import Timestamp
from tests.e2e.conftest import OPERATORS, Desk
from tests.e2e.served import Served
from tests.e2e.users import Users, routing_failures

HOLD = 10.0
STEPS = [{"weight": 30, "hold": f"{HOLD:g}s"}, {"weight": 60, "hold": "4s"}]


def _pods(desk: Desk) -> list[str]:
    selector = "app.kubernetes.io/name=modelrollout"
    path = "jsonpath={.items[?(@.status.containerStatuses[0].ready==true)].metadata.name}"
    return desk.kubectl.ok("get", "pods", "-n", OPERATORS, "-l", selector, "-o", path).split()


def test_an_operator_that_is_killed_in_a_step_goes_on_without_restarting_or_shortening_it(desk: Desk, model: Served):
    assert desk.info.gateway is not None
    rollout = {"steps": STEPS, "scaleDownDelay": "5s"}
    model.apply("1", rollout=rollout)
    model.healthy("1", seconds=180)
    model.apply("2", rollout=rollout)
    with Users(f"{desk.info.gateway.url}/predict", model.host) as users:
        status = model.until(lambda status: (status.get("step") or {}).get("appliedAt"), "a weight is applied", 90)
        applied, candidate = Timestamp.parse(status["step"]["appliedAt"]), set(model.pods("2"))
        killed = time.time()
        (before,) = _pods(desk)
        desk.kubectl.ok("delete", "pod", before, "-n", OPERATORS, "--force", "--grace-period=0")
        desk.observer.until(lambda: [one for one in _pods(desk) if one != before], "there is another operator", 90)
        desk.measured("operator_killed_to_ready_seconds", time.time() - killed)
        model.healthy("2", seconds=150)
        desk.measured("operator_killed_to_promoted_seconds", time.time() - killed)
    changes = [(at, shares.get("2", 0.0)) for at, shares in model.routed()]
    assert [share for _, share in changes] == [0.0, 30.0, 60.0, 100.0]
    assert changes[2][0] - applied >= HOLD
    assert candidate <= set(model.pods("2"))
    assert not routing_failures(users.report.answers)
