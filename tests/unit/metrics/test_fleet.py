"""Many rollouts at once: few queries, and what happens while they are under way."""

import asyncio
from dataclasses import replace

import pytest

from modelrollout.analysis.window import Answer, Counts
from modelrollout.api.analysis import Metric
from modelrollout.metrics.errors import TooLargeError, UnavailableError
from tests.fakes.loop import in_loop
from tests.fakes.sampling import CANDIDATE, ERRORS, KEY, LATENCY, STABLE, START, World


def fleet(one, count, spaces=1):
    """Subscribe so many rollouts; only the first few have pods that serve."""
    serving = []
    for index in range(count):
        space = f"team-{index % spaces}"
        ours = replace(CANDIDATE, deployment=f"model-{index}-2-bbbb2222")
        theirs = replace(STABLE, deployment=f"model-{index}-1-aaaa1111")
        pods = [one.add(version, namespace=space) for version in (ours, theirs)] if index < 3 else []
        serving += pods
        one.subscribe(
            key=(space, f"model-{index}"),
            namespace=space,
            candidate=ours,
            stable=theirs,
            metrics=(ERRORS, LATENCY),
            counts_from={pod.name: START for pod in pods},
        )
    one.traffic = lambda: [pod.serve(2, 1) for pod in serving]


@pytest.mark.parametrize(("count", "spaces"), [(30, 3), (300, 1), (300, 300)])
def test_a_round_takes_ten_queries_at_most_however_many_rollouts_there_are(count, spaces):
    @in_loop
    async def check():
        one = World()
        fleet(one, count, spaces)
        async with one.running():
            await one.live(36)
            sent = len(one.prometheus.queries)
            await one.live(15)
            # Bounds of histograms that were never seen are looked for in each round as well.
            assert len(one.prometheus.queries) - sent <= 10
            for index in range(3):
                windows = one.sampler.windows((f"team-{index % spaces}", f"model-{index}"))
                assert [w.candidate for w in windows["errors"]] == [Counts(45, 15)] * 3
            assert one.woken.count(("team-0", "model-0")) == 3

    check()


@in_loop
async def test_an_answer_that_is_too_large_is_asked_for_in_smaller_parts():
    one = World()
    fleet(one, 300)

    def bend(query, rows):
        if "http_requests_total" in query and "pod=~" not in query:
            raise TooLargeError("the answer has more than 64 MB")
        return rows

    one.prometheus.bend = bend
    async with one.running():
        await one.live(51)
        windows = one.sampler.windows(("team-0", "model-0"))["errors"]
        assert [w.candidate for w in windows] == [Counts(45, 15)] * 3
        asked = [query for query, _, _ in one.prometheus.queries if "http_requests_total" in query]
        assert "pod=~" not in asked[0]
        assert all("pod=~" in query for query in asked[2:])


@in_loop
async def test_a_fleet_is_read_back_after_an_outage():
    one = World()
    fleet(one, 60, 5)
    async with one.running():
        await one.live(21)
        one.prometheus.failure = UnavailableError("HTTP 503")
        await one.live(120)
        one.prometheus.failure = None
        await one.live(15)
        windows = one.sampler.windows(("team-1", "model-1"))["errors"]
        assert len(windows) == 10
        assert {w.candidate for w in windows} == {Counts(45, 15)}


@in_loop
async def test_a_query_that_is_refused_hurts_no_rollout_but_the_one_that_wrote_it():
    one = World()
    fleet(one, 6, 2)
    ratio = {"bad": {"series": "too_many"}, "total": {"series": "http_requests_total"}}
    strange = Metric.model_validate({"name": "errors", "method": "Threshold", "limit": "5%", "ratio": ratio})
    one.sampler.subscribe(KEY, one.subscription(metrics=(strange,)))
    one.prometheus.refuse = lambda query: "too_many" in query
    async with one.running():
        await one.live(51)
        assert {w.answer for w in one.sampler.windows(KEY)["errors"]} == {Answer.ERROR}
        for number in range(3):
            windows = one.sampler.windows((f"team-{number % 2}", f"model-{number}"))["errors"]
            assert [w.candidate for w in windows] == [Counts(45, 15)] * 3


@in_loop
async def test_an_answer_to_an_outdated_question_is_thrown_away():
    one = World()
    candidate, stable = one.add(CANDIDATE), one.add(STABLE)
    one.traffic = lambda: (candidate.serve(1), stable.serve(1))
    gate = asyncio.Event()
    gate.set()
    ask = one.prometheus.instant

    async def instant(query, at, parse):
        await gate.wait()
        return await ask(query, at, parse)

    one.prometheus.instant = instant
    one.subscribe()
    async with one.running():
        await one.live(36)
        gate.clear()
        await one.live(15)
        one.subscribe(since=START + 45, keep_from=START, counts_from=dict.fromkeys(one.pods, START))
        gate.set()
        await one.live(15)
        assert [(w.start - START, w.candidate.requests) for w in one.windows()] == [(45, 15)]
        one.sampler.unsubscribe(KEY)
        await one.live(15)


@in_loop
async def test_a_slow_answer_delays_nothing_but_its_own_grid():
    one = World()
    candidate, stable = one.add(CANDIDATE), one.add(STABLE)
    one.traffic = lambda: (candidate.serve(1), stable.serve(1))
    ask, waiting = one.prometheus.instant, asyncio.Event()

    async def instant(query, at, parse):
        if at in (START + 15, START + 45):  # points of this grid alone
            await waiting.wait()
        return await ask(query, at, parse)

    one.prometheus.instant = instant
    one.subscribe()
    quick = one.subscription(key=("ml", "quick"), interval=10.0, since=START + 1, keep_from=START)
    one.sampler.subscribe(quick.key, quick)
    async with one.running():
        await one.live(61)
        assert one.windows() == ()
        assert [w.candidate.requests for w in one.windows(key=quick.key)] == [10] * 4
        waiting.set()
        await one.live(16)
        assert [w.candidate.requests for w in one.windows()] == [15] * 4
