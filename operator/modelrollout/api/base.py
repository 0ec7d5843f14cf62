"""The base of all models of resources: frozen, camelCase in YAML, unknown fields refused.

The CRD is generated from these models, so what a field means, its bounds and its rules stand in one place. `validations` attaches
rules that the API server checks at `kubectl apply`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class Model(BaseModel):
    """A frozen part of a resource."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        populate_by_name=True,
        use_attribute_docstrings=True,
        ser_json_inf_nan="null",
    )

    def written(self) -> dict[str, Any]:
        """As it stands in YAML: camelCase, JSON values only, absent fields omitted."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


_NO_FIELDS: set[str] = set()
"""Shared by all parts of all statuses, and never added to."""


class StatusModel(Model):
    """A part of a status: what a newer operator wrote beyond our fields is left out, never an error."""

    model_config = ConfigDict(extra="ignore")

    def model_post_init(self, _context: object) -> None:
        """Which fields were given is asked by nobody, and thousands of statuses would each keep a set of them for each part."""
        object.__setattr__(self, "__pydantic_fields_set__", _NO_FIELDS)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """As pydantic's, at a fifth of the cost: every decision makes dozens of these, and frozen parts need no copying."""
        if deep:
            return super().model_copy(update=update, deep=True)
        fields = update or {}
        copied = self.__class__.__new__(self.__class__)
        object.__setattr__(copied, "__dict__", {**self.__dict__, **fields})
        object.__setattr__(copied, "__pydantic_fields_set__", _NO_FIELDS)
        object.__setattr__(copied, "__pydantic_extra__", None)
        object.__setattr__(copied, "__pydantic_private__", None)
        return copied


class Enum(StrEnum):
    """A CamelCase word of the API."""


Whole = Annotated[int, Field(strict=True)]
"""An integer as the API server knows it: ``3``, neither ``"3"`` nor ``3.5`` nor ``true``."""

Flag = Annotated[bool, Field(strict=True)]
"""``true`` or ``false``, no word for it."""


def rule(
    expression: str, message: str, *, message_expression: str | None = None, field_path: str | None = None
) -> dict[str, str]:
    """One CEL rule of `x-kubernetes-validations`; `field_path` (`.server.image`) names the field that is to blame."""
    found = {"rule": expression, "message": message}
    if message_expression:
        found["messageExpression"] = message_expression
    if field_path:
        found["fieldPath"] = field_path
    return found


def validations(*rules: dict[str, str]) -> dict[str, Any]:
    """The schema extension that carries CEL rules to the CRD."""
    return {"x-kubernetes-validations": list(rules)}


def canonical_json(value: Any) -> str:
    """One text for each JSON value, whatever the order of its keys."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def fingerprint(value: Any) -> str:
    """Equal for equal JSON values alone, whatever the order of their keys: 32 hex digits."""
    return hashlib.blake2b(canonical_json(value).encode(errors="surrogatepass"), digest_size=16).hexdigest()


def unique(names: Iterable[str | None], what: str) -> None:
    """Raise ValueError for a name that stands twice; None is no name."""
    seen: set[str] = set()
    for name in names:
        if name is not None and name in seen:
            raise ValueError(f"{what} must be unique, found {name} twice")
        if name is not None:
            seen.add(name)
