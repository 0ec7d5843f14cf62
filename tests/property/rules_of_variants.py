"""What must hold of an A/B test at every decision, beside the rules that hold for every rollout."""

from __future__ import annotations

from modelrollout.api.analysis import OnBreach
from modelrollout.api.command import Action
from modelrollout.api.reasons import Reason
from modelrollout.api.scalars import FULL_WEIGHT
from modelrollout.api.status import Concluded, ExperimentOutcome, ExperimentStatus, Mode, Role, Verdict
from modelrollout.rollout.situation import Target

from .ledger import Look, live, mode, need, with_role
from .surroundings import TIMING


def _test(look: Look) -> ExperimentStatus | None:
    return look.after.experiment


def _shares(look: Look) -> dict[str, int]:
    """What the plan gives each variant of the test under way, by revision."""
    test, plan = _test(look), look.plan
    if test is None or plan is None or plan.experiment is None:
        return {}
    return {arm.revision: int(plan.experiment.share(arm.name)) for arm in test.variants}


def shares_are_exactly_as_asked(look: Look) -> str | None:
    """A variant that gets a share gets its own, and whatever no variant has is the control's."""
    test = _test(look)
    if test is None or look.plan is None or look.plan.experiment is None:
        return None
    shares, now = _shares(look), look.now
    for name, weight in look.changed.items():
        if name in shares and weight > look.was.get(name, 0) and weight != shares[name]:
            return f"{name} gets {weight} of {shares[name]}"
    stray = {name: weight for name, weight in live(look.after).items() if name != test.control and name not in shares}
    if stray:
        return f"{stray} has traffic and takes no part"
    return None if now[test.control] == FULL_WEIGHT - sum(now.get(name, 0) for name in shares) else f"{now}"


def shares_begin_together(look: Look) -> str | None:
    """At first all variants that are left get their shares in one write, each with its pods confirmed ready."""
    before, after = look.before.experiment, _test(look)
    if before is None or after is None or before.begun_at is not None or after.begun_at is None:
        return None
    for arm in after.variants:
        if arm.out is None and look.now.get(arm.revision, 0) != _shares(look).get(arm.revision):
            return f"{arm.name} begins with {look.now.get(arm.revision)}"
    return None


def shares_rise_onto_confirmed_pods(look: Look) -> str | None:
    test = _test(look)
    if test is None or look.plan is None or look.full == 0:
        return None
    for arm in test.variants:
        weight, facts = look.changed.get(arm.revision, 0), look.facts(arm.revision)
        if weight <= look.was.get(arm.revision, 0):
            continue
        wanted = look.full if look.plan.full_candidate else max(1, need(look.full, weight))
        since = facts.ready_since
        if facts.ready < wanted or since is None or look.situation.now - since < TIMING.ready_for - 0.001:
            return f"{arm.name} gets {weight} with {facts.ready} of {wanted} pods, ready since {since}"
        if not look.stable or not look.facts(look.stable.revision).ready:
            return f"{arm.name} gets {weight} beside a control without pods"
    return None


def golden_requests_come_before_each_share(look: Look) -> str | None:
    """No share rises onto pods that have not answered the golden requests."""
    test = _test(look)
    if test is None or look.plan is None or look.plan.golden is None or look.full == 0:
        return None
    for arm in test.variants:
        weight = look.changed.get(arm.revision, 0)
        if weight <= look.was.get(arm.revision, 0):
            continue
        facts = look.situation.arms.get(arm.revision)
        warm, wanted = facts.warm_up.warm if facts else 0, max(1, need(look.full, weight))
        if warm < wanted:
            return f"{arm.name} gets {weight} with {warm} of {wanted} pods warm"
    return None


def a_wrong_golden_answer_takes_a_variant_out(look: Look) -> str | None:
    """One after the other, before anything else is done."""
    before, after = look.before.experiment, _test(look)
    if before is None or after is None or before.started_at != after.started_at or look.situation.deleting:
        return None
    wrong = [
        arm.name
        for arm in after.variants
        if arm.out is None and (facts := look.situation.arms.get(arm.revision)) is not None and facts.warm_up.failure
    ]
    return f"{wrong} go on although they answer wrongly" if wrong and not look.moment.decision.again else None


def a_variant_without_pods_has_no_share(look: Look) -> str | None:
    test, stable = _test(look), with_role(look.after, Role.STABLE)
    if test is None or stable is None or look.full == 0 or look.situation.deleting:
        return None
    dead = [
        arm.name
        for arm in test.variants
        if look.now.get(arm.revision, 0) and not look.facts(arm.revision).ready and look.facts(stable.revision).ready
    ]
    return f"{dead} keep shares" if dead and not look.moment.decision.again else None


def a_taken_out_variant_does_not_come_back(look: Look) -> str | None:
    before, after = look.before.experiment, _test(look)
    if before is None or after is None or before.id != after.id or before.started_at != after.started_at:
        return None
    for one, two in zip(before.variants, after.variants, strict=True):
        if one.out is None:
            continue
        bound = next((entry for entry in look.before.rejected if entry.revision == one.revision), None)
        raised = bound is not None and look.plan is not None and look.plan.attempt > bound.attempt
        if two.out is None and not look.accepted(Action.RETRY) and not raised:
            return f"{one.name} is in the test again"
        if look.now.get(one.revision, 0) > look.was.get(one.revision, 0):
            return f"{one.name} was taken out and gets {look.now[one.revision]}"
    return None


def a_variant_is_taken_out_alone(look: Look) -> str | None:
    """What one loses goes to the control; the others keep their shares to the point."""
    before, after = look.before.experiment, _test(look)
    if before is None or after is None or before.started_at != after.started_at:
        return None
    out = {two.revision for one, two in zip(before.variants, after.variants, strict=True) if one.out != two.out}
    if not out:
        return None
    moved = [name for name in look.changed if name not in out and name != after.control]
    return f"{out} were taken out, and {moved} moved too" if moved or len(out) > 1 else None


def a_failed_guard_takes_the_share_in_the_same_reconcile(look: Look) -> str | None:
    test, stable = _test(look), with_role(look.after, Role.STABLE)
    if test is None or look.plan is None or look.situation.deleting or stable is None:
        return None
    wanted = {metric.name for metric in look.plan.metrics if metric.breach is OnBreach.ROLLBACK}
    for arm in test.variants:
        failed = [
            metric.name
            for metric in arm.metrics
            if metric.verdict is Verdict.FAIL and metric.name in wanted and metric.reason != Reason.STABLE_BREACHES_TOO
        ]
        stuck = look.facts(arm.revision).ready and not look.facts(stable.revision).ready
        if failed and arm.out is None and not look.moment.decision.again:
            return f"{arm.name} fails {failed} and stays"
        if (
            failed
            and arm.out is not None
            and look.now.get(arm.revision, 0)
            and not stuck
            and not look.moment.decision.again
        ):
            return f"{arm.name} is out and has {look.now[arm.revision]}"
    return None


def _ended(look: Look) -> tuple[ExperimentStatus, Concluded | None] | None:
    """The test that this decision ends, and how it is concluded if it is."""
    before, after = look.before.experiment, _test(look)
    if before is None or (after is not None and after.started_at == before.started_at):
        return None
    known = {entry.id: entry.at for entry in look.before.concluded}
    return before, next((entry for entry in look.after.concluded if known.get(entry.id) != entry.at), None)


def a_test_ends_for_a_reason(look: Look) -> str | None:
    """By a person, the spec, its plan, or for want of variants."""
    if (found := _ended(look)) is None or look.plan is None:
        return None
    (before, ended), plan = found, look.plan.experiment
    if ended is None:
        asked = isinstance(look.situation.target, Target) and look.situation.target.experiment == before.id
        return f"{before.id} ended without a word" if asked else None
    by_time = plan is not None and plan.duration is not None and plan.end != "Manual" and not look.paused
    reasons = {
        ExperimentOutcome.WON: True,
        ExperimentOutcome.ABORTED: look.accepted(Action.ABORT),
        ExperimentOutcome.FAILED: all(arm.out is not None for arm in before.variants),
        ExperimentOutcome.KEPT: by_time,
    }
    return None if reasons[ended.outcome] else f"{before.id} ended as {ended.outcome}"


def a_winner_is_chosen_by_evidence_or_a_person(look: Look) -> str | None:
    """And it takes over. In the harness only some builds are better; of others nobody can have shown it."""
    found = _ended(look)
    if found is None or found[1] is None or found[1].outcome is not ExperimentOutcome.WON or look.plan is None:
        return None
    revision, plan = found[1].revision, look.plan.experiment
    if look.after.rollout is None or look.after.rollout.revision != revision or mode(look.after) is not Mode.DIRECT:
        return f"{revision} won and does not take over"
    if look.accepted(Action.PROMOTE):
        return None
    if plan is None or plan.end != "PromoteWinner" or look.paused:
        return f"{revision} won against the plan"
    better = look.world.prometheus.better
    return None if revision in better and found[0].control not in better else f"{revision} won and is not better"


def a_test_that_has_ended_does_not_start_again(look: Look) -> str | None:
    before, after = look.before.experiment, _test(look)
    if after is None or (before is not None and before.started_at == after.started_at) or look.plan is None:
        return None
    bound = next((entry for entry in look.before.concluded if entry.id == after.id), None)
    if bound is not None and look.plan.attempt <= bound.attempt:
        return f"{after.id} starts again"
    stable = with_role(look.after, Role.STABLE)
    control = stable is not None and stable.revision == after.control
    return None if control else f"{after.control} is control and not stable"


def a_pause_holds_a_test(look: Look) -> str | None:
    before, after = look.before.experiment, _test(look)
    if before is None or not look.paused:
        return None
    if before.begun_at is None and after is not None and after.begun_at is not None:
        return "shares were set while paused"
    ended = after is None and not look.accepted(Action.PROMOTE) and look.after.rollout is not None
    return "a winner took over while paused" if ended else None


def answers_that_are_missing_end_no_test(look: Look) -> str | None:
    """A goal that is measured covers no time without answers."""
    before, after = look.before.experiment, _test(look)
    if before is None or after is None or before.started_at != after.started_at or look.plan is None:
        return None
    test = look.plan.experiment
    if test is None or test.goal is None:
        return None
    grown = after.covered.seconds > before.covered.seconds
    answered = any(
        window.answered for facts in look.situation.arms.values() for window in facts.windows.get("goal", ())
    )
    return "covered without answers" if grown and not answered else None


RULES_OF_VARIANTS = (
    shares_are_exactly_as_asked,
    shares_begin_together,
    shares_rise_onto_confirmed_pods,
    golden_requests_come_before_each_share,
    a_wrong_golden_answer_takes_a_variant_out,
    a_variant_without_pods_has_no_share,
    a_taken_out_variant_does_not_come_back,
    a_variant_is_taken_out_alone,
    a_failed_guard_takes_the_share_in_the_same_reconcile,
    a_test_ends_for_a_reason,
    a_winner_is_chosen_by_evidence_or_a_person,
    a_test_that_has_ended_does_not_start_again,
    a_pause_holds_a_test,
    answers_that_are_missing_end_no_test,
)
