"""One check: what a look-back says about a metric's questions.

A reading is made from windows alone and is the same whoever makes it and when. It can be *silent*: no request of the candidate,
or nothing of stable to compare with, is neither good nor bad.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

from modelrollout.api.analysis import Metric
from modelrollout.api.reasons import Reason

from .anomaly import score
from .window import ZERO, Answer, Counts, Window
from .words import amount, number, percent, rate, ratio

IGNORE_BELOW = 0.001
"""A candidate's rate below this is never said to be worse, where `ignoreBelow` names nothing else."""

_WORSE = {"errorRate": Reason.ERROR_RATE_WORSE, "latency": Reason.LATENCY_WORSE}
_BEYOND = {
    "errorRate": Reason.ERROR_RATE_TOO_HIGH,
    "latency": Reason.LATENCY_TOO_HIGH,
    "disagreement": Reason.DISAGREES,
}


@dataclass(frozen=True, slots=True)
class Reading:
    """The answer of one check. `spoke` is False where no question could be answered, then `silence` says why.

    `breach` is the reason of a breach, None when all is well. `figures` is the part of a sentence with the numbers and
    `demand` the one that says what was asked.
    """

    spoke: bool
    breach: Reason | None = None
    silence: str = ""
    figures: str = ""
    demand: str = ""
    candidate: str | None = None
    stable: str | None = None
    ratio: str | None = None


def read(metric: Metric, lookback: Sequence[Window], *, comparing: bool) -> Reading:
    """Answer the metric's questions on a look-back whose newest window comes last; `comparing`: stable takes part."""
    answered = [window for window in lookback if window.answered]
    if metric.query is not None:
        return _number(metric, answered, comparing=comparing)
    return _rates(metric, answered, comparing=comparing)


def worse(metric: Metric) -> Reason:
    """The reason for a metric that breaches `compare`."""
    return _WORSE.get(metric.kind, Reason.METRIC_WORSE)


def beyond(metric: Metric) -> Reason:
    """The reason for a metric that breaches `limit` or `range`."""
    return _BEYOND.get(metric.kind, Reason.METRIC_OUT_OF_RANGE)


def objective(metric: Metric) -> str | None:
    """The absolute objective in words, for status."""
    if metric.limit is not None:
        return str(metric.limit)
    if metric.range is None:
        return None
    low, high = metric.range.min, metric.range.max
    if low is not None and high is not None:
        return f"{low} to {high}"
    return f"at least {low}" if low is not None else f"at most {high}" if high is not None else None


def _rates(metric: Metric, windows: Sequence[Window], *, comparing: bool) -> Reading:
    candidate = _sum(window.candidate for window in windows if window.answer is Answer.COUNTS)
    stable = _sum(window.stable for window in windows if window.answer is Answer.COUNTS) if comparing else ZERO
    ours, theirs = rate(candidate), rate(stable)
    if ours is None:
        return Reading(spoke=False, silence="the candidate had no requests")
    breach, demand = None, ""
    if metric.limit is not None:
        demand = f"above the limit of {metric.limit}"
        breach = beyond(metric) if ours > metric.limit.fraction else None
    compare = metric.compare if comparing else None
    if compare is not None and compare.margin is not None and theirs is not None:
        floor = IGNORE_BELOW if compare.ignore_below is None else compare.ignore_below.fraction
        if ours > compare.margin.number * theirs and ours > floor:
            breach, demand = worse(metric), f"more than {compare.margin} times stable's"
    against = f" against {percent(theirs)}" if theirs is not None else ""
    return Reading(
        spoke=metric.limit is not None or theirs is not None,
        breach=breach,
        silence="stable had no requests to compare with" if compare is not None and theirs is None else "",
        figures=f"{percent(ours)}{against} on {amount(candidate.requests, 'request')}",
        demand=demand,
        candidate=percent(ours),
        stable=percent(theirs) if theirs is not None else None,
        ratio=ratio(ours, theirs),
    )


def _number(metric: Metric, windows: Sequence[Window], *, comparing: bool) -> Reading:
    newest = windows[-1] if windows else None
    ours = newest.candidate_value if newest else None
    theirs = newest.stable_value if newest and comparing else None
    if ours is None:
        return Reading(spoke=False, silence="the query has no number for the candidate")
    breach, demand = _range(metric, ours) if metric.anomaly is None else _anomaly(metric, windows, ours)
    compare = metric.compare if comparing else None
    if compare is not None and theirs is not None:
        if compare.max_drop is not None and ours < theirs - compare.max_drop.number:
            breach, demand = worse(metric), f"more than {compare.max_drop} below stable's"
        if compare.max_rise is not None and ours > theirs + compare.max_rise.number:
            breach, demand = worse(metric), f"more than {compare.max_rise} above stable's"
    against = f" against {number(theirs)}" if theirs is not None else ""
    return Reading(
        spoke=demand != _TOO_FEW and (metric.range is not None or theirs is not None),
        breach=breach,
        silence=demand if demand == _TOO_FEW else "the query has no number for stable" if theirs is None else "",
        figures=f"{number(ours)}{against}",
        demand=demand,
        candidate=number(ours),
        stable=number(theirs),
        ratio=ratio(ours, theirs) if theirs and theirs > 0 else None,
    )


_TOO_FEW = "stable has too few numbers yet to tell what is usual"
_SENSITIVITY = 6.0


def _anomaly(metric: Metric, windows: Sequence[Window], ours: float) -> tuple[Reason | None, str]:
    """Whether a number is far from what is usual for stable."""
    assert metric.anomaly is not None
    found = score(ours, [window.stable_value for window in windows if window.stable_value is not None])
    if found is None:
        return None, _TOO_FEW
    allowed = _SENSITIVITY if metric.anomaly.sensitivity is None else metric.anomaly.sensitivity.number
    demand = f"{abs(found):.3g} robust standard deviations from what is usual for stable"
    return (Reason.METRIC_UNUSUAL if abs(found) > allowed else None), demand


def _range(metric: Metric, ours: float) -> tuple[Reason | None, str]:
    limits = metric.range
    if limits is None:
        return None, ""
    below = limits.min is not None and ours < limits.min.number
    above = limits.max is not None and ours > limits.max.number
    return (beyond(metric) if below or above else None), f"outside {objective(metric)}"


def _sum(parts: Iterable[Counts]) -> Counts:
    return reduce(add, parts, ZERO)
