"""Whether two answers agree, as it was declared: exactly, within a tolerance, in their class, or in their first k classes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from .paths import Missing, Path, parse, pick, without

MISFIT = object()
"""Stands for what a method cannot read: a text where numbers are needed."""


class Verdict(Enum):
    """What came of a pair of answers."""

    AGREE = "Agree"
    DISAGREE = "Disagree"
    INCOMPARABLE = "Incomparable"
    """Stable's answer has no prediction that could be read as declared; that says nothing about the candidate."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """How answers are compared. `relative`: the tolerance is a share of stable's number."""

    method: str
    path: Path = ()
    tolerance: float = 0.0
    relative: bool = False
    k: int = 1
    ignore: tuple[Path, ...] = ()

    @classmethod
    def of(cls, written: Mapping[str, Any]) -> Comparison:
        """From `shadow.compare` as it stands in YAML. Raises ValueError and KeyError."""
        if written["method"] not in _METHODS:
            raise ValueError(f"method {written['method']!r} is not known")
        tolerance = str(written.get("tolerance", "0"))
        relative = tolerance.endswith("%")
        return cls(
            method=written["method"],
            path=parse(written.get("path") or ""),
            tolerance=float(tolerance.rstrip("%")) / (100 if relative else 1),
            relative=relative,
            k=int(written.get("k", 1)),
            ignore=tuple(parse(path) for path in written.get("ignore") or ()),
        )

    def judge(self, stable: Any, candidate: Any) -> tuple[Verdict, float | None]:
        """The verdict on two JSON answers, and the largest distance of two numbers where they are numbers."""
        read = _METHODS[self.method]
        try:
            expected = [read(self, without(value, self.ignore)) for value in pick(stable, self.path)]
        except Missing:
            return Verdict.INCOMPARABLE, None
        if not expected or any(one is MISFIT for one in expected):
            return Verdict.INCOMPARABLE, None
        try:
            found = [read(self, without(value, self.ignore)) for value in pick(candidate, self.path)]
        except Missing:
            return Verdict.DISAGREE, None
        if len(found) != len(expected) or any(one is MISFIT for one in found):
            return Verdict.DISAGREE, None
        deltas = [_distance(one, other) for one, other in zip(expected, found, strict=True)]
        known = [delta for delta in deltas if delta is not None and math.isfinite(delta)]
        same = all(self._same(one, other) for one, other in zip(expected, found, strict=True))
        return Verdict.AGREE if same else Verdict.DISAGREE, max(known) if len(known) == len(deltas) else None

    def _same(self, stable: Any, candidate: Any) -> bool:
        if self.method != "Tolerance":
            return equal(stable, candidate)
        return len(stable) == len(candidate) and all(
            abs(one - other) <= self.tolerance * (abs(one) if self.relative else 1.0)
            for one, other in zip(stable, candidate, strict=True)
        )


def equal(one: Any, other: Any) -> bool:
    """Whether two JSON values are the same: 1 is 1.0, and true is not 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return one == other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(equal(value, other[name]) for name, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(equal, one, other))
    return type(one) is type(other) and bool(one == other)


def _exact(_comparison: Comparison, value: Any) -> Any:
    return value


def _numbers(_comparison: Comparison, value: Any) -> Any:
    """All numbers of a number or of lists of numbers, in order; lists of other lengths have other numbers of numbers."""
    found: list[float] = []
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list):
            waiting += reversed(item)
        elif _is_number(item):
            found.append(float(item))
        else:
            return MISFIT
    return found


def _label(_comparison: Comparison, value: Any) -> Any:
    """A class itself, or of scores the one with the highest."""
    if isinstance(value, (str, bool)) or _is_number(value):
        return value
    ranked = _ranked(value)
    return ranked[0] if ranked else MISFIT


def _top(comparison: Comparison, value: Any) -> Any:
    """The first k classes in the order of their names: of a list of classes, or of scores."""
    ranked = _ranked(value)
    if ranked is None and isinstance(value, list) and all(isinstance(item, str) for item in value):
        ranked = list(value)
    return sorted(ranked[: comparison.k], key=str) if ranked else MISFIT


def _ranked(value: Any) -> list[Any] | None:
    """Classes by falling score: names of a map of scores, numbers of places of a list of scores; None where there are no scores."""
    if isinstance(value, dict):
        scores = list(value.items())
    elif isinstance(value, list):
        scores = list(enumerate(value))
    else:
        return None
    if not all(_is_number(score) and math.isfinite(score) for _, score in scores):
        return None
    return [name for name, _ in sorted(scores, key=lambda item: -item[1])]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _distance(one: Any, other: Any) -> float | None:
    if _is_number(one) and _is_number(other):
        return abs(float(one) - float(other))
    if (
        isinstance(one, list)
        and isinstance(other, list)
        and len(one) == len(other)
        and all(map(_is_number, one + other))
    ):
        return max((abs(float(a) - float(b)) for a, b in zip(one, other, strict=True)), default=0.0)
    return None


_METHODS: dict[str, Callable[[Comparison, Any], Any]] = {
    "Exact": _exact,
    "Tolerance": _numbers,
    "Label": _label,
    "TopK": _top,
}
