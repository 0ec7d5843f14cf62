"""The Sampler against a real Prometheus: every query parses, windows are what Prometheus recorded, nothing twice."""

import asyncio
import math
import time
from dataclasses import replace

import pytest

from modelrollout.analysis.window import Answer, Counts
from modelrollout.api.analysis import Identify, Metric
from tests.fakes.loop import in_loop
from tests.fakes.sampling import CANDIDATE, ERRORS, KEY, LATENCY, STABLE, pod_name
from tests.prometheus.desk import INTERVAL, Desk, next_point

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

NASTY = "a\"b\\c'd`e\nf{}[]()*+?.|^$ü"

ALL = 'max by (pod) (sum by (pod,job) (http_requests_total{handler="/predict"}))'
BAD = 'max by (pod) (sum by (pod,job) (http_requests_total{status=~"5.."}))'
FAST = 'max by (pod) (sum by (pod,job) (http_request_duration_seconds_bucket{le="0.25"}))'


@in_loop
async def check_windows(prometheus, pages):
    desk = Desk(prometheus, pages)
    prometheus.targets(jobs=("pods", "monitor"))  # scraped twice, and to be counted once
    subscription = desk.subscription()
    desk.sampler.subscribe(KEY, subscription)
    turn = 0

    def traffic():
        nonlocal turn
        turn += 1
        desk.candidate.serve(500 if turn > 150 and turn % 7 == 0 else 200, seconds=0.4 if turn % 3 == 0 else 0.05)
        desk.stable.serve()
        desk.stable.serve(seconds=0.2)

    async with desk.sampling(traffic):
        await desk.seen(6)
        live = {name: found[:6] for name, found in desk.sampler.windows(KEY).items()}
    for pod, counts_of in ((desk.candidate.name, "candidate"), (desk.stable.name, "stable")):
        for window in live["errors"]:
            total, bad = (desk.recorded(window, pod, query) for query in (ALL, BAD))
            assert getattr(window, counts_of) == Counts(round(total), round(bad))
        for window in live["latency"]:
            total, fast = (desk.recorded(window, pod, query) for query in (ALL, FAST))
            assert getattr(window, counts_of) == Counts(round(total), round(total - fast))
            assert window.effective_threshold == "0.25s"
    assert all(window.candidate.requests > 0 for window in live["errors"])
    assert sum(window.candidate.bad for window in live["errors"]) > 0, "errors are born late, and counted from 0"
    desk.sampler = desk.new()
    desk.sampler.subscribe(KEY, subscription)
    async with desk.sampling():
        await desk.seen(6)
        again = {name: found[:6] for name, found in desk.sampler.windows(KEY).items()}
    assert again == live, "read back by range, they are the same to the last count"


def test_windows_are_what_prometheus_recorded_live_and_read_back(prometheus, pages):
    check_windows(prometheus, pages)


@in_loop
async def check_churn(prometheus, pages):
    desk = Desk(prometheus, pages)
    prometheus.targets()
    subscription = desk.subscription(metrics=(ERRORS,))
    desk.sampler.subscribe(KEY, subscription)
    total = 0

    def traffic():
        nonlocal total
        total += 1
        desk.candidate.serve()

    async with desk.sampling(traffic):
        await desk.seen(2)
        desk.candidate.restart()
        await desk.seen(4)
        assert {w.answer for w in desk.windows()} == {Answer.COUNTS}
        assert min(w.candidate.requests for w in desk.windows()) > 0
        assert sum(w.candidate.requests for w in desk.windows()) <= total
        desk.candidate.failing = True
        await desk.until(lambda: desk.windows()[-1].answer is Answer.NO_DATA)
        assert "has no target up" in desk.windows()[-1].message
        desk.candidate.failing = False
        await desk.until(lambda: desk.windows()[-1].answer is Answer.COUNTS)
        old = desk.candidate
        desk.candidate = pages.add(pod_name(CANDIDATE, 1))
        del pages.pods[old.name]
        await asyncio.to_thread(prometheus.targets)
        known = subscription.counts_from | {desk.candidate.name: time.time()}
        desk.sampler.subscribe(KEY, replace(subscription, counts_from=known))
        before = len(desk.windows())
        await desk.until(
            lambda: (
                any(pod == desk.candidate.name for pod, _ in desk.windows()[-1].candidate_pods)
                and len(desk.windows()) > before
            )
        )
        assert sum(w.candidate.requests for w in desk.windows()) <= total
        live = desk.windows()
    desk.sampler = desk.new()
    desk.sampler.subscribe(KEY, replace(subscription, counts_from=known))
    async with desk.sampling():
        await desk.seen(len(live))
        assert desk.windows()[: len(live)] == live


def test_restarts_missed_scrapes_and_replaced_pods_lose_or_double_nothing(prometheus, pages):
    check_churn(prometheus, pages)


@in_loop
async def check_away(prometheus, pages):
    desk = Desk(prometheus, pages)
    prometheus.targets()
    desk.sampler.subscribe(KEY, desk.subscription(metrics=(ERRORS,)))
    async with desk.sampling(desk.candidate.serve):
        await desk.seen(2)
        prometheus.kill()
        killed = time.time()
        await desk.until(lambda: desk.windows()[-1].answer is Answer.ERROR)
        assert "(connection refused)" in desk.windows()[-1].message
        await desk.until(lambda: time.time() > killed + 85, 100)
        await asyncio.to_thread(prometheus.start)
        started = time.time()
        await desk.until(lambda: desk.windows()[-1].answer is Answer.COUNTS and desk.windows()[-1].start > started)
        blind = [w for w in desk.windows() if w.start > killed + 62 and w.end < started]
        assert len(blind) >= 2
        assert {w.answer for w in blind} == {Answer.NO_DATA}, "nobody looked in these minutes"
        away = [w for w in desk.windows() if w.start > killed and w.end < started]
        assert sum(w.candidate.requests for w in away) == 0
        longest = max(w.candidate.requests for w in desk.windows())
        assert longest <= 20 * INTERVAL * 2, "what was counted unseen belongs to no window"


def test_minutes_without_prometheus_are_not_covered_time(prometheus, pages):
    check_away(prometheus, pages)


@in_loop
async def check_texts(prometheus, pages):
    desk = Desk(prometheus, pages)
    label = NASTY.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    desk.candidate.count(f'scores{{model_version="{label}"}}', 7)
    prometheus.targets()
    query = "sum(scores{namespace=\"{{namespace}}\",pod=~'{{pods}}',model_version=\"{{version}}\",model_version='{{version}}'})"
    score = Metric.model_validate({"name": "score", "query": query, "range": {"min": "1"}})
    broken = Metric.model_validate({"name": "broken", "query": "sum(", "range": {"min": "1"}})
    match = [{"label": "model_version", "values": [NASTY, "x.y"]}]
    ratio = {"bad": {"series": "scores", "match": match}, "total": {"series": "scores"}}
    share = Metric.model_validate({"name": "share", "ratio": ratio, "limit": "1%"})
    since = math.floor(time.time() / 60) * 60 - 60.0
    version = replace(CANDIDATE, version=NASTY)
    subscription = desk.subscription(
        since=since, keep_from=since, metrics=(score, broken, share), candidate=version, stable=None
    )
    labelled = replace(
        subscription,
        key=("ml", "label"),
        metrics=(share,),
        identify=Identify(label="model_version"),
        since=next_point(),
    )
    async with desk.sampling(lambda: desk.candidate.count(f'scores{{model_version="{label}"}}')):
        desk.sampler.subscribe(KEY, subscription)
        desk.sampler.subscribe(labelled.key, labelled)
        await desk.until(lambda: desk.windows("share") and desk.windows("share")[-1].candidate.requests > 0)
        last = desk.windows("share")[-1]
        assert last.candidate.bad == last.candidate.requests
        await desk.until(lambda: any(w.candidate.requests > 0 for w in desk.sampler.windows(labelled.key)["share"]))
        await desk.until(lambda: desk.windows("score")[-1].candidate_value, 90)
        assert desk.windows("broken")[-1].answer is Answer.ERROR
        assert "refuses the query of metric broken (HTTP 400: " in desk.windows("broken")[-1].message
        await desk.until(lambda: {w.answer for w in desk.windows("share")[-2:]} == {Answer.COUNTS})


def test_any_text_in_labels_versions_and_queries_is_taken_as_it_is(prometheus, pages):
    check_texts(prometheus, pages)


@in_loop
async def check_fleet(prometheus, pages):
    desk = Desk(prometheus, pages)
    prometheus.targets()
    base = desk.subscription(metrics=(ERRORS, LATENCY))
    for index in range(1000):
        ours = replace(CANDIDATE, deployment=f"model-{index}-2-bbbb2222")
        theirs = replace(STABLE, deployment=f"model-{index}-1-aaaa1111")
        one = replace(base, key=("ml", f"model-{index}"), candidate=ours, stable=theirs)
        desk.sampler.subscribe(one.key, one)
    desk.sampler.subscribe(KEY, base)
    async with desk.sampling(desk.candidate.serve):
        await desk.seen(3)
        assert {w.answer for w in desk.windows()} == {Answer.COUNTS}
        assert desk.sampler.windows(("ml", "model-7"))["errors"][-1].answer is Answer.NO_DATA


def test_a_fleet_in_one_url_is_answered(prometheus, pages):
    check_fleet(prometheus, pages)
