"""The harness's own account of what really happened, kept apart from everything that the core records.

`Account` adds up, for the step under way, the time in which the data plane carried the recorded weights, the windows that had
answers in it, and the requests in them, all in true time. A step that ends is held against this account, so a clock that
jumps, a restart or a read-back after an outage cannot talk anybody into anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from modelrollout.analysis.window import Answer, Window
from modelrollout.api.analysis import Method, Metric, OnBreach, StepKind
from modelrollout.api.command import Action
from modelrollout.api.scalars import FULL_WEIGHT
from modelrollout.api.status import Mode, ModelDeploymentStatus, RevisionStatus, Role, TakenCommand
from modelrollout.rollout.plan import Plan, PlanStep
from modelrollout.rollout.situation import RevisionFacts, Situation

from .objects import COPIES, INTERVAL, copies
from .surroundings import Moment, Violation
from .world import World

CLEARLY_BAD = 0.2
MANY = 60
"""Bad events that leave no doubt, whatever the design effect and the share of a test."""
SLACK = 1.0

Rule = Callable[["Look"], str | None]


def weights(status: ModelDeploymentStatus) -> dict[str, int]:
    """Recorded weights, revision → basis points."""
    return {entry.revision: int(entry.weight) for entry in status.revisions}


def live(status: ModelDeploymentStatus) -> dict[str, int]:
    """Recorded weights above 0."""
    return {revision: weight for revision, weight in weights(status).items() if weight}


def carried(status: ModelDeploymentStatus) -> dict[str, int]:
    """What a route ought to carry: recorded weights above 0, and what is to be mirrored."""
    return live(status) | {copies(entry.revision): int(entry.mirror) for entry in status.revisions if entry.mirror}


def need(full: int, weight: int) -> int:
    """Pods that a share needs when `full` carry all."""
    return -(-full * weight // FULL_WEIGHT) if full else 0


def with_role(status: ModelDeploymentStatus, role: Role) -> RevisionStatus | None:
    return next((entry for entry in status.revisions if entry.role is role), None)


def speaks(metric: Metric, kind: StepKind) -> bool:
    """Whether a metric has a question that can be answered in such a step."""
    if kind not in metric.kinds_of_steps:
        return False
    compared = metric.compare is not None and kind is not StepKind.BAKE
    return metric.limit is not None or metric.range is not None or compared


def kind_at(weight: int, mirror: int) -> StepKind:
    """The kind of a step in which the candidate has so much."""
    if mirror:
        return StepKind.SHADOW
    return StepKind.LIVE if 0 < weight < FULL_WEIGHT else StepKind.BAKE if weight else StepKind.PREVIEW


@dataclass
class Account:
    """What really happened in one step."""

    key: object = None
    lived: float = 0.0
    since: float | None = None
    covered: dict[float, float] = field(default_factory=dict)
    requests: dict[str, dict[float, int]] = field(default_factory=dict)
    newest: dict[str, list[Window]] = field(default_factory=dict)
    allowance: float = 0.0
    within_a_window: float = 0.0
    restarts: int | None = None
    counted_to: float = 0.0
    served: dict[str, int] = field(default_factory=dict)
    """What the data plane carried at the last look."""
    plan: Plan | None = None
    """The plan in force when the step began."""


@dataclass
class Look:
    """One decision, before and after, with the questions that the rules ask of it."""

    moment: Moment
    world: World
    ledger: Ledger

    @property
    def situation(self) -> Situation:
        return self.moment.situation

    @cached_property
    def before(self) -> ModelDeploymentStatus:
        return self.situation.status

    @cached_property
    def after(self) -> ModelDeploymentStatus:
        return self.moment.decision.status

    @cached_property
    def was(self) -> dict[str, int]:
        return weights(self.before)

    @cached_property
    def now(self) -> dict[str, int]:
        return weights(self.after)

    @cached_property
    def changed(self) -> dict[str, int]:
        """Weights that this decision records anew."""
        names = {**self.was, **self.now}
        return {name: self.now.get(name, 0) for name in names if self.now.get(name, 0) != self.was.get(name, 0)}

    @cached_property
    def stable(self) -> RevisionStatus | None:
        return with_role(self.before, Role.STABLE)

    @cached_property
    def candidate(self) -> RevisionStatus | None:
        return with_role(self.before, Role.CANDIDATE)

    @cached_property
    def adopting(self) -> bool:
        """There was no recorded state to start from."""
        return not self.before.revisions

    @staticmethod
    def mirrored(status: ModelDeploymentStatus) -> dict[str, int]:
        """Shares of requests that are to be copied, by revision."""
        return {entry.revision: int(entry.mirror) for entry in status.revisions if entry.mirror}

    @property
    def plan(self) -> Plan | None:
        return self.situation.plan

    @cached_property
    def plans(self) -> list[Plan]:
        """The plan in force, the one of the recorded status, and the one in which the step began."""
        recorded = self.world.records.get(self.before.plan or "")
        return [plan for plan in (self.plan, recorded, self.ledger.account.plan) if plan is not None]

    @property
    def same_plan(self) -> bool:
        """Whether the step under way began under the plan in force."""
        return all(plan == self.plan for plan in self.plans)

    def facts(self, revision: str) -> RevisionFacts:
        return self.situation.revisions.get(revision, RevisionFacts())

    @cached_property
    def full(self) -> int:
        """R: what the plan says, or with autoscaling what was recorded at the start."""
        rollout = self.after.rollout or self.after.experiment or self.before.rollout or self.before.experiment
        if self.plan is None:
            return 0
        return rollout.replicas if self.plan.autoscaled and rollout else self.plan.replicas

    @cached_property
    def same_rollout(self) -> bool:
        one, two = self.before.rollout, self.after.rollout
        return one is not None and two is not None and (one.revision, one.started_at) == (two.revision, two.started_at)

    @cached_property
    def taken(self) -> list[TakenCommand]:
        """Commands that this decision takes."""
        known = {command.uid for command in self.before.commands}
        return [command for command in self.after.commands if command.uid not in known]

    def accepted(self, action: Action) -> bool:
        return any(command.action == action and command.outcome == "Accepted" for command in self.taken)

    @cached_property
    def paused(self) -> bool:
        by_spec = self.plan is not None and self.plan.paused
        return by_spec or (self.before.paused is not None and not self.accepted(Action.RESUME))

    def steps(self, name: str) -> list[PlanStep]:
        """The step of that name in the plans that may be meant."""
        return [step for plan in self.plans for step in plan.steps if step.name == name]

    @cached_property
    def step_kind(self) -> StepKind:
        weight = self.now.get(self.before.rollout.revision, 0) if self.before.rollout else 0
        return StepKind.BAKE if weight == FULL_WEIGHT else StepKind.LIVE

    @cached_property
    def at_step(self) -> bool:
        """Whether the candidate has the weight of the step under way."""
        step, candidate = self.before.step, self.candidate
        if step is None or candidate is None:
            return False
        has = (int(candidate.weight), int(candidate.mirror))
        return any(has == (int(planned.weight), int(planned.mirror)) for planned in self.steps(step.name))

    def gating(self, kind: StepKind) -> list[Metric]:
        """Metrics of all plans in question that gate such a step."""
        if not self.plans:
            return []
        others = [plan.metrics for plan in self.plans[1:]]
        return [
            metric
            for metric in self.plans[0].metrics
            if metric.gates and speaks(metric, kind) and all(metric in metrics for metrics in others)
        ]


def _begun(status: ModelDeploymentStatus) -> tuple[object, ...]:
    """When what is under way began: the rollout, the A/B test."""
    rollout, test = status.rollout, status.experiment
    return (rollout and rollout.started_at, test and test.started_at)


class Ledger:
    """Keeps the account and asks every rule at every decision."""

    def __init__(self, world: World, rules: tuple[Rule, ...]) -> None:
        self.world = world
        self.rules = rules
        self.account = Account()
        self.innocent = True
        self.recorded: list[dict[str, int]] = []
        self.looks = 0
        self.started_at: float | None = None
        self.jumps = 0
        self.stable_erred = False
        self.requests: dict[str, dict[float, int]] = {}
        """Of the candidate in the whole rollout, by metric and end of window."""
        self._dead: dict[str, tuple[float, float, object, float]] = {}
        self._leaps: list[tuple[float, float]] = []
        """When the clock was set forward, by the true clock, and by how much."""
        self._counted_on: dict[float, float] = {}
        """By the `seenAt` that a decision came to: when that was, by the true clock."""
        world.watcher = self

    # What the world tells

    def decided(self, moment: Moment) -> None:
        look = Look(moment, self.world, self)
        self._keep(look)
        self._watch_variants(look)
        self._watch_readiness(look)
        self.looks += 1
        for rule in self.rules:
            if complaint := rule(look):
                raise Violation(rule.__name__, complaint)

    def written(self, status: ModelDeploymentStatus) -> None:
        wanted = carried(status)
        if wanted not in self.recorded:
            self.recorded.append(wanted)
        if _begun(status) != _begun(self.world.resource.status):
            self.innocent = True
            self.requests, self.stable_erred = {}, False
            self.started_at = self.world.mono
            self.jumps = 0
            if status.rollout:
                self._dead.pop(status.rollout.revision, None)

    def routed(self, intent: Mapping[str, int]) -> None:
        """The route is about to be changed: a raise meets truly ready pods."""
        world = self.world
        for name, weight in intent.items():
            revision = name.removesuffix(COPIES)
            risen = weight > world.route.serving.get(name, 0)
            ready = world.deployments[revision].ready if revision in world.deployments else 0
            entry = next((entry for entry in world.resource.status.revisions if entry.revision == revision), None)
            if entry is None:
                continue  # status was wiped since the decision was recorded
            alone = entry.role is Role.STABLE or sum(world.route.serving.values()) == 0 or entry.replicas == 0
            alone = alone or world.resource.status.down is not None  # Replace: nobody else has a pod
            if risen and not ready and not alone:
                raise Violation("rule_01_the_route_rises_onto_ready_pods", f"{revision} to {weight} with no ready pod")

    def scaled(self, revision: str, before: int, after: int, ended: int) -> None:
        """A Deployment is about to be scaled: what carries traffic keeps what it needs."""
        serving = self.world.route.serving
        if after >= before or not ended or serving not in self.recorded:
            return
        plan = self.world.records.get(self.world.resource.status.plan or "")
        full = plan.replicas if plan else 0
        if plan is None or plan.router == "Service":
            return
        status = self.world.resource.status
        ordered = plan.in_place and status.down is not None
        if ordered and any(entry.revision == revision and entry.role is Role.STABLE for entry in status.revisions):
            return  # Replace: down by order
        share = max(serving.get(revision, 0), serving.get(copies(revision), 0))
        needed = share - (plan.surge is not None)  # of 3 pods, 2 carry 66.67 %
        if needed > 0 and after < need(full, needed):
            raise Violation("rule_02_pods_with_traffic_stay", f"{revision} to {after} pods while it serves {share}")

    def jumped(self, seconds: float) -> None:
        """Within one process a jump claims nothing, save inside one window; across a restart it cannot be told."""
        unseen = not self.world.processes or any(process.decided_at is None for process in self.world.processes)
        for revision, (_, last, process, first) in self._dead.items():
            self._dead[revision] = (-abs(seconds), last, process, first)
        self.jumps += 1
        if seconds > 0:
            self._leaps.append((self.world.mono, seconds))
            self.account.allowance += seconds if unseen else 0.0
            self.account.within_a_window += min(seconds, 2 * INTERVAL)

    def wiped(self) -> None:
        self.account = Account()

    def _watch_variants(self, look: Look) -> None:
        """Whether any window of a variant showed a bad answer."""
        for facts in look.situation.arms.values():
            for name, windows in facts.windows.items():
                if name != "goal" and any(window.candidate.bad or window.candidate_value for window in windows):
                    self.innocent = False

    # Readiness, as processes have seen it

    def _watch_readiness(self, look: Look) -> None:
        """For each revision: seconds without a ready pod that the process at hand has lived through."""
        mono = look.moment.mono
        for entry in look.before.revisions:
            if look.facts(entry.revision).ready or not entry.replicas:
                self._dead.pop(entry.revision, None)
                continue
            fresh = (0.0, mono, look.moment.process, mono)
            seconds, last, process, first = self._dead.get(entry.revision, fresh)
            total = seconds + mono - last if process is look.moment.process else 0.0
            self._dead[entry.revision] = (total, mono, look.moment.process, first)

    def unready(self, revision: str) -> float:
        """Seconds without a ready pod, so far."""
        return self._dead[revision][0] if revision in self._dead else 0.0

    def dead_for(self, look: Look) -> float:
        """Seconds since stable had its last ready pod, counting what nobody saw."""
        entry = self._dead.get(look.stable.revision) if look.stable else None
        return self.world.mono - entry[3] if entry else 0.0

    @property
    def loose(self) -> bool:
        """Whether what the Store shows of the route may just now be out of date."""
        return self.world.lag > 0 or self.world.mono - self.world.meddled_at < 30.0

    # The account

    def _keep(self, look: Look) -> None:
        before, rollout = look.before, look.before.rollout
        step = before.step
        key = (rollout.revision, rollout.started_at, step.name, step.started_at) if rollout and step else None
        if key != self.account.key:
            self.account = Account(key=key, counted_to=look.moment.mono, plan=look.plan)
        account = self.account
        if look.situation.elapsed is None and before.seen_at is not None:
            # A process that has never looked cannot tell a clock that leapt since the last one did from time that passed.
            last = self._counted_on.get(float(before.seen_at), 0.0)
            account.allowance += sum(seconds for at, seconds in self._leaps if at >= last)
        if look.after.seen_at is not None:
            self._counted_on[float(look.after.seen_at)] = look.moment.mono
        # What Prometheus recorded before the clock was set back bears labels of after it.
        relived = self.world.prometheus.newest - self.world.wall
        if relived > 0:
            account.allowance = max(account.allowance, relived + INTERVAL)
        if rollout is None or step is None or step.index == 0:
            return
        self._live(look, account)
        self._windows(look, account)
        restarts = look.facts(rollout.revision).restarts
        account.restarts = restarts if account.restarts is None else min(account.restarts, restarts)

    def _live(self, look: Look, account: Account) -> None:
        route = self.world.route
        if route.serving == carried(look.before) and look.at_step:
            begin = max(account.counted_to, route.serving_since)
            account.lived += max(0.0, look.moment.mono - begin)
            account.since = begin if account.since is None else account.since
        elif account.served == carried(look.before) and look.at_step:
            # Somebody has changed it meanwhile; until then it was as intended.
            account.lived += max(0.0, min(look.moment.mono, route.serving_since) - account.counted_to)
        account.served = dict(route.serving)
        account.counted_to = look.moment.mono

    def _windows(self, look: Look, account: Account) -> None:
        one = look.candidate
        kind = kind_at(int(one.weight), int(one.mirror)) if one else StepKind.PREVIEW
        plan = look.plan
        if plan is None:
            return
        names = [metric.name for metric in plan.metrics if metric.gates and speaks(metric, kind)]
        answered: dict[float, int] = {}
        for name, windows in look.situation.windows.items():
            for window in windows:
                if window.answered:
                    answered[window.end] = answered.get(window.end, 0) + (name in names)
                    account.requests.setdefault(name, {})[window.end] = window.candidate.requests
                    self.requests.setdefault(name, {})[window.end] = window.candidate.requests
                if window.candidate.bad or (window.candidate_value or 0.0) > 0.0:
                    self.innocent = False
                self.stable_erred = self.stable_erred or window.stable.bad > 0
            account.newest[name] = list(windows[-8:])
        intended = carried(look.before)
        for end, count in answered.items():
            recorded = self.world.prometheus.by_end.get(end)
            if recorded and names and count == len(names) and recorded.serving == intended and look.at_step:
                account.covered[end] = recorded.ended - recorded.began

    @property
    def covered(self) -> float:
        """Truly covered seconds of the step under way, by windows."""
        return sum(self.account.covered.values())

    def badly(self, look: Look, metric: Metric) -> bool:
        """Whether the newest windows leave no doubt that the metric must say Fail."""
        step = look.before.step
        if step is None or step.applied_at is None or metric.breach is not OnBreach.ROLLBACK:
            return False
        wanted = _windows_to_see(metric)
        mine = [window for window in look.situation.windows.get(metric.name, ()) if window.start >= step.applied_at]
        newest = mine[-wanted:]
        if len(newest) < wanted or sum(window.candidate.requests for window in newest[-2:]) < metric.sample:
            return False
        if metric.judged_by is Method.SEQUENTIAL and sum(window.candidate.bad for window in newest) < MANY:
            return False
        return all(_clearly_bad(metric, window) for window in newest)


def _windows_to_see(metric: Metric) -> int:
    """How many bad windows in a row are enough for any judge."""
    if metric.judged_by is Method.SEQUENTIAL:
        return 8
    threshold = metric.threshold
    assert threshold is not None
    assert threshold.lookback is not None
    assert threshold.failures is not None
    return int(threshold.lookback.seconds / INTERVAL) + threshold.failures


def _clearly_bad(metric: Metric, window: Window) -> bool:
    if metric.query is not None:
        return (window.candidate_value or 0.0) > CLEARLY_BAD
    mine, other = window.candidate, window.stable
    if metric.judged_by is Method.SEQUENTIAL and other.bad:
        return False
    bad = mine.requests >= 2 and mine.bad / mine.requests > CLEARLY_BAD
    if metric.limit is None:
        return bad and other.requests >= 20 and other.bad == 0
    return bad


def blind(situation: Situation) -> Situation:
    """The same situation without the windows that had no answer."""
    windows = {
        name: tuple(window for window in windows if window.answer not in (Answer.NO_DATA, Answer.ERROR))
        for name, windows in situation.windows.items()
    }
    return replace(situation, windows=windows)


def mode(status: ModelDeploymentStatus) -> Mode | None:
    return status.rollout.mode if status.rollout else None
