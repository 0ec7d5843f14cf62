"""What must hold of mirrored requests at every decision: they reach ready pods that suffice, and serve nobody."""

from __future__ import annotations

from modelrollout.api.analysis import OnBreach
from modelrollout.api.reasons import Reason
from modelrollout.api.status import Role, Verdict

from .ledger import Look, need
from .surroundings import TIMING


def a_mirrored_candidate_serves_nobody(look: Look) -> str | None:
    for entry in look.after.revisions:
        if entry.mirror and (entry.weight or entry.role is not Role.CANDIDATE):
            return f"{entry.revision} ({entry.role}) has {int(entry.weight)} and copies of {int(entry.mirror)}"
    return None


def copies_are_what_the_step_asks_for(look: Look) -> str | None:
    step, plan = look.after.step, look.plan
    for name, share in look.mirrored(look.after).items():
        kept = look.mirrored(look.before).get(name) == share
        planned = [one.mirror for one in plan.steps if step and one.name == step.name] if plan else []
        if not kept and share not in planned:
            return f"{name} gets copies of {share} in step {step and step.name}, which asks for {planned}"
    return None


def copies_end_with_the_rejection(look: Look) -> str | None:
    if look.situation.deleting or look.plan is None:
        return None
    bound = {entry.revision for entry in look.after.rejected if look.plan.attempt <= entry.attempt}
    left = sorted(bound & look.mirrored(look.after).keys())
    return f"{left} were taken back and get copies" if left else None


def a_fail_ends_copies_in_the_same_reconcile(look: Look) -> str | None:
    if look.situation.deleting or look.plan is None or not look.mirrored(look.after):
        return None
    rollout = look.after.rollout
    if rollout is None or rollout.mode.value == "Direct":
        return None
    wanted = {metric.name for metric in look.plan.metrics if metric.breach is OnBreach.ROLLBACK}
    failed = [one for one in look.after.metrics if one.verdict is Verdict.FAIL and one.name in wanted]
    alone = [one.name for one in failed if one.reason != Reason.STABLE_BREACHES_TOO]
    return f"{alone} failed, and copies go on" if alone else None


def copies_rise_only_onto_ready_pods(look: Look) -> str | None:
    """Confirmed ones, and as many as so many requests need."""
    for name, share in _risen(look).items():
        facts = look.facts(name)
        settled = facts.ready_since is not None and look.situation.now - facts.ready_since >= TIMING.ready_for - 0.001
        full = look.plan is not None and look.plan.full_candidate
        wanted = look.full if full else max(1, need(look.full, share))
        if look.full and (facts.ready < wanted or not settled):
            return f"{name} gets copies of {share} with {facts.ready} of {wanted} pods ready since {facts.ready_since}"
    return None


def copies_end_without_a_ready_pod(look: Look) -> str | None:
    if look.situation.deleting or not look.full:
        return None
    gone = [name for name in look.mirrored(look.after) if not look.facts(name).ready]
    return f"{gone} have no ready pod and get copies" if gone else None


def copies_are_covered_by_pods(look: Look) -> str | None:
    plan, rollout = look.plan, look.after.rollout
    if plan is None or rollout is None or look.situation.deleting:
        return None
    for entry in look.after.revisions:
        floor = need(min(plan.replicas, rollout.replicas), int(entry.mirror))
        before = next((one for one in look.before.revisions if one.revision == entry.revision), None)
        falls = before is None or entry.replicas < before.replicas or entry.mirror > before.mirror
        if falls and entry.replicas < floor:
            return f"{entry.revision} gets copies of {int(entry.mirror)} with {entry.replicas} pods, needs {floor}"
    return None


def copies_are_asked_of_gateways_that_can(look: Look) -> str | None:
    found, plan, step = look.situation.mirror, look.plan, look.after.step
    if look.situation.deleting:
        return None
    if found.problem is not None and look.mirrored(look.after):
        return f"copies go on although {found.problem.message}"
    risen = _risen(look)
    if risen and not found.known:
        return f"copies of {risen} before the gateway was asked"
    planned = next((one for one in plan.steps if step and one.name == step.name), None) if plan else None
    compares = planned is not None and planned.shadow is not None and planned.shadow.compare is not None
    return f"copies of {risen} without a comparer" if risen and compares and not found.compared else None


def copies_do_not_begin_while_paused_or_unmeasured(look: Look) -> str | None:
    step, risen = look.before.step, _risen(look)
    if risen and step is not None and not step.index and look.paused:
        return f"copies of {risen} while paused"
    if risen and look.situation.metrics_problem is not None and look.plan is not None and look.plan.judged:
        return f"copies of {risen} without metrics"
    return None


def every_mirrored_share_is_in_the_timeline(look: Look) -> str | None:
    was, now = look.mirrored(look.before), look.mirrored(look.after)
    changed = {name: now.get(name, 0) for name in {*was, *now} if now.get(name, 0) != was.get(name, 0)}
    newest = look.after.timeline[-1:] if look.after.timeline != look.before.timeline else ()
    told = {entry.revision: int(entry.mirror) for entry in newest}
    silent = {name: share for name, share in changed.items() if told.get(name, 0) != share or not newest}
    return f"{silent} is not told by {newest}" if silent else None


def _risen(look: Look) -> dict[str, int]:
    before = look.mirrored(look.before)
    return {name: share for name, share in look.mirrored(look.after).items() if share > before.get(name, 0)}


RULES_OF_MIRRORS = (
    a_mirrored_candidate_serves_nobody,
    copies_are_what_the_step_asks_for,
    copies_end_with_the_rejection,
    a_fail_ends_copies_in_the_same_reconcile,
    copies_rise_only_onto_ready_pods,
    copies_end_without_a_ready_pod,
    copies_are_covered_by_pods,
    copies_are_asked_of_gateways_that_can,
    copies_do_not_begin_while_paused_or_unmeasured,
    every_mirrored_share_is_in_the_timeline,
)
