"""Evidence, certificates and their combination on counts written by hand."""

import math

import pytest

from modelrollout.analysis.certificate import Certificate
from modelrollout.analysis.combination import Weighted, combine
from modelrollout.analysis.evidence import RATES, SLOWNESS, Evidence, Question, stake
from modelrollout.analysis.interval import Interval, ratio_interval
from modelrollout.analysis.logspace import log_add, log_mean, log_sum
from modelrollout.analysis.window import ZERO, Counts

ASKED = Question(RATES, 1.0, 0.001)


def after(question, *windows, planned=240, effect=1.0):
    held = Evidence.begin(len(question.alternatives))
    for candidate, stable in windows:
        held = held.after(question.increments(candidate, stable), planned=planned, effect=effect)
    return held


def test_ten_errors_in_two_hundred_requests_beside_a_sound_stable_are_certain():
    assert after(ASKED, (Counts(200, 10), Counts(3800, 19))).log_value > math.log(100)


def test_equal_rates_speak_against_suspicion():
    assert after(ASKED, *[(Counts(200, 1), Counts(3800, 19))] * 20).log_value < 0


def test_windows_that_cannot_tell_change_nothing():
    assert ASKED.increments(ZERO, Counts(100, 5)) == (0.0,) * 7
    assert ASKED.increments(Counts(100, 100), ZERO) == (0.0,) * 7
    assert Question(SLOWNESS, 1.2, None).increments(Counts(100, 100), ZERO) == (0.0,) * 8


def test_a_candidate_below_the_floor_is_never_suspected():
    windows = [(Counts(1000, 1), Counts(100_000, 0))] * 50
    assert after(ASKED, *windows).log_value < 0 < after(Question(RATES, 1.0, None), *windows).log_value


def test_a_limit_does_not_look_at_stable():
    limit = Question(RATES, None, 0.02)
    assert limit.increments(Counts(100, 9), ZERO) == limit.increments(Counts(100, 9), Counts(100, 50))
    assert after(limit, *[(Counts(100, 9), ZERO)] * 4).log_value > math.log(100)


def test_a_limit_of_everything_is_never_breached():
    assert Question(RATES, None, 1.0).increments(Counts(5, 5), ZERO) == (0.0,) * 7


def test_capital_half_at_once_four_tenths_over_the_plan_a_tenth_for_later():
    assert stake(1.0, 0, 4) == pytest.approx(0.6)
    assert stake(0.4, 1, 4) == pytest.approx(0.1)
    assert stake(0.1, 4, 4) == pytest.approx(0.1 / 8)


def test_the_design_effect_divides():
    window = (Counts(200, 10), Counts(3800, 19))
    plain, halved = after(ASKED, window), after(ASKED, window, effect=2.0)
    fresh = math.log(stake(1.0, 0, 240) / 7)
    for one, two in zip(plain.stakes, halved.stakes, strict=True):
        assert two - fresh == pytest.approx((one - fresh) / 2)


@pytest.mark.parametrize(
    ("alternatives", "margin", "floor", "why"),
    [
        ((), 1.0, None, "alternatives"),
        ((1.0,), 1.0, None, "above 1"),
        (RATES, 0.0, None, "margin must be a number above 0, found 0.0"),
        (RATES, None, -0.1, "floor must be a share of 0 or more, found -0.1"),
        (RATES, None, 0.0, "found neither"),
    ],
)
def test_a_question_without_sense_is_refused(alternatives, margin, floor, why):
    with pytest.raises(ValueError, match=why):
        Question(alternatives, margin, floor)


@pytest.mark.parametrize(("planned", "effect"), [(0, 1.0), (5, 0.9), (5, math.nan)])
def test_a_plan_without_windows_or_an_effect_below_one_is_refused(planned, effect):
    with pytest.raises(ValueError, match="must be at least 1"):
        Evidence.begin(7).after((0.0,) * 7, planned=planned, effect=effect)
    if planned:
        with pytest.raises(ValueError, match="must be at least 1"):
            Certificate.begin().after(ZERO, ZERO, margin=2.0, floor=None, effect=effect)


def test_eight_thousand_requests_without_an_error_are_a_certificate():
    def certified(requests):
        held = Certificate.begin().after(Counts(requests, 0), Counts(9 * requests, 0), margin=2.0, floor=0.001)
        return held.log_value >= math.log(20)

    assert not certified(7000)
    assert certified(8500)


@pytest.mark.parametrize(
    ("margin", "floor", "why"),
    [(None, None, "found neither"), (None, 0.0, "found neither"), (-2.0, 0.1, "margin"), (2.0, math.nan, "floor")],
)
def test_a_certificate_without_sense_is_refused(margin, floor, why):
    with pytest.raises(ValueError, match=why):
        Certificate.begin().after(ZERO, ZERO, margin=margin, floor=floor)


def test_the_largest_share_is_named_when_only_the_sum_suffices():
    said = combine([Weighted(math.log(60), 0.5), Weighted(math.log(150), 0.5)], 0.01)
    assert (said.reached, said.failing) == (True, (False, True))
    assert said.log_value == pytest.approx(math.log(105))


def test_each_test_that_suffices_alone_is_named():
    said = combine([Weighted(900.0, 0.5), Weighted(math.log(250), 0.25), Weighted(math.log(500), 0.25)], 0.01)
    assert said.failing == (True, False, True)


def test_a_test_without_its_errors_adds_nothing():
    said = combine([Weighted(900.0, 0.5, counts=False), Weighted(math.log(150), 0.5)], 0.01)
    assert (said.reached, said.failing) == (False, (False, False))
    assert combine([], 0.01).failing == ()


@pytest.mark.parametrize("alpha", [0.0, 1.0, math.nan])
def test_alpha_is_a_probability(alpha):
    with pytest.raises(ValueError, match="alpha must be a probability"):
        combine([Weighted(0.0, 1.0)], alpha)


def test_sums_in_log_space():
    assert log_add(-math.inf, -math.inf) == -math.inf
    assert log_sum([]) == -math.inf
    assert log_sum([-math.inf, 1e300]) == 1e300
    assert log_add(2.0, 1.0) == pytest.approx(math.log(math.e**2 + math.e))
    assert log_mean([0.0, -math.inf]) == pytest.approx(math.log(0.5))
    with pytest.raises(ValueError, match="at least one"):
        log_mean([])


def test_intervals_surround_what_was_seen_and_are_open_where_nothing_is_ruled_out():
    found = ratio_interval([(Counts(412, 82), Counts(8000, 40))])
    assert 15 < found.low < 40 < found.high < 90
    assert ratio_interval([(Counts(100, 0), Counts(1000, 0))]) == Interval(0.0, None)
    assert ratio_interval([]) == Interval(0.0, None)
    only_the_candidate = ratio_interval([(Counts(100, 5), Counts(1000, 0))])
    assert only_the_candidate.low > 1
    assert only_the_candidate.high is None
    none_of_the_candidate = ratio_interval([(Counts(9000, 0), Counts(9000, 300))])
    assert none_of_the_candidate.low == 0.0
    assert none_of_the_candidate.high < 0.2


def test_intervals_narrow_with_data():
    widths = [
        found.high / found.low
        for size in (1, 10, 100)
        if (found := ratio_interval([(Counts(10_000 * size, 50 * size), Counts(10_000 * size, 50 * size))])).high
    ]
    assert len(widths) == 3
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < 1.25
