"""What a person says of the traffic that a plan is to be judged by, and which metrics that is enough for."""

from __future__ import annotations

from dataclasses import dataclass

from modelrollout.api.analysis import Method, Metric


@dataclass(frozen=True, slots=True)
class Given:
    """What a person says about the traffic: requests per second of all versions, shares of bad and of slow ones (None: not said)."""

    rps: float
    error_rate: float
    slow_share: float | None = None

    def rate(self, metric: Metric) -> float:
        """The share of stable's requests that are bad for a metric."""
        return self.error_rate if self.slow_share is None or metric.latency is None else self.slow_share


def why_not(metric: Metric, given: Given) -> str:
    """Why a metric cannot be planned; empty where it can."""
    if metric.query is not None:
        return "a query yields a number, not counts: failed checks decide, with no stated error probability"
    if metric.judged_by is not Method.SEQUENTIAL:
        return "method Threshold: failed checks decide, with no stated error probability"
    if metric.disagreement is not None:
        return "how often answers differ is not known before they are compared"
    if metric.ratio is not None:
        return "its rate is its own, and only those of errors and slow requests can be named here"
    if metric.latency is not None and given.slow_share is None:
        return f"name the share of requests {slower(metric)} with --slow-share"
    return ""


def slower(metric: Metric) -> str:
    """Which requests of a latency metric are bad."""
    assert metric.latency is not None
    bound = metric.latency.threshold
    return f"slower than {bound}" if bound is not None else "slower than one of its bounds"
