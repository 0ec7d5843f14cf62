"""Everything that a decision may look at, gathered once, frozen.

`Situation` is filled by the controller from the Store, the sampler and the clock; `decide` reads nothing else. So a decision can
be replayed from a Situation alone, and tests can drive the core through histories that no cluster would show in a year.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from modelrollout.analysis.planner import Traffic
from modelrollout.analysis.window import Window
from modelrollout.api.command import Action
from modelrollout.api.status import ModelDeploymentStatus

from .plan import Plan


@dataclass(frozen=True, slots=True)
class Arm:
    """A variant of an A/B test that the spec asks for. `written`: its own fields, to be written into the spec should it win."""

    name: str
    revision: str
    version: str
    written: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Target:
    """What the spec asks for: the revision that it names and the version in words.

    `arms`: the variants of an A/B test, for which that revision is the control. `experiment` names the test: whatever has the same
    control and variants is the same test, whatever their shares.
    """

    revision: str
    version: str
    experiment: str = ""
    arms: tuple[Arm, ...] = ()


@dataclass(frozen=True, slots=True)
class Problem:
    """Why something cannot be carried out: a CamelCase reason and a sentence that says what to change."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class RevisionFacts:
    """What the cluster shows of one revision's Deployment and pods.

    `exists`: its Deployment is there and ours. `replicas` is its spec, `pods` what its status counts, `ready` the ready ones;
    `unschedulable`: one of them waits for a node. `ending`: pods that are on their way out and still hold what they run on.
    `ready_since`: since when this process has seen at least one ready pod without a break (None: none now);
    `full_since`: since when at least `replicas` were ready. Wall-clock seconds. `restarts`: container restarts over its live
    pods. `trouble`: why pods are not ready, in words (image pull, crash message, unschedulable).
    `additions`: what others added to its pod template, and who. `record`: its ControllerRevision can be read. `order`: creation time of the Deployment, for lost status.
    """

    exists: bool = False
    replicas: int = 0
    pods: int = 0
    ending: int = 0
    ready: int = 0
    ready_since: float | None = None
    full_since: float | None = None
    restarts: int = 0
    trouble: str = ""
    unschedulable: bool = False
    record: bool = True
    order: float = 0.0
    version: str = ""
    additions: str = ""


@dataclass(frozen=True, slots=True)
class RouteFacts:
    """What the router shows.

    `exists`: the owned route is there. `weights`: what it carries, revision → basis points, read from the object (None:
    unreadable or foreign). `mirrors`: of which share of requests a revision gets copies. `accepted`: the router says that it took this very generation. `problem`: why not, in words.
    `stamp`: identity of the observed object (uid and resourceVersion). `since`: since when, as seen by this process, it carried
    these weights and was accepted.
    """

    exists: bool = False
    weights: Mapping[str, int] | None = None
    accepted: bool = False
    since: float | None = None
    problem: str = ""
    mirrors: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MirrorFacts:
    """Whether requests can be mirrored to the candidate, looked at while a step of the plan wants it.

    `known`: the gateway was asked. `problem`: why it cannot be. `compared`: the comparer is ready for this candidate.
    """

    known: bool = True
    problem: Problem | None = None
    compared: bool = True


@dataclass(frozen=True, slots=True)
class PreflightFacts:
    """Whether the candidate can be measured, asked before its first weight.

    `problem`: what is missing, or why it is not known. `effects`: metric → design effect of its errors in stable's history, as a number
    and, after a space, a note for people. `traffic`: metric → what stable has been asked in that history, and how much of it was bad.
    """

    ready: bool = True
    problem: Problem | None = None
    effects: Mapping[str, str] = field(default_factory=dict)
    traffic: Mapping[str, Traffic] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WarmUpFacts:
    """What the golden requests have shown of the candidate's pods.

    `definition`: of which requests, and for which start of the candidate. `warm`: ready pods that answered as expected; `pods`: all
    that did and still exist, as status records them. `failure`: a wrong or too slow answer, in words, fit to be shown; `trouble`: why
    a pod gives none. `slowest`: seconds of the longest answer that a bound is asked of.
    """

    definition: str = ""
    warm: int = 0
    pods: tuple[str, ...] = ()
    failure: str = ""
    trouble: str = ""
    slowest: float | None = None


@dataclass(frozen=True, slots=True)
class ArmFacts:
    """What is known of one variant beside the control; as the fields of a Situation of the same names."""

    windows: Mapping[str, tuple[Window, ...]] = field(default_factory=dict)
    problem: Problem | None = None
    preflight: PreflightFacts = PreflightFacts()
    warm_up: WarmUpFacts = WarmUpFacts()


@dataclass(frozen=True, slots=True)
class CommandFacts:
    """One RolloutCommand that has no outcome yet."""

    uid: str
    name: str
    action: Action
    revision: str
    step: str | None = None
    by: str = ""
    reason: str = ""
    created: float = 0.0


@dataclass(frozen=True, slots=True)
class Timing:
    """The administrator's times, in seconds."""

    settle: float = 2.0
    drain: float = 5.0
    ready_for: float = 5.0


@dataclass(frozen=True, slots=True)
class Situation:
    """All that a decision may look at.

    `target`: what the spec asks for, or the Problem with it. `plan`: of the spec if it is valid, else the last accepted one
    (None: there never was one). `plan_name`: the record that holds it. `elapsed`: monotonic seconds since this process last
    decided this key (None: it never did), the bound on what a jumping wall clock may claim. `windows`: by metric name, oldest
    first, those after the step's `appliedAt` that the sampler still has, overlapping what was counted before.
    `problems`: what stands in the way of acting (foreign object, gateway missing, refusal by the server).
    `metrics_problem`: the provider cannot be asked at all (unknown name), or the series are missing.
    `preflight`: looked at before the first weight only. `arms`: the same of each variant of an A/B test, by revision.
    `deleting`: the resource is being deleted. `tester_header`, `preview_url`: how testers reach a revision, and the
    candidate, to be shown; `preview_problem`: why they do not, in words.
    """

    now: float
    name: str
    generation: int
    status: ModelDeploymentStatus
    target: Target | Problem
    plan: Plan | None
    plan_name: str = ""
    elapsed: float | None = None
    revisions: Mapping[str, RevisionFacts] = field(default_factory=dict)
    route: RouteFacts = RouteFacts()
    commands: tuple[CommandFacts, ...] = ()
    windows: Mapping[str, tuple[Window, ...]] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    metrics_problem: Problem | None = None
    preflight: PreflightFacts = PreflightFacts()
    mirror: MirrorFacts = MirrorFacts()
    warm_up: WarmUpFacts = WarmUpFacts()
    arms: Mapping[str, ArmFacts] = field(default_factory=dict)
    timing: Timing = Timing()
    deleting: bool = False
    tester_header: str = ""
    preview_url: str = ""
    preview_problem: str = ""


@dataclass(frozen=True, slots=True)
class EventNote:
    """An Event to send, best effort."""

    reason: str
    message: str
    warning: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """What follows from a Situation.

    `status` is the whole new status (the intent is in it: `revisions[].weight`, `.replicas`). `wake_at`: when to look again at
    the latest (wall-clock seconds; None: only on an event). `events`: to send once the status is written. `again`: the state
    changed, decide again at once after the write. `urgent`: write it before anything else in the queue.
    `checkpoint`: nothing but progress (evidence, covered time) changed, so the write may wait for its budget.
    """

    status: ModelDeploymentStatus
    wake_at: float | None = None
    events: tuple[EventNote, ...] = ()
    again: bool = False
    urgent: bool = False
    checkpoint: bool = False
