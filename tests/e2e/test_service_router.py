"""Without a gateway: the ratio of pods behind the entry Service, divided by the real kube-proxy, counted by connections."""

import pytest

from tests.cluster import Provider
from tests.e2e.conftest import Desk
from tests.e2e.served import Served
from tests.e2e.users import Users, chi_square, counted, versions

STEPS = [
    {"name": "quarter", "weight": 25, "advance": "Approval"},
    {"name": "half", "weight": 50, "advance": "Approval"},
]
ONE_REQUEST = {"Connection": "close"}
"""A connection for each request: what a Service divides are connections."""


def test_connections_are_shared_as_the_pods_and_none_fails(desk: Desk, model: Served):
    if desk.info.provider is not Provider.LOCAL:
        pytest.skip("addresses of Services are reached from the host on the local cluster only")
    rollout = {"steps": STEPS, "scaleDownDelay": "5s"}
    fields = {"replicas": 4, "traffic": {"service": {}}, "rollout": rollout, "analysis": {"mode": "None"}}
    model.apply("1", **fields)
    model.healthy("1", seconds=240)
    entry = desk.server.of(model.namespace).get("Service", model.name)["spec"]
    url = f"http://{entry['clusterIP']}:{entry['ports'][0]['port']}/predict"
    with Users(url, headers=ONE_REQUEST) as users:
        desk.observer.until(lambda: versions(users.last(2))["1"] > 100, "users are served by version 1", 20)
        model.apply("2", **fields)
        for step, share in (("quarter", 25), ("half", 50)):
            model.waits(step)
            shares = {"1": 100.0 - share, "2": float(share)}
            counts = counted(desk.observer, users, shares)
            desk.measured(f"service_router {share} %", f"{dict(counts)}, chi-square {chi_square(counts, shares):.2f}")
            model.accepted("Approve", step)
        model.healthy("2", seconds=180)
        desk.observer.until(lambda: set(versions(users.last(2))) == {"2"}, "users are served by version 2 alone", 30)
        model.until(lambda status: len(status["revisions"]) == 1, "version 1 is scaled down", 60)
    failed = users.report.failures()
    desk.measured("service_router_requests", len(users.report.answers))
    desk.measured("service_router_failed", len(failed))
    assert not failed, failed[:5]
