"""The goal of an A/B test: who is better, how often one is called so wrongly, and how soon rightly."""

import math
import random

import pytest

from modelrollout.analysis.goal import UPLIFTS, Wanted, judge_goal
from modelrollout.analysis.window import Answer, Counts, Window
from modelrollout.api.experiment import AssignmentType, Goal

GOOD = {"ratio": {"good": {"series": "converted"}, "total": {"series": "exposed"}}}
BAD = {"ratio": {"bad": {"series": "cancelled"}, "total": {"series": "exposed"}}}
BEGUN = 1_700_000_010.0


def wanted(challengers=1, assignment=AssignmentType.STICKY, written=GOOD, **fields):
    return Wanted.of(Goal.model_validate(written | {"unit": "User"} | fields), challengers, assignment)


def window(index, variant, control, answer=Answer.COUNTS, hits=True):
    """Users and hits of both; hits of a goal of good events are what is not bad."""
    start = BEGUN + 15.0 * index
    counts = [Counts(users, users - hit if hits else hit) for users, hit in (variant, control)]
    return Window(start, start + 15.0, answer, *counts)


def binomial(rng, users, rate):
    return sum(rng.random() < rate for _ in range(users))


def lived(rng, ours, theirs, windows, goal=None):
    """The status at the end, and the window after which it was called better for the first time."""
    goal, status, ever = goal or wanted(), None, None
    for index in range(windows):
        one = window(index, (20, binomial(rng, 20, ours)), (80, binomial(rng, 80, theirs)))
        status = judge_goal(goal, status, [one], BEGUN)
        ever = index if ever is None and status.better else ever
    return status, ever


def test_a_variant_that_is_no_better_is_rarely_ever_called_better():
    rng = random.Random(1)
    wrong = sum(lived(rng, 0.1, 0.1, 120, goal=wanted(minimumSampleSize=0))[1] is not None for _ in range(200))
    assert wrong <= 16  # 5 % of 200 are 10; two standard deviations more


def test_a_better_variant_is_found_and_a_much_better_one_soon():
    rng = random.Random(2)
    better = [lived(rng, 0.15, 0.1, 300)[1] for _ in range(12)]
    much = [lived(rng, 0.3, 0.1, 300)[1] for _ in range(12)]
    assert None not in much
    assert sum(found is not None for found in better) >= 10
    assert sorted(much)[6] < 20


def test_a_worse_variant_is_not_called_better():
    rng = random.Random(3)
    assert all(lived(rng, 0.05, 0.1, 200)[1] is None for _ in range(20))


def test_less_is_better_where_the_goal_counts_what_is_bad():
    goal = wanted(written=BAD)
    one = window(0, (2000, 100), (2000, 300), hits=False)
    status = judge_goal(goal, None, [one], BEGUN)
    assert (status.variant, status.control, status.better) == ("5 %", "15 %", True)
    other = judge_goal(goal, None, [window(0, (2000, 300), (2000, 100), hits=False)], BEGUN)
    assert not other.better


def test_challengers_share_the_error_probability():
    assert wanted(4).alpha == pytest.approx(wanted(1).alpha / 4)
    one = window(0, (1000, 140), (1000, 100))
    alone, among = (judge_goal(wanted(count), None, [one], BEGUN) for count in (1, 4))
    assert float(among.evidence.split()[0]) < float(alone.evidence.split()[0])


def test_the_evidence_is_what_the_formula_says():
    ours, theirs = (1000, 150), (2000, 200)
    status = judge_goal(wanted(), None, [window(0, ours, theirs)], BEGUN)
    share = ours[0] / (ours[0] + theirs[0])
    hits = ours[1] + theirs[1]
    bets = [ours[1] * math.log(rho) - hits * math.log1p(share * (rho - 1)) for rho in UPLIFTS]
    evidence = 0.1 + 0.9 * sum(map(math.exp, bets)) / len(UPLIFTS)  # a tenth is kept back
    assert status.evidence == f"{min(100, math.floor(100 * evidence * 0.05))} %"


def test_windows_count_once_in_order_and_up_to_one_that_is_awaited():
    windows = [window(index, (10, 3), (10, 1)) for index in range(4)]
    once = judge_goal(wanted(), None, windows, BEGUN)
    again = judge_goal(wanted(), once, windows, BEGUN)
    step_by_step = judge_goal(wanted(), judge_goal(wanted(), None, windows[:2], BEGUN), windows, BEGUN)
    assert once == again == step_by_step
    assert (once.count, once.hits, once.control_hits) == (40, 12, 4)
    awaited = [windows[0], window(1, (0, 0), (0, 0), Answer.ERROR), windows[2]]
    assert judge_goal(wanted(), None, awaited, BEGUN).count == 10


def test_a_window_without_data_is_no_evidence():
    empty = judge_goal(wanted(), None, [window(0, (0, 0), (0, 0), Answer.NO_DATA)], BEGUN)
    assert (empty.count, empty.better, empty.evidence, empty.answered_at) == (0, False, "5 %", None)


def test_windows_of_an_earlier_stretch_do_not_count():
    assert judge_goal(wanted(), None, [window(0, (10, 3), (10, 1))], BEGUN + 1.0).count == 0


def test_a_sample_that_is_too_small_makes_no_winner():
    one = [window(0, (90, 60), (4000, 400))]
    assert not judge_goal(wanted(), None, one, BEGUN).better
    assert judge_goal(wanted(minimumSampleSize=50), None, one, BEGUN).better


def test_another_goal_starts_afresh_and_another_sample_does_not():
    known = judge_goal(wanted(), None, [window(0, (100, 30), (100, 10))], BEGUN)
    assert judge_goal(wanted(written=BAD), known, [], BEGUN).count == 0
    assert judge_goal(wanted(minimumSampleSize=5), known, [], BEGUN).count == 100


def test_evidence_that_cannot_be_read_starts_afresh():
    known = judge_goal(wanted(), None, [window(0, (100, 30), (100, 10))], BEGUN)
    assert judge_goal(wanted(), known.model_copy(update={"state": "1.damaged"}), [], BEGUN).count == 0


@pytest.mark.parametrize(
    ("unit", "assignment", "approximate"),
    [
        ("User", AssignmentType.STICKY, False),
        ("Request", AssignmentType.RANDOM, False),
        ("Request", AssignmentType.STICKY, True),
        ("Request", AssignmentType.FLAG, True),
    ],
)
def test_rates_of_requests_are_called_approximate_where_a_user_makes_several(unit, assignment, approximate):
    status = judge_goal(wanted(1, assignment, unit=unit), None, [window(0, (1000, 300), (1000, 200))], BEGUN)
    assert status.interval.endswith("(approximate)") == approximate
