"""What is kept of each watched object: small frozen views, made once when an event arrives.

A view holds what decisions and comparisons need and nothing that changes without meaning (resourceVersions, heartbeats of
conditions), because a changed view wakes a worker. Raw objects end here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from pydantic import ValidationError

from modelrollout.api.base import fingerprint
from modelrollout.api.command import RolloutCommandSpec
from modelrollout.api.depth import too_deep
from modelrollout.api.errors import RecordError, SpecError
from modelrollout.api.settings import Settings
from modelrollout.api.status import ModelDeploymentStatus
from modelrollout.kube.apply import Seen, controller_of
from modelrollout.kube.kinds import (
    AUTOSCALER,
    CONTROLLER_REVISION,
    DEPLOYMENT,
    KINDS,
    MODEL_DEPLOYMENT,
    ROLLOUT_COMMAND,
    SERVICE,
)
from modelrollout.kube.projection import intruders, observed_digest, owned_fields
from modelrollout.runtime.store import Entry, Watched, owner_by_name
from modelrollout.traffic.base import ABSENT, RouteView
from modelrollout.traffic.routers import READERS
from modelrollout.workload.comparer import COMPARED_LABEL
from modelrollout.workload.identity import RECORD_LABEL, REVISION_LABEL
from modelrollout.workload.records import PLAN_ROLE, PlanRecord, RevisionRecord
from modelrollout.workload.render import Accepted, accept

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ResourceView:
    """A ModelDeployment: its spec, accepted or with the error in it, and its recorded status."""

    generation: int
    deleting: bool
    accepted: Accepted | SpecError = field(compare=False)
    status: ModelDeploymentStatus = field(compare=False)
    stored_status: str = field(repr=False)
    stored_spec: str = field(repr=False)
    """Fingerprints of both as the API server has them: enough to tell whether anything changed."""


@dataclass(frozen=True, slots=True)
class ChildView:
    """What every child has: who controls it and a hash of the fields that are ours."""

    digest: str
    controller: str
    others: str = ""
    """Who else owns fields of its spec, as `manager: field, field`."""


@dataclass(frozen=True, slots=True)
class DeploymentView(ChildView):
    """A revision's Deployment. `pods` counts those that exist or are about to; `trouble` is the controller's own word."""

    revision: str = ""
    version: str = ""
    replicas: int = 0
    pods: int = 0
    ready: int = 0
    created: float = 0.0
    trouble: str = ""
    additions: str = ""
    """What others added to the pod template, and who."""
    compares: str = ""
    """Of a comparer: the candidate for which its pods, all of them, compare."""
    owns_replicas: bool = True
    """We applied `replicas` last; an autoscaler that changes it takes it over."""


@dataclass(frozen=True, slots=True)
class ServiceView(ChildView):
    """A Service; `revision` is what its selector names (empty: all of the resource's pods)."""

    revision: str = ""


@dataclass(frozen=True, slots=True)
class RoutedView(ChildView):
    """An object of a router, as the router reads it."""

    route: RouteView = ABSENT


@dataclass(frozen=True, slots=True)
class RecordView(ChildView):
    """A ControllerRevision of ours, parsed; None where it cannot be read."""

    record: RevisionRecord | PlanRecord | None = None


@dataclass(frozen=True, slots=True)
class CommandView:
    """A RolloutCommand; `spec` is None where it cannot be read."""

    uid: str
    spec: RolloutCommandSpec | None
    taken: bool
    created: float


def seen(entry: Entry[Any]) -> Seen:
    """What a guarded write has to know of a child."""
    return Seen(entry.uid, entry.resource_version, entry.view.digest, entry.view.controller)


def watched(settings: Settings) -> dict[str, Watched]:
    """How each watched kind is kept, by the kind's name."""

    def resource(raw: Json) -> ResourceView:
        metadata = raw["metadata"]
        spec, status = raw.get("spec") or {}, raw.get("status") or {}
        return ResourceView(
            generation=int(metadata.get("generation") or 0),
            deleting=bool(metadata.get("deletionTimestamp")),
            accepted=_accepted(metadata["name"], spec, settings),
            status=_status(status),
            stored_status=fingerprint(status),
            stored_spec=""
            if too_deep(spec)
            else fingerprint(spec),  # it is refused, and its generation tells of a change
        )

    selected = settings.selected
    return {
        MODEL_DEPLOYMENT.kind: Watched(resource, owner_by_name, lambda raw: selected.matches(_labels(raw))),
        ROLLOUT_COMMAND.kind: Watched(_command, _command_owner),
        DEPLOYMENT.kind: Watched(_deployment),
        SERVICE.kind: Watched(_service),
        CONTROLLER_REVISION.kind: Watched(_record),
        AUTOSCALER.kind: Watched(lambda raw: ChildView(observed_digest(raw), controller_of(raw))),
        **{KINDS[kind].kind: Watched(partial(_routed, read)) for kind, read in READERS.items()},
    }


def _accepted(name: str, spec: Json, settings: Settings) -> Accepted | SpecError:
    try:
        return accept(spec, settings, name)
    except SpecError as error:
        return error


def _status(raw: Json) -> ModelDeploymentStatus:
    """A status that cannot be read counts as lost: the state is then read from the cluster."""
    try:
        return ModelDeploymentStatus.model_validate(raw)
    except ValidationError:
        return ModelDeploymentStatus()


def _labels(raw: Json) -> Mapping[str, str]:
    return raw["metadata"].get("labels") or {}


def _deployment(raw: Json) -> DeploymentView:
    metadata, spec, status = raw["metadata"], raw.get("spec") or {}, raw.get("status") or {}
    replicas = int(spec.get("replicas", 1))
    current = int(status.get("observedGeneration") or 0) >= int(metadata.get("generation") or 0)
    pods = int(status.get("replicas") or 0)
    labels = _labels(raw)
    return DeploymentView(
        digest=observed_digest(raw),
        controller=controller_of(raw),
        revision=labels.get(REVISION_LABEL, ""),
        version=labels.get("app.kubernetes.io/version", ""),
        replicas=replicas,
        pods=pods if current and not replicas else max(pods, 1),
        ready=int(status.get("readyReplicas") or 0),
        created=_epoch(metadata.get("creationTimestamp")),
        trouble=_creation_trouble(status),
        others=_others(raw, "spec"),
        additions=_others(raw, "spec", "template"),
        compares=_compared(raw) if current else "",
        owns_replicas="f:replicas" in ((owned_fields(raw) or {}).get("f:spec") or {}),
    )


def _compared(raw: Json) -> str:
    status, template = raw.get("status") or {}, (raw.get("spec") or {}).get("template") or {}
    if int(status.get("updatedReplicas") or 0) < int(status.get("replicas") or 0):
        return ""  # there still is a pod that compares for another one
    return str(((template.get("metadata") or {}).get("labels") or {}).get(COMPARED_LABEL, ""))


def _creation_trouble(status: Json) -> str:
    """Why pods cannot even be created: quota, admission."""
    for condition in status.get("conditions") or ():
        if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True":
            return str(condition.get("message") or "")[:300]
    return ""


def _others(raw: Json, *path: str) -> str:
    return "; ".join(intruders(raw, path))[:300]


def _service(raw: Json) -> ServiceView:
    selector = (raw.get("spec") or {}).get("selector") or {}
    revision = str(selector.get(REVISION_LABEL, ""))
    return ServiceView(observed_digest(raw), controller_of(raw), _others(raw, "spec"), revision)


def _routed(read: Callable[[Json], RouteView], raw: Json) -> RoutedView:
    return RoutedView(observed_digest(raw), controller_of(raw), _others(raw, "spec"), read(raw))


def _record(raw: Json) -> RecordView:
    record: RevisionRecord | PlanRecord | None
    if too_deep(raw.get("data")):
        return RecordView("", controller_of(raw))
    try:
        record = PlanRecord.parse(raw) if _labels(raw).get(RECORD_LABEL) == PLAN_ROLE else RevisionRecord.parse(raw)
    except RecordError:
        record = None
    return RecordView(observed_digest(raw), controller_of(raw), record=record)


def _command(raw: Json) -> CommandView:
    try:
        spec = RolloutCommandSpec.model_validate(raw.get("spec") or {})
    except ValidationError:
        spec = None
    taken = bool((raw.get("status") or {}).get("outcome"))
    return CommandView(raw["metadata"]["uid"], spec, taken, _epoch(raw["metadata"].get("creationTimestamp")))


def _command_owner(raw: Json) -> str | None:
    target = (raw.get("spec") or {}).get("target")
    return str(target) if target else None


def _epoch(stamp: str | None) -> float:
    return datetime.fromisoformat(stamp).timestamp() if stamp else 0.0
