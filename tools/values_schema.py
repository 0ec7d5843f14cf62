"""The schema of the chart's values: Helm refuses a mistyped value before anything is installed.

The part below `settings` is the operator's own model; the rest follows from `values.yaml` (a key that is there may be set, with a
value of the same type) and from the few facts here that a default cannot tell.
"""

from typing import Any

from modelrollout.api.settings import settings_schema

Schema = dict[str, Any]

# Maps whose keys belong to Kubernetes or to the user, not to us.
FREE = {
    "commonLabels", "serviceAccount.annotations", "metrics.service.annotations", "metrics.serviceMonitor.labels",
    "resources", "podLabels", "podAnnotations", "nodeSelector", "affinity",
}  # fmt: skip

LABEL = {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "maxLength": 63}
NAME = {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", "maxLength": 253}
OBJECTS = {"type": "array", "items": {"type": "object"}}

FACTS: dict[str, Schema] = {
    "image.digest": {"type": "string", "pattern": "^(sha256:[0-9a-f]{64})?$"},
    "image.pullPolicy": {"type": "string", "enum": ["IfNotPresent", "Always", "Never"]},
    "image.repository": {"type": "string", "minLength": 1},
    "replicas": {"type": "integer", "minimum": 0, "maximum": 5},
    "watchNamespaces": {"type": "array", "items": LABEL, "uniqueItems": True},
    "credentials.secrets": {"type": "array", "items": NAME, "uniqueItems": True},
    "credentials.configMaps": {"type": "array", "items": NAME, "uniqueItems": True},
    "imagePullSecrets": OBJECTS,
    "networkPolicy.metricsFrom": OBJECTS,
    "networkPolicy.egress": OBJECTS,
    "env": OBJECTS,
    "tolerations": OBJECTS,
}

_TYPES: dict[type, str] = {str: "string", bool: "boolean", int: "integer"}


def values_schema(values: dict[str, Any], descriptions: dict[str, str]) -> Schema:
    """The JSON schema for values with these defaults. Raises TypeError for a list without a fact about its items."""
    settings = helm_dialect(settings_schema())
    definitions = settings.pop("$defs")
    root = _object(values, "", descriptions)
    root["properties"]["settings"] = settings
    root["properties"]["global"] = {"type": "object"}  # Helm adds it to the values of a chart within another one
    return {"$schema": "http://json-schema.org/draft-07/schema#", **root, "$defs": definitions}


def _object(values: dict[str, Any], path: str, descriptions: dict[str, str]) -> Schema:
    found = {key: _value(value, f"{path}.{key}".lstrip("."), descriptions) for key, value in values.items()}
    return {"type": "object", "additionalProperties": False, "properties": found}


def _value(value: Any, path: str, descriptions: dict[str, str]) -> Schema:
    described = {"description": descriptions[path]} if path in descriptions else {}
    if path in FACTS:
        return described | FACTS[path]
    if isinstance(value, dict):
        return described | (
            {"type": "object"} if path in FREE or path == "settings" else _object(value, path, descriptions)
        )
    if type(value) not in _TYPES:
        raise TypeError(f"{path}: say in FACTS what it may hold")
    return described | {"type": _TYPES[type(value)]}


def helm_dialect(node: Any) -> Any:
    """Plain JSON schema: without titles and Kubernetes' extensions, an int-or-string with its two types."""
    if isinstance(node, list):
        return [helm_dialect(inner) for inner in node]
    if not isinstance(node, dict):
        return node
    plain = {
        key: {name: helm_dialect(inner) for name, inner in value.items()}
        if key in ("properties", "$defs")
        else helm_dialect(value)
        for key, value in node.items()
        if not key.startswith("x-") and (key != "title" or isinstance(value, dict))
    }
    if node.get("x-kubernetes-int-or-string"):
        plain["type"] = ["integer", "string"]
    return plain
