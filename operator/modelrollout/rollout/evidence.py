"""Folding observations into the recorded state: readiness, applied weights, observed time, windows of metrics.

Everything here is *progress*: it says what was seen and changes no intent. Time is counted, not compared: `tick` is what this
process has really lived through since it last looked, so that a wall clock that jumps claims nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from modelrollout.analysis.coverage import covered
from modelrollout.analysis.panel import judge_all
from modelrollout.analysis.step import StepContext
from modelrollout.analysis.step import gating as gating_names
from modelrollout.analysis.window import Window
from modelrollout.api.analysis import Metric, StepKind
from modelrollout.api.scalars import FULL_WEIGHT, Span, Timestamp
from modelrollout.api.status import (
    WARM_PODS_LIMIT,
    MetricStatus,
    ModelDeploymentStatus,
    RevisionStatus,
    RolloutStatus,
    StepStatus,
)

from .arm_evidence import carry_arms, fold_arms, stretch, warmth
from .book import Book, change, change_each
from .plan import PlanStep
from .situation import Situation

RESTART_ALLOWANCE = 60.0
"""Seconds that deadlines may count for a gap in which no process looked; covered time counts none of it."""


def tick(situation: Situation) -> float:
    """Seconds to count towards deadlines since the status was last counted on."""
    seen = situation.status.seen_at
    if seen is None:
        return 0.0
    passed = situation.now - seen
    lived = RESTART_ALLOWANCE if situation.elapsed is None else situation.elapsed
    return max(0.0, min(passed, lived))


def fold(situation: Situation) -> ModelDeploymentStatus:
    """The recorded status with everything that was observed since folded in."""
    status = _revisions(situation, situation.status, tick(situation))
    status = _traffic(Book(situation, status))
    status = _warm(situation, status)
    status = _rollout(Book(situation, status), tick(situation))
    status = fold_arms(Book(situation, status), tick(situation))
    under_way = status.rollout is not None or status.experiment is not None
    counting = under_way or any(entry.unready is not None for entry in status.revisions)
    return status.model_copy(update={"seen_at": Timestamp(situation.now) if counting else None})


def _revisions(situation: Situation, status: ModelDeploymentStatus, passed: float) -> ModelDeploymentStatus:
    def seen(entry: RevisionStatus) -> RevisionStatus:
        facts = situation.revisions.get(entry.revision)
        ready = facts.ready if facts else 0
        if ready or not entry.replicas:
            unready = None
        else:
            unready = Span.of((entry.unready.seconds if entry.unready else 0.0) + (passed if entry.unready else 0.0))
        if ready == entry.ready_replicas and unready == entry.unready:
            return entry
        return entry.model_copy(update={"ready_replicas": ready, "unready": unready})

    return change_each(status, seen)


def _traffic(book: Book) -> ModelDeploymentStatus:
    status, route = book.status, book.situation.route
    if status.traffic.applied_at is not None or status.traffic.set_at is None or not book.route_as_intended:
        return status
    if route.since is None or book.now - route.since < book.situation.timing.settle:
        return status
    traffic = status.traffic.model_copy(update={"applied_at": Timestamp(book.now)})
    return status.model_copy(update={"traffic": traffic})


def _warm(situation: Situation, status: ModelDeploymentStatus) -> ModelDeploymentStatus:
    """What the golden requests have shown, on its record: a restart of the operator asks none of these pods again."""
    rollout = status.rollout
    if rollout is None or (shown := warmth(situation.warm_up, rollout.warm_up, WARM_PODS_LIMIT)) == rollout.warm_up:
        return status
    return status.model_copy(update={"rollout": rollout.model_copy(update={"warm_up": shown})})


def _rollout(book: Book, passed: float) -> ModelDeploymentStatus:
    status, rollout, candidate = book.status, book.status.rollout, book.candidate
    if rollout is None or candidate is None:
        return status
    if (waited := _unscheduled(book, rollout, passed)) != rollout.unscheduled:
        rollout = rollout.model_copy(update={"unscheduled": waited})
        status = status.model_copy(update={"rollout": rollout})
    restarts = book.facts(candidate.revision).restarts
    if restarts < rollout.restarts_base:
        # Pods that had restarted are gone; what the others do is counted from where they stand.
        rollout = rollout.model_copy(update={"restarts_base": restarts})
        status = status.model_copy(update={"rollout": rollout})
    if rollout.loaded_at is None:
        loaded = Timestamp(book.now) if candidate.replicas and book.confirmed(candidate, _first_need(book)) else None
        waits = book.plan.surge is not None and book.facts(candidate.revision).unschedulable
        loading = Span.of(rollout.loading.seconds + (passed if _loads(book, candidate) and not waits else 0.0))
        news: dict[str, object] = {"loading": loading, "loaded_at": loaded}
        # Until here a restart is part of loading, which has its deadline; from here on it is a fault.
        rollout = rollout.model_copy(update=news | ({"restarts_base": restarts} if loaded else {}))
        status = status.model_copy(update={"rollout": rollout})
        if loaded and candidate.load is None:
            status = change(status, candidate.revision, load=loading)
    return _step(Book(book.situation, status), passed)


def _unscheduled(book: Book, rollout: RolloutStatus, passed: float) -> Span | None:
    if book.plan.surge is None or not book.facts(rollout.revision).unschedulable:
        return None
    return Span.of(rollout.unscheduled.seconds + passed) if rollout.unscheduled is not None else Span("0s")


def _loads(book: Book, candidate: RevisionStatus) -> bool:
    """Whether it is loading: not while the version whose place it takes is still going."""
    return bool(candidate.replicas) or not book.plan.in_place


def _first_need(book: Book) -> int:
    return book.pods_needed if not book.direct else min(1, book.pods_needed)


def _step(book: Book, passed: float) -> ModelDeploymentStatus:
    status, step = book.status, book.status.step
    if step is None or step.index == 0 or book.direct or book.step is None:
        return status
    if book.candidate is not None and book.rejection(book.candidate.revision) is not None:
        return status  # it has been judged, and only waits for a place to give its weight to
    if step.applied_at is None:
        if status.traffic.applied_at is None or not candidate_holds(book, book.step):
            return status
        # After a clock that was set back: windows of the step before were counted there, and must not be again.
        counted = (metric.answered_at for metric in status.metrics if metric.answered_at is not None)
        applied_at = Timestamp(max(status.traffic.applied_at, step.started_at, *counted))
        step, passed = step.model_copy(update={"applied_at": applied_at}), 0.0
        book = Book(book.situation, status.model_copy(update={"step": step}))
    assert book.step is not None
    metrics = _judged(book, book.step, step)
    step = step.model_copy(update={"spent": Span.of(step.spent.seconds + passed)})
    step = _covered(book, step, passed)
    return status.model_copy(update={"step": step, "metrics": metrics})


def candidate_holds(book: Book, step: PlanStep) -> bool:
    """Whether the candidate has the step's weight, or the copies that it asks for; within a capacity, a part of it that is judged on the way."""
    candidate = book.candidate
    if candidate is None:
        return False
    climbs = book.plan.surge is not None and 0 < candidate.weight < step.weight
    return climbs or (candidate.weight, candidate.mirror) == (step.weight, step.mirror)


def _judged(book: Book, plan_step: PlanStep, step: StepStatus) -> tuple[MetricStatus, ...]:
    assert step.applied_at is not None
    plan, rollout = book.plan, book.status.rollout
    context = StepContext(
        kind=plan_step.kind,
        since=float(step.applied_at),
        now=book.now,
        interval=plan.interval,
        certify=plan_step is plan.last_live_step,
        left=plan_step.max_duration - step.spent.seconds,
    )
    terms = plan.terms
    if rollout is not None and rollout.planned_windows not in (0, terms.planned):
        terms = replace(terms, planned=rollout.planned_windows)
    known = {metric.name: metric for metric in book.status.metrics}
    return judge_all(known, book.situation.windows, context, terms)


MEASURABLE = 500
"""Requests in a step from which on the measured share is held against the weight."""
_FAR = 6.0
"""Standard deviations: independent requests stray so far once in a billion times."""
_MUCH = 0.3
"""Part of the weight by which the share must differ to be worth a word."""


def measured(metrics: Iterable[MetricStatus]) -> tuple[int, int]:
    """Requests of the candidate and of both versions in the step, by the metric that saw most."""
    seen = [(metric.requests, metric.requests + metric.stable_requests) for metric in metrics]
    return max(seen, key=lambda pair: pair[1], default=(0, 0))


def traffic_astray(book: Book) -> str | None:
    """The candidate's measured share in words where it differs from its weight for long; else None."""
    candidate = book.candidate
    got, total = measured(book.status.metrics)
    if candidate is None or total < MEASURABLE or not 0 < candidate.weight < FULL_WEIGHT:
        return None
    share = candidate.weight.fraction
    spread = (total * share * (1 - share)) ** 0.5
    if abs(got - total * share) < max(_FAR * spread, _MUCH * total * share):
        return None
    return f"{100 * got / total:.0f} %"


def gating(metrics: Iterable[Metric], statuses: Iterable[MetricStatus], kind: StepKind) -> tuple[MetricStatus, ...]:
    """What the metrics say that a step of this kind waits for; a metric that was never judged says Continue."""
    by_name = {status.name: status for status in statuses}
    names = gating_names(metrics, kind)
    return tuple(by_name.get(metric.name, MetricStatus(name=metric.name)) for metric in metrics if metric.name in names)


def _covered(book: Book, step: StepStatus, passed: float) -> StepStatus:
    """Count the time in which the route was as intended and, where metrics gate the step, windows had answers."""
    assert book.step is not None
    assert step.applied_at is not None
    names = gating_names(book.plan.metrics, book.step.kind)
    if not names:
        lived = min(passed, _lasted(book)) if book.situation.elapsed is not None else 0.0
        # Should an edit have metrics gate the step again, windows of this time must not be counted beside it.
        settled = Timestamp(max(step.covered_through, book.now)) if step.covered_through is not None else None
        return step.model_copy(update={"covered": Span.of(step.covered.seconds + lived), "covered_through": settled})
    begun = book.now if step.covered.seconds else step.applied_at
    start = float(step.covered_through or begun)
    windows: dict[str, tuple[Window, ...]] = {name: book.situation.windows.get(name, ()) for name in names}
    seconds, through = covered(windows, names, float(step.applied_at), start)
    if not book.route_as_intended:
        # Nothing of the time until now counts, not even of a window that ends later.
        seconds, through = 0.0, max(through, start, book.now)
    return step.model_copy(
        update={"covered": Span.of(step.covered.seconds + seconds), "covered_through": Timestamp(through)}
    )


def _lasted(book: Book) -> float:
    """For how long, up to now, the route has been as intended and the candidate has answered without a break."""
    assert book.candidate is not None
    route, ready = book.situation.route.since, book.facts(book.candidate.revision).ready_since
    if route is None or ready is None or not book.route_as_intended or not book.ready(book.candidate):
        return 0.0
    return max(0.0, book.now - max(route, ready))


def carry(observed: ModelDeploymentStatus, remembered: ModelDeploymentStatus | None) -> ModelDeploymentStatus:
    """The observed status with progress that this process has folded but not written yet.

    Only if both speak of the same step of the same rollout at the same applied weight; otherwise what was written wins.
    """
    if remembered is None or (observed.rollout is None and observed.experiment is None):
        return observed
    if _identity(observed) != _identity(remembered) or (remembered.seen_at or 0.0) < (observed.seen_at or 0.0):
        return observed
    known = {entry.revision: entry for entry in remembered.revisions}
    status = change_each(
        observed,
        lambda entry: (
            entry.model_copy(
                update={
                    "unready": known[entry.revision].unready,
                    "ready_replicas": known[entry.revision].ready_replicas,
                }
            )
            if entry.revision in known
            else entry
        ),
    )
    progress: dict[str, object] = {"metrics": remembered.metrics, "seen_at": remembered.seen_at}
    progress["experiment"] = carry_arms(observed.experiment, remembered.experiment)
    if observed.rollout and remembered.rollout:
        waited = {name: getattr(remembered.rollout, name) for name in ("loading", "unscheduled")}
        progress["rollout"] = observed.rollout.model_copy(update=waited)
    if observed.step and remembered.step:
        counted = {name: getattr(remembered.step, name) for name in ("covered", "covered_through", "spent")}
        progress["step"] = observed.step.model_copy(update=counted)
    return status.model_copy(update=progress)


def progress(status: ModelDeploymentStatus) -> ModelDeploymentStatus:
    """What `carry` reads of a status that is remembered, alone: thousands are."""
    return ModelDeploymentStatus(
        plan=status.plan,
        revisions=status.revisions,
        rollout=status.rollout,
        step=status.step,
        metrics=status.metrics,
        experiment=status.experiment,
        traffic=status.traffic,
        seen_at=status.seen_at,
    )


def _identity(status: ModelDeploymentStatus) -> tuple[object, ...]:
    rollout, step = status.rollout, status.step
    return (
        rollout and (rollout.revision, rollout.started_at, rollout.mode, rollout.loaded_at),
        step and (step.name, step.index, step.started_at, step.applied_at),
        status.experiment and stretch(status.experiment),
        status.traffic.set_at,
        status.traffic.applied_at,
        status.plan,
    )
