"""What is read off while a fleet runs: the kernel's word on the process, its own metrics, the API server's, the played Prometheus'.

A `Reading` is everything at one moment; what lies between two of them is a `Stretch`.
"""

import json
import os
import time
import urllib.request
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

WRITES = frozenset({"POST", "PUT", "PATCH", "APPLY", "DELETE"})
READS = frozenset({"GET", "LIST"})
OURS = frozenset({"modeldeployments", "controllerrevisions", "httproutes", "rolloutcommands"})
"""Resources that in a steady fleet nobody but the operator asks for, so that the API server's counts are its."""

Requests = dict[tuple[str, str], int]
Buckets = dict[float, float]

_HISTOGRAMS = {
    "wait": "workqueue_queue_duration_seconds",
    "work": "workqueue_work_duration_seconds",
    "lag": "modelrollout_event_loop_lag_seconds",
}
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Reading:
    """One moment. `cpu` in seconds since the process began, `memory` and `peak` in bytes."""

    at: float
    cpu: float
    memory: int
    peak: int
    requests: Requests
    refused: int
    """Requests that the API server did not carry out, other than by saying that something is not there or has changed."""
    histograms: dict[str, Buckets]
    depth: int
    served: Requests
    queries: int
    received: int


class Meters:
    """Reads them. `page` is the operator's metrics; `server` fetches the API server's, None where it is shared with others."""

    def __init__(
        self, pid: Callable[[], int], page: Callable[[], str], server: Callable[[], str] | None, prometheus: str
    ) -> None:
        self._pid, self._page, self._server, self._prometheus = pid, page, server, prometheus

    def read(self) -> Reading:
        at, pid = time.monotonic(), self._pid()
        cpu, (memory, peak) = cpu_seconds(pid), memory_bytes(pid)
        own = parse(self._page(), ("modelrollout_api_requests", "modelrollout_event_loop", "workqueue_"))
        served = parse(self._server(), ("apiserver_request_total",)) if self._server else []
        with urllib.request.urlopen(f"{self._prometheus}/stats", timeout=30) as answer:  # noqa: S310  our own
            stats = json.load(answer)
        return Reading(
            at,
            cpu,
            memory,
            peak,
            _requests(own, "modelrollout_api_requests_total"),
            _refused(own),
            {name: _buckets(own, metric) for name, metric in _HISTOGRAMS.items()},
            int(next((sample.value for sample in own if sample.name == "workqueue_depth"), 0)),
            _requests(served, "apiserver_request_total"),
            stats["queries"],
            stats["bytes"],
        )


@dataclass(frozen=True)
class Stretch:
    """The time between two readings of one process."""

    first: Reading
    last: Reading

    @property
    def seconds(self) -> float:
        return self.last.at - self.first.at

    @property
    def cpu(self) -> float:
        return self.last.cpu - self.first.cpu

    @property
    def queries(self) -> int:
        return self.last.queries - self.first.queries

    @property
    def refused(self) -> int:
        return self.last.refused - self.first.refused

    @property
    def received(self) -> int:
        return self.last.received - self.first.received

    def requests(self) -> Requests:
        """What the operator says it asked, by verb and resource."""
        return _difference(self.last.requests, self.first.requests)

    def served(self) -> Requests:
        """What the API server says it was asked, of the resources that only the operator asks for; watches left out."""
        found = _difference(self.last.served, self.first.served)
        return {key: count for key, count in found.items() if key[1] in OURS and key[0] not in ("WATCH", "WATCHLIST")}

    def count(self, name: str) -> int:
        """How many measurements the histogram has taken."""
        infinity = float("inf")
        return int(self.last.histograms[name].get(infinity, 0) - self.first.histograms[name].get(infinity, 0))

    def quantile(self, name: str, share: float) -> float | None:
        """The bound of the histogram below which so many of the measurements lie; None without any."""
        before = self.first.histograms[name]
        counts = {le: count - before.get(le, 0.0) for le, count in self.last.histograms[name].items()}
        total = counts.get(float("inf"), 0.0)
        return next((le for le, count in sorted(counts.items()) if count >= share * total), None) if total else None


def writes(requests: Requests, *, events: bool = True) -> int:
    """How many of them write; `events`: those that tell people what happened are counted too."""
    return sum(count for (verb, what), count in requests.items() if verb in WRITES and (events or what != "events"))


def reads(requests: Requests, *, lease: bool = False) -> int:
    """How many of them read objects. Looking whether a kind is served, and the lease, are housekeeping of the process."""
    spared = frozenset() if lease else frozenset({"leases"})
    return sum(count for (verb, what), count in requests.items() if verb in READS and what not in spared)


def parse(text: str, beginnings: tuple[str, ...]) -> list[Any]:
    """The samples whose names begin so; the page of an API server is too long to be read whole."""
    lines = [line for line in text.splitlines() if line.startswith(beginnings)]
    families: Iterable[Any] = text_string_to_metric_families("\n".join([*lines, ""]))
    return [sample for family in families for sample in family.samples]


def cpu_seconds(pid: int) -> float:
    """User and system time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def memory_bytes(pid: int) -> tuple[int, int]:
    """Resident memory now and at most, in bytes."""
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(lines["VmRSS"].split()[0]) * 1024, int(lines["VmHWM"].split()[0]) * 1024


def _requests(samples: Iterable[Any], name: str) -> Requests:
    found: Requests = {}
    for sample in samples:
        if sample.name == name:
            key = sample.labels["verb"], sample.labels["resource"]
            found[key] = found.get(key, 0) + int(sample.value)
    return found


def _refused(samples: Iterable[Any]) -> int:
    ordinary = ("1", "2", "404", "409")
    wanted = (one for one in samples if one.name == "modelrollout_api_requests_total")
    return sum(int(one.value) for one in wanted if not one.labels["code"].startswith(ordinary))


def _buckets(samples: Iterable[Any], metric: str) -> Buckets:
    return {float(sample.labels["le"]): sample.value for sample in samples if sample.name == f"{metric}_bucket"}


def _difference(last: Requests, first: Requests) -> Requests:
    found = {key: count - first.get(key, 0) for key, count in last.items()}
    return {key: count for key, count in sorted(found.items()) if count}
