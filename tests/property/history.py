"""Histories: random operations from a seed, carried out on a world, and the calm after them in which everything must end well.

A history is a list of operations made of small integers. Each can be carried out in any state, so any part of a history is a
history too: `shrink` takes operations away as long as the same rule is broken. Nothing depends on anything but the seed.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from modelrollout.analysis.window import Answer
from modelrollout.api.command import Action
from modelrollout.api.scalars import FULL_WEIGHT
from modelrollout.api.status import Role
from modelrollout.rollout.situation import MirrorFacts, PreflightFacts, Problem

from .calm import calm
from .ledger import Ledger, Rule
from .objects import COPIES, NEVER, Fate
from .rules_of_mirrors import RULES_OF_MIRRORS
from .rules_of_record import RULES_OF_RECORD
from .rules_of_steps import RULES_OF_STEPS
from .rules_of_traffic import RULES_OF_TRAFFIC
from .specs import AT_ONCE, METRICS, OF_THE_SAME_NAMES, STEPS, Wish, plan_of
from .surroundings import REVISIONS, Decide, Violation
from .world import World

RULES: tuple[Rule, ...] = (*RULES_OF_TRAFFIC, *RULES_OF_MIRRORS, *RULES_OF_STEPS, *RULES_OF_RECORD)
Op = tuple[str, float, int, int, int]
"""Name, seconds that pass before, and three numbers that the operation reads as it likes."""

WEIGHTS = {
    "apply": 10,
    "back": 3,
    "edit": 5,
    "invalid": 2,
    "command": 8,
    "pods": 7,
    "fate": 4,
    "route": 4,
    "metrics": 6,
    "traffic": 2,
    "kill": 6,
    "split": 1,
    "lag": 2,
    "clock": 3,
    "wipe": 1,
    "problem": 1,
    "mirror": 1,
    "autoscale": 1,
    "delete": 0.3,
    "wait": 6,
}
PAUSES = (0.0, 0.0, 1.0, 4.0, 9.0, 17.0, 31.0, 64.0, 150.0)


@dataclass(frozen=True, slots=True)
class History:
    """What happens: the builds, the first spec, and the operations."""

    seed: int
    fates: tuple[Fate, ...]
    wish: Wish
    ops: tuple[Op, ...]
    lag: float
    save_every: int


def make(seed: int) -> History:
    """The history of a seed."""
    rng = random.Random(seed)
    favourites = rng.sample(sorted(WEIGHTS), 4)
    names = sorted(WEIGHTS)
    shares = [WEIGHTS[name] * (4 if name in favourites else 1) for name in names]
    first = ("apply", 40.0 if rng.random() < 0.9 else 3.0, 1, rng.randrange(64), rng.randrange(1000))
    others = tuple(
        (name, rng.choice(PAUSES), rng.randrange(1000), rng.randrange(1000), rng.randrange(1000))
        for name in rng.choices(names, shares, k=rng.choice((1, 2, 4, 6, 9, 14)))
    )
    if rng.random() < 0.12:  # The clock is set while a step is held.
        others = (("clock", rng.choice((17.0, 31.0, 45.0)), rng.choice((2, 3, 4, 6)), 0, 0), *others)
    return History(
        seed=seed,
        fates=(Fate(load=rng.choice((1.0, 4.0, 20.0))), *(_fate(rng) for _ in REVISIONS[1:])),
        wish=_wish(rng),
        ops=(first, *others),
        lag=rng.choice((0.0, 0.0, 0.0, 0.3, 2.0)),
        save_every=rng.choice((1, 1, 3, 7)),
    )


def _fate(rng: random.Random) -> Fate:
    kind = rng.random()
    load = rng.choice((1.0, 4.0, 4.0, 20.0, 70.0))
    if rng.random() < 0.1:
        return Fate(load=load, golden=rng.choice(("wrong", "silent")))
    if kind < 0.55:
        return Fate(load=load)
    if kind < 0.75:
        return Fate(load=load, bad=rng.choice((0.4, 0.9)))
    if kind < 0.85:
        return Fate(load=load, loads=False)
    return Fate(load=rng.choice((1.0, 4.0)), lives=rng.choice((12.0, 33.0)))


def _wish(rng: random.Random) -> Wish:
    return Wish(
        replicas=rng.choice((1, 1, 2, 2, 3, 4)),
        steps=rng.randrange(len(STEPS)),
        metrics=rng.choice((*range(len(METRICS)), len(METRICS) - 1)),
        inconclusive=rng.choice((0, 0, 1, 2)),
        finish=rng.random() < 0.2,
        full=rng.random() < 0.15,
        patient=rng.random() < 0.6,
        autoscaled=rng.random() < 0.1,
        service=rng.random() < 0.15,
        quick=rng.random() < 0.2,
        at_once=rng.random() < 0.5,
        golden=rng.choice((0, 0, 1)),
        replace=rng.random() < 0.15,
        surge=rng.choice((0, 0, 0, 1, 2)),
    )


# Operations


def _apply(world: World, one: int, two: int, _three: int) -> None:
    """A new version, with or without other changes beside it."""
    wish = world.resource.wish
    if two % 4 == 0:
        wish = dataclasses.replace(wish, steps=two % len(STEPS))
    if two % 7 == 0:
        wish = dataclasses.replace(wish, replicas=1 + two % 4)
    world.ask(revision=REVISIONS[one % len(REVISIONS)], wish=wish, valid=True)


def _back(world: World, one: int, _two: int, _three: int) -> None:
    """The spec of what is stable, of what was, or of what was taken back."""
    status = world.resource.status
    names = [entry.revision for entry in status.revisions] + [entry.revision for entry in status.history]
    if names:
        world.ask(revision=names[one % len(names)], valid=True)


def _edit(world: World, one: int, two: int, three: int) -> None:
    wish = world.resource.wish
    same = [one for one in OF_THE_SAME_NAMES if one != wish.steps]
    changes: tuple[dict[str, Any], ...] = (
        {"replicas": two % 5},
        {"replicas": 1 + two % 4},
        {"steps": two % len(STEPS)},
        {"steps": two % len(STEPS)},
        {"metrics": two % len(METRICS)},
        {"paused": not wish.paused},
        {"paused": False},
        {"attempt": wish.attempt + 1},
        {"inconclusive": two % 3},
        {"finish": not wish.finish},
        {"full": not wish.full},
        {"patient": not wish.patient},
        {"quick": not wish.quick},
        {"replicas": 1 + two % 4, "steps": three % len(STEPS)},
        {"at_once": not wish.at_once, "steps": AT_ONCE[two % len(AT_ONCE)]},
        {"steps": same[two % len(same)]},
        {"steps": same[two % len(same)]},
        {"golden": two % 3},
        {"replace": not wish.replace},
        {"surge": two % 3},
    )
    world.ask(wish=dataclasses.replace(wish, **changes[one % len(changes)]))


def _invalid(world: World, _one: int, _two: int, _three: int) -> None:
    world.ask(valid=not world.resource.valid)


def _command(world: World, one: int, two: int, three: int) -> None:
    status = world.resource.status
    actions = (*Action, Action.APPROVE, Action.PROMOTE, Action.ABORT, Action.RETRY)
    action = actions[one % len(actions)]
    fitting = {
        Action.RETRY: [entry.revision for entry in status.rejected],
        Action.UNDO: [entry.revision for entry in status.revisions if entry.role is Role.STABLE],
    }.get(action, [entry.revision for entry in status.revisions if entry.role in (Role.CANDIDATE, Role.VARIANT)])
    anything = [*REVISIONS, "9-ffff0009", *(entry.revision for entry in status.revisions)]
    names = fitting if fitting and two % 6 else anything
    revision = names[two % len(names)]
    step = None
    if action is Action.APPROVE:
        planned = [one.name for one in plan_of(world.resource.wish)[0].steps]
        now = [status.step.name] if status.step and status.step.index else planned
        step = now[0] if three % 4 else [*planned, "nowhere"][three % (len(planned) + 1)]
    for _ in range(2 if three % 9 == 0 else 1):
        world.command(action, revision, step)


def _pods(world: World, one: int, two: int, three: int) -> None:
    """Pods are killed, crash or become unready, one or all of a revision."""
    running = [deployment for deployment in world.deployments.values() if deployment.pods]
    if not running:
        return
    deployment = running[one % len(running)]
    pods = deployment.pods if two % 2 else deployment.pods[:1]
    kind = (two // 2) % 3
    for pod in pods:
        pod.ready = False
        pod.restarts = pod.restarts + 1 if kind == 1 else 0 if kind == 2 else pod.restarts
        pod.change_at = world.mono + deployment.fate.load + (0.0, 3.0, 12.0, 45.0, 200.0)[three % 5]
        if not deployment.fate.loads:
            pod.change_at = world.mono + 40.0


def _new_fate(world: World, one: int, two: int, _three: int) -> None:
    """A build turns bad, or well again: by its data, a dependency, its memory."""
    fate = world.fates[REVISIONS[one % len(REVISIONS)]]
    kind = two % 5
    if kind == 0:
        fate.bad = 0.6
    elif kind == 1:
        fate.bad = 0.0
    elif kind == 4:
        fate.golden, world.dirty = ("right", "wrong", "silent")[two % 3], True
    elif kind == 2:
        fate.lives = 20.0
        for pod in world.deployments[REVISIONS[one % 4]].pods if REVISIONS[one % 4] in world.deployments else ():
            pod.change_at = min(pod.change_at, world.mono + 20.0) if pod.ready else pod.change_at
    else:
        fate.lives, fate.loads = NEVER, True


def _route(world: World, one: int, two: int, _three: int) -> None:
    """The route is edited or deleted by somebody, refused, slow, or well again."""
    route, kind = world.route, one % 6
    world.meddled_at = world.mono
    if kind == 0 and route.exists:
        names = sorted(world.deployments)
        route.write(world.mono, {names[two % len(names)]: FULL_WEIGHT})
    elif kind == 1 and route.exists and sum(not name.endswith(COPIES) for name in route.weights) > 1:
        names = sorted(name for name in route.weights if not name.endswith(COPIES))
        route.write(world.mono, {names[0]: 5000, names[1]: 5000})
    elif kind == 2:
        route.remove(world.mono)
    elif kind == 3:
        route.refuse(world.mono, refused=True)
    elif kind == 4:
        route.delay = (0.1, 2.5, 8.0, 40.0)[two % 4]
    else:
        route.refuse(world.mono, refused=False)


def _metrics(world: World, one: int, two: int, _three: int) -> None:
    """Prometheus is away, empty, not recording, has no such provider, or is back."""
    prometheus, kind = world.prometheus, one % 9
    if kind == 0:
        prometheus.answer = Answer.ERROR
    elif kind == 1:
        prometheus.answer = Answer.NO_DATA
    elif kind == 2:
        prometheus.recording = not prometheus.recording
    elif kind == 3:
        reason = ("NoMetricsProvider", "MetricsMissing")[two % 2]
        world.metrics_problem = None if world.metrics_problem else Problem(reason, "The query found nothing.")
        world.dirty = True
    elif kind == 4:
        prometheus.incident = 0.0 if prometheus.incident else 0.5
    elif kind == 5:
        reason = (None, "MetricsUnavailable", "MetricsMissing")[two % 3]
        world.preflight = PreflightFacts(False, Problem(reason, "The series are not there.") if reason else None)
        world.dirty = True
    else:
        prometheus.answer, prometheus.recording, world.metrics_problem = Answer.COUNTS, True, None
        world.preflight, world.dirty = PreflightFacts(), True


def _traffic(world: World, one: int, two: int, _three: int) -> None:
    world.prometheus.rate = (0.0, 0.2, 20.0, 300.0)[one % 4]
    world.prometheus.testers = (5.0, 0.0, 0.2)[two % 3]


def _kill(world: World, one: int, two: int, _three: int) -> None:
    world.kill_at = one % 6
    world.down = (0.5, 3.0, 20.0, 90.0)[two % 4]
    if one % 7 == 0 and world.processes:
        world.processes.pop()
        world.restart_at = world.mono + world.down


def _split(world: World, one: int, _two: int, _three: int) -> None:
    """For a while a second process believes that it leads."""
    if len(world.processes) == 1:
        world.processes.append(type(world.processes[0])(world.mono, world.mono))
        world.split_until = world.mono + (2.0, 20.0, 60.0)[one % 3]


def _lag(world: World, one: int, _two: int, _three: int) -> None:
    world.lag = (0.0, 0.3, 2.0, 7.0)[one % 4]


def _clock(world: World, one: int, _two: int, _three: int) -> None:
    world.jump((7.0, -7.0, 40.0, -40.0, 900.0, -300.0, 3600.0)[one % 7])


def _wipe(world: World, _one: int, _two: int, _three: int) -> None:
    world.wipe()


def _problem(world: World, _one: int, _two: int, _three: int) -> None:
    world.problems = () if world.problems else (Problem("ForeignObject", "A Service of that name is not ours."),)
    world.dirty = True


def _mirror(world: World, one: int, _two: int, _three: int) -> None:
    """The gateway turns out to be one that cannot mirror, is not known yet, has no comparer, or is well again."""
    cannot = Problem("MirrorUnsupported", "Gateway ml/public cannot mirror requests.")
    world.mirror = (MirrorFacts(problem=cannot), MirrorFacts(known=False), MirrorFacts(compared=False), MirrorFacts())[
        one % 4
    ]
    world.dirty = True


def _autoscale(world: World, one: int, _two: int, _three: int) -> None:
    """An HPA adds pods."""
    if not world.resource.wish.autoscaled:
        return
    for deployment in world.deployments.values():
        if deployment.replicas:
            deployment.scale(world.mono, deployment.replicas + one % 2)


def _delete(world: World, _one: int, _two: int, _three: int) -> None:
    """Somebody deletes the resource, and a finalizer of theirs holds it for a while. There is no way back from that."""
    world.deleting = world.dirty = True


def _wait(_world: World, _one: int, _two: int, _three: int) -> None:
    return


OPERATIONS: dict[str, Callable[[World, int, int, int], None]] = {
    "apply": _apply,
    "back": _back,
    "edit": _edit,
    "invalid": _invalid,
    "command": _command,
    "pods": _pods,
    "fate": _new_fate,
    "route": _route,
    "metrics": _metrics,
    "traffic": _traffic,
    "kill": _kill,
    "split": _split,
    "lag": _lag,
    "clock": _clock,
    "wipe": _wipe,
    "problem": _problem,
    "mirror": _mirror,
    "autoscale": _autoscale,
    "delete": _delete,
    "wait": _wait,
}


def play(history: History, decide: Decide, rules: tuple[Rule, ...] = RULES) -> World:
    """Carry a history out, and the calm after it. Raises Violation."""
    fates = {name: dataclasses.replace(fate) for name, fate in zip(REVISIONS, history.fates, strict=True)}
    world = World(decide, fates, lag=history.lag, save_every=history.save_every)
    world.prometheus.better = frozenset(name for name, fate in fates.items() if fate.better)
    Ledger(world, rules)
    world.ask(revision=REVISIONS[0], wish=history.wish, valid=True)
    for name, seconds, one, two, three in history.ops:
        world.run(seconds)
        OPERATIONS[name](world, one, two, three)
    world.run(30.0)
    if not world.deleting:
        calm(world)
    return world


def shrink(history: History, decide: Decide, rule: str, rules: tuple[Rule, ...] = RULES) -> History:
    """The fewest operations that break the same rule."""

    def breaks(ops: tuple[Op, ...]) -> bool:
        try:
            play(dataclasses.replace(history, ops=ops), decide, rules)
        except Violation as violation:
            return violation.rule == rule
        except Exception as error:  # noqa: BLE001  a crash of the core is a finding too
            return type(error).__name__ == rule
        return False

    ops, width = history.ops, max(1, len(history.ops) // 2)
    while width:
        start = 0
        while start < len(ops):
            fewer = ops[:start] + ops[start + width :]
            if breaks(fewer):
                ops = fewer
            else:
                start += width
        width //= 2
    return dataclasses.replace(history, ops=ops)
