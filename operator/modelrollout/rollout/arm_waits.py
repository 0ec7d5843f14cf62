"""Why nothing changes in an A/B test now: each wait as a word, a sentence, and the time when it may be over."""

from __future__ import annotations

from modelrollout.api.reasons import Reason
from modelrollout.api.scalars import FULL_WEIGHT
from modelrollout.api.status import Phase

from .arms import Lane, lanes, running, shares_now
from .book import Book
from .capacity import need
from .moves import Wait
from .situation import Problem
from .waits import paused, route_is_pending
from .words import at, percent, sentence, span


def _confirmation(book: Book, found: tuple[Lane, ...]) -> tuple[float, ...]:
    return tuple(moment for lane in found for moment in book.confirmed_at(lane.facts))


def variants_are_loading(book: Book, missing: tuple[Lane, ...]) -> Wait:
    """Before the shares: not every variant is ready yet, or not for long enough."""
    if all(lane.usable >= lane.pods for lane in missing):
        text = "All variants are ready; their readiness is being confirmed."
        return Wait(Phase.WARMING_UP, Reason.WARMING_UP, text, _confirmation(book, missing))
    if not all(lane.facts.exists for lane in missing):
        return Wait(Phase.DEPLOYING, Reason.CREATING, "The variants of the A/B test are being created.")
    loading = [lane for lane in missing if lane.usable < lane.pods]
    deadlines = [
        book.now + book.plan.load_deadline - lane.arm.loading.seconds for lane in loading if lane.arm.loaded_at is None
    ]
    lost = [
        book.now + book.plan.unavailable_deadline - lane.entry.unready.seconds
        for lane in loading
        if lane.arm.loaded_at is not None and lane.entry.unready is not None
    ]
    told = "; ".join(_lacking(lane) for lane in loading)
    limit = f" They must be ready by {at(min(deadlines))}." if deadlines else ""
    wake = (*(moment for moment in (*deadlines, *lost) if moment > book.now), *_confirmation(book, missing))
    if all(lane.facts.ready >= lane.pods for lane in loading):
        silent = any(lane.measured.warm_up.trouble for lane in loading)
        reason = Reason.WARM_UP_UNANSWERED if silent else Reason.WARMING_UP
        return Wait(Phase.WARMING_UP, reason, f"The variants of the A/B test warm up: {told}.{limit}", wake)
    message = f"The variants of the A/B test are loading: {told}.{limit}"
    return Wait(Phase.LOADING, Reason.MODEL_LOADING, message, wake)


def _lacking(lane: Lane) -> str:
    """What a variant has of the pods that it needs, and why not all."""
    if lane.facts.ready >= lane.pods:
        why = lane.measured.warm_up.trouble
        told = f"{lane.usable} of {lane.facts.ready} ready pods of {lane.label} have answered the golden requests"
    else:
        why = lane.facts.trouble
        told = f"{lane.label} has {lane.facts.ready} of {lane.pods} pods ready"
    return f"{told} ({why})" if why else told


def in_the_way_of_shares(book: Book, missing: tuple[Lane, ...]) -> Wait | None:
    """What keeps shares from rising; at their first rise also metrics that are not to be had, and a pause."""
    experiment = book.experiment
    assert experiment is not None
    under_way = experiment.begun_at is not None
    phase = Phase.PROGRESSING if under_way else Phase.LOADING
    problems: list[Problem] = list(book.situation.problems)
    problems += [lane.measured.problem for lane in missing if lane.measured.problem is not None and book.plan.judged]
    if problems:
        return Wait(phase, Reason(problems[0].reason), problems[0].message, stalled=True)
    if not book.applied or not (book.route_as_intended or book.status.traffic.set_at is None):
        return route_is_pending(book)
    if (short := stable_is_short(book)) is not None:
        return short
    return None if under_way else _metrics_are_awaited(book, missing) or paused(book)


def _metrics_are_awaited(book: Book, missing: tuple[Lane, ...]) -> Wait | None:
    if not book.plan.judged:
        return None
    for lane in missing:
        preflight = lane.measured.preflight
        if preflight.ready:
            continue
        if preflight.problem is None:
            text = "Before the shares are set: the control's history and the variants' series are looked up."
            return Wait(Phase.WARMING_UP, Reason.COLLECTING_DATA, text)
        away = preflight.problem.reason == Reason.METRICS_UNAVAILABLE
        begun = lane.arm.loaded_at or book.now
        overdue = book.now - begun >= book.plan.no_data_deadline
        wake = (begun + book.plan.no_data_deadline,) if away and not overdue else ()
        text = f"The A/B test has not begun: {lane.label}: {preflight.problem.message}"
        return Wait(Phase.WARMING_UP, Reason(preflight.problem.reason), text, wake, stalled=overdue or not away)
    return None


def stable_is_short(book: Book) -> Wait | None:
    """The control has too few ready pods for its share."""
    stable = book.stable
    assert stable is not None
    carried = sum(shares_now(book).values())
    needed = min(stable.replicas, max(1, need(book.full, FULL_WEIGHT - carried)))
    if book.ready(stable) >= needed:
        return None
    ready, facts = book.ready(stable), book.facts(stable.revision)
    message = f"Holding: the control, version {stable.version}, has {ready} of {stable.replicas} pods ready, too few for its share."
    return Wait(Phase.PROGRESSING, Reason.STABLE_UNAVAILABLE, message, book.confirmed_at(facts))


def stable_cannot_take_back(book: Book) -> Wait | None:
    """Variants have traffic and the control has too few ready pods to take it."""
    stable = book.stable
    assert stable is not None
    pods = max(1, min(stable.replicas, book.full)) if book.full else 0
    if not any(shares_now(book).values()) or book.confirmed(stable, pods):
        return None
    ready, facts = book.ready(stable), book.facts(stable.revision)
    message = f"The A/B test is to end; the control, version {stable.version}, has {ready} of {stable.replicas} pods ready, too few to take the traffic back."
    return Wait(Phase.PROGRESSING, Reason.STABLE_UNAVAILABLE, message, book.confirmed_at(facts))


def nobody_takes_back(book: Book) -> str:
    """Why what variants have cannot go to the control even where a person says so; empty if it can."""
    stable = book.stable
    if not any(shares_now(book).values()) or book.ready(stable):
        return ""
    return f"the control, version {stable.version if stable else ''}, has no ready pod to take the traffic back"


def decision_is_awaited(book: Book, winner: Lane | None) -> Wait:
    """The duration is over and a person is to choose."""
    name = book.situation.name
    shown = f"{sentence(winner.label)} was shown to be better." if winner else "No variant was shown to be better."
    goal = book.plan.experiment.goal if book.plan.experiment else None
    message = (
        f"The A/B test is over; its shares stay until somebody decides.{f' {shown}' if goal else ''} `kubectl modelrollout promote {name}"
        f" --variant {winner.arm.name if winner else 'NAME'}` chooses one, `kubectl modelrollout abort {name}` keeps version {book.stable.version if book.stable else ''}."
    )
    return Wait(Phase.PAUSED, Reason.DECISION_REQUIRED, message)


def experiment_is_running(book: Book) -> Wait:
    """The shares are in force, or about to be."""
    if not book.full:
        return Wait(Phase.PROGRESSING, Reason.SCALED_TO_ZERO, "The A/B test rests: spec.replicas is 0.")
    if any(lane.arm.out is not None and lane.entry.weight for lane in lanes(book)):
        text = "A variant was taken out, but the control has no ready pod; traffic follows as soon as it has one."
        return Wait(Phase.ROLLING_BACK, Reason.STABLE_UNAVAILABLE, text, stalled=True)
    if not book.applied or not book.route_as_intended:
        return route_is_pending(book)
    if book.situation.problems:
        problem = book.situation.problems[0]
        return Wait(Phase.PROGRESSING, Reason(problem.reason), problem.message, stalled=True)
    return paused(book) or _pods_are_missing(book) or _running_as_planned(book)


def _pods_are_missing(book: Book) -> Wait | None:
    lost = tuple(lane for lane in running(book) if lane.entry.weight < lane.share)
    if not lost:
        return None
    told = ", ".join(_lacking(lane) for lane in lost)
    wake = tuple(
        book.now + remaining
        for lane in lost
        if lane.entry.unready is not None
        and (remaining := book.plan.unavailable_deadline - lane.entry.unready.seconds) > 0
    )
    message = f"The A/B test goes on; {told}."
    return Wait(Phase.PROGRESSING, Reason.CANDIDATE_UNREADY, message, (*wake, *_confirmation(book, lost)))


def _running_as_planned(book: Book) -> Wait:
    experiment, test = book.experiment, book.plan.experiment
    assert experiment is not None
    duration = test.duration if test is not None else None
    shares = ", ".join(f"{lane.label} {percent(lane.entry.weight)}" for lane in running(book))
    until = "until somebody decides" if duration is None else f"for {span(duration)}"
    begun = f", begun {at(experiment.begun_at)}" if experiment.begun_at else ""
    # Covered time that windows make wakes by itself, with each window.
    by_time = duration is not None and test is not None and test.goal is None
    remaining = max(0.0, (duration or 0.0) - experiment.covered.seconds)
    wake = (book.now + remaining,) if by_time and remaining else ()
    message = f"A/B test {until}{begun}: {shares}, the rest to the control."
    return Wait(Phase.PROGRESSING, Reason.EXPERIMENT_RUNNING, message, wake)
