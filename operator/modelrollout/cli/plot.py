"""Line charts as inline SVG: a small vocabulary, no library, no script, nothing fetched.

Pure: numbers in, text out. Colours and fonts are the page's (CSS classes), so that a chart follows its light and dark scheme and its
printed form. All texts are escaped here; a chart has a title and a description for those who cannot see it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape

WIDTH, HEIGHT = 720.0, 190.0
LEFT, RIGHT, TOP, BOTTOM = 52.0, 12.0, 10.0, 24.0
_TICKS = 7
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_TIMES = (1, 5, 15, 30, *(_MINUTE * n for n in (1, 2, 5, 10, 15, 30)), *(_HOUR * n for n in (1, 2, 3, 6, 12)))
_DAYS = (1, 2, 7, 14, 28)

Point = tuple[float, float | None]
"""Where on the axes; a y of None breaks the line."""


@dataclass(frozen=True, slots=True)
class Axis:
    """From `low` to `high`, with marks (value, text) between; `log`: equal ratios lie equally far apart."""

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    log: bool = False

    def place(self, value: float) -> float:
        """Where a value lies, 0 at the low end and 1 at the high one; what lies beyond is put on the edge."""
        value = min(max(value, self.low), self.high)
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


@dataclass(frozen=True, slots=True)
class Line:
    """Points from left to right, drawn in the style of a CSS class; `area`: filled down to the low end."""

    style: str
    points: Sequence[Point]
    area: bool = False


@dataclass(frozen=True, slots=True)
class Mark:
    """A vertical line at `x` with a short label at its top."""

    x: float
    label: str


@dataclass(frozen=True, slots=True)
class Chart:
    """`title` and `text` are read out; `across`: horizontal lines (y, CSS class)."""

    title: str
    text: str
    x: Axis
    y: Axis
    lines: Sequence[Line]
    marks: Sequence[Mark] = ()
    across: Sequence[tuple[float, str]] = ()

    def svg(self) -> str:
        """The element."""
        return "\n".join(
            [
                f'<svg viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img" aria-label="{escape(self.title)}">',
                f"<title>{escape(self.title)}</title><desc>{escape(self.text)}</desc>",
                *self._grid(),
                *(self._across(y, style) for y, style in self.across),
                *(part for line in self.lines for part in self._line(line)),
                *(part for mark in self.marks for part in self._mark(mark)),
                "</svg>",
            ]
        )

    def _at(self, x: float, y: float) -> str:
        return f"{self._x(x):.1f},{self._y(y):.1f}"

    def _x(self, value: float) -> float:
        return LEFT + self.x.place(value) * (WIDTH - LEFT - RIGHT)

    def _y(self, value: float) -> float:
        return HEIGHT - BOTTOM - self.y.place(value) * (HEIGHT - TOP - BOTTOM)

    def _grid(self) -> Iterator[str]:
        for value, text in self.y.ticks:
            y = self._y(value)
            yield f'<line class="grid" x1="{LEFT:g}" x2="{WIDTH - RIGHT:g}" y1="{y:.1f}" y2="{y:.1f}"/>'
            yield f'<text class="tick" x="{LEFT - 6:g}" y="{y + 4:.1f}" text-anchor="end">{escape(text)}</text>'
        for value, text in self.x.ticks:
            x = self._x(value)
            yield f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{HEIGHT - BOTTOM:g}" y2="{HEIGHT - BOTTOM + 4:g}"/>'
            yield f'<text class="tick" x="{x:.1f}" y="{HEIGHT - 6:g}" text-anchor="middle">{escape(text)}</text>'

    def _across(self, value: float, style: str) -> str:
        y = self._y(value)
        return f'<line class="{escape(style)}" x1="{LEFT:g}" x2="{WIDTH - RIGHT:g}" y1="{y:.1f}" y2="{y:.1f}"/>'

    def _line(self, line: Line) -> Iterator[str]:
        for run in _runs(line.points):
            corners = [self._at(x, y) for x, y in run]
            if line.area:
                ends = [self._at(run[-1][0], self.y.low), self._at(run[0][0], self.y.low)]
                yield f'<polygon class="{escape(line.style)} area" points="{" ".join([*corners, *ends])}"/>'
            if len(run) == 1:
                x, y = corners[0].split(",")
                yield f'<circle class="{escape(line.style)} dot" cx="{x}" cy="{y}" r="2"/>'
            else:
                yield f'<polyline class="{escape(line.style)}" points="{" ".join(corners)}"/>'

    def _mark(self, mark: Mark) -> Iterator[str]:
        x = self._x(mark.x)
        yield f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP:g}" y2="{HEIGHT - BOTTOM:g}"/>'
        yield f'<circle class="mark" cx="{x:.1f}" cy="{TOP + 6:g}" r="7"/>'
        yield f'<text class="mark" x="{x:.1f}" y="{TOP + 9.5:g}" text-anchor="middle">{escape(mark.label)}</text>'


def _runs(points: Iterable[Point]) -> Iterator[list[tuple[float, float]]]:
    """The stretches of a line between its gaps."""
    run: list[tuple[float, float]] = []
    for x, y in points:
        if y is None:
            if run:
                yield run
            run = []
        else:
            run.append((x, y))
    if run:
        yield run


def time_axis(start: float, end: float) -> Axis:
    """Seconds since 1970, marked at round times of the day (UTC); on a long axis at midnights, by date."""
    end = max(end, start + 1.0)
    span = end - start
    step = next((size for size in _TIMES if span / size <= _TICKS), None)
    if step is None:
        step = _DAY * next((days for days in _DAYS if span / days / _DAY <= _TICKS), math.ceil(span / _DAY / _TICKS))
    first = math.ceil(start / step) * step
    ticks = [first + step * place for place in range(int((end - first) // step) + 1)] if first <= end else []
    return Axis(start, end, tuple((at, _moment(at, step)) for at in ticks))


def _moment(at: float, step: float) -> str:
    then = datetime.fromtimestamp(at, UTC)
    if step >= _DAY or (step >= _HOUR and not then.hour and not then.minute):
        return f"{then.day} {then:%b}"
    return f"{then:%H:%M:%S}" if step < _MINUTE else f"{then:%H:%M}"


def linear_axis(values: Iterable[float | None], text: str = "{:g}", least: float = 0.0) -> Axis:
    """From 0 to a round number that no value exceeds, `least` at least; `text` formats the marks."""
    highest = max([least, *(value for value in values if value is not None and math.isfinite(value))])
    if highest <= 0.0:
        highest = 1.0
    size = 10.0 ** math.floor(math.log10(highest / 4.0))
    step = next(size * n for n in (1, 2, 2.5, 5, 10) if size * n * 5 >= highest)
    count = math.ceil(highest / step - 1e-9)
    marks = (float(f"{step * place:.6g}") for place in range(count + 1))
    return Axis(0.0, step * count, tuple((mark, text.format(mark)) for mark in marks))


def spread_axis(values: Iterable[float | None]) -> Axis:
    """For numbers of any sign: from a little below the smallest to a little above the largest."""
    found = [value for value in values if value is not None and math.isfinite(value)] or [0.0]
    low, high = min(found), max(found)
    rest = (high - low) * 0.1 or abs(high) * 0.1 or 1.0
    low, high = low - rest, high + rest
    marks = [low + (high - low) * place / 4.0 for place in range(5)]
    return Axis(low, high, tuple((mark, f"{mark:.3g}") for mark in marks))


def log_axis(low: float, high: float, texts: Sequence[tuple[float, str]]) -> Axis:
    """From `low` to `high`, both above 0, with the marks given."""
    return Axis(low, high, tuple(texts), log=True)
