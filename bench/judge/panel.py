"""The one place where the bench hands windows to the product's analysis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from modelrollout.analysis.judge import judge
from modelrollout.analysis.step import StepContext
from modelrollout.analysis.window import Window
from modelrollout.api.status import MetricStatus
from modelrollout.rollout.plan import Plan

Windows = Mapping[str, Sequence[Window]]


def judged(
    plan: Plan, known: Sequence[MetricStatus], windows: Windows, context: StepContext
) -> tuple[MetricStatus, ...]:
    """What all metrics say after these windows."""
    by_name = {status.name: status for status in known}
    return tuple(judge(metric, by_name.get(metric.name), windows[metric.name], context) for metric in plan.metrics)
