"""When a step is over: hold, evidence, approval (rule 3).

A step ends only after its hold of *covered* time, with each gating metric's sample and no Fail, NoData or Error. A step that
lacks evidence at its `maxDuration` follows `onInconclusive`. Approval may come early and overrides none of this, save that it
lets a step go on that has been found inconclusive: a recorded human decision.
"""

from __future__ import annotations

from dataclasses import replace

from modelrollout.analysis.step import speaks
from modelrollout.analysis.terms import by_evidence
from modelrollout.api.analysis import OnBreach, OnInconclusive, StepKind
from modelrollout.api.reasons import EXPLANATIONS, Reason
from modelrollout.api.scalars import FULL_WEIGHT
from modelrollout.api.status import MetricStatus, Outcome, Phase, StepStatus, Verdict

from .book import Book
from .capacity import candidate_pods
from .evidence import gating, traffic_astray
from .moves import Move, Wait, reject
from .plan import PlanStep
from .situation import EventNote
from .waits import held_back, next_text, paused, pods_are_missing, route_is_pending, stable_is_unavailable
from .words import at, carries, cut


def step_is_over(book: Book) -> Move | Wait | None:
    """None when the step is over, else why not."""
    step, plan_step = book.status.step, book.step
    assert step is not None
    assert plan_step is not None
    for ask in (_in_the_way, _breached, _unanswered, _evidence, _hold, _approval, _pause):
        if (answer := ask(book, step, plan_step)) is not None:
            return _shown_as_paused(book, answer) if isinstance(answer, Wait) else answer
    return None


def _shown_as_paused(book: Book, wait: Wait) -> Wait:
    by = paused(book)
    if by is None or (wait.phase is Phase.PAUSED and wait.reason is not Reason.APPROVAL_REQUIRED):
        return wait
    also = " The step also waits for approval." if wait.reason is Reason.APPROVAL_REQUIRED else ""
    return replace(by, message=f"{by.message}{also}", wake=wait.wake, stalled=wait.stalled)


def _in_the_way(book: Book, step: StepStatus, plan_step: PlanStep) -> Wait | None:
    candidate = book.candidate
    assert candidate is not None
    for problem in (*book.situation.problems, book.situation.metrics_problem if book.plan.judged else None):
        if problem is not None:
            return held_back(book, problem)
    if step.applied_at is None or not book.route_as_intended:
        return route_is_pending(book)
    if book.ready(candidate) < candidate_pods(book.plan, book.full, candidate.share):
        return pods_are_missing(book)
    if plan_step.weight < FULL_WEIGHT:
        return stable_is_unavailable(book, "for its share", only_if=True)
    return None


def _gates(book: Book, plan_step: PlanStep) -> tuple[MetricStatus, ...]:
    return gating(book.plan.metrics, book.status.metrics, plan_step.kind)


def _breached(book: Book, _step: StepStatus, plan_step: PlanStep) -> Wait | None:
    pausing = {metric.name for metric in book.plan.metrics if metric.breach is OnBreach.PAUSE or metric.gates}
    failed = next(
        (metric for metric in book.status.metrics if metric.verdict is Verdict.FAIL and metric.name in pausing), None
    )
    if failed is None:
        return None
    # Without the figures, which are news at each window: they stand in the metric's own message.
    if failed.reason == Reason.STABLE_BREACHES_TOO:
        why = f"both versions are above the limit of {failed.limit}. It goes on when stable is below it again."
        return Wait(
            Phase.PAUSED,
            Reason.STABLE_BREACHES_TOO,
            f"Paused at {carries(plan_step.weight, plan_step.mirror)}: {failed.name}: {why}",
        )
    cause = EXPLANATIONS[Reason(failed.reason or Reason.METRIC_WORSE)].cause
    why = f"{cause[0].lower()}{cause[1:]} Abort it, or set the metric's onBreach to Warn to go on."
    return Wait(
        Phase.PAUSED,
        Reason.METRIC_BREACHED,
        f"Paused at {carries(plan_step.weight, plan_step.mirror)}: {failed.name}: {why}",
    )


def _unanswered(book: Book, step: StepStatus, plan_step: PlanStep) -> Wait | None:
    silent = next(
        (metric for metric in _gates(book, plan_step) if metric.verdict in (Verdict.NO_DATA, Verdict.ERROR)), None
    )
    if silent is None:
        return None
    since = silent.answered_at or step.applied_at or step.started_at
    overdue = book.now - since >= book.plan.no_data_deadline
    why = (silent.message or f"metric {silent.name} has no data").rstrip(".")
    message = f"Holding at {carries(plan_step.weight, plan_step.mirror)}: {why}. Nothing changes until there are data; missed windows will be read back then."
    wake = () if overdue else (since + book.plan.no_data_deadline,)
    return Wait(Phase.PROGRESSING, Reason.METRICS_UNAVAILABLE, message, wake, stalled=overdue)


def required(book: Book, plan_step: PlanStep) -> float:
    """Covered seconds that the step needs: its hold, and as much as the latest data come late."""
    late = [
        metric.delay.seconds
        for metric in book.plan.metrics
        if metric.delay and metric.gates and plan_step.kind in metric.kinds_of_steps
    ]
    return plan_step.hold + max(late, default=0.0)


def _left(book: Book, step: StepStatus, plan_step: PlanStep) -> float:
    """Seconds until the hold is over. Wall time since appliedAt is necessary, covered time is what counts."""
    if _certified_early(book, plan_step):
        return 0.0
    needed = required(book, plan_step)
    wall = book.now - (step.applied_at or book.now)
    return max(0.0, needed - step.covered.seconds, needed - wall)


def _certified_early(book: Book, plan_step: PlanStep) -> bool:
    """Whether the pace is that of the evidence, and all that gates the step is certified."""
    if not book.plan.by_evidence or plan_step.kind is not StepKind.LIVE:
        return False
    certain = {metric.name for metric in by_evidence(book.plan.metrics)}
    gates = _gates(book, plan_step)
    return (
        bool(gates)
        and all(metric.certified and metric.verdict is Verdict.PASS for metric in gates if metric.name in certain)
        and any(metric.name in certain for metric in gates)
    )


def _evidence(book: Book, step: StepStatus, plan_step: PlanStep) -> Move | Wait | None:
    """What a step that lacks evidence does once its time is up."""
    lacking = _lacking(book, plan_step)
    if lacking is None and not _left(book, step, plan_step):
        return None
    spent = step.spent.seconds
    if spent < plan_step.max_duration or (step.inconclusive and step.approval is not None):
        return None
    choice = book.plan.on_inconclusive
    if choice is OnInconclusive.PROMOTE:
        return None
    why = lacking.message.rstrip(".") if lacking and lacking.message else "the hold was not covered by answers"
    if choice is OnInconclusive.ROLLBACK:
        return reject(
            book,
            Outcome.ROLLED_BACK,
            Reason.INCONCLUSIVE,
            f"Step {plan_step.name} lacked evidence at its maxDuration: {why}.",
        )
    lack = "the hold was not covered by answers" if lacking is None else _in_short(lacking)
    message = f"Paused at {carries(plan_step.weight, plan_step.mirror)}: not enough evidence ({lack}). Approve the step, abort, or send more traffic."
    if not step.inconclusive:
        told = f"{message} As it stood: {why}." if lacking is not None else message
        status = book.status.model_copy(
            update={"step": step.model_copy(update={"inconclusive": True, "approval": None})}
        )
        return Move(
            status,
            Phase.PAUSED,
            Reason.NOT_ENOUGH_EVIDENCE,
            message,
            (EventNote(Reason.NOT_ENOUGH_EVIDENCE, cut(told, 900), warning=True),),
        )
    return Wait(Phase.PAUSED, Reason.NOT_ENOUGH_EVIDENCE, message)


def _in_short(lacking: MetricStatus) -> str:
    """What a metric lacks, without figures: they are news at each window."""
    if lacking.verdict is Verdict.UNDERPOWERED:
        return f"certainty about {lacking.name} is not to be had at this traffic"
    return f"{lacking.name} needs more data"


def _lacking(book: Book, plan_step: PlanStep) -> MetricStatus | None:
    """The first gating metric that does not say Pass."""
    return next((metric for metric in _gates(book, plan_step) if metric.verdict is not Verdict.PASS), None)


def _excused(book: Book, step: StepStatus, plan_step: PlanStep) -> bool:
    """Whether the step may end without evidence: its time is up and a person, or the spec, said so."""
    if step.spent.seconds < plan_step.max_duration:
        return False
    return book.plan.on_inconclusive is OnInconclusive.PROMOTE or bool(step.inconclusive and step.approval)


def _hold(book: Book, step: StepStatus, plan_step: PlanStep) -> Wait | None:
    if _excused(book, step, plan_step):
        return None
    left, lacking = _left(book, step, plan_step), _lacking(book, plan_step)
    if not left and lacking is None:
        return None
    weight = carries(plan_step.weight, plan_step.mirror)
    timeout = book.now + max(0.0, plan_step.max_duration - step.spent.seconds)
    wake = (book.now + left, timeout) if left else (timeout,)
    if lacking is not None and lacking.verdict is Verdict.UNDERPOWERED:
        message = f"At {weight}: {_in_short(lacking)} by {at(timeout)}, when the step's time is up. Send more traffic, or wait and approve it then."
        return Wait(Phase.PROGRESSING, Reason.UNDERPOWERED, message, wake)
    if lacking is not None and lacking.message:
        return Wait(
            Phase.PROGRESSING,
            Reason.COLLECTING_DATA,
            f"At {weight}: {_in_short(lacking)} before {next_text(book)}.",
            wake,
        )
    if (astray := traffic_astray(book)) is not None:
        message = f"At {weight}, but the candidate gets {astray} of requests; {next_text(book)} as planned. Look for callers that bypass the router."
        return Wait(Phase.PROGRESSING, Reason.TRAFFIC_MISMATCH, message, wake)
    when = at(advance_at(step, required(book, plan_step)) or book.now + left)
    reason = (
        Reason.ANALYSIS_PASSING if _gates(book, plan_step) else Reason.HOLDING if _is_judged(book) else Reason.UNJUDGED
    )
    return Wait(Phase.PROGRESSING, reason, f"At {weight} as planned; {next_text(book)} not before {when}.", wake)


def _is_judged(book: Book) -> bool:
    """Whether any metric speaks in any step: one that only compares has nothing to say where stable and candidate take turns."""
    return any(speaks(metric, step.kind) for metric in book.plan.metrics for step in book.plan.steps)


def advance_at(step: StepStatus, required: float) -> float | None:
    """Earliest end of the step: its hold, and the time lost so far, after its weight was applied."""
    if step.applied_at is None:
        return None
    through = step.covered_through or step.applied_at + step.spent.seconds
    lost = max(0.0, through - step.applied_at - step.covered.seconds)
    return step.applied_at + required + lost


def _approval(book: Book, step: StepStatus, plan_step: PlanStep) -> Wait | None:
    if not plan_step.approval or step.approval is not None:
        return None
    index = book.plan.steps.index(plan_step) + 1
    where = _where_it_answers(book) if not plan_step.weight else ""
    message = f"Step {index} of {len(book.plan.steps)} ({plan_step.name}) waits for approval: `kubectl modelrollout approve {book.situation.name}`. Then {next_text(book)}.{where}"
    return Wait(Phase.PAUSED, Reason.APPROVAL_REQUIRED, message)


def _where_it_answers(book: Book) -> str:
    url, problem = book.situation.preview_url, book.situation.preview_problem
    if problem:
        return f" Testers do not reach it at {url}: {problem}."
    return f" It answers testers at {url}." if url else ""


def _pause(book: Book, _step: StepStatus, _plan_step: PlanStep) -> Wait | None:
    return paused(book)
