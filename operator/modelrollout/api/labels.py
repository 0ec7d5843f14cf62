"""Label selectors as `kubectl --selector` takes them.

The API server selects what it lists and tells. An object that is read by its name, or answered to a write, comes whatever its
labels are; here is told whether it is still one of those that were asked for. What could not be said here in the same way
as by the server (`>` and `<`, which nobody uses for labels of resources) is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_NAME = r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_DNS = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
_PREFIX = rf"{_DNS}(?:\.{_DNS})*/"
_KEY = rf"(?:{_PREFIX})?{_NAME}"
_BLANKS = " \t\r\n"
_B = f"[{_BLANKS}]"
_TERM = re.compile(
    rf"(?P<key>{_KEY})(?:{_B}*(?P<sign>==?|!=){_B}*(?P<value>[^()=!]*)|{_B}+(?P<word>in|notin){_B}*\((?P<values>[^()]*)\))?"
    rf"|!{_B}*(?P<absent>{_KEY})"
)
_VALUE = re.compile(rf"(?:{_NAME})?")
_BETWEEN = re.compile(r",(?![^()]*\))")
"""A comma that does not stand in parentheses."""

LONGEST = 2000
"""Characters; a selector travels in the address of each list and watch."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """The label `key` has one of the `values` (None: any value), or, `negated`, it has not. A label that lacks has none."""

    key: str
    values: frozenset[str] | None = None
    negated: bool = False

    def met(self, labels: Mapping[str, str]) -> bool:
        held = self.key in labels and (self.values is None or labels[self.key] in self.values)
        return held is not self.negated


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """Which objects are meant: those whose labels meet all requirements; without one, all."""

    requirements: tuple[Requirement, ...] = ()

    @classmethod
    def parse(cls, text: str) -> LabelSelector:
        """Read `shard=a`, `team!=ads`, `team in (risk, fraud)`, `team notin (ads)`, `team`, `!team`, joined by commas.

        Raises ValueError.
        """
        if not text.strip(_BLANKS):
            return cls()
        if len(text) > LONGEST:
            raise ValueError(f"a label selector has at most {LONGEST} characters, this one has {len(text)}")
        return cls(tuple(_requirement(term.strip(_BLANKS), text) for term in _BETWEEN.split(text)))

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether an object with these labels is meant."""
        return all(requirement.met(labels) for requirement in self.requirements)


def _requirement(term: str, text: str) -> Requirement:
    found = _TERM.fullmatch(term)
    if found is None:
        raise _not_one(text)
    if absent := found["absent"]:
        return Requirement(absent, negated=True)
    if found["sign"]:
        values = [found["value"]]
    elif found["word"]:
        values = [value.strip(_BLANKS) for value in found["values"].split(",")]
    else:
        return Requirement(found["key"])
    if not all(_VALUE.fullmatch(value) for value in values):
        raise _not_one(text)
    return Requirement(found["key"], frozenset(values), negated=found["sign"] == "!=" or found["word"] == "notin")


def _not_one(text: str) -> ValueError:
    return ValueError(f"{text!r} is not a label selector such as shard=a or team in (risk, fraud)")
