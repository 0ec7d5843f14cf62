"""Why a revision's pods are not ready, or restart: read on demand, reduced to facts.

Pods are not watched: a fleet has tens of thousands, they change all the time, and Deployments tell how many are ready. Only
when that is not enough are the pods of one revision listed, from what the API server has at hand. A text that comes from a
container or a node is cut, because it goes into status.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from modelrollout.kube.api import Json, KubeApi
from modelrollout.kube.kinds import POD

TEXT_LIMIT = 300

_IMAGE_TROUBLES = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})


@dataclass(frozen=True, slots=True)
class PodFacts:
    """One pod. Times are seconds since the epoch; texts are at most 300 characters and empty where there is nothing to say.

    `restarts` is the sum over its containers; the `waiting_*` and `terminated_*` facts are of the container that looks worst:
    one that waits before one that ran, then the one that restarted most.
    """

    name: str
    uid: str
    created: float
    phase: str
    deleted: bool
    ready_since: float | None
    restarts: int
    container: str = ""
    waiting_reason: str = ""
    waiting_message: str = ""
    terminated_reason: str = ""
    terminated_message: str = ""
    exit_code: int | None = None
    image_trouble: str = ""
    unschedulable: str = ""
    address: str = ""
    """Its own IP; empty until it has one, and for a pod in the network of its node."""
    controller: str = ""
    """Kind and name of what made it: `ReplicaSet fraud-2-7c9f4a1b-6d4cf56db6`."""


async def read_pods(api: KubeApi, namespace: str, labels: str, *, fresh: bool = False) -> tuple[PodFacts, ...]:
    """The pods that a label selector finds, by name. `fresh`: no older than this call. Raises `ApiError`."""
    page = await api.list(POD, namespace=namespace, labels=labels, resource_version=None if fresh else "0")
    return tuple(sorted((pod_facts(raw) for raw in page.items), key=lambda pod: pod.name))


def pod_facts(raw: Json) -> PodFacts:
    """Reduce a pod to its facts."""
    metadata, status = raw["metadata"], raw.get("status") or {}
    containers = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    worst: Mapping[str, Any] = max(containers, key=_badness, default={})
    waiting = _state(worst, "state", "waiting")
    terminated = _state(worst, "state", "terminated") or _state(worst, "lastState", "terminated")
    ready = _condition(status, "Ready")
    scheduled = _condition(status, "PodScheduled")
    return PodFacts(
        name=metadata["name"],
        uid=metadata["uid"],
        created=_epoch(metadata.get("creationTimestamp")) or 0.0,
        phase=str(status.get("phase") or ""),
        deleted=bool(metadata.get("deletionTimestamp")),
        ready_since=_epoch(ready.get("lastTransitionTime")) if ready.get("status") == "True" else None,
        restarts=sum(int(container.get("restartCount") or 0) for container in containers),
        container=str(worst.get("name") or "") if waiting or terminated else "",
        waiting_reason=str(waiting.get("reason") or ""),
        waiting_message=_cut(waiting.get("message")),
        terminated_reason=str(terminated.get("reason") or ""),
        terminated_message=_tail(terminated.get("message")),
        exit_code=terminated.get("exitCode"),
        image_trouble=_image_trouble(containers),
        unschedulable=_cut(scheduled.get("message") or "Unschedulable") if scheduled.get("status") == "False" else "",
        address="" if (raw.get("spec") or {}).get("hostNetwork") else str(status.get("podIP") or ""),
        controller=_controller(metadata),
    )


def _controller(metadata: Mapping[str, Any]) -> str:
    owners = metadata.get("ownerReferences") or ()
    return next((f"{owner.get('kind')} {owner.get('name')}" for owner in owners if owner.get("controller")), "")


def _badness(container: Mapping[str, Any]) -> tuple[bool, bool, int]:
    failed = _state(container, "state", "terminated") or _state(container, "lastState", "terminated")
    waiting = _state(container, "state", "waiting").get("reason", "PodInitializing")
    really_waits = waiting not in {"PodInitializing", "ContainerCreating"}
    return really_waits, bool(failed.get("exitCode")), int(container.get("restartCount") or 0)


def _image_trouble(containers: Iterable[Mapping[str, Any]]) -> str:
    for container in containers:
        waiting = _state(container, "state", "waiting")
        if waiting.get("reason") in _IMAGE_TROUBLES:
            return _cut(
                f"{waiting['reason']}: {container.get('image', '')}: {waiting.get('message') or ''}".rstrip(": ")
            )
    return ""


def _state(container: Mapping[str, Any], which: str, kind: str) -> Mapping[str, Any]:
    state: Mapping[str, Any] = (container.get(which) or {}).get(kind) or {}
    return state


def _condition(status: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    for condition in status.get("conditions") or ():
        if condition.get("type") == kind:
            found: Mapping[str, Any] = condition
            return found
    return {}


def _epoch(stamp: str | None) -> float | None:
    if not stamp:
        return None
    return datetime.fromisoformat(stamp).replace(tzinfo=UTC).timestamp()


def _cut(text: str | None) -> str:
    text = (text or "").strip()
    return text if len(text) <= TEXT_LIMIT else text[: TEXT_LIMIT - 1] + "…"


def _tail(text: str | None) -> str:
    """The end of a program's last words: a traceback says what happened in its last line."""
    text = (text or "").strip()
    return text if len(text) <= TEXT_LIMIT else "…" + text[-(TEXT_LIMIT - 1) :]
