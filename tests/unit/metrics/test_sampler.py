"""The Sampler in virtual time: windows of one rollout, outages, clocks."""

from dataclasses import replace

import pytest

from modelrollout.analysis.window import Answer, Counts
from modelrollout.api.analysis import Identify, Metric
from modelrollout.metrics.errors import UnavailableError
from tests.fakes.loop import in_loop
from tests.fakes.sampling import CANDIDATE, ERRORS, KEY, LATENCY, STABLE, START, World, pod_name


def world(**fields):
    """One pod each; the candidate gets 1 good request a second and, every fifth, a bad one; stable 4 good ones."""
    made = World(**fields)
    candidate, stable = made.add(CANDIDATE), made.add(STABLE)

    def traffic():
        candidate.serve(1, bad=int(made.clock.now()) % 5 == 0)
        stable.serve(4)

    made.traffic = traffic
    return made


def shown(windows):
    return [(w.start - START, w.end - START, w.candidate, w.stable) for w in windows]


@in_loop
async def test_windows_are_disjoint_on_the_grid_and_hold_what_was_counted_between_its_points():
    one = world()
    one.subscribe()
    async with one.running():
        await one.live(66)
        assert shown(one.windows()) == [(15 * i, 15 * i + 15, Counts(18, 3), Counts(60, 0)) for i in range(4)]
        assert {w.answer for w in one.windows()} == {Answer.COUNTS}
        assert one.windows()[0].candidate_pods == ((pod_name(CANDIDATE), Counts(18, 3)),)
        assert one.woken == [KEY] * 4
        assert len(one.prometheus.queries) == 3 * 5
        assert all(start == end == START + 15 * (i // 3) for i, (_, start, end) in enumerate(one.prometheus.queries))


@in_loop
async def test_only_windows_wholly_after_since_are_made():
    one = world()
    one.subscribe(since=START + 20.5, keep_from=START)
    async with one.running():
        await one.live(66)
        assert [w.start - START for w in one.windows()] == [30, 45]
        one.subscribe(since=START + 40, keep_from=START)
        assert [w.start - START for w in one.windows()] == [45]
        one.subscribe(since=START + 40, keep_from=START + 61)
        assert one.windows() == ()
        one.subscribe(since=START + 20.5, keep_from=START)
        await one.live(15)
        assert [w.start - START for w in one.windows()] == [30, 45, 60]


@in_loop
async def test_an_outage_is_one_error_window_which_real_ones_replace():
    one = world()
    one.subscribe()
    async with one.running():
        await one.live(36)
        one.prometheus.failure = UnavailableError("connection refused")
        await one.live(60)
        *_, last = one.windows()
        assert (last.answer, last.start - START, last.end - START) == (Answer.ERROR, 30, 90)
        assert last.message == 'provider "default" has not answered since 22:14Z (connection refused)'
        failing = len(one.prometheus.queries)
        await one.live(15)
        assert len(one.prometheus.queries) == failing + 1, "one probe a grid point"
        one.prometheus.failure = None
        await one.live(15)
        assert shown(one.windows()) == [(15 * i, 15 * i + 15, Counts(18, 3), Counts(60, 0)) for i in range(8)]


@in_loop
async def test_what_is_read_back_after_a_restart_is_what_was_seen_live():
    one = world()
    subscription = one.subscribe(metrics=(ERRORS, LATENCY))
    async with one.running():
        await one.live(200)
        live = one.sampler.windows(KEY)
    one.sampler = one.new_sampler()
    one.sampler.subscribe(KEY, subscription)
    async with one.running():
        await one.live(1)
        assert one.sampler.windows(KEY) == live
        assert len(live["errors"]) == 13
        half = replace(subscription, keep_from=START + 100)
        one.sampler.subscribe(KEY, half)
        assert [w.start - START for w in one.windows()] == list(range(105, 195, 15))


@in_loop
async def test_a_long_gap_is_read_back_in_portions_of_bounded_size():
    one = world(seconds=15.0)
    subscription = one.subscribe()
    await one.live(15 * 1203 + 6)
    one.sampler = one.new_sampler()
    one.sampler.subscribe(KEY, subscription)
    async with one.running():
        await one.live(1)
        windows = one.windows()
        assert len(windows) == 1203
        assert all(w.candidate == Counts(18, 3) for w in windows)
        assert max((end - start) / 15 for _, start, end in one.prometheus.queries) < 500


@in_loop
async def test_requests_that_never_came_are_zero_while_the_target_is_up_and_no_data_when_it_is_not():
    one = World()
    candidate, stable = one.add(CANDIDATE), one.add(STABLE)
    one.subscribe()
    async with one.running():
        await one.live(36)
        assert shown(one.windows()) == [(0, 15, Counts(0, 0), Counts(0, 0)), (15, 30, Counts(0, 0), Counts(0, 0))]
        candidate.serve(10, bad=2)
        stable.serve(7)
        await one.live(15)
        assert shown(one.windows())[-1] == (30, 45, Counts(12, 2), Counts(7, 0)), "born with its first event"
        candidate.up = False
        await one.live(15)
        last = one.windows()[-1]
        assert last.answer is Answer.NO_DATA
        assert last.message == f"metric errors has no data on the candidate: pod {pod_name(CANDIDATE)} has no target up"
        candidate.serve(100)
        candidate.up = True
        await one.live(30)
        assert [w.answer for w in one.windows()][-2:] == [Answer.NO_DATA, Answer.COUNTS]
        assert one.windows()[-1].candidate == Counts(0, 0), "what was counted unseen belongs to no window"


@in_loop
async def test_one_pod_without_data_leaves_the_others():
    one = world()
    other = one.add(CANDIDATE, 1)
    other.up = False
    one.subscribe()
    async with one.running():
        await one.live(36)
        assert shown(one.windows())[-1][2] == Counts(18, 3)


@in_loop
async def test_a_restart_of_a_pod_counts_from_zero():
    one = world()
    one.subscribe()
    async with one.running():
        await one.live(33)
        one.pods[pod_name(CANDIDATE)].restart()
        await one.live(18)
        window = one.windows()[2]
        assert window.candidate == Counts(16, 3), "from the restart at 33 s to the scrape at 45 s"


@in_loop
async def test_pods_count_from_their_time_and_unknown_ones_not_at_all():
    one = world()
    late = one.add(CANDIDATE, 1)
    late.serve(1000)
    known = dict.fromkeys([pod_name(CANDIDATE), pod_name(STABLE)], START)
    one.subscribe(counts_from=known)
    async with one.running():
        await one.live(21)
        late.serve(50)
        one.subscribe(since=START, keep_from=START, counts_from=known | {late.name: START + 30})
        await one.live(30)
        late.serve(7)
        await one.live(10)
        late.serve(5)
        await one.live(5)
        assert [w.candidate.requests for w in one.windows()] == [18, 18, 18, 25]
        early = dict.fromkeys(one.pods, START + 900)
        one.subscribe(counts_from=early)
        await one.live(30)
        assert one.windows()[-1].message == "metric errors has no data on the candidate: its pods are warming up"


@in_loop
async def test_a_pod_that_two_jobs_scrape_counts_once():
    one = world()
    for pod in one.pods.values():
        pod.jobs = ("pods", "monitor")
    one.subscribe(metrics=(ERRORS, LATENCY))
    async with one.running():
        await one.live(36)
        assert {w.candidate for w in one.windows()} == {Counts(18, 3)}
        assert {w.candidate.requests for w in one.windows("latency")} == {18}


@in_loop
async def test_probes_and_scrapes_are_left_out():
    one = world()
    one.subscribe()
    async with one.running():
        one.pods[pod_name(CANDIDATE)].serve(0, bad=500, handler="/health")
        await one.live(36)
        assert {w.candidate for w in one.windows()} == {Counts(18, 3)}


@in_loop
async def test_latency_counts_requests_above_the_nearest_bound_and_names_it():
    one = World()
    candidate, stable = one.add(CANDIDATE), one.add(STABLE)
    slow = Metric.model_validate({"name": "latency", "latency": {"threshold": "200ms"}, "compare": {"margin": "2"}})
    one.subscribe(metrics=(slow,))
    async with one.running():
        await one.live(6)
        candidate.serve(10, seconds=0.2)
        candidate.serve(3, seconds=0.3)
        stable.serve(20, seconds=5)
        await one.live(15)
        [window] = one.windows("latency")
        assert (window.candidate, window.stable) == (Counts(13, 3), Counts(20, 20))
        assert window.effective_threshold == "0.25s"


@in_loop
async def test_bounds_that_differ_between_versions_are_said():
    one = world()
    one.pods[pod_name(CANDIDATE)].bounds = ("0.3", "1.0")
    one.subscribe(metrics=(LATENCY,))
    async with one.running():
        await one.live(21)
        assert one.windows("latency")[0].effective_threshold == "1s, the nearest that both versions have"
    one = world()
    one.pods[pod_name(CANDIDATE)].bounds = ("0.3", "2.0")
    one.subscribe(metrics=(LATENCY,))
    async with one.running():
        await one.live(21)
        [window] = one.windows("latency")
        assert window.answer is Answer.NO_DATA
        assert "no common bound at or above 0.25s (candidate: 0.3s, 2s; stable: 0.1s, 0.25s, 1s)" in window.message


@in_loop
async def test_prometheus_that_was_away_leaves_minutes_without_data_not_minutes_without_requests():
    one = world()
    one.subscribe()
    async with one.running():
        await one.live(60)
        one.scraping, one.prometheus.failure = False, UnavailableError("connection refused")
        await one.live(600)
        one.scraping, one.prometheus.failure = True, None
        await one.live(60)
        answers = [w.answer for w in one.windows()]
        assert len(answers) == 47
        assert answers[:4] == [Answer.COUNTS] * 4
        # For a minute after the last scrape nobody can tell a rest from an outage.
        assert set(answers[8:43]) == {Answer.NO_DATA}
        assert answers[-2:] == [Answer.COUNTS] * 2
        assert sum(w.candidate.requests for w in one.windows()) <= 18 * 8


@in_loop
async def test_a_clock_that_jumps_ahead_and_back_neither_loses_nor_doubles_anything():
    one = world()
    one.subscribe()
    async with one.running():
        await one.live(36)
        before = shown(one.windows())
        one.clock.jump(3600)
        one.prometheus.skew = -3600.0
        await one.clock.advance(10)
        *_, last = one.windows()
        assert last.answer is Answer.ERROR
        assert "its clock is 3600 s behind ours" in last.message
        one.clock.jump(-3610)
        one.prometheus.skew = 0.0
        await one.live(60)
        assert shown(one.windows()) == [(15 * i, 15 * i + 15, Counts(18, 3), Counts(60, 0)) for i in range(6)]
        assert shown(one.windows())[:2] == before


@pytest.mark.parametrize(("skew", "words"), [(300.0, "ahead of"), (-300.0, "behind")])
def test_a_provider_whose_clock_is_five_minutes_off_is_an_error_until_it_is_right(skew, words):
    @in_loop
    async def check():
        one = world()
        one.subscribe()
        async with one.running():
            await one.live(36)
            one.prometheus.skew = skew
            await one.live(30)
            *_, last = one.windows()
            assert last.answer is Answer.ERROR
            assert f"its clock is 300 s {words} ours" in last.message
            one.prometheus.skew = 0.0
            await one.live(30)
            assert shown(one.windows()) == [(15 * i, 15 * i + 15, Counts(18, 3), Counts(60, 0)) for i in range(6)]

    check()


@in_loop
async def test_windows_seen_under_a_wrong_clock_are_made_again_when_it_is_set_back():
    one = world()
    one.subscribe()
    async with one.running():
        await one.live(36)
        one.clock.jump(600)
        await one.clock.advance(10)
        assert one.windows()[-1].answer is Answer.NO_DATA
        one.clock.jump(-610)
        await one.live(60)
        assert shown(one.windows()) == [(15 * i, 15 * i + 15, Counts(18, 3), Counts(60, 0)) for i in range(6)]


@in_loop
async def test_a_refused_query_hurts_its_own_metric_only():
    one = world()
    one.prometheus.refuse = lambda query: "_bucket" in query
    one.subscribe(metrics=(ERRORS, LATENCY))
    async with one.running():
        await one.live(36)
        assert [w.answer for w in one.windows()] == [Answer.COUNTS] * 2
        [awaited] = one.windows("latency")
        assert awaited.answer is Answer.ERROR
        assert awaited.message == (
            'provider "default" refuses the query of metric latency (HTTP 422: this query is refused)'
        )


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-1", "1e300"])
def test_values_that_are_no_counts_spoil_a_window_and_never_read_as_zero(value):
    @in_loop
    async def check():
        one = world()
        one.subscribe()
        async with one.running():
            await one.live(36)
            honest = one.prometheus.bend

            def bend(query, rows):
                if "http_requests" in query:
                    for row in rows:
                        row["value"][1] = value
                return rows

            one.prometheus.bend = bend
            await one.live(15)
            assert one.windows()[-1].answer is Answer.NO_DATA
            assert "exposes values that are no counts" in one.windows()[-1].message
            one.prometheus.bend = honest
            await one.live(30)
            assert one.windows()[-1].candidate == Counts(18, 3)

    check()


@in_loop
async def test_a_provider_that_answers_nan_to_everything_ends_nothing():
    one = world()
    one.subscribe(metrics=(ERRORS, LATENCY))

    def bend(_, rows):
        return [{**row, "value": [row["value"][0], "NaN"]} for row in rows]

    async with one.running():
        await one.live(36)
        one.prometheus.bend = bend
        await one.live(30)
        assert {w.answer for w in one.windows()[2:]} == {Answer.NO_DATA}


@in_loop
async def test_doubled_rows_spoil_a_window():
    one = world()
    one.subscribe()
    async with one.running():
        one.prometheus.bend = lambda _, rows: rows * 2
        await one.live(36)
        assert {w.answer for w in one.windows()} == {Answer.NO_DATA}


@in_loop
async def test_an_empty_answer_is_no_data():
    one = world()
    one.subscribe()
    async with one.running():
        await one.live(36)
        one.prometheus.bend = lambda *_: []
        await one.live(30)
        assert [w.answer for w in one.windows()][2:] == [Answer.NO_DATA] * 2
        assert "is not known to Prometheus" in one.windows()[-1].message


@in_loop
async def test_a_query_of_a_user_is_asked_at_sixty_seconds_once_for_each_version():
    one = world()
    query = 'sum by () (http_requests_total{namespace="{{namespace}}",pod=~"{{pods}}",version!="{{version}}"}) / 10'
    mean = Metric.model_validate({"name": "mean", "query": query, "range": {"max": "1000"}})
    one.subscribe(metrics=(mean,), candidate=replace(CANDIDATE, version='2"} or vector(0) or x{a="'))
    async with one.running():
        await one.live(200)
        windows = one.windows("mean")
        assert [(w.start % 60, w.end - w.start) for w in windows] == [(0, 60), (0, 60)]
        assert all(w.answer is Answer.VALUES for w in windows)
        seen = [(w.candidate_value, w.stable_value) for w in windows]
        assert seen[1][0] - seen[0][0] == pytest.approx(7.2)
        assert seen[1][1] - seen[0][1] == pytest.approx(24)
        one.prometheus.bend = lambda _, rows: rows * 2
        await one.live(60)
        assert "yields 2 numbers for one version" in one.windows("mean")[-1].message
        one.prometheus.bend = lambda *_: []
        await one.live(60)
        assert [w.answer for w in one.windows("mean")[-2:]] == [Answer.NO_DATA] * 2


@in_loop
async def test_late_data_make_windows_by_the_time_of_the_event():
    one = world()
    late = Metric.model_validate(
        {
            "name": "late",
            "ratio": {
                "good": {"series": "http_requests_total", "match": [{"label": "status", "value": "200"}]},
                "total": {"series": "http_requests_total"},
            },
            "limit": "50%",
            "delay": "40s",
        }
    )
    one.subscribe(metrics=(late,))
    async with one.running():
        await one.live(81)
        windows = one.windows("late")
        assert [(w.start - START, w.end - START) for w in windows] == [(0, 15), (15, 30)]
        assert windows[0].candidate == Counts(18, 3)
        assert all(at >= START + 45 for _, at, _ in one.prometheus.queries)


@in_loop
async def test_a_router_that_is_down_or_gone_leaves_no_data_however_well_the_versions_are_scraped():
    one = World()
    one.add(CANDIDATE)
    one.add(STABLE)
    one.subscribe(identify=Identify(label="model_version"))
    routers = dict.fromkeys(("gateway-5d8c7b20-a", "gateway-5d8c7b20-b"), "up")
    served = {"1": 0, "2": 0}

    def scrape():
        now = one.clock.now()
        served["1"] += 2
        served["2"] += now >= START + 40
        for router, state in routers.items() if now % 5 == 0 else ():
            rows = [({"model_version": name, "status": "200"}, count) for name, count in served.items() if count]
            target = {"namespace": "ml", "pod": router, "instance": router, "job": "x"}
            if state == "gone":
                one.prometheus.scraper.forget(now, target)
                routers[router] = "forgotten"
            elif state != "forgotten":
                one.prometheus.scraper.scrape(now, target, {"http_requests_total": rows} if state == "up" else None)

    one.traffic = scrape
    async with one.running():
        await one.live(51)
        assert shown(one.windows()) == [
            (0, 15, Counts(0, 0), Counts(60, 0)),
            (15, 30, Counts(0, 0), Counts(60, 0)),
            (30, 45, Counts(12, 0), Counts(60, 0)),
        ], "the candidate's first request counts"
        routers["gateway-5d8c7b20-a"] = "down"
        await one.live(15)
        assert one.windows()[-1].candidate_pods == (("gateway-5d8c7b20-b", Counts(15, 0)),)
        routers["gateway-5d8c7b20-b"] = "gone"
        await one.live(60)
        assert {w.answer for w in one.windows()[-3:]} == {Answer.NO_DATA}
        routers["gateway-5d8c7b20-c"] = "up"
        await one.live(45)
        assert one.windows()[-1].candidate_pods == (("gateway-5d8c7b20-c", Counts(15, 0)),)


@in_loop
async def test_versions_may_be_told_apart_by_a_label():
    one = World()
    for pod in ("gateway-5d8c7b20-a", "gateway-5d8c7b20-b"):
        one.prometheus.scraper.scrape(START - 5, {"namespace": "ml", "pod": pod, "instance": pod, "job": "x"}, {})
    one.subscribe(identify=Identify(label="model_version"))

    def scrape():
        now = one.clock.now()
        if now % 5 == 0:
            count = int(now - START)
            for pod in ("gateway-5d8c7b20-a", "gateway-5d8c7b20-b"):
                rows = [
                    ({"model_version": "1", "status": "200"}, 2 * count),
                    ({"model_version": "2", "status": "200"}, count),
                    ({"model_version": "2", "status": "503"}, count // 5),
                ]
                target = {"namespace": "ml", "pod": pod, "instance": pod, "job": "x"}
                one.prometheus.scraper.scrape(now, target, {"http_requests_total": rows})

    one.traffic = scrape
    async with one.running():
        await one.live(36)
        assert shown(one.windows()) == [(15 * i, 15 * i + 15, Counts(36, 6), Counts(60, 0)) for i in range(2)]
