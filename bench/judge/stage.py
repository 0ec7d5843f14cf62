"""A cluster that obeys at once, and the product's decision core in it.

Pods are ready and routes are accepted as soon as they are recorded, so that all that takes time is the plan itself. What is the
same for every rollout (version 1 up, version 2 at its first weight) is decided once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from modelrollout.analysis.window import Window
from modelrollout.api.status import ModelDeploymentStatus, RevisionStatus, Role
from modelrollout.rollout.decide import decide
from modelrollout.rollout.plan import Plan, PlanStep
from modelrollout.rollout.situation import Decision, RevisionFacts, RouteFacts, Situation, Target, Timing

BEGIN = 1_700_000_100.0
"""When the candidate gets its first weight: on the grid of any window."""
LONG_AGO = 3600.0
AT_ONCE = Timing(settle=0.0, drain=0.0, ready_for=0.0)
MOST_MOVES = 30
"""Decisions at one moment after which something turns in circles."""

Windows = Mapping[str, tuple[Window, ...]]


@dataclass
class Stage:
    """The decision core with one plan. `decisions` counts."""

    plan: Plan
    decisions: int = 0
    begun: Decision = field(init=False)
    """Version 2 has just got its first weight."""

    def __post_init__(self) -> None:
        first = self.settle(ModelDeploymentStatus(), "1-stable", BEGIN, 0.0, {})
        self.begun = self.settle(first.status, "2-candidate", BEGIN, 0.0, {})

    def settle(
        self, status: ModelDeploymentStatus, revision: str, now: float, elapsed: float, windows: Windows
    ) -> Decision:
        """Decide until nothing is left to be done at this moment."""
        for _ in range(MOST_MOVES):
            self.decisions += 1
            decision = decide(self._situation(status, revision, now, elapsed, windows))
            if not decision.again and decision.status == status:
                return decision
            status, elapsed = decision.status, 0.0
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

    def _situation(
        self, status: ModelDeploymentStatus, revision: str, now: float, elapsed: float, windows: Windows
    ) -> Situation:
        weights = {entry.revision: int(entry.weight) for entry in status.revisions if entry.weight}
        return Situation(
            now=now,
            name="model",
            generation=1,
            status=status,
            target=Target(revision, revision.partition("-")[0]),
            plan=self.plan,
            plan_name=self.plan.digest,
            elapsed=elapsed,
            revisions={
                entry.revision: RevisionFacts(
                    exists=True,
                    replicas=entry.replicas,
                    pods=entry.replicas,
                    ready=entry.replicas,
                    ready_since=now - LONG_AGO,
                    full_since=now - LONG_AGO,
                )
                for entry in status.revisions
            },
            route=RouteFacts(exists=bool(weights), weights=weights, accepted=bool(weights), since=now - LONG_AGO),
            windows=windows,
            timing=AT_ONCE,
        )
