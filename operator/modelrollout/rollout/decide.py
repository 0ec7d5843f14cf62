"""`decide`: from everything that is known to what is to be recorded, without I/O, clock, randomness or logging.

observe → **decide** → record → act. The answer holds the whole new status; what the cluster should look like is in it. One
decision makes at most one move, so that each step of a rollout is one status write, and every state in between is a state that
the operator can be killed in.
"""

from __future__ import annotations

from modelrollout.api.scalars import Span
from modelrollout.api.status import ArmStatus, ExperimentStatus, GoalStatus, MetricStatus, ModelDeploymentStatus

from .book import Book
from .evidence import fold
from .moves import Move, Wait
from .present import present
from .rules import RULES
from .situation import Decision, EventNote, Problem, Situation
from .words import cut

SOONEST = 0.05
"""Seconds: no wake comes earlier than this, so that a decision never spins."""
JUST_PASSED = 0.06
"""Seconds for which a moment that has passed is still waited for."""


def decide(situation: Situation) -> Decision:
    """The decision that follows from a Situation."""
    status = _under_plan(situation, fold(situation))
    book = Book(situation, status)
    answer = next(found for rule in RULES if (found := rule(book)) is not None)
    if isinstance(answer, Move):
        after = Book(situation, answer.status)
        decided = present(after, answer)
        events = (*answer.events, *_alarm(after, decided))
        return Decision(decided, wake_at=situation.now, events=events, again=True, urgent=answer.urgent)
    decided = present(book, answer)
    return Decision(
        decided,
        wake_at=_wake(book, answer),
        events=_alarm(book, decided),
        checkpoint=essence(decided) == essence(situation.status),
    )


def _alarm(book: Book, decided: ModelDeploymentStatus) -> tuple[EventNote, ...]:
    """An Event for whoever is on call, once a person is needed; what was taken back has had its own."""
    before, after = (
        next((one for one in status.conditions if one.type == "Stalled" and one.status == "True"), None)
        for status in (book.situation.status, decided)
    )
    if after is None or any(entry.reason == after.reason for entry in decided.rejected):
        return ()
    target = book.situation.target
    news = target.message if isinstance(target, Problem) else ""  # of two specs that are refused, each is told
    if before is not None and before.reason == after.reason and before.message.startswith(cut(news)[:-1]):
        return ()
    return (EventNote(after.reason, cut(after.message, 900), warning=True),)


def _under_plan(situation: Situation, status: ModelDeploymentStatus) -> ModelDeploymentStatus:
    """Record which plan is in force. Another plan gives a blocked candidate another chance."""
    if (status.traffic.tester_header or "") != situation.tester_header:
        traffic = status.traffic.model_copy(update={"tester_header": situation.tester_header or None})
        status = status.model_copy(update={"traffic": traffic})
    if not situation.plan_name or situation.plan_name == status.plan:
        return status
    rollout = status.rollout
    if (
        rollout is not None
        and rollout.blocked is not None
        and not any(entry.revision == rollout.revision for entry in status.rejected)
    ):
        rollout = rollout.model_copy(update={"blocked": None})
    plan = situation.plan
    traffic = status.traffic.model_copy(update={"router": plan.router}) if plan else status.traffic
    return status.model_copy(update={"plan": situation.plan_name, "rollout": rollout, "traffic": traffic})


def _wake(book: Book, wait: Wait) -> float | None:
    """When to look again. What has passed without effect is over: an event will come, if anything does.

    Pods that may go after the drain go then, whatever else is waited for.
    """
    drained = () if book.drained or book.drained_at is None else (book.drained_at,)
    # A moment that has only just passed may have missed its condition by a rounding.
    due = [moment for moment in (*wait.wake, *drained) if moment > book.now - JUST_PASSED]
    return max(min(due), book.now + SOONEST) if due else None


_NOTHING_COVERED = Span("0s")
_NOTHING_MEASURED = {
    name: value for name, value in MetricStatus(name="").__dict__.items() if name not in ("name", "verdict", "reason")
}


def _essence_of_test(experiment: ExperimentStatus) -> ExperimentStatus:
    def spared(arm: ArmStatus) -> ArmStatus:
        metrics = tuple(metric.model_copy(update=_NOTHING_MEASURED) for metric in arm.metrics)
        goal = arm.goal and GoalStatus(better=arm.goal.better)
        return arm.model_copy(update={"loading": _NOTHING_COVERED, "metrics": metrics, "goal": goal})

    arms = tuple(spared(arm) for arm in experiment.variants)
    return experiment.model_copy(update={"variants": arms, "covered": _NOTHING_COVERED, "covered_through": None})


def essence(status: ModelDeploymentStatus) -> ModelDeploymentStatus:
    """The status without its progress: what must be written at once when it changes.

    Progress (counts, covered time, estimates) is made again from the recorded points after a restart, so it is only saved now
    and then.
    """
    metrics = tuple(metric.model_copy(update=_NOTHING_MEASURED) for metric in status.metrics)
    step = status.step and status.step.model_copy(
        update={"covered": _NOTHING_COVERED, "spent": _NOTHING_COVERED, "covered_through": None, "advance_at": None}
    )
    rollout = status.rollout and status.rollout.model_copy(
        update={
            "loading": _NOTHING_COVERED,
            "unscheduled": _NOTHING_COVERED if status.rollout.unscheduled is not None else None,
        }
    )
    revisions = tuple(
        entry.model_copy(update={"unready": _NOTHING_COVERED if entry.unready is not None else None})
        for entry in status.revisions
    )
    traffic = status.traffic.model_copy(update={"measured": None})
    kept: dict[str, object] = {
        "metrics": metrics,
        "step": step,
        "rollout": rollout,
        "revisions": revisions,
        "traffic": traffic,
    }
    kept["experiment"] = status.experiment and _essence_of_test(status.experiment)
    return status.model_copy(update=kept | {"seen_at": None})
