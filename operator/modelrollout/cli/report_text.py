"""A `Record` on a terminal: who against whom, how it went, and why, in lines that fit its width. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.text import Text

from .curves import Curve
from .draw import NARROWEST, cut, metric_lines, wrap
from .listing import aligned
from .record import UNDER_WAY, Record
from .words import second, span

_INDENT = "  "
_LABEL = 11
_STYLES = {"Promoted": "bold green", UNDER_WAY: "bold", "Superseded": "bold"}
_BLOCKS = "▁▂▃▄▅▆▇█"
_POINTS = 40
_SHORTEST = 8


def text(found: Record, curves: Sequence[Curve], now: float, width: int) -> list[Text]:
    """All lines of the report."""
    width = max(width, NARROWEST)
    lines = [*_head(found), *_sentence(found.message, width)]
    lines += [Text(f"{_INDENT}{name.ljust(_LABEL)}{fact}") for name, fact in _facts(found, now)]
    for metric in found.metrics:
        lines += metric_lines(metric, _LABEL, width)
    for curve in curves:
        lines += _curve(curve, width)
    lines += _weights(found)
    lines += _commands(found, width)
    for gap in found.gaps:
        lines += _sentence(gap, width, "dim")
    return lines


def _head(found: Record) -> Iterator[Text]:
    against = f" against version {found.against}" if found.against else ""
    why = f": {found.reason}" if found.reason and found.reason != found.outcome else ""
    yield Text.assemble((found.name, "bold"), f" ({found.namespace})   version {found.version}{against}")
    yield Text.assemble(_INDENT, (found.outcome, _STYLES.get(found.outcome, "bold red")), why)


def _facts(found: Record, now: float) -> Iterator[tuple[str, str]]:
    against = f", against {found.against_revision}" if found.against_revision else ""
    yield "revision", f"{found.revision}{against}"
    yield "started", second(found.started_at) + (f", attempt {found.attempt + 1}" if found.attempt else "")
    took = span(found.until(now) - found.started_at)
    yield "ended", f"under way for {took}" if found.ended_at is None else f"{second(found.ended_at)}, after {took}"


def _weights(found: Record) -> list[Text]:
    rows = [
        (_clock(found, one.at), one.told, "-" if one.seconds is None else span(one.seconds), one.reason)
        for one in found.weights
    ]
    return _table(("WEIGHT SET", "WEIGHT", "FOR", "REASON"), rows)


def _commands(found: Record, width: int) -> list[Text]:
    """A row for each, and below it why it was given, or what came of it."""
    head = ("COMMAND TAKEN", "ACTION", "STEP", "BY", "OUTCOME")
    rows = [(_clock(found, one.at), one.action, one.step or "-", one.by or "-", one.outcome) for one in found.commands]
    excess = max((line.cell_len for line in _table(head, rows)), default=0) - width
    if excess > 0:
        room = max(len(row[3]) for row in rows) - excess
        rows = [(*row[:3], cut(row[3], max(room, _SHORTEST)), row[4]) for row in rows]
    told, lines = _table(head, rows)[:2], _table(head, rows)[2:]
    for line, one in zip(lines, found.commands, strict=True):
        told += [line, *_sentence(one.reason or one.message, width, "dim", 3 * _INDENT)]
    return told


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[Text]:
    """Below an empty line; nothing for a table without rows."""
    return [Text(), *(Text(_INDENT + row) for row in aligned([head, *rows], gap=2))] if rows else []


def _clock(found: Record, at: float) -> str:
    """The time alone on the day on which the rollout began."""
    day, clock = second(at).split(" ")
    return clock if second(found.started_at).startswith(day) else f"{day} {clock}"


def _curve(curve: Curve, width: int) -> Iterator[Text]:
    """Rates and evidence as small bars, oldest first."""
    if curve.problem:
        yield from _sentence(f"{curve.metric.name}: {curve.problem}", width, "yellow")
        return
    rates = [one.candidate.bad / one.candidate.requests for one in curve.readings if one.candidate.requests]
    shares = [one.evidence for one in curve.readings if one.evidence is not None]
    points = min(_POINTS, width - len(_INDENT) - _LABEL - 26)
    label = curve.metric.name[: _LABEL - 1]
    for what, values, top in (("rate", rates, max(rates, default=0.0)), ("evidence", shares, 1.0)):
        if values and top:
            bars = _bars(values, top, points)
            yield Text(f"{_INDENT}{label.ljust(_LABEL)}{bars}  {what}, up to {100 * max(values):.3g} %")
            label = ""


def _bars(values: Sequence[float], top: float, points: int) -> str:
    """The largest value of each of so many stretches, as a block."""
    size = max(1, -(-len(values) // points))
    peaks = [max(values[at : at + size]) for at in range(0, len(values), size)]
    return "".join(_BLOCKS[min(len(_BLOCKS) - 1, int(peak / top * len(_BLOCKS)))] for peak in peaks)


def _sentence(words: str, width: int, style: str = "", indent: str = _INDENT) -> list[Text]:
    return [Text(indent + line, style=style) for line in wrap(words, width - len(indent))]
