"""Stable's past before the first weight: read once, for all that begin at once, and an outage is no answer."""

import random
from dataclasses import replace

import pytest

from modelrollout.analysis.dispersion import design_effect
from modelrollout.analysis.window import Counts
from modelrollout.api.analysis import Identify, Metric
from modelrollout.metrics.errors import RefusedError, UnavailableError
from modelrollout.metrics.history import AGAIN, SPAN, STEP
from modelrollout.metrics.rounds import POINTS, STEPS
from modelrollout.metrics.subscription import effect_name
from tests.fakes.loop import in_loop
from tests.fakes.sampling import CANDIDATE, ERRORS, KEY, LATENCY, STABLE, START, World, pod_name

EVIDENCE = Metric.model_validate({"name": "errors", "errorRate": {}, "compare": {}, "method": "Sequential"})
SLOW = Metric.model_validate(
    {"name": "latency", "latency": {"threshold": "250ms"}, "compare": {}, "method": "Sequential"}
)
ANY = Metric.model_validate({"name": "any", "latency": {}, "compare": {}, "method": "Sequential"})
HALF = STEP / 2
"""A scrape each half minute falls on the points of the past's grid."""


class Past:
    """A world in which stable has served for hours: `counted` holds what its pods served in each minute, oldest first.

    A minute is one of the past's grid; the pods were not yet known at the beginning of the first one.
    """

    def __init__(self, pods=3, **settings):
        self.world = World(seconds=HALF, **settings)
        self.pods = [self.world.add(STABLE, index) for index in range(pods)]
        self.counted: list[dict[str, Counts]] = []
        self.chance = random.Random(7)

    async def live(self, seconds, bad=lambda _pod, _minute: 0):
        """Half minutes go by; bad answers come by pod and minute."""
        begin = self.world.clock.now()
        while self.world.clock.now() < begin + seconds:
            minute = int(self.world.clock.now() // STEP)
            if self.world.clock.now() % STEP == HALF:
                self.counted.append({})
            for index, pod in enumerate(self.pods):
                good, errors = self.chance.randint(20, 40), bad(index, minute)
                pod.serve(good, errors)
                before = self.counted[-1].get(pod.name, Counts(0, 0))
                self.counted[-1][pod.name] = before + Counts(good + errors, errors)
            self.world.second()
            await self.world.clock.advance(HALF)

    def subscribe(self, **fields):
        candidate = self.world.pods.get(pod_name(CANDIDATE)) or self.world.add(CANDIDATE)
        candidate.jobs = ("pods",)
        return self.world.subscribe(**{"metrics": (EVIDENCE,), "history": True} | fields)

    def truth(self):
        """The effect of what was counted; the hours start before the pods do."""
        steps = round(SPAN / STEP)
        known = self.counted[1:][-steps:]
        return design_effect([{}] * (steps - len(known)) + known, STEP)

    @property
    def found(self):
        return self.world.sampler.preflight(KEY)

    def ranges(self):
        return [(query, begin, end) for query, begin, end in self.world.prometheus.queries if begin < end]


def bursts(pod, minute):
    """Five minutes of errors on one pod or another, now and then."""
    return 30 if (minute // 5) % 7 == pod else 0


@in_loop
async def test_the_effect_is_that_of_what_stables_pods_really_counted():
    one = Past()
    await one.live(SPAN + 600, bursts)
    expected = one.truth()
    assert expected.value > 5
    one.subscribe()
    assert not one.found.ready
    async with one.world.running():
        await one.world.live(31)
        assert one.found.ready
        assert one.found.effects == {"errors": expected}
        known = [counts for minute in one.counted[1:][-round(SPAN / STEP) :] for counts in minute.values()]
        total, bad = sum(counts.requests for counts in known), sum(counts.bad for counts in known)
        found = one.found.traffic["errors"]
        assert found.rps == pytest.approx(total / SPAN, rel=0.01)
        assert found.stable_rate == pytest.approx(bad / total, rel=0.01)
        assert one.world.woken


@in_loop
async def test_an_effect_stays_as_it_was_found_and_is_not_asked_for_again():
    one = Past()
    await one.live(3600, bursts)
    subscription = one.subscribe()
    async with one.world.running():
        await one.world.live(31)
        effects, sent = one.found.effects, len(one.ranges())
        assert sent == 3
        one.world.sampler.subscribe(KEY, replace(subscription, since=one.world.clock.now(), share=0.1))
        await one.world.live(60)
        later = replace(subscription, since=one.world.clock.now(), share=0.1, history=False)
        one.world.sampler.subscribe(KEY, later)
        await one.live(600, lambda pod, _: 40 if pod == 0 else 0)
        one.world.sampler.subscribe(KEY, replace(later, history=True))
        await one.world.live(60)
        assert one.found.effects == effects
        assert len(one.ranges()) == sent


@in_loop
async def test_a_provider_that_does_not_answer_leaves_the_effect_unknown_and_says_since_when():
    one = Past()
    await one.live(3600, bursts)
    one.world.prometheus.refuse = lambda _: False
    one.subscribe()
    async with one.world.running():
        one.world.prometheus.failure = UnavailableError("connection refused")
        await one.world.live(31)
        assert not one.found.ready
        assert one.found.effects == {}
        assert one.found.problem.reason == "MetricsUnavailable"
        since = 'provider "default" has not answered since 23:13Z (connection refused)'
        assert since in one.found.problem.message
        await one.world.live(600)
        assert since in one.found.problem.message
        one.world.prometheus.failure = None
        await one.world.live(AGAIN + 31)
        assert one.found.ready
        assert one.found.effects["errors"].value > 5


@in_loop
async def test_an_outage_within_a_fleet_spoils_no_effect_and_is_over_when_it_is_over():
    one = Past()
    await one.live(3600, bursts)
    subscription = one.subscribe()
    many = [replace(subscription, key=("ml", f"model-{index}")) for index in range(40)]
    for each in many:
        one.world.sampler.subscribe(each.key, each)
    asked = one.world.prometheus.range
    left = 8

    async def fail_then(*arguments):
        nonlocal left
        left -= 1
        if left == 0:
            one.world.prometheus.failure = UnavailableError("connection reset")
        return await asked(*arguments)

    one.world.prometheus.range = fail_then
    async with one.world.running():
        await one.world.live(6)
        found = [one.world.sampler.preflight(each.key) for each in many]
        known = [bool(one.effects) for one in found]
        assert any(known)
        assert not all(known)
        told = {one.problem.message for one in found if not one.effects}
        assert len(told) == 1
        assert "connection reset" in told.pop()
        one.world.prometheus.failure = None
        await one.world.live(AGAIN + 31)
        found = [one.world.sampler.preflight(each.key) for each in many]
        assert all(one.ready for one in found)
        assert len({one.effects["errors"] for one in found}) == 1


@in_loop
async def test_a_past_that_is_empty_is_an_answer():
    one = Past(pods=2)
    for pod in one.pods:
        pod.serve(1)
    one.subscribe()
    async with one.world.running():
        await one.world.live(31)
        assert one.found.ready
        assert one.found.effects["errors"] == design_effect((), STEP)
        assert one.found.effects["errors"].value == 2
        assert "no history" in one.found.effects["errors"].note


@in_loop
async def test_without_a_stable_version_there_is_nothing_to_ask():
    one = Past(pods=0)
    one.world.add(CANDIDATE).serve(1)
    one.subscribe(stable=None)
    async with one.world.running():
        await one.world.live(31)
        assert one.found.ready
        assert one.found.effects["errors"].value == 2
        assert one.ranges() == []


@in_loop
async def test_nothing_is_asked_that_nobody_wants_to_know():
    one = Past()
    await one.live(600)
    stated = Metric.model_validate(EVIDENCE.written() | {"name": "stated", "overdispersion": "1.5"})
    one.subscribe(metrics=(ERRORS, LATENCY, stated))
    other = replace(one.world.subscription(metrics=(EVIDENCE,)), key=("ml", "steady"))
    one.world.sampler.subscribe(other.key, other)
    async with one.world.running():
        await one.world.live(61)
        assert one.found.ready
        assert one.found.effects == one.world.sampler.preflight(other.key).effects == {}
        assert one.ranges() == []


@in_loop
async def test_slow_requests_have_an_effect_of_their_own():
    one = Past()
    await one.live(600, bursts)
    for minute in range(60):
        for index, pod in enumerate(one.pods):
            pod.serve(30, seconds=0.05)
            pod.serve(10 if (minute // 5) % 3 == index else 1, seconds=0.7)
        for _ in range(2):
            one.world.second()
            await one.world.clock.advance(HALF)
    one.subscribe(metrics=(EVIDENCE, SLOW))
    async with one.world.running():
        await one.world.live(31)
        effects = one.found.effects
        assert set(effects) == {"errors", "latency"}
        assert effects["latency"].value > 2
        assert "5 min" in effects["latency"].note
        bounds = [query for query, _, _ in one.world.prometheus.queries if "last_over_time" in query]
        assert all("[300s]" in query for query in bounds), "bounds are those of now, not of six hours"


@in_loop
async def test_without_a_threshold_each_bound_has_an_effect_and_the_largest_stands_for_the_metric():
    one = Past()
    for minute in range(120):
        for index, pod in enumerate(one.pods):
            pod.serve(30, seconds=0.05)
            pod.serve(one.chance.randint(3, 9), seconds=0.2)
            pod.serve(10 if (minute // 5) % 3 == index else 1, seconds=0.7)
        for _ in range(2):
            one.world.second()
            await one.world.clock.advance(HALF)
    named = [
        Metric.model_validate(SLOW.written() | {"name": f"at-{text}", "latency": {"threshold": text}})
        for text in ("100ms", "250ms", "1s")
    ]
    one.subscribe(metrics=(ANY, *named))
    async with one.world.running():
        await one.world.live(31)
        effects = one.found.effects
        for text, metric in zip(("0.1s", "0.25s", "1s"), named, strict=True):
            assert effects[effect_name("any", text)] == effects[metric.name]
        assert effects["any"] == effects["any/0.25s"]
        assert effects["any/0.25s"].value > effects["any/0.1s"].value > effects["any/1s"].value - 1
        assert len([query for query, _, _ in one.ranges() if "_bucket" in query]) == 1, "one query for all"


@in_loop
async def test_a_histogram_that_stable_never_had_leaves_an_effect_that_is_assumed():
    one = Past()
    one.world.add(CANDIDATE)
    one.subscribe(metrics=(ANY,))
    async with one.world.running():
        await one.world.live(31)
        assert {name: effect.value for name, effect in one.found.effects.items()} == {"any": 2}


@in_loop
async def test_pods_that_are_gone_count_and_those_of_other_versions_do_not():
    one = Past()
    other = one.world.add(CANDIDATE)
    await one.live(1800, bursts)
    other.serve(100, 100)
    gone = one.pods.pop()
    one.world.remove(gone)
    await one.live(600, bursts)
    for minute in one.counted[-10:]:
        assert gone.name not in minute
    expected = one.truth()
    one.subscribe(counts_from=dict.fromkeys([other.name, one.pods[0].name], START + 1e6))
    async with one.world.running():
        await one.world.live(31)
        assert one.found.effects["errors"].value == pytest.approx(expected.value)


@in_loop
async def test_versions_told_apart_by_a_label_have_a_past_as_well():
    one = Past(pods=0)
    for minute in range(120):
        now = one.world.clock.now()
        for index, pod in enumerate(("gateway-5d8c7b20-a", "gateway-5d8c7b20-b")):
            bad = sum(30 if (each // 5) % 2 == index else 0 for each in range(minute))
            rows = [
                ({"model_version": "1", "status": "200"}, 200 * minute),
                ({"model_version": "1", "status": "503"}, bad),
                ({"model_version": "2", "status": "503"}, 50 * minute),
            ]
            target = {"namespace": "ml", "pod": pod, "instance": pod, "job": "x"}
            one.world.prometheus.scraper.scrape(now, target, {"http_requests_total": rows})
        await one.world.clock.advance(STEP)
    one.subscribe(identify=Identify(label="model_version"))
    async with one.world.running():
        await one.world.live(31)
        assert one.found.effects["errors"].value > 5


@in_loop
async def test_a_fleet_that_begins_at_once_shares_queries_of_bounded_size():
    one = Past()
    await one.live(1800, bursts)
    base = one.subscribe()
    count = 300
    for index in range(count):
        each = replace(
            base,
            key=("ml", f"model-{index}"),
            stable=replace(STABLE, deployment=f"model-{index}-1-aaaa1111"),
            counts_from={f"model-{index}-1-aaaa1111-5d8c7b20-pod{pod:02d}": START for pod in range(3)},
        )
        one.world.sampler.subscribe(each.key, each)
    async with one.world.running():
        await one.world.live(61)
        ranges = one.ranges()
        points = round(SPAN / STEP) + 1
        together = POINTS // (points * 3 * 2)
        assert len(ranges) <= 3 * (count / together + 2)
        assert max((end - begin) / STEP + 1 for _, begin, end in ranges) == points <= STEPS
        assert all(query.count("model-") <= 2 * (together + 1) for query, _, _ in ranges)
        found = [one.world.sampler.preflight(("ml", f"model-{index}")) for index in range(count)]
        assert {each.effects["errors"].value for each in found} == {2}
        sent = len(one.world.prometheus.queries)
        await one.world.live(60)
        assert len(one.ranges()) == len(ranges)
        assert len(one.world.prometheus.queries) - sent <= 4 * 10


@in_loop
async def test_a_version_with_very_many_pods_is_read_in_short_stretches():
    one = Past()
    await one.live(7200, bursts)
    expected = one.truth()
    names = {f"{STABLE.deployment}-5d8c7b20-x{index}": START for index in range(500)}
    one.subscribe(counts_from=names)
    async with one.world.running():
        await one.world.live(31)
        assert len(one.ranges()) > 20
        assert max((end - begin) / STEP + 1 for _, begin, end in one.ranges()) <= POINTS / (500 * 2)
        assert one.found.effects["errors"].value == pytest.approx(expected.value)


@in_loop
async def test_a_metric_that_is_edited_is_asked_anew_and_one_that_left_leaves_nothing():
    one = Past()
    await one.live(1800, bursts)
    subscription = one.subscribe()
    async with one.world.running():
        await one.world.live(31)
        edited = Metric.model_validate(EVIDENCE.written() | {"errorRate": {"statuses": ["404"]}})
        one.world.sampler.subscribe(KEY, replace(subscription, metrics=(edited,)))
        assert one.found.effects == {}
        assert not one.found.ready
        await one.world.live(31)
        assert "no bad events" in one.found.effects["errors"].note
        one.world.prometheus.failure = UnavailableError("HTTP 503")
        one.world.sampler.subscribe(KEY, replace(subscription, metrics=(EVIDENCE,)))
        await one.world.live(31)
        one.world.sampler.unsubscribe(KEY)
        sent = len(one.world.prometheus.queries)
        await one.world.live(60)
        assert len(one.world.prometheus.queries) == sent


@in_loop
async def test_a_refused_question_holds_its_own_metric_only():
    one = Past()
    await one.live(1800, bursts)
    asked = one.world.prometheus.range

    async def refuse(query, *rest):
        if "_bucket" in query:
            raise RefusedError("HTTP 422: it would load too many samples")
        return await asked(query, *rest)

    one.world.prometheus.range = refuse
    one.subscribe(metrics=(EVIDENCE, SLOW))
    async with one.world.running():
        await one.world.live(31)
        assert set(one.found.effects) == {"errors"}
        assert not one.found.ready
        text = one.found.problem.message
        assert "metric latency: how much stable's pods differ is not known" in text
        assert "refuses the query of metric latency (HTTP 422: it would load too many samples)" in text
