"""Covered time: how long all metrics that gate a step had answers.

A step's hold counts only time in which somebody looked. Windows of different metrics may lie on different grids (a query is
asked at 60 s or more), so time is covered where the answered windows of *all* of them overlap. What is not resolved yet
(a window whose answer is awaited, or an ERROR that real data will replace) is neither covered nor passed over.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from .window import Answer, Window

Span = tuple[float, float]


def covered(
    windows: Mapping[str, Sequence[Window]], gating: Collection[str], since: float, through: float | None
) -> tuple[float, float]:
    """Seconds newly covered after `through` (None: since the beginning), and until when that is settled.

    `windows` by metric name, oldest first; only those with start >= `since` count. Without a gating metric, or while one has
    no windows, nothing is settled.
    """
    begin = since if through is None else max(since, through)
    if not gating:
        return 0.0, begin
    spans: list[Span] | None = None
    settled = float("inf")
    for name in gating:
        end, answered = _settled(windows.get(name, ()), since, begin)
        settled = min(settled, end)
        spans = answered if spans is None else _intersection(spans, answered)
    return sum(max(0.0, min(end, settled) - start) for start, end in spans or ()), settled


def _settled(windows: Sequence[Window], since: float, begin: float) -> tuple[float, list[Span]]:
    """Until when one metric is settled, and its answered spans after `begin`."""
    end = begin
    spans: list[Span] = []
    for window in windows:
        if window.start < since or window.end <= begin:
            continue
        if window.answer is Answer.ERROR:
            break
        end = window.end
        if window.answered:
            spans.append((max(window.start, begin), window.end))
    return end, spans


def _intersection(first: list[Span], second: list[Span]) -> list[Span]:
    common: list[Span] = []
    one = two = 0
    while one < len(first) and two < len(second):
        start = max(first[one][0], second[two][0])
        end = min(first[one][1], second[two][1])
        if start < end:
            common.append((start, end))
        if first[one][1] <= second[two][1]:
            one += 1
        else:
            two += 1
    return common
