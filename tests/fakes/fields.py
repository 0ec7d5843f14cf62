"""Field ownership as server-side apply has it, reduced to what the operator meets.

A field is a path of elements as in FieldsV1: `f:name`, `k:{…}` for an element of a keyed list, `.` for such an element
itself. Which lists are keyed, and which maps are one value, is known by name for the kinds that the operator writes; any
other list is one value. Nothing here changes its arguments: results share what did not change.
"""

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

Path = tuple[str, ...]

_KEYS: dict[str, tuple[str, ...]] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "env": ("name",),
    "volumes": ("name",),
    "volumeMounts": ("mountPath",),
    "ownerReferences": ("uid",),
}
_ONE_VALUE = frozenset({"selector", "data"})
_NOT_OWNED = frozenset(
    {
        "name",
        "namespace",
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "deletionTimestamp",
        "managedFields",
    }
)


def _keys(name: str, items: Iterable[Any]) -> tuple[str, ...] | None:
    if name == "ports":
        first = next(iter(items), None)
        if isinstance(first, Mapping):
            return ("containerPort", "protocol") if "containerPort" in first else ("port", "protocol")
        return None
    return _KEYS.get(name)


def _element(item: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    # The real server fills in a default protocol first; here a port without one is keyed without it.
    return "k:" + json.dumps({key: item[key] for key in keys if key in item}, separators=(",", ":"))


def leaves(body: Mapping[str, Any]) -> dict[Path, Any]:
    """All fields of an object that can be owned, with their values; the status is left out."""
    found: dict[Path, Any] = {}
    for name, value in body.items():
        if name == "metadata":
            for below, part in value.items():
                if below not in _NOT_OWNED:
                    _collect(part, ("f:metadata", f"f:{below}"), below, found)
        elif name not in {"apiVersion", "kind", "status"}:
            _collect(value, (f"f:{name}",), name, found)
    return found


def _collect(value: Any, path: Path, name: str, found: dict[Path, Any]) -> None:
    if isinstance(value, Mapping) and value and name not in _ONE_VALUE:
        for below, part in value.items():
            _collect(part, (*path, f"f:{below}"), below, found)
    elif isinstance(value, list) and value and (keys := _keys(name, value)):
        for item in value:
            at = (*path, _element(item, keys))
            found[(*at, ".")] = True
            for below, part in item.items():
                _collect(part, (*at, f"f:{below}"), below, found)
    else:
        found[path] = value


def merge(live: Any, applied: Any, name: str = "") -> Any:
    """The live value with the applied one over it."""
    if isinstance(live, Mapping) and isinstance(applied, Mapping) and name not in _ONE_VALUE:
        merged = dict(live)
        for below, part in applied.items():
            merged[below] = merge(live[below], part, below) if below in live else part
        return merged
    if isinstance(live, list) and isinstance(applied, list) and (keys := _keys(name, applied or live)):
        items = {_element(item, keys): item for item in live}
        for item in applied:
            at = _element(item, keys)
            items[at] = merge(items[at], item) if at in items else item
        return list(items.values())
    return applied


def remove(value: Any, path: Path, name: str = "") -> Any:
    """The value without the field at `path`; maps and lists that become empty go too. None if nothing is left."""
    head, rest = path[0], path[1:]
    if head.startswith("f:") and isinstance(value, Mapping):
        field = head[2:]
        if field not in value:
            return value
        left = {below: part for below, part in value.items() if below != field}
        if rest and (part := remove(value[field], rest, field)) is not None:
            left[field] = part
        return left or None
    if head.startswith("k:") and isinstance(value, list) and (keys := _keys(name, value)):
        items = []
        for item in value:
            kept = item
            if _element(item, keys) == head:
                kept = None if rest == (".",) else remove(item, rest)
            if kept is not None:
                items.append(kept)
        return items or None
    return value


@lru_cache(maxsize=4_096)
def fields_v1(paths: frozenset[Path]) -> dict[str, Any]:
    """A set of fields in the form of `managedFields[].fieldsV1`. Equal sets share one answer."""
    fields: dict[str, Any] = {}
    for path in sorted(paths):
        at = fields
        for element in path:
            at = at.setdefault(element, {})
    return fields
