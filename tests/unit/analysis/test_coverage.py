"""Covered time over several metrics and grids."""

from modelrollout.analysis.coverage import covered
from modelrollout.analysis.window import Answer, Window


def windows(answers, step=15.0, start=0.0):
    kinds = {"c": Answer.COUNTS, "n": Answer.NO_DATA, "e": Answer.ERROR}
    return [Window(start + step * i, start + step * (i + 1), kinds[kind]) for i, kind in enumerate(answers)]


def test_only_windows_in_which_all_gating_metrics_answered_are_covered():
    found = {"a": windows("cccnc"), "b": windows("ccccc"), "warns": windows("eeeee")}
    assert covered(found, {"a", "b"}, 0.0, None) == (60.0, 75.0)


def test_it_goes_no_further_than_every_metric_is_settled():
    assert covered({"a": windows("ccec"), "b": windows("cccc")}, {"a", "b"}, 0.0, None) == (30.0, 30.0)
    assert covered({"a": windows("cccc"), "b": windows("c")}, {"a", "b"}, 0.0, None) == (15.0, 15.0)
    assert covered({"a": windows("cccc")}, {"a", "b"}, 0.0, None) == (0.0, 0.0)


def test_nothing_is_covered_twice_or_before_the_step():
    found = {"a": windows("cccccc")}
    seconds, through = covered(found, {"a"}, 20.0, None)
    assert (seconds, through) == (60.0, 90.0)
    assert covered(found, {"a"}, 20.0, through) == (0.0, 90.0)
    assert covered(found, {"a"}, 20.0, 60.0) == (30.0, 90.0)


def test_metrics_on_different_grids_cover_the_time_in_which_both_answered():
    found = {"fast": windows("ccccnccc"), "slow": windows("cn", step=60.0)}
    assert covered(found, {"fast", "slow"}, 0.0, None) == (60.0, 120.0)
    found = {"fast": windows("ccccncccc"), "slow": windows("cc", step=60.0)}
    assert covered(found, {"fast", "slow"}, 0.0, None) == (105.0, 120.0)


def test_without_a_gating_metric_nothing_is_settled():
    assert covered({"a": windows("ccc")}, set(), 5.0, None) == (0.0, 5.0)
