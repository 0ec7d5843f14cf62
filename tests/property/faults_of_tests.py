"""Planted faults in A/B tests, as `faults` plants them in rollouts. `FAULTS` names for each the invariant that has to reject it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from modelrollout.analysis.window import Window
from modelrollout.api.analysis import OnBreach
from modelrollout.api.experiment import End
from modelrollout.api.scalars import Span, Weight
from modelrollout.api.status import ExperimentStatus, ModelDeploymentStatus, Role
from modelrollout.rollout.arm_evidence import GOAL
from modelrollout.rollout.plan import Plan
from modelrollout.rollout.situation import Situation, WarmUpFacts

from .faults import Fault, deciding, seeing


def _weighing(status: ModelDeploymentStatus, moved: dict[str, int]) -> ModelDeploymentStatus:
    """Other weights for variants; stable has the rest."""
    weights = {entry.revision: moved.get(entry.revision, int(entry.weight)) for entry in status.revisions}
    rest = 10_000 - sum(weights[one.revision] for one in status.revisions if one.role is not Role.STABLE)
    entries = tuple(
        one.model_copy(update={"weight": Weight(rest if one.role is Role.STABLE else weights[one.revision])})
        for one in status.revisions
    )
    return status.model_copy(update={"revisions": entries})


def _tested(
    change: Callable[[ExperimentStatus], ExperimentStatus],
) -> Callable[[ModelDeploymentStatus], ModelDeploymentStatus]:
    def changed(status: ModelDeploymentStatus) -> ModelDeploymentStatus:
        return status.model_copy(update={"experiment": status.experiment and change(status.experiment)})

    return changed


def _back_again(situation: Situation, status: ModelDeploymentStatus) -> ModelDeploymentStatus:
    before = situation.status.experiment
    out = {arm.name for arm in before.variants if arm.out is not None} if before else set()

    def again(one: ExperimentStatus) -> ExperimentStatus:
        arms = tuple(arm.model_copy(update={"out": None}) if arm.name in out else arm for arm in one.variants)
        return one.model_copy(update={"variants": arms})

    return _tested(again)(status)


def _remembering(change: Callable[[ModelDeploymentStatus], ModelDeploymentStatus]) -> Fault:
    """A core that reads another status than was recorded."""
    return seeing(lambda situation: replace(situation, status=change(situation.status)))


def _planning(change: Callable[[Plan], Plan]) -> Fault:
    return seeing(lambda situation: replace(situation, plan=situation.plan and change(situation.plan)))


def _a_percent_off(_: Situation, status: ModelDeploymentStatus) -> ModelDeploymentStatus:
    return _weighing(
        status, {one.revision: one.weight + 100 for one in status.revisions if one.role is Role.VARIANT and one.weight}
    )


def _one_by_one(situation: Situation, status: ModelDeploymentStatus) -> ModelDeploymentStatus:
    before, after = situation.status.experiment, status.experiment
    if before is None or after is None or before.begun_at is not None or after.begun_at is None:
        return status
    return _weighing(status, {next(arm.revision for arm in after.variants if arm.out is None): 0})


def _taking_along(situation: Situation, status: ModelDeploymentStatus) -> ModelDeploymentStatus:
    before, after = situation.status.experiment, status.experiment
    if before is None or after is None or [arm.out for arm in before.variants] == [arm.out for arm in after.variants]:
        return status
    return _weighing(status, {arm.revision: 0 for arm in after.variants})


def _all_ready(situation: Situation) -> Situation:
    facts = {
        name: replace(one, ready=max(one.ready, one.replicas), ready_since=one.ready_since or situation.now - 60.0)
        for name, one in situation.revisions.items()
    }
    return replace(situation, revisions=facts)


def _variants_ready(situation: Situation) -> Situation:
    arms = situation.status.experiment.variants if situation.status.experiment else ()
    named = {arm.revision for arm in arms}
    facts = {name: replace(one, ready=max(one.ready, name in named)) for name, one in situation.revisions.items()}
    return replace(situation, revisions=facts)


def _warming(change: Callable[[WarmUpFacts], WarmUpFacts]) -> Fault:
    """Other news of what pods of variants answer."""
    return seeing(
        lambda situation: replace(
            situation,
            arms={name: replace(facts, warm_up=change(facts.warm_up)) for name, facts in situation.arms.items()},
        )
    )


def _unpaused(situation: Situation) -> Situation:
    plan = situation.plan and replace(situation.plan, paused=False)
    return replace(situation, plan=plan, status=situation.status.model_copy(update={"paused": None}))


def _by_the_clock(situation: Situation, status: ModelDeploymentStatus) -> ModelDeploymentStatus:
    before = situation.status.experiment
    if before is None or status.experiment is None or before.started_at != status.experiment.started_at:
        return status
    covered = Span.of(before.covered.seconds + 1.0)
    return status.model_copy(update={"experiment": status.experiment.model_copy(update={"covered": covered})})


def _over_at_once(plan: Plan) -> Plan:
    return replace(plan, experiment=plan.experiment and replace(plan.experiment, duration=0.0, end=End.KEEP_STABLE))


def _all_hits(window: Window) -> Window:
    return replace(window, candidate=replace(window.candidate, bad=0))


def _everybody_is_better(situation: Situation) -> Situation:
    arms = {
        revision: replace(
            facts, windows={**facts.windows, GOAL: tuple(_all_hits(one) for one in facts.windows.get(GOAL, ()))}
        )
        for revision, facts in situation.arms.items()
    }
    return replace(situation, arms=arms)


FAULTS: dict[str, tuple[str, Fault]] = {
    "shares are a percent off": ("shares_are_exactly_as_asked", deciding(_a_percent_off)),
    "shares begin one by one": ("shares_begin_together", deciding(_one_by_one)),
    "pods count before they are ready": ("shares_rise_onto_confirmed_pods", seeing(_all_ready)),
    "pods of variants count before they are warm": (
        "golden_requests_come_before_each_share",
        _warming(lambda facts: replace(facts, warm=1000)),
    ),
    "a wrong golden answer of a variant is not heard": (
        "a_wrong_golden_answer_takes_a_variant_out",
        _warming(lambda facts: replace(facts, failure="")),
    ),
    "variants without pods keep their shares": ("a_variant_without_pods_has_no_share", seeing(_variants_ready)),
    "who was taken out takes part again": (
        "a_taken_out_variant_does_not_come_back",
        deciding(_back_again),
    ),
    "one that is taken out takes the others along": ("a_variant_is_taken_out_alone", deciding(_taking_along)),
    "guards only warn": (
        "a_failed_guard_takes_the_share_in_the_same_reconcile",
        _planning(
            lambda plan: replace(
                plan, metrics=tuple(one.model_copy(update={"on_breach": OnBreach.WARN}) for one in plan.metrics)
            )
        ),
    ),
    "tests are over at once": ("a_test_ends_for_a_reason", _planning(_over_at_once)),
    "everybody is better": ("a_winner_is_chosen_by_evidence_or_a_person", seeing(_everybody_is_better)),
    "tests that have ended are forgotten": (
        "a_test_that_has_ended_does_not_start_again",
        _remembering(lambda status: status.model_copy(update={"concluded": ()})),
    ),
    "a pause is overlooked": ("a_pause_holds_a_test", seeing(_unpaused)),
    "covered by the clock": ("answers_that_are_missing_end_no_test", deciding(_by_the_clock)),
}
