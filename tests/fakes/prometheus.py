"""Doubles of Prometheus: one in memory for the Sampler, and one that speaks HTTP and fails in every way that is known.

`MemoryPrometheus` is a provider's source without a network: deterministic, answers by `tests.fakes.promql` from samples that a test
scrapes into it, and can be told to fail. `FaultyServer` answers the query API over a real socket; its `fault` says how.
"""

import email.utils
import json
import math
import socket
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from modelrollout.metrics.errors import AnswerError, MetricsError, RefusedError
from tests.fakes.promql import STALE, QueryError, Samples, Vector, evaluate


def _text(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return repr(int(value)) if value == int(value) else repr(value)


def instant_rows(value: Vector | float, at: float) -> list[Any]:
    """`data.result` of an instant query."""
    if isinstance(value, float):
        return [at, _text(value)]
    return [{"metric": dict(labels), "value": [at, _text(number)]} for labels, number in value.items()]


def range_rows(query: str, samples: Samples, start: float, end: float, step: float) -> list[Any]:
    """`data.result` of a range query."""
    rows: dict[Any, list[Any]] = {}
    for index in range(round((end - start) / step) + 1):
        at = start + index * step
        value = evaluate(query, samples, at)
        for labels, number in ({(): value} if isinstance(value, float) else value).items():
            rows.setdefault(labels, []).append([at, _text(number)])
    return [{"metric": dict(labels), "values": values} for labels, values in rows.items()]


class Scraper:
    """Scrapes targets into samples as Prometheus does: `up`, stale markers for what has vanished."""

    def __init__(self, samples: Samples) -> None:
        self.samples = samples
        self._before: dict[tuple[tuple[str, str], ...], set[tuple[str, tuple[tuple[str, str], ...]]]] = {}

    def scrape(self, at: float, target: Mapping[str, str], exposed: Mapping[str, Any] | None) -> None:
        """`exposed`: name → value, or name → list of (labels, value); None: the scrape fails."""
        key = tuple(sorted(target.items()))
        now = set()
        for name, found in (exposed or {}).items():
            for labels, value in found if isinstance(found, list) else [({}, found)]:
                merged = {**labels, **target}
                self.samples.add(name, merged, at, float(value))
                now.add((name, tuple(sorted(merged.items()))))
        for name, labels in self._before.get(key, set()) - now:
            self.samples.add(name, dict(labels), at, STALE)
        self._before[key] = now
        self.samples.add("up", target, at, 0.0 if exposed is None else 1.0)

    def forget(self, at: float, target: Mapping[str, str]) -> None:
        """The target is gone from service discovery."""
        for name, labels in self._before.pop(tuple(sorted(target.items())), set()):
            self.samples.add(name, dict(labels), at, STALE)
        self.samples.add("up", target, at, STALE)


class MemoryPrometheus:
    """A source for the Sampler. `failure` is raised by every query while it is set; `refuse` may refuse single ones.

    `queries` holds (query, start, end) of each that was sent; `skew` as a provider's. `bend` may change rows on their way.
    """

    def __init__(self) -> None:
        self.samples = Samples()
        self.scraper = Scraper(self.samples)
        self.failure: MetricsError | None = None
        self.refuse: Callable[[str], bool] = lambda _: False
        self.bend: Callable[[str, list[Any]], list[Any]] = lambda _, rows: rows
        self.queries: list[tuple[str, float, float]] = []
        self.skew: float | None = None

    async def instant(self, query, at, parse):
        self._note(query, at, at)
        return self._parse(parse, query, lambda: instant_rows(evaluate(query, self.samples, at), at))

    async def range(self, query, start, end, step, parse):
        self._note(query, start, end)
        return self._parse(parse, query, lambda: range_rows(query, self.samples, start, end, step))

    def _note(self, query: str, start: float, end: float) -> None:
        self.queries.append((query, start, end))
        if self.failure is not None:
            raise self.failure
        if self.refuse(query):
            raise RefusedError("HTTP 422: this query is refused")

    def _parse(self, parse, query: str, rows: Callable[[], list[Any]]):
        try:
            return parse(self.bend(query, rows()))
        except QueryError as error:
            raise RefusedError(f"HTTP 400: {error}") from error
        except (KeyError, TypeError, ValueError) as error:
            raise AnswerError("the answer has not the form of a Prometheus'") from error


Fault = Callable[["_Handler"], None]


class FaultyServer:
    """A query API on a loopback port. `fault` (None: answer properly) gets the handler and does with it as it likes."""

    def __init__(self, samples: Samples | None = None) -> None:
        self.samples = samples or Samples()
        self.fault: Fault | None = None
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.released = threading.Event()
        server = self

        class Handler(_Handler):
            double = server

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    double: FaultyServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        self.double.seen.append((self.path, dict(self.headers.items())))
        if self.double.fault is not None:
            self.double.fault(self)
            return
        try:
            if "time" in query:
                at = float(query["time"])
                value = evaluate(query["query"], self.double.samples, at)
                kind, rows = ("scalar" if isinstance(value, float) else "vector"), instant_rows(value, at)
            else:
                times = (float(query[name]) for name in ("start", "end", "step"))
                kind, rows = "matrix", range_rows(query["query"], self.double.samples, *times)
        except QueryError as error:
            self.answer(400, json.dumps({"status": "error", "errorType": "bad_data", "error": str(error)}).encode())
            return
        self.answer(200, json.dumps({"status": "success", "data": {"resultType": kind, "result": rows}}).encode())

    def answer(self, status: int, body: bytes, kind: str = "application/json", **headers: str) -> None:
        """A complete answer."""
        self.send_response_only(status)
        usual = {"Date": self.date_time_string(), "Content-Type": kind, "Content-Length": str(len(body))}
        for name, value in {**usual, **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)


def rows(*found: tuple[dict[str, str], str]) -> bytes:
    """A proper answer with these rows of an instant vector."""
    result = [{"metric": metric, "value": [0, value]} for metric, value in found]
    return json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}}).encode()


def hang(handler: _Handler) -> None:
    """Take the request and say nothing until the server ends."""
    handler.double.released.wait(60)
    handler.close_connection = True


def drip_headers(handler: _Handler) -> None:
    """A byte of the head every now and then: each read succeeds, the answer never comes."""
    _drip(handler, b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 100_000)


def drip_body(handler: _Handler) -> None:
    """The same with the body."""
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    handler.wfile.flush()
    _drip(handler, b" " * 100_000)


def _drip(handler: _Handler, text: bytes) -> None:
    handler.close_connection = True
    try:
        for byte in text:
            handler.connection.sendall(bytes([byte]))
            if handler.double.released.wait(0.05):
                return
    except OSError:
        return


def status(code: int, body: bytes = b"", kind: str = "text/plain", **headers: str) -> Fault:
    """Answer with this status."""
    return lambda handler: handler.answer(code, body, kind, **headers)


def truncated(handler: _Handler) -> None:
    """Promise more than is sent."""
    body = rows(({"pod": "a"}, "1"))
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body[:-10])
    handler.wfile.flush()
    handler.close_connection = True


def skewed(seconds: float) -> Fault:
    """Answer nothing, by a clock that is so many seconds ahead."""
    return lambda handler: handler.answer(200, rows(), Date=email.utils.formatdate(time.time() + seconds, usegmt=True))


def huge(handler: _Handler) -> None:
    """An answer without end, in chunks."""
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.close_connection = True
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    try:
        while not handler.double.released.is_set():
            handler.wfile.write(chunk)
    except OSError:
        return


def refused_url() -> str:
    """An address on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}"
