"""The one place where the bench hands windows to the product's analysis, and stable's history to its design effect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.judge.traffic import HISTORY_STEP
from modelrollout.analysis.dispersion import design_effect
from modelrollout.analysis.panel import judge_all
from modelrollout.analysis.sequential import Trial
from modelrollout.analysis.step import StepContext
from modelrollout.analysis.terms import by_evidence
from modelrollout.analysis.window import Counts, Window
from modelrollout.api.status import MetricStatus, ModelDeploymentStatus
from modelrollout.rollout.plan import Plan, PlanStep

Windows = Mapping[str, Sequence[Window]]


def judged(
    plan: Plan, step: PlanStep, status: ModelDeploymentStatus, known: Sequence[MetricStatus], windows: Windows
) -> tuple[MetricStatus, ...]:
    """What all metrics say after these windows, in the step that is under way; `known`: what they said before."""
    return judge_all(
        {metric.name: metric for metric in known}, windows, _context(plan, step, status, windows), plan.terms
    )


def first_certified(plan: Plan, step: PlanStep, status: ModelDeploymentStatus, windows: Windows) -> float | None:
    """The end of the first new window after which all certificates stand, be it for that window only; None: there is none.

    The same trials as in `judged`, window by window and without what is written for people.
    """
    context = _context(plan, step, status, windows)
    known = {metric.name: metric for metric in status.metrics}
    trials = [
        Trial(metric, known.get(metric.name), windows[metric.name], context, plan.terms)
        for metric in by_evidence(plan.metrics)
    ]
    for at_once in zip(*(trial.pending for trial in trials), strict=True):
        for trial, window in zip(trials, at_once, strict=True):
            trial.take(window)
        if all(trial.certified for trial in trials):
            return at_once[0].end
    return None


def _context(plan: Plan, step: PlanStep, status: ModelDeploymentStatus, windows: Windows) -> StepContext:
    begun = status.step
    assert begun is not None
    assert begun.applied_at is not None
    now = max(heard[-1].end for heard in windows.values())
    return StepContext(
        kind=step.kind,
        since=float(begun.applied_at),
        now=now,
        interval=plan.interval,
        certify=step is plan.last_live_step,
        left=step.max_duration - (now - float(begun.applied_at)),
    )


def effects(names: Sequence[str], history: Sequence[Mapping[str, Counts]]) -> dict[str, str]:
    """The design effects as the controller hands them to the decision core; none where there is no history to look at."""
    if not history:
        return {}
    found = design_effect(history, HISTORY_STEP)
    return dict.fromkeys(names, f"{found.value:.4g} ({found.note})")
