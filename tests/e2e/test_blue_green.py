"""Blue/green on real pods: testers meet the candidate in three ways, users nobody but stable; one switch; a bake that returns.

Users ask 50 times a second from beginning to end, and none of their requests may be lost on the way.
"""

import json
import urllib.request
from typing import Any

from tests.cluster import Provider
from tests.e2e.conftest import Desk
from tests.e2e.served import Served
from tests.e2e.users import PROOF, Users, fits, routing_failures, versions
from tests.load import BODY

RATE = 50.0
TRIES = 20


def _spec(served: Served, version: str, bake: str, **fields: Any) -> dict[str, Any]:
    steps = [{"weight": 0, "advance": "Approval"}, {"weight": 100, "hold": bake}]
    spec = served.spec(
        version, rollout={"strategy": "BlueGreen", "steps": steps, "scaleDownDelay": "5m", "keepFailed": "5s"}, **fields
    )
    spec["traffic"]["gateway"]["previewHostnames"] = [_preview_host(served)]
    return spec


def _preview_host(served: Served) -> str:
    return f"next-{served.host}"


def test_a_version_is_tried_switched_to_and_another_one_returns_from_its_bake(desk: Desk, model: Served):
    assert desk.info.gateway is not None
    model.apply_spec(_spec(model, "1", "5s"))
    model.healthy("1", seconds=180)
    desk.observer.until(lambda: _answers(model, {}) == "1", "the gateway routes", 30)
    with Users(f"{desk.info.gateway.url}/predict", model.host, rps=RATE) as users:
        desk.observer.until(lambda: len(users.answers) > RATE, "users are served", 20)
        stable = set(model.pods("1"))
        model.apply_spec(_spec(model, "2", "5s"))
        model.waits("preview")
        pods = set(model.pods("2"))
        assert len(pods) == 2, "it is previewed in full size"
        _testers_meet(desk, model, "2")
        assert set(versions(users.answers)) == {"1"}, "users have met the stable version alone"

        _switch(desk, model, users, "2")
        model.healthy("2", seconds=120)
        assert set(model.pods("2")) == pods, "no pod was restarted or replaced"
        assert set(model.pods("1")) == stable, "the former version is warm and in full size"

        # A third of its answers are errors; no metric is asked about testers, so the bake has to find out.
        model.apply_spec(_spec(model, "3", "10m", env={"FAULT_ERROR_SHARE": "0.3"}))
        model.waits("preview")
        _testers_meet(desk, model, "3")
        model.accepted("Approve", "preview")
        model.taken_back("3")
        _all_from(desk, users, "2")
        assert set(model.pods("2")) == pods
    assert model.timeline() == [("1", 100), ("2", 100), ("3", 100), ("3", 0)]
    assert model.status["rejected"][-1]["reason"] == "ErrorRateTooHigh"
    lost = routing_failures(users.report.answers)
    desk.measured("blue_green_requests", len(users.report.answers))
    desk.measured("blue_green_failed_on_the_way", len(lost))
    assert not lost, lost[:5]
    assert {one.version for one in users.report.answers if one.status == 500} == {"3"}


def _testers_meet(desk: Desk, model: Served, version: str) -> None:
    """By the tester header at the users' address, by the host name of previews, and in the cluster by the preview Service."""
    status = model.status
    header, _, value = status["traffic"]["testerHeader"].partition(": ")
    assert status["previewURL"] == f"http://{_preview_host(model)}"
    ways = {"header": {header: f"{value}-candidate"}, "host": {"Host": _preview_host(model)}}
    for name, headers in ways.items():
        desk.observer.until(
            lambda headers=headers: _answers(model, headers) == version, f"testers meet {version} by {name}", 30
        )
        assert {_answers(model, headers) for _ in range(TRIES)} <= {version, ""}, name
    assert _answers(model, {header: "guessed-candidate"}) != version
    if desk.info.provider is Provider.LOCAL:  # elsewhere the host does not reach addresses of Services
        service = desk.server.of(model.namespace).get("Service", f"{model.name}-preview")["spec"]
        url = f"http://{service['clusterIP']}:{service['ports'][0]['port']}/predict"
        desk.observer.until(lambda: _asked(url) == version, f"testers meet {version} by the preview Service", 30)
        assert {_asked(url) for _ in range(TRIES)} <= {version, ""}


def _switch(desk: Desk, model: Served, users: Users, version: str) -> None:
    model.accepted("Approve", "preview")
    _all_from(desk, users, version)


def _all_from(desk: Desk, users: Users, version: str) -> None:
    """Wait until the last users were all answered by one version; the gateway is a moment behind the route."""
    enough = len(users.answers) + PROOF
    desk.observer.until(
        lambda: len(users.answers) >= enough and fits(users.answers[-PROOF:], {version: 100}),
        f"all users reach version {version}",
        60,
    )


def _answers(model: Served, headers: dict[str, str]) -> str:
    """The version that answers through the gateway; empty for an error, of which version 3 gives some."""
    try:
        version, revision = model.ask(headers)
    except OSError:
        return ""
    assert revision.startswith(f"{version}-"), "the gateway names the revision"
    return version


def _asked(url: str) -> str:
    request = urllib.request.Request(url, json.dumps(BODY).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return str(json.load(answer)["model_version"])
    except OSError:
        return ""
