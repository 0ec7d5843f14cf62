"""The loop around the pure core, as the controller runs it: observe, decide, record, act.

Recording is guarded by the resourceVersion that was seen; acting by fresh reads before a raise or a scale-down; a conflict
means observe and decide again. A process may be killed between any two of these, and for a moment there may be two.
"""

from __future__ import annotations

from collections.abc import Mapping

from modelrollout.analysis.window import Window
from modelrollout.api.status import ModelDeploymentStatus, WarmUpStatus
from modelrollout.rollout.arm_evidence import goal_metrics
from modelrollout.rollout.evidence import carry, progress
from modelrollout.rollout.plan import Plan
from modelrollout.rollout.situation import ArmFacts, Decision, RevisionFacts, RouteFacts, Situation, WarmUpFacts

from .objects import COPIES, EVALUATION_DELAY, INTERVAL, NEVER, Deployment, DeploymentView, copies
from .specs import Wish, plan_of
from .surroundings import TIMING, Moment, Process, Resource, Surroundings, Violation

ROUNDS_AT_ONE_MOMENT = 40
WINDOWS_KEPT = 12


class KilledError(Exception):
    """The process ends here."""


class World(Surroundings):
    """One ModelDeployment, its surroundings, and the operator's processes."""

    # Observe, decide, record, act

    def _round(self) -> None:
        moment, rounds = self._rounds
        self._rounds = (self.mono, rounds + 1 if moment == self.mono else 1)
        if self._rounds[1] > ROUNDS_AT_ONE_MOMENT:
            raise Violation("no_hot_loop", f"{rounds} rounds without time passing; {self._last()}")
        resource, known = self.seen_resource, dict(self.seen)
        decided = [(process, self._decide(process)) for process in self.processes]
        for process, (situation, decision) in decided if self.writes % 2 else decided[::-1]:
            try:
                self._carry_out(process, resource, known, situation, decision)
            except KilledError:
                self.processes.remove(process)
                self.restart_at = self.mono + self.down
                self.dirty = False

    def _last(self) -> str:
        return f"phase {self.resource.status.phase}, {self.resource.status.message}"

    def _decide(self, process: Process) -> tuple[Situation, Decision]:
        situation = self.observe(process)
        decision = self.decide(situation)
        self.decisions += 1
        if self.watcher:
            self.watcher.decided(Moment(situation, decision, self.mono, process))
        return situation, decision

    def _carry_out(
        self,
        process: Process,
        seen: Resource,
        known: Mapping[str, DeploymentView],
        situation: Situation,
        decision: Decision,
    ) -> None:
        """`known`: what the decision rests on. What another process of this round has read meanwhile is in its own Store only."""
        process.due = NEVER if decision.wake_at is None else self.mono + max(0.0, decision.wake_at - self.wall)
        if self._moved_on(known, situation, decision):
            return
        spared = decision.checkpoint and not decision.urgent and self.decisions % self.save_every
        if decision.status != seen.status and not spared:
            self._kill(0)
            if self.resource.version != seen.version:
                self._see("/resource")
                self.dirty = True
                return  # What was decided is forgotten, with the time that it had counted.
            self._write(self.resource._replace(status=decision.status))
            self.writes += 1
            self._kill(1)
        process.remembered, process.decided_at = progress(decision.status), self.mono
        if not situation.deleting:
            self._act(decision.status)
        taken = {command.uid for command in decision.status.commands}
        if any(command.uid in taken for command in self.commands):
            self._kill(5)
            self.commands = [command for command in self.commands if command.uid not in taken]
        if decision.again:
            self.dirty = True

    def _moved_on(self, known: Mapping[str, DeploymentView], situation: Situation, decision: Decision) -> bool:
        """Before a raise or a scale-down is recorded: one fresh read of each Deployment concerned."""
        before = {entry.revision: entry for entry in situation.status.revisions}
        concerned = [
            entry.revision
            for entry in decision.status.revisions
            if entry.share > (before[entry.revision].share if entry.revision in before else 0)
            or (entry.revision in before and entry.replicas < before[entry.revision].replicas)
        ]
        if all(self._view(name) == known.get(name) for name in concerned):
            return False
        self._resync()
        return True

    def _kill(self, point: int) -> None:
        if self.kill_at is not None and self.kill_at <= point:
            self.kill_at = None
            raise KilledError

    def _act(self, status: ModelDeploymentStatus) -> None:
        intent = {entry.revision: int(entry.weight) for entry in status.revisions if entry.weight}
        intent |= {copies(entry.revision): int(entry.mirror) for entry in status.revisions if entry.mirror}
        wanted = {entry.revision: entry.replicas for entry in status.revisions}
        for revision, replicas in wanted.items():
            view = self.seen.get(revision, DeploymentView())
            if not view.exists or view.replicas < replicas:
                if not self._scale(revision, replicas):
                    return
                self._kill(2)
        if intent and dict(self.seen_route.weights) != intent:
            if not self._steer(intent):
                return
            self._kill(3)
        left = self.seen_route.accepted and dict(self.seen_route.weights) == intent
        if status.revisions and (left or not intent):
            self._shrink(wanted)

    def _steer(self, intent: Mapping[str, int]) -> bool:
        carried = dict(self.seen_route.weights)
        raised = {name.removesuffix(COPIES) for name, share in intent.items() if share > carried.get(name, 0)}
        if not self._fresh("/route", *sorted(raised)) or self.route.version != self.seen_route.version:
            self._resync()
            return False
        self.route.write(self.mono, intent)
        self._see("/route")
        if self.watcher:
            self.watcher.routed(intent)
        return True

    def _shrink(self, wanted: Mapping[str, int]) -> None:
        floor = self.resource.wish.autoscaled
        for revision in list(self.deployments):
            view, replicas = self.seen.get(revision, DeploymentView()), wanted.get(revision)
            surplus = replicas is not None and view.replicas > replicas and (not floor or replicas == 0)
            if view.exists and (replicas is None or surplus):
                if not self._fresh("/route", revision):
                    self._resync()
                    return
                if not self._scale(revision, replicas):
                    return
                self._kill(4)

    def _fresh(self, *names: str) -> bool:
        """One GET each: whether the Store was up to date."""
        current = [self.route.view() if name == "/route" else self._view(name) for name in names]
        seen = [self.seen_route if name == "/route" else self.seen.get(name) for name in names]
        return current == seen

    def _view(self, revision: str) -> DeploymentView | None:
        deployment = self.deployments.get(revision)
        return deployment.view() if deployment else None

    def _scale(self, revision: str, replicas: int | None) -> bool:
        deployment = self.deployments.get(revision)
        if deployment is None:
            deployment = self.deployments[revision] = Deployment(self.fates[revision])
            self.seen[revision] = deployment.view()
        if deployment.version != self.seen[revision].version:
            self._resync()
            return False
        before = deployment.replicas
        if not deployment.exists:
            deployment.order = self.wall
        ended = deployment.delete() if replicas is None else deployment.scale(self.mono, replicas)
        self._see(revision)
        self.dirty = True
        if self.watcher:
            self.watcher.scaled(revision, before, replicas or 0, ended)
        return True

    # Observe

    def observe(self, process: Process) -> Situation:
        """Gather a Situation as the controller does."""
        resource = self.seen_resource
        status = carry(resource.status, process.remembered)
        plan = self._plan(resource)
        return Situation(
            now=self.wall,
            name="model",
            generation=resource.generation,
            status=status,
            target=resource.target,
            plan=plan,
            plan_name=self.digests[id(plan)] if plan else "",
            elapsed=None if process.decided_at is None else self.mono - process.decided_at,
            revisions=self._revisions(process, resource),
            route=self._route(process),
            commands=tuple(self.commands),
            windows=self._windows(process, status, plan),
            problems=self.problems,
            metrics_problem=self.metrics_problem,
            preflight=self.preflight,
            mirror=self.mirror,
            warm_up=self._warm_up(process, status, plan),
            arms=self._arms(process, status, plan),
            timing=TIMING,
            deleting=self.deleting,
        )

    def _warm_up(self, process: Process, status: ModelDeploymentStatus, plan: Plan | None) -> WarmUpFacts:
        """What this process has heard from the candidate's pods, and what stands on record."""
        rollout = status.rollout
        if rollout is None or plan is None or plan.golden is None:
            return WarmUpFacts()
        definition = f"{rollout.revision} {rollout.started_at} {plan.golden.requests[0].name}"
        return self._heard(process, rollout.revision, definition, rollout.warm_up)

    def _heard(self, process: Process, revision: str, definition: str, recorded: WarmUpStatus | None) -> WarmUpFacts:
        if process.asks.get(revision, ("", 0.0))[0] != definition:
            process.asks[revision] = (definition, self.mono)
        known = recorded.pods if recorded is not None and recorded.definition == definition else ()
        deployment = self.deployments.get(revision)
        pods = deployment.identities() if deployment else {}
        heard = [name for name, pod in pods.items() if self.warm_at(process, revision, pod) <= self.mono]
        failure = "expected 1, got 2" if heard and deployment and deployment.fate.golden == "wrong" else ""
        warm = [name for name in pods if name in known or (name in heard and not failure)]
        return WarmUpFacts(
            definition=definition,
            warm=sum(pods[name].ready for name in warm),
            pods=tuple(warm),
            failure="" if set(heard) <= set(known) else failure,
            trouble="no connection" if pods and not warm and not failure else "",
        )

    def _arms(self, process: Process, status: ModelDeploymentStatus, plan: Plan | None) -> dict[str, ArmFacts]:
        """What is known of each variant of an A/B test."""
        test = status.experiment
        if test is None or plan is None:
            return {}
        metrics = plan.metrics
        if plan.experiment is not None and plan.experiment.goal is not None:
            metrics = (*metrics, *goal_metrics(plan.experiment.goal))
        found: dict[str, ArmFacts] = {}
        fresh = self.mono < process.born + EVALUATION_DELAY and process.born
        for arm in test.variants:
            windows = {}
            if test.applied_at is not None and not fresh:
                known = {metric.name: metric.through for metric in arm.metrics}
                known["goal"] = arm.goal.through if arm.goal else None
                counted = [float(known.get(metric.name) or test.applied_at) for metric in metrics]
                since = max(float(test.applied_at) - 2 * INTERVAL, min(counted, default=0.0) - WINDOWS_KEPT * INTERVAL)
                until = self.wall - EVALUATION_DELAY
                windows = {
                    metric.name: tuple(self.prometheus.ask(metric, arm.revision, test.control, since, until))
                    for metric in metrics
                }
            warm = WarmUpFacts()
            if plan.golden is not None and arm.out is None:
                definition = f"{arm.revision} {test.started_at} {plan.golden.requests[0].name}"
                warm = self._heard(process, arm.revision, definition, arm.warm_up)
            found[arm.revision] = ArmFacts(windows, self.metrics_problem, self.preflight, warm)
        return found

    def _plan(self, resource: Resource) -> Plan | None:
        if not resource.valid:
            return self.records.get(resource.status.plan or "")
        return self._record(resource.wish)

    def _record(self, wish: Wish) -> Plan:
        plan, digest = plan_of(wish)
        self.records[digest] = plan
        self.digests[id(plan)] = digest
        return plan

    def _revisions(self, process: Process, resource: Resource) -> dict[str, RevisionFacts]:
        names = {entry.revision for entry in resource.status.revisions} | set(self.seen)
        if resource.valid:
            names.add(resource.revision)
        facts = {}
        for name in sorted(names):
            view = self.seen.get(name, DeploymentView())
            some = self._since(process.ready_since, name, view.ready > 0)
            full = self._since(process.full_since, name, view.replicas > 0 and view.ready >= view.replicas)
            facts[name] = RevisionFacts(
                exists=view.exists,
                replicas=view.replicas,
                pods=view.pods,
                ending=view.ending,
                ready=view.ready,
                ready_since=some,
                full_since=full,
                restarts=view.restarts,
                order=view.order,
                version=name.split("-", maxsplit=1)[0],
            )
        return facts

    def _since(self, memory: dict[str, float], name: str, holds: bool) -> float | None:
        """Since when something has held, kept in monotonic time and told in wall time."""
        if not holds:
            memory.pop(name, None)
            return None
        return self.wall - (self.mono - memory.setdefault(name, self.mono))

    def _route(self, process: Process) -> RouteFacts:
        view = self.seen_route
        key = (view._replace(version=0),)
        if key != process.carried:
            process.carried, process.carried_since = key, self.mono if view.accepted else None
        since = process.carried_since
        return RouteFacts(
            exists=view.exists,
            weights={name: share for name, share in view.weights if not name.endswith(COPIES)} if view.exists else None,
            accepted=view.accepted,
            since=None if since is None else self.wall - (self.mono - since),
            problem="" if view.accepted or not view.exists else "no Gateway has taken it",
            mirrors={name.removesuffix(COPIES): share for name, share in view.weights if name.endswith(COPIES)},
        )

    def _windows(
        self, process: Process, status: ModelDeploymentStatus, plan: Plan | None
    ) -> Mapping[str, tuple[Window, ...]]:
        step, rollout = status.step, status.rollout
        if plan is None or step is None or rollout is None or step.applied_at is None or not plan.metrics:
            return {}
        if self.mono < process.born + EVALUATION_DELAY and process.born:
            return {}
        known = [float(metric.through) for metric in status.metrics if metric.through is not None]
        counted = min(known) if len(known) == len(plan.metrics) else float(step.applied_at)
        since = max(float(step.applied_at) - 2 * INTERVAL, counted - WINDOWS_KEPT * INTERVAL)
        stable = next((entry.revision for entry in status.revisions if entry.role.value == "Stable"), "")
        until = self.wall - EVALUATION_DELAY
        return {
            metric.name: tuple(self.prometheus.ask(metric, rollout.revision, stable, since, until))
            for metric in plan.metrics
        }
