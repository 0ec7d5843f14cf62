"""The semantics of a rollout, from top to bottom.

Each rule states one fact and what follows from it: a `Move` (the recorded state changes), a `Wait` (nothing changes now, and
why), or None (the fact does not hold; ask the next rule). The first answer counts, so the order of `RULES` *is* the priority:
what takes traffic away from a bad version stands before everything that people and plans ask for, and raising a weight is the
last thing that anything leads to.
"""

from __future__ import annotations

from collections.abc import Callable

from modelrollout.api.analysis import OnBreach
from modelrollout.api.command import Action
from modelrollout.api.reasons import Reason
from modelrollout.api.scalars import FULL_WEIGHT, Timestamp, Weight
from modelrollout.api.status import Mode, Outcome, Phase, RevisionStatus, Role, StepStatus, TimelineEntry, Verdict

from .arm_rules import (
    ab_test_is_decided,
    ab_test_runs,
    ab_test_starts,
    ab_test_without_variants_ends,
    abort_of_a_test_goes_first,
    failed_guard_takes_a_variant_out,
    lowered_shares_are_followed,
    raised_attempt_readmits_variants,
    superseded_test_is_withdrawn,
    taken_out_variant_gives_back,
    unstable_variant_is_taken_out,
    variant_that_does_not_load_is_taken_out,
    variant_without_ready_pod_gives_back,
    variant_without_series_is_taken_out,
    variants_take_their_shares,
    wrong_answer_takes_a_variant_out,
)
from .arms import pods_of_variants
from .book import Book, Ending, change_each, with_weight
from .capacity import candidate_pods
from .commands import take, untaken
from .hold import step_is_over
from .in_place import left_behind, stopped
from .moves import (
    Move,
    Wait,
    give_back,
    leave,
    must_keep_weight,
    promote,
    recorded_pods,
    reject,
    scale,
    start,
    stop,
    take_all,
    weigh,
)
from .plan import PlanStep
from .situation import EventNote, Problem
from .surge import next_pods, within_reach
from .waits import (
    candidate_is_loading,
    held_back,
    metrics_are_awaited,
    mirror_is_awaited,
    paused,
    place_is_awaited,
    pods_are_missing,
    rest,
    room_is_awaited,
    route_is_pending,
    stable_is_unavailable,
)
from .words import span

Rule = Callable[[Book], Move | Wait | None]

RESTARTS_THAT_FAIL = 3

_OUTCOMES: dict[str, Outcome] = {
    Reason.ABORTED: Outcome.ABORTED,
    Reason.CANDIDATE_UNSTABLE: Outcome.FAILED,
    Reason.MODEL_LOAD_FAILED: Outcome.FAILED,
    Reason.WARM_UP_FAILED: Outcome.FAILED,
    Reason.NO_CAPACITY: Outcome.FAILED,
}
"""How a rollout ended whose candidate was taken back for this reason; for any other it was rolled back."""


def deletion_changes_nothing(book: Book) -> Wait | None:
    """Children go by owner references; a resource that is being deleted gets no more decisions."""
    if not book.situation.deleting:
        return None
    return Wait(book.status.phase or Phase.DEPLOYING, Reason.SERVING, "Being deleted.")


def lost_status_is_read_from_the_cluster(book: Book) -> Move | None:
    """Empty status with owned children (a restored cluster): stable is what carries most traffic, else the oldest ready one."""
    present = {revision: facts for revision, facts in book.situation.revisions.items() if facts.exists}
    if book.status.revisions or not present:
        return None
    carried = book.situation.route.weights or {}
    chosen = max(present, key=lambda name: (carried.get(name, 0), present[name].ready > 0, -present[name].order, name))

    def adopted(revision: str) -> RevisionStatus:
        facts = present[revision]
        role = Role.STABLE if revision == chosen else Role.FORMER
        weight = Weight(FULL_WEIGHT if revision == chosen else 0)
        return RevisionStatus(
            revision=revision,
            version=facts.version or revision.rsplit("-", 1)[0],
            role=role,
            weight=weight,
            replicas=facts.replicas,
            ready_replicas=facts.ready,
        )

    entries = tuple(adopted(revision) for revision in sorted(present))
    noted = TimelineEntry(at=Timestamp(book.now), revision=chosen, weight=Weight(FULL_WEIGHT), reason=Reason.ADOPTED)
    traffic = book.status.traffic.model_copy(update={"set_at": Timestamp(book.now), "applied_at": None})
    status = book.status.model_copy(
        update={"revisions": entries, "traffic": traffic, "timeline": (*book.status.timeline, noted)}
    )
    text = f"Status was lost; revision {chosen} was found serving and is stable"
    return Move(status, Phase.HEALTHY, Reason.ADOPTED, f"{text}.", (EventNote(Reason.ADOPTED, text, warning=True),))


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


def command_is_taken(book: Book) -> Move | None:
    """The oldest command that was not taken yet."""
    return next((take(book, command) for command in untaken(book)), None)


def raised_attempt_revives(book: Book) -> Move | None:
    """A raised `spec.rollout.attempt` ends the rejection of the revision that the spec asks for."""
    target = book.target
    if target is None:
        return None
    bound = next((entry for entry in book.status.rejected if entry.revision == target.revision), None)
    if (
        bound is None
        or book.plan.attempt <= bound.attempt
        or (book.candidate and book.candidate.revision == target.revision)
    ):
        return None
    others = tuple(entry for entry in book.status.rejected if entry.revision != target.revision)
    text = f"Version {target.version} is tried again (attempt {book.plan.attempt})"
    status = book.status.model_copy(update={"rejected": others})
    return Move(
        status, book.status.phase or Phase.DEPLOYING, Reason.RETRIED, f"{text}.", (EventNote(Reason.RETRIED, text),)
    )


def superseded_candidate_is_withdrawn(book: Book) -> Move | Wait | None:
    """The spec asks for something else: the candidate goes to 0 first, unless it may finish."""
    candidate, target, stable = book.candidate, book.target, book.stable
    if candidate is None or target is None or _may_finish(book):
        return None
    stepping_into_a_test = book.tested and not book.direct
    if target.revision == candidate.revision and not stepping_into_a_test:
        return None
    if candidate.weight and stable is not None and not stopped(book):
        pods = max(1, min(stable.replicas, book.full)) if book.full else 0
        if not book.confirmed(stable, pods):
            # It may have been scaled to 0 in mid-rollout, and is short of pods because it was never given them again.
            return scale(book, recorded_pods(book)) or stable_is_unavailable(book, "to take the traffic back")
    message = f"Version {candidate.version} was superseded: the spec asks for version {target.version}."
    note = EventNote(Reason.SUPERSEDED, message)
    return leave(book, Ending(Outcome.SUPERSEDED, Reason.SUPERSEDED, message), (note,))


def _may_finish(book: Book) -> bool:
    """Whether a candidate that the spec no longer asks for goes on all the same."""
    candidate, target, stable, rollout = book.candidate, book.target, book.stable, book.status.rollout
    assert target is not None
    unwanted = book.rejection(target.revision) is not None
    if unwanted and rollout is not None and rollout.cause == "Undo":
        return True
    if stable is None:
        # It serves everything and nothing else could: it becomes stable in a moment, and the spec's turn comes then.
        return candidate is not None and candidate.weight > 0
    if book.tested and not book.direct:
        return False  # the plan of an A/B test has no steps by which it could
    return book.plan.finish_when_superseded and target.revision != stable.revision and not unwanted


def edited_steps_are_followed(book: Book) -> Move | Wait | None:
    """Where the plan no longer has the step under way as it was, the candidate stands at the last step that it has reached.

    An edit never raises a weight: the next raise needs the hold and the evidence of the step where it stands.
    """
    step, candidate, steps = book.status.step, book.candidate, book.plan.steps
    if book.direct or step is None or candidate is None or step.index == 0 or not steps:
        return None
    named = book.step
    if named is not None and _stands_in(named, step, candidate, climbing=book.plan.surge is not None):
        if (step.index, step.total) == (steps.index(named) + 1, len(steps)):
            return None
        numbered = step.model_copy(update={"index": steps.index(named) + 1, "total": len(steps)})
        status = book.status.model_copy(update={"step": numbered})
    else:
        reached = [one for one in steps if one.weight <= candidate.weight and one.mirror <= candidate.mirror]
        left = reached[-1].weight if reached else min(candidate.weight, steps[0].weight)
        if left < candidate.weight and not book.ready(book.stable):
            # It may have been scaled to 0 in mid-rollout, and has no pods because it was never given them again.
            return scale(book, recorded_pods(book)) or stable_is_unavailable(book, "to take traffic back")
        if reached:
            return weigh(book, reached[-1])
        before_all = StepStatus(name="", index=0, total=len(steps), started_at=Timestamp(book.now))
        status = book.status.model_copy(update={"step": before_all})
        if candidate.mirror or left < candidate.weight:
            # Whether requests can be mirrored is asked before each raise, and a share without a step is judged by nobody.
            status = with_weight(status, candidate.revision, left, book.now, "the steps were edited")
    text = f"The steps were edited; the rollout stands at step {named.name if named else 0}."
    return Move(status, book.status.phase or Phase.PROGRESSING, Reason.HOLDING, text)


def _stands_in(planned: PlanStep, step: StepStatus, candidate: RevisionStatus, *, climbing: bool) -> bool:
    """Whether the candidate has the step's weight, or had it and has given it back; a preview that is given a weight is another step."""
    asked = (planned.weight, planned.mirror)
    if (candidate.weight, candidate.mirror) == asked:
        return True
    if climbing and 0 < candidate.weight < planned.weight:
        return step.weight == planned.weight
    return not candidate.share and (step.weight is None or (step.weight, step.mirror) == asked)


def pods_follow_the_plan(book: Book) -> Move | None:
    """Edited replicas, or capacity that a weight needs, change the recorded pod counts."""
    return scale(book, recorded_pods(book) | pods_of_variants(book))


def former_versions_leave(book: Book) -> Move | None:
    """Pods without a purpose go, once no traffic has reached them for the drain: warmth over, logs kept long enough."""
    if not book.drained:
        return None

    # Somebody waits for what the pods run on.
    wanted = book.plan.in_place or (book.plan.surge is not None and book.candidate is not None)

    def later(entry: RevisionStatus) -> RevisionStatus:
        warm = entry.warm_until and entry.warm_until > book.now
        if entry.role is not Role.FORMER or (warm and (book.plan.in_place or not wanted)):
            return entry
        kept = entry.kept_until if entry.kept_until and entry.kept_until > book.now else None
        kept = None if wanted else kept  # its place is
        # Open connections do not move with endpoints: behind a plain Service only the end of the pods ends them.
        pods = min(1, entry.replicas) if kept and book.plan.router != "Service" else 0
        return entry.model_copy(update={"replicas": pods, "warm_until": None, "kept_until": kept})

    status = change_each(book.status, later)
    gone = [
        entry
        for entry in status.revisions
        if entry.role is Role.FORMER
        and not entry.replicas
        and not entry.kept_until
        and not book.facts(entry.revision).pods
        and not (wanted and book.facts(entry.revision).ending)  # once it is forgotten, nobody counts them
    ]
    if gone:
        status = status.model_copy(
            update={"revisions": tuple(entry for entry in status.revisions if entry not in gone)}
        )
    if status.revisions == book.status.revisions:
        return None
    return Move(
        status,
        book.status.phase or Phase.HEALTHY,
        Reason.SCALED_DOWN,
        "A version that is no longer needed is scaled down.",
    )


def new_candidate_starts(book: Book) -> Move | None:
    """The spec asks for a revision that is neither running nor rejected. The control of an A/B test takes no steps of its own.

    The winner of one that was taken back, or withdrawn, before it was stable takes the default steps when it is asked for again.
    """
    target, stable = book.target, book.stable
    if target is None or book.candidate is not None or book.experiment is not None or book.situation.plan is None:
        return None
    if book.rejection(target.revision) is not None or (stable is not None and target.revision == stable.revision):
        return None
    cause = _why_at_once(book, target.revision)
    if book.tested and not cause:
        return None
    return start(book, target, Mode.DIRECT if cause else Mode.STEPS, cause)


def _why_at_once(book: Book, revision: str) -> str:
    """Why a revision gets all traffic without steps; empty if it does not."""
    stable, plan, former = book.stable, book.plan, book.entry(revision)
    if stable is None:
        return Reason.FIRST_VERSION
    if not plan.replicas and not plan.autoscaled:
        return Reason.SCALED_TO_ZERO
    if former is not None and former.warm_until and former.warm_until > book.now:
        return Reason.WAY_BACK
    if stable.unready is not None and stable.unready.seconds >= plan.load_deadline:
        return Reason.STABLE_UNAVAILABLE
    return ""


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


def _hindered(book: Book) -> Wait | None:
    """What stands in the way whatever the pods are like: the candidate is blocked, or something cannot be written or measured."""
    if blocked := book.status.rollout and book.status.rollout.blocked:
        return held_back(book, Problem(blocked.reason, blocked.message))
    for problem in (*book.situation.problems, book.situation.metrics_problem if book.plan.judged else None):
        if problem is not None:
            return held_back(book, problem)
    return None


def _obstacle(book: Book, candidate: RevisionStatus, pods: int, goal: PlanStep | None = None) -> Wait | None:
    """What keeps the candidate's weight from rising, or the share that is mirrored to it from rising to that of a step (`goal`)."""
    if (hindered := _hindered(book)) is not None:
        return hindered
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


def one_version_at_a_time(book: Book) -> Move | Wait | None:
    """Replace: stable is stopped when nothing else is in the way, and the candidate starts in its place once that is free."""
    candidate, stable = book.candidate, book.stable
    if not book.plan.in_place or candidate is None or not book.full:
        return None
    if candidate.weight == FULL_WEIGHT or book.confirmed(candidate, book.full):
        return None  # what is ready in full beside stable needs no place
    if stable is not None and stable.replicas:
        return _before_the_stop(book, candidate, stable) or stop(book)
    if not candidate.replicas:
        return place_is_awaited(book)
    return None


def _before_the_stop(book: Book, candidate: RevisionStatus, stable: RevisionStatus) -> Move | Wait | None:
    """What has to be so while something still serves: from the order on, waiting means that nothing does."""
    if (hindered := _hindered(book)) is not None:
        return hindered
    if candidate.share:  # of another strategy, which was edited into this one
        if candidate.weight and not book.ready(stable):
            return stable_is_unavailable(book, "to take traffic back")
        return give_back(
            book, Reason.HOLDING, "The strategy was edited: the version before serves until it is replaced."
        )
    if left_behind(book):
        return place_is_awaited(book)
    return paused(book)


def something_answers_again(book: Book) -> Move | None:
    """The end of a gap that was ordered: what has all traffic has a ready pod, or nothing is to run."""
    down = book.status.down
    serving = next((entry for entry in book.status.revisions if entry.weight == FULL_WEIGHT), None)
    answers = serving is not None and serving.replicas and book.ready(serving) and book.applied
    if down is None or (book.full and not answers):
        return None  # pods that were just ordered away may still be ready
    status = book.status.model_copy(update={"down": None})
    phase = book.status.phase or Phase.PROGRESSING
    if serving is None or not book.full:
        return Move(status, phase, Reason.SCALED_TO_ZERO, "Scaled to 0.")
    text = f"Version {serving.version} answers; nothing did for {span(book.now - down.since)}"
    return Move(status, phase, Reason.SERVING_AGAIN, f"{text}.", (EventNote(Reason.SERVING_AGAIN, text),))


def nothing_to_do(book: Book) -> Wait:
    """No rollout is under way."""
    return rest(book)


RULES: tuple[Rule, ...] = (
    deletion_changes_nothing,
    lost_status_is_read_from_the_cluster,
    abort_goes_first,
    abort_of_a_test_goes_first,
    failed_metric_takes_back,
    unstable_candidate_takes_back,
    wrong_answer_takes_back,
    scheduling_deadline_takes_back,
    load_deadline_takes_back,
    failed_guard_takes_a_variant_out,
    unstable_variant_is_taken_out,
    wrong_answer_takes_a_variant_out,
    variant_that_does_not_load_is_taken_out,
    variant_without_series_is_taken_out,
    taken_out_variant_gives_back,
    variant_without_ready_pod_gives_back,
    rejected_candidate_returns,
    candidate_without_ready_pod_gives_back,
    missing_series_give_back,
    impossible_mirror_gives_back,
    command_is_taken,
    raised_attempt_revives,
    raised_attempt_readmits_variants,
    superseded_candidate_is_withdrawn,
    superseded_test_is_withdrawn,
    ab_test_without_variants_ends,
    edited_steps_are_followed,
    pods_follow_the_plan,
    former_versions_leave,
    new_candidate_starts,
    something_answers_again,
    one_version_at_a_time,
    direct_candidate_takes_all,
    candidate_takes_its_step,
    step_is_held,
    next_step_begins,
    last_step_promotes,
    ab_test_starts,
    lowered_shares_are_followed,
    variants_take_their_shares,
    ab_test_is_decided,
    ab_test_runs,
    nothing_to_do,
)
