"""The comparer of a resource: hands mirrored requests on to the candidate and to stable, and compares their answers.

It exists while a step that compares is under way or ahead. Both addresses are those of revision Services, which the operator made;
nothing that a user writes becomes an address. Its pods bear no label by which Services of the resource select pods, so that no user's
request ever reaches it, and it has no credentials of any kind.
"""

from __future__ import annotations

from typing import Any

from modelrollout.api.base import canonical_json
from modelrollout.api.settings import ComparerSettings
from modelrollout.api.shadow import Shadow
from modelrollout.rollout.revision import child_name

from .canonical import canonical
from .identity import GROUP, MANAGED_BY, Owner, common_labels, metadata
from .objects import REVISION_PORT

COMPARER_LABEL = f"{GROUP}/comparer"
COMPARED_LABEL = f"{GROUP}/compares"
PORT, METRICS_PORT = 8080, 9090
NONROOT = 65532
_GRACE = 10


def comparer_name(owner_name: str) -> str:
    """`<resource>-comparer`: its Deployment, Service and monitor. At most 45 characters, so its pods' names begin with all of it."""
    return f"{owner_name}-comparer"


def comparer_deployment(
    owner: Owner, settings: ComparerSettings, shadow: Shadow, candidate: str, stable: str
) -> dict[str, Any]:
    """The Deployment. `candidate`, `stable`: revisions. `shadow.compare` and `settings.image` are there."""
    assert shadow.compare is not None
    assert settings.image is not None
    addresses = {
        role: {
            "revision": revision,
            "url": f"http://{child_name(owner.name, revision)}.{owner.namespace}.svc:{REVISION_PORT}",
        }
        for role, revision in (("candidate", candidate), ("stable", stable))
    }
    configuration = addresses | {"compare": shadow.compare.written()}
    container: dict[str, Any] = {
        "name": "comparer",
        "image": settings.image,
        "env": [{"name": "COMPARER_CONFIGURATION", "value": canonical_json(configuration)}],
        "ports": [
            {"name": "http", "containerPort": PORT, "protocol": "TCP"},
            {"name": "metrics", "containerPort": METRICS_PORT, "protocol": "TCP"},
        ],
        "readinessProbe": {
            "httpGet": {"path": "/readyz", "port": METRICS_PORT, "scheme": "HTTP"},
            "periodSeconds": 2,
            "timeoutSeconds": 2,
            "successThreshold": 1,
            "failureThreshold": 3,
        },
        "resources": settings.resources,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    if settings.image_pull_policy is not None:
        container["imagePullPolicy"] = settings.image_pull_policy
    pod: dict[str, Any] = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": _GRACE,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": NONROOT,
            "runAsGroup": NONROOT,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
    }
    if settings.image_pull_secrets:
        pod["imagePullSecrets"] = [{"name": secret} for secret in settings.image_pull_secrets]
    scrape = {"scrape": "true", "port": str(METRICS_PORT), "path": "/metrics"}
    template = {
        "metadata": {
            "labels": _labels(owner.name) | {COMPARED_LABEL: candidate},
            "annotations": {f"prometheus.io/{key}": value for key, value in scrape.items()},
        },
        "spec": pod,
    }
    spec = {
        "replicas": 1,
        "revisionHistoryLimit": 0,
        "selector": {"matchLabels": _selector(owner.name)},
        # Of two that compare for two candidates one is too many.
        "strategy": {"type": "Recreate"},
        "template": template,
    }
    return _object("apps/v1", "Deployment", owner, spec)


def comparer_service(owner: Owner, candidate: str) -> dict[str, Any]:
    """The Service to which the route mirrors. It leads to pods that compare for this very candidate, and to no others."""
    port = {"name": "http", "port": REVISION_PORT, "protocol": "TCP", "targetPort": PORT}
    spec = {"type": "ClusterIP", "selector": _selector(owner.name) | {COMPARED_LABEL: candidate}, "ports": [port]}
    return _object("v1", "Service", owner, spec)


def comparer_monitor(owner: Owner) -> dict[str, Any]:
    """The PodMonitor, for Prometheus set-ups that go by such."""
    spec = {
        "selector": {"matchLabels": _selector(owner.name)},
        "podMetricsEndpoints": [{"portNumber": METRICS_PORT, "path": "/metrics"}],
    }
    return _object("monitoring.coreos.com/v1", "PodMonitor", owner, spec)


def _selector(owner_name: str) -> dict[str, str]:
    return {COMPARER_LABEL: owner_name}


def _labels(owner_name: str) -> dict[str, str]:
    """What its pods carry: not the labels by which a resource's pods are selected."""
    return {
        "app.kubernetes.io/name": comparer_name(owner_name),
        "app.kubernetes.io/managed-by": MANAGED_BY,
    } | _selector(owner_name)


def _object(api_version: str, kind: str, owner: Owner, spec: dict[str, Any]) -> dict[str, Any]:
    found = metadata(owner, comparer_name(owner.name), common_labels(owner.name))
    return canonical({"apiVersion": api_version, "kind": kind, "metadata": found, "spec": spec})
