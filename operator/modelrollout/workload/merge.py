"""Lays a person's pod template over what we make of the short form.

As a strategic merge does: maps merge, scalars and unkeyed lists are replaced, lists of named things merge by their key and
keep the order of the base, new items following in the order they were written. Null is the same as absent, as it is for the
hash. Items that are one-of inside (an environment variable, a volume) are replaced whole, because half of the old form beside
half of the new one would be neither.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Json = Mapping[str, Any]
Key = Callable[[Json], Any]


def _field(name: str) -> Key:
    return lambda item: item.get(name)


def _port(item: Json) -> Any:
    return item.get("containerPort"), item.get("protocol") or "TCP"


MERGED: dict[str, Key] = {
    "containers": _field("name"),
    "initContainers": _field("name"),
    "volumeMounts": _field("mountPath"),
}
"""Lists whose items merge, field by field."""

REPLACED: dict[str, Key] = {"env": _field("name"), "volumes": _field("name"), "imagePullSecrets": _field("name")}
"""Lists whose items are replaced whole."""


def merge(base: Any, overlay: Any, field: str = "") -> Any:
    """`overlay` over `base`; neither is changed. `field` is the name of the field that both are the value of."""
    if overlay is None:
        return base
    if isinstance(base, Mapping) and isinstance(overlay, Mapping):
        return _maps(base, overlay)
    if isinstance(base, (list, tuple)) and isinstance(overlay, (list, tuple)):
        return _lists(list(base), list(overlay), field)
    return overlay


def _maps(base: Json, overlay: Json) -> dict[str, Any]:
    merged = dict(base)
    for name, value in overlay.items():
        if value is not None:
            merged[name] = merge(base.get(name), value, name)
    return merged


def _lists(base: list[Any], overlay: list[Any], field: str) -> list[Any]:
    if not all(isinstance(item, Mapping) for item in (*base, *overlay)):
        return overlay
    if field == "ports":
        return _ports(base, overlay)
    if key := MERGED.get(field):
        return _by_key(base, overlay, key, merge)
    if key := REPLACED.get(field):
        return _by_key(base, overlay, key, lambda _, item: item)
    return overlay


def _by_key(base: list[Json], overlay: list[Json], key: Key, join: Callable[[Any, Any], Any]) -> list[Any]:
    merged = list(base)
    for item in overlay:
        index = next((index for index, known in enumerate(merged) if key(known) == key(item)), None)
        if index is None:
            merged.append(item)
        else:
            merged[index] = join(merged[index], item)
    return merged


def _ports(base: list[Json], overlay: list[Json]) -> list[Any]:
    """A port is the same when it has the same name, or else the same number."""
    merged = list(base)
    for item in overlay:
        index = next(
            (index for index, known in enumerate(merged) if item.get("name") and known.get("name") == item.get("name")),
            next((index for index, known in enumerate(merged) if _port(known) == _port(item)), None),
        )
        if index is None:
            merged.append(item)
        else:
            merged[index] = _maps(merged[index], item)
    return merged
