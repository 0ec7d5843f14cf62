"""How the cost grows with the fleet: one small plot for each figure, as plain SVG."""

from collections.abc import Callable, Sequence
from html import escape

from bench.fleet.result import Result

Figure = Callable[[Result], float]

PANELS: tuple[tuple[str, Figure], ...] = (
    ("Resident memory, MiB", lambda one: one.steady.memory),
    ("CPU while steady, cores", lambda one: one.steady.cpu / one.steady.seconds),
    ("Prometheus queries per interval", lambda one: one.steady.queries * one.interval / one.steady.seconds),
    ("Restart: all decided after, s", lambda one: one.restart.observed),
    ("Half turn bad: last at weight 0 after, s", lambda one: one.breach.last),
    ("All specs change: last one started after, s", lambda one: one.sync.last),
)
COLUMNS, WIDE, HIGH = 3, 250, 190
LEFT, RIGHT, TOP, BOTTOM = 44, 14, 34, 30
INK, GRID, LINE = "#24292f", "#d0d7de", "#0969da"
FONT = f"font-family='system-ui, sans-serif' font-size='11' fill='{INK}'"
TITLE = "What a fleet costs, by its size"


def growth(results: Sequence[Result]) -> str:
    """The document. The dashed line goes from zero through the largest fleet: a figure that grows in proportion lies on it."""
    rows = -(-len(PANELS) // COLUMNS)
    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {COLUMNS * WIDE} {rows * HIGH + 24}' role='img' {FONT}>",
        f"<title>{escape(TITLE)}</title>",
        f"<rect width='{COLUMNS * WIDE}' height='{rows * HIGH + 24}' fill='white'/>",
    ]
    for index, (name, figure) in enumerate(PANELS):
        across, down = index % COLUMNS * WIDE, index // COLUMNS * HIGH
        parts += [f"<g transform='translate({across} {down})'>", *_panel(name, figure, results), "</g>"]
    note = "Across: rollouts. Dashed: in proportion to the largest fleet."
    parts.append(f"<text x='{LEFT}' y='{rows * HIGH + 14}'>{note}</text>")
    return "\n".join([*parts, "</svg>", ""])


def _panel(name: str, figure: Figure, results: Sequence[Result]) -> list[str]:
    points = sorted((one.rollouts, max(0.0, figure(one))) for one in results)
    most = points[-1][0]
    top = nice(max(value for _, value in points) or 1.0)

    def x(rollouts: float) -> float:
        return LEFT + rollouts / most * (WIDE - LEFT - RIGHT)

    def y(value: float) -> float:
        return HIGH - BOTTOM - value / top * (HIGH - TOP - BOTTOM)

    parts = [f"<text x='{LEFT}' y='20' font-size='12' font-weight='600'>{escape(name)}</text>"]
    for share in (0.0, 0.5, 1.0):
        parts.append(f"<path d='M{LEFT} {y(share * top):.1f}H{WIDE - RIGHT}' stroke='{GRID}'/>")
        parts.append(f"<text x='{LEFT - 6}' y='{y(share * top) + 4:.1f}' text-anchor='end'>{share * top:g}</text>")
    for rollouts, _ in _apart(points, most):
        parts.append(f"<text x='{x(rollouts):.1f}' y='{HIGH - BOTTOM + 16}' text-anchor='middle'>{rollouts:,}</text>")
    last = points[-1][1]
    parts.append(
        f"<path d='M{x(0):.1f} {y(0):.1f}L{x(most):.1f} {y(last):.1f}' stroke='{INK}' stroke-dasharray='4 4' opacity='0.5'/>"
    )
    line = "L".join(f"{x(rollouts):.1f} {y(value):.1f}" for rollouts, value in points)
    parts.append(f"<path d='M{line}' fill='none' stroke='{LINE}' stroke-width='2'/>")
    for rollouts, value in points:
        parts.append(f"<circle cx='{x(rollouts):.1f}' cy='{y(value):.1f}' r='3' fill='{LINE}'/>")
    return parts


def _apart(points: Sequence[tuple[int, float]], most: int) -> list[tuple[int, float]]:
    """The points whose labels do not run into each other, the largest first."""
    kept: list[tuple[int, float]] = []
    for point in reversed(points):
        if not kept or (kept[-1][0] - point[0]) / most > 0.16:
            kept.append(point)
    return kept


def nice(value: float) -> float:
    """The next of 1, 2, 4, 5, 6, 8 and 10 times a power of ten."""
    scale = 1.0
    while value > 10 * scale:
        scale *= 10
    while value <= scale:
        scale /= 10
    return next(step * scale for step in (1, 2, 4, 5, 6, 8, 10) if value <= step * scale)
