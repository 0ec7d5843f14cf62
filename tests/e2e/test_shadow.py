"""A gateway that cannot mirror: the step is refused by name before a copy is made, and users do not notice."""

import pytest

from tests.e2e.conftest import Desk
from tests.e2e.served import Served
from tests.e2e.users import Users, versions

STEPS = [{"shadow": {"percent": 100}, "advance": "Approval"}, {"weight": 50, "hold": "5s"}]


def test_a_shadow_step_is_refused_where_the_class_of_the_gateway_names_no_mirroring(desk: Desk, model: Served):
    assert desk.info.gateway is not None
    if desk.info.gateway.class_name != "traefik":
        pytest.skip("it takes a gateway that names its features and mirrors nothing")
    model.apply("1")
    model.healthy("1", seconds=180)
    with Users(f"{desk.info.gateway.url}/predict", model.host, rps=20) as users:
        desk.observer.until(lambda: versions(users.last(1))["1"] > 10, "users are served by version 1", 30)
        begin = len(users.answers)
        model.apply("2", rollout={"steps": STEPS})
        status = model.reason("MirrorUnsupported")
        desk.observer.until(lambda: len(users.answers) > begin + 40, "users go on", 30)
    assert "HTTPRouteRequestMirror" in status["message"], status["message"]
    assert status["phase"] != "RolledBack"
    assert not model.ever_copied(), "no route was ever given a filter that breaks it"
    assert not [one for one in users.report.answers[begin:] if (one.status, one.version) != (200, "1")]
