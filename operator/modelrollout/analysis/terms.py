"""What the tests of one rollout have in common: error probabilities, the plan of stakes, and each test's share of alpha.

A *test* is a question of a metric judged by evidence: its `compare`, its `limit`. Those that roll back share one false-rollback
probability in equal parts; one that only warns or pauses has it for itself. Whatever changes the terms, an edit of `analysis` above
all, starts all evidence afresh, for the bound holds for a set of tests that was fixed before the first of them was asked.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from modelrollout.api.analysis import Method, Metric, OnBreach


@dataclass(frozen=True)
class Terms:
    """`alpha`, `beta`: probability of a false rollback and of a bad promotion. `planned`: windows over which stakes are spread.

    `interval`: length of a window in seconds. `metrics`: all that the rollout is judged by. `compared`: how answers of both versions
    are held against each other, as text, where a metric counts that.
    """

    alpha: float
    beta: float
    planned: int
    interval: float
    metrics: tuple[Metric, ...]
    compared: str = ""

    @cached_property
    def needed(self) -> float:
        """The log evidence that takes a candidate back: ln(1/alpha)."""
        return -math.log(self.alpha)

    @cached_property
    def certificate_needed(self) -> float:
        """The log evidence that promotion needs: ln(1/beta)."""
        return -math.log(self.beta)

    @cached_property
    def _share(self) -> float:
        return 1.0 / max(1, sum(questions(metric) for metric in self.metrics if shares(metric)))

    def weight(self, metric: Metric) -> float:
        """V of each of the metric's tests: equal shares of 1, or all of it for one that does not share."""
        return self._share if shares(metric) else 1.0

    @cached_property
    def _text(self) -> str:
        rest = "\n".join(metric.text for metric in self.metrics if shares(metric))
        others = f"\n{self.compared}" if self.compared else ""
        return f"{self.alpha!r} {self.beta!r} {self.interval!r}\n{rest}{others}"

    def fingerprint(self, metric: Metric) -> str:
        """Eight hex digits; evidence gathered under another one does not carry over."""
        return hashlib.sha256(f"{self._text}\n{metric.text}".encode()).hexdigest()[:8]


def shares(metric: Metric) -> bool:
    """Whether the metric's tests enter the sum that rolls back."""
    return metric.judged_by is Method.SEQUENTIAL and metric.breach is OnBreach.ROLLBACK


def questions(metric: Metric) -> int:
    """How many tests a metric judged by evidence makes."""
    return (metric.compare is not None) + (metric.limit is not None)


def by_evidence(metrics: Sequence[Metric]) -> tuple[Metric, ...]:
    """Those of the metrics that are judged by evidence."""
    return tuple(metric for metric in metrics if metric.judged_by is Method.SEQUENTIAL)
