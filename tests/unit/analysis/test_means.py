"""Means of amounts in an A/B test: how often one is called better wrongly however often one looks, how soon rightly, and what is kept."""

import math
import random

import pytest

from modelrollout.analysis.goal import Wanted
from modelrollout.analysis.means import Comparison, Moments, judge_mean, paired
from modelrollout.analysis.window import Answer, Counts, Window
from modelrollout.api.experiment import AssignmentType, Goal

MEAN = {"sum": {"series": "paid"}, "squares": {"series": "paid_squared"}, "count": {"series": "users"}}
BEGUN = 1_700_000_010.0
LOOKS, EACH = 150, 40
"""Windows of a simulated test, and users of the variant in each; the control has three times as many."""


def wanted(challengers=1, **mean):
    goal = Goal.model_validate({"unit": "User", "mean": MEAN | mean})
    return Wanted.of(goal, challengers, AssignmentType.STICKY)


def amounts(rng, count, mean):
    """Most pay nothing, some pay amounts with a long tail, in cents: (count, sum, squares)."""
    paid = [round(rng.expovariate(1 / (10 * mean))) for _ in range(count) if rng.random() < 0.1]
    return count, sum(paid), sum(one * one for one in paid)


def windows(index, variant, control, answer=Answer.COUNTS):
    """The window of sums and that of squares, as the metrics layer makes them."""
    start = BEGUN + 15.0 * index

    def one(part):
        counts = [Counts(arm[0], arm[0] - arm[part]) for arm in (variant, control)]
        return Window(start, start + 15.0, answer, *counts)

    return one(1), one(2)


def lived(seed, ours, theirs, goal=None):
    """The window after which the variant was called better for the first time, and the status at the end."""
    rng, goal, status, ever = random.Random(seed), goal or wanted(), None, None
    for index in range(LOOKS):
        sums, squares = windows(index, amounts(rng, EACH, ours), amounts(rng, 3 * EACH, theirs))
        status = judge_mean(goal, status, paired([sums], [squares]), BEGUN)
        ever = index if ever is None and status.better else ever
    return ever, status


def test_a_variant_that_is_no_better_is_rarely_ever_called_better_although_one_looks_at_each_window():
    wrong = sum(lived(seed, 500, 500)[0] is not None for seed in range(150))
    assert wrong <= 12  # 5 % of 150 are 7.5; nearly two standard deviations more


def test_the_interval_holds_the_difference_at_all_times():
    missed = 0
    for seed in range(60):
        rng, seen = random.Random(seed), Comparison()
        for _ in range(LOOKS):
            one, two = Moments(*amounts(rng, EACH, 600)), Moments(*amounts(rng, 3 * EACH, 500))
            seen = Comparison(seen.variant + one, seen.control + two)
            if seen.variant.count >= 1000 and abs(seen.difference - 100) > seen.radius(0.05):
                missed += 1
                break
    assert missed <= 6  # 5 % of 60 are 3


def test_a_better_variant_is_found():
    found = [lived(seed, 1000, 500)[0] for seed in range(10)]
    assert None not in found


def test_lower_is_better_where_the_goal_says_so():
    goal = wanted(better="Lower")
    assert lived(1, 500, 1000, goal)[0] is not None
    assert lived(1, 1000, 500, goal)[0] is None


def test_challengers_share_the_error_probability():
    one, two = Moments(2000, 200_000, 100_000_000), Moments(6000, 500_000, 240_000_000)
    sums, squares = windows(0, (2000, 200_000, 100_000_000), (6000, 500_000, 240_000_000))
    statuses = [judge_mean(wanted(count), None, paired([sums], [squares]), BEGUN) for count in (1, 4)]
    assert float(statuses[1].evidence.split()[0]) < float(statuses[0].evidence.split()[0])
    assert Comparison(one, two).radius(0.05) < Comparison(one, two).radius(0.0125)


def test_the_evidence_reaches_what_is_needed_just_where_the_interval_leaves_zero():
    one, two = Moments(3000, 330_000, 150_000_000), Moments(9000, 900_000, 405_000_000)
    seen = Comparison(one, two)
    assert (seen.log_evidence(0.05) >= -math.log(0.05)) == (abs(seen.difference) >= seen.radius(0.05))
    far = Comparison(Moments(3000, 450_000, 210_000_000), two)
    assert far.log_evidence(0.05) >= -math.log(0.05)
    assert abs(far.difference) >= far.radius(0.05)


def test_moments_are_those_of_the_amounts():
    values = [0, 0, 3, 10, 7]
    seen = Moments(len(values), sum(values), sum(value * value for value in values))
    assert seen.mean == 4.0
    assert seen.variance == pytest.approx(sum((value - 4.0) ** 2 for value in values) / 4)
    assert (Moments().mean, Moments(1, 5, 25).variance) == (None, 0.0)


def test_windows_count_once_and_only_where_sums_and_squares_are_both_there():
    pairs = [windows(index, (10, 30, 200), (20, 50, 300)) for index in range(3)]
    sums, squares = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    once = judge_mean(wanted(), None, paired(sums, squares), BEGUN)
    assert once == judge_mean(wanted(), once, paired(sums, squares), BEGUN)
    assert (once.count, once.hits, once.control_count, once.control_hits) == (30, 90, 60, 150)
    assert judge_mean(wanted(), None, paired(sums, squares[:2]), BEGUN).count == 20
    late = judge_mean(
        wanted(), judge_mean(wanted(), None, paired(sums, squares[:2]), BEGUN), paired(sums, squares), BEGUN
    )
    assert late == once


def test_what_is_awaited_is_waited_for_and_what_is_missing_counts_nothing():
    first, second = windows(0, (10, 30, 200), (20, 50, 300)), windows(1, (10, 30, 200), (20, 50, 300), Answer.ERROR)
    awaited = judge_mean(wanted(), None, paired([first[0], second[0]], [first[1], second[1]]), BEGUN)
    assert (awaited.count, awaited.through) == (10, BEGUN + 15.0)
    empty = windows(0, (0, 0, 0), (0, 0, 0), Answer.NO_DATA)
    nothing = judge_mean(wanted(), None, paired([first[0]], [empty[1]]), BEGUN)
    assert (nothing.count, nothing.better, nothing.interval) == (0, False, None)


def test_a_small_sample_makes_no_winner_and_every_interval_is_called_approximate():
    big = (900, 900_000, 900_900_000)
    sums, squares = windows(0, big, (900, 90_000, 9_090_000))
    status = judge_mean(wanted(), None, paired([sums], [squares]), BEGUN)
    assert (status.better, status.evidence) == (False, "100 %")
    assert status.interval.endswith("(approximate)")


@pytest.mark.parametrize("state", [None, "", "1:2:3", "1:2:3:4:5:x"])
def test_what_cannot_be_read_starts_afresh(state):
    sums, squares = windows(0, (10, 30, 200), (20, 50, 300))
    known = judge_mean(wanted(), None, paired([sums], [squares]), BEGUN).model_copy(update={"state": state})
    assert judge_mean(wanted(), known, paired([], []), BEGUN).count == 0
