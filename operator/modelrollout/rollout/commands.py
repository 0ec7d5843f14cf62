"""What people ask for that is not desired state, and what it does.

A command is bound to a revision (and a step), is taken once, and its uid is recorded in the same write as its effect. What does
not fit the state is refused with a sentence, never ignored.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from modelrollout.api.command import Action
from modelrollout.api.reasons import Reason
from modelrollout.api.scalars import Timestamp
from modelrollout.api.status import (
    COMMANDS_LIMIT,
    Approval,
    CommandOutcome,
    ExperimentOutcome,
    Mode,
    Outcome,
    Phase,
    TakenCommand,
)

from .arm_moves import choose, conclude, readmit, take_out
from .arm_waits import nobody_takes_back
from .arms import Lane, lanes
from .book import Book, Ending, with_rejection
from .moves import Move, reject, start
from .situation import CommandFacts, EventNote, Target
from .words import cut, sentence


class Refused(Exception):  # noqa: N818  a sentence for the person who asked, not an error of ours
    """The command does not fit the state."""


def untaken(book: Book) -> tuple[CommandFacts, ...]:
    """Commands whose effect is not recorded yet, oldest first; none while status is full of those that were not told yet."""
    taken = {command.uid for command in book.status.commands}
    pending = {command.uid for command in book.situation.commands}
    if len(taken & pending) >= COMMANDS_LIMIT:
        return ()  # the next one would push out an entry, and its command be taken twice
    waiting = (command for command in book.situation.commands if command.uid not in taken)
    return tuple(sorted(waiting, key=lambda command: (command.created, command.name)))


def take(book: Book, command: CommandFacts) -> Move:
    """The effect of a command, or its refusal, recorded with it."""
    try:
        move, message = _EFFECTS[command.action](book, command)
    except Refused as refusal:
        note = EventNote(
            Reason.COMMAND_REFUSED, f"{command.action} by {command.by or 'unknown'}: {refusal}", warning=True
        )
        unchanged = Move(book.status, _phase(book), Reason.COMMAND_REFUSED, str(refusal), (note,))
        return _recorded(book, unchanged, command, CommandOutcome.REFUSED, str(refusal))
    return _recorded(book, move, command, CommandOutcome.ACCEPTED, message)


def _phase(book: Book) -> Phase:
    return book.status.phase or Phase.DEPLOYING


def _recorded(book: Book, move: Move, command: CommandFacts, outcome: CommandOutcome, message: str) -> Move:
    taken = TakenCommand(
        uid=command.uid,
        name=command.name,
        action=command.action,
        by=command.by[:253],
        outcome=outcome,
        message=cut(message, 500),
        at=Timestamp(book.now),
    )
    pending = {other.uid for other in book.situation.commands}
    kept = (*move.status.commands, taken)
    surplus = len(kept) - COMMANDS_LIMIT
    # An entry may only be dropped once its command carries the outcome itself, or it would be taken twice.
    for entry in move.status.commands:
        if surplus > 0 and entry.uid not in pending:
            kept = tuple(other for other in kept if other.uid != entry.uid)
            surplus -= 1
    return replace(move, status=move.status.model_copy(update={"commands": kept}))


def _same(book: Book, command: CommandFacts, reason: Reason, message: str, **fields: object) -> Move:
    status = book.status.model_copy(update=fields)
    note = EventNote(reason, cut(f"{message}{f' ({command.reason})' if command.reason else ''}", 900))
    return Move(status, _phase(book), reason, message, (note,))


def _candidate(book: Book, command: CommandFacts) -> None:
    """Refuses a command that is not for the candidate or, in an A/B test, for the control or a variant."""
    if (experiment := book.experiment) is not None:
        named = (experiment.control, *(arm.revision for arm in experiment.variants))
        if command.revision not in named:
            raise Refused(f"revision {command.revision} takes no part in the A/B test")
        return
    if book.candidate is None or book.status.rollout is None:
        raise Refused("no rollout is under way")
    if command.revision != book.candidate.revision:
        raise Refused(f"the command is for revision {command.revision}, but the candidate is {book.candidate.revision}")


def _approve(book: Book, command: CommandFacts) -> tuple[Move, str]:
    _candidate(book, command)
    if book.experiment is not None:
        raise Refused("an A/B test has no steps to approve; promote a variant, or abort the test")
    step = book.status.step
    names = [plan_step.name for plan_step in book.plan.steps]
    if command.step not in names:
        raise Refused(f"there is no step {command.step!r}; the steps are {', '.join(names)}")
    if step is None or step.name != command.step:
        now = f"the step under way is {step.name}" if step and step.index else "no step has begun"
        raise Refused(f"step {command.step} is not under way; {now}")
    if step.approval is not None:
        raise Refused(f"step {command.step} was already approved by {step.approval.by}")
    approved = step.model_copy(update={"approval": Approval(by=command.by or "unknown", at=Timestamp(book.now))})
    message = f"step {command.step} of revision {command.revision} approved by {command.by or 'unknown'}"
    return _same(book, command, Reason.APPROVED, message, step=approved), message


def _pause(book: Book, command: CommandFacts) -> tuple[Move, str]:
    _candidate(book, command)
    if book.status.paused is not None:
        raise Refused(f"it was already paused by {book.status.paused.by}")
    message = f"rollout of revision {command.revision} paused by {command.by or 'unknown'}"
    paused = Approval(by=command.by or "unknown", at=Timestamp(book.now))
    return _same(book, command, Reason.PAUSED, message, paused=paused), message


def _resume(book: Book, command: CommandFacts) -> tuple[Move, str]:
    _candidate(book, command)
    if book.status.paused is None:
        by_spec = "; spec.rollout.paused is true: set it to false" if book.plan.paused else ""
        raise Refused(f"it is not paused by a command{by_spec}")
    message = f"rollout of revision {command.revision} resumed by {command.by or 'unknown'}"
    return _same(book, command, Reason.RESUMED, message, paused=None), message


def _abort(book: Book, command: CommandFacts) -> tuple[Move, str]:
    _candidate(book, command)
    if book.experiment is not None:
        return _abort_test(book, command)
    if book.rejection(command.revision) is not None:
        raise Refused("it was already taken back")
    if book.stable is None:
        raise Refused("there is no stable version to go back to")
    why = f": {command.reason}" if command.reason else ""
    message = f"Aborted by {command.by or 'unknown'}{why}."
    return reject(book, Outcome.ABORTED, Reason.ABORTED, message), f"revision {command.revision} taken back"


def _abort_test(book: Book, command: CommandFacts) -> tuple[Move, str]:
    """A variant's Abort takes that one out; that of the control ends the test."""
    why = f": {command.reason}" if command.reason else ""
    by = f"by {command.by or 'unknown'}{why}"
    lane = _lane(book, command)
    if lane is None:
        if why_not := nobody_takes_back(book):
            raise Refused(why_not)
        message = f"The A/B test was aborted {by}."
        return conclude(
            book, ExperimentOutcome.ABORTED, message
        ), "the A/B test is over; all traffic goes to the control"
    if lane.arm.out is not None:
        raise Refused(f"variant {lane.arm.name} was already taken out")
    ending = Ending(Outcome.ABORTED, Reason.ABORTED, f"Aborted {by}.")
    return take_out(book, lane, ending), f"variant {lane.arm.name} taken out of the A/B test"


def _lane(book: Book, command: CommandFacts) -> Lane | None:
    """The variant that a command is for; None for the control."""
    return next((lane for lane in lanes(book) if lane.arm.revision == command.revision), None)


def _retry(book: Book, command: CommandFacts) -> tuple[Move, str]:
    rollout = book.status.rollout
    if book.experiment is not None:
        return _retry_variant(book, command)
    if rollout is not None and rollout.revision == command.revision and rollout.blocked is not None:
        message = f"revision {command.revision} is tried again"
        cleared = rollout.model_copy(update={"blocked": None})
        return _same(book, command, Reason.RETRIED, message, rollout=cleared), message
    if book.rejection(command.revision) is None:
        raise Refused(f"revision {command.revision} was not taken back")
    if rollout is not None and rollout.revision == command.revision:
        raise Refused("it is still being taken back; try again in a moment")
    others = tuple(entry for entry in book.status.rejected if entry.revision != command.revision)
    message = f"revision {command.revision} starts again at its first step"
    return _same(book, command, Reason.RETRIED, message, rejected=others), message


def _retry_variant(book: Book, command: CommandFacts) -> tuple[Move, str]:
    _candidate(book, command)
    lane = _lane(book, command)
    if lane is None or lane.arm.out is None:
        raise Refused(f"revision {command.revision} was not taken out of the A/B test")
    if lane.entry.weight:
        raise Refused("it is still being taken out; try again in a moment")
    message = f"variant {lane.arm.name} takes part in the A/B test again"
    move = _same(book, command, Reason.RETRIED, message)
    return replace(move, status=readmit(book, lane)), message


def _choose(book: Book, command: CommandFacts) -> tuple[Move, str]:
    """A person decides an A/B test."""
    lane = _lane(book, command)
    if lane is None:
        raise Refused("that is the control; abort the A/B test to keep it")
    if lane.arm.out is not None:
        raise Refused(f"variant {lane.arm.name} was taken out of the A/B test")
    if lane.arm.loaded_at is None:
        raise Refused(f"variant {lane.arm.name} is not ready yet")
    if why_not := nobody_takes_back(book):
        raise Refused(why_not)
    by = command.by or "unknown"
    message = f"{sentence(lane.label)} was chosen by {by}."
    return choose(
        book, lane, message
    ), f"variant {lane.arm.name} is promoted by {by}: all traffic as soon as all its pods are ready"


def _promote(book: Book, command: CommandFacts) -> tuple[Move, str]:
    _candidate(book, command)
    if book.experiment is not None:
        return _choose(book, command)
    rollout = book.status.rollout
    assert rollout is not None
    if book.rejection(command.revision) is not None:
        raise Refused("it was taken back")
    if rollout.mode is Mode.DIRECT:
        raise Refused(f"it gets all traffic anyway ({rollout.cause})")
    direct = rollout.model_copy(update={"mode": Mode.DIRECT, "cause": "Promoted", "blocked": None})
    message = f"revision {command.revision} is promoted without its remaining steps by {command.by or 'unknown'}"
    return _same(book, command, Reason.PROMOTED_BY_COMMAND, message, rollout=direct, paused=None), message


def _undo(book: Book, command: CommandFacts) -> tuple[Move, str]:
    stable = book.stable
    if book.candidate is not None or book.experiment is not None:
        raise Refused("a rollout is under way; abort it instead")
    if stable is None or command.revision != stable.revision:
        raise Refused(f"revision {command.revision} is not stable")
    former = _before(book)
    if former is None:
        raise Refused("no earlier version is left to go back to")
    message = f"Undone by {command.by or 'unknown'}: back to version {former.version}."
    move = start(book, former, Mode.DIRECT, "Undo")
    status = with_rejection(
        move.status, stable, book.plan.attempt, book.now, Ending(Outcome.UNDONE, Reason.UNDONE, message)
    )
    return replace(
        move, status=status, reason=Reason.UNDONE, message=message
    ), f"going back to revision {former.revision}"


def _before(book: Book) -> Target | None:
    """The revision that was stable before: its pods may be gone, its record must not be."""
    for entry in reversed(book.status.history):
        usable = entry.outcome is Outcome.PROMOTED and entry.revision != (book.stable and book.stable.revision)
        if (
            usable
            and book.rejection(entry.revision) is None
            and book.facts(entry.revision).record
            and entry.revision in book.situation.revisions
        ):
            return Target(entry.revision, entry.version)
    return None


_EFFECTS: dict[Action, Callable[[Book, CommandFacts], tuple[Move, str]]] = {
    Action.APPROVE: _approve,
    Action.PAUSE: _pause,
    Action.RESUME: _resume,
    Action.ABORT: _abort,
    Action.RETRY: _retry,
    Action.PROMOTE: _promote,
    Action.UNDO: _undo,
}
