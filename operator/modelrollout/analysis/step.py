"""What a judgement may know of the step beside the windows: its kind, its beginning, the time, the grid.

A metric speaks in a step if its `when` names the step's kind and at least one of its questions can be answered there: at Bake
stable has no traffic, so `compare` rests and only `limit` or `range` speak.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from modelrollout.api.analysis import Metric, StepKind


@dataclass(frozen=True, slots=True)
class StepContext:
    """The step in which a metric is judged. `since` is its `appliedAt`; all times in seconds since 1970 UTC, `interval` in seconds.

    `certify`: a metric judged by evidence passes only with its certificate (the last step in which both versions have traffic).
    `left`: seconds that the step may still take, to tell what is out of reach.
    """

    kind: StepKind
    since: float
    now: float
    interval: float
    certify: bool = False
    left: float = math.inf


def compares(metric: Metric, kind: StepKind) -> bool:
    """Whether the question against stable is asked in steps of this kind."""
    return (metric.compare is not None or metric.anomaly is not None) and kind is not StepKind.BAKE


def speaks(metric: Metric, kind: StepKind) -> bool:
    """Whether the metric has anything to say in steps of this kind; otherwise its verdict is Resting."""
    if kind not in metric.kinds_of_steps:
        return False
    return metric.limit is not None or metric.range is not None or compares(metric, kind)


def resting_because(metric: Metric, kind: StepKind) -> str:
    """Why a metric does not speak in steps of this kind, in a sentence."""
    asked = kind in metric.kinds_of_steps
    why = "stable has no traffic to compare with" if asked else f"it is not asked in {kind} steps"
    return f"{metric.name} rests: {why}"


def gating(metrics: Iterable[Metric], kind: StepKind) -> frozenset[str]:
    """Names of the metrics for which steps of this kind wait, and whose answers make covered time."""
    return frozenset(metric.name for metric in metrics if metric.gates and speaks(metric, kind))
