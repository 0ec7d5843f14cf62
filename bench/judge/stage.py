"""A cluster that obeys at once, and the product's decision core in it.

Pods are ready and routes are accepted as soon as they are recorded, so that all that takes time is the plan itself. What is the
same for every rollout (version 1 up, version 2 at its first weight) is decided once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from modelrollout.analysis.window import Window
from modelrollout.api.status import ModelDeploymentStatus, RevisionStatus, Role
from modelrollout.rollout.decide import decide
from modelrollout.rollout.plan import Plan, PlanStep
from modelrollout.rollout.situation import (
    Decision,
    PreflightFacts,
    RevisionFacts,
    RouteFacts,
    Situation,
    Target,
    Timing,
)

BEGIN = 1_700_000_100.0
"""When the candidate gets its first weight: on the grid of any window."""
LONG_AGO = 3600.0
AT_ONCE = Timing(settle=0.0, drain=0.0, ready_for=0.0)
MOST_MOVES = 30
"""Decisions at one moment after which something turns in circles."""

STABLE, CANDIDATE = "1-stable", "2-candidate"


@dataclass(frozen=True)
class Moment:
    """What the decision core may know beside the record: the time, how long it has not looked, what was measured."""

    now: float = BEGIN
    elapsed: float = 0.0
    windows: Mapping[str, tuple[Window, ...]] = field(default_factory=dict)
    effects: Mapping[str, str] = field(default_factory=dict)
    """Design effects by metric, before the first weight."""


@dataclass
class Stage:
    """The decision core with one plan. `decisions` counts."""

    plan: Plan
    decisions: int = 0
    _begun: dict[str, Decision] = field(default_factory=dict)

    def begun(self, effects: Mapping[str, str]) -> Decision:
        """Version 2 has just got its first weight, with these design effects of the metrics."""
        key = " ".join(effects.values())
        if key not in self._begun:
            first = self.settle(ModelDeploymentStatus(), STABLE, Moment())
            self._begun = {key: self.settle(first.status, CANDIDATE, Moment(effects=effects))}
        return self._begun[key]

    def settle(self, status: ModelDeploymentStatus, revision: str, moment: Moment) -> Decision:
        """Decide as often as the decision core asks for at this moment, or until the rollout is over."""
        for _ in range(MOST_MOVES):
            self.decisions += 1
            decision = decide(self._situation(status, revision, moment))
            if not decision.again:
                return decision
            status, moment = decision.status, replace(moment, elapsed=0.0)
            if status.rollout is None and status.history:
                return decision
        raise RuntimeError(f"no rest after {MOST_MOVES} decisions: {status.phase}, {status.message}")

    def step(self, status: ModelDeploymentStatus) -> PlanStep:
        """The plan's step that is under way."""
        assert status.step is not None
        return next(step for step in self.plan.steps if step.name == status.step.name)

    @staticmethod
    def candidate(status: ModelDeploymentStatus) -> RevisionStatus:
        """The candidate's entry."""
        return next(entry for entry in status.revisions if entry.role is Role.CANDIDATE)

    def _situation(self, status: ModelDeploymentStatus, revision: str, moment: Moment) -> Situation:
        weights = {entry.revision: int(entry.weight) for entry in status.revisions if entry.weight}
        long_ago = moment.now - LONG_AGO
        return Situation(
            now=moment.now,
            name="model",
            generation=1,
            status=status,
            target=Target(revision, revision.partition("-")[0]),
            plan=self.plan,
            plan_name=self.plan.digest,
            elapsed=moment.elapsed,
            revisions={
                entry.revision: RevisionFacts(
                    exists=True,
                    replicas=entry.replicas,
                    pods=entry.replicas,
                    ready=entry.replicas,
                    ready_since=long_ago,
                    full_since=long_ago,
                )
                for entry in status.revisions
            },
            route=RouteFacts(exists=bool(weights), weights=weights, accepted=bool(weights), since=long_ago),
            windows=moment.windows,
            preflight=PreflightFacts(effects=moment.effects),
            timing=AT_ONCE,
        )
