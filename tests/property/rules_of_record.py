"""What must hold of the recorded state: rules 5, 9, commands, and what every status and decision must be."""

from __future__ import annotations

import json
import math
from dataclasses import replace

from modelrollout.api.command import Action
from modelrollout.api.scalars import FULL_WEIGHT
from modelrollout.api.status import Mode, ModelDeploymentStatus, Outcome, Role
from modelrollout.rollout.situation import Arm, CommandFacts, Problem, Target

from .ledger import Look, mode, weights, with_role

SIZE_LIMIT = 16_000
TAKEN_BACK = (Outcome.ROLLED_BACK, Outcome.ABORTED, Outcome.FAILED)


def rule_05_rejections_end_only_by_retry_or_attempt(look: Look) -> str | None:
    kept = {entry.revision for entry in look.after.rejected}
    for entry in look.before.rejected:
        if entry.revision in kept or len(kept) >= 10:
            continue
        retried = any(command.revision == entry.revision for command in _accepted(look, Action.RETRY))
        target = look.situation.target
        asked = isinstance(target, Target) and (
            target.revision == entry.revision or entry.revision in {arm.revision for arm in target.arms}
        )
        raised = asked and look.plan is not None and look.plan.attempt > entry.attempt
        if not retried and not raised:
            return f"{entry.revision} is no longer rejected"
    return None


def rule_05_rejected_revisions_get_no_weight(look: Look) -> str | None:
    for entry in look.after.rejected:
        if look.plan is not None and look.plan.attempt > entry.attempt:
            continue
        risen = look.now.get(entry.revision, 0) > look.was.get(entry.revision, 0)
        was_stable = look.stable is not None and look.stable.revision == entry.revision
        if risen and not was_stable and not look.adopting:
            return f"rejected {entry.revision} gets {look.now[entry.revision]}"
        starts = look.after.rollout is not None and look.after.rollout.revision == entry.revision
        if starts and not look.same_rollout:
            return f"rejected {entry.revision} starts again"
    return None


def rule_05_what_is_taken_back_is_rejected(look: Look) -> str | None:
    if look.before.rollout is None or look.same_rollout:
        return None
    if look.after.history == look.before.history:
        return f"the rollout of {look.before.rollout.revision} ended without a word in history"
    ended = look.after.history[-1]
    stable = with_role(look.after, Role.STABLE)
    promoted = stable is not None and stable.revision == look.before.rollout.revision
    if promoted != (ended.outcome is Outcome.PROMOTED):
        return f"{ended.revision} ended as {ended.outcome}, stable is {stable and stable.revision}"
    if ended.outcome in TAKEN_BACK and ended.revision not in {entry.revision for entry in look.after.rejected}:
        return f"{ended.revision} ended as {ended.outcome} and is not rejected"
    return None


def rule_05_every_start_is_fresh(look: Look) -> str | None:
    rollout, step = look.after.rollout, look.after.step
    if rollout is None or look.same_rollout:
        return None
    counted = any(metric.requests or metric.checks or metric.through for metric in look.after.metrics)
    if look.before.experiment is not None:
        return None  # the winner of an A/B test keeps its share
    if look.now.get(rollout.revision) or counted or (step is not None and (step.index or step.covered.seconds)):
        return f"{rollout.revision} starts at {step} with {look.now.get(rollout.revision)}, {look.after.metrics}"
    return None


def rule_05_every_step_starts_fresh(look: Look) -> str | None:
    one, two = look.before.step, look.after.step
    if one is None or two is None or one.name == two.name or not look.same_rollout or not two.index:
        return None
    counted = any(metric.requests or metric.through for metric in look.after.metrics)
    if counted or two.covered.seconds or two.approval or two.applied_at:
        return f"step {two.name} begins with {two}, {look.after.metrics}"
    return None


def rule_09_an_invalid_spec_changes_nothing(look: Look) -> str | None:
    """No child and no weight changes that would not have changed without it."""
    if not isinstance(look.situation.target, Problem):
        return None
    before = {entry.revision: (entry.replicas, entry.role) for entry in look.before.revisions}
    after = {entry.revision: (entry.replicas, entry.role) for entry in look.after.revisions}
    if (before == after and not look.changed) or look.adopting:
        return None
    running = look.before.rollout.revision if look.before.rollout else look.stable.revision if look.stable else None
    if running is None:
        return f"{before} became {after}"
    target = Target(running, running.split("-", maxsplit=1)[0])
    if (test := look.before.experiment) is not None:
        arms = tuple(Arm(arm.name, arm.revision, arm.revision[0]) for arm in test.variants)
        target = Target(test.control, test.control[0], test.id, arms)
    other = look.world.decide(replace(look.situation, target=target)).status
    same = {entry.revision: (entry.replicas, entry.role) for entry in other.revisions}
    if weights(other) == look.now and same == after:
        return None
    return f"{before} became {after}, and {same} with a valid spec"


def deletion_changes_nothing(look: Look) -> str | None:
    """Children go by owner references; until then they serve."""
    if not look.situation.deleting:
        return None
    intent = [(entry.revision, entry.role, int(entry.weight), entry.replicas) for entry in look.after.revisions]
    known = [(entry.revision, entry.role, int(entry.weight), entry.replicas) for entry in look.before.revisions]
    return None if intent == known else f"{known} became {intent}"


def commands_are_taken_once(look: Look) -> str | None:
    uids = [command.uid for command in look.after.commands]
    if len(uids) != len(set(uids)):
        return f"{uids}"
    waiting = {command.uid for command in look.situation.commands}
    lost = [command.uid for command in look.before.commands if command.uid in waiting and command.uid not in uids]
    return f"{lost} were taken and are forgotten" if lost else None


def commands_taken_before_do_nothing(look: Look) -> str | None:
    taken = {command.uid for command in look.before.commands}
    rest = tuple(command for command in look.situation.commands if command.uid not in taken)
    if len(rest) == len(look.situation.commands):
        return None
    other = look.world.decide(replace(look.situation, commands=rest))
    return None if other.status == look.after else "a command that was taken had an effect again"


def an_abort_goes_first(look: Look) -> str | None:
    candidate, rollout = look.candidate, look.before.rollout
    known = {command.uid for command in look.before.commands}
    mine = [
        command
        for command in look.situation.commands
        if command.uid not in known
        and command.action is Action.ABORT
        and candidate
        and command.revision == candidate.revision
    ]
    if not mine or candidate is None or rollout is None or look.stable is None or look.situation.deleting:
        return None
    bound = {entry.revision for entry in look.before.rejected}
    if candidate.revision in bound:
        return None
    if not any(command.outcome == "Accepted" and command.action == Action.ABORT for command in look.taken):
        return f"{mine[0].uid} waits, {look.taken} were taken"
    kept = look.facts(candidate.revision).ready and not look.facts(look.stable.revision).ready
    if look.now.get(candidate.revision, 0) and not kept:
        return f"{candidate.revision} keeps {look.now[candidate.revision]} after its abort"
    return None if candidate.revision in {entry.revision for entry in look.after.rejected} else "aborted, not rejected"


def _accepted(look: Look, action: Action) -> list[CommandFacts]:
    uids = {command.uid for command in look.taken if command.outcome == "Accepted" and command.action == action}
    return [command for command in look.situation.commands if command.uid in uids]


def commands_fit_the_state(look: Look) -> str | None:
    """Only the candidate can be approved, paused, resumed, aborted, promoted; only stable undone."""
    candidates = {look.candidate.revision} if look.candidate else set()
    if (test := look.before.experiment) is not None:
        candidates = {test.control, *(arm.revision for arm in test.variants)}
    for action in (Action.APPROVE, Action.PAUSE, Action.RESUME, Action.ABORT, Action.PROMOTE):
        for command in _accepted(look, action):
            if command.revision not in candidates:
                return f"{action} for {command.revision} was accepted, the candidate is {candidates}"
            if action is Action.APPROVE and (look.before.step is None or command.step != look.before.step.name):
                return f"approval of {command.step} was accepted in {look.before.step}"
    for command in _accepted(look, Action.UNDO):
        if look.stable is None or command.revision != look.stable.revision:
            return f"undo of {command.revision} was accepted, stable is {look.stable}"
    return None


def commands_and_effects_are_one_write(look: Look) -> str | None:
    after = look.after
    for command in look.taken:
        if command.outcome != "Accepted":
            continue
        done = {
            Action.PAUSE: after.paused is not None,
            Action.RESUME: after.paused is None,
            Action.APPROVE: after.step is None or after.step.approval is not None or after.step != look.before.step,
            Action.PROMOTE: mode(after) is Mode.DIRECT or after.rollout is None,
            Action.UNDO: mode(after) is Mode.DIRECT and len(after.rejected) > 0,
            Action.ABORT: True,
            Action.RETRY: True,
        }
        if not done[Action(command.action)]:
            return f"{command.action} was accepted without its effect"
    return None


def people_alone_pause_and_approve(look: Look) -> str | None:
    one, two = look.before, look.after
    if two.paused is not None and two.paused != one.paused and not look.accepted(Action.PAUSE):
        return "paused without a command"
    if one.paused is not None and two.paused is None and look.same_rollout:
        ended = look.accepted(Action.RESUME) or look.accepted(Action.PROMOTE) or look.accepted(Action.ABORT)
        rejected = two.rejected != one.rejected
        if not ended and not rejected:
            return "resumed without a command"
    if two.step is not None and two.step.approval is not None and look.same_rollout:
        known = one.step is not None and one.step.approval == two.step.approval and one.step.name == two.step.name
        if not known and not look.accepted(Action.APPROVE):
            return f"{two.step.name} is approved without a command"
    return None


def status_is_sound(look: Look) -> str | None:
    status = look.after
    conditions = {condition.type: condition for condition in status.conditions}
    if not status.message or status.phase is None:
        return f"phase {status.phase}, message {status.message!r}"
    if conditions["Reconciling"].status == "True" and conditions["Stalled"].status == "True":
        return "Reconciling and Stalled"
    target = look.situation.target
    if conditions["Ready"].status != "True" or look.situation.deleting:
        return None
    if not isinstance(target, Target) or conditions["Stalled"].status == "True":
        return f"Ready with {target}"
    attempt = look.plan.attempt if look.plan is not None else 0
    ended = (one for one in look.after.concluded if one.id == target.experiment and attempt <= one.attempt)
    won = {one.revision for one in ended if one.revision}
    wanted = next(iter(won), target.revision)
    if look.plan is not None and not look.plan.ready_when_serving and look.now.get(wanted) != FULL_WEIGHT:
        return f"Ready while {target.revision} has {look.now.get(target.revision)}"
    return None


def status_survives_the_api_server(look: Look) -> str | None:
    if look.ledger.looks % 8:
        return None
    text = json.dumps(look.after.written())
    if len(text) > SIZE_LIMIT:
        return f"{len(text)} bytes"
    back = ModelDeploymentStatus.model_validate(json.loads(text))
    return None if back == look.after else "it reads back as something else"


def decide_is_deterministic(look: Look) -> str | None:
    if look.ledger.looks % 8 != 4:
        return None
    return None if look.world.decide(look.situation) == look.moment.decision else "two decisions on one situation"


def decide_is_idempotent(look: Look) -> str | None:
    """On what it has just recorded, with nothing new, it records the same."""
    decision = look.moment.decision
    if look.ledger.looks % 4 or decision.again:
        return None
    again = look.world.decide(replace(look.situation, status=decision.status, elapsed=0.0)).status
    if again == decision.status:
        return None
    one, two = decision.status.written(), again.written()
    fields = {name: (one.get(name), two.get(name)) for name in {*one, *two} if one.get(name) != two.get(name)}
    return f"{fields}"


def wake_up_times_are_real(look: Look) -> str | None:
    wake = look.moment.decision.wake_at
    return None if wake is None or math.isfinite(wake) else f"{wake}"


RULES_OF_RECORD = (
    rule_05_rejections_end_only_by_retry_or_attempt,
    rule_05_rejected_revisions_get_no_weight,
    rule_05_what_is_taken_back_is_rejected,
    rule_05_every_start_is_fresh,
    rule_05_every_step_starts_fresh,
    rule_09_an_invalid_spec_changes_nothing,
    deletion_changes_nothing,
    commands_are_taken_once,
    commands_taken_before_do_nothing,
    an_abort_goes_first,
    commands_fit_the_state,
    commands_and_effects_are_one_write,
    people_alone_pause_and_approve,
    status_is_sound,
    status_survives_the_api_server,
    decide_is_deterministic,
    decide_is_idempotent,
    wake_up_times_are_real,
)
