"""What must hold when a step ends and when a candidate is judged: rules 3, 4, 6 and 12."""

from __future__ import annotations

import math

from modelrollout.api.analysis import Method, Metric, OnBreach, OnInconclusive, StepKind
from modelrollout.api.command import Action
from modelrollout.api.reasons import Reason
from modelrollout.api.scalars import FULL_WEIGHT
from modelrollout.api.status import Mode, Outcome, Role, StepStatus, Verdict
from modelrollout.rollout.plan import Plan, PlanStep

from .ledger import SLACK, Look, blind, kind_at, live, mode, speaks, weights, with_role


def ended_step(look: Look) -> StepStatus | None:
    """The step that this decision ends, if it ends one."""
    step, rollout = look.before.step, look.before.rollout
    if (
        step is None
        or rollout is None
        or step.index == 0
        or rollout.mode is Mode.DIRECT
        or look.accepted(Action.PROMOTE)
    ):
        return None
    stable = with_role(look.after, Role.STABLE)
    if stable is not None and stable.revision == rollout.revision:
        return step
    if not look.same_rollout or look.after.step is None:
        return None
    planned = look.steps(step.name)
    risen = planned and look.now.get(rollout.revision, 0) > max(int(one.weight) for one in planned)
    moved = look.same_plan and look.after.step.index > step.index and look.after.step.name != step.name
    return step if risen or moved else None


def _shortest(look: Look, step: StepStatus) -> PlanStep | None:
    return min(look.steps(step.name), key=lambda one: one.hold, default=None)


def _approved(look: Look, step: StepStatus) -> bool:
    return step.approval is not None or look.accepted(Action.APPROVE)


def _excused(look: Look, step: StepStatus) -> bool:
    """Its time is up, by any plan that may be meant, and a person or the spec lets it go on without evidence."""
    account, plan = look.ledger.account, look.plan
    spent = look.moment.mono - account.since if account.since is not None else 0.0
    longest = min((one.max_duration for one in look.steps(step.name)), default=math.inf)
    if plan is None or spent + SLACK + account.allowance < longest:
        return False
    by_hand = bool(step.inconclusive) and _approved(look, step)
    return plan.on_inconclusive is OnInconclusive.PROMOTE or by_hand


def _least(plan: Plan, metric: Metric) -> float:
    """So many requests a certificate takes at least: even without an error, each is worth only so much."""
    floor = 0.001
    if metric.compare is None:
        assert metric.limit is not None
        floor = metric.limit.fraction
    elif metric.compare.ignore_below is not None:
        floor = metric.compare.ignore_below.fraction
    return math.log(1 / plan.bad_promotion) / math.log(1 / (1 - floor))


def _uncertain(look: Look, kind: StepKind) -> str | None:
    """A gating metric of which nobody can be certain yet, whatever was answered."""
    assert look.plan is not None
    for metric in look.gating(kind):
        if metric.judged_by is Method.SEQUENTIAL:
            seen, least = sum(look.ledger.requests.get(metric.name, {}).values()), _least(look.plan, metric)
            beside = metric.compare is not None and look.ledger.stable_erred  # against a bad stable a few answers tell
            if look.ledger.innocent and not beside and seen < least:
                return f"certified of {metric.name} by {seen} requests; it takes {least:.0f} at least"
    return None


def _by_evidence(look: Look, planned: PlanStep) -> bool:
    """Whether a step may end before its hold, because its metrics are certified."""
    if look.plan is None or not look.plan.by_evidence or planned.kind is not StepKind.LIVE:
        return False
    gates = [metric for metric in look.plan.metrics if metric.gates and speaks(metric, planned.kind)]
    judged = [metric for metric in gates if metric.judged_by is Method.SEQUENTIAL]
    return bool(judged) and _uncertain(look, planned.kind) is None


def rule_03_a_step_ends_after_its_covered_hold(look: Look) -> str | None:
    step = ended_step(look)
    planned = step and _shortest(look, step)
    if not step or not planned or _excused(look, step):
        return None
    kind = planned.kind
    if _by_evidence(look, planned):
        return None
    gates = look.gating(kind)
    late = max((metric.delay.seconds for metric in gates if metric.delay), default=0.0)
    wanted = planned.hold + late
    account = look.ledger.account
    really = look.ledger.covered + account.within_a_window if gates else account.lived
    if really + SLACK + account.allowance < wanted:
        return f"{step.name} ends after {really:.1f}s of {wanted:.0f}s truly covered (recorded {step.covered})"
    return None


def rule_03_wall_time_since_applied_is_necessary(look: Look) -> str | None:
    step = ended_step(look)
    planned = step and _shortest(look, step)
    if not step or not planned or _excused(look, step) or not planned.hold or _by_evidence(look, planned):
        return None
    if step.applied_at is None:
        return f"{step.name} ends and was never applied"
    passed = look.situation.now - step.applied_at
    return None if passed >= planned.hold - 0.01 else f"{step.name} ends {passed:.1f}s after appliedAt"


def rule_03_a_step_ends_with_its_sample(look: Look) -> str | None:
    step = ended_step(look)
    planned = step and _shortest(look, step)
    if not step or not planned or _excused(look, step):
        return None
    for metric in look.gating(planned.kind):
        seen = sum(look.ledger.account.requests.get(metric.name, {}).values())
        if seen < metric.sample:
            return f"{step.name} ends with {seen} of {metric.sample} requests of {metric.name}"
    return None


def rule_03_the_last_live_step_ends_with_its_certificate(look: Look) -> str | None:
    step = ended_step(look)
    planned = step and _shortest(look, step)
    plan = look.plan
    if not step or not planned or plan is None or not look.same_plan or _excused(look, step):
        return None
    if planned.kind is not StepKind.LIVE or planned != [one for one in plan.steps if one.kind is StepKind.LIVE][-1]:
        return None
    doubt = _uncertain(look, planned.kind)
    return f"{step.name} ends {doubt}" if doubt else None


def rule_03_no_step_ends_on_a_bad_or_missing_answer(look: Look) -> str | None:
    """Not by time, not by approval, not by `onInconclusive: Promote`."""
    step = ended_step(look)
    planned = step and _shortest(look, step)
    if not step or not planned:
        return None
    if any(planned.kind is not one.kind for one in look.steps(step.name)):
        return None
    said = {metric.name: metric.verdict for metric in look.after.metrics}
    through = {metric.name: float(metric.through or 0.0) for metric in look.before.metrics}
    for metric in look.gating(planned.kind):
        newest = [
            window
            for window in look.situation.windows.get(metric.name, ())
            if step.applied_at is not None and window.start >= step.applied_at
        ]
        # After a clock that was set back the windows that are shown may be older than what was judged.
        if newest and not newest[-1].answered and newest[-1].end >= through.get(metric.name, 0.0):
            return f"{step.name} ends while {metric.name} answers {newest[-1].answer}"
        if said.get(metric.name) in (Verdict.FAIL, Verdict.NO_DATA, Verdict.ERROR):
            return f"{step.name} ends while {metric.name} says {said[metric.name]}"
    return None


def rule_03_approval_steps_end_by_approval(look: Look) -> str | None:
    step = ended_step(look)
    if step is None or not look.steps(step.name) or not all(one.approval for one in look.steps(step.name)):
        return None
    return None if _approved(look, step) else f"{step.name} ends without approval"


def rule_03_steps_are_taken_one_by_one(look: Look) -> str | None:
    step, after = look.before.step, look.after.step
    if step is None or after is None or not look.same_rollout or not look.same_plan:
        return None
    if mode(look.after) is Mode.DIRECT or after.index in (step.index, step.index + 1):
        return None
    recorded = look.world.records.get(look.before.plan or "")
    if recorded is None or after.name not in [planned.name for planned in recorded.steps]:
        return None
    return f"from step {step.index} to {after.index}" if after.index > step.index else None


def rule_03_an_edited_step_gives_no_more_than_it_began_with(look: Look) -> str | None:
    """A preview that is given a weight, or a step that is given more, has not been held at that weight."""
    step, after, candidate, plan = look.before.step, look.after.step, look.candidate, look.ledger.account.plan
    if step is None or after is None or candidate is None or plan is None or not look.same_rollout:
        return None
    if mode(look.after) is Mode.DIRECT or not step.index or not after.index or after.name != step.name:
        return None
    begun = next((int(one.weight) for one in plan.steps if one.name == step.name), FULL_WEIGHT)
    risen = look.changed.get(candidate.revision, 0)
    if risen > max(begun, int(candidate.weight)):
        return f"{candidate.revision} gets {risen} in {step.name}, which began with {begun}"
    return None


def rule_04_pause_stops_advances(look: Look) -> str | None:
    candidate = look.candidate
    if candidate is None or not look.paused or mode(look.after) is Mode.DIRECT or mode(look.before) is Mode.DIRECT:
        return None
    if ended_step(look):
        return f"{look.before.step} ends while paused"
    first = look.before.step is not None and look.before.step.index == 0
    if first and look.changed.get(candidate.revision, 0) > 0:
        return f"{candidate.revision} gets its first weight while paused"
    return None


def rule_04_fail_takes_the_weight_in_the_same_reconcile(look: Look) -> str | None:
    candidate = with_role(look.after, Role.CANDIDATE)
    if candidate is None or not candidate.weight or mode(look.after) is Mode.DIRECT or look.plan is None:
        return None
    if look.situation.deleting:
        return None
    wanted = {metric.name for metric in look.plan.metrics if metric.breach is OnBreach.ROLLBACK}
    failed = [metric for metric in look.after.metrics if metric.verdict is Verdict.FAIL and metric.name in wanted]
    both = [metric for metric in failed if metric.reason == Reason.STABLE_BREACHES_TOO]
    if any(not metric.stable_errors and not look.ledger.stable_erred for metric in both):
        return "stable is said to breach the limit, too, and has had no error"
    alone = [metric.name for metric in failed if metric not in both]
    return _taken_back(look, f"{alone} failed") if alone else None


def rule_04_bad_answers_are_seen(look: Look) -> str | None:
    """The harness's own verdict: after so many bad windows there is no doubt."""
    candidate, plan = look.candidate, look.plan
    if candidate is None or plan is None or not candidate.weight or mode(look.before) is Mode.DIRECT:
        return None
    if look.situation.deleting or not look.same_plan or not look.at_step:
        return None
    kind = StepKind.BAKE if candidate.weight == FULL_WEIGHT else StepKind.LIVE
    for metric in plan.metrics:
        if speaks(metric, kind) and look.ledger.badly(look, metric):
            return _taken_back(look, f"{metric.name} is clearly bad")
    return None


def rule_04_a_bad_preview_is_taken_back(look: Look) -> str | None:
    """A Fail on what testers met, or on copies, ends the rollout at once, as one on live traffic does; there is no weight to be seen gone."""
    candidate, step, plan = look.candidate, look.before.step, look.plan
    if candidate is None or step is None or plan is None or candidate.weight or mode(look.before) is Mode.DIRECT:
        return None
    if not look.at_step or not look.same_plan or look.situation.deleting or not step.index:
        return None
    gone = not look.same_rollout or mode(look.after) is Mode.DIRECT
    kind = kind_at(0, int(candidate.mirror))
    bad = [one.name for one in plan.metrics if speaks(one, kind) and look.ledger.badly(look, one)]
    return None if gone or not bad else f"{candidate.revision} is still tried although {bad} are clearly bad"


def _taken_back(look: Look, why: str) -> str | None:
    """None if the candidate of before has no weight, or has to keep it because stable could not take it."""
    candidate = look.candidate
    if candidate is None or not look.now.get(candidate.revision, 0) or mode(look.after) is Mode.DIRECT:
        return None
    facts = look.facts
    helpless = look.stable is None or (
        not facts(look.stable.revision).ready and facts(candidate.revision).ready and _bound(look, candidate.revision)
    )
    return None if helpless else f"{why}, and {candidate.revision} keeps {look.now[candidate.revision]}"


def _bound(look: Look, revision: str) -> bool:
    return any(entry.revision == revision for entry in look.after.rejected)


def rule_04_innocent_candidates_are_not_taken_back(look: Look) -> str | None:
    ended = look.after.history[-1:]
    if not ended or look.after.history == look.before.history or ended[0].outcome is not Outcome.ROLLED_BACK:
        return None
    if ended[0].reason == Reason.INCONCLUSIVE:
        inconclusive = look.plan is not None and look.plan.on_inconclusive is OnInconclusive.ROLLBACK
        return None if inconclusive else "taken back as inconclusive against the plan"
    return "no window showed a bad answer" if look.ledger.innocent else None


def rule_06_missing_answers_change_no_weight(look: Look) -> str | None:
    """What happens with unanswered windows would have happened without them."""
    if not look.changed or all(window.answered for windows in look.situation.windows.values() for window in windows):
        return None
    other = look.world.decide(blind(look.situation))
    if weights(other.status) == look.now:
        return None
    return f"{look.changed} only because of windows without an answer (else {weights(other.status)})"


def rule_06_no_provider_no_advance(look: Look) -> str | None:
    candidate = look.candidate
    if candidate is None or look.situation.metrics_problem is None or mode(look.after) is Mode.DIRECT:
        return None
    if look.plan is None or not look.plan.judged:
        return None
    risen = look.changed.get(candidate.revision, 0) > candidate.weight
    return f"{candidate.revision} rises without metrics" if risen else None


def rule_06_no_first_weight_without_preflight(look: Look) -> str | None:
    candidate, step = look.candidate, look.before.step
    if candidate is None or look.situation.preflight.ready or mode(look.after) is Mode.DIRECT:
        return None
    if look.plan is None or not look.plan.judged or step is None or step.index or look.accepted(Action.PROMOTE):
        return None
    begun = look.after.step is not None and look.after.step.index > 0
    return f"{candidate.revision} begins its steps and cannot be measured" if begun else None


def rule_12_three_restarts_fail_a_candidate(look: Look) -> str | None:
    rollout, step = look.before.rollout, look.before.step
    restarts = look.ledger.account.restarts
    if rollout is None or step is None or step.index == 0 or restarts is None or rollout.mode is Mode.DIRECT:
        return None
    if look.facts(rollout.revision).restarts - restarts < 3 or look.situation.deleting:
        return None
    if mode(look.after) is Mode.DIRECT or _bound(look, rollout.revision) or not look.same_rollout:
        return None
    return f"{rollout.revision} restarted {look.facts(rollout.revision).restarts - restarts} times in {step.name}"


def rule_12_a_long_unready_candidate_fails(look: Look) -> str | None:
    rollout, step, plan = look.before.rollout, look.before.step, look.plan
    if rollout is None or step is None or plan is None or rollout.mode is Mode.DIRECT or look.situation.deleting:
        return None
    if mode(look.after) is Mode.DIRECT or _bound(look, rollout.revision) or not look.same_rollout:
        return None
    unready = look.ledger.unready(rollout.revision)
    if step.index and unready > plan.unavailable_deadline + SLACK:
        return f"{rollout.revision} has had no ready pod for {unready:.0f}s in {step.name}"
    if rollout.loaded_at is None and look.now.get(rollout.revision) == 0 and unready > plan.load_deadline + SLACK:
        return f"{rollout.revision} has not loaded for {unready:.0f}s"
    return None


def rule_12_load_failure_needs_its_deadline(look: Look) -> str | None:
    ended = look.after.history[-1:]
    if not ended or look.after.history == look.before.history or ended[0].reason != Reason.MODEL_LOAD_FAILED:
        return None
    started = look.ledger.started_at
    if look.plan is None or started is None:
        return None
    # A gap between two processes is told by the wall clock alone, and counts for a minute at most.
    passed = look.moment.mono - started + 60.0 * look.ledger.jumps
    wanted = look.plan.load_deadline
    return None if passed + SLACK >= wanted else f"failed to load after {passed:.0f}s of {wanted:.0f}s"


def only_live_weights_are_routed(look: Look) -> str | None:
    """Traffic goes to stable and the candidate alone."""
    roles = {entry.revision: entry.role for entry in look.after.revisions}
    stray = [revision for revision in live(look.after) if roles[revision] is Role.FORMER]
    return f"{stray} have traffic and no role" if stray else None


RULES_OF_STEPS = (
    rule_03_a_step_ends_after_its_covered_hold,
    rule_03_wall_time_since_applied_is_necessary,
    rule_03_a_step_ends_with_its_sample,
    rule_03_the_last_live_step_ends_with_its_certificate,
    rule_03_no_step_ends_on_a_bad_or_missing_answer,
    rule_03_approval_steps_end_by_approval,
    rule_03_steps_are_taken_one_by_one,
    rule_03_an_edited_step_gives_no_more_than_it_began_with,
    rule_04_pause_stops_advances,
    rule_04_fail_takes_the_weight_in_the_same_reconcile,
    rule_04_bad_answers_are_seen,
    rule_04_a_bad_preview_is_taken_back,
    rule_04_innocent_candidates_are_not_taken_back,
    rule_06_missing_answers_change_no_weight,
    rule_06_no_provider_no_advance,
    rule_06_no_first_weight_without_preflight,
    rule_12_three_restarts_fail_a_candidate,
    rule_12_a_long_unready_candidate_fails,
    rule_12_load_failure_needs_its_deadline,
    only_live_weights_are_routed,
)
