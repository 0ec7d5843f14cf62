"""How soon a version that turns bad, and one that is aborted, is off the route; and testers, who reach it at any weight.

The version turns bad at an instant that the test chooses: users begin to ask questions that do not fit, and the analysis
is told that such answers (422) are errors. One failed check is enough here.
"""

import time
from typing import Any

from tests.e2e.conftest import DELAY, Desk, Proxied
from tests.e2e.served import Served
from tests.e2e.users import Users, routing_failures, versions

INTERVAL, SCRAPE = 2.0, 1.0
LATE = DELAY + 3.0
AT_ONCE = {"lookback": "2s", "failures": 1, "of": 1}
STEPS = [
    {"name": "preview", "weight": 0, "advance": "Approval"},
    {"name": "half", "weight": 50, "hold": "10m"},
]
NONSENSE = {"features": [1.0]}


def _spec(served: Served, version: str) -> dict[str, Any]:
    errors = {"name": "errors", "errorRate": {"statuses": ["422", "5xx"]}, "limit": "5%", "method": "Threshold"}
    return served.spec(
        version,
        rollout={"steps": STEPS, "keepFailed": "5m"},
        analysis={
            "interval": "2s",
            "warmUp": "1s",
            "metrics": [errors | {"threshold": AT_ONCE, "minimumSampleSize": 20, "when": ["Live", "Bake"]}],
        },
    )


def _to_half(served: Served) -> None:
    served.waits("preview")
    served.accepted("Approve", "preview")
    served.until(lambda status: status["summary"]["reason"] == "AnalysisPassing", "half of the users are judged", 60)


def test_reaction(desk: Desk, proxied: Proxied):
    assert desk.info.gateway is not None
    model = proxied.served
    url = f"{desk.info.gateway.url}/predict"
    model.apply_spec(_spec(model, "1"))
    model.healthy("1", seconds=180)
    model.apply_spec(_spec(model, "2"))
    model.waits("preview")
    model.observer.until(lambda: _reaches_one(model), "the gateway routes", 30)

    _testers_reach_the_candidate_and_users_do_not(desk, model)

    with Users(url, model.host) as users:
        _to_half(model)
        _a_version_that_turns_bad_is_taken_back(desk, proxied, url)
        model.accepted("Retry", revision=model.revision("2"))
        _to_half(model)
        _an_aborted_version_has_no_weight_within_a_second(desk, model)
    assert not routing_failures(users.report.answers)


def _reaches_one(model: Served) -> bool:
    try:
        return model.ask()[0] == "1"
    except OSError:
        return False


def _testers_reach_the_candidate_and_users_do_not(desk: Desk, model: Served) -> None:
    name, _, token = model.status["traffic"]["testerHeader"].partition(": ")
    revision = model.revision("2")
    tester = {name: f"{token}-{revision}"}
    model.observer.until(lambda: _tester_gets(model, tester, revision), "the tester reaches version 2", 10)
    assert [model.ask(tester) for _ in range(20)] == [("2", revision)] * 20
    assert {model.ask()[0] for _ in range(50)} == {"1"}
    assert {model.ask({name: f"guessed-{revision}"})[0] for _ in range(10)} == {"1"}


def _tester_gets(model: Served, tester: dict[str, str], revision: str) -> bool:
    try:
        return model.ask(tester) == ("2", revision)
    except OSError:
        return False


def _a_version_that_turns_bad_is_taken_back(desk: Desk, proxied: Proxied, url: str) -> None:
    model, turned = proxied.served, time.time()
    with Users(url, model.host, rps=50, body=NONSENSE) as confused:
        model.taken_back("2")
    gone = model.weight_gone("2", after=turned)
    # The last point of the grid that was asked for before the route changed is the one that completed the verdict.
    point = max(at for asked, at in proxied.proxy.asked if asked < gone)
    desk.measured("turned_bad_to_route_seconds", gone - turned)
    desk.measured("grid_point_to_route_seconds", gone - point)
    assert model.status["rejected"][-1]["reason"] == "ErrorRateTooHigh"
    assert versions(confused.report.answers).keys() <= {"", "1", "2"}
    assert gone - point <= LATE
    assert gone - turned <= SCRAPE + INTERVAL + LATE


def _an_aborted_version_has_no_weight_within_a_second(desk: Desk, model: Served) -> None:
    asked = time.time()
    model.command("Abort")
    model.until(lambda status: not status["summary"]["candidate"], "the candidate is gone")
    model.observer.until(lambda: set(model.routed()[-1][1]) == {"1"}, "the route is back", 10)
    gone = model.weight_gone("2", after=asked)
    desk.measured("abort_to_route_seconds", gone - asked)
    assert model.outcomes()[-1] == ("2", "Aborted")
    assert gone - asked <= 1.0
