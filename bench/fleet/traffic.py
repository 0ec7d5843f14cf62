"""Counters of a whole fleet that nobody stores: each is a function of time, made from pods and weights.

A pod serves its share of the model's requests from the moment it is ready until it is gone, and the share changes with the
route. So its counters are a line with a kink at each change, and a scrape at any time, past ones included, is one
multiplication. It answers as `Samples` does, for the same evaluator of PromQL; what a selector picks is remembered for as long
as no pod comes or goes.
"""

import zlib
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from bench.fleet.workload import REQUESTS
from tests.fakes.promql import LOOKBACK, Samples

SCRAPE = 5.0
"""Seconds between two scrapes of a pod; each has its own moment."""
FAILED = 0.002
"""Share of answers that are errors, of every version, …"""
BROKEN = 0.5
"""… and so much more of one that has turned bad."""
SLOWER = {"0.1": 0.9, "0.25": 0.97, "0.5": 0.995, "1.0": 0.999, "+Inf": 1.0}
"""Share of requests that took at most so many seconds, of every version."""
REMEMBERED = 600.0
"""Seconds for which a pod that is gone can still be read back."""

Labels = tuple[tuple[str, str], ...]
Count = Callable[[float, float], float]
"""A counter of a pod that has served so many requests, so many of them badly."""


def _series() -> dict[str, list[tuple[dict[str, str], Count]]]:
    request = {"handler": "/predict", "method": "POST"}
    buckets: list[tuple[dict[str, str], Count]] = [
        ({"handler": "/predict", "le": le}, lambda served, _, share=share: float(int(served * share)))
        for le, share in SLOWER.items()
    ]
    return {
        "up": [({}, lambda *_: 1.0)],
        "http_requests_total": [
            (request | {"status": "200"}, lambda served, failed: float(int(served) - int(failed))),
            (request | {"status": "500"}, lambda _, failed: float(int(failed))),
        ],
        "http_request_duration_seconds_bucket": buckets,
    }


SERIES = _series()


@dataclass
class Pod:
    """One pod's requests: from `times[i]` on, `served[i]` and `rates[i]` more each second."""

    namespace: str
    name: str
    model: str
    revision: str
    ready: float
    gone: float = float("inf")
    broken: float = float("inf")
    """When it turned bad."""
    times: list[float] = field(default_factory=list)
    served: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.offset = zlib.crc32(self.name.encode()) % 1000 / 1000 * SCRAPE
        self.target = {
            "namespace": self.namespace,
            "pod": self.name,
            "instance": f"{self.name}:8000",
            "job": "pods",
        }

    def turn(self, at: float, rate: float) -> None:
        """Serve so many requests a second from now on."""
        if self.rates and self.rates[-1] == rate:
            return
        self.served.append(self.requests(at))
        self.times.append(at)
        self.rates.append(rate)

    def requests(self, at: float) -> float:
        """Requests since it began."""
        index = bisect_right(self.times, at) - 1
        return self.served[index] + self.rates[index] * (at - self.times[index]) if index >= 0 else 0.0

    def failed(self, at: float) -> float:
        """Those of its requests that were answered badly."""
        since = self.requests(at) - self.requests(self.broken) if at > self.broken else 0.0
        return FAILED * self.requests(at) + BROKEN * since

    def scraped(self, at: float) -> float | None:
        """When it was last scraped, None if its series do not exist at that time."""
        moment = at - (at - self.offset) % SCRAPE
        return moment if self.ready <= moment and at < self.gone else None


class FleetSamples(Samples):
    """The fleet's series. Told of pods and weights by whoever watches them; read by the evaluator."""

    def __init__(self) -> None:
        super().__init__()
        self._pods: dict[tuple[str, str], Pod] = {}
        self._by_model: dict[tuple[str, str], set[tuple[str, str]]] = {}
        self._weights: dict[tuple[str, str], dict[str, int]] = {}
        self._picked: dict[tuple[str, Any], list[tuple[Labels, Pod, Count]]] = {}

    def come(self, pod: Pod) -> None:
        """A pod has become ready."""
        self._pods[pod.namespace, pod.name] = pod
        self._by_model.setdefault((pod.namespace, pod.model), set()).add((pod.namespace, pod.name))
        self._picked = {}
        self._share(pod.namespace, pod.model, pod.ready)

    def go(self, namespace: str, name: str, at: float) -> None:
        """A pod is gone; whoever was gone for long is forgotten."""
        pod = self._pods.get((namespace, name))
        if pod is None or pod.gone <= at:
            return
        pod.gone = at
        for key, old in list(self._pods.items()):
            if old.gone < at - REMEMBERED:
                del self._pods[key]
                self._by_model[old.namespace, old.model].discard(key)
        self._picked = {}
        self._share(namespace, pod.model, at)

    def weigh(self, namespace: str, model: str, weights: dict[str, int], at: float) -> None:
        """The route carries these basis points by revision."""
        self._weights[namespace, model] = weights
        self._share(namespace, model, at)

    def turn_bad(self, namespace: str, model: str, revision: str, at: float) -> None:
        """From now on a revision fails; its pods that come later are healthy, for it will have none."""
        for key in self._by_model.get((namespace, model), ()):
            if self._pods[key].revision == revision:
                self._pods[key].broken = at

    def known(self, namespace: str, name: str) -> bool:
        return (namespace, name) in self._pods

    def _share(self, namespace: str, model: str, at: float) -> None:
        pods = [self._pods[key] for key in self._by_model.get((namespace, model), ())]
        live = [pod for pod in pods if pod.gone > at]
        weights = self._weights.get((namespace, model), {})
        for pod in live:
            beside = sum(1 for other in live if other.revision == pod.revision)
            pod.turn(at, REQUESTS * weights.get(pod.revision, 0) / 10_000 / beside)

    def select(
        self,
        name: str,
        fits: Callable[[dict[str, str]], bool],
        at: float,
        span: float = LOOKBACK,
        *,
        dead: bool = False,
    ) -> Iterator[tuple[Labels, float, float]]:
        """As `Samples.select`."""
        for labels, pod, count in self._pick(name, fits):
            moment = pod.scraped(min(at, pod.gone - SCRAPE) if dead else at)
            if moment is not None and moment > at - span:
                yield labels, moment, count(pod.requests(moment), pod.failed(moment))

    def _pick(self, name: str, fits: Callable[[dict[str, str]], bool]) -> list[tuple[Labels, Pod, Count]]:
        found = self._picked.get((name, fits))
        if found is None:
            found = [
                (tuple(sorted(labels.items())), pod, count)
                for pod in tuple(self._pods.values())
                for own, count in SERIES.get(name, ())
                if fits(labels := {**pod.target, **own})
            ]
            self._picked[name, fits] = found
        return found
