"""A Prometheus that scrapes the pods of a life, and requests that nobody sends: a test says what each version answers.

Counters grow by real time, so that windows of the operator's grid are filled while a test waits. The query API is the double of
`tests.fakes.prometheus`; it can go away in every way that is known, and come back.
"""

import asyncio
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from tests.fakes.prometheus import (
    Fault,
    FaultyServer,
    Scraper,
    drip_body,
    hang,
    huge,
    instant_rows,
    range_rows,
    skewed,
    status,
    truncated,
)
from tests.fakes.promql import Samples, evaluate
from tests.harness.life import REVISION, Life

EVERY = 0.5
"""Seconds between two scrapes."""
BOUNDS = ("0.1", "0.25", "0.5", "1", "+Inf")


@dataclass
class Answers:
    """What a version does with its requests. `rate`: requests per second and pod; `slow`: share above half a second."""

    rate: float = 60.0
    errors: float = 0.0
    slow: float = 0.0
    exposed: bool = True
    """Whether its /metrics has the counters at all."""


class LockedSamples(Samples):
    """Samples that are read by one thread while another scrapes."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()

    def add(self, *arguments: Any) -> None:
        with self._lock:
            super().add(*arguments)

    def select(self, *arguments: Any, **options: Any) -> Any:
        with self._lock:
            return iter(list(super().select(*arguments, **options)))


@dataclass
class _Counted:
    """One pod's counters."""

    since: float
    total: float = 0.0
    errors: float = 0.0
    slow: float = 0.0

    def grow(self, answers: Answers, now: float) -> None:
        requests = answers.rate * (now - self.since)
        self.since, self.total = now, self.total + requests
        self.errors += requests * answers.errors
        self.slow += requests * answers.slow

    def exposed(self) -> dict[str, Any]:
        bad, total, slow = int(self.errors), int(self.total), int(self.slow)
        handler = {"handler": "/predict", "method": "POST"}
        buckets = [
            (handler | {"le": bound}, total - slow if bound in ("0.1", "0.25", "0.5") else total) for bound in BOUNDS
        ]
        return {
            "http_requests_total": [
                (handler | {"status": "200"}, total - bad),
                (handler | {"status": "500"}, bad),
            ],
            "http_request_duration_seconds_bucket": buckets,
            "http_request_duration_seconds_count": [(handler, total)],
        }


@dataclass
class Traffic:
    """Use as a context. `answers` by version slug; versions that are not named answer well."""

    life: Life
    answers: dict[str, Answers] = field(default_factory=dict)
    scraping: bool = True

    def __post_init__(self) -> None:
        self._samples = LockedSamples()
        self._scraper = Scraper(self._samples)
        self._pods: dict[str, _Counted] = {}
        self._server = FaultyServer(self._samples)
        self._port = self._server._server.server_port
        self._listening = True

    @property
    def url(self) -> str:
        return self._server.url

    def __enter__(self) -> Self:
        self._server.__enter__()
        self._task = self.life.objects.server.background.start(self._scrape())
        return self

    def __exit__(self, *_: object) -> None:
        self.life.objects.server.background.end(self._task)
        if not self._listening:
            self.back()
        self._server.__exit__()

    async def _scrape(self) -> None:
        while True:
            if self.scraping:
                self._scrape_all(round(time.time(), 3))
            await asyncio.sleep(EVERY)

    def _scrape_all(self, now: float) -> None:
        alive = set()
        for pod in self.life.observer.all("Pod"):
            name, labels = pod["metadata"]["name"], pod["metadata"].get("labels") or {}
            ready = any(
                one["type"] == "Ready" and one["status"] == "True"
                for one in pod.get("status", {}).get("conditions", ())
            )
            if REVISION not in labels or not ready or pod["metadata"].get("deletionTimestamp"):
                continue
            alive.add(name)
            answers = self.answers.get(labels[REVISION].rsplit("-", 1)[0], Answers())
            counted = self._pods.setdefault(name, _Counted(now))
            counted.grow(answers, now)
            self._scraper.scrape(now, self._target(name), counted.exposed() if answers.exposed else {})
        for name in [name for name in self._pods if name not in alive]:
            del self._pods[name]
            self._scraper.forget(now, self._target(name))

    def _target(self, pod: str) -> dict[str, str]:
        return {"namespace": self.life.namespace, "pod": pod, "job": "pods", "instance": pod}

    def away(self, how: str) -> None:
        """Go away: `refused`, `empty`, `stale`, or one of `FAULTS`."""
        if how == "refused":
            self._server.fault = _cut
            self._server._server.shutdown()
            self._server._server.server_close()
            self._listening = False
        elif how == "stale":
            self.scraping = False
        elif how == "empty":
            self._server.samples = LockedSamples()
        else:
            self._server.fault = FAULTS[how]

    def back(self) -> None:
        """Come back, with what was scraped meanwhile."""
        self._server.fault, self._server.samples, self.scraping = None, self._samples, True
        self._server.released.set()
        self._server.released = threading.Event()
        if not self._listening:
            again = ThreadingHTTPServer(("127.0.0.1", self._port), self._server._server.RequestHandlerClass)
            again.daemon_threads = True
            self._server._server = again
            self._server._thread = threading.Thread(target=again.serve_forever, args=(0.02,), daemon=True)
            self._server._thread.start()
            self._listening = True


def _cut(handler: Any) -> None:
    """Connections that are kept alive end with the server."""
    handler.close_connection = True


def _bent(bend: Callable[[list[Any]], list[Any]], only: str = "") -> Fault:
    """The proper answer with its rows bent, where `only` is in the query; `bend` gets the values of a row as (time, text)."""

    def answer(handler: Any) -> None:
        query = {name: values[0] for name, values in parse_qs(urlsplit(handler.path).query).items()}
        samples, wanted = handler.double.samples, only in query["query"]
        if "time" in query:
            at = float(query["time"])
            value = evaluate(query["query"], samples, at)
            kind, rows = ("scalar" if isinstance(value, float) else "vector"), instant_rows(value, at)
            rows = bend(rows) if kind == "vector" and wanted else rows
        else:
            times = (float(query[name]) for name in ("start", "end", "step"))
            kind, rows = "matrix", range_rows(query["query"], samples, *times)
            rows = bend(rows) if wanted else rows
        body = {"status": "success", "data": {"resultType": kind, "result": rows}}
        handler.answer(200, json.dumps(body).encode())

    return answer


def _all(text: str) -> Fault:
    """Every number reads so."""

    def bend(rows: list[Any]) -> list[Any]:
        for row in rows:
            if "value" in row:
                row["value"][1] = text
            else:
                row["values"] = [[at, text] for at, _ in row["values"]]
        return rows

    return _bent(bend)


def _refusing(only: str) -> Fault:
    """Refuses the queries with this text in them and answers the others."""
    proper = _bent(lambda rows: rows)

    def answer(handler: Any) -> None:
        if only in parse_qs(urlsplit(handler.path).query)["query"][0]:
            handler.answer(422, b'{"status":"error","errorType":"execution","error":"too many samples"}')
        else:
            proper(handler)

    return answer


FAULTS: dict[str, Fault] = {
    "hanging": hang,
    "500": status(500),
    "503": status(503, b'{"status":"error","error":"starting"}'),
    "html": status(200, b"<html>Sign in</html>", "text/html"),
    "truncated": truncated,
    "dripping": drip_body,
    "huge": huge,
    "nan": _all("NaN"),
    "inf": _all("+Inf"),
    "negative": _all("-1"),
    "doubled": _bent(lambda rows: rows * 2),
    "ahead": skewed(300.0),
    "behind": skewed(-300.0),
    "partial": _refusing("_bucket"),
}
"""All of them over HTTP."""
