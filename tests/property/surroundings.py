"""What surrounds the operator: the resource, the cluster, the clocks, the Store that follows them, and who changes them.

Time passes only from event to event. Nothing here decides or acts; `World` does, in rounds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from modelrollout.api.command import Action
from modelrollout.api.status import ModelDeploymentStatus
from modelrollout.rollout.plan import Plan
from modelrollout.rollout.situation import (
    Arm,
    CommandFacts,
    Decision,
    MirrorFacts,
    PreflightFacts,
    Problem,
    Situation,
    Target,
    Timing,
)

from .objects import (
    EVALUATION_DELAY,
    INTERVAL,
    NEVER,
    Deployment,
    DeploymentView,
    Fate,
    Pod,
    Prometheus,
    Recorded,
    Route,
    RouteView,
)
from .specs import Wish

WARMING = 2.0
"""Seconds that a pod takes for its golden requests."""
BASE = 1_700_000_010.0
TIMING = Timing()
REVISIONS = ("1-aaaa0001", "2-bbbb0002", "3-cccc0003", "4-dddd0004")

Decide = Callable[[Situation], Decision]


class Violation(AssertionError):  # noqa: N818  it is a finding, not an error of the harness
    """A rule was broken. `rule` is the name of the invariant."""

    def __init__(self, rule: str, text: str) -> None:
        super().__init__(f"{rule}: {text}")
        self.rule = rule


class Resource(NamedTuple):
    """The ModelDeployment: what is asked for and what is recorded."""

    revision: str
    wish: Wish
    valid: bool
    generation: int
    status: ModelDeploymentStatus
    version: int

    @property
    def target(self) -> Target | Problem:
        if not self.valid:
            return Problem("InvalidSpec", "spec.rollout.steps: weights must not fall")
        version = self.revision.split("-", maxsplit=1)[0]
        if self.revision not in REVISIONS or not self.wish.arms:
            return Target(self.revision, version)
        place = REVISIONS.index(self.revision)
        others = [(name, REVISIONS[(place + offset) % len(REVISIONS)]) for name, offset, _ in self.wish.arms]
        arms = tuple(Arm(name, revision, revision[0]) for name, revision in others)
        return Target(self.revision, version, f"{self.revision} {others}", arms)


@dataclass(slots=True, eq=False)
class Process:
    """One run of the operator: what it remembers and when it looks again."""

    born: float
    due: float
    decided_at: float | None = None
    ready_since: dict[str, float] = field(default_factory=dict)
    full_since: dict[str, float] = field(default_factory=dict)
    carried: tuple[RouteView, ...] = ()
    carried_since: float | None = None
    remembered: ModelDeploymentStatus | None = None
    asks: dict[str, tuple[str, float]] = field(default_factory=dict)
    """By revision what it asks pods for, and since when."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One decision: what was seen, what was decided, and when in true time."""

    situation: Situation
    decision: Decision
    mono: float
    process: Process


class Watcher(Protocol):
    """Who is told of everything that happens and speaks up when a rule is broken."""

    def decided(self, moment: Moment) -> None: ...
    def written(self, status: ModelDeploymentStatus) -> None: ...
    def routed(self, intent: Mapping[str, int]) -> None: ...
    def scaled(self, revision: str, before: int, after: int, ended: int) -> None: ...
    def jumped(self, seconds: float) -> None: ...
    def wiped(self) -> None: ...


class Surroundings:
    """One ModelDeployment and what surrounds it."""

    def __init__(self, decide: Decide, fates: Mapping[str, Fate], *, lag: float = 0.0, save_every: int = 1) -> None:
        self.decide = decide
        self.fates = dict(fates)
        self.mono = 0.0
        self.offset = 0.0
        self.lag = lag
        self.save_every = save_every
        self.deployments: dict[str, Deployment] = {}
        self.route = Route()
        self.prometheus = Prometheus()
        self.resource = Resource("", Wish(), False, 0, ModelDeploymentStatus(), 0)
        self.records: dict[str, Plan] = {}
        self.digests: dict[int, str] = {}
        self.commands: list[CommandFacts] = []
        self.problems: tuple[Problem, ...] = ()
        self.metrics_problem: Problem | None = None
        self.preflight = PreflightFacts()
        self.mirror = MirrorFacts()
        self.deleting = False
        self.seen: dict[str, DeploymentView] = {}
        self.seen_route = RouteView()
        self.seen_resource = self.resource
        self.pending: dict[str, float] = {}
        self.processes: list[Process] = [Process(0.0, 0.0)]
        self.restart_at = NEVER
        self.split_until = NEVER
        self.kill_at: int | None = None
        self.meddled_at = -math.inf
        self.down = 10.0
        self.sample_at = NEVER
        self.dirty = True
        self.decisions = 0
        self.events = 0
        self.writes = 0
        self.watcher: Watcher | None = None
        self._rounds = (0.0, 0)

    # Time

    @property
    def wall(self) -> float:
        return BASE + self.mono + self.offset

    def jump(self, seconds: float) -> None:
        """Set the wall clock. Prometheus misses what the clock leaps over and waits for what it has seen before."""
        before = math.floor(max(self.wall, self.prometheus.newest) / INTERVAL)
        self.offset += seconds
        after = math.floor(self.wall / INTERVAL)
        self.prometheus.windows.extend(
            Recorded((grid - 1) * INTERVAL, grid * INTERVAL, self.mono, self.mono, {}, {}, False, None)
            for grid in range(before + 1, after + 1)
        )
        self.prometheus.newest = max(self.prometheus.newest, after * INTERVAL)
        for process in self.processes:
            process.due = min(process.due, self.mono + 1.0)
        if self.watcher:
            self.watcher.jumped(seconds)

    def run(self, seconds: float) -> None:
        """Let time pass."""
        until = self.mono + seconds
        while True:
            self._deliver()
            if self.processes and (self.dirty or any(process.due <= self.mono for process in self.processes)):
                self.dirty = False
                self._round()
                continue
            moment = self._next()
            if moment > until:
                self._move(until)
                self._deliver()
                return
            self._move(max(moment, self.mono))

    def _round(self) -> None:
        """Every process observes, decides, records and acts once."""
        raise NotImplementedError

    def _next(self) -> float:
        moment = min(self.restart_at, self.split_until, self.route.accept_at, self.sample_at, self._tick())
        for deployment in self.deployments.values():
            moment = min(moment, deployment.next_change())
        for process in self.processes:
            moment = min(moment, process.due, *self._warmings(process))
        return min(moment, *self.pending.values()) if self.pending else moment

    def warm_at(self, process: Process, revision: str, pod: Pod) -> float:
        """When a process that asks a pod has its answers; never from one that gives none."""
        if not pod.ready or self.deployments[revision].fate.golden == "silent":
            return NEVER
        _, since = process.asks.get(revision, ("", 0.0))
        return max(pod.ready_at, process.born, since) + WARMING

    def _warmings(self, process: Process) -> list[float]:
        """When a process hears from pods that it asks."""
        return [
            moment
            for revision, deployment in self.deployments.items()
            for pod in deployment.pods
            if (moment := self.warm_at(process, revision, pod)) > self.mono
        ]

    def _tick(self) -> float:
        if not self.resource.status.under_way:
            return NEVER
        grid = math.floor(max(self.wall, self.prometheus.newest) / INTERVAL) + 1
        return grid * INTERVAL - BASE - self.offset

    def _move(self, moment: float) -> None:
        tick = self._tick()
        self.dirty = self.dirty or any(moment in self._warmings(process) for process in self.processes)
        self.mono = moment
        for deployment in self.deployments.values():
            deployment.advance(moment)
        self.route.advance(moment)
        if tick <= moment:
            self.prometheus.point(round((BASE + tick + self.offset) / INTERVAL), tick)
            self.sample_at = min(self.sample_at, tick + EVALUATION_DELAY)
        bad = {revision: fate.bad for revision, fate in self.fates.items()}
        alive = frozenset(revision for revision, deployment in self.deployments.items() if deployment.ready)
        self.prometheus.watch(moment, self.route.serving, bad, alive)
        if self.sample_at <= moment:
            self.sample_at, self.dirty = NEVER, True
            self.events += 1
        if self.restart_at <= moment:
            self.restart_at = NEVER
            self.processes.append(Process(moment, moment))
            self._resync()
        if self.split_until <= moment:
            self.split_until = NEVER
            del self.processes[:-1]

    # The Store

    def _deliver(self) -> None:
        """Let the Store see what has changed, at once or after the lag."""
        for name, current, seen in self._differences():
            if self.lag and self.pending.setdefault(name, self.mono + self.lag) > self.mono:
                continue
            self.pending.pop(name, None)
            if current != seen:
                self._see(name)
                self.events += 1
                self.dirty = True

    def _differences(self) -> list[tuple[str, object, object]]:
        found: list[tuple[str, object, object]] = []
        for revision, deployment in self.deployments.items():
            view = deployment.view()
            if view != self.seen.get(revision):
                found.append((revision, view, self.seen.get(revision)))
        if (route := self.route.view()) != self.seen_route:
            found.append(("/route", route, self.seen_route))
        if self.resource is not self.seen_resource:
            found.append(("/resource", self.resource, self.seen_resource))
        if self.pending:
            known = {name for name, _, _ in found}
            self.pending = {name: at for name, at in self.pending.items() if name in known}
        return found

    def _see(self, name: str) -> None:
        if name == "/route":
            self.seen_route = self.route.view()
        elif name == "/resource":
            self.seen_resource = self.resource
        elif name in self.deployments:
            self.seen[name] = self.deployments[name].view()

    def _resync(self) -> None:
        for name in ("/route", "/resource", *self.deployments):
            self._see(name)
        self.dirty = True

    def _write(self, resource: Resource) -> None:
        """Store a ModelDeployment as the API server does: as JSON, under a new resourceVersion."""
        if self.watcher and resource.status is not self.resource.status:
            self.watcher.written(resource.status)
        self.resource = resource._replace(version=self.resource.version + 1)
        if resource.status is not self.seen_resource.status:
            self.seen_resource = self.resource
            self.pending.pop("/resource", None)

    # What people and other programs do

    def ask(self, **fields: object) -> None:
        """Edit the spec."""
        current = self.resource
        self._write(current._replace(generation=current.generation + 1, **fields))  # type: ignore[arg-type]

    def command(self, action: Action, revision: str, step: str | None) -> None:
        """Create a RolloutCommand."""
        uid = f"uid-{len(self.commands)}-{self.mono:.3f}-{self.decisions}"
        self.commands.append(CommandFacts(uid, uid, action, revision, step, "alice", "", self.wall))
        self.dirty = True

    def wipe(self) -> None:
        """Somebody restores the resource without its status."""
        if self.watcher:
            self.watcher.wiped()
        self.resource = self.resource._replace(status=ModelDeploymentStatus(), version=self.resource.version + 1)
