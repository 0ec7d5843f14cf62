"""`ModelDeployment.status`: the recorded state, and what people see of it.

Status is the operator's memory: it is written **before** the cluster is changed, so that a process that dies between any two
requests goes on from here. `revisions`, `traffic`, `rollout`, `step`, `metrics`, `experiment`, `concluded`,
`rejected`, `commands` and `former` facts are that memory; `summary`, `message`, `conditions`, `phase` and `desired` are made from it for people and tools. Lists are bounded
and texts cut, so that a status stays below 16 kB.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from .base import Enum, StatusModel
from .scalars import Span, Timestamp, Weight

TIMELINE_LIMIT = 30
HISTORY_LIMIT = 10
REJECTED_LIMIT = 10
COMMANDS_LIMIT = 20
REVISIONS_LIMIT = 12
WARM_PODS_LIMIT = 100
"""Of a candidate, or of all variants of an A/B test together."""
VARIANTS_LIMIT = 4
EXPERIMENTS_LIMIT = 5
MESSAGE_LIMIT = 1024

Text = Annotated[str, Field(max_length=MESSAGE_LIMIT)]
Word = Annotated[str, Field(max_length=253)]

Mirror = Annotated[Weight, Field(exclude_if=lambda share: not share)]

_BY_NAME = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
_BY_REVISION = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["revision"]}
_BY_TYPE = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}


class Role(Enum):
    """What a revision is to the rollout."""

    STABLE = "Stable"
    CANDIDATE = "Candidate"
    VARIANT = "Variant"
    FORMER = "Former"


class Phase(Enum):
    """Where the resource stands, in one word."""

    DEPLOYING = "Deploying"
    LOADING = "Loading"
    WARMING_UP = "WarmingUp"
    PROGRESSING = "Progressing"
    PAUSED = "Paused"
    PROMOTING = "Promoting"
    HEALTHY = "Healthy"
    ROLLING_BACK = "RollingBack"
    ROLLED_BACK = "RolledBack"
    FAILED = "Failed"


class DesiredState(Enum):
    """What has become of the revision that the spec asks for."""

    RUNNING = "Running"
    SERVING = "Serving"
    REJECTED = "Rejected"
    QUEUED = "Queued"
    INVALID = "Invalid"


class Mode(Enum):
    """How a candidate gets its traffic."""

    STEPS = "Steps"
    DIRECT = "Direct"
    """At once, when its pods are ready at full count: a first version, a way back, or a promotion by hand."""


class Verdict(Enum):
    """What a metric says. Only Fail rolls back; NoData and Error change nothing but the message."""

    PASS = "Pass"  # noqa: S105  a verdict, not a secret
    CONTINUE = "Continue"
    FAIL = "Fail"
    INCONCLUSIVE = "Inconclusive"
    UNDERPOWERED = "Underpowered"
    NO_DATA = "NoData"
    ERROR = "Error"
    RESTING = "Resting"
    """It does not speak in this step."""


class Outcome(Enum):
    """How a rollout ended."""

    PROMOTED = "Promoted"
    ROLLED_BACK = "RolledBack"
    ABORTED = "Aborted"
    FAILED = "Failed"
    SUPERSEDED = "Superseded"
    UNDONE = "Undone"


class RevisionStatus(StatusModel):
    """One version that exists in the cluster because of this resource."""

    revision: Word
    """`<version slug>-<hash>`; the Deployment and the Service are `<name>-<revision>`."""
    version: Word
    """As written in the spec, or derived from the image."""
    role: Role
    """Stable, Candidate, Variant or Former."""
    weight: Weight = Weight(0)
    """Recorded share of traffic in percent: the intent, written before the route."""
    mirror: Mirror = Weight(0)
    """Recorded share of requests, in percent, of which it gets copies and serves none: the intent, written before the route."""
    effective_weight: Weight | None = None
    """The share that the router can carry out, where it differs."""
    replicas: int = 0
    """Recorded number of pods: the intent, written before the Deployment."""
    ready_replicas: int = 0
    """Pods that are ready."""
    warm_until: Timestamp | None = None
    """Former: until then it is kept as a way back. Cleared by the write that orders its scale-down."""
    kept_until: Timestamp | None = None
    """Rejected: until then one pod is kept for its logs."""
    load: Span | None = None
    """How long it took to become ready, model download and load included, when it was a candidate."""
    unready: Span | None = None
    """Observed time without any ready pod; absent while it has one."""

    @property
    def share(self) -> int:
        """Of how many requests it gets the original or a copy, in basis points."""
        return max(self.weight, self.mirror)


class Downtime(StatusModel):
    """Strategy Replace: nothing answers, by order."""

    since: Timestamp
    """When the order was recorded."""
    started_at: Timestamp | None = None
    """When the version that is to serve was given its pods."""


class TrafficStatus(StatusModel):
    """What the router was told and whether it has done it."""

    router: Word | None = None
    """Which router divides traffic, such as Gateway or Service."""
    set_at: Timestamp | None = None
    """When the weights above were recorded."""
    applied_at: Timestamp | None = None
    """When the router was seen to apply them; absent while that is awaited."""
    tester_header: Word | None = None
    """Requests with this header `<name>: <value>-<revision>` reach that revision at any weight, those with `<name>: <value>-candidate` the candidate."""
    measured: Word | None = None
    """Share of requests that the candidate was seen to get, in percent."""


class Approval(StatusModel):
    """Who let a step end."""

    by: Word
    """Who."""
    at: Timestamp
    """When."""


class Problem(StatusModel):
    """What stands in the way."""

    reason: Word
    """One CamelCase word."""
    message: Text
    """One sentence."""


class WarmUpStatus(StatusModel):
    """What the golden requests have shown."""

    definition: Word
    """Of which requests, for which start of the version: others begin afresh."""
    warm: int = 0
    """Ready pods that have answered as expected."""
    slowest: Word | None = None
    """The longest of their answers that `latency` asks about."""
    pods: Annotated[tuple[Annotated[str, Field(max_length=40)], ...], Field(max_length=WARM_PODS_LIMIT)] = ()
    """Pods that have answered as expected: the first part of the uid and the number of restarts. What does not fit is asked again after a restart of the operator."""


class RolloutStatus(StatusModel):
    """The rollout under way; absent when no candidate is."""

    revision: Word
    """The candidate."""
    attempt: int = 0
    """Counts retries of the revision."""
    mode: Mode = Mode.STEPS
    """Steps, or Direct."""
    cause: Word = ""
    """Why Direct: FirstVersion, StableUnavailable, WayBack, Undo or Promoted."""
    started_at: Timestamp
    """When the candidate was recorded."""
    replicas: int
    """Stable's pod count when the candidate started (R in the capacity rule); before all traffic moves, what an autoscaler has made of it."""
    loaded_at: Timestamp | None = None
    """When the candidate was first ready."""
    loading: Span = Span("0s")
    """Observed time from the start until the candidate was first ready, for the load deadline."""
    unscheduled: Span | None = None
    """Observed time in which its pods found no node, for the scheduling deadline; absent while all have one."""
    restarts_base: int = 0
    """Container restarts of the candidate's pods before the step began."""
    planned_windows: int = 0
    """Windows that the plan had for the evidence when the candidate started; never changed afterwards."""
    outlook: Annotated[str, Field(max_length=512)] | None = None
    """What of the plan is out of reach at the traffic that stable had before the first weight, and what would help."""
    warm_up: WarmUpStatus | None = None
    """What the golden requests have shown; absent without any."""
    blocked: Problem | None = None
    """Why the candidate stays at weight 0 until the spec changes or it is retried."""


class StepStatus(StatusModel):
    """The step under way."""

    name: Word
    """Name in the plan; empty before the first step."""
    index: int
    """From 1; 0 before the first weight."""
    total: int
    """Number of steps in the plan."""
    weight: Weight | None = None
    """The share with which it began, in percent; 0 is a preview, or beside `mirror` a shadow."""
    mirror: Mirror = Weight(0)
    """The share of requests, in percent, that it began to copy to the candidate."""
    started_at: Timestamp
    """When the step began."""
    applied_at: Timestamp | None = None
    """When its weight was seen applied. Only windows wholly after it count."""
    covered: Span = Span("0s")
    """Time in which the route was as intended and gating metrics had answers."""
    covered_through: Timestamp | None = None
    """Grid point until which `covered` has been counted, where metrics gate the step."""
    spent: Span = Span("0s")
    """Observed time since the weight was applied, for maxDuration."""
    advance_at: Timestamp | None = None
    """Earliest end of the step if nothing gets in the way."""
    approval: Approval | None = None
    """Who approved the step's end."""
    inconclusive: bool | None = None
    """The step lacked evidence at its maxDuration and waits for a person."""


class MetricStatus(StatusModel):
    """What a metric has seen and says."""

    name: Word
    """As in the spec or the preset."""
    verdict: Verdict = Verdict.CONTINUE
    reason: Word | None = None
    """One CamelCase word."""
    message: Text | None = None
    """One sentence."""
    candidate: Word | None = None
    """The candidate's rate or number."""
    stable: Word | None = None
    """Stable's rate or number."""
    ratio: Word | None = None
    """Candidate against stable."""
    limit: Word | None = None
    """The absolute objective in force."""
    effective_threshold: Word | None = None
    """The histogram bound that is used."""
    requests: int = 0
    """The candidate's requests in the step."""
    stable_requests: int = 0
    """Stable's requests in the step."""
    errors: int = 0
    """The candidate's bad events in the step."""
    stable_errors: int = 0
    """Stable's bad events in the step."""
    interval: Word | None = None
    """Between what the ratio lies, with the stated error probability, judged by this step alone."""
    evidence: Word | None = None
    """Sequential: evidence that the candidate is worse, as a share of what takes it back."""
    certificate: Word | None = None
    """Sequential: evidence that the candidate is not much worse, as a share of what promotion needs."""
    certified: bool | None = None
    """The certificate stands."""
    decision_at: Timestamp | None = None
    """About when the certificate will stand at this traffic."""
    design_effect: Word | None = None
    """How much more errors vary from pod to pod than chance explains, as measured before the first weight; evidence is divided by it."""
    total_requests: int = 0
    """The candidate's requests in all steps that the evidence rests on."""
    total_errors: int = 0
    """The candidate's bad events in all steps that the evidence rests on."""
    state: Annotated[str, Field(max_length=4096)] | None = None
    """The evidence itself, exactly, encoded."""
    checks: Annotated[str, Field(max_length=100)] | None = None
    """The last checks, oldest first: `.` passed, `F` failed."""
    through: Timestamp | None = None
    """End of the last window that was counted."""
    answered_at: Timestamp | None = None
    """End of the last window that had an answer."""
    definition: Word | None = None
    """Hash of the metric's definition; another one starts afresh."""


class GoalStatus(StatusModel):
    """What a variant of an A/B test has done for the goal, beside the control."""

    variant: Word | None = None
    """The variant's rate."""
    control: Word | None = None
    """The control's rate in the same time."""
    ratio: Word | None = None
    """Variant against control."""
    interval: Word | None = None
    """Between what the ratio (of a mean: the difference) lies, with the stated error probability; `(approximate)` where that only holds about so."""
    count: int = 0
    """Users or requests of the variant."""
    hits: int = 0
    """How many of them met the goal, or failed it where the goal counts what is bad; of a mean the sum of amounts."""
    control_count: int = 0
    """Users or requests of the control."""
    control_hits: int = 0
    """The same of the control."""
    evidence: Word | None = None
    """Evidence that the variant is better than the control, as a share of what makes a winner."""
    better: bool | None = None
    """The evidence and the sample are enough."""
    state: Annotated[str, Field(max_length=512)] | None = None
    """The evidence itself, exactly, encoded."""
    through: Timestamp | None = None
    """End of the last window that was counted."""
    answered_at: Timestamp | None = None
    """End of the last window that had an answer."""
    definition: Word | None = None
    """Hash of the goal's definition; another one starts afresh."""


class ArmStatus(StatusModel):
    """A variant of the A/B test under way; its share and pods stand in `revisions`."""

    name: Word
    """As in the spec."""
    revision: Word
    """What runs."""
    loaded_at: Timestamp | None = None
    """When it was first ready."""
    loading: Span = Span("0s")
    """Observed time from the start until it was first ready, for the load deadline."""
    restarts_base: int = 0
    """Container restarts of its pods before it got its share."""
    warm_up: WarmUpStatus | None = None
    """What the golden requests of `rollout.warmUp` have shown of it."""
    out: Problem | None = None
    """Why it was taken out of the test; it does not come back by itself."""
    metrics: Annotated[tuple[MetricStatus, ...], Field(max_length=10, json_schema_extra=_BY_NAME)] = ()
    """What each guard metric says of it, against the control."""
    goal: GoalStatus | None = None
    """What it does for the goal."""


class ExperimentStatus(StatusModel):
    """The A/B test under way; absent when none is."""

    id: Word
    """Names the control and the variants with their revisions; another one is another test."""
    control: Word
    """The control's revision, which is stable."""
    started_at: Timestamp
    """When the variants were recorded."""
    replicas: int
    """The control's pod count at the start (R in the capacity rule)."""
    planned_windows: int = 0
    """Windows that the plan had for the evidence at the start; never changed afterwards."""
    begun_at: Timestamp | None = None
    """When the shares were recorded for the first time."""
    applied_at: Timestamp | None = None
    """Since when the shares in force count; absent while that is awaited."""
    covered: Span = Span("0s")
    """Time in which the route was as intended and, with a goal, all variants had answers for it."""
    covered_through: Timestamp | None = None
    """Grid point until which `covered` has been counted, where there is a goal."""
    variants: Annotated[tuple[ArmStatus, ...], Field(max_length=VARIANTS_LIMIT, json_schema_extra=_BY_NAME)]
    """The variants."""


class ExperimentOutcome(Enum):
    """How an A/B test ended."""

    WON = "Won"
    """A variant was chosen."""
    KEPT = "Kept"
    """The control was kept."""
    ABORTED = "Aborted"
    FAILED = "Failed"
    """No variant was left."""


class Concluded(StatusModel):
    """An A/B test that has ended. A spec that still asks for it does not start it again, unless `attempt` is raised."""

    id: Word
    """Of the test."""
    attempt: int = 0
    """The `spec.rollout.attempt` that was in force: a higher one starts it again."""
    started_at: Timestamp
    """When it began."""
    at: Timestamp
    """When it ended."""
    outcome: ExperimentOutcome
    """How it ended."""
    winner: Word | None = None
    """Name of the variant that was chosen."""
    revision: Word | None = None
    """The revision that was chosen."""
    version: Word | None = None
    """Its version."""
    message: Text
    """Why, in a sentence."""


class Rejection(StatusModel):
    """A revision that was taken back. It stays so until it is retried."""

    revision: Word
    """The revision."""
    version: Word
    """Its version."""
    attempt: int = 0
    """The `spec.rollout.attempt` that was in force: a higher one revives it."""
    at: Timestamp
    """When it was taken back."""
    reason: Word
    """One CamelCase word."""
    message: Text
    """Why, in a sentence."""


class TimelineEntry(StatusModel):
    """One weight that was set."""

    at: Timestamp
    """When it was recorded."""
    revision: Word
    """Whose weight."""
    weight: Weight
    """The weight."""
    mirror: Mirror = Weight(0)
    """The share of requests that was copied to it."""
    reason: Word
    """One CamelCase word."""


class HistoryEntry(StatusModel):
    """One rollout that has ended."""

    revision: Word
    """The revision."""
    version: Word
    """Its version."""
    outcome: Outcome
    """How it ended."""
    started_at: Timestamp
    """When it was recorded as candidate."""
    ended_at: Timestamp
    """When it ended."""
    reason: Word = ""
    """One CamelCase word."""
    message: Text = ""
    """Why, in a sentence."""
    against: Word = ""
    """The revision that was stable meanwhile; empty where there was none."""
    metrics: Annotated[tuple[MetricStatus, ...], Field(max_length=10, json_schema_extra=_BY_NAME)] = ()
    """What each metric said at the end; kept for the newest rollout only."""


class CommandOutcome(Enum):
    """What became of a command."""

    ACCEPTED = "Accepted"
    REFUSED = "Refused"


class TakenCommand(StatusModel):
    """A command that was taken, recorded in the same write as its effect."""

    uid: Word
    """Of the RolloutCommand."""
    name: Word
    """Of the RolloutCommand."""
    action: Word
    """What was asked for."""
    by: Word = ""
    """Who asked."""
    outcome: CommandOutcome
    """Accepted or Refused."""
    message: Text = ""
    """What it did, or why it was refused."""
    at: Timestamp
    """When it was taken."""


class Desired(StatusModel):
    """What the spec asks for."""

    revision: Word | None = None
    """The revision; absent while the spec is invalid."""
    version: Word | None = None
    """The version; absent while the spec is invalid."""
    state: DesiredState
    """What has become of it."""


class Summary(StatusModel):
    """Texts for the columns of `kubectl get`."""

    stable: Word = ""
    """Version that carries on."""
    candidate: Word = ""
    """Version that is being tried."""
    weight: Word = ""
    """The candidate's share in percent."""
    step: Word = ""
    """Such as `2/4`."""
    ready: Word = ""
    """Such as `3/3`: of the version that carries the traffic."""
    reason: Word = ""
    """One CamelCase word."""


class Condition(StatusModel):
    """An ordinary Kubernetes condition."""

    type: Word
    """Name of the condition."""
    status: Annotated[str, Field(pattern="^(True|False|Unknown)$", max_length=7)]
    """True, False or Unknown."""
    reason: Annotated[str, Field(pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$", max_length=128)]
    """One CamelCase word."""
    message: Annotated[str, Field(max_length=4096)] = ""
    """One sentence."""
    observed_generation: int | None = None
    """The generation of the spec that it speaks of."""
    last_transition_time: Timestamp
    """When `status` last changed."""


class ModelDeploymentStatus(StatusModel):
    """The recorded state of a ModelDeployment, and what people see of it."""

    observed_generation: int = 0
    """The generation of the spec that this status speaks of."""
    seen_at: Timestamp | None = None
    """When the observed times were last counted; absent while nothing is being counted."""
    phase: Phase | None = None
    """Where it stands, in one word."""
    message: Text = ""
    """One sentence for a person: what is, why, what comes next and when."""
    summary: Summary = Summary()
    """Texts for the columns of `kubectl get`."""
    desired: Desired | None = None
    """What the spec asks for and what has become of it."""
    plan: Word | None = None
    """The ControllerRevision with the last accepted rollout and analysis settings."""
    revisions: Annotated[
        tuple[RevisionStatus, ...], Field(max_length=REVISIONS_LIMIT, json_schema_extra=_BY_REVISION)
    ] = ()
    """The versions that exist, with their role and share."""
    preview_url: Annotated[str | None, Field(alias="previewURL", max_length=1024)] = None
    """Where the candidate answers whatever its weight; absent without one."""
    traffic: TrafficStatus = TrafficStatus()
    """What the router was told and whether it has done it."""
    down: Downtime | None = None
    """Strategy Replace: since when nothing answers, because one version was stopped for another; absent while one serves."""
    rollout: RolloutStatus | None = None
    """The rollout under way."""
    step: StepStatus | None = None
    """The step under way."""
    metrics: Annotated[tuple[MetricStatus, ...], Field(max_length=10, json_schema_extra=_BY_NAME)] = ()
    """What each metric has seen and says."""
    paused: Approval | None = None
    """Who paused it by command; ended by Resume."""
    experiment: ExperimentStatus | None = None
    """The A/B test under way."""
    concluded: Annotated[
        tuple[Concluded, ...],
        Field(
            max_length=EXPERIMENTS_LIMIT,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["id"]},
        ),
    ] = ()
    """A/B tests that have ended."""
    rejected: Annotated[tuple[Rejection, ...], Field(max_length=REJECTED_LIMIT, json_schema_extra=_BY_REVISION)] = ()
    """Revisions that were taken back."""
    timeline: Annotated[tuple[TimelineEntry, ...], Field(max_length=TIMELINE_LIMIT)] = ()
    """Each weight that was set, newest last."""
    history: Annotated[tuple[HistoryEntry, ...], Field(max_length=HISTORY_LIMIT)] = ()
    """Rollouts that have ended, newest last."""
    commands: Annotated[tuple[TakenCommand, ...], Field(max_length=COMMANDS_LIMIT)] = ()
    """Commands that were taken."""
    replicas: int = 0
    """Pods of the revision that carries the traffic, for `scale`."""
    ready_replicas: int = 0
    """Ready pods of it."""
    selector: Annotated[str, Field(max_length=512)] = ""
    """Label selector of its pods, for `scale`."""
    conditions: Annotated[tuple[Condition, ...], Field(max_length=10, json_schema_extra=_BY_TYPE)] = ()
    """Ready, Reconciling, Stalled, Available, RolloutSucceeded."""

    @property
    def under_way(self) -> bool:
        """Whether a rollout or an A/B test is."""
        return self.rollout is not None or self.experiment is not None

    @property
    def loading(self) -> bool:
        """Whether something of what is under way has not been ready yet."""
        arms = self.experiment.variants if self.experiment else ()
        waited = any(arm.loaded_at is None and arm.out is None for arm in arms)
        return waited or (self.rollout is not None and self.rollout.loaded_at is None)
