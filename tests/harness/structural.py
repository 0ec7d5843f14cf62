"""What an API server would find wrong with an object, or silently take away from it, by the schema of its CRD.

As far as schemas of routers go: types, unknown fields, required fields, enums, patterns, bounds, and `oneOf` over required
fields. CEL rules are left to a real server.
"""

import re
from collections.abc import Iterator
from typing import Any

Json = Any

_TYPES = {"object": dict, "array": list, "string": str, "integer": int, "number": (int, float), "boolean": bool}
_ENVELOPE = {"apiVersion", "kind", "metadata"}


def schema_of(crds: list[dict[str, Any]], api_version: str, kind: str) -> dict[str, Any]:
    """The schema of a served version of a kind."""
    group, version = api_version.split("/")
    [found] = [
        one["schema"]["openAPIV3Schema"]
        for crd in crds
        if crd["kind"] == "CustomResourceDefinition"
        if (crd["spec"]["group"], crd["spec"]["names"]["kind"]) == (group, kind)
        for one in crd["spec"]["versions"]
        if one["name"] == version and one["served"]
    ]
    return dict(found)


def faults(schema: dict[str, Any], raw: dict[str, Any]) -> list[str]:
    """Everything that is wrong with an object, as `path: what`."""
    body = {name: value for name, value in raw.items() if name not in _ENVELOPE}
    return list(_faults(schema, body, ""))


def _faults(schema: dict[str, Any], value: Json, path: str) -> Iterator[str]:
    if schema.get("x-kubernetes-int-or-string"):
        if not isinstance(value, int | str):
            yield f"{path}: neither a number nor a text"
        return
    if (kind := schema.get("type")) and (
        not isinstance(value, _TYPES[kind]) or (kind != "boolean" and isinstance(value, bool))
    ):
        yield f"{path}: {value!r} is no {kind}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{path}: {value!r} is none of {schema['enum']}"
    if isinstance(value, dict):
        yield from _of_fields(schema, value, path)
    elif isinstance(value, list):
        yield from _of_size(len(value), schema, "Items", path)
        for index, item in enumerate(value):
            yield from _faults(schema.get("items", {}), item, f"{path}[{index}]")
    elif isinstance(value, str):
        yield from _of_size(len(value), schema, "Length", path)
        if not re.search(schema.get("pattern", ""), value):
            yield f"{path}: {value!r} is not {schema['pattern']}"
    elif not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        yield f"{path}: {value} is out of bounds"


def _of_size(size: int, schema: dict[str, Any], what: str, path: str) -> Iterator[str]:
    if not schema.get(f"min{what}", 0) <= size <= schema.get(f"max{what}", size):
        yield f"{path}: {size} {what.lower()}"


def _of_fields(schema: dict[str, Any], value: dict[str, Any], path: str) -> Iterator[str]:
    yield from (
        f"{path}.{name}: is missing"
        for name in schema.get("required", ())
        if name not in value and name not in _ENVELOPE
    )
    choices = schema.get("oneOf")
    if choices and sum(_holds(choice, value) for choice in choices) != 1:
        yield f"{path}: not exactly one of {choices}"
    known, others = schema.get("properties", {}), schema.get("additionalProperties")
    for name, item in value.items():
        if name in known:
            yield from _faults(known[name], item, f"{path}.{name}")
        elif isinstance(others, dict):
            yield from _faults(others, item, f"{path}.{name}")
        elif not others and not schema.get("x-kubernetes-preserve-unknown-fields"):
            yield f"{path}.{name}: no such field; the server would drop it"


def _holds(choice: dict[str, Any], value: dict[str, Any]) -> bool:
    if "not" in choice:
        return not _holds(choice["not"], value)
    if "anyOf" in choice:
        return any(_holds(one, value) for one in choice["anyOf"])
    return all(name in value for name in choice.get("required", ()))
