"""Which part of an object is ours, and whether it still is as we want it.

The API server keeps, for each manager, the set of fields it applied (`metadata.managedFields`, format FieldsV1: `f:name`
a field, `k:{…}` the element of a keyed list with these keys, `v:…` a value of a set, `.` the thing itself). The projection
of an object onto our set is what we said last, in today's values: a field that somebody else changed or removed has left
our set, and what others added never was in it. So `digest(project(observed)) == desired_digest(manifest)` says that
nothing we want was touched, whatever else happened to the object, and it can be computed once, when the event arrives.

Zero values need care. Where Go leaves out an empty field (`readOnly: false`), the server keeps it in our set but not in the
object. A field of ours that is absent therefore reads as zero, and zeros of all types are one value in the digest; a
field that is not ours at all is simply missing, which is different.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from modelrollout.api.base import canonical_json
from modelrollout.kube.api import FIELD_MANAGER, Json

_ZERO = None
_DIGEST_CHARACTERS = 16
# What only identifies the object, and what nobody can own.
_NOT_CONTENT = ("apiVersion", "kind", "metadata", "status")
_ADDRESS = ("name", "namespace", "resourceVersion", "uid")


def owned_fields(raw: Json, manager: str = FIELD_MANAGER) -> Mapping[str, Any] | None:
    """The set of fields that a manager has applied (not the status), or None if it never applied."""
    for entry in (raw.get("metadata") or {}).get("managedFields") or ():
        if entry.get("manager") == manager and entry.get("operation") == "Apply" and not entry.get("subresource"):
            fields: Mapping[str, Any] = entry.get("fieldsV1") or {}
            return fields
    return None


def project(raw: Json, manager: str = FIELD_MANAGER) -> Any:
    """The object reduced to the fields that the manager applied, as plain JSON; None if it never applied."""
    fields = owned_fields(raw, manager)
    return None if fields is None else _project(raw, fields)


def _project(value: Any, fields: Mapping[str, Any]) -> Any:
    members = {name: below for name, below in fields.items() if name != "."}
    if not members:
        return value
    if isinstance(value, dict):
        # `f:` of a field that is absent: zero, see above.
        return {
            name[2:]: _project(value[name[2:]], below) if name[2:] in value else _ZERO
            for name, below in members.items()
            if name.startswith("f:")
        }
    if isinstance(value, list):
        return list(_project_list(value, members))
    return value


def _project_list(items: list[Any], members: Mapping[str, Any]) -> Iterator[Any]:
    """The elements that are ours, in the order in which they stand."""
    keyed = [(_parsed(name[2:]), below) for name, below in members.items() if name.startswith("k:")]
    values = [_parsed(name[2:]) for name in members if name.startswith("v:")]
    for item in items:
        if item in values:
            yield item
        for keys, below in keyed:
            if isinstance(item, dict) and all(item.get(key) == wanted for key, wanted in keys.items()):
                yield _project(item, below)


@lru_cache(maxsize=4_096)
def _parsed(element: str) -> Any:
    """The keys or the value in an element's name; the same few names come up in every object."""
    return json.loads(element)


def digest(value: Any) -> str:
    """A short hash of a JSON value in which the order of keys, and zero and empty values, make no difference."""
    text = canonical_json(_flat(value))
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_CHARACTERS]


def observed_digest(raw: Json, manager: str = FIELD_MANAGER) -> str:
    """The digest of what is ours in an object; empty if we never applied it."""
    fields = owned_fields(raw, manager)
    return "" if fields is None else digest(_project(raw, fields))


def desired_digest(manifest: Json) -> str:
    """The digest that an object has after this manifest was applied to it and nobody touched our part."""
    body = {name: value for name, value in manifest.items() if name not in _NOT_CONTENT}
    metadata = {name: value for name, value in manifest["metadata"].items() if name not in _ADDRESS}
    return digest({**body, "metadata": metadata} if metadata else body)


def _flat(value: Any) -> Any:
    """Zero, false, the empty text, list and map become None; maps lose nothing else."""
    if isinstance(value, dict):
        return {name: _flat(below) for name, below in value.items()} or _ZERO
    if isinstance(value, list | tuple):
        return [_flat(below) for below in value] or _ZERO
    return value or _ZERO


def owners(raw: Json, path: tuple[str, ...]) -> frozenset[str]:
    """The managers that own the field at `path`, by any operation and subresource (an HPA owns replicas through scale)."""
    found = set()
    for entry in (raw.get("metadata") or {}).get("managedFields") or ():
        fields = _below(entry.get("fieldsV1") or {}, path[:-1])
        if f"f:{path[-1]}" in fields:
            found.add(str(entry.get("manager", "")))
    return frozenset(found)


def intruders(raw: Json, path: tuple[str, ...], manager: str = FIELD_MANAGER) -> tuple[str, ...]:
    """Who else owns fields below `path` (as in `("spec", "template")`), as `manager: field, field`, for people.

    Only what others added or took over is named, not what they merely agree with.
    """
    ours = _leaves(_below(owned_fields(raw, manager) or {}, path))
    found: dict[str, set[str]] = {}
    for entry in (raw.get("metadata") or {}).get("managedFields") or ():
        if entry.get("subresource") or (entry.get("manager") == manager and entry.get("operation") == "Apply"):
            continue
        theirs = _leaves(_below(entry.get("fieldsV1") or {}, path)) - ours
        if theirs:
            found.setdefault(str(entry.get("manager") or "?"), set()).update(theirs)
    return tuple(f"{who}: {', '.join(sorted(fields))}" for who, fields in sorted(found.items()))


def _below(fields: Mapping[str, Any], path: tuple[str, ...]) -> Mapping[str, Any]:
    for name in path:
        fields = fields.get(f"f:{name}") or {}
    return fields


def _leaves(fields: Mapping[str, Any], prefix: str = "") -> set[str]:
    leaves: set[str] = set()
    for name, below in fields.items():
        if name == ".":
            continue
        if name.startswith("k:"):
            keys = json.loads(name[2:])
            label = f"{prefix}[{','.join(str(value) for value in keys.values())}]"
        else:
            label = f"{prefix}.{name[2:]}" if prefix else name[2:]
        leaves |= _leaves(below, label) if below and set(below) != {"."} else {label}
    return leaves
