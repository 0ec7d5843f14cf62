"""From the recorded state to what people and tools see: phase, message, columns, conditions, desired.

Nothing here is memory; all of it could be thrown away and made again.
"""

from __future__ import annotations

from modelrollout.api.reasons import Reason
from modelrollout.api.scalars import FULL_WEIGHT, Timestamp
from modelrollout.api.status import (
    Condition,
    Desired,
    DesiredState,
    ModelDeploymentStatus,
    Outcome,
    Phase,
    RevisionStatus,
    StepStatus,
    Summary,
    TrafficStatus,
)

from .arms import running
from .book import Book
from .evidence import measured
from .hold import advance_at, required
from .in_place import expected_back
from .moves import Move, Wait
from .situation import Problem
from .surge import way_back
from .words import cut, exactly, span


def present(book: Book, answer: Move | Wait) -> ModelDeploymentStatus:
    """The status with everything derived filled in."""
    stalled = isinstance(answer, Wait) and answer.stalled
    spec_problem = book.situation.target if isinstance(book.situation.target, Problem) else None
    reason, message = answer.reason, answer.message
    if spec_problem is not None and (book.candidate is not None or book.experiment is not None):
        # A rollout that goes on by the accepted plan does not hide that the spec is broken.
        stalled, message = True, f"{spec_problem.message} The rollout goes on by the last accepted plan: {message}"
        reason = Reason(spec_problem.reason)
    if book.status.down is not None:
        message = f"{message} {_gap(book)}"
    if isinstance(answer, Wait) and (back := way_back(book)) is not None:
        message = f"{message} {_return(book, *back)}"
    serving = _serving(book)
    status = book.status.model_copy(
        update={
            "observed_generation": book.situation.generation,
            "phase": answer.phase,
            "message": cut(message),
            "desired": _desired(book),
            "step": _step(book),
            "preview_url": (book.situation.preview_url or None) if book.candidate else None,
            "traffic": _traffic(book),
            "summary": _summary(book, serving, reason),
            "replicas": serving.replicas if serving else 0,
            "ready_replicas": serving.ready_replicas if serving else 0,
            "selector": _selector(book, serving),
        }
    )
    return status.model_copy(update={"conditions": _conditions(book, status, answer, reason, stalled=stalled)})


def _gap(book: Book) -> str:
    """Since when nothing answers, and about until when."""
    down, expected = book.status.down, expected_back(book)
    assert down is not None
    if expected is None:
        return f"Nothing answers since {exactly(down.since)}."
    if expected <= book.now:
        return f"Nothing answers since {exactly(down.since)}; by the last load it was expected back at {exactly(expected)}."
    return f"Nothing answers since {exactly(down.since)}; expected back about {exactly(expected)}, by how long a load took before."


def _return(book: Book, lacking: int, seconds: float | None) -> str:
    """What it would cost to take the candidate back, where capacity has stable give up pods on the way."""
    assert book.stable is not None
    time = f"for about {span(seconds)}, by how long a load took" if seconds is not None else "until they have loaded"
    return f"Taken back now, version {book.stable.version} would carry all traffic with {book.full - lacking} of {book.full} pods {time}."


def _serving(book: Book) -> RevisionStatus | None:
    """The revision that carries the traffic; before any has some, the one that is about to."""
    carrying = max(book.status.revisions, key=lambda entry: entry.weight, default=None)
    return carrying if carrying and carrying.weight else book.stable or book.candidate


def _selector(book: Book, serving: RevisionStatus | None) -> str:
    base = f"modelrollout.dev/deployment={book.situation.name}"
    return f"{base},modelrollout.dev/revision={serving.revision}" if serving else base


def _desired(book: Book) -> Desired:
    target = book.target
    if target is None:
        return Desired(state=DesiredState.INVALID)
    state = DesiredState.QUEUED
    if book.rejection(target.revision) is not None:
        state = DesiredState.REJECTED
    elif (book.candidate is not None and book.candidate.revision == target.revision) or (
        book.experiment is not None and book.experiment.id == target.experiment
    ):
        state = DesiredState.RUNNING
    elif book.stable is not None and book.stable.revision == target.revision:
        state = DesiredState.SERVING
    return Desired(revision=target.revision, version=target.version, state=state)


def _step(book: Book) -> StepStatus | None:
    step = book.status.step
    if step is None or book.step is None or step.applied_at is None:
        return step
    moment = advance_at(step, required(book, book.step))
    return step.model_copy(update={"advance_at": Timestamp(moment) if moment is not None else None})


def _traffic(book: Book) -> TrafficStatus:
    got, total = measured(book.status.metrics)
    # Copies are no share of anything: stable has answered the same requests, and where answers are compared twice.
    divided = book.candidate is not None and not book.candidate.mirror and total
    share = f"{100 * got / total:.1f} %" if divided else None
    traffic = book.status.traffic
    return traffic if traffic.measured == share else traffic.model_copy(update={"measured": share})


def _summary(book: Book, serving: RevisionStatus | None, reason: Reason) -> Summary:
    candidate, step, tested = book.candidate, book.status.step, running(book)
    return Summary(
        stable=book.stable.version if book.stable else "",
        candidate=candidate.version if candidate else ", ".join(lane.entry.version for lane in tested),
        weight=_share(candidate) if candidate else ", ".join(lane.entry.weight.percent for lane in tested),
        step=f"{step.index}/{step.total}" if step and candidate and not book.direct else "",
        ready=f"{serving.ready_replicas}/{serving.replicas}" if serving else "0/0",
        reason=reason,
    )


def _share(candidate: RevisionStatus) -> str:
    """Its percentage for the column, and while requests are mirrored theirs: ``0 (10 mirrored)``."""
    return f"0 ({candidate.mirror.percent} mirrored)" if candidate.mirror else candidate.weight.percent


def _conditions(
    book: Book, status: ModelDeploymentStatus, answer: Move | Wait, reason: Reason, *, stalled: bool
) -> tuple[Condition, ...]:
    ready = _is_ready(book, answer, stalled=stalled)
    # A revision that was taken back and is still asked for needs a person, whatever else goes on.
    reconciling = not ready and not stalled
    serving = _serving(book)
    available = bool(serving and serving.weight and book.ready(serving))
    outcome = status.history[-1].outcome if status.history else None
    succeeded = "Unknown" if book.candidate or book.experiment or outcome is None else str(outcome is Outcome.PROMOTED)
    text = status.message
    wanted = (
        ("Ready", str(ready), reason, text),
        ("Reconciling", str(reconciling), reason, text if reconciling else ""),
        ("Stalled", str(stalled), reason, text if stalled else ""),
        (
            "Available",
            str(available),
            Reason.SERVING if available else _unavailable(book),
            _available_text(book, serving),
        ),
        ("RolloutSucceeded", succeeded, outcome or "Unknown", status.history[-1].message if status.history else ""),
    )
    known = {condition.type: condition for condition in book.situation.status.conditions}
    conditions = []
    for kind, value, word, message in wanted:
        before = known.get(kind)
        told = (value, word, cut(message), book.situation.generation)
        if before and told == (before.status, before.reason, before.message, before.observed_generation):
            conditions.append(before)
            continue
        same = before is not None and before.status == value
        conditions.append(
            Condition(
                type=kind,
                status=value,
                reason=word,
                message=told[2],
                observed_generation=book.situation.generation,
                last_transition_time=before.last_transition_time if before and same else Timestamp(book.now),
            )
        )
    return tuple(conditions)


def _unavailable(book: Book) -> Reason:
    if book.status.down is None:
        return Reason.CANDIDATE_UNREADY
    return Reason.REPLACING if book.candidate is not None else Reason.RETURNING


def _available_text(book: Book, serving: RevisionStatus | None) -> str:
    if serving is None or not serving.weight:
        return "No version has traffic."
    added = book.facts(serving.revision).additions
    foreign = f" Its pod template has additions that are not ours, which are left: {added}." if added else ""
    return f"Version {serving.version} has {'ready pods' if book.ready(serving) else 'no ready pod'}.{foreign}"


def _is_ready(book: Book, answer: Move | Wait, *, stalled: bool) -> bool:
    target = book.target
    if target is None or stalled:
        return False
    stable, candidate = book.stable, book.candidate
    if book.experiment is not None:
        planned = answer.phase in (Phase.PROGRESSING, Phase.PAUSED)
        return book.plan.ready_when_serving and planned and book.experiment.id == target.experiment
    if candidate is not None:
        planned = answer.phase in (Phase.PROGRESSING, Phase.PAUSED, Phase.PROMOTING)
        return book.plan.ready_when_serving and planned and candidate.revision == target.revision
    if stable is None or stable.revision != target.revision or stable.weight != FULL_WEIGHT or not book.applied:
        return False
    return book.plan.replicas == 0 or book.ready(stable) > 0
