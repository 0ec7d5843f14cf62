"""Latency without a threshold: counts at each bound of the histogram, from one query of all buckets."""

from dataclasses import replace

from modelrollout.analysis.window import Answer, Counts
from modelrollout.api.analysis import Metric
from tests.fakes.loop import in_loop
from tests.fakes.sampling import CANDIDATE, ERRORS, KEY, LATENCY, STABLE, START, World, pod_name

ANY = Metric.model_validate({"name": "any", "latency": {}, "compare": {}, "method": "Sequential"})
SLOW = ("0.1s", "0.25s", "1s")


def world():
    """Each second a fast request of either version; the candidate's every fifth takes 0.2 s, every third second stable's 2 s."""
    one = World()
    candidate, stable = one.add(CANDIDATE), one.add(STABLE)

    def traffic():
        second = int(one.clock.now() - START)
        candidate.serve(1)
        stable.serve(1)
        if second % 5 == 0:
            candidate.serve(1, seconds=0.2)
        if second % 3 == 0:
            stable.serve(1, seconds=2)

    one.traffic = traffic
    return one


def bounds(window):
    return {text: (ours, theirs) for text, ours, theirs in window.bounds}


@in_loop
async def test_each_bound_has_the_counts_of_a_threshold_at_that_bound():
    one = world()
    named = [
        Metric.model_validate({"name": f"at-{text.replace('.', '-')}", "latency": {"threshold": text}, "limit": "1%"})
        for text in ("100ms", "250ms", "1s")
    ]
    one.subscribe(metrics=(ANY, *named))
    async with one.running():
        await one.live(66)
        for place, window in enumerate(one.windows("any")):
            assert (window.answer, window.effective_threshold) == (Answer.COUNTS, None)
            assert tuple(text for text, _, _ in window.bounds) == SLOW
            for (_, ours, theirs), metric in zip(window.bounds, named, strict=True):
                alone = one.windows(metric.name)[place]
                assert (ours, theirs) == (alone.candidate, alone.stable)
            assert window.candidate == Counts(bounds(window)["1s"][0].requests, 0)
            assert window.candidate_pods == ((pod_name(CANDIDATE), window.candidate),)
        assert bounds(one.windows("any")[1]) == {
            "0.1s": (Counts(18, 3), Counts(20, 5)),
            "0.25s": (Counts(18, 0), Counts(20, 5)),
            "1s": (Counts(18, 0), Counts(20, 5)),
        }


@in_loop
async def test_all_bounds_take_one_query_and_the_ordinary_case_costs_what_it_did():
    one = world()
    one.subscribe(metrics=(ANY,))
    async with one.running():
        await one.live(36)
        asked = {query for query, _, _ in one.prometheus.queries}
        assert len(asked) == 2
        assert [query for query in asked if "_bucket" in query and "le=" not in query and ",le)" in query]
    one = world()
    one.subscribe(metrics=(ERRORS, LATENCY))
    other = one.subscription(key=("ml", "open"), metrics=(ANY,))
    one.sampler.subscribe(other.key, other)
    async with one.running():
        await one.live(36)
        buckets = {query for query, _, _ in one.prometheus.queries if "sum by" in query and "_bucket" in query}
        assert sorted("le=~" in query for query in buckets) == [False, True], (
            "the ordinary one goes on naming its bounds"
        )


@in_loop
async def test_a_candidate_without_requests_has_none_at_each_of_stables_bounds():
    one = World()
    candidate, stable = one.add(CANDIDATE), one.add(STABLE)
    candidate.bounds = ("0.25", "0.5", "1.0")
    one.traffic = lambda: stable.serve(1, seconds=0.3)
    one.subscribe(metrics=(ANY,))
    async with one.running():
        await one.live(36)
        last = one.windows("any")[-1]
        assert bounds(last)["0.25s"] == (Counts(0, 0), Counts(15, 15))
        assert tuple(bounds(last)) == SLOW
        candidate.serve(7, seconds=0.7)
        await one.live(15)
        last = one.windows("any")[-1]
        assert bounds(last) == {"0.25s": (Counts(7, 7), Counts(15, 15)), "1s": (Counts(7, 0), Counts(15, 0))}


@in_loop
async def test_versions_without_a_common_bound_are_said_and_at_full_weight_the_candidate_is_alone():
    one = World()
    candidate, stable = one.add(CANDIDATE), one.add(STABLE)
    candidate.bounds = ("0.3", "2.0")
    one.traffic = lambda: (candidate.serve(1), stable.serve(1))
    subscription = one.subscribe(metrics=(ANY,))
    async with one.running():
        await one.live(21)
        [window] = one.windows("any")
        assert window.answer is Answer.NO_DATA
        assert "no common bound (candidate: 0.3s, 2s; stable: 0.1s, 0.25s, 1s)" in window.message
        waiting = replace(subscription, preflight=True)
        one.sampler.subscribe(KEY, waiting)
        await one.live(15)
        assert "no common bound" in one.sampler.preflight(KEY).problem.message
        one.sampler.subscribe(KEY, replace(subscription, since=one.clock.now(), stable=None))
        await one.live(36)
        assert bounds(one.windows("any")[0]) == {
            "0.3s": (Counts(15, 0), Counts(0, 0)),
            "2s": (Counts(15, 0), Counts(0, 0)),
        }


@in_loop
async def test_a_restart_and_an_outage_are_counted_like_those_of_any_other_rate():
    one = world()
    subscription = one.subscribe(metrics=(ANY, LATENCY))
    async with one.running():
        await one.live(33)
        one.pods[pod_name(CANDIDATE)].restart()
        await one.live(30)
        one.pods[pod_name(CANDIDATE)].up = False
        await one.live(20)
        one.pods[pod_name(CANDIDATE)].up = True
        await one.live(60)
        live = one.sampler.windows(KEY)
        assert {window.answer for window in live["any"]} == {Answer.COUNTS, Answer.NO_DATA}
        for ours, alone in zip(live["any"], live["latency"], strict=True):
            assert ours.answer is alone.answer
            if ours.answer is Answer.COUNTS:
                assert bounds(ours)["0.25s"] == (alone.candidate, alone.stable)
    one.sampler = one.new_sampler()
    one.sampler.subscribe(KEY, subscription)
    async with one.running():
        await one.live(1)
        assert one.sampler.windows(KEY) == live
