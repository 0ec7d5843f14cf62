"""What programs in pods say of themselves, read from their pages without Prometheus in between."""

import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.served import Served
from tests.harness.watching import Observer

Json = dict[str, Any]

SETTLED = 1.5
"""Seconds without a change after which nothing is under way any more: a request takes milliseconds here."""


@dataclass(frozen=True)
class Tally:
    """Counters at one moment. `stable`, `candidate`: predictions that the pods of each have answered."""

    stable: float
    candidate: float
    pairs: Mapping[str, float]
    """The comparer's, by outcome; none where there is no comparer."""
    deltas: float = 0.0
    """The sum of all distances of predictions that the comparer has seen."""

    def since(self, before: "Tally") -> "Tally":
        pairs = {name: count - before.pairs.get(name, 0) for name, count in self.pairs.items()}
        return Tally(self.stable - before.stable, self.candidate - before.candidate, pairs, self.deltas - before.deltas)

    @property
    def outcomes(self) -> dict[str, int]:
        """The pairs of each outcome that occurred."""
        return {name: round(count) for name, count in self.pairs.items() if count}


def tally(model: Served, stable: str, candidate: str) -> Tally:
    """Read all pods of two versions, and the comparer's."""
    pairs: dict[str, float] = {}
    deltas = 0.0
    for pod in comparers(model):
        for name, labels, value in _page(pod, 9090):
            if name == "shadow_comparisons_total":
                pairs[labels["outcome"]] = pairs.get(labels["outcome"], 0) + value
            elif name == "shadow_prediction_delta_sum":
                deltas += value
    return Tally(_predictions(model, stable), _predictions(model, candidate), pairs, deltas)


def settled(observer: Observer, read: Callable[[], Tally]) -> Tally:
    """Wait until nothing changes any more, and return what stands there then."""
    last, since = read(), time.monotonic()

    def quiet() -> bool:
        nonlocal last, since
        found = read()
        if found != last:
            last, since = found, time.monotonic()
        return time.monotonic() - since > SETTLED

    observer.until(quiet, "requests that are under way are answered", 60)
    return last


def comparers(model: Served) -> list[Json]:
    """The comparer's live pods."""
    return [
        pod
        for pod in model.observer.all("Pod")
        if pod["metadata"].get("labels", {}).get("modelrollout.dev/comparer") == model.name
        and not pod["metadata"].get("deletionTimestamp")
        and pod["status"].get("podIP")
    ]


def _predictions(model: Served, version: str) -> float:
    return sum(
        value
        for pod in model.pods(version).values()
        for name, labels, value in _page(pod, 8000)
        if name == "http_requests_total" and labels["handler"] == "/predict"
    )


def _page(pod: Json, port: int) -> list[tuple[str, dict[str, str], float]]:
    with urllib.request.urlopen(f"http://{pod['status']['podIP']}:{port}/metrics", timeout=10) as answer:
        families = text_string_to_metric_families(answer.read().decode())
        return [(sample.name, sample.labels, sample.value) for family in families for sample in family.samples]
