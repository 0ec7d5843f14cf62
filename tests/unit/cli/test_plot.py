"""Axes that hold their values, lines that break at gaps, and texts that stay texts."""

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelrollout.cli.plot import Chart, Line, Mark, linear_axis, log_axis, spread_axis, time_axis

DAY = 86_400.0
NUMBERS = st.floats(1e-6, 1e12)


def chart(*lines, **fields):
    axes = {"x": time_axis(0.0, 100.0), "y": linear_axis([10.0])}
    return Chart("a title", "a text", lines=lines, **axes | fields).svg()


@given(st.lists(NUMBERS, min_size=1))
def test_an_axis_from_zero_holds_all_values_with_few_round_marks(values):
    axis = linear_axis(values)
    assert axis.low == 0.0
    assert axis.high >= max(values) * (1 - 1e-9)
    assert 2 <= len(axis.ticks) <= 8
    assert [axis.place(mark) for mark, _ in axis.ticks] == pytest.approx(
        [place / (len(axis.ticks) - 1) for place in range(len(axis.ticks))], abs=1e-4
    )


@given(st.lists(st.floats(-1e9, 1e9), min_size=1))
def test_an_axis_for_any_numbers_holds_them_inside(values):
    axis = spread_axis(values)
    assert axis.low < min(values)
    assert max(values) < axis.high


def test_an_axis_without_values_is_still_one():
    assert linear_axis([]).high > 0
    assert linear_axis([None, float("nan")]).high > 0
    assert spread_axis([]).low < spread_axis([]).high


@given(st.floats(1e9, 4e9), st.floats(0.0, 400 * DAY))
def test_times_are_marked_inside_the_axis_and_apart_from_each_other(start, length):
    axis = time_axis(start, start + length)
    places = [axis.place(at) for at, _ in axis.ticks]
    assert places == sorted(places)
    assert len(axis.ticks) <= 9
    assert all(start - 1 <= at <= start + max(length, 1.0) + 1 for at, _ in axis.ticks)


@pytest.mark.parametrize(
    ("seconds", "labels"),
    [
        (60, ["12:00:00", "12:00:15"]),
        (3600, ["12:00", "12:10"]),
        (20 * 3600, ["12:00", "15:00", "18:00", "21:00", "27 Jul"]),
        (6 * DAY, ["27 Jul", "28 Jul"]),
    ],
)
def test_times_are_written_as_fine_as_they_lie(seconds, labels):
    start = datetime(2026, 7, 26, 12, tzinfo=UTC).timestamp()
    assert [text for _, text in time_axis(start, start + seconds).ticks][: len(labels)] == labels


def test_a_logarithmic_axis_puts_equal_ratios_equally_far_apart_and_the_rest_on_the_edge():
    axis = log_axis(0.001, 1.0, ((0.001, "0.1 %"), (1.0, "100 %")))
    assert axis.place(0.001) == 0.0
    assert axis.place(1.0) == 1.0
    assert axis.place(0.1) - axis.place(0.01) == pytest.approx(axis.place(0.01) - axis.place(0.001))
    assert axis.place(0.0) == 0.0
    assert axis.place(5.0) == 1.0


def test_a_line_breaks_where_nothing_is_known():
    svg = chart(Line("candidate", [(0, 1), (10, 2), (20, None), (30, 3), (40, None), (50, 4), (60, 4)]))
    assert svg.count("<polyline") == 2
    assert svg.count('class="candidate dot"') == 1, "a single value is a dot"


def test_points_lie_where_the_axes_say():
    svg = chart(Line("candidate", [(0.0, 0.0), (100.0, 10.0)]))
    assert 'points="52.0,166.0 708.0,10.0"' in svg


def test_an_area_is_closed_along_the_low_end():
    svg = chart(Line("candidate", [(0.0, 5.0), (100.0, 5.0)], area=True))
    assert re.search(r'<polygon class="candidate area" points="52.0,88.0 708.0,88.0 708.0,166.0 52.0,166.0"/>', svg)


def test_texts_are_escaped_and_read_out():
    axes = {"x": time_axis(0.0, 1.0), "y": linear_axis([1.0])}
    svg = Chart('a "<b>" & c', "<i>", lines=[], marks=[Mark(0.5, "<1>")], **axes).svg()
    assert "<b>" not in svg
    assert "<i>" not in svg
    assert "<1>" not in svg
    assert 'role="img" aria-label="a &quot;&lt;b&gt;&quot; &amp; c"' in svg
    assert "<desc>&lt;i&gt;</desc>" in svg
