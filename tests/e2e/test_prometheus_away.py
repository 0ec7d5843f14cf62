"""Prometheus goes away in the middle of a step: nothing moves, status says why, and the rollout goes on by itself.

Once the real one is stopped. In the other test the operator (a process of its own) asks through a proxy that hangs, answers
500, nothing or NaN, a different one in each step.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.cluster import Provider
from tests.cluster.local.cluster import LocalCluster
from tests.e2e.conftest import Desk, Proxied
from tests.e2e.provider import Fault
from tests.e2e.served import Served
from tests.e2e.users import Users, routing_failures

HOLD = 6.0
AWAY = float(os.environ.get("MODELROLLOUT_AWAY_SECONDS", HOLD + 4.0))
"""Longer than a step's hold: without Prometheus the step would have ended by the clock. Minutes on demand (up to 100 s: a load ends after 600 s)."""


@contextmanager
def prometheus_stopped(desk: Desk) -> Iterator[None]:
    if isinstance(desk.cluster, LocalCluster):
        part = desk.cluster.component("prometheus")
        part.stop()
        try:
            yield
        finally:
            desk.cluster.up()
        return
    scale = ("scale", "deployment/prometheus", "--namespace=monitoring")
    desk.kubectl.ok(*scale, "--replicas=0")
    try:
        yield
    finally:
        desk.kubectl.ok(*scale, "--replicas=1")


def _weight_stays(desk: Desk, model: Served, weight: float, seconds: float) -> None:
    """Watch the route for some time; the only wait in these tests that waits for nothing to happen."""
    end = time.monotonic() + seconds
    desk.observer.until(
        lambda: model.routed()[-1][1].get("2") != weight or time.monotonic() > end, "the time is over", seconds + 5
    )
    assert model.routed()[-1][1].get("2") == weight, model.told()
    assert float(model.role("Candidate")["weight"]) == weight, model.told()


def test_a_stopped_prometheus_holds_the_step_and_the_rollout_goes_on_when_it_is_back(desk: Desk, model: Served):
    if desk.info.provider is Provider.EXISTING:
        pytest.skip("the Prometheus of somebody else's cluster is not stopped")
    assert desk.info.gateway is not None
    steps = [{"weight": 20, "hold": f"{HOLD:g}s"}]
    rollout = {"steps": steps, "scaleDownDelay": "5s"}
    model.apply("1", rollout=rollout)
    model.healthy("1", seconds=180)
    model.apply("2", rollout=rollout)
    with Users(f"{desk.info.gateway.url}/predict", model.host) as users:
        model.until(lambda status: (status.get("step") or {}).get("appliedAt"), "the first weight is applied", 90)
        with prometheus_stopped(desk):
            status = model.reason("MetricsUnavailable")
            stopped = time.time()
            assert "has not answered" in status["message"], status["message"]
            _weight_stays(desk, model, 20, AWAY)
            held = time.time() - stopped
        back = time.time()
        model.healthy("2", seconds=120)
        desk.measured("prometheus_away_seconds", held)
        desk.measured("prometheus_back_to_promoted_seconds", time.time() - back)
    assert not routing_failures(users.report.answers)
    assert model.outcomes()[-1] == ("2", "Promoted")


FAULTS = {20: Fault.HANG, 40: Fault.ERROR, 60: Fault.EMPTY, 80: Fault.NAN}


@pytest.mark.timeout(600 + 4 * AWAY)
def test_a_prometheus_that_answers_badly_moves_no_weight(desk: Desk, proxied: Proxied):
    assert desk.info.gateway is not None
    model, proxy = proxied.served, proxied.proxy
    rollout = {"steps": [{"weight": weight, "hold": f"{HOLD:g}s"} for weight in FAULTS], "candidateReplicas": "Full"}
    model.apply("1", rollout=rollout)
    model.healthy("1", seconds=180)
    model.apply("2", rollout=rollout)
    with Users(f"{desk.info.gateway.url}/predict", model.host) as users:
        for weight, fault in FAULTS.items():
            model.until(
                lambda status, weight=weight: (
                    (status.get("step") or {}).get("name") == f"weight-{weight}" and status["step"].get("appliedAt")
                ),
                f"{weight} % are applied",
                90,
            )
            proxy.fail(fault)
            status = model.reason("MetricsUnavailable")
            _weight_stays(desk, model, weight, AWAY)
            desk.measured(f"provider {fault.value}", model.message)
            assert status["summary"]["candidate"] == "2"
            proxy.fail(None)
        model.healthy("2", seconds=120)
    assert not routing_failures(users.report.answers)
    assert [weight for version, weight in model.timeline() if version == "2"] == [*FAULTS, 100]
