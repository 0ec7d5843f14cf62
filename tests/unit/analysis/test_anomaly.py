"""How unusual a number is."""

import math

import pytest

from modelrollout.analysis.anomaly import score


def test_a_normal_point_scores_its_distance_in_standard_deviations():
    recent = [100 + distance for distance in (-3, -2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2, 3)]
    assert score(100, recent) == 0
    assert score(104.4478, recent) == pytest.approx(2.0)
    assert score(95.5522, recent) == pytest.approx(-2.0)


def test_an_incident_in_the_past_hides_no_new_one():
    recent = [100.0, 101.0] * 8 + [9000.0] * 4
    assert score(300.0, recent) > 20


def test_mostly_equal_points_and_all_equal_points():
    assert 0 < score(2.0, [1.0] * 9 + [1.5]) < math.inf
    assert score(1.0, [1.0] * 10) == 0
    assert (score(1.1, [1.0] * 10), score(0.9, [1.0] * 10)) == (math.inf, -math.inf)


def test_too_few_points_or_no_number_say_nothing():
    assert score(1.0, [1.0] * 9) is None
    assert score(1.0, [1.0] * 9 + [math.nan]) is None
    assert score(math.nan, [1.0] * 20) is None
