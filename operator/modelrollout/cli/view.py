"""What `status` shows of a ModelDeployment, worked out once for the terminal and for machines.

`look` is pure: an object, its plan of steps and the time in, a frozen `View` out. The drawing (draw.py) only lays it out, and
`document` is the stable shape of `--output json`, so the two cannot tell different stories. Nothing here talks to a server.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from pydantic.alias_generators import to_camel

from modelrollout.api.experiment import CONTROL
from modelrollout.api.scalars import Timestamp, Weight
from modelrollout.api.status import DesiredState, GoalStatus, MetricStatus, Mode, RevisionStatus, Role
from modelrollout.rollout.plan import Plan, PlanStep
from modelrollout.traffic.testers import CANDIDATE

from .deployment import Deployment
from .outlook import advice, outlook
from .words import moment, percent, spaced, span

DOCUMENT_VERSION = "cli.modelrollout.dev/v1"
"""Changes when a field of `--output json` is renamed or removed; new fields may come at any time."""


@dataclass(frozen=True, slots=True)
class RevisionView:
    """One version. `role` is Stable, Candidate, Variant, Former or Rejected; `weight` in percent as text (`0.5`), `share` from 0 to 1.

    `arm`: its name in an A/B test. `mirror`: of how many percent of requests it gets copies; None: of none.
    """

    role: str
    version: str
    revision: str
    deployment: str
    weight: str
    share: float
    mirror: str | None
    effective_weight: str | None
    ready_replicas: int
    replicas: int
    note: str
    arm: str | None = None


@dataclass(frozen=True, slots=True)
class ArmView:
    """What is measured of a variant of an A/B test. `out`: why it was taken out."""

    name: str
    goal: GoalStatus | None
    metrics: tuple[MetricStatus, ...]
    out: str | None


@dataclass(frozen=True, slots=True)
class StepView:
    """One step of the plan. `state` is Done, Current or Next; times in seconds; `mirror` as in `RevisionView`."""

    name: str
    weight: str
    mirror: str | None
    hold_seconds: float
    covered_seconds: float | None
    approval: bool
    approved_by: str | None
    preview: bool
    bake: bool
    state: str


@dataclass(frozen=True, slots=True)
class View:
    """Everything that `status` shows. `next` and `advice` are empty where there is nothing to say.

    `preview_url`, `tester_header`: how testers reach the candidate; None without a candidate, or where the router has no such way.
    """

    name: str
    namespace: str
    phase: str
    reason: str
    message: str
    generation: int
    observed_generation: int
    desired_version: str | None
    desired_state: str | None
    revisions: tuple[RevisionView, ...]
    step: str | None
    steps: tuple[StepView, ...]
    preview_url: str | None
    tester_header: str | None
    metrics: tuple[MetricStatus, ...]
    variants: tuple[ArmView, ...]
    next: str
    advice: str
    note: str


_ORDER = {Role.STABLE: 0, Role.CANDIDATE: 1, Role.VARIANT: 2, Role.FORMER: 3}


def look(deployment: Deployment, plan: Plan | None, now: float) -> View:
    """Work out what there is to see. `plan` is None where it cannot be known; `now` in seconds since 1970."""
    status, step = deployment.status, deployment.status.step
    shown = sorted(filter(_alive, status.revisions), key=lambda found: _ORDER[found.role])
    return View(
        name=deployment.name,
        namespace=deployment.namespace,
        phase=str(status.phase or "Pending"),
        reason=deployment.reason,
        message=spaced(status.message),
        generation=deployment.generation,
        observed_generation=status.observed_generation,
        desired_version=status.desired.version if status.desired else None,
        desired_state=str(status.desired.state) if status.desired else None,
        revisions=tuple(_revision(deployment, found, now) for found in shown),
        step=step.name if step and step.index else None,
        steps=_steps(deployment, plan) if status.rollout else (),
        preview_url=status.preview_url,
        tester_header=_tester_header(deployment),
        metrics=status.metrics,
        variants=_variants(deployment),
        next=outlook(deployment, plan, now),
        advice=advice(deployment),
        note=_note(deployment),
    )


def _tester_header(deployment: Deployment) -> str | None:
    """The header as a tester types it: it leads to the candidate, whichever that is."""
    header = deployment.status.traffic.tester_header
    return f"{header}-{CANDIDATE}" if header and deployment.candidate else None


def _variants(deployment: Deployment) -> tuple[ArmView, ...]:
    test = deployment.status.experiment
    return tuple(
        ArmView(arm.name, arm.goal, arm.metrics, spaced(arm.out.message) if arm.out else None)
        for arm in (test.variants if test else ())
    )


def _arm(deployment: Deployment, revision: str) -> str | None:
    """The name of a version in the A/B test under way."""
    test = deployment.status.experiment
    if test is None:
        return None
    known = {test.control: CONTROL} | {arm.revision: arm.name for arm in test.variants}
    return known.get(revision)


def _alive(found: RevisionStatus) -> bool:
    return found.role is not Role.FORMER or bool(found.replicas or found.weight or found.warm_until or found.kept_until)


def _note(deployment: Deployment) -> str:
    if not deployment.observed:
        return f"the operator has not looked at generation {deployment.generation} of the spec yet"
    desired = deployment.status.desired
    if desired and desired.state is DesiredState.QUEUED:
        return f"version {desired.version} waits until this rollout is over"
    rollout = deployment.status.rollout
    return (rollout.outlook or "") if rollout else ""


def _revision(deployment: Deployment, found: RevisionStatus, now: float) -> RevisionView:
    rejected = found.role is Role.FORMER and any(
        entry.revision == found.revision for entry in deployment.status.rejected
    )
    return RevisionView(
        role="Rejected" if rejected else str(found.role),
        version=found.version,
        revision=found.revision,
        deployment=f"{deployment.name}-{found.revision}",
        weight=found.weight.percent,
        share=found.weight.fraction,
        mirror=_mirror(found.mirror),
        effective_weight=found.effective_weight.percent if found.effective_weight is not None else None,
        ready_replicas=found.ready_replicas,
        replicas=found.replicas,
        note=", ".join(_facts(deployment, found, now)),
        arm=_arm(deployment, found.revision),
    )


def _facts(deployment: Deployment, found: RevisionStatus, now: float) -> list[str]:
    """What else is worth knowing of a revision, in a few words each."""
    status = deployment.status
    rollout = status.rollout if status.rollout and status.rollout.revision == found.revision else None
    facts = []
    if found.mirror:
        facts.append(f"gets copies of {percent(found.mirror)} of requests")
    if found.effective_weight is not None and found.effective_weight != found.weight:
        facts.append(f"gets {percent(found.effective_weight)}")
    if rollout and status.traffic.measured:
        facts.append(f"measured {spaced(status.traffic.measured).removesuffix(' %')} %")
    if rollout and rollout.loaded_at is not None and not found.weight:
        facts.append(f"loaded in {span(rollout.loading.seconds)}")
    if rollout and rollout.attempt:
        facts.append(f"attempt {rollout.attempt + 1}")
    if found.warm_until is not None:
        facts.append(f"warm until {moment(found.warm_until, now)}")
    if found.kept_until is not None:
        facts.append(f"kept for its logs until {moment(found.kept_until, now)}")
    return facts


def _steps(deployment: Deployment, plan: Plan | None) -> tuple[StepView, ...]:
    """The steps, if the plan is the one that the status speaks of."""
    rollout, step = deployment.status.rollout, deployment.status.step
    if plan is None or rollout is None or rollout.mode is Mode.DIRECT:
        return ()
    index = step.index if step else 0
    if index and (index > len(plan.steps) or plan.steps[index - 1].name != (step.name if step else "")):
        return ()
    return tuple(_step(deployment, planned, number - index) for number, planned in enumerate(plan.steps, start=1))


def _step(deployment: Deployment, planned: PlanStep, distance: int) -> StepView:
    step = deployment.status.step if distance == 0 else None
    return StepView(
        name=planned.name,
        weight=planned.weight.percent,
        mirror=_mirror(planned.mirror),
        hold_seconds=planned.hold,
        covered_seconds=step.covered.seconds if step else None,
        approval=planned.approval,
        approved_by=step.approval.by if step and step.approval else None,
        preview=not planned.share,
        bake=planned.weight == Weight.parse(100),
        state="Done" if distance < 0 else "Current" if step else "Next",
    )


def _mirror(share: Weight) -> str | None:
    return share.percent if share else None


def document(view: View, at: float) -> dict[str, Any]:
    """The view as `--output json` prints it: camelCase, absent values omitted, `at` the time of reading."""
    apart = ("metrics", "variants")
    body = {name: value for name, value in asdict(view).items() if name not in apart}
    metrics = [metric.written() for metric in view.metrics]
    if view.variants:
        body["variants"] = [_arm_document(arm) for arm in view.variants]
    return {
        "apiVersion": DOCUMENT_VERSION,
        "kind": "RolloutStatus",
        "at": str(Timestamp(at)),
        **camel(body),
        "metrics": metrics,
    }


def _arm_document(arm: ArmView) -> dict[str, Any]:
    return {
        "name": arm.name,
        "goal": arm.goal.written() if arm.goal else None,
        "metrics": [metric.written() for metric in arm.metrics],
        "out": arm.out,
    }


def camel(value: Any) -> Any:
    """Names of fields as machines get them: camelCase, absent values omitted."""
    match value:
        case dict():
            return {to_camel(name): camel(item) for name, item in value.items() if item is not None}
        case list() | tuple():
            return [camel(item) for item in value]
    return value
