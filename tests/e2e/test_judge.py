"""The sequential judge on real pods: what is healthy is promoted, what is twice as bad is taken back, what nobody asks is neither."""

import json
import os
import re
import time
import urllib.parse
import urllib.request
from typing import Any

import pytest

from demo.places import MANIFESTS
from modelrollout.analysis.panel import judge_all
from modelrollout.analysis.step import StepContext
from modelrollout.analysis.terms import Terms
from modelrollout.analysis.window import Answer, Counts, Window
from modelrollout.api.analysis import Metric, StepKind
from modelrollout.api.scalars import Timestamp
from modelrollout.api.status import MetricStatus
from tests.e2e.conftest import Desk, Proxied
from tests.e2e.served import Served
from tests.e2e.users import Users
from tests.harness.life import steadily

RUNS = int(os.environ.get("MODELROLLOUT_E2E_RUNS", "1"))
"""Promotions of a healthy version, one after another; ten of ten are what is promised."""
ERRORS = {"name": "errors", "errorRate": {}, "compare": {"ignoreBelow": "1%"}, "minimumSampleSize": 20}
INTERVAL = 2.0
ANALYSIS = {"interval": f"{INTERVAL:g}s", "warmUp": "0s", "metrics": [ERRORS]}
HALF = {"steps": [{"name": "half", "weight": 50, "hold": "5s", "advance": "Approval"}], "scaleDownDelay": "5s"}


def _url(desk: Desk) -> str:
    assert desk.info.gateway is not None
    return f"{desk.info.gateway.url}/predict"


def _failing(share: float) -> dict[str, str]:
    return {"FAULT_ERROR_SHARE": str(share)}


@pytest.mark.timeout(300 + 300 * RUNS)
def test_the_demos_healthy_version_is_promoted_every_time(desk: Desk, model: Served):
    model.apply_file(MANIFESTS / "version-1.yaml")
    model.healthy("1", seconds=180)
    for run in range(RUNS):
        number, began = 2 - run % 2, time.time()
        with Users(_url(desk), model.host, rps=50):  # a load of its own: each is bounded
            model.apply_file(MANIFESTS / f"version-{number}.yaml", version=f"run-{run}")
            model.healthy(f"run-{run}", seconds=240)
        desk.measured(f"judge_promoted_seconds_{run}", time.time() - began)
    outcomes = [outcome for version, outcome in model.outcomes() if version.startswith("run-")]
    assert outcomes[-RUNS:] == ["Promoted"] * min(RUNS, 10)


def test_twice_the_errors_of_a_version_that_errs_a_lot_are_found(desk: Desk, model: Served):
    rollout = {"steps": [{"weight": 50, "hold": "10m"}], "keepFailed": "5s"}
    model.apply("1", env=_failing(0.2), analysis=ANALYSIS, rollout=rollout)
    model.healthy("1", seconds=180)
    with Users(_url(desk), model.host, rps=50):
        model.apply("2", env=_failing(0.4), analysis=ANALYSIS, rollout=rollout)
        model.taken_back("2")
    rejection = next(one for one in model.status["rejected"] if one["version"] == "2")
    assert rejection["reason"] == "ErrorRateWorse"
    assert re.search(r"errors [\d.]+ % against [\d.]+ % on [\d,]+ requests \(certain to ", rejection["message"])
    desk.measured("judge_twice_as_bad", rejection["message"])


def test_a_version_that_nobody_asks_is_neither_promoted_nor_taken_back(desk: Desk, model: Served):
    model.apply("1", analysis=ANALYSIS)
    model.healthy("1", seconds=180)
    desk.observer.until(lambda: _answered(model), "the gateway routes", 30)
    model.apply("2", analysis=ANALYSIS)

    def looked_at(status: dict[str, Any]) -> bool:
        return any(metric.get("answeredAt") for metric in status.get("metrics", ()))

    model.until(looked_at, "windows without a request have been counted", 120)
    assert model.status["summary"]["reason"] == "CollectingData"
    weights = model.route()

    def stays() -> bool:
        return model.route() == weights and bool(model.status["rollout"])

    steadily(model, stays, 12, "a version without traffic stays where it is")
    assert model.status["metrics"][0]["verdict"] == "Continue"
    assert not model.status.get("rejected")


def _answered(model: Served) -> bool:
    try:
        return bool(model.ask())
    except OSError:
        return False


def test_a_killed_operator_comes_to_the_same_evidence_to_the_last_bit(desk: Desk, proxied: Proxied):
    """The reference is made here, from Prometheus' own record of the counters, at the grid's points and with no operator."""
    model, operator = proxied.served, proxied.operator
    model.apply("1", analysis=ANALYSIS, rollout=HALF, env=_failing(0.02))
    model.healthy("1", seconds=180)
    with Users(_url(desk), model.host, rps=50):
        model.apply("2", analysis=ANALYSIS, rollout=HALF, env=_failing(0.02))
        model.until(lambda status: _windows(status) >= 3, "some windows are counted", 120)
        for down in (1.0, 7.0):
            operator.kill()
            before = _windows(model.status)
            gone = time.monotonic()
            desk.observer.until(lambda gone=gone, down=down: time.monotonic() > gone + down, "it stays away", 30)
            operator.start()
            model.until(lambda status, before=before: _windows(status) >= before + 3, "more are counted", 60)
    status = model.status
    found = MetricStatus.model_validate(status["metrics"][0])
    assert found.state is not None
    since, through = Timestamp.parse(status["step"]["appliedAt"]), found.through
    assert through is not None
    windows = _read_back(desk, model, since, float(through))
    metric = Metric.model_validate(ERRORS)
    terms = Terms(0.01, 0.05, status["rollout"]["plannedWindows"], INTERVAL, (metric,))
    context = StepContext(StepKind.LIVE, since=since, now=float(through), interval=INTERVAL, certify=True)
    fresh = MetricStatus(name="errors", design_effect=found.design_effect)
    (wanted,) = judge_all({"errors": fresh}, {"errors": windows}, context, terms)
    assert (found.requests, found.errors) == (wanted.requests, wanted.errors)
    assert (found.stable_requests, found.stable_errors) == (wanted.stable_requests, wanted.stable_errors)
    assert found.state == wanted.state
    desk.measured("judge_killed_twice_requests", found.requests)


def _windows(status: dict[str, Any]) -> int:
    step, metrics = status.get("step") or {}, status.get("metrics") or [{}]
    if not step.get("appliedAt") or not metrics[0].get("through"):
        return 0
    return int((Timestamp.parse(metrics[0]["through"]) - Timestamp.parse(step["appliedAt"])) / INTERVAL)


def _read_back(desk: Desk, model: Served, since: float, through: float) -> list[Window]:
    first = -(-since // INTERVAL) * INTERVAL
    points = [first + index * INTERVAL for index in range(round((through - first) / INTERVAL) + 1)]
    seen = [(_counted(desk, model, "2", at), _counted(desk, model, "1", at)) for at in points]
    return [
        Window(
            start,
            start + INTERVAL,
            Answer.COUNTS,
            *[_less(after, before) for before, after in zip(old, new, strict=True)],
        )
        for start, old, new in zip(points, seen, seen[1:], strict=False)
    ]


def _less(after: Counts, before: Counts) -> Counts:
    return Counts(after.requests - before.requests, after.bad - before.bad)


def _counted(desk: Desk, model: Served, version: str, at: float) -> Counts:
    pods = f'namespace="{model.namespace}",pod=~"{model.deployment(version)}-.+",handler!~"/health|/livez|/metrics"'
    return Counts(
        *(round(_ask(desk, f"sum(http_requests_total{{{pods}{more}}})", at)) for more in ("", ',status=~"5.."'))
    )


def _ask(desk: Desk, query: str, at: float) -> float:
    assert desk.info.prometheus is not None
    words = urllib.parse.urlencode({"query": query, "time": f"{at:.3f}"})
    with urllib.request.urlopen(f"{desk.info.prometheus.url}/api/v1/query?{words}", timeout=10) as answer:
        result = json.load(answer)["data"]["result"]
    return float(result[0]["value"][1]) if result else 0.0
