"""The moves of an A/B test: each takes a Book and returns the status after it, as `moves` does for a single candidate.

A move changes intent (shares, pods, roles, who takes part) and is written before anything is done about it. It does not ask whether
it is allowed: rules do.
"""

from __future__ import annotations

from collections.abc import Mapping

from modelrollout.api.reasons import Reason
from modelrollout.api.scalars import FULL_WEIGHT, Timestamp, Weight
from modelrollout.api.status import (
    EXPERIMENTS_LIMIT,
    TIMELINE_LIMIT,
    ArmStatus,
    Concluded,
    ExperimentOutcome,
    ExperimentStatus,
    MetricStatus,
    Mode,
    ModelDeploymentStatus,
    Phase,
    Problem,
    RevisionStatus,
    Role,
    RolloutStatus,
    StepStatus,
    TimelineEntry,
)

from .arms import Lane, lanes, running, shares_now
from .book import Book, Ending, change, change_each, with_history, with_rejection
from .capacity import candidate_pods
from .moves import Move, full_now, newcomer
from .situation import Arm, EventNote, Target
from .words import cut, percent, sentence


def begin(book: Book, target: Target) -> Move:
    """Record the variants at weight 0, with the pods that their shares need. Rejected ones stay out."""
    plan, stable, now = book.plan, book.stable, book.now
    assert stable is not None
    assert plan.experiment is not None
    full = full_now(book)
    status, arms, entries = book.status, [], []
    for arm in target.arms:
        rejection = book.rejection(arm.revision)
        out = None if rejection is None else Problem(reason=rejection.reason, message=rejection.message)
        arms.append(ArmStatus(name=arm.name, revision=arm.revision, out=out))
        if out is None:
            pods = candidate_pods(plan, full, plan.experiment.share(arm.name))
            entries.append(newcomer(book, arm.revision, arm.version, Role.VARIANT, pods))
    named = {entry.revision for entry in entries}
    experiment = ExperimentStatus(
        id=target.experiment,
        control=stable.revision,
        started_at=Timestamp(now),
        replicas=full,
        planned_windows=plan.planned_windows,
        variants=tuple(arms),
    )
    others = tuple(entry for entry in status.revisions if entry.revision not in named)
    status = status.model_copy(update={"revisions": (*others, *entries), "experiment": experiment})
    text = f"A/B test of version {stable.version} against {', '.join(_described(arm) for arm in target.arms)}"
    note = EventNote(Reason.EXPERIMENT_STARTED, cut(text, 900))
    return Move(status, Phase.DEPLOYING, Reason.CREATING, f"{text}: the variants are being created.", (note,))


def _described(arm: Arm) -> str:
    return f"variant {arm.name} (version {arm.version})"


def change_arm(status: ModelDeploymentStatus, name: str, **fields: object) -> ModelDeploymentStatus:
    """The status with fields of one variant's record changed."""
    assert status.experiment is not None
    arms = tuple(arm.model_copy(update=fields) if arm.name == name else arm for arm in status.experiment.variants)
    return status.model_copy(update={"experiment": status.experiment.model_copy(update={"variants": arms})})


def with_shares(
    book: Book, status: ModelDeploymentStatus, shares: Mapping[str, int], reason: str
) -> ModelDeploymentStatus:
    """The status with these weights, all others at 0 and stable at the rest; each change in the timeline, and nothing applied yet.

    In the same write stable is given the pods for it: it may have been scaled since.
    """
    now, full = book.now, book.full
    rest = FULL_WEIGHT - sum(shares.values())
    weights = {
        entry.revision: rest if entry.role is Role.STABLE else shares.get(entry.revision, 0)
        for entry in status.revisions
    }
    told = tuple(
        TimelineEntry(at=Timestamp(now), revision=entry.revision, weight=Weight(weights[entry.revision]), reason=reason)
        for entry in status.revisions
        if entry.role is not Role.STABLE and entry.weight != weights[entry.revision]
    )

    def moved(entry: RevisionStatus) -> RevisionStatus:
        grown = max(entry.replicas, full) if entry.role is Role.STABLE else entry.replicas
        return entry.model_copy(update={"weight": Weight(weights[entry.revision]), "replicas": grown})

    status = change_each(status, moved)
    traffic = status.traffic.model_copy(update={"set_at": Timestamp(now), "applied_at": None, "measured": None})
    experiment = status.experiment and status.experiment.model_copy(update={"applied_at": None})
    timeline = (*status.timeline, *told)[-TIMELINE_LIMIT:]
    return status.model_copy(update={"timeline": timeline, "traffic": traffic, "experiment": experiment})


def share_out(book: Book, shares: Mapping[str, int], reason: Reason, message: str, *, urgent: bool = False) -> Move:
    """Give the variants these shares, and stable the rest."""
    before = book.experiment
    assert before is not None
    status = with_shares(book, book.status, shares, reason)
    assert status.experiment is not None
    if before.begun_at is None:
        fresh = status.experiment.model_copy(update={"begun_at": Timestamp(book.now)})
        status = _from_here(book, status.model_copy(update={"experiment": fresh}))
    note = EventNote(Reason.WEIGHT_CHANGED, cut(message, 900), warning=urgent)
    return Move(status, Phase.PROGRESSING, reason, message, (note,), urgent=urgent)


def _from_here(book: Book, status: ModelDeploymentStatus) -> ModelDeploymentStatus:
    """The status at the beginning of the test: restarts counted from here, design effects as they were measured before."""
    for lane in running(book):
        effects = lane.measured.preflight.effects
        metrics = tuple(
            MetricStatus(name=metric.name, design_effect=effects[metric.name])
            for metric in book.plan.metrics
            if metric.name in effects
        )
        status = change_arm(status, lane.arm.name, restarts_base=lane.facts.restarts, metrics=metrics)
    return status


def take_out(book: Book, lane: Lane, ending: Ending) -> Move:
    """Take one variant out of the test for good: rejected, its share to stable. The others go on.

    Where stable has no ready pod and the variant has, its share stays until stable has one.
    """
    now, name = book.now, lane.arm.name
    status = with_rejection(book.status, lane.entry, book.plan.attempt, now, ending)
    status = change_arm(status, name, out=Problem(reason=ending.reason, message=cut(ending.message)), goal=None)
    status = with_history(status, lane.entry, now, ending, lane.arm)
    text = f"{lane.label}: {percent(lane.entry.weight)} → 0 %: {ending.message}"
    note = EventNote(Reason.VARIANT_TAKEN_OUT, cut(sentence(text), 900), warning=True)
    after = Book(book.situation, status)
    if lane.entry.weight and not book.ready(book.stable) and lane.facts.ready:
        return Move(status, Phase.PROGRESSING, Reason.STABLE_UNAVAILABLE, ending.message, (note,), urgent=True)
    return Move(
        retired(after, lane, ending.reason),
        Phase.PROGRESSING,
        Reason(ending.reason),
        ending.message,
        (note,),
        urgent=True,
    )


def retired(book: Book, lane: Lane, reason: str) -> ModelDeploymentStatus:
    """The status with a taken-out variant at weight 0; one pod stays for its logs."""
    status, revision = book.status, lane.entry.revision
    if lane.entry.weight:
        status = with_shares(book, status, shares_now(book) | {revision: 0}, reason)
    kept = Timestamp(book.now + book.plan.keep_failed) if book.plan.keep_failed else None
    return change(status, revision, role=Role.FORMER, warm_until=None, kept_until=kept)


def readmit(book: Book, lane: Lane) -> ModelDeploymentStatus:
    """The status with a taken-out variant in the test again: at weight 0, with nothing known of it."""
    name, revision = lane.arm.name, lane.entry.revision
    entry = newcomer(book, revision, lane.entry.version, Role.VARIANT, lane.pods)
    rejected = tuple(one for one in book.status.rejected if one.revision != revision)
    others = tuple(one for one in book.status.revisions if one.revision != revision)
    status = book.status.model_copy(update={"rejected": rejected, "revisions": (*others, entry)})
    assert status.experiment is not None
    fresh = ArmStatus(name=name, revision=revision, restarts_base=lane.facts.restarts)
    arms = tuple(fresh if one.name == name else one for one in status.experiment.variants)
    return status.model_copy(update={"experiment": status.experiment.model_copy(update={"variants": arms})})


def withdraw(book: Book, reason: Reason, message: str) -> Move:
    """End the test without a conclusion: all weight to stable, the pods follow after the drain."""
    note = EventNote(reason, cut(message, 900))
    return Move(_without_variants(book, reason), Phase.ROLLING_BACK, reason, message, (note,), urgent=True)


def _without_variants(book: Book, reason: str, keep: str = "") -> ModelDeploymentStatus:
    """The status without the test; of its variants only `keep` has its weight still."""
    carried = {revision: weight for revision, weight in shares_now(book).items() if weight}
    shares = {revision: weight for revision, weight in carried.items() if revision == keep}
    status = book.status
    if shares != carried:
        status = with_shares(book, status, shares, reason)
    gone = {lane.entry.revision for lane in lanes(book) if lane.entry.role is Role.VARIANT} - {keep}
    status = change_each(
        status,
        lambda entry: (
            entry.model_copy(update={"role": Role.FORMER, "warm_until": None}) if entry.revision in gone else entry
        ),
    )
    return status.model_copy(update={"experiment": None})


def conclude(book: Book, outcome: ExperimentOutcome, message: str) -> Move:
    """End the test with stable kept. The spec may still ask for it; it does not start again by itself."""
    reason = _REASONS[outcome]
    status = _concluded(book, _without_variants(book, reason), outcome, message)
    note = EventNote(reason, cut(message, 900), warning=outcome is ExperimentOutcome.FAILED)
    return Move(status, Phase.ROLLING_BACK, reason, message, (note,), urgent=True)


_REASONS = {
    ExperimentOutcome.KEPT: Reason.STABLE_KEPT,
    ExperimentOutcome.ABORTED: Reason.ABORTED,
    ExperimentOutcome.FAILED: Reason.EXPERIMENT_FAILED,
}


def choose(book: Book, lane: Lane, message: str) -> Move:
    """End the test with a winner: it is the candidate now, with the share that it has, and takes all traffic at full count."""
    experiment, now = book.experiment, book.now
    assert experiment is not None
    status = _concluded(
        book,
        _without_variants(book, Reason.WINNER_CHOSEN, keep=lane.entry.revision),
        ExperimentOutcome.WON,
        message,
        lane,
    )
    rollout = RolloutStatus(
        revision=lane.entry.revision,
        attempt=book.plan.attempt,
        mode=Mode.DIRECT,
        cause=Reason.WINNER_CHOSEN,
        started_at=Timestamp(now),
        replicas=experiment.replicas,
        loaded_at=lane.arm.loaded_at,
        restarts_base=lane.facts.restarts,
    )
    step = StepStatus(name="", index=0, total=len(book.plan.steps), started_at=Timestamp(now))
    status = change(status, lane.entry.revision, role=Role.CANDIDATE)
    status = status.model_copy(update={"rollout": rollout, "step": step, "metrics": ()})
    note = EventNote(Reason.WINNER_CHOSEN, cut(message, 900))
    return Move(status, Phase.PROMOTING, Reason.WINNER_CHOSEN, message, (note,))


def _concluded(
    book: Book, status: ModelDeploymentStatus, outcome: ExperimentOutcome, message: str, winner: Lane | None = None
) -> ModelDeploymentStatus:
    experiment = book.experiment
    assert experiment is not None
    entry = Concluded(
        id=experiment.id,
        attempt=book.plan.attempt,
        started_at=experiment.started_at,
        at=Timestamp(book.now),
        outcome=outcome,
        winner=winner.arm.name if winner else None,
        revision=winner.entry.revision if winner else None,
        version=winner.entry.version if winner else None,
        message=cut(message),
    )
    others = tuple(one for one in status.concluded if one.id != entry.id)
    return status.model_copy(update={"concluded": (*others, entry)[-EXPERIMENTS_LIMIT:], "paused": None})
