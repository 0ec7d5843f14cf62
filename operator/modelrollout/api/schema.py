"""From the JSON schema of a pydantic model to the structural OpenAPI v3 schema of a CRD.

The API server takes a narrow dialect: no references, no unions, no titles, a type at every node. What pydantic writes is
brought into that form here, and nothing is added: bounds, rules and list keys stand at the models. Defaults are left out
on purpose, since most depend on another field and are resolved in the plan.
"""

from __future__ import annotations

from typing import Any

from .base import Model

Schema = dict[str, Any]

_DROPPED = ("title", "additionalProperties", "$defs")
_ORDER = ("description", "type", "format", "enum", "pattern", "minLength", "maxLength", "minimum", "maximum")
_REFERENCE = "#/$defs/"
_TYPELESS = ("x-kubernetes-int-or-string", "x-kubernetes-preserve-unknown-fields")
"""Either stands for a type."""
RULES = "x-kubernetes-validations"


def structural(model: type[Model], *, defaults: bool = False) -> Schema:
    """The structural schema of a model, for documentation with its defaults. Raises TypeError for a field such as a union."""
    source = model.model_json_schema(by_alias=True)
    found = _node(source, source.get("$defs", {}), model.__name__)
    return found if defaults else _without_defaults(found)


def _node(source: Schema, definitions: dict[str, Schema], where: str) -> Schema:
    source = _resolved(source, definitions, where)
    found = {key: value for key, value in source.items() if key not in _DROPPED}
    if "properties" in source:
        found["properties"] = {
            name: _node(value, definitions, f"{where}.{name}") for name, value in source["properties"].items()
        }
    elif isinstance(source.get("additionalProperties"), dict):
        found["additionalProperties"] = _node(source["additionalProperties"], definitions, f"{where}.*")
    if "items" in source:
        found["items"] = _node(source["items"], definitions, f"{where}[]")
    if "pattern" in found and RULES in found:
        del found["pattern"]  # the rule asks the same and answers in words
    if "type" not in found and not any(found.get(form) for form in _TYPELESS):
        raise TypeError(f"{where}: no structural type in {source}")
    return {key: found[key] for key in sorted(found, key=_rank)}


def _without_defaults(node: Schema) -> Schema:
    found = {key: value for key, value in node.items() if key != "default"}
    if "properties" in node:
        found["properties"] = {name: _without_defaults(inner) for name, inner in node["properties"].items()}
    for key in ("items", "additionalProperties"):
        if key in node:
            found[key] = _without_defaults(node[key])
    return found


def _resolved(source: Schema, definitions: dict[str, Schema], where: str) -> Schema:
    """Put the definition in place of a reference, and the one real alternative in place of `X | None`."""
    while "$ref" in source or "anyOf" in source or "allOf" in source:
        outer = {key: value for key, value in source.items() if key not in ("$ref", "anyOf", "allOf")}
        if "$ref" in source:
            inner = definitions[source["$ref"].removeprefix(_REFERENCE)]
        else:
            forms = [form for form in source.get("anyOf") or source["allOf"] if form != {"type": "null"}]
            if len(forms) != 1:
                raise TypeError(f"{where}: a structural schema knows no union, found {len(forms)} forms")
            [inner] = forms
        source = inner | outer
    return source


def _rank(key: str) -> tuple[int, str]:
    """Description and type first, nested schemas last: the order in which people read."""
    if key in _ORDER:
        return _ORDER.index(key), key
    nested = ("required", "items", "properties")
    return (100 + nested.index(key), key) if key in nested else (50, key)
