"""The children of a ModelDeployment as manifests, ready for server-side apply.

Every builder is a function of what it is given: equal input makes an equal manifest, so "nothing to do" is an equality. Fields
that the API server would fill in and that are keys of lists (protocols of ports) are written out, and values are spelled as they
are stored, so what comes back equals what was sent. What others may own is left out: `clusterIP`, node ports, and `replicas`
once an autoscaler owns them.

A revision's Deployment and Service are made from its record alone. The Service of a revision has one port of a fixed number,
whatever the spec's entry ports are: routes name it, and a change of the spec must not move a version that serves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from modelrollout.api.server import Autoscaling, EntryService, ServicePort, ServiceType
from modelrollout.rollout.revision import child_name

from .canonical import canonical
from .identity import NO_REVISION, Owner, common_labels, metadata, revision_labels, selector
from .pod import SERVING_PORT_NAME
from .records import RevisionRecord

REVISION_PORT = 80
"""Port of every revision's Service; routes send to it."""
HISTORY_LIMIT = 1
"""Old ReplicaSets of a Deployment: its template never changes, so only a restart makes one."""
PROGRESS_SLACK = 60
"""Seconds that a Deployment may be without progress beyond the load deadline before it says so."""
DEFAULT_CPU_PERCENT = 80
DEFAULT_PORT = 80
"""Of the entry Service."""


def deployment(owner: Owner, record: RevisionRecord, replicas: int | None, *, load_deadline: float) -> dict[str, Any]:
    """The Deployment of a revision. `replicas` None: an autoscaler owns them. `load_deadline` in seconds.

    The strategy matters for restarts only. A new pod comes before an old one goes: where no node has room for one more (the
    last GPU is taken) a restart waits, and all old pods go on serving.
    """
    spec: dict[str, Any] = {} if replicas is None else {"replicas": replicas}
    spec |= {
        "revisionHistoryLimit": HISTORY_LIMIT,
        "progressDeadlineSeconds": min(int(load_deadline) + PROGRESS_SLACK, 2**31 - 1),
        "selector": {"matchLabels": selector(owner.name, record.revision)},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "template": record.template,
    }
    return _object("apps/v1", "Deployment", _revision_metadata(owner, record), spec)


def revision_service(owner: Owner, record: RevisionRecord, *, app_protocol: str | None = None) -> dict[str, Any]:
    """The Service of one revision, to which routes send. `app_protocol` such as ``kubernetes.io/h2c``."""
    port: dict[str, Any] = {
        "name": SERVING_PORT_NAME,
        "port": REVISION_PORT,
        "protocol": "TCP",
        "targetPort": record.port,
    }
    if app_protocol is not None:
        port["appProtocol"] = app_protocol
    spec = {"type": "ClusterIP", "selector": selector(owner.name, record.revision), "ports": [port]}
    return _object("v1", "Service", _revision_metadata(owner, record), spec)


def entry_service_name(owner_name: str, service: EntryService | None) -> str:
    """`spec.service.name`, else the resource's name."""
    return (service.name if service else None) or owner_name


def preview_service_name(owner_name: str) -> str:
    """`<resource>-preview`."""
    return f"{owner_name}-preview"


def first_port(service: EntryService | None) -> int:
    """The first port of the entry Service, which is that of the preview Service, too."""
    return service.ports[0].port if service and service.ports else DEFAULT_PORT


def entry_service(owner: Owner, service: EntryService | None, records: Sequence[RevisionRecord]) -> dict[str, Any]:
    """The Service that in-cluster callers use.

    `records`: the revisions that it leads to. One: the pods of that revision. Several: **all** pods of the resource, since the
    labels of pods never change and a selector cannot name two values; so no other revision may have pods then. None: no pod.
    """
    service = service or EntryService()
    found = metadata(owner, entry_service_name(owner.name, service), common_labels(owner.name))
    if service.annotations:
        found["annotations"] = dict(service.annotations)
    spec = {
        "type": (service.type or ServiceType.CLUSTER_IP).value,
        "selector": _selected(owner, records),
        "ports": _entry_ports(service, records),
    }
    return _object("v1", "Service", found, spec)


def preview_service(owner: Owner, service: EntryService | None, candidate: RevisionRecord | None) -> dict[str, Any]:
    """The Service that always leads to the candidate; without one to no pod. Ports are those of the entry Service."""
    records = [candidate] if candidate else []
    spec = {
        "type": ServiceType.CLUSTER_IP.value,
        "selector": _selected(owner, records),
        "ports": _entry_ports(service or EntryService(), records),
    }
    return _object("v1", "Service", metadata(owner, preview_service_name(owner.name), common_labels(owner.name)), spec)


def pod_monitor(owner: Owner, records: Sequence[RevisionRecord]) -> dict[str, Any] | None:
    """One PodMonitor for all pods of the resource; None where no revision has anything to scrape."""
    endpoints = {(record.metrics_port, record.metrics_path) for record in records if record.metrics_path is not None}
    if not endpoints:
        return None
    spec = {
        "selector": {"matchLabels": selector(owner.name)},
        "podMetricsEndpoints": [{"portNumber": port, "path": path} for port, path in sorted(endpoints)],
    }
    return _object(
        "monitoring.coreos.com/v1", "PodMonitor", metadata(owner, owner.name, common_labels(owner.name)), spec
    )


def hpa(owner: Owner, record: RevisionRecord, autoscaling: Autoscaling, min_replicas: int) -> dict[str, Any]:
    """The autoscaler of a serving revision. `min_replicas`: what its share of traffic needs (capacity rule)."""
    metrics: list[Any] = list(autoscaling.metrics or [])
    if not metrics:
        target = {"type": "Utilization", "averageUtilization": DEFAULT_CPU_PERCENT}
        metrics = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    spec: dict[str, Any] = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": record.name(owner)},
        "minReplicas": max(1, min_replicas),
        "maxReplicas": max(autoscaling.max_replicas, min_replicas),
        "metrics": metrics,
    }
    if autoscaling.behavior:
        spec["behavior"] = autoscaling.behavior
    return _object("autoscaling/v2", "HorizontalPodAutoscaler", _revision_metadata(owner, record), spec)


def _selected(owner: Owner, records: Sequence[RevisionRecord]) -> dict[str, str]:
    if len(records) > 1:
        return selector(owner.name)
    return selector(owner.name, records[0].revision if records else NO_REVISION)


def _entry_ports(service: EntryService, records: Sequence[RevisionRecord]) -> list[dict[str, Any]]:
    ports = service.ports or [ServicePort(name=SERVING_PORT_NAME, port=DEFAULT_PORT)]
    found = []
    for port in ports:
        entry: dict[str, Any] = {"name": port.name, "port": port.port, "protocol": "TCP"}
        entry["targetPort"] = port.target_port or _serving_port(records)
        if port.app_protocol is not None:
            entry["appProtocol"] = port.app_protocol
        found.append(entry)
    return found


def _serving_port(records: Sequence[RevisionRecord]) -> int | str:
    """Where versions serve on different ports, the name of the port finds each pod's own."""
    numbers = {record.port for record in records}
    if len(numbers) == 1:
        return numbers.pop()
    return next((record.port_name for record in records if record.port_name), SERVING_PORT_NAME)


def _revision_metadata(owner: Owner, record: RevisionRecord) -> dict[str, Any]:
    labels = revision_labels(owner.name, record.revision, record.version)
    return metadata(owner, child_name(owner.name, record.revision), labels)


def _object(api_version: str, kind: str, found: Mapping[str, Any], spec: Mapping[str, Any]) -> dict[str, Any]:
    return canonical({"apiVersion": api_version, "kind": kind, "metadata": found, "spec": spec})
