"""From the rows of an answer to tables of values by time, version and pod.

Rows of pods that nobody asked for are left out at once. What cannot be a count (NaN, infinite, negative, a second row of the same
pod) is kept as NaN, so that it spoils that pod's window instead of reading as zero. Parsing runs off the event loop.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from modelrollout.api.settings import TargetLabels

from .batches import Target
from .counters import count
from .errors import AnswerError
from .pod_names import owners

Rows = list[Any]
Row = dict[str, float]
"""Pod → value."""
Buckets = dict[str, dict[str, float]]
"""Pod → bound `le` as written → value."""


def moment(at: float) -> float:
    """A time as key of a table: answers carry milliseconds."""
    return round(at, 3)


@dataclass(slots=True)
class Table:
    """Values by time (see `moment`) and version; `spoilt` counts values that are no counts."""

    rows: dict[float, dict[Target, Row]] = field(default_factory=dict)
    buckets: dict[float, dict[Target, Buckets]] = field(default_factory=dict)
    spoilt: int = 0

    def merge(self, other: Table) -> None:
        """Take in the table of another batch."""
        for at, rows in other.rows.items():
            self.rows.setdefault(at, {}).update(rows)
        for at, buckets in other.buckets.items():
            self.buckets.setdefault(at, {}).update(buckets)
        self.spoilt += other.spoilt


Presence = dict[float, dict[tuple[str, str], float]]
"""Time → (namespace, pod) → encoded presence."""
Bounds = dict[Target, set[str]]


def _targets(
    labels: TargetLabels, label: str, wanted: Collection[Target]
) -> Callable[[Mapping[str, str]], Target | None]:
    """Which of the `wanted` versions a series is about: told by a label, or by the pod's name."""
    known = {(target.namespace, target.name): target for target in wanted}

    def find(metric: Mapping[str, str]) -> Target | None:
        space = metric.get(labels.namespace, "")
        names = (metric.get(label, ""),) if label else owners(metric.get(labels.pod, ""))
        return next((known[space, name] for name in names if (space, name) in known), None)

    return find


def counts(labels: TargetLabels, label: str, wanted: Collection[Target], *, buckets: bool) -> Callable[[Rows], Table]:
    """A parser of counters, for the `wanted` versions."""
    target_of = _targets(labels, label, wanted)

    def parse(rows: Rows) -> Table:
        table = Table()
        for row in rows:
            metric = row["metric"]
            pod = metric.get(labels.pod, "")
            target = target_of(metric)
            if target is None:
                continue
            for at, text in _values(row):
                value = count(float(text))
                if buckets:
                    cells = table.buckets.setdefault(moment(at), {}).setdefault(target, {}).setdefault(pod, {})
                    cell = metric["le"]
                else:
                    cells, cell = table.rows.setdefault(moment(at), {}).setdefault(target, {}), pod
                value = math.nan if cell in cells else value
                table.spoilt += math.isnan(value)
                cells[cell] = value
        return table

    return parse


def presence(labels: TargetLabels) -> Callable[[Rows], Presence]:
    """A parser of `promql.presence`."""

    def parse(rows: Rows) -> Presence:
        found: Presence = {}
        for row in rows:
            metric = row["metric"]
            pod = (metric.get(labels.namespace, ""), metric.get(labels.pod, ""))
            for at, text in _values(row):
                found.setdefault(moment(at), {})[pod] = float(text)
        return found

    return parse


def bounds(labels: TargetLabels, label: str, wanted: Collection[Target]) -> Callable[[Rows], Bounds]:
    """A parser of the bounds that histograms have, by version."""
    target_of = _targets(labels, label, wanted)

    def parse(rows: Rows) -> Bounds:
        found: Bounds = {}
        for row in rows:
            metric = row["metric"]
            target = target_of(metric)
            if target is not None and _is_number(metric["le"]):
                found.setdefault(target, set()).add(metric["le"])
        return found

    return parse


def numbers(rows: Rows) -> dict[float, float]:
    """A user's query: time → its one number; times without one are left out. Raises AnswerError for more than one."""
    if len(rows) == 2 and not isinstance(rows[0], dict):  # noqa: PLR2004  a scalar: time and value
        rows = [{"value": rows}]
    if len(rows) > 1:
        raise AnswerError(f"the query yields {len(rows)} numbers for one version, and one is wanted")
    values = [(moment(at), float(text)) for row in rows for at, text in _values(row)]
    return {at: value for at, value in values if math.isfinite(value)}


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _values(row: Any) -> list[Any]:
    """The (time, text) pairs of a row; none for native histograms."""
    found = row.get("values")
    if found is not None:
        return list(found)
    return [row["value"]] if "value" in row else []
