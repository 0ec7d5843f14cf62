"""`report --prometheus` against a real Prometheus: what is read back is what that recorded, to the last request."""

import asyncio
import json
import threading
import time

import pytest

from modelrollout.api.scalars import Timestamp
from modelrollout.cli.choices import Report
from modelrollout.cli.report import Wanted, report
from tests.fakes.sampling import CANDIDATE, STABLE, pod_name
from tests.unit.cli import samples
from tests.unit.cli.cluster import FakeCluster

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

SECONDS = 30.0
METRICS = [
    {"name": "errors", "errorRate": {}, "compare": {}},
    {"name": "latency", "latency": {"threshold": "250ms"}, "compare": {}},
    {"name": "slow", "latency": {}, "compare": {}},
]


def serve(candidate, stable, seconds):
    """Thirty requests a second, a third of them to the candidate, which answers a fifth with errors."""
    end, number = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        number += 1
        (candidate if number % 3 == 0 else stable).serve(
            500 if number % 15 == 0 else 200, 0.4 if number % 7 == 0 else 0.05
        )
        threading.Event().wait(1 / 30)


def rollout(since):
    item = samples.waiting()
    item["spec"] |= {"analysis": {"interval": "5s", "metrics": METRICS}}
    revisions = [
        samples.STABLE | {"revision": STABLE.revision},
        samples.CANDIDATE | {"revision": CANDIDATE.revision, "weight": 33},
    ]
    set_at = {"at": str(Timestamp(since)), "revision": CANDIDATE.revision, "weight": 33, "reason": "step weight-33"}
    item["status"] |= {
        "revisions": revisions,
        "rollout": samples.ROLLOUT | {"revision": CANDIDATE.revision, "startedAt": str(Timestamp(since - 5))},
        "timeline": [set_at],
    }
    return item


def test_what_is_read_back_is_what_prometheus_recorded(prometheus, pages, capsys):
    candidate, stable = pages.add(pod_name(CANDIDATE)), pages.add(pod_name(STABLE))
    prometheus.targets()
    serve(candidate, stable, 3)
    since = time.time()
    serve(candidate, stable, SECONDS)

    asyncio.run(report(FakeCluster(rollout(since)), "fraud", Wanted(None, Report.JSON, prometheus.url, None)))

    curves = {one["metric"]: one for one in json.loads(capsys.readouterr().out)["curves"]}
    assert [one["problem"] for one in curves.values() if "problem" in one] == []
    readings = curves["errors"]["readings"]
    begin, end = (float(Timestamp.parse(readings[place][edge])) for place, edge in ((0, "start"), (-1, "end")))
    assert begin >= since
    assert end - begin >= SECONDS - 15

    def counted(pod, query):
        after, before = (prometheus.value(f"sum by (pod) ({query})", at)[pod.name] for at in (end, begin))
        return after - before

    errors = 'http_requests_total{status="500"}'
    for pod, requests, bad in ((candidate, "requests", "bad"), (stable, "stableRequests", "stableBad")):
        assert sum(one[requests] for one in readings) == counted(pod, "http_requests_total")
        wrong = counted(pod, errors) if pod is candidate else 0
        assert sum(one[bad] for one in readings) == wrong
    assert readings[-1]["evidence"] > readings[0]["evidence"]
    assert curves["latency"]["bound"] == "0.25s"
    slow = counted(candidate, 'http_request_duration_seconds_bucket{le="+Inf"}') - counted(
        candidate, 'http_request_duration_seconds_bucket{le="0.25"}'
    )
    assert sum(one["bad"] for one in curves["latency"]["readings"]) == slow
    assert sum(one["requests"] for one in curves["slow"]["readings"]) == sum(one["requests"] for one in readings)
