"""The calm after a history: everything outside is well again, people do what they are asked to, and every rollout ends.

A sound build ends promoted and a bad one rejected, with all traffic on stable, within bounded time and a bounded number of
decisions. What may legitimately wait for a person for ever is named here, case by case.
"""

from __future__ import annotations

import dataclasses

from modelrollout.analysis.window import Answer
from modelrollout.api.command import Action
from modelrollout.api.scalars import FULL_WEIGHT
from modelrollout.api.status import HistoryEntry, Mode, Outcome, Role
from modelrollout.rollout.situation import MirrorFacts, PreflightFacts, Target

from .ledger import weights
from .specs import METRICS, plan_of
from .surroundings import BASE, Violation
from .world import World

CALM = 3 * 3600.0
ENOUGH = 500
"""Decisions after which a flapping world is left to itself."""


def calm(world: World) -> None:
    """Let it come to rest, and say what is wrong if it does not."""
    _mend(world)
    decisions, events, begun = world.decisions, world.events, world.mono
    relived = world.wall < world.prometheus.newest
    patience = rested = 0
    while world.mono < begun + CALM and world.decisions < decisions + ENOUGH and rested < 2:
        world.run(60.0 if patience < 40 else 300.0)
        _help(world)
        patience += 1
        rested = rested + 1 if _at_rest(world) else 0
        budget = 60 + 4 * (world.events - events) + (world.mono - begun) / 10
        if world.decisions - decisions > budget:
            raise Violation(
                "no_hot_loop", f"{world.decisions - decisions} decisions in {world.mono - begun:.0f}s of calm"
            )
    if verdict := _complaint(world, None if relived else begun + world.offset):
        status = world.resource.status
        raise Violation("every_rollout_ends_well", f"{verdict}; {status.phase}: {status.message}")


def _mend(world: World) -> None:
    prometheus = world.prometheus
    prometheus.answer, prometheus.recording, prometheus.rate, prometheus.incident = Answer.COUNTS, True, 300.0, 0.0
    prometheus.testers = 5.0
    world.metrics_problem, world.problems, world.lag, world.kill_at = None, (), 0.0, None
    world.preflight, world.mirror = PreflightFacts(), MirrorFacts()
    world.route.delay = 0.3
    world.route.refuse(world.mono, refused=False)
    wish = dataclasses.replace(
        world.resource.wish, paused=False, patient=True, finish=False, replicas=max(1, world.resource.wish.replicas)
    )
    world.ask(wish=wish, valid=True)
    for deployment in world.deployments.values():
        for pod in deployment.pods:
            if not pod.ready and deployment.fate.loads:
                pod.change_at = min(pod.change_at, world.mono + deployment.fate.load)
    world.dirty = True


def _help(world: World) -> None:
    """Approve what waits for approval, resume what a command had paused, retry what is blocked."""
    status = world.resource.status
    if (test := status.experiment) is not None:
        if status.paused is not None:
            world.command(Action.RESUME, test.control, None)
        plan, _ = plan_of(world.resource.wish)
        if status.phase == "Paused" or plan.experiment is None or plan.experiment.duration is None:
            world.command(Action.ABORT, test.control, None)
    if status.rollout is None:
        return
    if status.paused is not None:
        world.command(Action.RESUME, status.rollout.revision, None)
    step = status.step
    if step is not None and step.index and step.approval is None and status.phase == "Paused":
        world.command(Action.APPROVE, status.rollout.revision, step.name)
    if status.rollout.blocked is not None:
        world.command(Action.RETRY, status.rollout.revision, None)


def _at_rest(world: World) -> bool:
    status = world.resource.status
    return not status.under_way and status.phase in ("Healthy", "RolledBack", "Failed") and not world.commands


def _complaint(world: World, judged_since: float | None) -> str:
    """Empty if the end is what the builds deserve."""
    status, target = world.resource.status, world.resource.revision
    wish = world.resource.wish
    bound = [entry.revision for entry in status.rejected if wish.attempt <= entry.attempt]
    stable = next((entry.revision for entry in status.revisions if entry.role is Role.STABLE), None)
    if stable is None:
        return "" if not world.fates[target].sound or target in bound else f"nothing serves, and {target} is sound"
    if status.rollout is not None:
        return _never_ending(world, stable)
    found = (_astray(world, stable), _test_complaint(world, stable, bound))
    if (text := next((text for text in found if text is not None), None)) is not None:
        return text
    if target != stable and target not in bound:
        return f"{target} is asked for, {stable} serves, nothing is rejected"
    return next((text for entry in status.history if (text := _undeserved(world, entry, judged_since))), "")


def _astray(world: World, stable: str) -> str | None:
    """Traffic that is anywhere but on stable."""
    carried = {name: weight for name, weight in weights(world.resource.status).items() if weight}
    if world.resource.status.experiment is not None:
        return None
    if carried != {stable: FULL_WEIGHT}:
        return f"stable is {stable}, weights are {carried}"
    return None if world.route.serving == carried else f"the data plane carries {world.route.serving}, not {carried}"


def _test_complaint(world: World, stable: str, bound: list[str]) -> str | None:
    """Of an A/B test: it ends, and what it has asked for has become of it; None where the spec asks for none."""
    status, target = world.resource.status, world.resource.target
    if status.experiment is not None:
        sound = all(world.fates[name].sound for name in (stable, *(arm.revision for arm in status.experiment.variants)))
        return "an A/B test of sound builds never ends" if sound else ""
    if not isinstance(target, Target) or not target.experiment:
        return None
    ended = {entry.id: entry.revision for entry in status.concluded}
    chosen = ended.get(target.experiment)
    tried = target.experiment in ended or all(arm.revision in bound for arm in target.arms)
    held = tried if target.revision == stable else status.summary.reason == "ControlNotStable"
    fine = held or chosen == stable or chosen in bound or target.revision in bound
    return "" if fine else f"{target} was not held"


def _never_ending(world: World, stable: str) -> str:
    """A rollout may only go on for ever where something is wrong that time and approvals cannot heal."""
    rollout = world.resource.status.rollout
    assert rollout is not None
    if plan_of(world.resource.wish)[0].experiment is not None and rollout.mode is Mode.STEPS:
        return ""  # the winner of an A/B test that was taken back once: the default steps take days
    if world.fates[rollout.revision].sound and world.fates[stable].sound:
        return f"{rollout.revision} is sound and its rollout never ends"
    pausing = wish_pauses(world)
    judged_bad = world.fates[rollout.revision].bad and world.resource.status.phase == "Paused"
    weak_stable = not world.fates[stable].loads or world.fates[stable].lives < CALM or world.fates[stable].bad
    silent = world.fates[rollout.revision].golden == "silent"  # a pod that came later and that nobody can ask
    if weak_stable or rollout.mode is Mode.DIRECT or (pausing and judged_bad) or silent:
        return ""
    return f"{rollout.revision} is bad and its rollout never ends"


def wish_pauses(world: World) -> bool:
    """Whether a metric of the plan answers a breach with a pause."""
    plan, _ = plan_of(world.resource.wish)
    return any(metric.breach == "Pause" for metric in plan.metrics)


def _undeserved(world: World, entry: HistoryEntry, judged_since: float | None) -> str:
    """A bad build that was judged in the calm from its first step to its last was promoted.

    While the clock runs through time that Prometheus has seen before there are no answers, and people approve without them.
    """
    if judged_since is None:
        return ""
    judged = METRICS[world.resource.wish.metrics]
    sees = judged is not None and any("limit" in metric or "range" in metric for metric in judged)
    ended = entry.outcome is Outcome.PROMOTED and not entry.reason
    began_in_calm = float(entry.started_at) > BASE + judged_since + 5.0
    if ended and began_in_calm and sees and world.fates[entry.revision].bad:
        return f"{entry.revision} is bad, was judged, and was promoted"
    return ""
