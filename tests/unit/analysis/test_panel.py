"""Metrics judged by evidence, on windows written by hand."""

import itertools
import math
from dataclasses import replace

import pytest

from modelrollout.analysis.battery import Battery
from modelrollout.analysis.panel import judge_all
from modelrollout.analysis.step import StepContext
from modelrollout.analysis.terms import Terms
from modelrollout.analysis.window import Answer, Counts, Window
from modelrollout.api.analysis import Metric, StepKind
from modelrollout.api.status import MetricStatus, Verdict

LIVE = StepContext(StepKind.LIVE, since=1000.0, now=9000.0, interval=15.0)
LAST = replace(LIVE, certify=True, left=3600.0)
BAKE = replace(LIVE, kind=StepKind.BAKE)


def metric(name="errors", **fields):
    found = {"name": name, "errorRate": {}, "compare": {}, "overdispersion": 1} | fields
    return Metric.model_validate({key: value for key, value in found.items() if value is not None})


def terms(*metrics, planned=240):
    return Terms(alpha=0.01, beta=0.05, planned=planned, interval=15.0, metrics=metrics or (metric(),))


def window(index, bad=0, requests=40, stable=(1, 700), **fields):
    start = 1005.0 + 15.0 * index
    counts = {"candidate": Counts(requests, bad), "stable": Counts(stable[1], stable[0])}
    return Window(start, start + 15.0, Answer.COUNTS, **(counts | fields))


def judged(windows, known=None, context=LIVE, of=None):
    """The only metric's status after these windows."""
    of = of or terms()
    before = {known.name: known} if known is not None else {}
    (found,) = judge_all(before, {of.metrics[0].name: windows}, context, of)
    return found


def through_the_api_server(status):
    return MetricStatus.model_validate_json(status.model_dump_json(by_alias=True, exclude_none=True))


def test_a_candidate_with_many_errors_fails_in_words_with_how_certain_that_is():
    said = judged([window(index, bad=8) for index in range(20)])
    assert (said.verdict, said.reason) == (Verdict.FAIL, "ErrorRateWorse")
    assert said.message == "errors 20 % against 0.143 % on 40 requests (certain to 1 in 30,000,000; 1 in 100 was asked)"
    assert said.evidence == "100 %"
    assert said.requests == 40, "folding stops with the window that says Fail"


def test_what_follows_a_fail_is_not_looked_at():
    failed = judged([window(index, bad=8) for index in range(3)])
    again = judged([window(index, bad=0) for index in range(50)], failed)
    assert again == failed


def test_a_candidate_as_good_as_stable_passes_with_its_sample_and_shows_its_figures():
    few = judged([window(0), window(1)])
    assert (few.verdict, few.message) == (
        Verdict.CONTINUE,
        "errors 0 % against 0.143 % on 80 requests: 80 of 100 requests so far in this step",
    )
    said = judged([window(index, bad=index % 2, stable=(9, 700)) for index in range(20)])
    assert said.verdict is Verdict.PASS
    assert (said.candidate, said.stable, said.ratio) == ("1.25 %", "1.29 %", "0.97")
    low, high = said.interval.split("–")
    assert float(low) < 0.97 < float(high)
    assert said.evidence.endswith(" %")
    assert (said.requests, said.errors, said.stable_requests, said.stable_errors) == (800, 10, 14_000, 180)


def test_few_errors_never_fail():
    strict = [window(index, bad=1, requests=2, stable=(0, 10**7)) for index in range(3)]
    assert judged(strict[:2]).verdict is Verdict.CONTINUE
    assert judged(strict).verdict is Verdict.FAIL
    assert judged(strict, of=terms(metric(minimumErrors=4))).verdict is Verdict.CONTINUE


def test_windows_that_are_folded_in_portions_and_through_status_come_to_the_same():
    windows = [window(index, bad=index % 3 // 2, stable=(5, 700)) for index in range(40)]
    at_once = judged(windows)
    known = None
    for end in range(0, 41, 3):
        known = judged(windows[:end], known and through_the_api_server(known))
    assert through_the_api_server(judged(windows, known)) == through_the_api_server(at_once)


def test_evidence_goes_on_over_steps_and_the_sample_does_not():
    first = judged([window(index, bad=1, stable=(3, 700)) for index in range(4)])
    later = replace(LIVE, since=2000.0)
    begun = first.model_copy(update={"through": None, "requests": 0, "errors": 0, "verdict": Verdict.CONTINUE})
    said = judged([window(index, bad=1, stable=(3, 700)) for index in range(80, 84)], begun, later)
    assert (said.requests, said.total_requests, said.total_errors) == (160, 320, 8)
    assert Battery.decode(said.state).worse[0].windows == 8
    assert said.verdict is Verdict.PASS


def test_an_edit_of_the_analysis_starts_all_evidence_afresh_but_looks_at_nothing_twice():
    windows = [window(index) for index in range(6)]
    before = judged(windows)
    edited = terms(metric(compare={"margin": "1.5"}))
    said = judged([*windows, window(6)], before, of=edited)
    assert (said.requests, Battery.decode(said.state).worse[0].windows) == (40, 1)
    # Another metric makes another set of tests, and the bound is for a set.
    both = terms(metric(), metric("others"))
    (said, _) = judge_all({"errors": before}, {"errors": [*windows, window(6)]}, LIVE, both)
    assert said.requests == 40


def test_a_damaged_record_starts_the_evidence_afresh():
    before = judged([window(index) for index in range(6)])
    said = judged([window(6)], before.model_copy(update={"state": ";1.AAAA"}))
    assert Battery.decode(said.state).worse[0].windows == 1


def test_a_limit_is_held_against_the_candidate_alone():
    absolute = terms(metric(compare=None, limit="2%"))
    said = judged([window(index, bad=8) for index in range(30)], of=absolute)
    assert (said.verdict, said.reason) == (Verdict.FAIL, "ErrorRateTooHigh")
    assert ", above the limit of 2% (certain to 1 in " in said.message
    assert judged([window(index, bad=0) for index in range(30)], of=absolute).verdict is Verdict.PASS
    said = judged([window(index, bad=8, stable=(0, 0)) for index in range(30)], context=BAKE, of=absolute)
    assert said.verdict is Verdict.FAIL


def test_a_limit_that_stable_breaches_too_is_nobodys_fault():
    absolute = terms(metric(compare=None, limit="2%"))
    said = judged([window(index, bad=8, stable=(140, 700)) for index in range(10)], of=absolute)
    assert (said.verdict, said.reason) == (Verdict.FAIL, "StableBreachesToo")
    assert said.message.endswith(": both versions are above the limit of 2%")


def test_an_incident_that_hits_both_versions_is_forgotten_soon_after_it_is_over():
    absolute = terms(metric(compare=None, limit="2%"))
    incident = [window(index, bad=8, stable=(140, 700)) for index in range(40)]
    fine = [window(index, bad=0) for index in range(40, 60)]
    known, verdicts = None, []
    for end in range(1, 61):
        known = judged([*incident, *fine][:end], known and through_the_api_server(known), of=absolute)
        verdicts.append(known.reason or known.verdict)
    began = verdicts.index("StableBreachesToo")
    assert began < 5
    assert set(verdicts[began:40]) == {"StableBreachesToo"}
    assert set(verdicts[46:]) == {"Pass"}, "and the candidate is not taken back for what was not its fault"
    alone = [window(index, bad=8) for index in range(60, 80)]
    assert judged(alone, known, of=absolute).reason == "ErrorRateTooHigh"


def test_half_of_the_evidence_from_each_of_two_metrics_is_a_whole():
    def windows(count):
        return [window(index, bad=1, stable=(1, 700)) for index in range(count)]

    two = terms(metric("one"), metric("two"))
    alone = {"one": windows(30)}
    end = next(
        count for count in range(1, 40) if judge_all({}, {"one": windows(count)}, LIVE, two)[0].verdict is Verdict.FAIL
    )
    together = next(
        count
        for count in range(1, 40)
        if Verdict.FAIL
        in {one.verdict for one in judge_all({}, {"one": windows(count), "two": windows(count)}, LIVE, two)}
    )
    assert together <= end
    assert judge_all({}, alone, LIVE, two)[1].verdict is Verdict.CONTINUE


def test_a_metric_that_only_warns_has_alpha_for_itself_and_spoils_nothing():
    both = terms(metric("errors"), metric("warned", onBreach="Warn"))
    bad = [window(index, bad=8) for index in range(3)]
    fine, warned = judge_all({}, {"errors": [window(0), window(1), window(2)], "warned": bad}, LIVE, both)
    assert (fine.verdict, warned.verdict) == (Verdict.PASS, Verdict.FAIL)
    assert fine.through == warned.through, "it goes on being judged"
    assert both.weight(both.metrics[0]) == both.weight(both.metrics[1]) == 1.0
    assert terms(metric("a"), metric("b", limit="1%")).weight(metric("a")) == pytest.approx(1 / 3)


def test_what_is_not_answered_is_neither_good_nor_bad():
    known = judged([window(index) for index in range(5)])
    lost = Window(1080.0, 1095.0, Answer.NO_DATA, message="metric errors: nothing")
    silent = judged([lost], known)
    assert (silent.verdict, silent.message) == (Verdict.NO_DATA, "metric errors: nothing")
    assert silent.state == known.state
    awaited = Window(1080.0, 1110.0, Answer.ERROR, message="provider has not answered")
    said = judged([awaited], known)
    assert (said.verdict, said.through, said.state) == (Verdict.ERROR, known.through, known.state)
    there = judged([window(5), window(6)], said)
    assert through_the_api_server(there) == through_the_api_server(judged([window(i) for i in range(7)]))


def test_the_last_live_step_asks_for_a_certificate_and_says_when_it_is_expected():
    floor = terms(metric(compare={"ignoreBelow": "1%"}))
    windows = [window(index) for index in range(60)]
    said = judged(windows[:5], context=LAST, of=floor)
    assert said.verdict is Verdict.CONTINUE
    assert "that it is not 2 times as bad is expected to be certain about 00:" in said.message
    expected = said.decision_at
    passed = next(end for end in range(5, 60) if judged(windows[:end], context=LAST, of=floor).verdict is Verdict.PASS)
    assert float(expected) == pytest.approx(windows[passed - 1].end, abs=15.0)
    assert judged(windows[:passed], context=LAST, of=floor).certified
    assert judged(windows[:5], of=floor).verdict is Verdict.PASS, "an earlier step does not wait for it"


def test_a_certificate_out_of_reach_is_told():
    said = judged([window(index) for index in range(5)], context=replace(LAST, left=60.0))
    assert said.verdict is Verdict.UNDERPOWERED
    assert "is not to be had in this step at this traffic" in said.message


def test_at_100_percent_there_is_nothing_to_compare_with():
    before = judged([window(index, bad=1) for index in range(6)])
    rests = judged([window(6)], before, BAKE)
    assert (rests.verdict, rests.message) == (Verdict.RESTING, "errors rests: stable has no traffic to compare with")
    assert rests.state == before.state


def test_the_design_effect_divides_the_evidence():
    windows = [window(index, bad=1) for index in range(3)]
    measured = MetricStatus(name="errors", design_effect="3.5 stable's pods differ")
    auto = terms(metric(overdispersion=None))
    shares = [
        Battery.decode(judged(windows, known, of=of).state).log_worse
        for known, of in ((None, terms()), (None, auto), (measured, auto))
    ]
    assert shares == sorted(shares, reverse=True)
    assert "certain to about 1 in" in judged([window(index, bad=20) for index in range(9)], measured, of=auto).message


def test_latency_without_a_threshold_is_judged_at_all_bounds_together():
    slow = terms(metric("latency", errorRate=None, latency={}))

    def at(index, *shares):
        cells = (("0.1s", Counts(100, shares[0]), Counts(900, 450)), ("1s", Counts(100, shares[1]), Counts(900, 9)))
        return window(index, requests=100, stable=(0, 900), bounds=cells)

    fine = judged([at(index, 50, 1) for index in range(8)], of=slow)
    assert (fine.verdict, fine.effective_threshold, fine.errors) == (Verdict.PASS, "1s", 8)
    tail = judged([at(index, 50, 30) for index in range(8)], of=slow)
    assert (tail.verdict, tail.reason) == (Verdict.FAIL, "LatencyWorse")
    shift = judged([at(index, 95, 1) for index in range(20)], of=slow)
    assert shift.verdict is Verdict.FAIL
    battery = Battery.decode(fine.state)
    assert battery.bounds == ("0.1s", "1s")
    assert battery.log_certificate == min(one.log_value for one in battery.certificates)
    assert math.exp(battery.log_worse) == pytest.approx(sum(math.exp(one.log_value) for one in battery.worse) / 2)


def test_a_latency_at_other_load_says_so():
    pods = {
        "candidate_pods": (("a", Counts(90, 0)),),
        "stable_pods": tuple((f"s{i}", Counts(300, 0)) for i in range(3)),
    }
    slow = terms(metric("latency", errorRate=None, latency={"threshold": "1s"}))
    said = judged([window(0, requests=90, stable=(0, 900), effective_threshold="1s", **pods)], of=slow)
    assert "(load differs: 0.3 times stable's requests a pod)" in said.message


def test_evidence_of_a_former_question_is_not_kept_while_the_metric_rests():
    strict, mild = metric(limit="0.5%", compare=None, onBreach="Warn"), metric(limit="20%", when=["Bake"])
    before = judged([window(index, bad=4) for index in range(60)], of=terms(strict))
    resting = judged([], before, of=terms(mild))
    assert (resting.verdict, resting.state) == (Verdict.RESTING, None)
    later = judged([window(60)], resting, context=replace(BAKE, since=1905.0), of=terms(mild))
    assert later.verdict is Verdict.CONTINUE
    assert later.evidence == "0 %"


def test_evidence_of_another_release_with_other_alternatives_starts_afresh():
    before = judged([window(index) for index in range(6)])
    tests = Battery.decode(before.state)
    fewer = replace(tests, worse=tuple(replace(one, stakes=one.stakes[:3]) for one in tests.worse))
    after = judged([window(6)], before.model_copy(update={"state": fewer.encode()}))
    afresh = judged([window(6)], before.model_copy(update={"state": None}))
    assert after.state == afresh.state


def test_a_certificate_that_is_ages_away_gets_no_date():
    of = terms(metric(compare={"margin": 1000, "nonInferiorityMargin": 2, "ignoreBelow": "0.0001%"}))
    bad = judged([window(index, bad=10**9, requests=10**9, stable=(10**8, 10**9)) for index in range(40)], of=of)
    begun = replace(LAST, since=1605.0)
    good = judged([window(40 + index, requests=100, stable=(0, 1)) for index in range(5)], bad, context=begun, of=of)
    assert good.decision_at is None
    assert good.verdict is Verdict.UNDERPOWERED


def test_what_stable_did_before_a_bake_does_not_excuse_the_candidate_in_it():
    of = terms(metric(compare=None, limit="2%", gate=False))
    both = judged([window(index, bad=8, stable=(140, 700)) for index in range(20)], of=of)
    assert both.reason == "StableBreachesToo"
    bake = replace(BAKE, since=1305.0)
    alone = judged([window(20 + index, bad=8, stable=(0, 0)) for index in range(20)], both, context=bake, of=of)
    assert (alone.verdict, alone.reason) == (Verdict.FAIL, "ErrorRateTooHigh")


def test_what_testers_send_in_a_preview_certifies_nothing():
    of = terms(metric(when=["Preview", "Live"]))
    preview = replace(LIVE, kind=StepKind.PREVIEW)
    seen = judged([window(index, requests=10_000, stable=(0, 10_000)) for index in range(20)], context=preview, of=of)
    assert seen.certified is None
    worse = judged([window(index, bad=40) for index in range(20)], context=preview, of=of)
    assert worse.verdict is Verdict.FAIL, "that it is worse is to be seen there as well"


def test_a_metric_whose_data_come_late_is_summed_in_the_order_in_which_they_come_in():
    of = terms(metric("errors"), metric("late", delay="1m"))
    windows = {
        "errors": [window(index, bad=2) for index in range(12)],
        "late": [window(index, bad=2) for index in range(8)],
    }

    def lived(*ends):
        known = {}
        for end in ends:
            seen = {"errors": windows["errors"][:end], "late": windows["late"][: max(0, end - 4)]}
            known = {one.name: one for one in judge_all(known, seen, LIVE, of)}
        return {name: one.through for name, one in known.items()}, {name: one.verdict for name, one in known.items()}

    live = lived(*range(1, 13))
    assert Verdict.FAIL in live[1].values()
    assert lived(12) == lived(5, 12) == live


def test_an_estimate_about_as_long_as_what_is_left_does_not_change_the_verdict_at_each_window():
    known, said = None, []
    for index in range(60):
        estimate = known.decision_at - known.through if known is not None and known.decision_at else 3000.0
        left = estimate * (1.2 if index % 2 else 0.8)
        known = judged([window(index, requests=20, stable=(1, 350))], known, replace(LAST, left=left))
        said.append(known.verdict)
    assert said[-1] is not Verdict.PASS
    assert sum(one is not other for one, other in itertools.pairwise(said)) <= 2


def test_an_incident_that_hits_both_versions_in_two_metrics_takes_nobody_back():
    of = terms(metric("errors", compare=None, limit="5%"), metric("timeouts", compare=None, limit="5%"))
    incident = [window(index, bad=2, requests=20, stable=(70, 700)) for index in range(60)]
    known, verdicts = {}, set()
    for one in incident:
        known = {said.name: said for said in judge_all(known, {"errors": [one], "timeouts": [one]}, LIVE, of)}
        verdicts |= {(said.verdict, said.reason) for said in known.values()}
    assert {reason for verdict, reason in verdicts if verdict is Verdict.FAIL} == {"StableBreachesToo"}


def test_the_bound_that_is_shown_is_chosen_where_there_are_requests():
    of = terms(metric("latency", errorRate=None, latency={}))
    none = (("0.1s", Counts(0, 0), Counts(0, 0)), ("1s", Counts(0, 0), Counts(0, 0)))
    some = (("0.1s", Counts(100, 90), Counts(900, 800)), ("1s", Counts(100, 5), Counts(900, 45)))
    windows = [window(0, requests=0, stable=(0, 0), bounds=none), window(1, requests=100, stable=(0, 900), bounds=some)]
    assert judged(windows, of=of).effective_threshold == "1s"


def test_a_limit_gathers_evidence_where_the_comparison_rests_from_the_start():
    of = terms(metric(limit="2%"))
    known = None
    for index in range(40):
        known = through_the_api_server(judged([window(index, bad=2, stable=(0, 0))], known, context=BAKE, of=of))
        if known.verdict is Verdict.FAIL:
            break
    assert (known.verdict, known.reason) == (Verdict.FAIL, "ErrorRateTooHigh")
    assert known == through_the_api_server(
        judged([window(index, bad=2, stable=(0, 0)) for index in range(40)], context=BAKE, of=of)
    )
