"""A rollout judged once more: from windows that were read back, the curves of a report. Pure.

The windows go through the operator's own judge, weight by weight, so the evidence is what it saw, but for what nobody can know
afterwards: pods count from their first scrape instead of from the end of their warm-up, the plan is the one in force now, and a
long rollout is read in longer windows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from modelrollout.analysis.battery import Battery
from modelrollout.analysis.panel import judge_all
from modelrollout.analysis.step import StepContext
from modelrollout.analysis.terms import Terms
from modelrollout.analysis.window import ZERO, Answer, Counts, Window
from modelrollout.api.analysis import Method, Metric, StepKind
from modelrollout.api.scalars import Timestamp
from modelrollout.api.status import MetricStatus
from modelrollout.rollout.plan import Plan

from .record import Record
from .view import camel

POINTS = 240
"""Points of a curve, about, at most."""

Windows = Mapping[str, Sequence[Window]]
"""By metric, oldest first."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time with one share above zero: seconds since 1970, and the candidate's share of requests, or (`mirror`) of their copies."""

    start: float
    end: float
    share: float
    mirror: float = 0.0

    @property
    def kind(self) -> StepKind:
        """Whether stable has traffic, too, and whether the candidate has any of its own."""
        if self.mirror:
            return StepKind.SHADOW
        return StepKind.LIVE if self.share < 1.0 else StepKind.BAKE


@dataclass(frozen=True, slots=True)
class Reading:
    """One metric from `start` to `end`: counts for a rate, values for a query (None: there was none).

    `evidence`, `certificate`: at its end, as a share of what is needed (1: reached); None where there is none.
    """

    start: float
    end: float
    candidate: Counts = ZERO
    stable: Counts = ZERO
    candidate_value: float | None = None
    stable_value: float | None = None
    evidence: float | None = None
    certificate: float | None = None


@dataclass(frozen=True, slots=True)
class Curve:
    """One metric over time. `bound`: of the histogram; `problem`: why there are no readings."""

    metric: Metric
    readings: tuple[Reading, ...]
    bound: str = ""
    problem: str = ""


def stretches(found: Record, end: float) -> tuple[Stretch, ...]:
    """The weights that were in force, up to `end`."""
    ends = [*(one.at for one in found.weights[1:]), end]
    spans = zip(found.weights, ends, strict=True) if found.weights else ()
    carried = ((one, until) for one, until in spans if (one.share or one.mirror) and until > one.at)
    return tuple(Stretch(one.at, until, one.share, one.mirror or 0.0) for one, until in carried)


def curves(
    found: Record, plan: Plan, parts: Sequence[tuple[Stretch, Windows]], problems: Mapping[str, str], step: float
) -> tuple[Curve, ...]:
    """Judge the windows of all stretches; `step` is their length, `problems` says of metrics why they have none."""
    terms = replace(plan.terms, planned=max(1, round(plan.planned_windows * plan.interval / step)), interval=step)
    verdicts = list(_judged(found, terms, parts, step))
    return tuple(_curve(metric, terms, parts, verdicts, problems.get(metric.name, "")) for metric in plan.metrics)


Verdict = tuple[float, Mapping[str, MetricStatus]]
"""A time, and what was to be said of each metric then."""


def _judged(found: Record, terms: Terms, parts: Sequence[tuple[Stretch, Windows]], step: float) -> Iterator[Verdict]:
    effects = {one.name: one.design_effect for one in found.metrics}
    known = {m.name: MetricStatus(name=m.name, design_effect=effects.get(m.name)) for m in terms.metrics}
    every = max(1, math.ceil(sum(one.end - one.start for one, _ in parts) / step / POINTS))
    for stretch, windows in parts:
        ends = sorted({window.end for told in windows.values() for window in told})
        for at in (*ends[every - 1 : -1 : every], *ends[-1:]):
            context = StepContext(stretch.kind, stretch.start, at, step)
            until = {name: [one for one in told if one.end <= at] for name, told in windows.items()}
            known = {one.name: one for one in judge_all(known, until, context, terms)}
            yield at, known


def _curve(
    metric: Metric,
    terms: Terms,
    parts: Sequence[tuple[Stretch, Windows]],
    verdicts: Sequence[Verdict],
    problem: str,
) -> Curve:
    windows = [window for _, told in parts for window in told.get(metric.name, ()) if window.answered]
    if problem or not windows:
        return Curve(metric, (), problem=problem or "this Prometheus has no data on it in the time of the rollout")
    bound = next((said[metric.name].effective_threshold or "" for _, said in reversed(verdicts)), "")
    readings, begin = [], 0
    for at, said in verdicts:
        end = begin
        while end < len(windows) and windows[end].end <= at:
            end += 1
        if end > begin:
            readings.append(_reading(windows[begin:end], bound, *_shares(metric, said[metric.name], terms)))
        begin = end
    return Curve(metric, tuple(readings), bound)


def _reading(windows: Sequence[Window], bound: str, evidence: float | None, certificate: float | None) -> Reading:
    counted = [_counts(window, bound) for window in windows]
    newest = windows[-1]
    return Reading(
        start=windows[0].start,
        end=newest.end,
        candidate=sum((ours for ours, _ in counted), ZERO),
        stable=sum((theirs for _, theirs in counted), ZERO),
        candidate_value=newest.candidate_value,
        stable_value=newest.stable_value,
        evidence=evidence,
        certificate=certificate,
    )


def _counts(window: Window, bound: str) -> tuple[Counts, Counts]:
    if window.answer is not Answer.COUNTS:
        return ZERO, ZERO
    at_bound = next(((ours, theirs) for text, ours, theirs in window.bounds if text == bound), None)
    return at_bound or (window.candidate, window.stable)


def _shares(metric: Metric, said: MetricStatus, terms: Terms) -> tuple[float | None, float | None]:
    """Evidence and certificate as shares of what is needed, exactly; status rounds them to percents."""
    tests = Battery.decode(said.state) if said.state else None
    if metric.judged_by is not Method.SEQUENTIAL or tests is None:
        return None, None
    logs = [tests.log_worse] if tests.worse else []
    logs += [tests.limit.log_value] if tests.limit is not None else []
    evidence = math.exp(min(0.0, max(logs) + math.log(terms.weight(metric)) - terms.needed)) if logs else None
    return evidence, math.exp(min(0.0, tests.log_certificate - terms.certificate_needed))


def document(curve: Curve) -> dict[str, Any]:
    """As `--output json` prints it: camelCase, absent values omitted."""
    body = {
        "metric": curve.metric.name,
        "bound": curve.bound or None,
        "problem": curve.problem or None,
        "readings": [_document(one) for one in curve.readings],
    }
    return {str(name): value for name, value in camel(body).items()}


def _document(one: Reading) -> dict[str, Any]:
    body: dict[str, Any] = {"start": str(Timestamp(one.start)), "end": str(Timestamp(one.end))}
    if one.candidate_value is None and one.stable_value is None:
        body |= {"requests": one.candidate.requests, "bad": one.candidate.bad}
        body |= {"stable_requests": one.stable.requests, "stable_bad": one.stable.bad}
    else:
        body |= {"candidate": one.candidate_value, "stable": one.stable_value}
    shares = {"evidence": one.evidence, "certificate": one.certificate}
    return body | {name: value if value is None else float(f"{value:.4g}") for name, value in shares.items()}
