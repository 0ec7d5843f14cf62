"""Which conditions select the pods of many versions at once, within the length that a URL may have.

A few versions are named one by one. A whole fleet does not fit into a URL, so from some size on it is cheaper to ask for all pods of
its namespaces, or for all pods, and to leave out here what nobody asked for. `narrow` forbids that: the answer was too large.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple
from urllib.parse import quote_plus

from modelrollout.api.settings import TargetLabels

from . import promql

MOST = 2
"""More batches than this make the selection coarser."""

OTHER_PARAMETERS = 150
"""Characters that path, times and step of a query need in its URL."""


class Target(NamedTuple):
    """One version to be told apart: by the name of its Deployment, or (with `label`) by the value of a label."""

    namespace: str
    name: str
    label: str = ""


class Breadth(Enum):
    """How much more than the targets may be asked for."""

    NAMED = auto()
    """Nothing: each version is named, however many batches that makes."""
    FITTING = auto()
    """Whole namespaces where naming would make too many batches."""
    SPACES = auto()
    """Whole namespaces: the names of the pods are not known."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Conditions, and the targets that they select (among others)."""

    conditions: tuple[str, ...]
    targets: tuple[Target, ...]


def batches(
    targets: Iterable[Target],
    labels: TargetLabels,
    render: Callable[[Sequence[str]], str],
    room: int,
    breadth: Breadth = Breadth.FITTING,
) -> list[Batch]:
    """Split targets so that `render(conditions)`, URL-encoded, has at most `room` characters (one target always fits).

    All targets have the same `label`.
    """
    ordered = sorted(set(targets))
    if not ordered:
        return []
    by_name = _by_name(ordered[0].label, labels)
    if breadth is not Breadth.SPACES:
        named = _pack(ordered, by_name, render, room)
        if breadth is Breadth.NAMED or len(named) <= MOST:
            return named
    spaces = _pack(ordered, lambda group: _by_namespace(group, labels), render, room)
    if len(spaces) <= MOST:
        return spaces
    return [Batch((f'{labels.namespace}!=""', f'{labels.pod}!=""'), tuple(ordered))]


def _by_name(label: str, labels: TargetLabels) -> Callable[[Sequence[Target]], tuple[str, ...]]:
    def conditions(group: Sequence[Target]) -> tuple[str, ...]:
        spaces = promql.is_one_of(labels.namespace, sorted({target.namespace for target in group}))
        names = sorted({target.name for target in group})
        if label:
            return (spaces, promql.is_one_of(label, names))
        return (spaces, promql.matches(labels.pod, f"({promql.any_of(names)}){promql.POD_SUFFIX}"))

    return conditions


def _by_namespace(group: Sequence[Target], labels: TargetLabels) -> tuple[str, ...]:
    return (promql.is_one_of(labels.namespace, sorted({target.namespace for target in group})), f'{labels.pod}!=""')


def _pack(
    ordered: Sequence[Target],
    conditions: Callable[[Sequence[Target]], tuple[str, ...]],
    render: Callable[[Sequence[str]], str],
    room: int,
) -> list[Batch]:
    """Fill one batch after the other, each as full as it may be, by bisection on its size."""

    def fits(group: Sequence[Target]) -> bool:
        return len(quote_plus(render(conditions(group)))) <= room

    found: list[Batch] = []
    rest = ordered
    while rest:
        size = len(rest)
        if not fits(rest):
            low, high = 1, len(rest)  # `low` fits or is one; `high` does not fit
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if fits(rest[:middle]) else (low, middle)
            size = low
        found.append(Batch(conditions(rest[:size]), tuple(rest[:size])))
        rest = rest[size:]
    return found
