"""Reads schemas of the CRDs for tests."""

from collections.abc import Iterator
from typing import Any

import yaml

from modelrollout.api import crd


def schema(resource: crd.Resource) -> dict[str, Any]:
    [version] = yaml.safe_load(crd.text(resource))["spec"]["versions"]
    return version["schema"]["openAPIV3Schema"]


def nodes(node: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema within a schema, with its path (`spec.server.env[]`)."""
    yield path, node
    for name, inner in node.get("properties", {}).items():
        yield from nodes(inner, f"{path}.{name}".lstrip("."))
    if "items" in node:
        yield from nodes(node["items"], f"{path}[]")
    if isinstance(node.get("additionalProperties"), dict):
        yield from nodes(node["additionalProperties"], f"{path}.*")
