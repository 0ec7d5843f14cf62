"""Counters at their edges on a real Prometheus: what was not seen belongs to no window, and nothing is counted twice."""

import asyncio
import time
from dataclasses import replace

import pytest

from modelrollout.analysis.dispersion import design_effect
from modelrollout.analysis.window import Answer, Counts
from modelrollout.api.analysis import Identify, Metric
from modelrollout.metrics.counting import total
from modelrollout.metrics.history import STEP
from tests.fakes.loop import in_loop
from tests.fakes.sampling import CANDIDATE, ERRORS, KEY, LATENCY, STABLE, pod_name
from tests.prometheus.desk import INTERVAL, Desk, next_point

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

ALL = 'sum by (pod) (http_requests_total{handler="/predict"})'
ANY = Metric.model_validate({"name": "any", "latency": {}, "compare": {}, "method": "Sequential"})
EVIDENCE = Metric.model_validate({"name": "errors", "errorRate": {}, "compare": {}, "method": "Sequential"})


def assert_told(desk, windows, pod=None):
    """Each window says what Prometheus has at its ends, or that it has no data."""
    pod = pod or desk.candidate.name
    for window in windows:
        expected = desk.told(window, pod, ALL)
        if expected is None:
            assert window.answer is Answer.NO_DATA
        else:
            assert (window.answer, window.candidate.requests) == (Answer.COUNTS, expected)


@in_loop
async def check_restart(prometheus, pages):
    desk = Desk(prometheus, pages)
    prometheus.targets()
    desk.sampler.subscribe(KEY, desk.subscription(metrics=(ERRORS, ANY)))
    served = 0

    def traffic():
        nonlocal served
        served += 1
        desk.candidate.serve(500 if served % 10 == 0 else 200)
        desk.stable.serve()

    async with desk.sampling(traffic):
        await desk.seen(2)
        desk.candidate.restart()
        await desk.seen(6)
        windows, whole = desk.windows()[:6], desk.windows("any")[:6]
    assert {window.answer for window in windows} == {Answer.COUNTS}
    assert_told(desk, windows)
    resets = [window for window in windows if desk.recorded(window, desk.candidate.name, ALL) < 0]
    assert len(resets) == 1, "it was restarted within one window"
    assert 0 < sum(window.candidate.requests for window in windows) <= served
    assert all(window.candidate.bad <= window.candidate.requests for window in windows)
    for ours, other in zip(windows, whole, strict=True):
        assert ours.candidate.requests == other.candidate.requests, "a histogram is reset with its process"


def test_a_pod_that_restarts_within_a_window_counts_from_zero(prometheus, pages):
    check_restart(prometheus, pages)


@in_loop
async def check_missed(prometheus, pages):
    desk = Desk(prometheus, pages)
    prometheus.targets()
    desk.sampler.subscribe(KEY, desk.subscription(metrics=(ERRORS,)))
    served = 0

    def traffic():
        nonlocal served
        served += 1
        desk.candidate.serve()
        desk.stable.serve()

    async with desk.sampling(traffic):
        await desk.seen(1)
        for _ in range(4):
            failed, desk.candidate.failing = desk.candidate.failed, True
            await desk.until(lambda failed=failed: desk.candidate.failed > failed)
            desk.candidate.failing = False
            before = len(desk.windows())
            await desk.seen(before + 1)
        await desk.seen(len(desk.windows()) + 2)
        windows = [window for window in desk.windows() if window.answer is not Answer.ERROR]
    assert_told(desk, windows)
    down = prometheus.value(f'count_over_time((up{{pod="{desk.candidate.name}"}} == 0)[5m:500ms])')
    assert down, "some scrapes were missed"
    assert sum(window.candidate.requests for window in windows) <= served
    assert windows[-1].answer is Answer.COUNTS
    for window in windows:
        assert window.candidate.requests <= 25 * INTERVAL, "what was counted unseen is in no window"


def test_a_scrape_that_is_missed_costs_at_most_the_windows_that_end_with_it(prometheus, pages):
    check_missed(prometheus, pages)


@in_loop
async def check_gone(prometheus, pages):
    desk = Desk(prometheus, pages)
    prometheus.targets()
    desk.sampler.subscribe(KEY, desk.subscription(metrics=(ERRORS,)))
    async with desk.sampling(lambda: (desk.candidate.serve(), desk.stable.serve())):
        await desk.seen(2)
        left = time.time()
        page = pages.pods.pop(desk.candidate.name)
        await asyncio.to_thread(prometheus.targets)
        await desk.until(lambda: desk.windows()[-1].answer is Answer.NO_DATA)
        assert f"pod {page.name} is not known to Prometheus" in desk.windows()[-1].message
        gone = desk.windows()[-1].start
        pages.pods[page.name] = page
        await asyncio.to_thread(prometheus.targets)
        back = time.time()
        await desk.until(lambda: desk.windows()[-1].answer is Answer.COUNTS and desk.windows()[-1].start > back)
        windows = [window for window in desk.windows() if window.answer is not Answer.ERROR]
    assert gone < left + 4 * INTERVAL, "stale at once, not after five minutes"
    assert_told(desk, windows)
    assert Answer.NO_DATA in {window.answer for window in windows if window.end <= back + INTERVAL}


def test_a_target_that_leaves_is_unknown_and_what_it_counts_meanwhile_is_in_no_window(prometheus, pages):
    check_gone(prometheus, pages)


@in_loop
async def check_late(prometheus, pages):
    desk = Desk(prometheus, pages)
    hidden = pages.pods.pop(desk.candidate.name)
    for _ in range(1000):
        hidden.serve(500)
    quiet = pages.add(pod_name(CANDIDATE, 1))
    prometheus.targets()
    counts = dict.fromkeys([hidden.name, quiet.name, desk.stable.name], 0.0)
    desk.sampler.subscribe(KEY, desk.subscription(metrics=(ERRORS,), counts_from=counts))
    async with desk.sampling(desk.stable.serve):
        await desk.seen(2)
        assert [window.candidate for window in desk.windows()[:2]] == [Counts(0, 0)] * 2, "up, and no request yet"
        pages.pods[hidden.name] = hidden
        await asyncio.to_thread(prometheus.targets)
        for _ in range(7):
            quiet.serve(500)
        before = len(desk.windows())
        await desk.seen(before + 3)
        for _ in range(5):
            hidden.serve(200)
        before = len(desk.windows())
        await desk.seen(before + 3)
        windows = [window for window in desk.windows() if window.answer is not Answer.ERROR]
    pods = [dict(window.candidate_pods) for window in windows]
    found = {
        page.name: total(tuple((page.name, one[page.name]) for one in pods if page.name in one))
        for page in (quiet, hidden)
    }
    assert found == {quiet.name: Counts(7, 7), hidden.name: Counts(5, 0)}, "born with its events, or there before"


def test_a_late_first_sample_counts_from_zero_only_if_somebody_had_looked_before(prometheus, pages):
    check_late(prometheus, pages)


@in_loop
async def check_bounds(prometheus, pages):
    desk = Desk(prometheus, pages)
    prometheus.targets()
    desk.sampler.subscribe(KEY, desk.subscription(metrics=(LATENCY, ANY)))
    turn = 0

    def traffic():
        nonlocal turn
        turn += 1
        seconds = (0.05, 0.2, 0.28, 0.7, 3.0)[turn % 5]
        desk.candidate.serve(seconds=seconds, bounds=("0.10", "0.3", "1"))
        desk.stable.serve(seconds=seconds)

    async with desk.sampling(traffic):
        await desk.seen(4, "latency")
        await desk.seen(4, "any")
        named, whole = desk.windows("latency")[:4], desk.windows("any")[:4]
    for window in named[1:]:
        assert window.effective_threshold == "1s, the nearest that both versions have"
    for one, other in zip(named, whole, strict=True):
        assert [text for text, _, _ in other.bounds] == ["0.1s", "1s"]
        assert other.bounds[-1][1:] == (one.candidate, one.stable)
        for pod, place, les in ((desk.candidate.name, 1, ("0.10", "1.0")), (desk.stable.name, 2, ("0.1", "1.0"))):
            for bound, le in zip(other.bounds, les, strict=True):
                # Prometheus writes bounds its own way; either spelling finds them.
                fast = f'sum by (pod) (http_request_duration_seconds_bucket{{le=~"{le}|{float(le):g}"}})'
                requests, below = (desk.recorded(one, pod, query) for query in (ALL, fast))
                assert bound[place] == Counts(round(requests), round(requests - below))


def test_versions_with_other_bounds_are_compared_at_those_that_both_have(prometheus, pages):
    check_bounds(prometheus, pages)


@in_loop
async def check_routers(prometheus, pages):
    desk = Desk(prometheus, pages)
    routers = [pages.add(f"gateway-5d8c7b20-{index}") for index in range(2)]
    served = {"1": 0, "2": 0}
    turn = 0

    def traffic():
        nonlocal turn
        turn += 1
        for router in routers:
            for version in ("1", "2"):
                code = "503" if version == "2" and turn % 4 == 0 else "200"
                router.count(f'routed_total{{model_version="{version}",code="{code}"}}')
                served[version] += 1

    traffic()
    prometheus.targets()
    ratio = {
        "bad": {"series": "routed_total", "match": [{"label": "code", "value": "503"}]},
        "total": {"series": "routed_total"},
    }
    share = Metric.model_validate({"name": "share", "ratio": ratio, "limit": "1%"})
    subscription = desk.subscription(metrics=(share,), identify=Identify(label="model_version"))
    desk.sampler.subscribe(KEY, subscription)
    async with desk.sampling(traffic):
        await desk.seen(3, "share")
        routers[0].restart()
        await desk.seen(6, "share")
        windows = desk.windows("share")[:6]
    for window in windows:
        assert window.answer is Answer.COUNTS
        for version, counts in (("2", window.candidate_pods), ("1", window.stable_pods)):
            query = f'sum by (pod) (routed_total{{model_version="{version}"}})'
            told = {router.name: desk.told(window, router.name, query) for router in routers}
            assert {pod: one.requests for pod, one in counts} == told, "and the versions' own pods are none of them"
    assert sum(window.candidate.requests for window in windows) <= served["2"]
    assert sum(window.candidate.bad for window in windows) > 0 == sum(window.stable.bad for window in windows)


def test_two_replicas_of_a_router_are_counted_each_for_itself(prometheus, pages):
    check_routers(prometheus, pages)


@in_loop
async def check_history(prometheus, pages):
    desk = Desk(prometheus, pages)
    desk.candidate.count("idle", 0)
    stable = [desk.stable, *(pages.add(pod_name(STABLE, index)) for index in (1, 2))]
    minutes = 121
    last = int(time.time() // STEP) * STEP - STEP
    counted = [{page.name: Counts(0, 0) for page in stable} for _ in range(minutes)]
    for index, page in enumerate(stable):
        good = bad = 0
        for minute in range(minutes):
            at = round(1000 * (last - STEP * (minutes - 1 - minute)))
            errors = 30 if (minute // 5) % 3 == index else minute % 2
            if minute:
                good, bad = good + 40 + minute % 7 - errors, bad + errors
                counted[minute][page.name] = Counts(40 + minute % 7, errors)
            for status, value in ((200, good), (500, bad)):
                line = f'http_requests_total{{handler="/predict",method="POST",status="{status}"}} {value} {at}'
                page.past.append(line)
    prometheus.targets()
    since = next_point()
    desk.sampler.subscribe(
        KEY, desk.subscription(metrics=(EVIDENCE,), since=since, keep_from=since, history=True, preflight=True)
    )
    async with desk.sampling():
        await desk.until(lambda: desk.sampler.preflight(KEY).ready)
        effect = desk.sampler.preflight(KEY).effects["errors"]
    # The six hours begin before these two, and blocks of time with them.
    empty = [dict[str, Counts]()] * (360 - len(counted))
    expected = [design_effect((empty + counted[1:])[shift:] + [{}] * shift, STEP).value for shift in range(4)]
    assert effect.value > 5
    assert min(expected) * 0.95 <= effect.value <= max(expected) * 1.05
    assert "5 min" in effect.note


def test_stables_past_is_read_from_what_prometheus_has(prometheus, pages):
    check_history(prometheus, pages)


@in_loop
async def check_preflight(prometheus, pages):
    desk = Desk(prometheus, pages)
    page = pages.pods.pop(desk.candidate.name)
    prometheus.targets()
    counts = dict.fromkeys([page.name, desk.stable.name], 0.0)
    subscription = desk.subscription(metrics=(ERRORS, LATENCY), counts_from=counts, preflight=True)
    desk.sampler.subscribe(KEY, subscription)
    async with desk.sampling():
        await desk.until(lambda: desk.sampler.preflight(KEY).problem is not None)
        assert "finds no target that is up" in desk.sampler.preflight(KEY).problem.message
        pages.pods[page.name] = page
        await asyncio.to_thread(prometheus.targets)
        await desk.until(lambda: "neither for stable" in desk.sampler.preflight(KEY).problem.message)
        desk.stable.serve()
        await desk.until(lambda: desk.sampler.preflight(KEY).ready)
        prometheus.kill()
        await desk.until(lambda: not desk.sampler.preflight(KEY).ready)
        problem = desk.sampler.preflight(KEY).problem
        assert problem.reason == "MetricsUnavailable"
        assert "(connection refused)" in problem.message
        await asyncio.to_thread(prometheus.start)
        await desk.until(lambda: desk.sampler.preflight(KEY).ready)
        assert desk.windows() == ()
        applied = time.time()
        desk.sampler.subscribe(KEY, replace(subscription, since=applied, keep_from=applied, preflight=False, share=0.5))
        await desk.seen(1)


def test_before_the_first_weight_targets_series_and_outages_are_told(prometheus, pages):
    check_preflight(prometheus, pages)
