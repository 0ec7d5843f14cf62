"""Why nothing changes now: each wait as a word, a sentence, and the time when it may be over."""

from __future__ import annotations

from typing import overload

from modelrollout.api.reasons import Reason
from modelrollout.api.scalars import FULL_WEIGHT
from modelrollout.api.status import Phase, Rejection

from .book import Book
from .capacity import need
from .moves import Wait
from .plan import PlanStep
from .situation import Problem
from .words import at, carries, exactly, percent

ROUTE_PATIENCE = 30.0
"""Seconds after which a weight that is not applied is reported with the router's own words."""


def held_back(book: Book, problem: Problem) -> Wait:
    """Something that only a person can change stands in the way."""
    under_way = book.previewed or (book.candidate is not None and book.candidate.share > 0)
    phase = Phase.PROGRESSING if under_way else Phase.LOADING
    return Wait(phase, Reason(problem.reason), problem.message, stalled=True)


def candidate_is_loading(book: Book) -> Wait:
    """The candidate's pods are not ready yet, or not for long enough."""
    candidate, rollout = book.candidate, book.status.rollout
    assert candidate is not None
    assert rollout is not None
    facts = book.facts(candidate.revision)
    if not facts.exists:
        return Wait(Phase.DEPLOYING, Reason.CREATING, f"Version {candidate.version} is being created.")
    if facts.ready >= max(1, min(candidate.replicas, book.full)) and facts.ready_since is not None:
        ready_at = facts.ready_since + book.situation.timing.ready_for
        return Wait(
            Phase.WARMING_UP,
            Reason.WARMING_UP,
            f"Version {candidate.version} is ready; its readiness is being confirmed.",
            (ready_at,),
        )
    why = f": {facts.trouble}" if facts.trouble else ""
    if rollout.loaded_at is not None:
        return pods_are_missing(book)
    left = book.plan.load_deadline - rollout.loading.seconds
    message = f"Version {candidate.version} is loading, {facts.ready} of {candidate.replicas} pods ready{why}. It must be ready by {at(book.now + left)}."
    wake = [book.now + left]
    if facts.ready_since is not None:
        wake.append(facts.ready_since + book.situation.timing.ready_for)
    return Wait(Phase.LOADING, Reason.MODEL_LOADING, message, tuple(wake))


def pods_are_missing(book: Book) -> Wait:
    """The candidate has had ready pods, but has too few for what it carries or is about to carry."""
    candidate = book.candidate
    assert candidate is not None
    facts = book.facts(candidate.revision)
    wake: list[float] = []
    if facts.ready_since is not None:
        wake.append(facts.ready_since + book.situation.timing.ready_for)
    if candidate.unready is not None and (left := book.plan.unavailable_deadline - candidate.unready.seconds) > 0:
        wake.append(book.now + left)
    growing = facts.ready >= max(1, need(book.full, candidate.share))
    reason = Reason.SCALING_UP if growing else Reason.CANDIDATE_UNREADY
    why = f": {facts.trouble}" if facts.trouble else ""
    held = carries(candidate.weight, candidate.mirror)
    message = (
        f"Holding at {held}: version {candidate.version} has {facts.ready} of {candidate.replicas} pods ready{why}."
    )
    return Wait(Phase.PROGRESSING, reason, message, tuple(wake))


def metrics_are_awaited(book: Book) -> Wait | None:
    """Before the first weight: whether the candidate can be judged at all is not known, or it cannot."""
    preflight, rollout = book.situation.preflight, book.status.rollout
    if preflight.ready or not book.plan.judged or rollout is None:
        return None
    if preflight.problem is None:
        text = "Before the first weight: stable's history and the candidate's series are looked up."
        return Wait(Phase.WARMING_UP, Reason.COLLECTING_DATA, text)
    if preflight.problem.reason != Reason.METRICS_UNAVAILABLE:
        return held_back(book, preflight.problem)
    begun = rollout.loaded_at or rollout.started_at
    overdue = book.now - begun >= book.plan.no_data_deadline
    message = f"Holding at 0 %: {preflight.problem.message}"
    wake = () if overdue else (begun + book.plan.no_data_deadline,)
    return Wait(Phase.WARMING_UP, Reason.METRICS_UNAVAILABLE, message, wake, stalled=overdue)


def mirror_is_awaited(book: Book, goal: PlanStep) -> Wait | None:
    """Before copies are made for a step: whether the gateway can, and whether the comparer is there to take them."""
    found, phase = book.situation.mirror, Phase.PROGRESSING if book.previewed else Phase.WARMING_UP
    if goal.shadow is None:
        return None
    if found.problem is not None:
        return held_back(book, found.problem)
    if not found.known:
        return Wait(phase, Reason.ROUTE_PENDING, "The gateway is asked whether it can mirror requests.")
    if goal.shadow.compare is not None and not found.compared:
        text = f"Before {carries(goal.weight, goal.mirror)}: the comparer ({book.situation.name}-comparer) has no ready pod."
        return Wait(phase, Reason.COMPARER_UNREADY, text)
    return None


def route_is_pending(book: Book) -> Wait:
    """The router has not applied the recorded weights yet."""
    route, traffic = book.situation.route, book.status.traffic
    candidate = book.candidate
    wanted = carries(candidate.weight, candidate.mirror) if candidate else percent(FULL_WEIGHT)
    wake: tuple[float, ...] = (route.since + book.situation.timing.settle,) if route.since is not None else ()
    late = traffic.set_at is not None and book.now - traffic.set_at > ROUTE_PATIENCE
    if late and route.problem:
        message = f"The router has not applied {wanted} since {at(traffic.set_at or book.now)}: {route.problem}."
        return Wait(Phase.PROGRESSING, Reason.ROUTE_NOT_ACCEPTED, message, wake)
    if traffic.set_at is not None and not late and route.problem:
        wake = (*wake, traffic.set_at + ROUTE_PATIENCE)
    return Wait(Phase.PROGRESSING, Reason.ROUTE_PENDING, f"Waiting for the router to apply {wanted}.", wake)


@overload
def stable_is_unavailable(book: Book, what: str) -> Wait: ...
@overload
def stable_is_unavailable(book: Book, what: str, *, only_if: bool) -> Wait | None: ...
def stable_is_unavailable(book: Book, what: str, *, only_if: bool = False) -> Wait | None:
    """Stable has too few ready pods for its share. With `only_if`: None where it has enough."""
    stable, candidate = book.stable, book.candidate
    if stable is None or candidate is None:
        return None if only_if else Wait(Phase.PROGRESSING, Reason.STABLE_UNAVAILABLE, "There is no stable version.")
    ready = book.ready(stable)
    needed = min(stable.replicas, max(1, need(book.full, FULL_WEIGHT - candidate.weight)))
    if only_if and ready >= needed:
        return None
    message = (
        f"Holding at {carries(candidate.weight, candidate.mirror)}: stable version {stable.version} has {ready} of {stable.replicas} pods ready, too few {what}."
        f" Repair it, or `kubectl modelrollout promote {book.situation.name}`."
    )
    facts = book.facts(stable.revision)
    wake = (facts.ready_since + book.situation.timing.ready_for,) if facts.ready_since is not None else ()
    return Wait(Phase.PROGRESSING, Reason.STABLE_UNAVAILABLE, message, wake)


def rest(book: Book) -> Wait:
    """No rollout is under way: what serves, and why it is or is not what the spec asks for."""
    return _unfulfilled(book) or _steady(book)


def _unfulfilled(book: Book) -> Wait | None:
    """Why the spec cannot be carried out, if it cannot."""
    stable, situation = book.stable, book.situation
    serving = f"version {stable.version} serves all traffic" if stable else "no version serves"
    if isinstance(situation.target, Problem):
        phase, text = Phase.HEALTHY if stable else Phase.FAILED, f"{situation.target.message} Until then {serving}."
        return Wait(phase, Reason(situation.target.reason), text, stalled=True)
    rejection = book.rejection(situation.target.revision)
    if rejection is not None:
        return _taken_back(book, rejection, serving)
    if situation.problems:
        problem = situation.problems[0]
        return Wait(Phase.HEALTHY if stable else Phase.DEPLOYING, Reason(problem.reason), problem.message, stalled=True)
    return None


def _steady(book: Book) -> Wait:
    stable = book.stable
    if stable is None:
        return Wait(Phase.DEPLOYING, Reason.CREATING, "Nothing runs yet.")
    wake: tuple[float, ...] = tuple(
        float(moment) for entry in book.status.revisions for moment in (entry.warm_until, entry.kept_until) if moment
    )
    if not book.drained and book.drained_at is not None:
        wake = (*wake, book.drained_at)
    if not book.applied:
        return route_is_pending(book)
    if not book.plan.replicas and not book.plan.autoscaled:
        return Wait(Phase.HEALTHY, Reason.SCALED_TO_ZERO, f"Version {stable.version} is stable and scaled to 0.", wake)
    warm = next((entry for entry in book.status.revisions if entry.warm_until and entry.warm_until > book.now), None)
    kept = f" Version {warm.version} stays warm until {at(warm.warm_until)}." if warm and warm.warm_until else ""
    return Wait(Phase.HEALTHY, Reason.SERVING, f"Version {stable.version} serves all traffic.{kept}", wake)


def _taken_back(book: Book, rejection: Rejection, serving: str) -> Wait:
    name = book.situation.name
    applied = book.applied
    failed = rejection.reason == Reason.MODEL_LOAD_FAILED
    phase = Phase.FAILED if failed else Phase.ROLLED_BACK if applied else Phase.ROLLING_BACK
    verb = "failed" if failed else "was taken back"
    reached = next(
        (one.weight for one in reversed(book.status.timeline) if one.revision == rejection.revision and one.weight), 0
    )
    where = f" at {percent(reached)}" if reached and not failed else ""
    message = (
        f"Version {rejection.version} {verb} at {exactly(rejection.at)}{where}: {rejection.message.rstrip('.')}. Now {serving}."
        f" Revert the change (nothing restarts), apply a newer version, raise spec.rollout.attempt, or `kubectl modelrollout retry {name}`."
        f" The whole record: `kubectl modelrollout report {name}`."
    )
    wake = [
        float(moment) for entry in book.status.revisions for moment in (entry.kept_until, entry.warm_until) if moment
    ]
    if book.drained_at is not None and not book.drained:
        wake.append(book.drained_at)
    elif not applied and book.situation.route.since is not None:
        wake.append(book.situation.route.since + book.situation.timing.settle)
    return Wait(phase, Reason(rejection.reason), message, tuple(wake), stalled=True)


def paused(book: Book) -> Wait | None:
    """Whether somebody paused the rollout, and who."""
    weight = carries(book.candidate.weight, book.candidate.mirror) if book.candidate else percent(0)
    if book.plan.paused:
        text = f"Paused at {weight}: spec.rollout.paused is true; set it to false to go on."
        return Wait(Phase.PAUSED, Reason.PAUSED_BY_SPEC, text)
    if (by := book.status.paused) is not None:
        resume = f"`kubectl modelrollout resume {book.situation.name}` goes on"
        text = f"Paused at {weight}: paused by {by.by} at {at(by.at)}; {resume}."
        return Wait(Phase.PAUSED, Reason.PAUSED_BY_COMMAND, text)
    return None


def next_text(book: Book) -> str:
    """What follows the step under way."""
    following = book.next_step
    return carries(following.weight, following.mirror) if following else "promotion"
