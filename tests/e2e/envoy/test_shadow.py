"""Shadow on Envoy Gateway: what is copied, what the comparer makes of it, what users notice, and how it goes on.

Users ask in bursts of a known number, of which a known share is answered otherwise by version 2. So after each burst every counter
can be held against what it must be.
"""

import asyncio
import statistics
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from tests.e2e.conftest import Desk
from tests.e2e.envoy.counters import Tally, comparers, settled, tally
from tests.e2e.served import Served, metrics
from tests.e2e.users import UNLIKELY, Users, chi_square, counted, routing_failures, versions
from tests.load import Answer, Load

DISPUTED = {"features": [5.0, 4.2, 2.9, 1.3]}
"""Class 0 to version 1 and class 1 to version 2, each by more than 95 %; about `BODY` both agree."""
MATCH = {"match": [{"method": "POST", "path": "/predict"}]}
COMPARE = {"compare": {"path": "prediction", "method": "Exact"}}
SECONDS = 10.0
RATE, DISPUTES = 72.0, 8.0
"""Requests a second of each kind."""
DISAGREEMENT = 100 * DISPUTES / (RATE + DISPUTES)


def _disagreement(limit: str) -> dict[str, Any]:
    return {"name": "answers", "disagreement": {}, "limit": limit, "minimumSampleSize": 20}


def _burst(url: str, host: str) -> tuple[Answer, ...]:
    """So many requests of both kinds, all of them answered."""

    async def both() -> tuple[Answer, ...]:
        reports = await asyncio.gather(
            Load(url=url, host=host, rps=RATE, duration=SECONDS).run(),
            Load(url=url, host=host, rps=DISPUTES, duration=SECONDS, body=DISPUTED).run(),
        )
        return tuple(answer for report in reports for answer in report.answers)

    return asyncio.run(both())


def _served_by_stable(answers: Sequence[Answer]) -> None:
    assert len(answers) == round((RATE + DISPUTES) * SECONDS)
    assert {(one.status, one.version) for one in answers} == {(200, "1")}, "no user met the candidate or an error"


def _latency(answers: Sequence[Answer]) -> dict[str, float]:
    """Milliseconds."""
    cuts = statistics.quantiles([1000 * one.latency for one in answers], n=100)
    return {"p50": round(cuts[49], 1), "p95": round(cuts[94], 1), "p99": round(cuts[98], 1)}


def _share(desk: Desk, name: str, counts: Mapping[str, int], shares: Mapping[str, float]) -> None:
    statistic = chi_square(counts, shares)
    desk.measured(f"envoy {name}", f"{dict(counts)}, chi-square {statistic:.2f}")
    assert statistic < UNLIKELY, (name, counts)


def _routes(desk: Desk, model: Served) -> None:
    def answered() -> bool:
        try:
            return model.ask()[0] == "1"
        except OSError:
            return False

    desk.observer.until(answered, "the gateway routes to version 1", 30)


def test_copies_are_counted_and_compared_and_the_version_goes_on_as_a_canary(desk: Desk, model: Served):
    assert desk.info.gateway is not None
    url = f"{desk.info.gateway.url}/predict"
    steps = [
        {"name": "copies", "shadow": {"percent": 25} | MATCH, "advance": "Approval"},
        {"name": "pairs", "shadow": {"percent": 50} | MATCH | COMPARE, "advance": "Approval"},
        {"name": "tenth", "weight": 10, "advance": "Approval"},
        {"name": "half", "weight": 50, "advance": "Approval"},
        {"name": "all", "weight": 100, "hold": "5s"},
    ]
    analysis = {"interval": "2s", "warmUp": "0s", "metrics": [*metrics(), _disagreement("30%")]}
    fields = {"rollout": {"steps": steps, "scaleDownDelay": "5s"}, "analysis": analysis}
    model.apply("1", **fields)
    model.healthy("1", seconds=180)
    _routes(desk, model)
    _burst(url, model.host)  # of cold pods
    alone = _burst(url, model.host)
    _served_by_stable(alone)
    desk.measured("envoy latency without shadow (ms)", str(_latency(alone)))
    read = partial(tally, model, "1", "2")

    model.apply("2", **fields)
    model.waits("copies")
    assert [one["percent"] for one in model.copies()] == [25]
    assert not comparers(model)
    found = _counted(desk, model, read, "with 25 % copied")
    total = round((RATE + DISPUTES) * SECONDS)
    copied = round(found.candidate)
    _share(desk, "copies", {"copied": copied, "not": total - copied}, {"copied": 25, "not": 75})
    assert found.stable == total, "copies go to the candidate alone"

    model.accepted("Approve", "copies")
    model.waits("pairs")
    assert [(one["percent"], one["backendRef"]["name"]) for one in model.copies()] == [(50, f"{model.name}-comparer")]
    found = _counted(desk, model, read, "with 50 % compared")
    pairs = sum(found.outcomes.values())
    _share(desk, "pairs", {"copied": pairs, "not": total - pairs}, {"copied": 50, "not": 50})
    _share(desk, "outcomes", found.outcomes, {"Agree": 100 - DISAGREEMENT, "Disagree": DISAGREEMENT})
    assert (found.candidate, found.stable) == (pairs, total + pairs), "each pair was asked of both versions, once"
    assert round(found.deltas) == found.outcomes["Disagree"], "classes 0 and 1 lie 1 apart"
    everything = {name: round(count) for name, count in read().pairs.items()}
    seen = model.until(
        lambda status: _metric(status)["requests"] >= everything["Agree"] + everything["Disagree"],
        "the operator has counted all pairs",
    )
    assert _metric(seen)["errors"] == everything["Disagree"]
    desk.measured("envoy disagreement as the operator says it", _metric(seen)["candidate"])

    model.accepted("Approve", "pairs")
    model.waits("tenth")
    assert not model.copies()
    model.gone("Deployment", f"{model.name}-comparer")
    with Users(url, model.host, rps=RATE) as users:
        for step, share in (("tenth", 10), ("half", 50)):
            model.waits(step)
            shares = {"1": 100.0 - share, "2": float(share)}
            _share(desk, f"{share} %", counted(desk.observer, users, shares), shares)
            model.accepted("Approve", step)
        model.healthy("2", seconds=180)
        desk.observer.until(lambda: set(versions(users.last(2))) == {"2"}, "users are served by version 2 alone", 30)
    failed = routing_failures(users.report.answers)
    desk.measured("envoy promotion", f"{len(users.report.answers)} requests, {len(failed)} failed on the way")
    assert not failed, failed[:5]
    assert model.outcomes()[-1] == ("2", "Promoted")


def _counted(desk: Desk, model: Served, read: "partial[Tally]", name: str) -> Tally:
    """What a burst adds to the counters, once the gateway copies requests; reports the latency that users met."""
    assert desk.info.gateway is not None
    at_first = read()

    def copied() -> bool:
        assert model.ask()[0] == "1"
        return read().candidate > at_first.candidate

    desk.observer.until(copied, "the gateway copies requests", 30)
    before = settled(desk.observer, read)
    answers = _burst(f"{desk.info.gateway.url}/predict", model.host)
    _served_by_stable(answers)
    desk.measured(f"envoy latency {name} (ms)", str(_latency(answers)))
    return settled(desk.observer, read).since(before)


def _metric(status: Mapping[str, Any]) -> dict[str, Any]:
    return next(one for one in status["metrics"] if one["name"] == "answers")


def test_a_version_that_disagrees_too_often_is_taken_back_and_nobody_waits_for_it(desk: Desk, model: Served):
    assert desk.info.gateway is not None
    url = f"{desk.info.gateway.url}/predict"
    steps = [{"shadow": {"percent": 100} | MATCH | COMPARE, "hold": "10m"}, {"weight": 50, "hold": "5s"}]
    analysis = {"interval": "2s", "warmUp": "0s", "metrics": [metrics()[0], _disagreement("2%")]}
    fields = {"rollout": {"steps": steps, "keepFailed": "5s"}, "analysis": analysis}
    slow = 1.0
    model.apply("1", **fields)
    model.healthy("1", seconds=180)
    _routes(desk, model)
    with Users(url, model.host, rps=8) as many, Users(url, model.host, rps=2, body=DISPUTED) as few:
        model.apply("2", env={"FAULT_LATENCY": f"{slow:g}"}, **fields)
        model.taken_back("2")
        model.gone("Deployment", f"{model.name}-comparer")
        assert not model.copies()
        enough = len(many.answers) + 20
        desk.observer.until(lambda: len(many.answers) > enough, "users go on", 30)
    answers = (*many.report.answers, *few.report.answers)
    assert {(one.status, one.version) for one in answers} == {(200, "1")}, "no user met the candidate or an error"
    rejection = next(one for one in model.status["rejected"] if one["version"] == "2")
    desk.measured("envoy rejected", rejection["message"])
    desk.measured("envoy latency beside a candidate that takes 1 s (ms)", str(_latency(answers)))
    assert rejection["reason"] == "Disagrees"
    assert model.timeline() == [("1", 100), ("2", 0), ("2", 0)]
    assert statistics.median(one.latency for one in answers) < slow / 2, "had anybody to wait, half of them had"
