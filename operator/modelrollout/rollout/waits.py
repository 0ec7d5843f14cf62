"""Why nothing changes now: each wait as a word, a sentence, and the time when it may be over."""

from __future__ import annotations

from dataclasses import replace
from typing import overload

from modelrollout.api.reasons import Reason
from modelrollout.api.scalars import FULL_WEIGHT
from modelrollout.api.status import Concluded, ExperimentOutcome, Phase, Rejection, Role

from .book import Book
from .capacity import need
from .in_place import in_the_place, stopped
from .moves import NEVER_SERVED, Wait
from .plan import PlanStep
from .situation import Problem, Target
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
    if (crowded := _no_capacity(book)) is not None:
        return crowded
    if (warming := pods_are_cold(book)) is not None and rollout.loaded_at is None:
        return warming
    if facts.ready >= max(1, min(candidate.replicas, book.full)) and facts.ready_since is not None:
        return Wait(
            Phase.WARMING_UP,
            Reason.WARMING_UP,
            f"Version {candidate.version} is ready; its readiness is being confirmed.",
            book.confirmed_at(facts),
        )
    why = f": {facts.trouble}" if facts.trouble else ""
    if rollout.loaded_at is not None:
        return pods_are_missing(book)
    left = book.plan.load_deadline - rollout.loading.seconds
    message = f"Version {candidate.version} is loading, {facts.ready} of {candidate.replicas} pods ready{why}. It must be ready by {at(book.now + left)}."
    return Wait(Phase.LOADING, Reason.MODEL_LOADING, message, (book.now + left, *book.confirmed_at(facts)))


def pods_are_cold(book: Book) -> Wait | None:
    """Enough pods of the candidate are ready, and they have not answered all golden requests yet; None where that is not so."""
    candidate, rollout, found = book.candidate, book.status.rollout, book.situation.warm_up
    if candidate is None or rollout is None or not book.warms_up:
        return None
    ready = book.ready(candidate)
    if not ready or ready < min(candidate.replicas, book.full) or book.usable(candidate) >= ready:
        return None
    told = f"{found.warm} of {ready} ready pods of version {candidate.version} have answered the golden requests"
    left = book.plan.load_deadline - rollout.loading.seconds
    bound, wake = "", ((book.now + left,) if rollout.loaded_at is None else ())
    if rollout.loaded_at is None:
        bound = f" All must have by {at(book.now + left)}."
    phase = Phase.PROGRESSING if candidate.weight or book.previewed else Phase.WARMING_UP
    if found.trouble:
        return Wait(phase, Reason.WARM_UP_UNANSWERED, f"{told}: {found.trouble}.{bound}", wake)
    return Wait(phase, Reason.WARMING_UP, f"{told}.{bound}", wake)


def pods_are_missing(book: Book) -> Wait:
    """The candidate has had ready pods, but has too few for what it carries or is about to carry."""
    candidate = book.candidate
    assert candidate is not None
    if (warming := pods_are_cold(book) or _no_capacity(book)) is not None:
        return warming
    facts = book.facts(candidate.revision)
    wake = [*book.confirmed_at(facts)]
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


def room_is_awaited(book: Book, goal: int) -> Wait:
    """Within a capacity: pods of the other version are on their way out, or are about to be sent there."""
    candidate = book.candidate
    assert candidate is not None
    message = f"At {percent(candidate.weight)} on the way to {percent(goal)}: the next pod starts as soon as one of the other version is gone."
    return Wait(Phase.PROGRESSING, Reason.SCALING_UP, message)


def _no_capacity(book: Book) -> Wait | None:
    """Within a capacity: no node has room for the candidate's next pod; None where that is not so."""
    candidate, rollout = book.candidate, book.status.rollout
    if candidate is None or rollout is None or rollout.unscheduled is None:
        return None
    left = book.plan.scheduling_deadline - rollout.unscheduled.seconds
    trouble = book.facts(candidate.revision).trouble
    phase = Phase.PROGRESSING if candidate.weight or book.previewed else Phase.LOADING
    message = f"Holding at {percent(candidate.weight)}: no node has room for version {candidate.version}: {trouble}."
    if not candidate.weight:
        message += f" It is taken back at {at(book.now + left)}."
    return Wait(phase, Reason.NO_CAPACITY, message, (book.now + left,) if left > 0 else (), stalled=left <= 0)


def place_is_awaited(book: Book) -> Wait:
    """Pods that are in the candidate's place are on their way out."""
    candidate = book.candidate
    assert candidate is not None
    going = in_the_place(book, candidate.revision)
    names = ", ".join(entry.version for entry in going if entry.role is Role.FORMER or stopped(book))
    message = f"Version {candidate.version} starts as soon as the last pod of version {names} is gone."
    return Wait(Phase.DEPLOYING, Reason.REPLACING, message)


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
    wanted = "the shares" if book.experiment is not None else wanted
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
    return Wait(Phase.PROGRESSING, Reason.STABLE_UNAVAILABLE, message, book.confirmed_at(facts))


def rest(book: Book) -> Wait:
    """No rollout is under way: what serves, and why it is or is not what the spec asks for."""
    return _unfulfilled(book) or _steady(book)


def _unfulfilled(book: Book) -> Wait | None:
    """Why the spec cannot be carried out, if it cannot."""
    stable, situation = book.stable, book.situation
    serving = f"version {stable.version} serves all traffic" if stable else "no version serves"
    if stable and book.status.down is not None:
        serving = f"version {stable.version} starts again"
    if isinstance(situation.target, Problem):
        phase, text = Phase.HEALTHY if stable else Phase.FAILED, f"{situation.target.message} Until then {serving}."
        return Wait(phase, Reason(situation.target.reason), text, stalled=True)
    target = book.target
    assert target is not None
    rejection = book.rejection(target.revision)
    if rejection is not None:
        return _taken_back(book, rejection, serving)
    if book.tested and (untested := _untested(book, target, serving)) is not None:
        return untested
    if situation.problems:
        problem = situation.problems[0]
        return Wait(Phase.HEALTHY if stable else Phase.DEPLOYING, Reason(problem.reason), problem.message, stalled=True)
    return None


def _untested(book: Book, target: Target, serving: str) -> Wait | None:
    """Why the A/B test that the spec asks for is not held, if something stands in its way."""
    stable, name = book.stable, book.situation.name
    if stable is not None and stable.revision != target.revision:
        text = (
            f"The A/B test's control is version {target.version}, the spec's own, but {serving}. Roll version {target.version} out first"
            f" with another strategy, or write it under rollout.variants and version {stable.version} into the spec."
        )
        return Wait(Phase.HEALTHY, Reason.CONTROL_NOT_STABLE, text, stalled=True)
    bound = [found for arm in target.arms if (found := book.rejection(arm.revision)) is not None]
    ended = book.concluded
    failed = ended is not None and ended.outcome is ExperimentOutcome.FAILED
    if failed or (ended is None and target.arms and len(bound) == len(target.arms)):
        versions = ", ".join(found.version for found in bound)
        text = (
            f"All variants of the A/B test were taken out (versions {versions}). Now {serving}. Change them, take the test out of the spec,"
            f" or raise spec.rollout.attempt to try them again. The whole record: `kubectl modelrollout report {name}`."
        )
        return Wait(Phase.FAILED, Reason.EXPERIMENT_FAILED, text, stalled=True)
    return None


def _after_the_test(book: Book, ended: Concluded) -> Wait:
    """What remains to be done once the test that the spec asks for has ended."""
    target, stable = book.target, book.stable
    assert target is not None
    assert stable is not None
    if ended.revision is None:
        text = (
            f"{ended.message} Version {stable.version} serves all traffic. The spec still lists the test; take it out."
        )
        return Wait(Phase.HEALTHY, Reason.STABLE_KEPT, text)
    arm = next((arm for arm in target.arms if arm.revision == ended.revision), None)
    fields = f" {arm.written}" if arm is not None and arm.written else ""
    text = (
        f"Variant {ended.winner} (version {ended.version}) won the A/B test and serves all traffic, but the spec is behind. Write into the spec"
        f"{fields}, and take rollout.strategy ABTest and its variants out; nothing restarts."
    )
    return Wait(Phase.HEALTHY, Reason.SPEC_BEHIND, text)


def _steady(book: Book) -> Wait:
    stable = book.stable
    if stable is None:
        return Wait(Phase.DEPLOYING, Reason.CREATING, "Nothing runs yet.")
    wake: tuple[float, ...] = tuple(
        float(moment) for entry in book.status.revisions for moment in (entry.warm_until, entry.kept_until) if moment
    )
    if book.status.down is not None:
        return Wait(Phase.ROLLING_BACK, Reason.RETURNING, f"Version {stable.version} starts again.", wake)
    if not book.applied:
        return route_is_pending(book)
    if (ended := book.concluded) is not None:
        return replace(_after_the_test(book, ended), wake=wake)
    if not book.plan.replicas and not book.plan.autoscaled:
        return Wait(Phase.HEALTHY, Reason.SCALED_TO_ZERO, f"Version {stable.version} is stable and scaled to 0.", wake)
    warm = next((entry for entry in book.status.revisions if entry.warm_until and entry.warm_until > book.now), None)
    kept = f" Version {warm.version} stays warm until {at(warm.warm_until)}." if warm and warm.warm_until else ""
    return Wait(Phase.HEALTHY, Reason.SERVING, f"Version {stable.version} serves all traffic.{kept}", wake)


def _taken_back(book: Book, rejection: Rejection, serving: str) -> Wait:
    name = book.situation.name
    applied = book.applied
    reached = next(
        (one.weight for one in reversed(book.status.timeline) if one.revision == rejection.revision and one.weight), 0
    )
    failed = rejection.reason == Reason.MODEL_LOAD_FAILED or (rejection.reason in NEVER_SERVED and not reached)
    phase = Phase.FAILED if failed else Phase.ROLLED_BACK if applied else Phase.ROLLING_BACK
    phase = phase if book.status.down is None else Phase.ROLLING_BACK
    verb = "failed" if failed else "was taken back"
    where = f" at {percent(reached)}" if reached and not failed else ""
    message = (
        f"Version {rejection.version} {verb} at {exactly(rejection.at)}{where}: {rejection.message.rstrip('.')}. Now {serving}."
        f" Revert the change (nothing restarts), apply a newer version, raise spec.rollout.attempt, or `kubectl modelrollout retry {name}`."
        f" The whole record: `kubectl modelrollout report {name}`."
    )
    wake = [
        float(moment) for entry in book.status.revisions for moment in (entry.kept_until, entry.warm_until) if moment
    ]
    if not applied and book.situation.route.since is not None:
        wake.append(book.situation.route.since + book.situation.timing.settle)
    return Wait(phase, Reason(rejection.reason), message, tuple(wake), stalled=True)


def paused(book: Book) -> Wait | None:
    """Whether somebody paused the rollout, and who."""
    weight = carries(book.candidate.weight, book.candidate.mirror) if book.candidate else percent(0)
    where = "" if book.experiment is not None else f" at {weight}"
    if book.plan.paused:
        text = f"Paused{where}: spec.rollout.paused is true; set it to false to go on."
        return Wait(Phase.PAUSED, Reason.PAUSED_BY_SPEC, text)
    if (by := book.status.paused) is not None:
        resume = f"`kubectl modelrollout resume {book.situation.name}` goes on"
        text = f"Paused{where}: paused by {by.by} at {at(by.at)}; {resume}."
        return Wait(Phase.PAUSED, Reason.PAUSED_BY_COMMAND, text)
    return None


def next_text(book: Book) -> str:
    """What follows the step under way."""
    following = book.next_step
    return carries(following.weight, following.mirror) if following else "promotion"
