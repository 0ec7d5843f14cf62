"""What takes traffic away from a candidate: a person, a metric, its own pods, a deadline, or a route that cannot do it.

Rules of `rules.RULES`, asked there before anything that people and plans ask for.
"""

from __future__ import annotations

from modelrollout.api.analysis import OnBreach
from modelrollout.api.command import Action
from modelrollout.api.reasons import Reason
from modelrollout.api.status import Outcome, Phase, RevisionStatus, Verdict

from .book import Book, Ending
from .commands import take, untaken
from .in_place import stopped
from .moves import (
    Move,
    Wait,
    give_back,
    leave,
    must_keep_weight,
    recorded_pods,
    reject,
    scale,
)
from .words import span

RESTARTS_THAT_FAIL = 3

_OUTCOMES: dict[str, Outcome] = {
    Reason.ABORTED: Outcome.ABORTED,
    Reason.CANDIDATE_UNSTABLE: Outcome.FAILED,
    Reason.MODEL_LOAD_FAILED: Outcome.FAILED,
    Reason.WARM_UP_FAILED: Outcome.FAILED,
    Reason.NO_CAPACITY: Outcome.FAILED,
}
"""How a rollout ended whose candidate was taken back for this reason; for any other it was rolled back."""


def abort_goes_first(book: Book) -> Move | None:
    """An untaken Abort goes before all other commands and all evidence; one that does not fit waits for its turn."""
    candidate = book.candidate
    if candidate is None or book.stable is None or book.rejection(candidate.revision) is not None:
        return None
    fitting = (
        command
        for command in untaken(book)
        if command.action is Action.ABORT and command.revision == candidate.revision
    )
    return next((take(book, command) for command in fitting), None)


def _judgeable(book: Book) -> bool:
    return book.candidate is not None and not book.direct and book.rejection(book.candidate.revision) is None


def failed_metric_takes_back(book: Book) -> Move | None:
    """A metric that says Fail, and rolls back on a breach, takes the weight away in the same reconcile."""
    if not _judgeable(book):
        return None
    wanted = {metric.name for metric in book.plan.metrics if metric.breach is OnBreach.ROLLBACK}
    failed = next(
        (
            metric
            for metric in book.status.metrics
            if metric.verdict is Verdict.FAIL and metric.name in wanted and metric.reason != Reason.STABLE_BREACHES_TOO
        ),
        None,
    )
    if failed is None:
        return None
    return reject(
        book, Outcome.ROLLED_BACK, Reason(failed.reason or Reason.METRIC_WORSE), failed.message or failed.name
    )


def unstable_candidate_takes_back(book: Book) -> Move | None:
    """Kubernetes' own facts fail a candidate: restarts within a step, or no ready pod for too long once it had loaded."""
    rollout, candidate, step = book.status.rollout, book.candidate, book.status.step
    if not _judgeable(book) or rollout is None or candidate is None or step is None:
        return None
    facts = book.facts(candidate.revision)
    restarts = facts.restarts - rollout.restarts_base
    why = f" {facts.trouble}" if facts.trouble else ""
    if rollout.loaded_at is not None and restarts >= RESTARTS_THAT_FAIL:
        where = f"within step {step.name}" if step.index else "before its first step"
        message = f"Its containers restarted {restarts} times {where}.{why}"
        return reject(book, Outcome.FAILED, Reason.CANDIDATE_UNSTABLE, message)
    deadline = book.plan.unavailable_deadline
    if rollout.loaded_at is not None and candidate.unready is not None and candidate.unready.seconds >= deadline:
        message = f"It had no ready pod for {span(deadline)}.{why}"
        return reject(book, Outcome.FAILED, Reason.CANDIDATE_UNSTABLE, message)
    return None


def scheduling_deadline_takes_back(book: Book) -> Move | None:
    """A candidate without traffic for which no node has had room until `schedulingDeadline` is taken back; one with traffic holds."""
    rollout, candidate, plan = book.status.rollout, book.candidate, book.plan
    if rollout is None or candidate is None or plan.surge is None or rollout.unscheduled is None or candidate.weight:
        return None
    if book.rejection(candidate.revision) is not None or rollout.unscheduled.seconds < plan.scheduling_deadline:
        return None
    trouble = book.facts(candidate.revision).trouble or "its pods cannot be scheduled"
    message = f"No node had room within {span(plan.scheduling_deadline)}: {trouble}. No traffic was moved."
    return reject(book, Outcome.FAILED, Reason.NO_CAPACITY, message)


def load_deadline_takes_back(book: Book) -> Move | None:
    """A candidate that was never ready within `loadDeadline` has failed; readiness afterwards does not revive it."""
    rollout, candidate = book.status.rollout, book.candidate
    if rollout is None or candidate is None or rollout.loaded_at is not None or candidate.weight:
        return None
    if book.rejection(candidate.revision) is not None or rollout.loading.seconds < book.plan.load_deadline:
        return None
    if book.usable(candidate) >= book.pods_needed > 0:
        return None  # It is ready and being confirmed; should it lose a pod again, that was too late.
    trouble = book.facts(candidate.revision).trouble or book.cold(candidate) or "no pod became ready"
    message = f"Not ready within {span(book.plan.load_deadline)}: {trouble}. No traffic was moved."
    return reject(book, Outcome.FAILED, Reason.MODEL_LOAD_FAILED, message)


def wrong_answer_takes_back(book: Book) -> Move | None:
    """A golden request that a pod of the candidate answers wrongly or too slowly fails it, like a model that does not load."""
    candidate, failure = book.candidate, book.situation.warm_up.failure
    if candidate is None or not failure or not book.warms_up or (book.direct and candidate.weight):
        return None
    if book.rejection(candidate.revision) is not None:
        return None
    return reject(book, Outcome.FAILED, Reason.WARM_UP_FAILED, failure)


def rejected_candidate_returns(book: Book) -> Move | Wait | None:
    """A rejected candidate that kept its weight for want of a ready stable pod gives it back now."""
    candidate, rollout = book.candidate, book.status.rollout
    rejection = book.rejection(candidate.revision) if candidate else None
    if candidate is None or rollout is None or rejection is None:
        return None
    if must_keep_weight(book):
        message = f"Version {candidate.version} was taken back ({rejection.message}), but stable has no ready pod; traffic follows as soon as it has one."
        waiting = Wait(Phase.ROLLING_BACK, Reason.STABLE_UNAVAILABLE, message, stalled=True)
        # Stable may be short of pods because it was never given them.
        return scale(book, recorded_pods(book)) or waiting
    outcome = _OUTCOMES.get(rejection.reason, Outcome.ROLLED_BACK)
    return leave(book, Ending(outcome, rejection.reason, rejection.message))


def candidate_without_ready_pod_gives_back(book: Book) -> Move | None:
    """A candidate with weight and no ready pod goes to 0 if stable has a ready pod; it may come back.

    A weight that was recorded and never carried out goes in any case: nothing rises onto pods that are not ready.
    """
    candidate = book.candidate
    if candidate is None or not candidate.share or book.ready(candidate) or not book.full:
        return None  # of what is scaled to 0 nothing is ready, while stable's last pods are still going
    if stopped(book):
        return None
    if candidate.weight and not book.ready(book.stable) and not _raised_in_vain(book, candidate):
        return None
    return give_back(book, Reason.CANDIDATE_UNREADY, "The candidate has no ready pod.")


def _raised_in_vain(book: Book, candidate: RevisionStatus) -> bool:
    """Whether the route still carries less than was recorded: the process that decided it ended before it could steer."""
    carried = book.situation.route.weights
    if book.direct or book.stable is None or book.plan.router == "Service" or carried is None:
        return False
    return carried.get(candidate.revision, 0) < candidate.weight


def missing_series_give_back(book: Book) -> Move | None:
    """A candidate whose series do not appear although it has traffic cannot be judged: weight 0 until a person acts."""
    problem, candidate = book.situation.metrics_problem, book.candidate
    if (
        problem is None
        or problem.reason != Reason.METRICS_MISSING
        or not _judgeable(book)
        or candidate is None
        or not candidate.share
    ):
        return None
    if candidate.weight and not book.ready(book.stable):
        return None
    return give_back(book, Reason.METRICS_MISSING, problem.message, blocked=True)


def impossible_mirror_gives_back(book: Book) -> Move | None:
    """Copies that the gateway cannot make are not asked of it: with some, every request of the rule would fail."""
    problem, candidate = book.situation.mirror.problem, book.candidate
    if problem is None or candidate is None or not candidate.mirror:
        return None
    return give_back(book, Reason(problem.reason), problem.message)
