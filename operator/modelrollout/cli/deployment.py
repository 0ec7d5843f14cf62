"""A ModelDeployment as the plugin reads it: the object of the API server, parsed once.

The spec stays as written (an invalid one must still be shown); the status is the operator's own model. A status from a newer
operator may hold words that this plugin does not know: that is said, not guessed around.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from modelrollout.api.scalars import Timestamp
from modelrollout.api.status import ModelDeploymentStatus, RevisionStatus, Role
from modelrollout.kube.errors import NotFound
from modelrollout.kube.kinds import MODEL_DEPLOYMENT, Ref

from .cluster import Cluster, Json
from .failures import Failure

READY = "Ready"


@dataclass(frozen=True, slots=True)
class Deployment:
    """One ModelDeployment. `created` in seconds since 1970; `spec` as written."""

    name: str
    namespace: str
    uid: str
    generation: int
    created: float
    status: ModelDeploymentStatus
    spec: Mapping[str, Any] = field(default_factory=dict)

    @property
    def observed(self) -> bool:
        """Whether status speaks of the spec as it is now."""
        return self.status.observed_generation >= self.generation

    @property
    def reason(self) -> str:
        """The CamelCase word of why things are as they are."""
        ready = next((found for found in self.status.conditions if found.type == READY), None)
        return self.status.summary.reason or (ready.reason if ready else "")

    def revision(self, name: str) -> RevisionStatus | None:
        """The revision of that name, if it still exists."""
        return next((found for found in self.status.revisions if found.revision == name), None)

    @property
    def stable(self) -> RevisionStatus | None:
        """The revision that is known to be good."""
        return next((found for found in self.status.revisions if found.role is Role.STABLE), None)

    @property
    def candidate(self) -> RevisionStatus | None:
        """The revision that is being rolled out."""
        return self.revision(self.status.rollout.revision) if self.status.rollout else None

    @property
    def former(self) -> RevisionStatus | None:
        """The version that served before and is still warm."""
        warm = [found for found in self.status.revisions if found.role is Role.FORMER and found.warm_until is not None]
        return max(warm, key=lambda found: found.warm_until or 0.0, default=None)


def parse(item: Json) -> Deployment:
    """Read an object of the API server. Raises Failure for a status that this version cannot read."""
    metadata = item["metadata"]
    name = str(metadata["name"])
    try:
        status = ModelDeploymentStatus.model_validate(item.get("status") or {})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Failure(
            f"{name}: status.{where} is {first['input']!r}, which this plugin does not know: update kubectl-modelrollout"
        ) from error
    return Deployment(
        name=name,
        namespace=str(metadata.get("namespace", "")),
        uid=str(metadata.get("uid", "")),
        generation=int(metadata.get("generation") or 0),
        created=float(Timestamp.parse(metadata["creationTimestamp"])) if metadata.get("creationTimestamp") else 0.0,
        status=status,
        spec=item.get("spec") or {},
    )


def address(cluster: Cluster, name: str) -> Ref:
    """Where the object of that name is; `mdep/fraud` and `modeldeployment/fraud` are understood as kubectl's users write them."""
    kind, slash, rest = name.rpartition("/")
    word = kind.split(".", maxsplit=1)[0].lower()
    if slash and word not in {"mdep", "modeldeployment", "modeldeployments"}:
        raise Failure(f'"{name}" is a {kind}: name a ModelDeployment, such as mdep/{rest or "fraud"}')
    return Ref(MODEL_DEPLOYMENT, cluster.namespace, rest)


async def read(cluster: Cluster, name: str) -> Deployment:
    """Read one ModelDeployment. Raises Failure in words when it is not there."""
    ref = address(cluster, name)
    try:
        return parse(await cluster.get(ref))
    except NotFound as error:
        raise missing(ref, error) from error


def missing(ref: Ref, error: NotFound) -> Failure:
    """The words for an object that is not there, or whose kind is not."""
    if is_unknown_kind(error):
        return not_installed()
    return Failure(
        f'there is no ModelDeployment "{ref.name}" in namespace "{ref.namespace}": '
        f"`kubectl modelrollout get -A` lists those of all namespaces"
    )


def is_unknown_kind(error: NotFound) -> bool:
    """Tell a missing CRD from a missing object: the server names the object only where it knows the kind."""
    return "not found" not in error.message or "page not found" in error.message


def not_installed() -> Failure:
    """The words for a cluster without the resources."""
    return Failure("this cluster does not know ModelDeployments: install ModelRollout in it, or name another --context")
