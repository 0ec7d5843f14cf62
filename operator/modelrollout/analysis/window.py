"""What the metrics layer hands over: disjoint windows of counts, one metric at a time.

A window is the time between two neighbouring points of the sampling grid. It carries *differences of counters* (never rates)
of the candidate and of stable, or one number of each for a gauge, or says why there is none. Nothing here knows Prometheus.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Answer(StrEnum):
    """Whether a window has data."""

    COUNTS = "Counts"
    VALUES = "Values"
    NO_DATA = "NoData"
    ERROR = "Error"


@dataclass(frozen=True, slots=True)
class Counts:
    """Requests and bad events of one version in one window. Invariant: 0 <= bad <= requests."""

    requests: int
    bad: int

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.requests + other.requests, self.bad + other.bad)


ZERO = Counts(0, 0)


@dataclass(frozen=True, slots=True)
class Window:
    """One metric between two grid points; `start` and `end` are seconds since 1970 UTC on the metric's grid.

    COUNTS: `candidate` and `stable` are set (ZERO where a version had no request but its target was up).
    VALUES: `candidate_value` and `stable_value` (None where that version had no number; stable may be absent).
    NO_DATA, ERROR: `message` says why, in one sentence for a person.
    `pods` keeps the counts by pod where the metrics layer knows them: candidate's then stable's, for the design effect.
    `bounds`, for a latency without a threshold: for each bound of the histogram that both versions have (at most 12, rising,
    such as ``0.25s``) the counts of candidate and stable, bad being slower than it. Then `candidate` and `stable` count no bad ones.
    """

    start: float
    end: float
    answer: Answer
    candidate: Counts = ZERO
    stable: Counts = ZERO
    candidate_value: float | None = None
    stable_value: float | None = None
    message: str = ""
    effective_threshold: str | None = None
    """Latency: the histogram bound that was used, such as ``0.25s``."""
    bounds: tuple[tuple[str, Counts, Counts], ...] = ()
    candidate_pods: tuple[tuple[str, Counts], ...] = ()
    stable_pods: tuple[tuple[str, Counts], ...] = ()

    @property
    def answered(self) -> bool:
        """Whether it counts as covered time."""
        return self.answer in (Answer.COUNTS, Answer.VALUES)
