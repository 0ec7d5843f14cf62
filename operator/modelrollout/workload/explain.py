"""Says what is wrong with a spec in the words of the person who wrote it.

The validator speaks of types and Python names; people know paths as they stand in their YAML, the value that they wrote, and
want to be told what would be right. Only the first error is told: others are often its consequences.
"""

from __future__ import annotations

import difflib
import json
import types
import typing
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from modelrollout.api.errors import SpecError
from modelrollout.api.spec import ModelDeploymentSpec

_SHOWN = 60
_BLAMED = {"spec.rollout": "spec.rollout.steps"}
"""Models whose own rules all speak of one field of theirs."""
_EXPECTED = {
    "int_type": "a whole number is expected",
    "int_from_float": "a whole number is expected",
    "int_parsing": "a whole number is expected",
    "bool_type": "true or false is expected",
    "bool_parsing": "true or false is expected",
    "string_type": "a text is expected; numbers and true or false need quotes",
    "list_type": "a list is expected",
    "dict_type": "a map of fields is expected",
    "model_type": "a map of fields is expected",
    "model_attributes_type": "a map of fields is expected",
}
_BOUNDS = {
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be more than {gt}",
    "less_than_equal": "must be at most {le}",
    "less_than": "must be less than {lt}",
    "string_too_long": "must have at most {max_length} characters",
    "string_too_short": "must have at least {min_length} characters",
    "too_long": "must have at most {max_length} entries",
    "too_short": "must have at least {min_length} entries",
    "string_pattern_mismatch": "is not of the form {pattern}",
}
Location = Sequence[str | int]


def explain(error: ValidationError) -> SpecError:
    """The first error of a ModelDeploymentSpec's validation."""
    first = error.errors(include_url=False)[0]
    location: Location = first["loc"]
    field = path(location)
    if first["type"] == "value_error":
        return _of_a_rule(field, str(first["ctx"]["error"]), location)
    return SpecError(field, _words(first["type"], first.get("ctx", {}), first["input"], first["msg"], location))


def _words(kind: str, context: dict[str, Any], value: Any, fallback: str, location: Location) -> str:
    if kind == "extra_forbidden":
        return _unknown(location)
    if kind == "missing":
        return "is missing"
    if kind in ("enum", "literal_error"):
        return f"found {shown(value)}; use {context['expected'].replace(chr(39), '')}"
    if kind in _EXPECTED:
        return f"found {shown(value)}; {_EXPECTED[kind]}"
    if kind in _BOUNDS:
        return f"found {shown(value)}, which {_BOUNDS[kind].format(**context)}"
    return f"found {shown(value)}: {fallback}"


def path(location: Location) -> str:
    """A place in a spec as people write it: ``spec.rollout.steps[2].weight``."""
    return "spec" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)


def shown(value: Any) -> str:
    """A value as it stands in YAML, cut where it is long."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def _of_a_rule(field: str, message: str, location: Location) -> SpecError:
    """Rules of the models may begin with the field below them that is to blame."""
    below, colon, rest = message.partition(": ")
    if colon and below.replace(".", "").isalnum() and _model_at(location) is not None:
        return SpecError(f"{field}.{below}", rest)
    return SpecError(_BLAMED.get(field, field), message)


def _unknown(location: Location) -> str:
    model = _model_at(location[:-1])
    known = sorted(found.alias or name for name, found in model.model_fields.items()) if model else []
    near = difflib.get_close_matches(str(location[-1]), known, n=1)
    if near:
        return f"no such field; did you mean {near[0]}?"
    return f"no such field; known here: {', '.join(known)}" if known else "no such field"


def _model_at(location: Location) -> type[BaseModel] | None:
    """The model that stands at a place, or None for a value that is no model."""
    found: type[BaseModel] | None = ModelDeploymentSpec
    for part in location:
        if isinstance(part, int):
            continue
        if found is None:
            return None
        field = next((field for name, field in found.model_fields.items() if part in (field.alias, name)), None)
        found = _model_in(field.annotation) if field else None
    return found


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if isinstance(annotation, types.GenericAlias | types.UnionType) or typing.get_origin(annotation) is not None:
        return next((model for part in typing.get_args(annotation) if (model := _model_in(part))), None)
    return None
