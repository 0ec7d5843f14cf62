"""How the operator speaks of itself: its own Prometheus metrics and its log lines.

Metrics live in a registry of our own, not in the library's global one, so that a test or a second queue in the process
starts from zero; names of the queue's metrics are those of client-go, so that existing dashboards fit. Log lines are JSON
for machines and plain on a terminal. Which object a line is about is carried by a context variable: everything that
happens inside `with about("ml/fraud")`, in libraries too, is stamped with it.
"""

import json
import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TextIO

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_about: ContextVar[str] = ContextVar("about", default="")

_SECONDS = (0.001, 0.005, 0.02, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_BYTES = tuple(float(1 << power) for power in range(10, 27, 2))


@contextmanager
def about(what: str) -> Iterator[None]:
    """Stamp all log lines of this context with an object, `namespace/name`."""
    token = _about.set(what)
    try:
        yield
    finally:
        _about.reset(token)


class QueueMetrics:
    """The metrics of one work queue, named as in client-go and labelled with the queue's name."""

    def __init__(self, registry: CollectorRegistry, name: str = "modeldeployment") -> None:
        def histogram(metric: str, text: str) -> Histogram:
            return Histogram(metric, text, ["name"], registry=registry, buckets=_SECONDS).labels(name)

        def counter(metric: str, text: str) -> Counter:
            return Counter(metric, text, ["name"], registry=registry).labels(name)

        def gauge(metric: str, text: str) -> Gauge:
            return Gauge(metric, text, ["name"], registry=registry).labels(name)

        self._depth = gauge("workqueue_depth", "Keys that wait for a worker")
        self._longest = gauge(
            "workqueue_longest_running_processor_seconds", "How long the slowest worker is at its key"
        )
        self._adds = counter("workqueue_adds", "Keys queued")
        self._retries = counter("workqueue_retries", "Keys queued again after a failure")
        self._waited = histogram("workqueue_queue_duration_seconds", "How long a key waited for a worker")
        self._worked = histogram("workqueue_work_duration_seconds", "How long a worker was at a key")

    def depth(self, read: Callable[[], float]) -> None:
        self._depth.set_function(read)

    def unfinished(self, read: Callable[[], float]) -> None:
        self._longest.set_function(read)

    def added(self) -> None:
        self._adds.inc()

    def retried(self) -> None:
        self._retries.inc()

    def taken(self, waited: float) -> None:
        self._waited.observe(waited)

    def done(self, worked: float) -> None:
        self._worked.observe(worked)


class RequestMetrics:
    """Requests to the API server; `observe` fits the client's observer."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "modelrollout_api_requests",
            "Requests to the API server by verb, resource and code (or error)",
            ["verb", "resource", "code"],
            registry=registry,
        )
        self._seconds = Histogram(
            "modelrollout_api_request_duration_seconds",
            "How long the API server took to answer",
            ["verb"],
            registry=registry,
            buckets=_SECONDS,
        )

    def observe(self, verb: str, resource: str, code: str, seconds: float) -> None:
        self._requests.labels(verb, resource, code).inc()
        self._seconds.labels(verb).observe(seconds)


class QueryMetrics:
    """Questions to metrics providers and what became of them; it fits the Sampler's observer.

    `outcome` is `Ok`, or the class of error without its ending: Hang, Unavailable, Answer, TooLarge, Refused, Clock …
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._queries = Counter(
            "modelrollout_provider_queries",
            "Queries to metrics providers by provider and outcome",
            ["provider", "outcome"],
            registry=registry,
        )
        self._seconds = Histogram(
            "modelrollout_provider_query_duration_seconds",
            "How long a metrics provider took to answer, the wait for a free connection included",
            ["provider"],
            registry=registry,
            buckets=_SECONDS,
        )
        self._bytes = Histogram(
            "modelrollout_provider_answer_bytes",
            "Size of the answers of metrics providers",
            ["provider"],
            registry=registry,
            buckets=_BYTES,
        )
        self._dropped = Counter(
            "modelrollout_provider_dropped_values",
            "Values in answers that could not be used, by provider and reason",
            ["provider", "reason"],
            registry=registry,
        )

    def queried(self, provider: str, seconds: float, received: int, error: str | None) -> None:
        """One query is over. `error`: its class, None if it was answered; `received`: bytes of the answer."""
        outcome = "Ok" if error is None else error.removesuffix("Error")
        self._queries.labels(provider, outcome).inc()
        self._seconds.labels(provider).observe(seconds)
        self._bytes.labels(provider).observe(received)

    def dropped(self, provider: str, reason: str, samples: int) -> None:
        """So many values of an answer were no counts."""
        self._dropped.labels(provider, reason).inc(samples)


def loop_lag(registry: CollectorRegistry) -> Histogram:
    """How late the event loop runs what is due; more than a moment means that something blocks it."""
    return Histogram(
        "modelrollout_event_loop_lag_seconds", "Lag of the event loop", registry=registry, buckets=_SECONDS
    )


# The attributes that every record has; anything else on a record was given as `extra`.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, object, message, then whatever was given as `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": _utc(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        if what := _about.get():
            line["object"] = what
        line["message"] = record.getMessage()
        line.update((name, value) for name, value in vars(record).items() if name not in _STANDARD and name not in line)
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class HumanFormatter(logging.Formatter):
    """`12:00:01 WARNING ml/fraud: message`, for a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        what = f"{_about.get()}: " if _about.get() else ""
        text = f"{clock} {record.levelname:<7} {what}{record.getMessage()}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


def _utc(epoch: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(epoch)) + f".{int(epoch % 1 * 1000):03d}Z"


def set_up_logging(level: str = "INFO", *, stream: TextIO = sys.stderr, style: str = "auto") -> None:
    """Send all log lines to one stream; style is `json`, `human`, or `auto`: human on a terminal."""
    human = style == "human" or (style == "auto" and stream.isatty())
    handler = logging.StreamHandler(stream)
    handler.setFormatter(HumanFormatter() if human else JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
