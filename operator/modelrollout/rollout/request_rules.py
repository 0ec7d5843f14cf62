"""What people ask for: commands, a new spec in mid-rollout, edited steps and pod counts, and what follows from status being lost.

Rules of `rules.RULES`, asked there after what takes traffic away and before what gives any.
"""

from __future__ import annotations

from modelrollout.api.reasons import Reason
from modelrollout.api.scalars import FULL_WEIGHT, Timestamp, Weight
from modelrollout.api.status import Mode, Outcome, Phase, RevisionStatus, Role, StepStatus, TimelineEntry

from .arms import pods_of_variants
from .book import Book, Ending, change_each, with_weight
from .commands import take, untaken
from .in_place import stopped
from .moves import (
    Move,
    Wait,
    leave,
    recorded_pods,
    scale,
    start,
    weigh,
)
from .plan import PlanStep
from .situation import EventNote
from .waits import (
    stable_is_unavailable,
)


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
