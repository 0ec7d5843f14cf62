"""What the operator remembers in the cluster beside status: immutable ControllerRevisions.

A `RevisionRecord` keeps what a revision was made from and the pod template that was made of it; its Deployment is built from
the record alone, ever after. A `PlanRecord` keeps the last accepted rollout and analysis settings as they were written,
together with what the runtime added to them, so that a rollout under way goes on while an invalid spec waits to be mended.

Both are read back strictly: a record that cannot be read is a RecordError, and the caller leaves running pods as they are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter, ValidationError

from modelrollout.api.analysis import Metric
from modelrollout.api.base import canonical_json
from modelrollout.api.errors import RecordError
from modelrollout.api.settings import Settings
from modelrollout.rollout.plan import Plan
from modelrollout.rollout.revision import child_name

from .identity import RECORD_LABEL, Owner, common_labels, metadata, revision_labels
from .plans import recorded_plan

Json = Mapping[str, Any]

REVISION_ROLE = "revision"
PLAN_ROLE = "plan"
FORMAT = 1
"""Version of the records' layout; a reader refuses what it does not know."""


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """A JSON value kept as text, which takes a fifth of its memory, and made anew where it is wanted.

    Thousands of records lie in memory all the time, and are looked into when a Deployment is made.
    """

    text: str = field(repr=False)

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> Packed:
        """The value, packed; the order of its keys stays."""
        return cls(json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=str))

    @property
    def value(self) -> dict[str, Any]:
        """The value: a new one each time."""
        found: dict[str, Any] = json.loads(self.text)
        return found

    def __eq__(self, other: object) -> bool:
        """The API server hands keys back in an order of its own."""
        return isinstance(other, Packed) and (self.text == other.text or self.value == other.value)

    def __hash__(self) -> int:
        return hash(canonical_json(self.value))


@dataclass(frozen=True, slots=True)
class RevisionRecord:
    """One revision: its identity, where it is reached and scraped, its pod template, and what a person wrote.

    `metrics_path` is None where the runtime has nothing to scrape. `template` is whole and final. `inputs` are the
    pod-shaping fields as written (`revision.inputs`).
    """

    revision: str
    version: str
    sha256: str
    runtime: str
    port: int
    port_name: str
    metrics_port: int
    metrics_port_name: str
    metrics_path: str | None
    packed_template: Packed
    packed_inputs: Packed

    @property
    def template(self) -> dict[str, Any]:
        """The pod template; a new copy each time."""
        return self.packed_template.value

    @property
    def inputs(self) -> dict[str, Any]:
        """The pod-shaping fields; a new copy each time."""
        return self.packed_inputs.value

    def name(self, owner: Owner) -> str:
        """Name of the ControllerRevision, and of the revision's Deployment and Service."""
        return child_name(owner.name, self.revision)

    def manifest(self, owner: Owner) -> dict[str, Any]:
        """The ControllerRevision that holds it."""
        labels = revision_labels(owner.name, self.revision, self.version)
        data = {
            "format": FORMAT,
            "revision": self.revision,
            "version": self.version,
            "sha256": self.sha256,
            "runtime": self.runtime,
            "port": self.port,
            "portName": self.port_name,
            "metricsPort": self.metrics_port,
            "metricsPortName": self.metrics_port_name,
            "template": self.template,
            "inputs": self.inputs,
        }
        if self.metrics_path is not None:
            data["metricsPath"] = self.metrics_path
        return _controller_revision(owner, self.name(owner), labels, REVISION_ROLE, data)

    @classmethod
    def parse(cls, manifest: Json) -> RevisionRecord:
        """Read it back. Raises RecordError."""
        data = _data(manifest, REVISION_ROLE)
        try:
            return cls(
                revision=_STR.validate_python(data["revision"]),
                version=_STR.validate_python(data["version"]),
                sha256=_STR.validate_python(data["sha256"]),
                runtime=_STR.validate_python(data["runtime"]),
                port=_INT.validate_python(data["port"]),
                port_name=_STR.validate_python(data["portName"]),
                metrics_port=_INT.validate_python(data["metricsPort"]),
                metrics_port_name=_STR.validate_python(data["metricsPortName"]),
                metrics_path=_OPTIONAL.validate_python(data.get("metricsPath")),
                packed_template=Packed.of(_MAP.validate_python(data["template"])),
                packed_inputs=Packed.of(_MAP.validate_python(data["inputs"])),
            )
        except (KeyError, ValidationError) as error:
            raise RecordError(f"{_name(manifest)}: {_first(error)}") from error


@dataclass(frozen=True, slots=True)
class PlanRecord:
    """The accepted settings of a rollout: the spec's fields as written, and the runtime's metrics if it used them."""

    digest: str
    packed: Packed
    metrics: tuple[Metric, ...] = ()

    @classmethod
    def of(cls, plan: Plan) -> PlanRecord:
        """The record of a plan."""
        return cls(plan.digest, Packed(plan.text), plan.metrics)

    @property
    def written(self) -> dict[str, Any]:
        """The fields as written; a new copy each time."""
        return self.packed.value

    def name(self, owner: Owner) -> str:
        """Name of the ControllerRevision; `status.plan` holds it."""
        return plan_name(owner.name, self.digest)

    def manifest(self, owner: Owner) -> dict[str, Any]:
        """The ControllerRevision that holds it."""
        data = {
            "format": FORMAT,
            "digest": self.digest,
            "spec": self.written,
            "metrics": [metric.written() for metric in self.metrics],
        }
        return _controller_revision(owner, self.name(owner), common_labels(owner.name), PLAN_ROLE, data)

    @classmethod
    def parse(cls, manifest: Json) -> PlanRecord:
        """Read it back. Raises RecordError."""
        data = _data(manifest, PLAN_ROLE)
        try:
            return cls(
                digest=_STR.validate_python(data["digest"]),
                packed=Packed.of(_MAP.validate_python(data["spec"])),
                metrics=_METRICS.validate_python(data["metrics"]),
            )
        except (KeyError, ValidationError) as error:
            raise RecordError(f"{_name(manifest)}: {_first(error)}") from error

    def plan(self, settings: Settings) -> Plan:
        """The plan, resolved again. Raises RecordError when today's rules do not take it any more."""
        try:
            return recorded_plan(self.written, self.metrics, settings)
        except ValidationError as error:
            raise RecordError(f"plan {self.digest}: {_first(error)}") from error


def plan_name(owner_name: str, digest: str) -> str:
    """`<resource>-plan-<digest>`."""
    return f"{owner_name}-plan-{digest}"


_STR = TypeAdapter(str)
_INT = TypeAdapter(int)
_OPTIONAL = TypeAdapter(str | None)
_MAP = TypeAdapter(dict[str, Any])
_METRICS = TypeAdapter(tuple[Metric, ...])


def _controller_revision(owner: Owner, name: str, labels: dict[str, str], role: str, data: Json) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": metadata(owner, name, labels | {RECORD_LABEL: role}),
        "data": data,
        "revision": 1,
    }


def _data(manifest: Json, role: str) -> Json:
    labels = (manifest.get("metadata") or {}).get("labels") or {}
    if labels.get(RECORD_LABEL) != role:
        raise RecordError(
            f"{_name(manifest)}: is no record of a {role}: label {RECORD_LABEL} is {labels.get(RECORD_LABEL)!r}"
        )
    data = manifest.get("data")
    if not isinstance(data, Mapping):
        raise RecordError(f"{_name(manifest)}: has no data")
    if data.get("format") != FORMAT:
        raise RecordError(f"{_name(manifest)}: has the layout {data.get('format')!r}; this operator reads {FORMAT}")
    return data


def _name(manifest: Json) -> str:
    return f"ControllerRevision {(manifest.get('metadata') or {}).get('name', '?')}"


def _first(error: KeyError | ValidationError) -> str:
    if isinstance(error, KeyError):
        return f"{error.args[0]} is missing"
    found = error.errors(include_url=False)[0]
    return f"{'.'.join(str(part) for part in found['loc'])} {found['msg']}".strip()
