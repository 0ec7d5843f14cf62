"""Whose an object is and what it is: owner references, labels and the metadata that every child carries.

Two labels are selectors and so can never change: `modelrollout.dev/deployment` (the resource) and `modelrollout.dev/revision`.
They are ours alone; a pod template that names one is refused. The others are the usual ones for people and dashboards, and
a person's own value goes over ours.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

GROUP = "modelrollout.dev"
API_VERSION = f"{GROUP}/v1alpha1"
KIND = "ModelDeployment"
DEPLOYMENT_LABEL = f"{GROUP}/deployment"
REVISION_LABEL = f"{GROUP}/revision"
RECORD_LABEL = f"{GROUP}/record"
MANAGED_BY = "modelrollout"
NO_REVISION = "none"
"""A value of the revision label that no revision has: a Service that selects it has no endpoints."""

_LABEL_LIMIT = 63


@dataclass(frozen=True, slots=True)
class Owner:
    """The ModelDeployment that children belong to. `uid` is empty only where objects are shown and never sent."""

    namespace: str
    name: str
    uid: str


def selector(owner_name: str, revision: str | None = None) -> dict[str, str]:
    """The labels by which pods are found: those of one revision, or (None) of the whole resource."""
    labels = {DEPLOYMENT_LABEL: owner_name}
    return labels if revision is None else labels | {REVISION_LABEL: revision}


def common_labels(owner_name: str) -> dict[str, str]:
    """What every child carries."""
    return {
        "app.kubernetes.io/name": owner_name,
        "app.kubernetes.io/managed-by": MANAGED_BY,
        DEPLOYMENT_LABEL: owner_name,
    }


def revision_labels(owner_name: str, revision: str, version: str) -> dict[str, str]:
    """What every child of one revision carries, its pods included."""
    labels = common_labels(owner_name) | {
        "app.kubernetes.io/instance": f"{owner_name}-{revision}",
        REVISION_LABEL: revision,
    }
    return labels | {"app.kubernetes.io/version": found} if (found := label_value(version)) else labels


def metadata(owner: Owner, name: str, labels: dict[str, str]) -> dict[str, Any]:
    """Metadata of a child. The owner reference makes the garbage collector delete it with the resource."""
    found: dict[str, Any] = {"name": name, "namespace": owner.namespace, "labels": labels}
    if owner.uid:
        found["ownerReferences"] = [
            {
                "apiVersion": API_VERSION,
                "kind": KIND,
                "name": owner.name,
                "uid": owner.uid,
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ]
    return found


def label_value(text: str) -> str:
    """A text as a label can hold it: at most 63 of letters, digits, `-`, `_` and `.`; empty if nothing is left."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", text)[:_LABEL_LIMIT].strip("-_.")
