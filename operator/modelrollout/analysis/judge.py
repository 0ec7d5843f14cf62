"""The one way in: a metric, what it said before, and its windows make what it says now.

Each method is a module with the same signature; here it is only chosen. Everything is a pure function of recorded facts, so a
process that was killed comes to the same verdict as one that was not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from modelrollout.api.analysis import Method, Metric
from modelrollout.api.status import MetricStatus

from . import threshold
from .step import StepContext
from .window import Window

Judge = Callable[[Metric, MetricStatus | None, Sequence[Window], StepContext], MetricStatus]

_METHODS: dict[Method, Judge] = {Method.THRESHOLD: threshold.judge}
_LOOKBACKS: dict[Method, Callable[[Metric], float]] = {Method.THRESHOLD: threshold.required_lookback}


def _method(metric: Metric) -> Method:
    return metric.method or Method.THRESHOLD


def judge(
    metric: Metric, previous: MetricStatus | None, windows: Sequence[Window], context: StepContext
) -> MetricStatus:
    """Fold the windows that are new into what was recorded.

    `windows` come oldest first and may overlap what was counted (`previous.through`). Pass `previous=None` to start afresh, as
    for a new step or attempt; a `previous` that saw nothing of this step is treated likewise.
    """
    return _METHODS[_method(metric)](metric, previous, windows, context)


def required_lookback(metric: Metric) -> float:
    """How many seconds before `previous.through` windows are needed to judge the next one."""
    return _LOOKBACKS[_method(metric)](metric)
