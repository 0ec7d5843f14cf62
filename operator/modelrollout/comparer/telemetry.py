"""What the comparer exports, under the names that the operator's metrics and people's dashboards read."""

from __future__ import annotations

from enum import Enum

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from .agreement import Verdict

LATENCY_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
DELTA_BUCKETS = (0.0, 0.0001, 0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 100.0, 1000.0)


class Lost(Enum):
    """Why there is no pair of answers to a mirrored request."""

    CANDIDATE_FAILED = "CandidateFailed"
    STABLE_FAILED = "StableFailed"
    BOTH_FAILED = "BothFailed"
    DROPPED = "Dropped"
    """There was more than could be worked off; it reached neither version."""
    TOO_LARGE = "TooLarge"
    """The request, or an answer to it, was larger than is kept in memory."""


class Telemetry:
    """Counters of one pair of revisions. All label sets exist from the start, so that their absence means something."""

    def __init__(self, revision: str, against: str) -> None:
        self.registry = CollectorRegistry()
        pair = {"revision": revision, "against": against}
        names = tuple(pair)
        comparisons = Counter(
            "shadow_comparisons", "Mirrored requests by what came of them.", ("outcome", *names), registry=self.registry
        )
        self._outcomes = {
            outcome: comparisons.labels(outcome.value, *pair.values()) for kind in (Verdict, Lost) for outcome in kind
        }
        deltas = Histogram(
            "shadow_prediction_delta",
            "Distance of two predictions that are numbers.",
            names,
            registry=self.registry,
            buckets=DELTA_BUCKETS,
        )
        self.deltas = deltas.labels(*pair.values())
        durations = Histogram(
            "shadow_request_duration_seconds",
            "Time until a version answered.",
            ("role", *names),
            registry=self.registry,
            buckets=LATENCY_BUCKETS,
        )
        errors = Counter(
            "shadow_errors",
            "Requests that a version answered with a 5xx, not in time or not at all.",
            ("role", *names),
            registry=self.registry,
        )
        roles = ("candidate", "stable")
        self.durations = {role: durations.labels(role, *pair.values()) for role in roles}
        self.errors = {role: errors.labels(role, *pair.values()) for role in roles}

    def count(self, outcome: Verdict | Lost) -> None:
        """One more mirrored request."""
        self._outcomes[outcome].inc()

    def text(self) -> bytes:
        """All series in Prometheus' format."""
        return generate_latest(self.registry)
