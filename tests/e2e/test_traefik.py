"""Traefik's own TraefikService, by its Kubernetes provider: shares, testers, and a version that is taken back.

The Traefik of this test is one of its own beside that of the Gateway: the two providers know nothing of each other.
"""

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import Provider
from tests.cluster.build.programs import traefik
from tests.cluster.contract import without_proxy
from tests.cluster.local.plan import POD_CIDR, SERVICE_CIDR
from tests.cluster.progress import default_steps
from tests.e2e.conftest import Desk
from tests.e2e.served import Served
from tests.e2e.users import Users, counted, routing_failures, versions

STEPS = [
    {"name": "tenth", "weight": 10, "advance": "Approval"},
    {"name": "half", "weight": 50, "advance": "Approval"},
]


@pytest.fixture
def proxy(desk: Desk, model: Served, tmp_path: Path) -> Iterator[str]:
    """The address of a Traefik that reads the resources of the test's namespace."""
    if desk.info.provider is not Provider.LOCAL:
        pytest.skip("pods are reached from the host on the local cluster only")
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    words: list[str | Path] = [
        traefik().provide(default_steps()) / "bin" / "traefik",
        f"--entryPoints.web.address=127.0.0.1:{port}",
        "--providers.kubernetesCRD",
        f"--providers.kubernetesCRD.namespaces={model.namespace}",
        "--global.checkNewVersion=false",
        "--global.sendAnonymousUsage=false",
    ]
    env = without_proxy({**os.environ, "KUBECONFIG": str(desk.info.kubeconfig)}, SERVICE_CIDR, POD_CIDR)
    with (tmp_path / "traefik.log").open("w") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log, env=env, cwd=tmp_path)
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(30)


def test_a_traefik_service_divides_requests_and_a_rollback_takes_them_back(desk: Desk, model: Served, proxy: str):
    route = {"entryPoints": ["web"], "hostnames": [model.host]}
    rollout = {"steps": STEPS, "scaleDownDelay": "5s"}
    fields = {"traffic": {"traefik": {"ingressRoute": route}}, "rollout": rollout, "analysis": {"mode": "None"}}
    model.apply("1", **fields)
    model.healthy("1", seconds=240)
    with Users(f"{proxy}/predict", model.host) as users:
        desk.observer.until(lambda: versions(users.last(2))["1"] > 100, "users are served by version 1", 60)
        begin = len(users.answers)
        model.apply("2", **fields)
        for step, share in (("tenth", 10), ("half", 50)):
            model.waits(step)
            counts = counted(desk.observer, users, {"1": 100.0 - share, "2": float(share)})
            desk.measured(f"traefik {share} %", str(dict(counts)))
            model.accepted("Approve" if step == "tenth" else "Abort", step if step == "tenth" else None)
        model.taken_back("2")
        desk.observer.until(lambda: set(versions(users.last(2))) == {"1"}, "users are served by version 1 alone", 30)
        failed = routing_failures(users.answers[begin:])
    desk.measured("traefik_requests", len(users.report.answers))
    desk.measured("traefik_failed", len(failed))
    assert not failed, failed[:5]
