"""The threshold method on windows written by hand."""

from modelrollout.analysis.step import StepContext, gating
from modelrollout.analysis.threshold import judge, required_lookback
from modelrollout.analysis.window import Answer, Counts, Window
from modelrollout.api.analysis import Metric, StepKind
from modelrollout.api.status import Verdict

LIVE = StepContext(StepKind.LIVE, since=100.0, now=1000.0, interval=15.0)
BAKE = StepContext(StepKind.BAKE, since=100.0, now=1000.0, interval=15.0)


def metric(**fields):
    return Metric.model_validate({"name": "errors", "errorRate": {}, "limit": "2%", "method": "Threshold"} | fields)


COMPARED = {"limit": None, "compare": {"margin": "1.5"}}


def window(index, bad, requests=50, stable=(5, 1000), **fields):
    start = 105.0 + 15 * index
    return Window(start, start + 15, Answer.COUNTS, Counts(requests, bad), Counts(stable[1], stable[0]), **fields)


def gap(index, answer=Answer.NO_DATA, message="nothing there"):
    start = 105.0 + 15 * index
    return Window(start, start + 15, answer, message=message)


def test_passes_once_the_sample_is_reached_and_the_newest_check_passed():
    early = judge(metric(), None, [window(0, 0)], LIVE)
    assert early.verdict is Verdict.CONTINUE
    assert "50 of 100 requests so far in this step" in early.message
    later = judge(metric(), early, [window(0, 0), window(1, 1)], LIVE)
    assert (later.verdict, later.requests, later.errors, later.checks) == (Verdict.PASS, 100, 1, "..")
    assert later.message == "errors 1 % on 100 requests in the last 1m"
    assert later.through == later.answered_at == 135.0


def test_fails_at_the_third_failed_check_of_five_with_figures_and_reason():
    said = judge(metric(**COMPARED), None, [window(i, 10) for i in range(3)], LIVE)
    assert (said.verdict, said.reason, said.checks) == (Verdict.FAIL, "ErrorRateWorse", "FFF")
    assert said.message == (
        "errors 20 % against 0.5 % on 150 requests in the last 1m, more than 1.5 times stable's: "
        "3 of the last 3 checks failed"
    )
    assert (said.candidate, said.stable, said.ratio) == ("20 %", "0.5 %", "40.00")


def test_reasons_follow_the_question_and_the_kind():
    bad = [window(i, 10) for i in range(3)]
    reasons = {
        "ErrorRateTooHigh": metric(),
        "LatencyTooHigh": metric(errorRate=None, latency={"threshold": "250ms"}),
        "LatencyWorse": metric(errorRate=None, latency={"threshold": "250ms"}, **COMPARED),
        "MetricOutOfRange": metric(errorRate=None, ratio={"bad": {"series": "a"}, "total": {"series": "b"}}),
        "MetricWorse": metric(errorRate=None, ratio={"bad": {"series": "a"}, "total": {"series": "b"}}, **COMPARED),
    }
    assert {reason: judge(one, None, bad, LIVE).reason for reason, one in reasons.items()} == {r: r for r in reasons}


def test_a_small_sample_keeps_failed_checks_from_being_a_fail_until_it_is_reached():
    few = [window(i, 5, requests=10) for i in range(9)]
    said = judge(metric(), None, few, LIVE)
    assert (said.verdict, said.checks) == (Verdict.CONTINUE, "FFFFF")
    assert "90 of 100 requests so far in this step, 5 of the last 5 checks failed" in said.message
    assert judge(metric(), said, [window(9, 5, requests=10)], LIVE).verdict is Verdict.FAIL


def test_folding_a_backlog_stops_at_the_window_that_begins_to_fail():
    backlog = [window(i, 10) for i in range(3)] + [window(i, 0, requests=500) for i in range(3, 20)]
    at_once = judge(metric(), None, backlog, LIVE)
    assert (at_once.verdict, at_once.through) == (Verdict.FAIL, 150.0)
    assert judge(metric(), at_once, backlog, LIVE) is at_once, "what takes a candidate back is not looked at again"


def test_a_metric_that_takes_nothing_back_goes_on_being_judged_after_a_fail():
    backlog = [window(i, 10) for i in range(3)] + [window(i, 0, requests=500) for i in range(3, 20)]
    warns = metric(onBreach="Warn")
    failed = judge(warns, None, backlog[:3], LIVE)
    assert failed.verdict is Verdict.FAIL
    later = judge(warns, failed, backlog, LIVE)
    assert (later.verdict, later.through) == (Verdict.PASS, backlog[-1].end)
    assert later == judge(warns, None, backlog, LIVE)


def test_the_portions_in_which_windows_arrive_do_not_matter():
    backlog = [window(i, bad) for i, bad in enumerate([0, 3, 0, 0, 2, 0, 9, 0, 0, 0])]
    piecemeal, verdicts = None, []
    for count in range(1, len(backlog) + 1):
        piecemeal = judge(metric(), piecemeal, backlog[:count], LIVE)
        verdicts.append(piecemeal.verdict)
    at_once = judge(metric(), None, backlog, LIVE)
    assert at_once.verdict is Verdict.FAIL
    assert at_once.through == backlog[verdicts.index(Verdict.FAIL)].end
    assert judge(metric(), at_once, backlog, LIVE) == piecemeal


def test_windows_before_the_step_or_counted_before_do_not_count_again():
    windows = [Window(90.0, 105.0, Answer.COUNTS, Counts(1000, 1000)), window(0, 1), window(1, 1)]
    said = judge(metric(), None, windows, LIVE)
    assert (said.requests, said.errors) == (100, 2)
    assert judge(metric(), said, windows, LIVE) is said


def test_a_window_that_overlaps_what_was_counted_is_left_out():
    said = judge(metric(), None, [window(0, 1)], LIVE)
    moved = Window(110.0, 130.0, Answer.COUNTS, Counts(70, 70))
    assert judge(metric(), said, [moved], LIVE).requests == 50


def test_nothing_is_counted_past_an_error_and_real_data_take_its_place():
    awaited = gap(1, Answer.ERROR, 'provider "default" has not answered since 14:01Z (connection refused)')
    said = judge(metric(), None, [window(0, 0), awaited, window(2, 0)], LIVE)
    assert (said.verdict, said.message, said.through, said.requests) == (Verdict.ERROR, awaited.message, 120.0, 50)
    again = judge(metric(), said, [window(0, 0), awaited, window(2, 0)], LIVE)
    assert again == said
    healed = judge(metric(), said, [window(0, 0), window(1, 0), window(2, 0)], LIVE)
    assert (healed.verdict, healed.requests) == (Verdict.PASS, 150)


def test_an_error_in_the_lookback_is_awaited_too():
    said = judge(metric(), None, [window(0, 0), window(1, 0)], LIVE)
    restarted = [gap(0, Answer.ERROR, "awaited"), window(1, 0), window(2, 10)]
    assert judge(metric(), said, restarted, LIVE).verdict is Verdict.ERROR


def test_no_data_is_passed_over_and_says_so_while_it_is_the_newest():
    said = judge(metric(), None, [window(0, 0), window(1, 0), gap(2)], LIVE)
    assert (said.verdict, said.message) == (Verdict.NO_DATA, "nothing there")
    assert (said.through, said.answered_at) == (150.0, 135.0)
    assert judge(metric(), said, [window(3, 0)], LIVE).verdict is Verdict.PASS


def test_no_request_of_the_candidate_makes_no_check():
    said = judge(metric(), None, [window(0, 0, requests=0)], LIVE)
    assert (said.verdict, said.checks) == (Verdict.CONTINUE, None)
    assert "the candidate had no requests" in said.message


def test_compare_cannot_speak_without_requests_of_stable_but_the_limit_can():
    alone = [window(i, 10, stable=(0, 0)) for i in range(4)]
    silent = judge(metric(**COMPARED), None, alone, LIVE)
    assert (silent.verdict, silent.checks) == (Verdict.CONTINUE, None)
    assert "stable had no requests to compare with" in silent.message
    both = judge(metric(compare={"margin": "1.5"}), None, alone, LIVE)
    assert (both.verdict, both.reason) == (Verdict.FAIL, "ErrorRateTooHigh")


def test_below_the_floor_a_candidate_is_never_worse():
    tiny = [window(i, 1, requests=2000, stable=(0, 2000)) for i in range(5)]
    assert judge(metric(**COMPARED), None, tiny, LIVE).verdict is Verdict.PASS
    compare = {"limit": None, "compare": {"margin": "1.5", "ignoreBelow": "0.01%"}}
    assert judge(metric(**compare), None, tiny, LIVE).verdict is Verdict.FAIL


def test_compare_rests_at_bake_and_the_limit_speaks():
    bad = [window(i, 10, stable=(0, 0)) for i in range(3)]
    assert judge(metric(**COMPARED), None, bad, BAKE).verdict is Verdict.RESTING
    said = judge(metric(compare={"margin": "1.5"}), None, bad, BAKE)
    assert (said.verdict, said.reason) == (Verdict.FAIL, "ErrorRateTooHigh")
    only_live = metric(when=["Live"])
    assert judge(only_live, None, bad, BAKE).verdict is Verdict.RESTING
    assert gating([only_live, metric(name="b"), metric(name="c", onBreach="Warn")], StepKind.BAKE) == {"b"}


def test_another_definition_starts_afresh_after_what_was_counted():
    said = judge(metric(), None, [window(i, 10) for i in range(3)], LIVE)
    edited = judge(metric(limit="50%"), said, [window(i, 10) for i in range(5)], LIVE)
    assert (edited.verdict, edited.requests, edited.checks) == (Verdict.PASS, 100, "..")


def test_what_an_earlier_step_counted_does_not_count_in_this_one():
    said = judge(metric(), None, [window(i, 10) for i in range(3)], LIVE)
    later = StepContext(StepKind.LIVE, since=160.0, now=1000.0, interval=15.0)
    said = judge(metric(), said, [window(i, 0) for i in range(10)], later)
    assert (said.requests, said.errors, said.checks) == (300, 0, "......"[-5:])


def test_a_query_is_judged_by_its_newest_number():
    ask = {"errorRate": None, "limit": None, "query": "x", "method": None}
    low = metric(**ask, range={"min": "0.8"}, threshold={"failures": 1, "of": 1})

    def value(index, ours, theirs=None):
        return Window(60.0 * index, 60.0 * index + 60, Answer.VALUES, candidate_value=ours, stable_value=theirs)

    assert required_lookback(low) == 0
    assert judge(low, None, [value(2, 0.9)], LIVE).verdict is Verdict.PASS
    said = judge(low, None, [value(2, 0.9), value(3, 0.7)], LIVE)
    assert (said.verdict, said.reason) == (Verdict.FAIL, "MetricOutOfRange")
    assert said.message == "errors 0.7, outside at least 0.8: 1 of the last 1 check failed"
    drop = metric(**ask, compare={"maxDrop": "0.1"}, threshold={"failures": 1, "of": 1})
    said = judge(drop, None, [value(2, 0.7, 0.9)], LIVE)
    assert (said.verdict, said.reason, said.ratio) == (Verdict.FAIL, "MetricWorse", "0.78")
    assert judge(drop, None, [value(2, 0.85, 0.9)], LIVE).verdict is Verdict.PASS
    assert judge(drop, None, [value(2, 0.7, None)], LIVE).verdict is Verdict.CONTINUE
    rise = metric(**ask, compare={"maxRise": "1"}, threshold={"failures": 1})
    assert judge(rise, None, [value(2, 3.5, 2)], LIVE).verdict is Verdict.FAIL


def test_a_number_that_is_unusual_for_stable_warns_once_there_is_something_to_go_by():
    ask = {"errorRate": None, "limit": None, "query": "x", "method": None, "anomaly": {}}
    unusual = metric(**ask, threshold={"failures": 2, "of": 3})

    def at(index, ours):
        start = 120.0 + 60.0 * index
        return Window(start, start + 60, Answer.VALUES, candidate_value=ours, stable_value=1.0 + (index % 4) / 10)

    quiet = [at(index, 1.2) for index in range(12)]
    few = judge(unusual, None, quiet[:5], LIVE)
    assert (few.verdict, few.checks) == (Verdict.CONTINUE, None)
    assert "stable has too few numbers yet" in few.message
    assert judge(unusual, None, quiet, LIVE).verdict is Verdict.PASS
    odd = [*quiet, at(12, 9.0), at(13, 9.0)]
    said = judge(unusual, None, odd, LIVE)
    assert (said.verdict, said.reason) == (Verdict.FAIL, "MetricUnusual")
    assert "robust standard deviations from what is usual for stable: 2 of the last 3 checks failed" in said.message
    assert not unusual.gates
    assert required_lookback(unusual) == 1800


def test_the_bound_of_a_histogram_is_named():
    slow = metric(errorRate=None, latency={"threshold": "240ms"})
    said = judge(slow, None, [window(i, 10, effective_threshold="0.25s") for i in range(3)], LIVE)
    assert said.effective_threshold == "0.25s"
    assert said.message.startswith("errors (slower than 0.25s) 20 % on 150 requests in the last 1m, above the limit")


def test_the_lookback_reaches_no_further_than_asked():
    quick = metric(threshold={"lookback": "15s", "failures": 1, "of": 1})
    assert required_lookback(quick) == 15
    said = judge(quick, None, [window(0, 0), window(1, 0), window(2, 50)], LIVE)
    assert said.candidate == "100 %"
    slow = metric(threshold={"lookback": "10m"})
    assert judge(slow, None, [window(0, 0), window(1, 0), window(2, 50)], LIVE).candidate == "33.3 %"
