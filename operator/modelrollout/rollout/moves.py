"""The transitions of a rollout: each takes a Book and returns the status after it, with a word and a sentence about why.

A move changes intent (weights, pods, roles) and is written before anything is done about it. Moves do not ask whether they are
allowed: rules do.
"""

from __future__ import annotations

from dataclasses import dataclass

from modelrollout.api.reasons import Reason
from modelrollout.api.scalars import FULL_WEIGHT, Span, Timestamp, Weight
from modelrollout.api.status import (
    MetricStatus,
    Mode,
    ModelDeploymentStatus,
    Outcome,
    Phase,
    Problem,
    RevisionStatus,
    Role,
    RolloutStatus,
    StepStatus,
)

from .book import (
    NOTHING_COVERED,
    Book,
    Ending,
    change,
    change_each,
    unseen,
    with_history,
    with_mirror,
    with_rejection,
    with_step,
    with_weight,
    without_rollout,
)
from .capacity import candidate_pods, stable_pods
from .in_place import in_the_place, pods_in_place, stopped, with_order
from .outlook import outlook
from .plan import PlanStep
from .situation import EventNote, Target
from .surge import pods_within, room, within_reach
from .words import carries, cut, percent


@dataclass(frozen=True, slots=True)
class Move:
    """A change of the recorded state. `urgent`: it takes traffic away from a version that must not have it."""

    status: ModelDeploymentStatus
    phase: Phase
    reason: Reason
    message: str
    events: tuple[EventNote, ...] = ()
    urgent: bool = False


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing changes now. `wake`: when a wait may be over. `stalled`: only a person can end it."""

    phase: Phase
    reason: Reason
    message: str
    wake: tuple[float, ...] = ()
    stalled: bool = False


NEVER_SERVED = (Reason.MODEL_LOAD_FAILED, Reason.WARM_UP_FAILED, Reason.NO_CAPACITY)
"""Reasons for which a candidate that had no traffic has failed; no other was ever tried."""


def start(book: Book, target: Target, mode: Mode, cause: str) -> Move:
    """Record a candidate: weight 0, the pods that its first weight needs."""
    plan, now, stable = book.plan, book.now, book.stable
    full = full_now(book)
    first = FULL_WEIGHT if mode is Mode.DIRECT else plan.steps[0].share
    pods = full if mode is Mode.DIRECT else candidate_pods(plan, full, first)
    if plan.in_place and (stable is not None or in_the_place(book, target.revision)):
        pods = 0
    if plan.surge is not None and stable is not None and full:
        pods = min(pods, plan.surge, room(book, target.revision))
    entry = newcomer(book, target.revision, target.version, Role.CANDIDATE, pods)
    others = tuple(other for other in book.status.revisions if other.revision != target.revision)
    rollout = RolloutStatus(
        revision=target.revision,
        attempt=plan.attempt,
        mode=mode,
        cause=cause,
        started_at=Timestamp(now),
        replicas=full,
        restarts_base=book.facts(target.revision).restarts,
        planned_windows=plan.planned_windows if plan.metrics and mode is Mode.STEPS else 0,
    )
    step = StepStatus(name="", index=0, total=len(plan.steps), started_at=Timestamp(now))
    status = book.status.model_copy(
        update={"revisions": (*others, entry), "rollout": rollout, "step": step, "metrics": ()}
    )
    text = f"Revision {target.revision} from version {target.version}"
    return Move(
        status,
        Phase.DEPLOYING,
        Reason.CREATING,
        f"Version {target.version} is being created.",
        (EventNote(Reason.CANDIDATE_CREATED, text),),
    )


def full_now(book: Book) -> int:
    """R for what begins now: as many as an autoscaler has stable run, else as many as the plan has."""
    stable, plan = book.stable, book.plan
    return (book.facts(stable.revision).replicas if plan.autoscaled and stable else 0) or plan.replicas


def newcomer(book: Book, revision: str, version: str, role: Role, pods: int) -> RevisionStatus:
    """An entry at weight 0. One that was running keeps its pods until the requests that it may still get are over."""
    before = book.entry(revision)
    if before is not None and not book.drained:
        pods = max(pods, before.replicas)
    ready = book.facts(revision).ready
    return RevisionStatus(revision=revision, version=version, role=role, replicas=pods, ready_replicas=ready)


def weigh(book: Book, step: PlanStep) -> Move:
    """Give the candidate a step's weight and begin that step."""
    candidate, now = book.candidate, book.now
    assert candidate is not None
    status, weight = book.status, within_reach(book, step.weight)
    events: tuple[EventNote, ...] = ()
    begun = status.step
    other = begun is None or begun.weight not in (None, step.weight) or begun.mirror != step.mirror
    if other or begun is None or begun.name != step.name or begun.index == 0:
        if book.step is None and (expected := outlook(book.plan, book.situation.preflight)):
            status = _expecting(status, expected)
            events = (EventNote(Reason.UNDERPOWERED, expected, warning=True),)
        status = _restarts_from_here(book, with_step(_with_effects(book, status), book.plan, step, now))
    elif weight != candidate.weight and begun.weight:
        # On the way up within a capacity each part is judged by its own windows.
        again = begun.model_copy(update=NOTHING_COVERED | {"spent": Span("0s")})
        status = status.model_copy(update={"step": again, "metrics": unseen(status.metrics)})
    if (candidate.weight, candidate.mirror) != (weight, step.mirror):
        status = with_weight(status, candidate.revision, weight, now, f"step {step.name}")
        status = with_mirror(status, candidate.revision, step.mirror)
        status = change(status, candidate.revision, replicas=_pods_at(book, max(weight, step.mirror)))
        if book.stable is not None:
            needed = stable_pods(book.plan, book.full, weight)
            status = change(status, book.stable.revision, replicas=max(book.stable.replicas, needed))
    index = book.plan.steps.index(step) + 1
    where = f"step {index} of {len(book.plan.steps)}"
    was, now_has = carries(candidate.weight, candidate.mirror), carries(weight, step.mirror)
    text = f"Version {candidate.version}: {was} → {now_has} ({where})"
    note, message = EventNote(Reason.WEIGHT_CHANGED, text), f"gets {percent(weight)} of traffic"
    if step.mirror:
        message = f"is mirrored: it gets copies of {percent(step.mirror)} of requests and answers nobody"
        note = EventNote(Reason.MIRRORING, f"Version {candidate.version} {message} ({where})")
    elif not step.weight and not candidate.share:
        message = "is previewed: it answers testers, and nobody else"
        note = EventNote(Reason.PREVIEWING, f"Version {candidate.version} {message} ({where})")
    text = f"Version {candidate.version} {message}."
    return Move(status, Phase.PROGRESSING, Reason.ROUTE_PENDING, text, (note, *events))


def _expecting(status: ModelDeploymentStatus, expected: str) -> ModelDeploymentStatus:
    assert status.rollout is not None
    return status.model_copy(update={"rollout": status.rollout.model_copy(update={"outlook": cut(expected, 512)})})


def _with_effects(book: Book, status: ModelDeploymentStatus) -> ModelDeploymentStatus:
    """The design effects as measured before the first weight: they stay the same for the whole rollout."""
    if status.metrics:
        return status
    effects = book.situation.preflight.effects
    metrics = tuple(
        MetricStatus(name=metric.name, design_effect=effects.get(metric.name))
        for metric in book.plan.metrics
        if metric.name in effects
    )
    return status.model_copy(update={"metrics": metrics})


def _pods_at(book: Book, weight: int) -> int:
    assert book.candidate is not None
    if book.plan.in_place:
        return book.candidate.replicas  # it has what it gets, once its place is free
    pods = candidate_pods(book.plan, book.full, weight)
    # A share that is made of pods moves with them; a routed one must never have fewer than were confirmed ready.
    return pods if book.plan.router == "Service" else max(pods, book.candidate.replicas)


def _restarts_from_here(book: Book, status: ModelDeploymentStatus) -> ModelDeploymentStatus:
    assert status.rollout is not None
    base = book.facts(status.rollout.revision).restarts
    return status.model_copy(update={"rollout": status.rollout.model_copy(update={"restarts_base": base})})


def take_all(book: Book, reason: str) -> Move:
    """Give the candidate all traffic at once; within a capacity, as much as its ready pods carry."""
    candidate = book.candidate
    assert candidate is not None
    weight = within_reach(book, FULL_WEIGHT)
    status = with_weight(book.status, candidate.revision, weight, book.now, reason)
    text = f"Version {candidate.version}: {percent(candidate.weight)} → {percent(weight)} ({reason})"
    share = "all traffic" if weight == FULL_WEIGHT else f"{percent(weight)} of traffic"
    return Move(
        status,
        Phase.PROMOTING,
        Reason.ROUTE_PENDING,
        f"Version {candidate.version} gets {share}.",
        (EventNote(Reason.WEIGHT_CHANGED, text),),
    )


def give_back(book: Book, reason: Reason, message: str, *, blocked: bool = False) -> Move:
    """Take the candidate's weight away without rejecting it: it may come back."""
    candidate = book.candidate
    assert candidate is not None
    status = _all_to_stable(book, book.status, reason)
    if status.step is not None:
        # What was covered belongs to another appliedAt: a candidate that comes and goes must not collect its hold in bits.
        step = status.step.model_copy(update=NOTHING_COVERED)
        status = status.model_copy(update={"step": step, "metrics": unseen(status.metrics)})
    if blocked and status.rollout is not None:
        problem = Problem(reason=reason, message=cut(message))
        status = status.model_copy(update={"rollout": status.rollout.model_copy(update={"blocked": problem})})
    text = f"Version {candidate.version}: {carries(candidate.weight, candidate.mirror)} → 0 %: {message}"
    note = EventNote(Reason.WEIGHT_CHANGED, text, warning=True)
    return Move(status, Phase.PROGRESSING, reason, message, (note,), urgent=True)


def _all_to_stable(book: Book, status: ModelDeploymentStatus, reason: Reason) -> ModelDeploymentStatus:
    """All weight to stable, and in the same write the pods that it needs: where pods are the share it has had fewer."""
    candidate, stable = book.candidate, book.stable
    assert candidate is not None
    status = with_weight(status, candidate.revision, 0, book.now, reason)
    if stable is None:
        return status
    if stopped(book):
        status = with_order(book, status)
    return change(status, stable.revision, replicas=max(stable.replicas, stable_pods(book.plan, book.full, 0)))


def reject(book: Book, outcome: Outcome, reason: Reason, message: str) -> Move:
    """Reject the candidate and take its weight away at once.

    Where stable has no ready pod and the candidate has, moving would turn a bad answer into none: the rejection is recorded
    and the weight follows as soon as stable has a ready pod.
    """
    candidate = book.candidate
    assert candidate is not None
    ending = Ending(outcome, reason, message)
    status = with_rejection(book.status, candidate, book.plan.attempt, book.now, ending)
    status = status.model_copy(update={"paused": None})
    text = f"Version {candidate.version}: {_taken(candidate)}: {message}"
    noted = EventNote(Reason.ROLLED_BACK, cut(text, 900), warning=True)
    if must_keep_weight(book):
        problem = Problem(reason=reason, message=cut(message))
        rollout = status.rollout.model_copy(update={"blocked": problem}) if status.rollout else None
        return Move(
            status.model_copy(update={"rollout": rollout}),
            Phase.ROLLING_BACK,
            Reason.STABLE_UNAVAILABLE,
            message,
            (noted,),
            urgent=True,
        )
    return leave(Book(book.situation, status), ending, (noted,))


def _taken(candidate: RevisionStatus) -> str:
    return f"{carries(candidate.weight, candidate.mirror)} → 0 %" if candidate.share else "taken back at 0 %"


def must_keep_weight(book: Book) -> bool:
    """Whether taking the candidate's weight would send requests to no ready pod at all."""
    return (
        book.candidate is not None
        and book.candidate.weight > 0
        and not stopped(book)  # it gets none before the candidate has gone
        and not book.ready(book.stable)
        and book.ready(book.candidate) > 0
    )


def leave(book: Book, ending: Ending, events: tuple[EventNote, ...] = ()) -> Move:
    """End the rollout without promotion: all weight to stable, the candidate's pods follow after the drain."""
    candidate, status, reason = book.candidate, book.status, Reason(ending.reason)
    assert candidate is not None
    if candidate.share:
        status = _all_to_stable(book, status, reason)
    rejected = book.rejection(candidate.revision) is not None
    kept = _kept_until(book) if rejected else None
    status = with_history(status, candidate, book.now, ending)
    status = change(
        status, candidate.revision, role=Role.FORMER, warm_until=None, kept_until=kept, effective_weight=None
    )
    phase = Phase.FAILED if reason in NEVER_SERVED and not candidate.weight else Phase.ROLLING_BACK
    return Move(without_rollout(status), phase, reason, ending.message, events, urgent=True)


def _kept_until(book: Book) -> Timestamp | None:
    """How long a pod of a rejected version stays for its logs; none does whose place is needed."""
    if not book.plan.keep_failed or book.plan.in_place:
        return None
    return Timestamp(book.now + book.plan.keep_failed)


def promote(book: Book) -> Move:
    """The one write that makes the candidate stable. The former stable stays warm, unless it was rejected."""
    candidate, stable, now = book.candidate, book.stable, book.now
    assert candidate is not None
    rejected = stable is not None and book.rejection(stable.revision) is not None
    stays = book.plan.scale_down_delay and not rejected and not book.plan.in_place
    warm = Timestamp(now + book.plan.scale_down_delay) if stays else None
    kept = _kept_until(book) if rejected else None
    cause = book.status.rollout.cause if book.status.rollout else ""
    text = f"Version {candidate.version} is stable" + (f" ({cause})" if cause else "")
    status = with_history(book.status, candidate, now, Ending(Outcome.PROMOTED, cause, text))

    def swapped(entry: RevisionStatus) -> RevisionStatus:
        if entry.revision == candidate.revision:
            return entry.model_copy(update={"role": Role.STABLE, "replicas": max(entry.replicas, book.full)})
        if stable is not None and entry.revision == stable.revision:
            return entry.model_copy(
                update={"role": Role.FORMER, "weight": Weight(0), "warm_until": warm, "kept_until": kept}
            )
        return entry

    status = without_rollout(change_each(status, swapped)).model_copy(update={"paused": None})
    return Move(status, Phase.HEALTHY, Reason.PROMOTED, f"{text}.", (EventNote(Reason.PROMOTED, text),))


def scale(book: Book, pods: dict[str, int]) -> Move | None:
    """Record other pod counts; None if they are what is recorded."""
    changed = {
        entry.revision for entry in book.status.revisions if pods.get(entry.revision, entry.replicas) != entry.replicas
    }
    if not changed:
        return None
    status = change_each(
        book.status,
        lambda entry: (
            entry.model_copy(update={"replicas": pods[entry.revision]}) if entry.revision in changed else entry
        ),
    )
    down = status.down
    if down is not None and book.plan.in_place and any(pods.get(name) for name in changed):
        # The version that is to serve has its pods: from here on it loads.
        status = status.model_copy(update={"down": down.model_copy(update={"started_at": Timestamp(book.now)})})
    phase = Phase.PROGRESSING if book.candidate else Phase.HEALTHY
    return Move(status, phase, Reason.SCALING_UP, "Pod counts follow the plan.")


def stop(book: Book) -> Move:
    """Order stable down, so that the candidate can have its place."""
    stable, candidate = book.stable, book.candidate
    assert stable is not None
    assert candidate is not None
    status = with_order(book, change(book.status, stable.revision, replicas=0))
    text = f"Version {stable.version} is stopped, so that version {candidate.version} can start; nothing answers until it is ready"
    note = EventNote(Reason.STOPPED_FOR_REPLACEMENT, text, warning=True)
    return Move(status, Phase.DEPLOYING, Reason.REPLACING, f"{text}.", (note,))


def recorded_pods(book: Book) -> dict[str, int]:
    """The pod counts that stable and candidate should have now, by the capacity rule."""
    plan, stable, candidate = book.plan, book.stable, book.candidate
    if plan.in_place:
        return pods_in_place(book)
    if plan.surge is not None and book.full:
        return pods_within(book)
    pods: dict[str, int] = {}
    if candidate is None:
        if stable is not None:
            pods[stable.revision] = plan.replicas if book.experiment is None else book.full
        return pods
    full = book.full
    if book.direct:
        pods[candidate.revision] = full
    else:
        now = book.pods_needed
        later = candidate_pods(plan, full, book.next_step.share) if book.next_step else now
        most = max(now, later) if book.drained else max(now, later, candidate.replicas)
        pods[candidate.revision] = min(max(candidate.replicas, now), most)
    if stable is not None:
        kept = stable_pods(plan, full, 0 if book.direct else candidate.weight)
        caught_up = book.ready(candidate) >= pods[candidate.revision]
        pods[stable.revision] = kept if caught_up or kept > stable.replicas else max(kept, min(stable.replicas, full))
    return pods
