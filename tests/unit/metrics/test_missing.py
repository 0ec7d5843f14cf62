"""Series that ought to be there: before the first weight, and under traffic."""

from dataclasses import replace

from modelrollout.api.analysis import Identify, Metric
from modelrollout.metrics.errors import UnavailableError
from modelrollout.metrics.subscription import Preflight
from tests.fakes.loop import in_loop
from tests.fakes.sampling import CANDIDATE, ERRORS, KEY, LATENCY, STABLE, START, World, pod_name


@in_loop
async def test_an_unknown_provider_is_named_with_those_there_are():
    one = World()
    one.subscribe(provider="prod")
    async with one.running():
        await one.live(30)
        problem = one.sampler.problem(KEY)
        assert problem.reason == "NoMetricsProvider"
        assert 'no metrics provider "prod" is set up ("default")' in problem.message
        assert one.windows()[0].answer == "Error"
        assert not one.prometheus.queries
        assert one.sampler.preflight(KEY) == Preflight(ready=False, problem=problem)


@in_loop
async def test_a_metric_that_cannot_be_asked_is_a_problem_and_the_others_go_on():
    one = World()
    one.add(CANDIDATE)
    one.add(STABLE)
    wrong = Metric.model_validate({"name": "wrong", "query": "x{{pod}}", "range": {"min": "0"}})
    one.subscribe(metrics=(ERRORS, wrong))
    async with one.running():
        await one.live(21)
        assert one.sampler.problem(KEY).reason == "InvalidSpec"
        assert "spec.analysis.metrics[wrong].query" in one.sampler.problem(KEY).message
        assert [w.answer for w in one.windows()] == ["Counts"]
        assert [w.answer for w in one.windows("wrong")] == ["Error"]


@in_loop
async def test_a_candidate_without_series_under_traffic_is_missing_after_four_windows():
    one = World()
    one.add(CANDIDATE)
    stable = one.add(STABLE)
    one.traffic = lambda: stable.serve(3)
    one.subscribe(share=0.25)
    async with one.running():
        # 45 requests of stable a window make 15 of the candidate: expected after the first, missing after four more.
        await one.live(15 * 4 + 6)
        assert one.sampler.problem(KEY) is None
        await one.live(15)
        problem = one.sampler.problem(KEY)
        assert problem.reason == "MetricsMissing"
        assert 'http_requests_total{handler!~"/health|/metrics",namespace="ml",pod=~"fraud-2-' in problem.message
        assert "spec.analysis.mode: None" in problem.message
        one.pods[pod_name(CANDIDATE)].serve(1)
        await one.live(15)
        assert one.sampler.problem(KEY) is None


@in_loop
async def test_a_small_share_of_little_traffic_is_given_time():
    one = World()
    one.add(CANDIDATE)
    stable = one.add(STABLE)
    one.traffic = lambda: stable.serve(1)
    one.subscribe(share=0.01)
    async with one.running():
        await one.live(600)
        assert one.sampler.problem(KEY) is None


@in_loop
async def test_pods_that_nobody_scrapes_are_missing_and_those_that_fail_to_be_scraped_are_not():
    one = World()
    stable = one.add(STABLE)
    one.traffic = lambda: stable.serve(1)
    counts = dict.fromkeys([pod_name(CANDIDATE), pod_name(STABLE)], one.clock.now())
    one.subscribe(share=0.5, counts_from=counts)
    async with one.running():
        await one.live(15 * 4 + 6)
        assert "Prometheus has no target for the candidate's pods" in one.sampler.problem(KEY).message
    one = World()
    one.add(CANDIDATE).up = False
    one.add(STABLE)
    one.subscribe(share=0.5)
    async with one.running():
        await one.live(15 * 8)
        assert one.sampler.problem(KEY) is None
        assert {w.answer for w in one.windows()} == {"NoData"}


@in_loop
async def test_preflight_wants_a_target_that_is_up_and_the_metric_of_either_version():
    one = World()
    candidate = one.add(CANDIDATE)
    stable = one.add(STABLE)
    candidate.up = False
    one.subscribe(metrics=(ERRORS, LATENCY))
    async with one.running():
        await one.live(21)
        assert one.sampler.preflight(KEY) == Preflight(ready=False)
        await one.live(60)
        assert "finds no target that is up" in one.sampler.preflight(KEY).problem.message
        candidate.up = True
        await one.live(15)
        problem = one.sampler.preflight(KEY).problem
        assert problem.reason == "MetricsMissing"
        assert "finds nothing, neither for stable nor for the candidate" in problem.message
        stable.serve(1)
        await one.live(15)
        assert one.sampler.preflight(KEY) == Preflight(ready=True)


@in_loop
async def test_before_the_first_weight_the_latest_point_is_looked_at_and_no_window_is_made():
    one = World()
    one.add(CANDIDATE)
    one.add(STABLE).serve(1)
    await one.live(3600)
    subscription = one.subscribe(metrics=(ERRORS, LATENCY), since=START, keep_from=START, preflight=True)
    async with one.running():
        await one.live(6)
        assert one.sampler.preflight(KEY) == Preflight(ready=True)
        assert one.woken
        await one.live(60)
        assert one.windows() == one.windows("latency") == ()
        assert len({at for _, at, _ in one.prometheus.queries}) == 6
        assert all(begin == end for _, begin, end in one.prometheus.queries), "nothing is read back"
        one.pods[pod_name(STABLE)].serve(5)
        applied = one.clock.now() - 20
        one.sampler.subscribe(KEY, replace(subscription, since=applied, keep_from=applied, share=0.5, preflight=False))
        await one.live(30)
        # Seen before it was known that a weight had been in force: read again.
        assert [w.start - START for w in one.windows()] == [3660, 3675]
        assert sum(w.stable.requests for w in one.windows()) == 5


@in_loop
async def test_before_the_first_weight_an_outage_is_not_ready_and_over_when_it_is_over():
    one = World()
    one.add(CANDIDATE)
    one.add(STABLE).serve(1)
    one.subscribe(preflight=True)
    async with one.running():
        await one.live(21)
        assert one.sampler.preflight(KEY).ready
        one.prometheus.failure = UnavailableError("connection refused")
        await one.live(15)
        found = one.sampler.preflight(KEY)
        assert not found.ready
        assert found.problem.reason == "MetricsUnavailable"
        assert found.problem.message == 'provider "default" has not answered since 22:14Z (connection refused).'
        assert one.windows() == ()
        assert one.sampler.problem(KEY) is None
        await one.live(600)
        assert one.sampler.preflight(KEY) == found
        one.prometheus.failure = None
        await one.live(15)
        assert one.sampler.preflight(KEY).ready


@in_loop
async def test_before_the_first_weight_a_bound_that_does_not_exist_is_told():
    one = World()
    one.add(CANDIDATE)
    one.add(STABLE).serve(1)
    slow = Metric.model_validate({"name": "slow", "latency": {"threshold": "2s"}, "compare": {"margin": "2"}})
    one.subscribe(metrics=(slow,), preflight=True)
    async with one.running():
        await one.live(21)
        found = one.sampler.preflight(KEY)
        assert not found.ready
        assert found.problem.reason == "MetricsMissing"
        assert "metric slow: the histogram has no bound at or above 2s; its bounds are" in found.problem.message


@in_loop
async def test_before_the_first_weight_pods_that_nobody_scrapes_are_told_with_the_query():
    one = World()
    stable = one.add(STABLE)
    counts = dict.fromkeys([pod_name(CANDIDATE), pod_name(STABLE)], one.clock.now())
    one.subscribe(counts_from=counts, preflight=True)
    one.traffic = lambda: stable.serve(1)
    async with one.running():
        await one.live(60)
        assert one.sampler.preflight(KEY) == Preflight(ready=False)
        await one.live(60)
        problem = one.sampler.preflight(KEY).problem
        assert 'up{namespace="ml",pod=~"fraud-2-bbbb2222-[^-]+-[^-]+"} finds no target that is up' in problem.message
        assert one.sampler.problem(KEY) is None, "nothing is missing under traffic where there is none"


@in_loop
async def test_before_the_first_weight_a_router_may_be_what_is_scraped():
    one = World()
    counts = dict.fromkeys([pod_name(CANDIDATE), pod_name(STABLE)], one.clock.now())
    one.subscribe(counts_from=counts, preflight=True, identify=Identify(label="model_version"))
    router = {"namespace": "ml", "pod": "gateway-5d8c7b20-a", "instance": "a", "job": "x"}

    def scrape():
        rows = [({"model_version": "1", "status": "200"}, one.clock.now() - START)]
        one.prometheus.scraper.scrape(one.clock.now(), router, {"http_requests_total": rows})

    one.traffic = scrape
    async with one.running():
        await one.live(21)
        assert one.sampler.preflight(KEY) == Preflight(ready=True)


@in_loop
async def test_an_unsubscribed_rollout_leaves_nothing_behind():
    one = World()
    one.add(CANDIDATE)
    one.add(STABLE)
    subscription = one.subscribe(metrics=(ERRORS, LATENCY))
    async with one.running():
        await one.live(21)
        other = replace(subscription, key=("ml", "other"))
        one.sampler.subscribe(other.key, other)
        one.sampler.unsubscribe(KEY)
        one.sampler.unsubscribe(("ml", "never"))
        await one.live(15)
        assert one.sampler.windows(KEY) == {}
        assert one.windows(key=other.key)
        one.sampler.unsubscribe(other.key)
        sent = len(one.prometheus.queries)
        await one.live(60)
        assert len(one.prometheus.queries) == sent
        assert not one.sampler._grids
