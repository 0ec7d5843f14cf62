"""A Prometheus as the Sampler sees it: ask now, or over a range, and get rows or a typed error within a bounded time.

Queries run in threads through prometheus-api-client. Each provider has a few clients of its own, each used by one thread at a time;
a client is lent for one query and comes back when its thread has really ended. So a provider that hangs holds its own few
threads and nobody else's, and one that drips is cut off when the time of the query is over.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

import requests
import urllib3
from prometheus_api_client import PrometheusConnect
from urllib3.util.retry import Retry

from modelrollout.api.settings import Provider

from .errors import AnswerError, HangError, MetricsError, RefusedError, UnavailableError
from .http import LARGEST_ANSWER, BoundedSession, FileAuth, Wire, WireAdapter

T = TypeVar("T")

Rows = list[Any]
"""The `data.result` of an answer, as JSON."""

CLIENTS = 4
"""Queries that one provider is asked side by side."""

_GRACE = 1.0  # seconds in which a thread that was cut off ends
_EPOCH = datetime.fromtimestamp(0, UTC)


class Observer(Protocol):
    """Who wants to know of queries, such as the operator's own metrics. Called on the event loop."""

    def queried(self, provider: str, seconds: float, received: int, error: str | None) -> None:
        """One query: seconds that it took, bytes of its answer, and the class of error (or of what broke it off) or None."""

    def dropped(self, provider: str, reason: str, samples: int) -> None:
        """Samples of an answer that cannot be used."""


class Source(Protocol):
    """What the Sampler asks. Both raise MetricsError; `parse` turns the rows into something, off the event loop."""

    @property
    def skew(self) -> float | None:
        """By how many seconds the provider's clock was ahead of ours at its last answer; None: it did not say."""

    async def instant(self, query: str, at: float, parse: Callable[[Rows], T]) -> T:
        """Evaluate at one time."""

    async def range(self, query: str, start: float, end: float, step: float, parse: Callable[[Rows], T]) -> T:
        """Evaluate at `start`, `start + step`, …, `end`."""


class _Client:
    """A session with the library on top; used by one thread at a time."""

    def __init__(self, provider: Provider, largest: int) -> None:
        self._timeout = provider.timeout.seconds
        self.wire = Wire()
        self.session = BoundedSession(provider, self.wire, largest)
        url = str(provider.url).rstrip("/")
        self._connect = PrometheusConnect(
            url=url,
            headers=provider.headers or None,
            auth=FileAuth(provider.auth),
            session=self.session,
            retry=Retry(0),
            timeout=self._timeout,
        )
        self.session.mount(url, WireAdapter(self.wire))  # in place of the one that the library has put there

    def ask(self, query: str, params: dict[str, str], parse: Callable[[Rows], T]) -> T:
        """One query, in a thread. Raises MetricsError."""
        self.wire.cut = False
        params = {**params, "timeout": f"{self._timeout:g}s"}
        try:
            if "time" in params:
                rows = self._connect.custom_query(query, params=params)
            else:
                rows = self._connect.custom_query_range(query, _EPOCH, _EPOCH, params["step"], params=params)
            return parse(rows)
        except MetricsError as error:
            if self.wire.cut and not isinstance(error, RefusedError):
                raise HangError("timed out") from error
            raise
        except Exception as error:
            if self.wire.cut:
                raise HangError("timed out") from error
            known = _translate(error)
            if known is None:
                raise
            raise known from error


_WORDS: tuple[tuple[tuple[type[Exception], ...], Callable[[Exception], MetricsError]], ...] = (
    (
        (requests.Timeout, urllib3.exceptions.TimeoutError, TimeoutError),
        lambda _: HangError("timed out"),
    ),
    (
        (json.JSONDecodeError, UnicodeDecodeError),
        lambda _: AnswerError("the answer is not JSON"),
    ),
    (
        (urllib3.exceptions.ProtocolError, requests.exceptions.ChunkedEncodingError),
        lambda _: AnswerError("the answer was cut off"),
    ),
    (
        (requests.exceptions.SSLError,),
        lambda error: UnavailableError(f"TLS: {_root(error)}"),
    ),
    (
        (requests.RequestException, urllib3.exceptions.HTTPError, OSError),
        lambda error: UnavailableError(_network(error)),
    ),
    (
        (KeyError, TypeError, ValueError, IndexError, AttributeError, RecursionError),
        lambda _: AnswerError("the answer has not the form of a Prometheus'"),
    ),
)
"""What the libraries below raise, in our words; the first line that fits counts."""


def _translate(error: Exception) -> MetricsError | None:
    """None for a fault of ours."""
    return next((words(error) for kinds, words in _WORDS if isinstance(error, kinds)), None)


def _root(error: BaseException) -> str:
    seen: BaseException = error
    while True:
        reason = getattr(seen, "reason", None)
        inner = reason if isinstance(reason, BaseException) else next(iter(seen.args), None)
        if not isinstance(inner, BaseException):
            return str(getattr(seen, "strerror", None) or reason or seen)
        seen = inner


def _network(error: BaseException) -> str:
    text = f"{error!r}"
    for sign, words in (
        ("Connection refused", "connection refused"),
        ("NameResolutionError", "its name cannot be resolved"),
        ("Connection reset", "connection reset"),
        ("RemoteDisconnected", "connection closed"),
        ("No route to host", "no route to host"),
        ("Network is unreachable", "network unreachable"),
    ):
        if sign in text:
            return words
    return _root(error)[:120]


class PrometheusSource:
    """One provider of the settings, with its clients and threads."""

    def __init__(
        self,
        provider: Provider,
        *,
        now: Callable[[], float] = time.time,
        observer: Observer | None = None,
        largest: int = LARGEST_ANSWER,
    ) -> None:
        self.name = provider.name
        self.skew: float | None = None
        self._seconds = provider.timeout.seconds
        self._now = now
        self._observer = observer
        self._threads = ThreadPoolExecutor(CLIENTS, thread_name_prefix=f"prometheus-{provider.name}")
        self._clients = [_Client(provider, largest) for _ in range(CLIENTS)]
        self._free: asyncio.Queue[_Client] = asyncio.Queue()
        for client in self._clients:
            self._free.put_nowait(client)

    async def instant(self, query: str, at: float, parse: Callable[[Rows], T]) -> T:
        return await self._ask(query, {"time": f"{at:.3f}"}, parse)

    async def range(self, query: str, start: float, end: float, step: float, parse: Callable[[Rows], T]) -> T:
        return await self._ask(query, {"start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step:g}"}, parse)

    def close(self) -> None:
        """Cut all conversations and let the threads end."""
        for client in self._clients:
            client.wire.abort()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _ask(self, query: str, params: dict[str, str], parse: Callable[[Rows], T]) -> T:
        began = time.monotonic()
        failed: str | None = None
        received = 0
        try:
            client = await self._borrow()
            try:
                found = await self._run(client, query, params, parse)
            finally:
                received = client.session.received
            date = client.session.date
            self.skew = None if date is None else date + 0.5 - self._now()
        except BaseException as error:
            failed = type(error).__name__
            raise
        else:
            return found
        finally:
            if self._observer is not None:
                self._observer.queried(self.name, time.monotonic() - began, received, failed)

    async def _borrow(self) -> _Client:
        try:
            return await asyncio.wait_for(self._free.get(), self._seconds)
        except TimeoutError:
            raise HangError("all connections wait for an answer") from None

    async def _run(self, client: _Client, query: str, params: dict[str, str], parse: Callable[[Rows], T]) -> T:
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(self._threads, client.ask, query, params, parse)
        future.add_done_callback(lambda _: self._free.put_nowait(client))
        cutting = loop.call_later(self._seconds, client.wire.abort)
        try:
            done, _ = await asyncio.wait({future}, timeout=self._seconds + _GRACE)
        except asyncio.CancelledError:
            client.wire.abort()
            raise
        finally:
            cutting.cancel()
        if not done:
            future.add_done_callback(_forget)
            raise HangError("timed out")
        return future.result()


def _forget(future: asyncio.Future[Any]) -> None:
    """Nobody waits for it any more; take its error so that it is not reported as lost."""
    with contextlib.suppress(asyncio.CancelledError):
        future.exception()
