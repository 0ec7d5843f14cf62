"""Counts and times every request, and writes errors as JSON lines.

The two series are what ModelRollout's FastAPI preset reads: `http_requests_total{method,handler,status}` with the full
status code, and the histogram `http_request_duration_seconds{method,handler}`. `handler` is the route as declared, never
the path as sent: probes and scrapes can be told from predictions, and a scanner cannot make new series.

The series of `/predict` exist from the start at 0. A series born with its first error would hide that error from
everything that works with differences of counters.
"""

import json
import logging
import sys
import time
from collections.abc import Awaitable, Callable, MutableMapping
from datetime import UTC, datetime
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, disable_created_metrics

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER = "none"

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Message, Receive, Send], Awaitable[None]]

log = logging.getLogger(__name__)


class Telemetry:
    """The metrics of one server, in a registry of their own."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._requests = Counter(
            "http_requests", "Requests answered.", ("method", "handler", "status"), registry=self.registry
        )
        self._seconds = Histogram(
            "http_request_duration_seconds",
            "Time from the request's arrival to the last byte of its answer.",
            ("method", "handler"),
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._model = Gauge(
            "model_info", "1 for the model that is loaded.", ("name", "version"), registry=self.registry
        )
        self.in_progress = Gauge("http_requests_in_progress", "Requests being answered now.", registry=self.registry)
        for status in ("200", "422", "500", "503"):
            self._requests.labels("POST", "/predict", status)
        self._seconds.labels("POST", "/predict")

    def observe(self, method: str, handler: str, status: int, seconds: float) -> None:
        method = method if method in METHODS else OTHER
        self._requests.labels(method, handler, str(status)).inc()
        self._seconds.labels(method, handler).observe(seconds)

    def loaded(self, name: str, version: str) -> None:
        self._model.labels(name, version).set(1)


class TelemetryMiddleware:
    """Outermost layer: sees the final status, and turns what nobody caught into a 500 and one line of log.

    The 500 names the version, so that a client can tell whose fault it met when two versions share one address.
    """

    def __init__(self, app: AsgiApp, telemetry: Telemetry, version: Callable[[], str | None]) -> None:
        self._app = app
        self._telemetry = telemetry
        self._version = version

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status: int | None = None

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        self._telemetry.in_progress.inc()
        try:
            await self._app(scope, receive, watch)
        except Exception:
            log.exception(
                "request failed",
                extra={"fields": {"method": scope["method"], "handler": _handler(scope), "status": 500}},
            )
            if status is not None:  # half an answer is out: only a cut connection can tell the client
                status = 500
                raise
            await _send_500(watch, self._version())
        finally:
            self._telemetry.in_progress.dec()
            self._telemetry.observe(scope["method"], _handler(scope), status or 500, time.perf_counter() - began)


def _handler(scope: Message) -> str:
    return getattr(scope.get("route"), "path", OTHER)


async def _send_500(send: Send, version: str | None) -> None:
    body = json.dumps({"detail": "internal error", "model_version": version}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 500, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, message, then the record's `fields` and its exception."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = f"{record.exc_info[0].__name__}: {record.exc_info[1]}"
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def log_as_json() -> None:
    """Send all logging of the process to stdout as JSON lines."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
