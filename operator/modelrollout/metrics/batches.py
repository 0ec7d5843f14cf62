"""Which conditions select the pods of many versions at once, within the length that a URL may have.

A few versions are named one by one. A whole fleet does not fit into a URL, so from some size on it is cheaper to ask for all pods of
its namespaces, or for all pods, and to leave out here what nobody asked for. `narrow` forbids that: the answer was too large.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote_plus

from modelrollout.api.settings import TargetLabels

from . import pod_names, promql

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
    if breadth is not Breadth.SPACES:
        named = _pack(ordered, _by_name(ordered[0].label, labels), render, room)
        if breadth is Breadth.NAMED or len(named) <= MOST:
            return named
    spaces = _pack(ordered, _by_namespace(labels), render, room)
    if len(spaces) <= MOST:
        return spaces
    return [Batch((f'{labels.namespace}!=""', f'{labels.pod}!=""'), tuple(ordered))]


@dataclass(frozen=True, slots=True)
class _Selection:
    """How targets are selected: `conditions` of a group of them, and the texts that a target adds to those (see `_cost`)."""

    conditions: Callable[[Sequence[Target]], tuple[str, ...]]
    texts: Callable[[Target], tuple[tuple[str, str], ...]]


def _by_name(label: str, labels: TargetLabels) -> _Selection:
    def conditions(group: Sequence[Target]) -> tuple[str, ...]:
        spaces = promql.is_one_of(labels.namespace, sorted({target.namespace for target in group}))
        names = sorted({target.name for target in group})
        if label:
            return (spaces, promql.is_one_of(label, names))
        return (spaces, promql.matches(labels.pod, pod_names.expression(names)))

    return _Selection(conditions, lambda target: (("namespace", target.namespace), ("name", target.name)))


def _by_namespace(labels: TargetLabels) -> _Selection:
    def conditions(group: Sequence[Target]) -> tuple[str, ...]:
        spaces = promql.is_one_of(labels.namespace, sorted({target.namespace for target in group}))
        return (spaces, f'{labels.pod}!=""')

    return _Selection(conditions, lambda target: (("namespace", target.namespace),))


def _pack(
    ordered: Sequence[Target], selection: _Selection, render: Callable[[Sequence[str]], str], room: int
) -> list[Batch]:
    """Fill one batch after the other. Lengths are added up, for rendering each trial would take longer than the query."""
    times = render((_MARK,)).count(_MARK)
    frame = len(quote_plus(render(selection.conditions(ordered[:1])))) + times * _SLACK
    groups: list[list[Target]] = []
    seen: set[tuple[str, str]] = set()
    used = 0
    for target in ordered:
        added = sum(_cost(text[1]) for text in selection.texts(target) if text not in seen)
        if not groups or frame + times * (used + added) > room:
            groups.append([])
            seen.clear()
            used = 0
            added = sum(_cost(text[1]) for text in selection.texts(target))
        groups[-1].append(target)
        seen.update(selection.texts(target))
        used += added
    return [Batch(selection.conditions(group), tuple(group)) for group in groups]


_MARK = "mark"
_SLACK = 8  # characters by which the matcher of one text and that of several differ


@lru_cache(maxsize=1 << 14)
def _cost(text: str) -> int:
    """Characters of one more alternative in a URL."""
    return len(quote_plus(promql.content(promql.exactly(text)) + "|"))
