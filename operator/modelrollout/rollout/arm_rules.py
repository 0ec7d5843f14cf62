"""The semantics of an A/B test: rules like those of a single candidate, asked in their place among them (`rules.RULES`).

What takes traffic away from a bad variant is asked about before anything that people and plans want, and concerns that variant alone: its
share goes to the control, the others keep exactly theirs. A variant that was taken out does not come back by itself.
"""

from __future__ import annotations

from modelrollout.api.analysis import OnBreach
from modelrollout.api.command import Action
from modelrollout.api.experiment import End
from modelrollout.api.reasons import Reason
from modelrollout.api.scalars import FULL_WEIGHT
from modelrollout.api.status import REVISIONS_LIMIT, ExperimentOutcome, Outcome, Phase, Verdict

from .arm_moves import begin, choose, conclude, readmit, retired, share_out, take_out, withdraw
from .arm_waits import (
    decision_is_awaited,
    experiment_is_running,
    in_the_way_of_shares,
    stable_cannot_take_back,
    variants_are_loading,
)
from .arms import Lane, lanes, running, shares_now
from .book import Book, Ending
from .commands import take, untaken
from .moves import Move, Wait, recorded_pods, scale
from .return_rules import RESTARTS_THAT_FAIL
from .situation import EventNote
from .waits import paused
from .words import percent, sentence, span


def abort_of_a_test_goes_first(book: Book) -> Move | None:
    """An untaken Abort of a variant, or of the whole test by its control, goes before all other commands and all evidence."""
    experiment = book.experiment
    if experiment is None:
        return None
    named = {lane.arm.revision for lane in running(book)} | {experiment.control}
    fitting = (one for one in untaken(book) if one.action is Action.ABORT and one.revision in named)
    return next((take(book, one) for one in fitting), None)


def failed_guard_takes_a_variant_out(book: Book) -> Move | None:
    """A metric that says Fail of a variant, and rolls back on a breach, takes that variant out in the same reconcile."""
    wanted = {metric.name for metric in book.plan.metrics if metric.breach is OnBreach.ROLLBACK}
    for lane in running(book):
        for metric in lane.arm.metrics:
            if metric.verdict is Verdict.FAIL and metric.name in wanted and metric.reason != Reason.STABLE_BREACHES_TOO:
                reason = Reason(metric.reason or Reason.METRIC_WORSE)
                return take_out(book, lane, Ending(Outcome.ROLLED_BACK, reason, metric.message or metric.name))
    return None


def unstable_variant_is_taken_out(book: Book) -> Move | None:
    """Kubernetes' own facts fail a variant: restarts during the test, or no ready pod for too long once it had loaded."""
    for lane in running(book):
        if lane.arm.loaded_at is None:
            continue
        why = f" {lane.facts.trouble}" if lane.facts.trouble else ""
        restarts, deadline = lane.facts.restarts - lane.arm.restarts_base, book.plan.unavailable_deadline
        if restarts >= RESTARTS_THAT_FAIL:
            message = f"Its containers restarted {restarts} times during the test.{why}"
        elif lane.entry.unready is not None and lane.entry.unready.seconds >= deadline:
            message = f"It had no ready pod for {span(deadline)}.{why}"
        else:
            continue
        return take_out(book, lane, Ending(Outcome.FAILED, Reason.CANDIDATE_UNSTABLE, message))
    return None


def variant_that_does_not_load_is_taken_out(book: Book) -> Move | None:
    """A variant that was not ready within `loadDeadline` has failed; the test begins without it."""
    for lane in running(book):
        if lane.arm.loaded_at is not None or lane.arm.loading.seconds < book.plan.load_deadline:
            continue
        if lane.usable >= lane.pods > 0:
            continue  # it is ready and being confirmed
        trouble = lane.facts.trouble or lane.cold or "no pod became ready"
        message = f"Not ready within {span(book.plan.load_deadline)}: {trouble}. No traffic was moved."
        return take_out(book, lane, Ending(Outcome.FAILED, Reason.MODEL_LOAD_FAILED, message))
    return None


def wrong_answer_takes_a_variant_out(book: Book) -> Move | None:
    """A golden request that a pod of a variant answers wrongly or too slowly takes it out, like a model that does not load."""
    for lane in running(book):
        if failure := lane.measured.warm_up.failure:
            return take_out(book, lane, Ending(Outcome.FAILED, Reason.WARM_UP_FAILED, failure))
    return None


def variant_without_series_is_taken_out(book: Book) -> Move | None:
    """A variant whose series do not appear although it has traffic cannot be judged."""
    for lane in running(book):
        problem = lane.measured.problem
        if problem is not None and problem.reason == Reason.METRICS_MISSING and lane.entry.weight and book.plan.judged:
            return take_out(book, lane, Ending(Outcome.FAILED, Reason.METRICS_MISSING, problem.message))
    return None


def taken_out_variant_gives_back(book: Book) -> Move | None:
    """A variant that kept its share when it was taken out, for want of a ready control, gives it back now."""
    for lane in lanes(book):
        if lane.arm.out is None or not lane.entry.weight or (lane.facts.ready and not book.ready(book.stable)):
            continue
        status = retired(book, lane, lane.arm.out.reason)
        text = f"{lane.label}: {percent(lane.entry.weight)} → 0 %: {lane.arm.out.message}"
        note = EventNote(Reason.WEIGHT_CHANGED, text, warning=True)
        return Move(status, Phase.PROGRESSING, Reason(lane.arm.out.reason), lane.arm.out.message, (note,), urgent=True)
    return None


def variant_without_ready_pod_gives_back(book: Book) -> Move | None:
    """A variant with a share and no ready pod goes to 0 if the control has a ready pod; it may come back.

    A share that was recorded and never carried out goes in any case: nothing rises onto pods that are not ready.
    """
    for lane in running(book):
        if not lane.entry.weight or lane.facts.ready or not book.full:
            continue
        carried = book.situation.route.weights
        in_vain = carried is not None and carried.get(lane.entry.revision, 0) < lane.entry.weight
        if not book.ready(book.stable) and not in_vain:
            continue
        shares = shares_now(book) | {lane.entry.revision: 0}
        text = f"{lane.label}: {percent(lane.entry.weight)} → 0 %: it has no ready pod"
        return share_out(book, shares, Reason.CANDIDATE_UNREADY, f"{sentence(text)}.", urgent=True)
    return None


def raised_attempt_readmits_variants(book: Book) -> Move | None:
    """A raised `spec.rollout.attempt` has variants that were taken out by the old one take part again."""
    experiment, target = book.experiment, book.target
    if experiment is None or target is None or target.experiment != experiment.id:
        return None
    for lane in lanes(book):
        if lane.arm.out is None or lane.entry.weight:
            continue
        bound = next((one for one in book.status.rejected if one.revision == lane.arm.revision), None)
        if bound is None or book.plan.attempt <= bound.attempt:
            continue
        text = f"{sentence(lane.label)} takes part again (attempt {book.plan.attempt})"
        return Move(
            readmit(book, lane), Phase.PROGRESSING, Reason.RETRIED, f"{text}.", (EventNote(Reason.RETRIED, text),)
        )
    return None


def superseded_test_is_withdrawn(book: Book) -> Move | Wait | None:
    """The spec asks for something else than the test under way: all traffic goes to the control first."""
    experiment, target = book.experiment, book.target
    if experiment is None or target is None or target.experiment == experiment.id:
        return None
    if (waiting := stable_cannot_take_back(book)) is not None:
        return scale(book, recorded_pods(book)) or waiting
    return withdraw(book, Reason.SUPERSEDED, "The A/B test was superseded: the spec asks for something else.")


def ab_test_without_variants_ends(book: Book) -> Move | Wait | None:
    """No variant is left: the test has failed, and the control has all traffic."""
    if book.experiment is None or running(book) or any(shares_now(book).values()):
        return None
    return conclude(book, ExperimentOutcome.FAILED, "The A/B test ended: all of its variants were taken out.")


def ab_test_starts(book: Book) -> Move | None:
    """The spec asks for an A/B test of what is stable that has not been held: its variants are created."""
    target, stable, plan = book.target, book.stable, book.plan
    if target is None or not target.experiment or book.experiment is not None or book.candidate is not None:
        return None
    if stable is None or stable.revision != target.revision or book.concluded is not None or plan.experiment is None:
        return None
    if stable.weight != FULL_WEIGHT or not (plan.replicas or plan.autoscaled):
        return None
    if all(book.rejection(arm.revision) is not None for arm in target.arms):
        return None
    named = {arm.revision for arm in target.arms}
    if len(named | {entry.revision for entry in book.status.revisions}) > REVISIONS_LIMIT:
        return None  # former versions are about to leave
    return begin(book, target)


def lowered_shares_are_followed(book: Book) -> Move | Wait | None:
    """A share that an edit has lowered goes to the control at once."""
    if book.experiment is None or book.plan.experiment is None:
        return None
    lowered = {lane.entry.revision: int(lane.share) for lane in running(book) if lane.entry.weight > lane.share}
    if not lowered:
        return None
    if (waiting := stable_cannot_take_back(book)) is not None:
        return waiting
    return share_out(book, shares_now(book) | lowered, Reason.SHARES_SET, "Shares were lowered by an edit.")


def variants_take_their_shares(book: Book) -> Move | Wait | None:
    """All shares at once when every variant is ready; afterwards that of a variant whose share was raised or that has come back."""
    experiment = book.experiment
    if experiment is None or not book.full:
        return None
    missing = tuple(lane for lane in running(book) if lane.entry.weight < lane.share)
    ready = tuple(lane for lane in missing if book.confirmed(lane.entry, lane.pods))
    if experiment.begun_at is None and len(ready) < len(missing):
        return variants_are_loading(book, missing)
    if not ready:
        return None  # the others go on meanwhile
    if (waiting := in_the_way_of_shares(book, missing)) is not None:
        return waiting
    shares = shares_now(book) | {lane.entry.revision: int(lane.share) for lane in ready}
    told = ", ".join(f"{lane.label} gets {percent(lane.share)}" for lane in ready)
    return share_out(book, shares, Reason.SHARES_SET, f"{sentence(told)}.")


def ab_test_is_decided(book: Book) -> Move | Wait | None:
    """A winner by the evidence, or the end of the duration, ends the test as its `end` says."""
    experiment, test = book.experiment, book.plan.experiment
    if experiment is None or test is None or experiment.begun_at is None:
        return None
    over = test.duration is not None and experiment.covered.seconds >= test.duration
    winner = _winner(book)
    if test.end is End.MANUAL:
        return decision_is_awaited(book, winner) if over else None
    chosen = winner if test.end is End.PROMOTE_WINNER and (over or book.plan.by_evidence) else None
    if chosen is None and not over:
        return None
    if (waiting := paused(book) or stable_cannot_take_back(book)) is not None:
        return waiting
    if chosen is not None:
        return choose(book, chosen, won(chosen))
    return conclude(book, ExperimentOutcome.KEPT, _kept(book, winner))


def _winner(book: Book) -> Lane | None:
    """The variant that was shown to be better and whose guards are sound; of several the one with the highest rate against the control."""
    gates = frozenset(metric.name for metric in book.plan.metrics if metric.gates)
    better = [lane for lane in running(book) if lane.arm.goal and lane.arm.goal.better and _sound(lane, gates)]
    return max(better, key=_advantage, default=None)


def _advantage(lane: Lane) -> tuple[float, str]:
    goal = lane.arm.goal
    assert goal is not None
    rates = [
        hits / count if count else 0.0
        for hits, count in ((goal.hits, goal.count), (goal.control_hits, goal.control_count))
    ]
    return abs(rates[0] - rates[1]), lane.arm.name


def _sound(lane: Lane, gates: frozenset[str]) -> bool:
    """Whether the variant serves its share and none of its gating guards says Fail, or nothing at all."""
    bad = (Verdict.FAIL, Verdict.NO_DATA, Verdict.ERROR)
    spoiled = any(metric.verdict in bad for metric in lane.arm.metrics if metric.name in gates)
    return lane.entry.weight == lane.share and not spoiled


def won(lane: Lane) -> str:
    """Why a variant is the winner, in a sentence."""
    goal = lane.arm.goal
    if goal is None or goal.variant is None:
        return f"{sentence(lane.label)} was chosen."
    between = f", ratio {goal.ratio} ({goal.interval})" if goal.ratio and goal.interval else ""
    return f"{sentence(lane.label)} won: {goal.variant} against {goal.control} on {goal.count} and {goal.control_count}{between}."


def _kept(book: Book, winner: Lane | None) -> str:
    stable = book.stable.version if book.stable else ""
    if winner is not None:
        return f"The A/B test is over and version {stable} was kept, as end KeepStable says. {won(winner)}"
    goal = book.plan.experiment.goal if book.plan.experiment else None
    why = "no variant was shown to be better" if goal else "its duration has passed"
    return f"The A/B test is over and version {stable} was kept: {why}."


def ab_test_runs(book: Book) -> Wait | None:
    """The test is under way and nothing is to be done."""
    return None if book.experiment is None else experiment_is_running(book)
