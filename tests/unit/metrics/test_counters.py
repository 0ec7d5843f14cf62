"""Differences of counters, case by case, and bounds of histograms."""

import itertools
import math

import pytest

from modelrollout.analysis.window import Counts
from modelrollout.metrics.bounds import MOST, Bound, Known, choose, spread
from modelrollout.metrics.counters import INF, NOTHING, Gap, Point, count, difference, ladder


def at(total, part=None, targets=1, scraped=98.0):
    return Point(targets, scraped, total, part)


def counted(before, after, good=False):
    return difference(before, after, 100.0, 115.0, good=good)


CASES = {
    "an ordinary window": (at(10, 1), at(30, 4, scraped=113), Counts(20, 3)),
    "no request": (at(10, 1), at(10, 1, scraped=113), Counts(0, 0)),
    "never a request": (at(None), at(None, scraped=113), Counts(0, 0)),
    "the first request": (at(None), at(7, None, scraped=113), Counts(7, 0)),
    "the first error": (at(10), at(30, 4, scraped=113), Counts(20, 4)),
    "a restart": (at(1000, 50), at(30, 4, scraped=113), Counts(30, 4)),
    "a restart that served more than before": (at(10, 5), at(30, 4, scraped=113), Counts(30, 4)),
    "a restart after which no error came": (at(10, 5), at(30, scraped=113), Counts(30, 0)),
    "more errors than requests": (at(10, 0), at(12, 9, scraped=113), Counts(2, 2)),
    "no scrape within the window": (at(10, 1, scraped=60), at(10, 1, scraped=60), Counts(0, 0)),
    "no `up` at all": (at(10, 1, None, 0), at(30, 4, None, 0), Counts(20, 3)),
    "a pod nobody knows": (NOTHING, NOTHING, Gap.UNKNOWN),
    "a pod that was not known": (NOTHING, at(500, scraped=113), Gap.CHANGED),
    "counters without `up` or a past": (NOTHING, at(500, targets=None), Gap.BORN),
    "a target that is down": (at(10), at(None, targets=0), Gap.DOWN),
    "a target that was down": (at(None, targets=0), at(500, scraped=113), Gap.CHANGED),
    "a second target that came up": (at(10), at(500, targets=2, scraped=113), Gap.CHANGED),
    "a pod that is gone": (at(10), NOTHING, Gap.UNKNOWN),
    "a series that is gone": (at(10), at(None, scraped=113), Gap.VANISHED),
    "a scrape long ago": (at(10, scraped=50), at(10, scraped=50), Gap.STALE),
    "a past that was stale": (at(10, scraped=10), at(500, scraped=113), Gap.STALE),
    "not a number": (at(10, 1), at(math.nan, 1, scraped=113), Gap.SPOILT),
    "a past that was no number": (at(10, math.nan), at(20, 1, scraped=113), Gap.SPOILT),
}


@pytest.mark.parametrize("name", CASES)
def test_a_window_of_one_pod(name):
    before, after, expected = CASES[name]
    assert counted(before, after) == expected


def test_good_events_are_taken_from_all():
    assert counted(at(10, 9), at(30, 26, scraped=113), good=True) == Counts(20, 3)
    assert counted(at(10, 10), at(30, None, scraped=113), good=True) == Counts(30, 30)


def test_what_is_not_among_all_may_be_more_than_all():
    late = difference(at(10, 1), at(12, 9, scraped=113), 100.0, 115.0, good=True, within=False)
    assert late == Counts(2, -6), "two were exposed, and eight converted who had been exposed before"
    assert late.requests - late.bad == 8


def test_counters_that_are_not_read_in_one_moment_are_no_restart():
    """A good event may be counted before the request itself: total less good falls, and neither counter does."""
    assert counted(at(10, 9), at(12, 12, scraped=113), good=True) == Counts(2, 0)


def test_slow_scrapes_are_no_outage():
    assert counted(at(10, scraped=50), at(30, scraped=110)) == Counts(20, 0)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1.0, 1e17])
def test_what_cannot_be_counted_is_not_a_number(value):
    assert math.isnan(count(value))


def test_counts_are_whole():
    assert [count(value) for value in (0.0, 0.4, 7.0, 9.6)] == [0, 0, 7, 10]


def known(*bounds, unit=1.0):
    return Known(frozenset((*bounds, "+Inf")), unit)


def test_the_nearest_bound_at_or_above_the_threshold_is_used():
    both = known("0.1", "0.25", "0.5")
    assert choose(0.25, both, both, comparing=True) == Bound("0.25", "0.25", "0.25s", 0.25)
    assert choose(0.2, both, both, comparing=True) == Bound("0.25", "0.25", "0.25s", 0.25)
    assert choose(0.26, both, None, comparing=True) == Bound("0.5", None, "0.5s", 0.5)
    assert choose(0.26, None, both, comparing=True) == Bound(None, "0.5", "0.5s", 0.5)
    assert choose(0.26, None, both, comparing=False) is None
    assert choose(0.26, None, None, comparing=True) is None


def test_bounds_in_other_units_and_spellings_compare():
    found = choose(0.2, known("250", "500.0", unit=0.001), known("0.250", "0.5"), comparing=True)
    assert found == Bound("250", "0.250", "0.25s", 0.25)


def test_bounds_that_differ_are_said_or_named_as_the_obstacle():
    found = choose(0.2, known("0.25", "1"), known("0.3", "1.0"), comparing=True)
    assert found == Bound("1", "1.0", "1s, the nearest that both versions have", 1.0)
    assert choose(0.2, known("0.25", "1"), known("0.3", "1.0"), comparing=False) == Bound("0.25", None, "0.25s", 0.25)
    found = choose(2, known("0.25", "1"), None, comparing=True)
    assert found == "the histogram has no bound at or above 2s; its bounds are 0.25s, 1s"
    found = choose(0.2, known("0.25"), known("0.3"), comparing=True)
    assert "no common bound at or above 0.2s (candidate: 0.25s; stable: 0.3s)" in found


def test_all_common_bounds_are_used_in_order_and_a_version_without_any_is_taken_to_have_them():
    ours, theirs = known("250", "1000", "50", unit=0.001), known("0.25", "0.5", "1.0")
    both = (Bound("250", "0.25", "0.25s", 0.25), Bound("1000", "1.0", "1s", 1.0))
    assert spread(ours, theirs) == both
    assert [bound.text for bound in spread(None, theirs)] == ["0.25s", "0.5s", "1s"]
    assert next((bound.candidate, bound.stable) for bound in spread(ours, None)) == ("50", None)
    assert spread(None, None) == ()
    assert spread(known("0.3"), theirs) == (
        "the histograms of the two versions have no common bound (candidate: 0.3s; stable: 0.25s, 0.5s, 1s)"
    )
    assert "candidate: none" in spread(known(), theirs)


@pytest.mark.parametrize("amount", [11, 12, 13, 40, 200])
def test_many_bounds_are_thinned_evenly_and_keep_both_ends(amount):
    values = [0.001 * (1 + index) for index in range(amount)]
    found = [bound.seconds for bound in spread(known(*(f"{value:g}" for value in values)), None)]
    assert len(found) == min(amount, MOST)
    assert (found[0], found[-1]) == (pytest.approx(values[0]), pytest.approx(values[-1]))
    gaps = [after - before for before, after in itertools.pairwise(found)]
    assert max(gaps) - min(gaps) <= 0.0011


def rungs(*, total, scraped=98.0, targets=1, **cells):
    """Buckets by bound in hundredths, such as `b25`."""
    if total is None:
        return Point(targets, scraped)
    found = {f"{int(name[1:]) / 100:g}": float(value) for name, value in cells.items()}
    return Point(targets, scraped, total, None, {**found, INF: float(total)})


LADDERS = {
    "an ordinary window": (
        rungs(total=100, b10=50, b25=80),
        rungs(total=130, b10=60, b25=108, scraped=113),
        (Counts(30, 0), Counts(30, 20), Counts(30, 2)),
    ),
    "the first requests": (
        rungs(total=None),
        rungs(total=30, b10=10, b25=28, scraped=113),
        (Counts(30, 0), Counts(30, 20), Counts(30, 2)),
    ),
    "never a request": (
        rungs(total=None),
        rungs(total=None, scraped=113),
        (Counts(0, 0), Counts(0, 0), Counts(0, 0)),
    ),
    "a restart that shows in one bucket alone": (
        rungs(total=100, b10=50, b25=80),
        rungs(total=130, b10=20, b25=108, scraped=113),
        (Counts(130, 0), Counts(130, 110), Counts(130, 22)),
    ),
    "buckets that are not read in one moment": (
        rungs(total=100, b10=50, b25=80),
        rungs(total=101, b10=52, b25=81, scraped=113),
        (Counts(1, 0), Counts(1, 0), Counts(1, 0)),
    ),
    "a bound that the pod has not": (
        rungs(total=100, b10=50),
        rungs(total=130, b10=60, scraped=113),
        Gap.SPOILT,
    ),
    "not a number": (
        rungs(total=100, b10=50, b25=math.nan),
        rungs(total=130, b10=60, b25=108, scraped=113),
        Gap.SPOILT,
    ),
    "a histogram that is gone": (rungs(total=100, b10=50, b25=80), rungs(total=None, scraped=113), Gap.VANISHED),
    "a target that is down": (rungs(total=100, b10=50, b25=80), rungs(total=None, targets=0), Gap.DOWN),
    "buckets without `up` or a past": (NOTHING, rungs(total=5, b10=5, b25=5, targets=None), Gap.BORN),
}


@pytest.mark.parametrize("name", LADDERS)
def test_a_window_of_one_pods_histogram(name):
    before, after, expected = LADDERS[name]
    assert ladder(before, after, 100.0, 115.0, bounds=["0.1", "0.25"]) == expected


def test_at_each_bound_a_histogram_says_what_it_says_at_that_bound_alone():
    before, after = rungs(total=100, b10=50, b25=80), rungs(total=130, b10=60, b25=108, scraped=113)
    together = ladder(before, after, 100.0, 115.0, bounds=["0.1", "0.25"])
    for place, bound in enumerate(("0.1", "0.25"), start=1):
        alone = [point._replace(part=point.cells[bound], cells=None) for point in (before, after)]
        assert together[place] == difference(*alone, 100.0, 115.0, good=True)
