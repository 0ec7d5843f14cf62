"""The planner against simulated rollouts, which know the tests only by the formulas they are defined by."""

import math
import random
from statistics import median, quantiles

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from modelrollout.analysis.certificate import BETTER
from modelrollout.analysis.evidence import RATES, SLOWNESS, Question
from modelrollout.analysis.planner import (
    Certification,
    Rollback,
    Stage,
    Traffic,
    certificate_seconds,
    poisson,
    requests,
    rollback_requests,
    rollback_seconds,
    smallest_rate,
    smallest_ratio,
    underpowered,
)

HOUR = 3600.0
WINDOW = 15.0


def worse(margin=1.0, floor=0.001):
    """The question of `compare`."""
    return Question(RATES, margin, floor)


def above(limit):
    """The question of `limit`."""
    return Question(RATES, None, limit)


def events(chance, expected):
    """A Poisson number."""
    if expected > 30:
        return max(0, round(chance.gauss(expected, math.sqrt(expected))))
    count, left = 0, chance.expovariate(1.0)
    while left < expected:
        count, left = count + 1, left + chance.expovariate(1.0)
    return count


def window(chance, traffic, weight, rate):
    """(requests, bad) of candidate and stable."""
    ours, theirs = (events(chance, traffic.rps * WINDOW * part) for part in (weight, 1 - weight))
    return (
        ours,
        min(ours, events(chance, ours * rate)),
        theirs,
        min(theirs, events(chance, theirs * traffic.stable_rate)),
    )


def taken_back(chance, traffic, weight, rate, *, floor=0.001, alpha=0.01, planned=240):
    """Seconds until a simulated candidate is taken back, by the recursion of the test."""
    uninvested, shares, bad = 1.0, [0.0] * len(RATES), 0
    for number in range(100_000):
        n_c, e_c, n_s, e_s = window(chance, traffic, weight, rate)
        bad += e_c
        stake = (0.5 if number == 0 else 0.0) + (0.4 / planned if number < planned else uninvested / (2 * planned))
        uninvested -= stake
        share = n_c / (n_c + n_s) if n_c else 0.0
        for k, rho in enumerate(RATES):
            q = min(rho * floor, 0.5 + floor / 2)
            by_ratio = e_c * math.log(rho) - (e_c + e_s) * math.log1p(share * (rho - 1))
            by_floor = e_c * math.log(q / floor) + (n_c - e_c) * math.log((1 - q) / (1 - floor))
            shares[k] = (shares[k] + stake / len(RATES)) * math.exp(min(by_ratio, by_floor, 300.0))
        if uninvested + sum(shares) >= 1 / alpha and bad >= 3:
            return (number + 1) * WINDOW
    raise AssertionError("it was never taken back")


def certified(chance, traffic, weight, rate, *, margin=2.0, floor=0.001, beta=0.05):
    """Seconds until a simulated candidate is certified."""
    by_ratio, by_floor = ([0.0] * len(BETTER) for _ in range(2))
    for number in range(100_000):
        n_c, e_c, n_s, e_s = window(chance, traffic, weight, rate)
        share = margin * n_c / (margin * n_c + n_s) if n_c else 0.0
        for k, rho in enumerate(BETTER):
            by_ratio[k] += e_c * math.log(rho) - (e_c + e_s) * math.log1p(share * (rho - 1))
            by_floor[k] += e_c * math.log(rho) + (n_c - e_c) * math.log((1 - rho * floor) / (1 - floor))
        if sum(map(math.exp, (*by_ratio, *by_floor))) / 8 >= 1 / beta:
            return (number + 1) * WINDOW
    raise AssertionError("it was never certified")


SITUATIONS = {
    "the reference": (Traffic(50, 0.005), 0.05, 0.02),
    "twice as bad at a high weight": (Traffic(100, 0.005), 0.25, 0.01),
    "stable's errors rarer than the floor": (Traffic(200, 0.0002), 0.05, 0.005),
    "windows nearly empty": (Traffic(1, 0.005), 0.1, 0.05),
    "the floor in nearly empty windows": (Traffic(5, 0.0005), 0.5, 0.01),
    "many errors": (Traffic(20, 0.2), 0.2, 0.4),
}


@pytest.mark.parametrize("name", SITUATIONS)
def test_it_foretells_when_simulated_candidates_are_taken_back(name):
    traffic, weight, rate = SITUATIONS[name]
    chance = random.Random(name)
    seen = [taken_back(chance, traffic, weight, rate) for _ in range(200)]
    test = Rollback(worse())

    typical = rollback_seconds(test, traffic, [Stage(weight)], rate)
    mostly = rollback_seconds(test, traffic, [Stage(weight)], rate, certainty=0.9)

    # Windows are whole: what is foretold within one may be seen at its end.
    assert 0.9 * median(seen) - WINDOW < typical < 1.45 * median(seen)
    assert 0.85 * quantiles(seen, n=10)[-1] - WINDOW < mostly < 1.45 * quantiles(seen, n=10)[-1]


@pytest.mark.parametrize(
    ("traffic", "weight", "rate"),
    [
        (Traffic(50, 0.005), 0.25, 0.005),
        (Traffic(50, 0.05), 0.05, 0.05),
        (Traffic(20, 0.0), 0.5, 0.0),
        (Traffic(50, 0.0002), 0.5, 0.0002),
        (Traffic(50, 0.005), 0.1, 0.002),
    ],
)
def test_it_foretells_when_simulated_healthy_candidates_are_certified(traffic, weight, rate):
    chance = random.Random(f"{traffic} {weight} {rate}")
    seen = [certified(chance, traffic, weight, rate) for _ in range(100)]

    typical = certificate_seconds(Certification(), traffic, [Stage(weight)], rate=rate)
    mostly = certificate_seconds(Certification(), traffic, [Stage(weight)], certainty=0.9, rate=rate)

    assert 0.9 * median(seen) - WINDOW < typical < 1.4 * median(seen)
    assert 0.85 * quantiles(seen, n=10)[-1] - WINDOW < mostly < 1.4 * quantiles(seen, n=10)[-1]


def test_without_any_error_the_certificate_takes_some_7000_to_8000_requests_of_the_candidate():
    traffic = Traffic(10, 0.0)
    seconds = certificate_seconds(Certification(floor=0.001), traffic, [Stage(0.1)])
    assert 7000 < requests(traffic, [Stage(0.1)], seconds) < 8000
    # No error leaves nothing to chance.
    assert certificate_seconds(Certification(), traffic, [Stage(0.1)], certainty=0.9) == seconds


def plain(ratio, weight, rate, *, alpha=0.01, share=1.0, effect=1.0):
    """The closed formula, for a floor that never matters."""
    information = ratio * math.log(ratio) - (ratio + (1 - weight) / weight) * math.log1p(weight * (ratio - 1))
    return effect * (math.log(1 / (alpha * share)) + math.log(len(RATES)) + math.log(2)) / (rate * information)


@given(
    ratio=st.sampled_from(RATES),
    weight=st.floats(0.01, 0.9),
    rate=st.floats(0.0001, 0.015),
    rps=st.floats(0.1, 100),
    share=st.floats(0.05, 1),
    effect=st.floats(1, 10),
)
@settings(deadline=None)
@example(ratio=2.0, weight=0.05, rate=0.005, rps=50.0, share=1.0, effect=1.0)
def test_without_a_floor_it_is_the_closed_formula(*, ratio, weight, rate, rps, share, effect):
    test = Rollback(worse(floor=0.0), share=share, design_effect=effect, minimum_errors=0)
    found = rollback_requests(test, Traffic(rps, rate), weight, ratio * rate)
    assert found == pytest.approx(plain(ratio, weight, rate, share=share, effect=effect), rel=0.01)


def test_the_formula_gives_the_figures_of_the_reference_setting():
    assert plain(2, 0.05, 0.005) == pytest.approx(4005, rel=0.01)
    assert rollback_requests(Rollback(worse()), Traffic(50, 0.005), 0.05, 0.02) == pytest.approx(649, rel=0.01)
    ramp = [Stage(weight, 900) for weight in (0.05, 0.1, 0.25, 0.5)]
    assert rollback_seconds(Rollback(worse()), Traffic(50, 0.005), ramp, 0.01) == pytest.approx(1290, rel=0.05)


TRAFFIC = st.builds(Traffic, st.floats(0.01, 10_000), st.floats(0.0, 0.3))
WEIGHTS = st.floats(0.01, 0.9)
TESTS = st.builds(
    Rollback,
    st.one_of(
        st.builds(Question, st.sampled_from([RATES, SLOWNESS]), st.floats(1, 2), st.floats(0.0, 0.02)),
        st.builds(above, st.floats(0.0001, 0.3)),
    ),
    share=st.floats(0.1, 1),
    design_effect=st.floats(1, 5),
    minimum_errors=st.integers(0, 10),
)


def later(first, second):
    """Never is later than any time; times are known to a thousandth."""
    one, other = (math.inf if found is None else found for found in (first, second))
    return one >= other * 0.997 - 0.01


@given(TESTS, TRAFFIC, WEIGHTS, st.floats(0.0, 1.0), st.floats(1.0, 3.0))
@settings(deadline=None)
def test_a_worse_candidate_is_not_taken_back_later(test, traffic, weight, rate, worse):
    milder = rollback_seconds(test, traffic, [Stage(weight)], rate)
    assert later(milder, rollback_seconds(test, traffic, [Stage(weight)], min(1.0, rate * worse)))


@given(TESTS, TRAFFIC, WEIGHTS, st.floats(0.001, 1.0), st.floats(0.5, 0.95))
@settings(deadline=None)
def test_more_certainty_takes_longer(test, traffic, weight, rate, certainty):
    surer = rollback_seconds(test, traffic, [Stage(weight)], rate, certainty)
    assert later(surer, rollback_seconds(test, traffic, [Stage(weight)], rate))


@given(TESTS, TRAFFIC, WEIGHTS, st.floats(0.001, 1.0), st.floats(1.0, 5.0))
@settings(deadline=None)
def test_a_design_effect_and_a_smaller_share_take_longer(test, traffic, weight, rate, factor):
    stages = [Stage(weight)]
    plainly = rollback_seconds(test, traffic, stages, rate)
    noisy = Rollback(test.question, test.alpha, test.share, test.design_effect * factor, test.minimum_errors)
    shared = Rollback(test.question, test.alpha, test.share / factor, test.design_effect, test.minimum_errors)
    assert later(rollback_seconds(noisy, traffic, stages, rate), plainly)
    assert later(rollback_seconds(shared, traffic, stages, rate), plainly)


@given(TESTS, TRAFFIC, WEIGHTS, st.floats(60, 1e6))
@settings(deadline=None)
def test_the_smallest_rate_is_seen_and_one_a_little_smaller_is_not(test, traffic, weight, seconds):
    stages = [Stage(weight, seconds)]
    rate = smallest_rate(test, traffic, stages)
    if rate is None:
        assert rollback_seconds(test, traffic, stages, 1.0) is None
        return
    assert rollback_seconds(test, traffic, stages, rate) <= seconds
    smaller = rate * 0.98
    if smaller > max(traffic.stable_rate, 1e-7):
        assert rollback_seconds(test, traffic, stages, smaller) is None


def test_the_smallest_ratio_is_the_smallest_rate_in_units_of_stables():
    test, traffic, hold = Rollback(worse()), Traffic(5, 0.01), [Stage(0.01, HOUR)]
    ratio = smallest_ratio(test, traffic, hold)
    assert ratio == pytest.approx(smallest_rate(test, traffic, hold) / 0.01)
    assert smallest_ratio(test, Traffic(5, 0.0), hold) is None
    assert smallest_rate(test, Traffic(5, 0.0), hold) is not None


def test_too_few_requests_show_not_even_a_candidate_that_answers_nothing():
    assert smallest_ratio(Rollback(worse()), Traffic(0.05, 0.01), [Stage(0.01, HOUR)]) is None


def test_more_time_shows_smaller_regressions():
    ratios = [smallest_ratio(Rollback(worse()), Traffic(5, 0.01), [Stage(0.05, hours * HOUR)]) for hours in (1, 4, 16)]
    assert ratios == sorted(ratios, reverse=True)
    assert ratios[0] > ratios[-1]


def test_evidence_is_carried_from_step_to_step():
    test, traffic = Rollback(worse()), Traffic(50, 0.005)
    one, two = Stage(0.05, 900), Stage(0.1, 600)
    assert rollback_seconds(test, traffic, [one], 0.01) is None
    assert rollback_seconds(test, traffic, [two], 0.01) is None
    both = rollback_seconds(test, traffic, [one, two], 0.01)
    assert 900 < both < 1500
    halves = [Stage(0.05, 450), Stage(0.05, 450), Stage(0.1, 300), Stage(0.1, 300)]
    assert rollback_seconds(test, traffic, halves, 0.01) == pytest.approx(both, rel=0.005)


def test_a_regression_within_the_margin_or_below_the_floor_is_never_seen():
    traffic = Traffic(1000, 0.01)
    assert rollback_seconds(Rollback(worse(margin=2.0)), traffic, [Stage(0.5)], 0.02) is None
    assert rollback_seconds(Rollback(worse(margin=1.0)), traffic, [Stage(0.5)], 0.02) is not None
    assert rollback_seconds(Rollback(worse(floor=0.001)), Traffic(1000, 0.0001), [Stage(0.5)], 0.001) is None


def test_where_stable_has_no_traffic_only_a_limit_speaks():
    traffic = Traffic(50, 0.005)
    assert rollback_seconds(Rollback(worse()), traffic, [Stage(1.0)], 0.5) is None
    assert rollback_seconds(Rollback(above(0.02)), traffic, [Stage(1.0)], 0.05) < 120
    assert rollback_seconds(Rollback(above(0.02)), traffic, [Stage(1.0)], 0.015) is None


def test_nothing_is_seen_before_there_are_the_minimum_of_errors():
    traffic, rate = Traffic(1, 0.0001), 0.05
    without = rollback_requests(Rollback(worse(), minimum_errors=0), traffic, 0.1, rate)
    assert rollback_requests(Rollback(worse(), minimum_errors=50), traffic, 0.1, rate) == pytest.approx(
        49.7 / rate, rel=0.01
    )
    assert without < 49.7 / rate


def test_a_plan_is_underpowered_where_a_healthy_candidate_is_not_certified_in_time():
    day = [Stage(0.05, 4 * HOUR), Stage(0.25, 8 * HOUR), Stage(0.5, 12 * HOUR)]
    assert underpowered(Certification(), Traffic(0.1, 0.005), day)
    assert not underpowered(Certification(), Traffic(5, 0.005), day)


@given(TRAFFIC, WEIGHTS, st.floats(1.0, 4.0))
@settings(deadline=None)
def test_more_traffic_certifies_sooner(traffic, weight, factor):
    slow = certificate_seconds(Certification(), traffic, [Stage(weight)])
    busy = Traffic(traffic.rps * factor, traffic.stable_rate)
    assert later(slow, certificate_seconds(Certification(), busy, [Stage(weight)]))


def test_a_candidate_at_the_margin_is_not_certified():
    assert certificate_seconds(Certification(), Traffic(50, 0.005), [Stage(0.5)], rate=0.01) is None


def test_requests_are_counted_over_the_stages():
    stages = [Stage(0.1, 100), Stage(0.5, 100)]
    assert requests(Traffic(10, 0.01), stages, 150) == pytest.approx(100 + 250)


@given(st.floats(0, 1e6))
def test_the_numbers_of_events_have_the_right_mean_and_add_up_to_one(expected):
    numbers = poisson(expected)
    assert math.fsum(chance for _, chance in numbers) == pytest.approx(1, abs=1e-6)
    assert math.fsum(count * chance for count, chance in numbers) == pytest.approx(expected, rel=1e-4, abs=1e-6)
    spread = math.fsum((count - expected) ** 2 * chance for count, chance in numbers)
    assert spread == pytest.approx(expected, rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("certainty", [0.0, 1.0, -1.0])
def test_a_certainty_that_is_none_is_refused(certainty):
    with pytest.raises(ValueError, match="certainty must lie between 0 and 1"):
        rollback_seconds(Rollback(worse()), Traffic(1, 0.01), [Stage(0.1)], 0.1, certainty)
