"""Folding observations of an A/B test into the recorded state: loading, windows of guards and of the goal, covered time.

As in `evidence`, everything here is progress and changes no intent. A change of shares begins a new stretch: only windows wholly after
it was applied count, and evidence is carried over from stretch to stretch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from modelrollout.analysis.coverage import covered
from modelrollout.analysis.goal import Wanted, judge_goal
from modelrollout.analysis.means import judge_mean, paired
from modelrollout.analysis.panel import judge_all
from modelrollout.analysis.step import StepContext
from modelrollout.analysis.window import Window
from modelrollout.api.analysis import Metric, OnBreach, Ratio, StepKind
from modelrollout.api.experiment import Goal, Outcome
from modelrollout.api.scalars import Span, Timestamp
from modelrollout.api.status import (
    VARIANTS_LIMIT,
    WARM_PODS_LIMIT,
    ArmStatus,
    ExperimentStatus,
    MetricStatus,
    ModelDeploymentStatus,
    WarmUpStatus,
)

from .arms import Lane, lanes
from .book import Book
from .situation import WarmUpFacts

GOAL, SQUARES = "goal", "goal-squares"
"""Names of the goal among what is measured of a variant; no metric may have them."""


def goal_metrics(goal: Goal) -> tuple[Metric, ...]:
    """The goal as the metrics layer measures it: it gates nothing, takes nothing back, and its spread is not looked up."""
    if goal.ratio is not None:
        return (_measured(GOAL, goal.ratio),)
    assert goal.mean is not None
    amounts = ((GOAL, goal.mean.sum), (SQUARES, goal.mean.squares))
    return tuple(_measured(name, Ratio(good=found, total=goal.mean.count)) for name, found in amounts)


def _measured(name: str, ratio: Ratio) -> Metric:
    return Outcome.model_validate(
        {
            "name": name,
            "ratio": ratio.written(),
            "compare": {},
            "overdispersion": 1,
            "onBreach": OnBreach.WARN,
            "when": [StepKind.LIVE],
        }
    )


def fold_arms(book: Book, passed: float) -> ModelDeploymentStatus:
    """The status with what was observed of the variants folded in; `passed`: seconds lived through since the last fold."""
    experiment = book.experiment
    if experiment is None:
        return book.status
    found = lanes(book)
    arms = tuple(lane.arm if lane.arm.out is not None else _seen(book, lane, passed) for lane in found)
    experiment = _applied(book, experiment.model_copy(update={"variants": arms}))
    if experiment.applied_at is not None:
        weighed = {lane.arm.name: lane for lane in found if lane.arm.out is None and lane.entry.weight}
        judged = tuple(
            _judged(book, experiment, arm, weighed[arm.name]) if arm.name in weighed else arm for arm in arms
        )
        experiment = _covered(book, experiment.model_copy(update={"variants": judged}), tuple(weighed.values()), passed)
    return book.status.model_copy(update={"experiment": experiment})


def _seen(book: Book, lane: Lane, passed: float) -> ArmStatus:
    """Restarts, what golden requests have shown and, until it was first ready, the time that it takes to load."""
    arm, restarts = lane.arm, lane.facts.restarts
    news: dict[str, object] = {}
    if (shown := warmth(lane.measured.warm_up, arm.warm_up, WARM_PODS_LIMIT // VARIANTS_LIMIT)) != arm.warm_up:
        news["warm_up"] = shown
    if restarts < arm.restarts_base:
        news["restarts_base"] = restarts  # pods that had restarted are gone
    if arm.loaded_at is None:
        news["loading"] = Span.of(arm.loading.seconds + passed)
        if lane.entry.replicas and book.confirmed(lane.entry, lane.pods):
            news |= {"loaded_at": Timestamp(book.now), "restarts_base": restarts}
    return arm.model_copy(update=news) if news else arm


def warmth(facts: WarmUpFacts, before: WarmUpStatus | None, most: int) -> WarmUpStatus | None:
    """What golden requests have shown, as it is recorded, `most` pods by name; None where none are sent."""
    if not facts.definition:
        return None
    slowest = f"{1000 * facts.slowest:.0f}ms" if facts.slowest is not None else None
    if slowest is None and before is not None and before.definition == facts.definition:
        slowest = before.slowest
    return WarmUpStatus(definition=facts.definition, warm=facts.warm, slowest=slowest, pods=facts.pods[:most])


def _applied(book: Book, experiment: ExperimentStatus) -> ExperimentStatus:
    applied = book.status.traffic.applied_at
    if experiment.applied_at is not None or experiment.begun_at is None or applied is None:
        return experiment
    # After a clock that was set back: windows before were counted up to there, and must not be again.
    counted = [float(moment) for arm in experiment.variants for moment in _counted(arm) if moment is not None]
    since = Timestamp(max(float(applied), float(experiment.begun_at), *counted))
    return experiment.model_copy(update={"applied_at": since})


def _counted(arm: ArmStatus) -> tuple[Timestamp | None, ...]:
    return (*(metric.answered_at for metric in arm.metrics), arm.goal.answered_at if arm.goal else None)


def _judged(book: Book, experiment: ExperimentStatus, arm: ArmStatus, lane: Lane) -> ArmStatus:
    plan, since = book.plan, experiment.applied_at
    assert since is not None
    terms = plan.terms_of_variants
    if experiment.planned_windows not in (0, terms.planned):
        terms = replace(terms, planned=experiment.planned_windows)
    context = StepContext(kind=StepKind.LIVE, since=float(since), now=book.now, interval=plan.interval)
    known: Mapping[str, MetricStatus] = {metric.name: metric for metric in arm.metrics}
    goal = arm.goal
    if (test := plan.experiment) is not None and test.goal is not None:
        wanted = Wanted.of(test.goal, len(experiment.variants), test.assignment.kind)
        windows = lane.measured.windows
        if test.goal.mean is not None:
            goal = judge_mean(wanted, arm.goal, paired(windows.get(GOAL, ()), windows.get(SQUARES, ())), float(since))
        else:
            goal = judge_goal(wanted, arm.goal, windows.get(GOAL, ()), float(since))
    return arm.model_copy(update={"metrics": judge_all(known, lane.measured.windows, context, terms), "goal": goal})


def _covered(book: Book, experiment: ExperimentStatus, weighed: tuple[Lane, ...], passed: float) -> ExperimentStatus:
    """Count the time in which the shares were in force and, where there is a goal, every variant had answers for it."""
    since = experiment.applied_at
    assert since is not None
    if book.plan.experiment is None or book.plan.experiment.goal is None:
        route = book.situation.route.since
        lived = 0.0
        if book.situation.elapsed is not None and route is not None and book.route_as_intended:
            lived = max(0.0, min(passed, book.now - route))
        return experiment.model_copy(update={"covered": Span.of(experiment.covered.seconds + lived)})
    through = max(float(experiment.covered_through or since), float(since))
    windows: dict[str, tuple[Window, ...]] = {
        lane.entry.revision: lane.measured.windows.get(GOAL, ()) for lane in weighed
    }
    seconds, settled = covered(windows, frozenset(windows), float(since), through)
    if not book.route_as_intended:
        seconds, settled = 0.0, max(settled, through, book.now)
    news = {"covered": Span.of(experiment.covered.seconds + seconds), "covered_through": Timestamp(settled)}
    return experiment.model_copy(update=news)


def carry_arms(observed: ExperimentStatus | None, remembered: ExperimentStatus | None) -> ExperimentStatus | None:
    """The recorded test with progress that this process has folded but not written yet, if both speak of the same stretch of it."""
    if observed is None or remembered is None or stretch(observed) != stretch(remembered):
        return observed
    known = {arm.name: arm for arm in remembered.variants}
    arms = tuple(
        arm.model_copy(update={name: getattr(known[arm.name], name) for name in ("loading", "metrics", "goal")})
        for arm in observed.variants
    )
    progress = {"variants": arms, "covered": remembered.covered, "covered_through": remembered.covered_through}
    return observed.model_copy(update=progress)


def stretch(one: ExperimentStatus) -> tuple[object, ...]:
    """What tells one stretch of a test from another: the test, its shares being in force, who takes part."""
    arms = tuple((arm.name, arm.revision, arm.loaded_at, arm.out) for arm in one.variants)
    return (one.id, one.started_at, one.begun_at, one.applied_at, arms)
