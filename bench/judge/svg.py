"""A plot of steps over a logarithmic axis, as plain SVG: enough for shares over time, and nothing to install."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import log

WIDTH, HEIGHT = 760, 400
LEFT, RIGHT, TOP, BOTTOM = 64, 190, 40, 56
INK, GRID = "#24292f", "#d0d7de"
FONT = "font-family='system-ui, sans-serif' font-size='12'"
COLOURS = ("#1a7f37", "#9a6700", "#bc4c00", "#cf222e", "#82071e", "#57606a", "#0969da")


@dataclass(frozen=True)
class Curve:
    """A share (0 to 1) that rises at each of `times`, from 0 to len(times) / `of`."""

    label: str
    times: Sequence[float]
    of: int
    dashed: bool = False


def plot(title: str, across: str, up: str, curves: Sequence[Curve], ticks: Sequence[tuple[float, str]]) -> str:
    """The document. `ticks` are the marks across with their labels; the first and last are the ends of the axis."""
    low, high = ticks[0][0], ticks[-1][0]

    def x(value: float) -> float:
        place = log(min(max(value, low), high) / low) / log(high / low)
        return LEFT + place * (WIDTH - LEFT - RIGHT)

    def y(share: float) -> float:
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {HEIGHT}' role='img' {FONT} fill='{INK}'>",
        f"<title>{escape(title)}</title>",
        f"<rect width='{WIDTH}' height='{HEIGHT}' fill='white'/>",
        f"<text x='{LEFT}' y='22' font-size='14' font-weight='600'>{escape(title)}</text>",
    ]
    for value, label in ticks:
        parts.append(f"<path d='M{x(value):.1f} {y(0):.1f}V{y(1):.1f}' stroke='{GRID}'/>")
        parts.append(f"<text x='{x(value):.1f}' y='{y(0) + 18:.1f}' text-anchor='middle'>{escape(label)}</text>")
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        parts.append(f"<path d='M{LEFT} {y(share):.1f}H{WIDTH - RIGHT}' stroke='{GRID}'/>")
        parts.append(f"<text x='{LEFT - 8}' y='{y(share) + 4:.1f}' text-anchor='end'>{share:.0%}</text>")
    parts.append(
        f"<text x='{(LEFT + WIDTH - RIGHT) / 2}' y='{HEIGHT - 14}' text-anchor='middle'>{escape(across)}</text>"
    )
    parts.append(
        f"<text transform='translate(16 {(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)' text-anchor='middle'>{escape(up)}</text>"
    )
    for index, curve in enumerate(curves):
        colour = COLOURS[index % len(COLOURS)]
        dash = " stroke-dasharray='6 4'" if curve.dashed else ""
        path = _path(curve, x, y, high)
        parts.append(f"<path d='{path}' fill='none' stroke='{colour}' stroke-width='2'{dash}/>")
        place = TOP + 12 + 22 * index
        parts.append(f"<path d='M{WIDTH - RIGHT + 14} {place - 4}h22' stroke='{colour}' stroke-width='2'{dash}/>")
        parts.append(f"<text x='{WIDTH - RIGHT + 42}' y='{place}'>{escape(curve.label)}</text>")
    return "\n".join([*parts, "</svg>", ""])


def _path(curve: Curve, x: object, y: object, high: float) -> str:
    """Steps: across to each moment at which the share rises, then up."""
    assert callable(x)
    assert callable(y)
    moments = sorted(set(curve.times))
    path, done, times = f"M{LEFT} {y(0.0):.1f}", 0, sorted(curve.times)
    for moment in moments:
        while done < len(times) and times[done] <= moment:
            done += 1
        path += f"H{x(moment):.1f}V{y(done / curve.of):.1f}"
    return path + f"H{x(high):.1f}"
