"""Planted faults: cores that are wrong in one way, made by lying to the right one or by spoiling what it decides.

They know nothing of the core's inside, so they stay what they are when it is rewritten. `FAULTS` names for each the invariant
that has to reject it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from modelrollout.analysis.window import Answer, Counts, Window
from modelrollout.api.analysis import OnBreach
from modelrollout.api.command import Action
from modelrollout.api.scalars import Timestamp, Weight
from modelrollout.api.status import Approval, Mode, ModelDeploymentStatus, RevisionStatus, Role, Verdict
from modelrollout.rollout.situation import (
    Decision,
    MirrorFacts,
    PreflightFacts,
    Problem,
    RevisionFacts,
    Situation,
    Target,
)

from .ledger import live
from .surroundings import Decide

Fault = Callable[[Decide], Decide]
HIGH = 10.0**9


def seeing(lie: Callable[[Situation], Situation]) -> Fault:
    """A core that takes the situation for another one."""
    return lambda decide: lambda situation: decide(lie(situation))


def deciding(spoil: Callable[[Situation, ModelDeploymentStatus], ModelDeploymentStatus]) -> Fault:
    """A core whose status is spoilt."""

    def fault(decide: Decide) -> Decide:
        def spoilt(situation: Situation) -> Decision:
            decision = decide(situation)
            return replace(decision, status=spoil(situation, decision.status))

        return spoilt

    return fault


def planning(**changes: Any) -> Fault:
    """A core with another idea of the plan."""
    return seeing(lambda situation: replace(situation, plan=situation.plan and replace(situation.plan, **changes)))


def metering(lie: Callable[[Window], Window]) -> Fault:
    """A core that takes windows for something else."""
    return seeing(
        lambda situation: replace(
            situation,
            windows={name: tuple(lie(window) for window in windows) for name, windows in situation.windows.items()},
        )
    )


def facts(lie: Callable[[Situation, str, RevisionFacts], RevisionFacts]) -> Fault:
    """A core that takes pods for something else."""
    return seeing(
        lambda situation: replace(
            situation, revisions={name: lie(situation, name, fact) for name, fact in situation.revisions.items()}
        )
    )


def _entries(status: ModelDeploymentStatus, edit: Callable[[RevisionStatus], RevisionStatus]) -> ModelDeploymentStatus:
    return status.model_copy(update={"revisions": tuple(edit(entry) for entry in status.revisions)})


def _role(status: ModelDeploymentStatus, name: str) -> Role | None:
    return next((entry.role for entry in status.revisions if entry.revision == name), None)


def _ready(situation: Situation, _name: str, fact: RevisionFacts) -> RevisionFacts:
    return replace(fact, ready=max(1, fact.replicas), ready_since=situation.now - 60, full_since=situation.now - 60)


def _ready_stable(situation: Situation, name: str, fact: RevisionFacts) -> RevisionFacts:
    return _ready(situation, name, fact) if _role(situation.status, name) is Role.STABLE else fact


def _undying(_situation: Situation, _name: str, fact: RevisionFacts) -> RevisionFacts:
    return replace(fact, ready=max(1, fact.ready)) if fact.replicas else fact


def _all_when_one(_situation: Situation, _name: str, fact: RevisionFacts) -> RevisionFacts:
    return replace(fact, ready=fact.replicas) if fact.ready else fact


def _less(_situation: Situation, status: ModelDeploymentStatus) -> ModelDeploymentStatus:
    return _entries(
        status,
        lambda entry: (
            entry.model_copy(update={"weight": Weight(entry.weight - 1)})
            if entry.role is Role.CANDIDATE and entry.weight
            else entry
        ),
    )


def _one_pod(_situation: Situation, status: ModelDeploymentStatus) -> ModelDeploymentStatus:
    return _entries(
        status, lambda entry: entry.model_copy(update={"replicas": min(1, entry.replicas)}) if entry.weight else entry
    )


def _stable_shrinks(_situation: Situation, status: ModelDeploymentStatus) -> ModelDeploymentStatus:
    return _entries(
        status,
        lambda entry: (
            entry.model_copy(update={"replicas": min(1, entry.replicas)})
            if entry.role is Role.STABLE and status.rollout
            else entry
        ),
    )


def _at_once(_situation: Situation, status: ModelDeploymentStatus) -> ModelDeploymentStatus:
    if status.rollout is None:
        return status
    return status.model_copy(update={"rollout": status.rollout.model_copy(update={"mode": Mode.DIRECT})})


def _applied(situation: Situation) -> Situation:
    route = replace(
        situation.route, exists=True, weights=live(situation.status), accepted=True, since=situation.now - 100
    )
    return replace(situation, route=route)


def _wall_clock(situation: Situation) -> Situation:
    return replace(situation, elapsed=HIGH)


def _half_holds(situation: Situation) -> Situation:
    plan = situation.plan
    if plan is None:
        return situation
    steps = tuple(replace(step, hold=step.hold / 2) for step in plan.steps)
    return replace(situation, plan=replace(plan, steps=steps))


def _endless_holds(situation: Situation) -> Situation:
    plan = situation.plan
    if plan is None:
        return situation
    steps = tuple(replace(step, hold=HIGH, max_duration=HIGH) for step in plan.steps)
    return replace(situation, plan=replace(plan, steps=steps))


def _begun_with_anything(situation: Situation) -> Situation:
    step = situation.status.step
    if step is None:
        return situation
    forgotten = step.model_copy(update={"weight": None})
    return replace(situation, status=situation.status.model_copy(update={"step": forgotten}))


def _no_approvals(situation: Situation) -> Situation:
    plan = situation.plan
    if plan is None:
        return situation
    return replace(situation, plan=replace(plan, steps=tuple(replace(step, approval=False) for step in plan.steps)))


def _metrics(**changes: object) -> Fault:
    def lie(situation: Situation) -> Situation:
        plan = situation.plan
        if plan is None:
            return situation
        metrics = tuple(metric.model_copy(update=changes) for metric in plan.metrics)
        return replace(situation, plan=replace(plan, metrics=metrics))

    return seeing(lie)


def _all_well(window: Window) -> Window:
    if window.answered:
        return window
    return replace(window, answer=Answer.COUNTS, candidate=Counts(300, 0), stable=Counts(300, 0))


def _no_news_is_bad_news(window: Window) -> Window:
    if window.answered:
        return window
    return replace(window, answer=Answer.COUNTS, candidate=Counts(300, 300), stable=Counts(300, 0))


def _noisy(window: Window) -> Window:
    requests = window.candidate.requests
    return replace(window, candidate=Counts(requests, min(requests, 5)))


def _unpaused(situation: Situation) -> Situation:
    status = situation.status.model_copy(update={"paused": None})
    return replace(situation, status=status, plan=situation.plan and replace(situation.plan, paused=False))


def _next_time(situation: Situation, status: ModelDeploymentStatus) -> ModelDeploymentStatus:
    before, failed = situation.status, any(metric.verdict is Verdict.FAIL for metric in status.metrics)
    if before.rollout is None or status.rollout is not None or not before.metrics:
        return status
    if failed or not any(entry.revision == before.rollout.revision for entry in status.rejected):
        return status
    metrics = tuple(metric.model_copy(update={"verdict": Verdict.FAIL}) for metric in before.metrics)
    return before.model_copy(update={"metrics": metrics})


def _forgetful(situation: Situation) -> Situation:
    return replace(situation, status=situation.status.model_copy(update={"rejected": ()}))


def _stale_evidence(situation: Situation, status: ModelDeploymentStatus) -> ModelDeploymentStatus:
    one, two = situation.status.step, status.step
    if one is None or two is None or one.name == two.name:
        return status
    return status.model_copy(update={"step": two.model_copy(update={"covered": one.covered})})


def _hijack(situation: Situation, status: ModelDeploymentStatus) -> ModelDeploymentStatus:
    """The candidate's traffic goes over to the next revision, steps and all."""
    before, target = situation.status, situation.target
    if before.rollout is None or not isinstance(target, Target) or target.revision == before.rollout.revision:
        return status
    former = before.rollout.revision
    renamed = _entries(
        before,
        lambda entry: entry.model_copy(update={"revision": target.revision}) if entry.revision == former else entry,
    )
    return renamed.model_copy(update={"rollout": before.rollout.model_copy(update={"revision": target.revision})})


def _always_warm(situation: Situation) -> Situation:
    warm = _entries(
        situation.status,
        lambda entry: (
            entry.model_copy(update={"warm_until": situation.now + 1000})
            if entry.role is Role.FORMER and entry.warm_until is None
            else entry
        ),
    )
    return replace(situation, status=warm)


def _warm_without_pods(situation: Situation, status: ModelDeploymentStatus) -> ModelDeploymentStatus:
    warm = {entry.revision: entry.warm_until for entry in situation.status.revisions}
    return _entries(
        status,
        lambda entry: (
            entry.model_copy(update={"warm_until": entry.warm_until or warm.get(entry.revision)})
            if entry.role is Role.FORMER
            else entry
        ),
    )


def _defaults_when_invalid(situation: Situation) -> Situation:
    plan = situation.plan
    if plan is None or not isinstance(situation.target, Problem):
        return situation
    return replace(situation, plan=replace(plan, replicas=plan.replicas + 1, full_candidate=True))


def _untold(situation: Situation, status: ModelDeploymentStatus) -> ModelDeploymentStatus:
    return status.model_copy(update={"timeline": situation.status.timeline})


def _made_anew(situation: Situation, status: ModelDeploymentStatus) -> ModelDeploymentStatus:
    """An edit of steps or analysis makes the candidate's Deployment anew."""
    before = situation.status
    if before.rollout is None or before.plan == situation.plan_name:
        return status
    kept = tuple(entry for entry in status.revisions if entry.revision != before.rollout.revision)
    return status.model_copy(update={"revisions": kept})


def _amnesia(situation: Situation, status: ModelDeploymentStatus) -> ModelDeploymentStatus:
    """It remembers a command for one decision."""
    known = {command.uid for command in situation.status.commands}
    fresh = tuple(command for command in status.commands if command.uid not in known)
    return status.model_copy(update={"commands": fresh})


def _replays(decide: Decide) -> Decide:
    """It takes every command that is still there once more."""

    def spoilt(situation: Situation) -> Decision:
        known = situation.status.commands
        decision = decide(replace(situation, status=situation.status.model_copy(update={"commands": ()})))
        fresh = {command.uid for command in decision.status.commands}
        kept = tuple(command for command in known if command.uid not in fresh)
        status = decision.status.model_copy(update={"commands": (*kept, *decision.status.commands)})
        return replace(decision, status=status)

    return spoilt


def _no_aborts(situation: Situation) -> Situation:
    others = tuple(command for command in situation.commands if command.action is not Action.ABORT)
    return replace(situation, commands=others)


def _for_anybody(situation: Situation) -> Situation:
    rollout = situation.status.rollout
    if rollout is None:
        return situation
    return replace(
        situation,
        commands=tuple(
            replace(command, revision=rollout.revision)
            if command.action in (Action.PAUSE, Action.APPROVE, Action.PROMOTE)
            else command
            for command in situation.commands
        ),
    )


def _pauses_later(_situation: Situation, status: ModelDeploymentStatus) -> ModelDeploymentStatus:
    return status.model_copy(update={"paused": None})


def _approves_itself(situation: Situation, status: ModelDeploymentStatus) -> ModelDeploymentStatus:
    step = status.step
    if step is None or not step.index or step.approval is not None:
        return status
    approval = Approval(by="operator", at=Timestamp(situation.now))
    return status.model_copy(update={"step": step.model_copy(update={"approval": approval})})


def _says_ready(_situation: Situation, status: ModelDeploymentStatus) -> ModelDeploymentStatus:
    conditions = tuple(
        condition.model_copy(update={"status": "True"}) if condition.type == "Ready" else condition
        for condition in status.conditions
    )
    return status.model_copy(update={"conditions": conditions})


def _serves_too(_situation: Situation, status: ModelDeploymentStatus) -> ModelDeploymentStatus:
    return _entries(status, lambda entry: entry.model_copy(update={"weight": Weight(100)}) if entry.mirror else entry)


def _more_copies(_situation: Situation, status: ModelDeploymentStatus) -> ModelDeploymentStatus:
    return _entries(
        status, lambda entry: entry.model_copy(update={"mirror": Weight(entry.mirror + 1)}) if entry.mirror else entry
    )


def _copies_for_the_rejected(situation: Situation, status: ModelDeploymentStatus) -> ModelDeploymentStatus:
    kept = {entry.revision: entry.mirror for entry in situation.status.revisions}
    return _entries(
        status,
        lambda entry: (
            entry.model_copy(update={"mirror": kept.get(entry.revision, entry.mirror)})
            if entry.role is Role.FORMER
            else entry
        ),
    )


def _one_pod_for_copies(_situation: Situation, status: ModelDeploymentStatus) -> ModelDeploymentStatus:
    return _entries(
        status, lambda entry: entry.model_copy(update={"replicas": min(1, entry.replicas)}) if entry.mirror else entry
    )


def _verbose(_situation: Situation, status: ModelDeploymentStatus) -> ModelDeploymentStatus:
    return status.model_copy(update={"message": "x" * 16_000})


def _counts_itself(situation: Situation, status: ModelDeploymentStatus) -> ModelDeploymentStatus:
    return status.model_copy(update={"message": f"decision {len(situation.status.message)}{status.message}"})


def _dice(decide: Decide) -> Decide:
    number = itertools.count()

    def spoilt(situation: Situation) -> Decision:
        decision = decide(situation)
        message = f"{next(number)} {decision.status.message}"
        return replace(decision, status=decision.status.model_copy(update={"message": message}))

    return spoilt


def _spins(decide: Decide) -> Decide:
    return lambda situation: replace(decide(situation), wake_at=situation.now)


def _wrong_heir(situation: Situation) -> Situation:
    """It takes the youngest revision for the stable one."""
    if situation.status.revisions:
        return situation
    turned = {name: replace(fact, order=-fact.order) for name, fact in situation.revisions.items()}
    return replace(situation, revisions=turned, route=replace(situation.route, weights={}))


def _gone_at_once(_situation: Situation, _name: str, fact: RevisionFacts) -> RevisionFacts:
    return replace(fact, ending=0)


def _over_at_once(situation: Situation, status: ModelDeploymentStatus) -> ModelDeploymentStatus:
    return status.model_copy(update={"down": None}) if situation.status.down is not None else status


def _roomy(decide: Decide) -> Decide:
    def roomy(situation: Situation) -> Decision:
        plan = situation.plan
        return decide(replace(situation, plan=replace(plan, surge=9) if plan and plan.surge else plan))

    return roomy


def _generous(situation: Situation, status: ModelDeploymentStatus) -> ModelDeploymentStatus:
    if situation.plan is None or situation.plan.surge is None or status.rollout is None:
        return status
    known = {entry.revision: entry.replicas for entry in situation.status.revisions}
    return status.model_copy(
        update={
            "revisions": tuple(
                entry.model_copy(update={"replicas": entry.replicas - 1})
                if entry.role is Role.STABLE and 0 < entry.replicas < known.get(entry.revision, 0)
                else entry
                for entry in status.revisions
            )
        }
    )


def _all_are_warm(situation: Situation) -> Situation:
    return replace(situation, warm_up=replace(situation.warm_up, warm=1000))


_CAN = MirrorFacts()

FAULTS: dict[str, tuple[str, Fault]] = {
    "a mirrored candidate serves, too": ("a_mirrored_candidate_serves_nobody", deciding(_serves_too)),
    "more is mirrored than was asked for": ("copies_are_what_the_step_asks_for", deciding(_more_copies)),
    "a rejected candidate still gets copies": ("copies_end_with_the_rejection", deciding(_copies_for_the_rejected)),
    "copies go to pods that are not ready": ("copies_rise_only_onto_ready_pods", facts(_ready)),
    "copies go on without pods": ("copies_end_without_a_ready_pod", facts(_undying)),
    "one pod has to do for all copies": ("copies_are_covered_by_pods", deciding(_one_pod_for_copies)),
    "every gateway is thought to mirror": (
        "copies_are_asked_of_gateways_that_can",
        seeing(lambda situation: replace(situation, mirror=_CAN)),
    ),
    "copies are not told": ("every_mirrored_share_is_in_the_timeline", deciding(_untold)),
    "copies end one decision after the fail": ("a_fail_ends_copies_in_the_same_reconcile", deciding(_next_time)),
    "a basis point is lost": ("rule_01_weights_add_up_to_100", deciding(_less)),
    "unready pods are taken for ready": ("rule_01_weights_rise_only_onto_ready_pods", facts(_ready)),
    "a second of readiness is enough": (
        "rule_01_readiness_is_debounced",
        facts(lambda situation, _, fact: replace(fact, ready_since=situation.now - 60 if fact.ready else None)),
    ),
    "a candidate keeps its weight without pods": (
        "rule_01_a_candidate_without_ready_pod_goes_to_0",
        facts(_undying),
    ),
    "stable is thought ready": ("rule_01_unready_stable_pushes_nothing_onto_the_candidate", facts(_ready_stable)),
    "every rollout goes at once": ("rule_01_all_at_once_only_with_cause", deciding(_at_once)),
    "one pod has to do": ("rule_02_pods_cover_the_recorded_weight", deciding(_one_pod)),
    "stable makes room for the candidate": ("rule_02_stable_keeps_all_its_pods", deciding(_stable_shrinks)),
    "pods go before the traffic has left": ("rule_02_pods_are_ordered_away_after_the_traffic", seeing(_applied)),
    "one ready pod is thought to be all": ("capacity_is_ready_before_the_weight_rises", facts(_all_when_one)),
    "a failed candidate takes its logs along": (
        "capacity_one_pod_of_a_failed_candidate_stays",
        planning(keep_failed=0.0),
    ),
    "wall time is covered time": ("rule_03_a_step_ends_after_its_covered_hold", seeing(_wall_clock)),
    "half the hold is enough": ("rule_03_a_step_ends_after_its_covered_hold", seeing(_half_holds)),
    "no answer is a good answer": ("rule_03_no_step_ends_on_a_bad_or_missing_answer", metering(_all_well)),
    "nobody has to be certain": ("rule_03_the_last_live_step_ends_with_its_certificate", planning(bad_promotion=1.0)),
    "no sample is needed": ("rule_03_a_step_ends_with_its_sample", _metrics(minimum_sample_size=0)),
    "approval is for others": ("rule_03_approval_steps_end_by_approval", seeing(_no_approvals)),
    "what a step began with is forgotten": (
        "rule_03_an_edited_step_gives_no_more_than_it_began_with",
        seeing(_begun_with_anything),
    ),
    "a pause is not heard": ("rule_04_pause_stops_advances", seeing(_unpaused)),
    "a breach is a warning": ("rule_04_bad_answers_are_seen", _metrics(on_breach=OnBreach.WARN, gate=False)),
    "what testers meet does not matter": (
        "rule_04_a_bad_preview_is_taken_back",
        _metrics(on_breach=OnBreach.WARN, gate=False),
    ),
    "the weight goes one decision later": (
        "rule_04_fail_takes_the_weight_in_the_same_reconcile",
        deciding(_next_time),
    ),
    "five errors are too many": ("rule_04_innocent_candidates_are_not_taken_back", metering(_noisy)),
    "a rejection is forgotten": ("rule_05_rejections_end_only_by_retry_or_attempt", seeing(_forgetful)),
    "covered time is taken along to the next step": ("rule_05_every_step_starts_fresh", deciding(_stale_evidence)),
    "no answer is a bad answer": ("rule_06_missing_answers_change_no_weight", metering(_no_news_is_bad_news)),
    "a missing provider is nobody's problem": (
        "rule_06_no_provider_no_advance",
        seeing(lambda situation: replace(situation, metrics_problem=None)),
    ),
    "what cannot be measured is tried": (
        "rule_06_no_first_weight_without_preflight",
        seeing(lambda situation: replace(situation, preflight=PreflightFacts())),
    ),
    "pods on their way out have gone": (
        "replace_has_one_version_at_a_time",
        facts(_gone_at_once),
    ),
    "what has no pods but those on their way out is forgotten": (
        "a_version_is_remembered_while_its_pods_end",
        facts(_gone_at_once),
    ),
    "a gap is over at once": ("rule_01_down_by_order_is_said_and_ends_with_an_answer", deciding(_over_at_once)),
    "a paused replacement stops stable": (
        "replace_stops_nothing_for_a_paused_or_rejected_candidate",
        seeing(_unpaused),
    ),
    "there is room for all": ("capacity_bounds_the_pods_of_all_versions", _roomy),
    "stable gives up a pod more": ("capacity_takes_no_pod_from_traffic", deciding(_generous)),
    "all pods are warm": ("warm_up_comes_before_each_weight", seeing(_all_are_warm)),
    "a wrong golden answer is not heard": (
        "a_wrong_golden_answer_rejects",
        seeing(lambda situation: replace(situation, warm_up=replace(situation.warm_up, failure=""))),
    ),
    "it promotes what is only recorded": ("rule_07_promotion_is_one_write_at_100_applied", seeing(_applied)),
    "the next version inherits the traffic": (
        "rule_07_a_new_spec_goes_back_to_the_old_stable_first",
        deciding(_hijack),
    ),
    "nobody may finish": ("rule_07_finish_lets_the_candidate_finish", planning(finish_when_superseded=False)),
    "a cold version is a way back": ("rule_01_all_at_once_only_with_cause", seeing(_always_warm)),
    "what is scaled down is still called warm": (
        "rule_08_warmth_ends_with_the_order_to_scale_down",
        deciding(_warm_without_pods),
    ),
    "the former stable goes at once": ("rule_08_a_former_stable_stays_warm", planning(scale_down_delay=0.0)),
    "an invalid spec means defaults": ("rule_09_an_invalid_spec_changes_nothing", seeing(_defaults_when_invalid)),
    "weights are not told": ("rule_10_every_weight_is_in_the_timeline", deciding(_untold)),
    "an edit makes the candidate anew": ("rule_11_a_serving_revision_stays_as_it_is", deciding(_made_anew)),
    "restarts are not counted": (
        "rule_12_three_restarts_fail_a_candidate",
        facts(lambda _situation, _name, fact: replace(fact, restarts=0)),
    ),
    "an unready candidate may stay": (
        "rule_12_a_long_unready_candidate_fails",
        planning(unavailable_deadline=HIGH, load_deadline=HIGH),
    ),
    "loading may take a second": ("rule_12_load_failure_needs_its_deadline", planning(load_deadline=1.0)),
    "taken commands are forgotten": ("commands_are_taken_once", deciding(_amnesia)),
    "commands are taken again": ("commands_taken_before_do_nothing", _replays),
    "an abort is overheard": ("an_abort_goes_first", seeing(_no_aborts)),
    "a command is for any revision": ("commands_fit_the_state", seeing(_for_anybody)),
    "a pause is confirmed and not recorded": ("commands_and_effects_are_one_write", deciding(_pauses_later)),
    "it approves itself": ("people_alone_pause_and_approve", deciding(_approves_itself)),
    "it always says Ready": ("status_is_sound", deciding(_says_ready)),
    "a status without bounds": ("status_survives_the_api_server", deciding(_verbose)),
    "it throws dice": ("decide_is_deterministic", _dice),
    "each look changes the record": ("decide_is_idempotent", deciding(_counts_itself)),
    "it wakes at once, always": ("no_hot_loop", _spins),
    "holds never end": ("every_rollout_ends_well", seeing(_endless_holds)),
    "a deletion is not noticed": (
        "deletion_changes_nothing",
        seeing(lambda situation: replace(situation, deleting=False)),
    ),
    "the youngest inherits": ("a_lost_status_is_read_from_the_route", seeing(_wrong_heir)),
}
"""What is wrong, the invariant that must say so, and the core that is wrong in this way."""
