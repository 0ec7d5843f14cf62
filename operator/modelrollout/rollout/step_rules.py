"""How a candidate comes by its share: its pods, its step, the next one, and the place of stable at the end.

Rules of `rules.RULES`, the last that are asked: raising a weight is what everything else comes before.
"""

from __future__ import annotations

from modelrollout.api.reasons import Reason
from modelrollout.api.scalars import FULL_WEIGHT
from modelrollout.api.status import Phase, RevisionStatus

from .book import Book
from .capacity import candidate_pods
from .hold import step_is_over
from .in_place import stopped
from .moves import (
    Move,
    Wait,
    promote,
    recorded_pods,
    scale,
    take_all,
    weigh,
)
from .plan import PlanStep
from .situation import Problem
from .surge import next_pods, within_reach
from .waits import (
    candidate_is_loading,
    held_back,
    metrics_are_awaited,
    mirror_is_awaited,
    paused,
    pods_are_missing,
    room_is_awaited,
    route_is_pending,
    stable_is_unavailable,
)


def direct_candidate_takes_all(book: Book) -> Move | Wait | None:
    """A first version, a way back or a promotion by hand: all traffic as soon as its pods are ready, then it is stable."""
    candidate, rollout = book.candidate, book.status.rollout
    if candidate is None or not book.direct or rollout is None:
        return None
    if candidate.weight == FULL_WEIGHT and book.applied:
        return promote(book)
    if book.situation.problems:
        # Pods that cannot be made and a route that cannot be written are awaited in vain: say what is in the way.
        return held_back(book, book.situation.problems[0])
    if candidate.weight == FULL_WEIGHT:
        return route_is_pending(book)
    return _not_ready_for_all(book, candidate, rollout.cause) or take_all(book, rollout.cause)


def _not_ready_for_all(book: Book, candidate: RevisionStatus, cause: str) -> Move | Wait | None:
    if book.plan.surge is not None and book.stable is not None and book.full:
        return _climb(book, FULL_WEIGHT)
    return None if book.confirmed(candidate, _pods_to_take_all(book, cause)) else candidate_is_loading(book)


def _pods_to_take_all(book: Book, cause: str) -> int:
    """Full count, save where nothing serves: there one ready pod is better than none."""
    nothing_serves = not book.ready(book.stable)
    alone = cause in (Reason.FIRST_VERSION, Reason.STABLE_UNAVAILABLE) and nothing_serves
    return min(1, book.full) if alone else book.full


def candidate_takes_its_step(book: Book) -> Move | Wait | None:
    """The candidate is below the weight of its step: before the first step, or after it had lost its pods."""
    candidate, rollout = book.candidate, book.status.rollout
    goal = book.step or book.next_step
    if candidate is None or rollout is None or goal is None or (book.step is not None and not _rises(candidate, goal)):
        return None
    if stopped(book) and book.full and book.status.down is not None:
        # Nothing answers: only what it takes to answer is waited for.
        loading = None if book.confirmed(candidate, book.full) else candidate_is_loading(book)
        return loading or weigh(book, goal)
    if book.plan.surge is not None and book.step is not None and candidate.weight:
        return _climb(book, goal.weight) or weigh(book, goal)
    # Within a capacity there may be no room for a first pod yet.
    obstacle = _obstacle(book, candidate, max(candidate.replicas, book.plan.surge is not None), goal)
    if obstacle is None and book.step is None:
        # Back to the weight of a step that had begun is no advance; the first weight is.
        obstacle = metrics_are_awaited(book) or paused(book)
    return obstacle or weigh(book, goal)


def _rises(candidate: RevisionStatus, goal: PlanStep) -> bool:
    """Whether a step gives the candidate more than it has, in requests or in copies."""
    return candidate.weight < goal.weight or candidate.mirror < goal.mirror


def _climb(book: Book, goal: int) -> Move | Wait | None:
    """What comes before the next part of a weight within a capacity; None where the ready pods carry more than the candidate has."""
    candidate = book.candidate
    assert candidate is not None
    risen = within_reach(book, goal) > candidate.weight
    if risen and (obstacle := _obstacle(book, candidate, min(1, book.full))) is not None:
        return obstacle
    if risen:
        return None
    if grown := scale(book, next_pods(book, goal)):
        return grown
    if book.usable(candidate) < candidate.replicas or not book.applied or not book.route_as_intended:
        return _obstacle(book, candidate, candidate.replicas) or pods_are_missing(book)
    return room_is_awaited(book, goal)


def hindered(book: Book) -> Wait | None:
    """What stands in the way whatever the pods are like: the candidate is blocked, or something cannot be written or measured."""
    if blocked := book.status.rollout and book.status.rollout.blocked:
        return held_back(book, Problem(blocked.reason, blocked.message))
    for problem in (*book.situation.problems, book.situation.metrics_problem if book.plan.judged else None):
        if problem is not None:
            return held_back(book, problem)
    return None


def _obstacle(book: Book, candidate: RevisionStatus, pods: int, goal: PlanStep | None = None) -> Wait | None:
    """What keeps the candidate's weight from rising, or the share that is mirrored to it from rising to that of a step (`goal`)."""
    if (obstacle := hindered(book)) is not None:
        return obstacle
    if not book.confirmed(candidate, pods):
        return pods_are_missing(book) if candidate.share or book.previewed else candidate_is_loading(book)
    if not book.applied or not (book.route_as_intended or book.status.traffic.set_at is None):
        return route_is_pending(book)
    mirror = mirror_is_awaited(book, goal) if goal is not None else None
    return mirror or stable_is_unavailable(book, "for the next weight", only_if=True)


def step_is_held(book: Book) -> Move | Wait | None:
    """The step's hold, evidence and approval."""
    if book.candidate is None or book.step is None:
        return None
    return step_is_over(book)


def next_step_begins(book: Book) -> Move | Wait | None:
    """The step is over: first the pods that the next weight needs, then the weight."""
    candidate, following = book.candidate, book.next_step
    if candidate is None or book.step is None or following is None:
        return None
    if _rises(candidate, following):
        if grown := _as_large_as_stable_now(book, following):
            return grown
        if book.plan.surge is not None and book.stable is not None and book.full:
            return _climb(book, following.weight) or weigh(book, following)
        needed = max(recorded_pods(book)[candidate.revision], _pods_before(book, following.share))
        if moved := scale(book, {candidate.revision: needed}):
            return moved
        if obstacle := _obstacle(book, candidate, needed, following):
            return obstacle
    return weigh(book, following)


def _as_large_as_stable_now(book: Book, following: PlanStep) -> Move | None:
    """Before all traffic moves R is raised to what an autoscaler has stable run by now: for the candidate, and for the way back."""
    rollout, stable, scaled = book.status.rollout, book.stable, book.plan.autoscaled
    if rollout is None or stable is None or scaled is None or following.weight != FULL_WEIGHT:
        return None
    running = min(book.facts(stable.revision).replicas, scaled[1])
    if running <= rollout.replicas:
        return None
    status = book.status.model_copy(update={"rollout": rollout.model_copy(update={"replicas": running})})
    text = f"Stable runs {running} pods by now; the candidate gets as many before all traffic."
    return Move(status, Phase.PROGRESSING, Reason.SCALING_UP, text)


def _pods_before(book: Book, weight: int) -> int:
    """Pods to have ready before a weight. Where pods are the share, adding them early would be moving traffic early."""
    candidate = book.candidate
    assert candidate is not None
    if book.plan.router == "Service" and weight < FULL_WEIGHT:
        return candidate.replicas
    return candidate_pods(book.plan, book.full, weight)


def last_step_promotes(book: Book) -> Move | None:
    """The last step is over at 100 % applied: the candidate becomes stable."""
    candidate = book.candidate
    if candidate is None or book.step is None or candidate.weight != FULL_WEIGHT or not book.applied:
        return None
    return promote(book)
