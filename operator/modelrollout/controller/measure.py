"""What a rollout asks of the metrics layer, made from its recorded state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from modelrollout.analysis.panel import required_lookback
from modelrollout.analysis.step import gating, speaks
from modelrollout.api.errors import SpecError
from modelrollout.api.scalars import FULL_WEIGHT
from modelrollout.api.settings import RuntimePreset, Settings
from modelrollout.api.status import ModelDeploymentStatus, Role
from modelrollout.kube.pods import PodFacts
from modelrollout.metrics.subscription import Subscription, VersionSelector
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

    def _selector(
        self, key: Key, status: ModelDeploymentStatus, children: Children, role: Role
    ) -> VersionSelector | None:
        entry = next((entry for entry in status.revisions if entry.role is role), None)
        if entry is None:
            return None
        record = children.records.get(entry.revision)
        preset = self._preset(record.runtime if record else None)
        return VersionSelector(entry.revision, entry.version, child_name(key[1], entry.revision), preset)

    def _preset(self, runtime: str | None) -> RuntimePreset:
        try:
            return presets.find(runtime, self.settings)
        except SpecError:
            return presets.CUSTOM  # the administrator took the preset away; metrics that need it will say so


def _counts_from(memory: Memory, warm_up: float) -> Mapping[str, float]:
    pods: tuple[PodFacts, ...] = tuple(pod for seen in memory.pods.values() for pod in seen.pods)
    return {pod.name: pod.ready_since + warm_up for pod in pods if pod.ready_since is not None}
