"""What a rollout asks of the metrics layer, made from its recorded state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from modelrollout.analysis.panel import required_lookback
from modelrollout.analysis.step import gating, speaks
from modelrollout.api.analysis import Metric, StepKind
from modelrollout.api.errors import SpecError
from modelrollout.api.scalars import FULL_WEIGHT, Timestamp
from modelrollout.api.settings import RuntimePreset, Settings
from modelrollout.api.status import ArmStatus, ExperimentStatus, ModelDeploymentStatus, RevisionStatus, Role
from modelrollout.kube.pods import PodFacts
from modelrollout.metrics.subscription import Subscription, VersionSelector, slot_of
from modelrollout.rollout.arm_evidence import GOAL, goal_metrics
from modelrollout.rollout.plan import Plan
from modelrollout.rollout.revision import child_name
from modelrollout.runtime.queue import Key
from modelrollout.workload import presets

from .children import Children
from .fields import plan_fields
from .memory import Memory


@dataclass(frozen=True, slots=True)
class Measured:
    """Makes subscriptions."""

    settings: Settings

    def subscription(
        self, key: Key, status: ModelDeploymentStatus, plan: Plan, children: Children, memory: Memory
    ) -> Subscription | None:
        """What is to be measured now; None while nothing is judged. A candidate that has loaded is looked at before its first weight.

        A metric that rests in the step is not measured: its windows would be kept for as long as the step lasts, since it counts none.
        """
        step, rollout = status.step, status.rollout
        if not plan.judged or not plan.metrics or step is None or rollout is None or rollout.mode != "Steps":
            return None
        before = step.index == 0
        begun = rollout.loaded_at if before else step.applied_at
        if begun is None:
            return None
        kind = next((one.kind for one in plan.steps if one.name == step.name), None)
        metrics = tuple(one for one in plan.metrics if before or kind is None or speaks(one, kind))
        candidate = self._selector(key, status, children, Role.CANDIDATE)
        if candidate is None or not metrics:
            return None
        # Of copies nobody knows how many there ought to be: only requests that match are mirrored.
        weight = next(entry.weight for entry in status.revisions if entry.role is Role.CANDIDATE)
        stable = self._selector(key, status, children, Role.STABLE) if weight < FULL_WEIGHT else None
        known = {metric.name: metric.through for metric in status.metrics}
        since = float(begun)
        lookback = max(required_lookback(metric) for metric in metrics)
        through = min(float(known.get(metric.name) or since) for metric in metrics)
        if kind is None or gating(metrics, kind):
            through = min(through, float(step.covered_through or since))
        analysis = plan_fields(plan).analysis
        return Subscription(
            key=key,
            provider=plan.provider,
            interval=plan.interval,
            since=since,
            keep_from=max(since, through - lookback),
            namespace=key[0],
            candidate=candidate,
            stable=stable,
            metrics=metrics,
            counts_from=_counts_from(memory, plan.warm_up),
            share=weight.fraction,
            identify=analysis.identify if analysis else None,
            history=before,
            preflight=before,
        )

    def variants(
        self, key: Key, status: ModelDeploymentStatus, plan: Plan, children: Children, memory: Memory
    ) -> dict[Key, Subscription]:
        """What is to be measured of each variant of an A/B test against the control, by slot; the goal is one metric more.

        Looked at from when a variant has loaded; windows are made once the shares are in force.
        """
        test = status.experiment
        control = self._selector(key, status, children, Role.STABLE)
        metrics = of_test(plan)
        if test is None or control is None or not metrics:
            return {}
        before, analysis, found = test.begun_at is None, plan_fields(plan).analysis, {}
        for arm in test.variants:
            entry = next((one for one in status.revisions if one.revision == arm.revision), None)
            begun = arm.loaded_at if before else test.applied_at
            if entry is None or arm.out is not None or begun is None or not (before or entry.weight):
                continue
            since = float(begun)
            slot = slot_of(key, arm.revision)
            found[slot] = Subscription(
                key=slot,
                provider=plan.provider,
                interval=plan.interval,
                since=since,
                keep_from=max(since, _through(test, arm, metrics, since)),
                namespace=key[0],
                candidate=self._selected(key, entry, children),
                stable=control,
                metrics=metrics,
                counts_from=_counts_from(memory, plan.warm_up),
                share=entry.weight.fraction,
                identify=analysis.identify if analysis else None,
                history=before,
                preflight=before,
            )
        return found

    def _selector(
        self, key: Key, status: ModelDeploymentStatus, children: Children, role: Role
    ) -> VersionSelector | None:
        entry = next((entry for entry in status.revisions if entry.role is role), None)
        return None if entry is None else self._selected(key, entry, children)

    def _selected(self, key: Key, entry: RevisionStatus, children: Children) -> VersionSelector:
        record = children.records.get(entry.revision)
        preset = self._preset(record.runtime if record else None)
        return VersionSelector(entry.revision, entry.version, child_name(key[1], entry.revision), preset)

    def _preset(self, runtime: str | None) -> RuntimePreset:
        try:
            return presets.find(runtime, self.settings)
        except SpecError:
            return presets.CUSTOM  # the administrator took the preset away; metrics that need it will say so


def of_test(plan: Plan) -> tuple[Metric, ...]:
    """The guards that speak while both have traffic, and the goal."""
    if plan.experiment is None or not plan.judged:
        return ()
    guards = tuple(metric for metric in plan.metrics if speaks(metric, StepKind.LIVE))
    goal = plan.experiment.goal
    return guards if goal is None else (*guards, *goal_metrics(goal))


def _through(test: ExperimentStatus, arm: ArmStatus, metrics: tuple[Metric, ...], since: float) -> float:
    """Until when the windows of a variant have been counted, less what is looked back upon."""
    known: dict[str, Timestamp | None] = {metric.name: metric.through for metric in arm.metrics}
    known[GOAL] = arm.goal.through if arm.goal is not None else None
    through = [float(known.get(metric.name) or since) for metric in metrics]
    if GOAL in {metric.name for metric in metrics}:
        through.append(float(test.covered_through or since))
    return min(through) - max(required_lookback(metric) for metric in metrics)


def _counts_from(memory: Memory, warm_up: float) -> Mapping[str, float]:
    pods: tuple[PodFacts, ...] = tuple(pod for seen in memory.pods.values() for pod in seen.pods)
    return {pod.name: pod.ready_since + warm_up for pod in pods if pod.ready_since is not None}
