"""A reader's view of a Situation, and the few edits that moves are made of.

`Book` answers the questions that rules ask ("is the candidate ready for 25 %?") in one place, so that no two rules answer them
differently. The functions below it return new statuses; nothing here decides anything.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

from modelrollout.api.reasons import Reason
from modelrollout.api.scalars import FULL_WEIGHT, Span, Timestamp, Weight
from modelrollout.api.status import (
    HISTORY_LIMIT,
    REJECTED_LIMIT,
    TIMELINE_LIMIT,
    ArmStatus,
    Concluded,
    ExperimentStatus,
    HistoryEntry,
    MetricStatus,
    Mode,
    ModelDeploymentStatus,
    Outcome,
    Rejection,
    RevisionStatus,
    Role,
    StepStatus,
    TimelineEntry,
    Verdict,
)

from .capacity import candidate_pods
from .plan import Plan, PlanStep
from .situation import ArmFacts, RevisionFacts, Situation, Target, WarmUpFacts

NOTHING = RevisionFacts(exists=False)
NOTHING_MEASURED = ArmFacts()
_UNKNOWN_VERSIONS = (Reason.FIRST_VERSION, Reason.STABLE_UNAVAILABLE)
"""Causes to give all traffic at once to a version that nobody has tried."""
NO_PLAN = Plan(steps=(), replicas=0)


@dataclass(frozen=True)
class Book:
    """A Situation with its questions answered. `status` may be ahead of the Situation's (observations folded in)."""

    situation: Situation
    status: ModelDeploymentStatus

    @property
    def now(self) -> float:
        """Wall-clock seconds."""
        return self.situation.now

    @property
    def plan(self) -> Plan:
        """The plan in force; an empty one where there never was a valid spec."""
        return self.situation.plan or NO_PLAN

    @cached_property
    def stable(self) -> RevisionStatus | None:
        """The revision that traffic belongs to when no rollout is under way."""
        return next((entry for entry in self.status.revisions if entry.role is Role.STABLE), None)

    @cached_property
    def candidate(self) -> RevisionStatus | None:
        """The revision that a rollout is about."""
        return next((entry for entry in self.status.revisions if entry.role is Role.CANDIDATE), None)

    @property
    def experiment(self) -> ExperimentStatus | None:
        """The A/B test under way."""
        return self.status.experiment

    @cached_property
    def target(self) -> Target | None:
        """What a valid spec asks for. Of an A/B test that has ended with a winner that is the winner: the spec is behind."""
        target = self.situation.target
        if not isinstance(target, Target):
            return None
        if (ended := self.concluded) is None or ended.revision is None:
            return target
        return replace(target, revision=ended.revision, version=ended.version or target.version)

    @cached_property
    def concluded(self) -> Concluded | None:
        """How the A/B test ended that the spec asks for, if it did; a raised `attempt` asks for another one."""
        target = self.situation.target
        if not isinstance(target, Target) or not target.experiment:
            return None
        ended = next((one for one in self.status.concluded if one.id == target.experiment), None)
        return ended if ended and self.plan.attempt <= ended.attempt else None

    @property
    def tested(self) -> bool:
        """Whether the spec asks for an A/B test of its own version, rather than for the winner of one that has ended."""
        target, ended = self.target, self.concluded
        return target is not None and bool(target.experiment) and (ended is None or ended.revision is None)

    def entry(self, revision: str) -> RevisionStatus | None:
        """The recorded entry of a revision."""
        return next((entry for entry in self.status.revisions if entry.revision == revision), None)

    def facts(self, revision: str) -> RevisionFacts:
        """What the cluster shows of a revision."""
        return self.situation.revisions.get(revision, NOTHING)

    def ready(self, entry: RevisionStatus | None) -> int:
        """Ready pods of a revision now."""
        return self.facts(entry.revision).ready if entry else 0

    @property
    def warms_up(self) -> bool:
        """Whether the candidate's pods are sent golden requests: not those of a version that has served, or that a person has promoted."""
        rollout = self.status.rollout
        if self.plan.golden is None or rollout is None:
            return False
        return not self.direct or rollout.cause in _UNKNOWN_VERSIONS

    def warm_up(self, entry: RevisionStatus) -> WarmUpFacts | None:
        """What golden requests have shown of a candidate's or variant's pods; None of a version whose pods are sent none."""
        if entry.role is Role.CANDIDATE and self.warms_up:
            return self.situation.warm_up
        if entry.role is Role.VARIANT and self.plan.golden is not None:
            return self.situation.arms.get(entry.revision, NOTHING_MEASURED).warm_up
        return None

    def usable(self, entry: RevisionStatus) -> int:
        """Ready pods that count for a weight: of a version that is warmed up, the warm ones."""
        ready, found = self.ready(entry), self.warm_up(entry)
        return ready if found is None else min(ready, found.warm)

    def cold(self, entry: RevisionStatus) -> str:
        """What is known of pods that are ready and not warm; empty where there are none."""
        found = self.warm_up(entry)
        if found is None or found.warm >= self.ready(entry):
            return ""
        return found.trouble or "its pods had not answered all requests of rollout.warmUp"

    def confirmed(self, entry: RevisionStatus, pods: int) -> bool:
        """Whether so many pods are ready and count, and readiness has not come and gone lately."""
        facts = self.facts(entry.revision)
        if pods == 0:
            return True
        settled = facts.ready_since is not None and self.now - facts.ready_since >= self.situation.timing.ready_for
        return self.usable(entry) >= pods and settled

    def confirmed_at(self, facts: RevisionFacts) -> tuple[float, ...]:
        """When readiness will have lasted long enough, if nothing happens; nothing while no pod is ready."""
        return () if facts.ready_since is None else (facts.ready_since + self.situation.timing.ready_for,)

    @property
    def full(self) -> int:
        """R: pods of the revision that carries all traffic."""
        return full_of(self.plan, self.status)

    @cached_property
    def step(self) -> PlanStep | None:
        """The plan's step that is under way; None before the first, or where the plan no longer has it."""
        recorded = self.status.step
        if recorded is None or recorded.index == 0:
            return None
        return next((step for step in self.plan.steps if step.name == recorded.name), None)

    @property
    def previewed(self) -> bool:
        """Whether the step under way gives the candidate no traffic."""
        return self.step is not None and not self.step.weight

    @cached_property
    def next_step(self) -> PlanStep | None:
        """The step after the one under way; the first one before any."""
        if self.step is None:
            return self.plan.steps[0] if self.plan.steps else None
        following = self.plan.steps.index(self.step) + 1
        return self.plan.steps[following] if following < len(self.plan.steps) else None

    @property
    def route_as_intended(self) -> bool:
        """Whether the router carries exactly the recorded weights and says so."""
        route = self.situation.route
        if not route.accepted or route.weights is None or _live(route.mirrors) != _live(mirrors(self.status)):
            return False
        return _live(route.weights) == _live(weights(self.status))

    @property
    def applied(self) -> bool:
        """Whether the recorded weights were seen applied."""
        return self.status.traffic.applied_at is not None or not any(weights(self.status).values())

    @property
    def drained_at(self) -> float | None:
        """When pods without weight may go; None while that is not known.

        That is a drain after the recorded weights were applied, and after the route was last seen to change.
        """
        applied, since = self.status.traffic.applied_at, self.situation.route.since
        if applied is None or since is None or not self.route_as_intended:
            return None
        return max(applied, since) + self.situation.timing.drain

    @property
    def drained(self) -> bool:
        """Whether pods without weight may go now."""
        if not any(weights(self.status).values()):
            return True
        return self.drained_at is not None and self.now >= self.drained_at

    def rejection(self, revision: str) -> Rejection | None:
        """The rejection that still binds a revision: a raised `attempt` ends it."""
        found = next((entry for entry in self.status.rejected if entry.revision == revision), None)
        return found if found and self.plan.attempt <= found.attempt else None

    @property
    def direct(self) -> bool:
        """Whether the candidate takes its traffic at once."""
        return self.status.rollout is not None and self.status.rollout.mode is Mode.DIRECT

    @property
    def pods_needed(self) -> int:
        """Pods that the candidate needs ready for the weight it has or is about to get."""
        if self.candidate is None:
            return 0
        if self.direct:
            return self._within_capacity(self.full)
        share = self.step.share if self.step else self.next_step.share if self.next_step else FULL_WEIGHT
        return self._within_capacity(candidate_pods(self.plan, self.full, max(share, self.candidate.share)))

    def _within_capacity(self, pods: int) -> int:
        """Where pods come one after the other, those that it has been given."""
        if self.plan.surge is None or self.stable is None or self.candidate is None:
            return pods
        return min(pods, max(1, self.candidate.replicas))


def full_of(plan: Plan, status: ModelDeploymentStatus) -> int:
    """R: as the plan has it; where an autoscaler decides, as recorded when what is under way began."""
    recorded = status.rollout or status.experiment
    return recorded.replicas if recorded and plan.autoscaled else plan.replicas


def _live(carried: object) -> dict[str, int]:
    return {revision: int(weight) for revision, weight in dict(carried).items() if weight}  # type: ignore[call-overload]


def weights(status: ModelDeploymentStatus) -> dict[str, int]:
    """The recorded weights, revision → basis points."""
    return {entry.revision: int(entry.weight) for entry in status.revisions}


def mirrors(status: ModelDeploymentStatus) -> dict[str, int]:
    """The recorded shares of mirrored requests, revision → basis points."""
    return {entry.revision: int(entry.mirror) for entry in status.revisions}


def shares(status: ModelDeploymentStatus) -> dict[str, int]:
    """Of how many requests revisions get the original or a copy, revision → basis points."""
    return {entry.revision: entry.share for entry in status.revisions}


def change(status: ModelDeploymentStatus, revision: str, **fields: object) -> ModelDeploymentStatus:
    """The status with fields of one revision's entry changed."""
    return status.model_copy(
        update={
            "revisions": tuple(
                entry.model_copy(update=fields) if entry.revision == revision else entry for entry in status.revisions
            )
        }
    )


def change_each(
    status: ModelDeploymentStatus, edit: Callable[[RevisionStatus], RevisionStatus]
) -> ModelDeploymentStatus:
    """The status with every revision's entry passed through `edit`."""
    return status.model_copy(update={"revisions": tuple(edit(entry) for entry in status.revisions)})


def with_weight(
    status: ModelDeploymentStatus, revision: str, weight: int, now: float, reason: str
) -> ModelDeploymentStatus:
    """The status with one revision at `weight` and stable at the rest, entered in the timeline and not yet applied; nothing is mirrored."""
    rest = FULL_WEIGHT - weight

    def moved(entry: RevisionStatus) -> RevisionStatus:
        if entry.revision == revision:
            return entry.model_copy(update={"weight": Weight(weight), "mirror": Weight(0)})
        left = Weight(rest if entry.role is Role.STABLE else 0)
        return entry.model_copy(update={"weight": left, "mirror": Weight(0)})

    status = change_each(status, moved)
    entry = TimelineEntry(at=Timestamp(now), revision=revision, weight=Weight(weight), reason=reason)
    traffic = status.traffic.model_copy(update={"set_at": Timestamp(now), "applied_at": None, "measured": None})
    return status.model_copy(update={"timeline": (*status.timeline, entry)[-TIMELINE_LIMIT:], "traffic": traffic})


def with_mirror(status: ModelDeploymentStatus, revision: str, mirror: int) -> ModelDeploymentStatus:
    """The status with a share of requests copied to a revision, told in the timeline by the entry that has just been made."""
    *before, entry = status.timeline
    told = (*before, entry.model_copy(update={"mirror": Weight(mirror)}))
    return change(status, revision, mirror=Weight(mirror)).model_copy(update={"timeline": told})


_UNSEEN = (
    {"verdict": Verdict.CONTINUE}
    | dict.fromkeys(("reason", "message", "through", "interval", "decision_at"))
    | dict.fromkeys(("requests", "stable_requests", "errors", "stable_errors"), 0)
)


NOTHING_COVERED = {"applied_at": None, "covered": Span("0s"), "covered_through": None}
"""A step whose weight is not in force (any more)."""


def unseen(metrics: tuple[MetricStatus, ...]) -> tuple[MetricStatus, ...]:
    """The metrics with nothing seen in the step; evidence and failed checks stay on their record."""
    return tuple(metric.model_copy(update=_UNSEEN) for metric in metrics)


def with_step(status: ModelDeploymentStatus, plan: Plan, step: PlanStep, now: float) -> ModelDeploymentStatus:
    """The status at the beginning of a step: nothing covered, no sample, not applied."""
    begun = StepStatus(
        name=step.name,
        index=plan.steps.index(step) + 1,
        total=len(plan.steps),
        weight=step.weight,
        mirror=step.mirror,
        started_at=Timestamp(now),
    )
    return status.model_copy(update={"step": begun, "metrics": unseen(status.metrics)})


def without_rollout(status: ModelDeploymentStatus) -> ModelDeploymentStatus:
    """The status with no rollout under way."""
    return status.model_copy(update={"rollout": None, "step": None, "metrics": ()})


@dataclass(frozen=True, slots=True)
class Ending:
    """How and why a rollout ended."""

    outcome: Outcome
    reason: str
    message: str


def with_history(
    status: ModelDeploymentStatus, entry: RevisionStatus, now: float, ending: Ending, variant: ArmStatus | None = None
) -> ModelDeploymentStatus:
    """The status with the end of a rollout noted, and with it what the metrics said, in place of what those before it had said.

    `variant`: of the A/B test under way, where its part in that ends.
    """
    under_way = status.rollout if variant is None else status.experiment
    metrics = status.metrics if variant is None else variant.metrics
    stable = next((other for other in status.revisions if other.role is Role.STABLE), None)
    ended = HistoryEntry(
        revision=entry.revision,
        version=entry.version,
        outcome=ending.outcome,
        started_at=under_way.started_at if under_way else Timestamp(now),
        ended_at=Timestamp(now),
        reason=ending.reason,
        message=ending.message[:512],
        against=stable.revision if stable and stable.revision != entry.revision else "",
        metrics=tuple(metric.model_copy(update=_ENDED) for metric in metrics),
    )
    before = (one.model_copy(update={"metrics": ()}) if one.metrics else one for one in status.history)
    return status.model_copy(update={"history": (*before, ended)[-HISTORY_LIMIT:]})


_ENDED = dict.fromkeys(("message", "state", "definition", "through", "answered_at", "decision_at"))
"""What of a metric is of no use once its rollout has ended; why it ended is said by the entry itself."""


def with_rejection(
    status: ModelDeploymentStatus, entry: RevisionStatus, attempt: int, now: float, ending: Ending
) -> ModelDeploymentStatus:
    """The status with a revision rejected: bound to it until it is retried."""
    rejection = Rejection(
        revision=entry.revision,
        version=entry.version,
        attempt=attempt,
        at=Timestamp(now),
        reason=ending.reason,
        message=ending.message[:512],
    )
    others = tuple(other for other in status.rejected if other.revision != entry.revision)
    return status.model_copy(update={"rejected": (*others, rejection)[-REJECTED_LIMIT:]})
