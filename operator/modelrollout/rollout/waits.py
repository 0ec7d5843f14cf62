"""Why nothing changes now: each wait as a word, a sentence, and the time when it may be over."""

from __future__ import annotations

from dataclasses import replace
from typing import overload

from modelrollout.api.reasons import Reason
from modelrollout.api.scalars import FULL_WEIGHT
from modelrollout.api.status import Concluded, ExperimentOutcome, Phase, Rejection

from .book import Book
from .capacity import need
from .moves import Wait
from .situation import Problem, Target
from .words import at, exactly, percent

ROUTE_PATIENCE = 30.0
"""Seconds after which a weight that is not applied is reported with the router's own words."""


def held_back(book: Book, problem: Problem) -> Wait:
    """Something that only a person can change stands in the way."""
    under_way = book.previewed or (book.candidate is not None and book.candidate.weight > 0)
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
    growing = facts.ready >= max(1, need(book.full, candidate.weight))
    reason = Reason.SCALING_UP if growing else Reason.CANDIDATE_UNREADY
    why = f": {facts.trouble}" if facts.trouble else ""
    message = f"Holding at {percent(candidate.weight)}: version {candidate.version} has {facts.ready} of {candidate.replicas} pods ready{why}."
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


def route_is_pending(book: Book) -> Wait:
    """The router has not applied the recorded weights yet."""
    route, traffic = book.situation.route, book.status.traffic
    what = percent(book.candidate.weight if book.candidate else FULL_WEIGHT)
    what = "the shares" if book.experiment is not None else what
    wake: tuple[float, ...] = (route.since + book.situation.timing.settle,) if route.since is not None else ()
    late = traffic.set_at is not None and book.now - traffic.set_at > ROUTE_PATIENCE
    if late and route.problem:
        message = f"The router has not applied {what} since {at(traffic.set_at or book.now)}: {route.problem}."
        return Wait(Phase.PROGRESSING, Reason.ROUTE_NOT_ACCEPTED, message, wake)
    if traffic.set_at is not None and not late and route.problem:
        wake = (*wake, traffic.set_at + ROUTE_PATIENCE)
    return Wait(Phase.PROGRESSING, Reason.ROUTE_PENDING, f"Waiting for the router to apply {what}.", wake)


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
        f"Holding at {percent(candidate.weight)}: stable version {stable.version} has {ready} of {stable.replicas} pods ready, too few {what}."
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
    if not book.drained and book.drained_at is not None:
        wake = (*wake, book.drained_at)
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
    where = "" if book.experiment is not None else f" at {percent(book.candidate.weight if book.candidate else 0)}"
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
    return f"{percent(following.weight)}" if following else "promotion"
