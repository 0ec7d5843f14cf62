"""Steady HTTP load on a model server: an open-loop generator with one record for every answer.

Requests go out at their due times whether or not earlier ones were answered, as the requests of many independent users
do; a slow server therefore cannot slow the load down and so hide its own slowness. Every request leaves exactly one
`Answer`: a status, or the kind of error. Requests that could not be sent because too many were already in flight are
recorded as `Unsent` and never dropped silently. The rate, the duration and the requests in flight are all bounded.

It is a test tool and refuses to be anything else: the target has to be loopback or an address of a local cluster's pods
and services, written as a number, so that no name can lead elsewhere. Redirects and proxies are not followed.

    python -m tests.load --url http://127.0.0.1:8000/predict --rps 50 --duration 30 --output json
"""

import argparse
import asyncio
import collections
import contextlib
import dataclasses
import ipaddress
import json
import math
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp

ALLOWED = tuple(
    ipaddress.ip_network(network)
    # Loopback, and the ranges that kind and the local test cluster give to pods and services.
    for network in ("127.0.0.0/8", "::1/128", "10.244.0.0/16", "10.96.0.0/16")
)
MOST_PER_SECOND = 2_000
LONGEST_SECONDS = 3_600.0
MOST_IN_FLIGHT = 2_000
BODY: Mapping[str, Any] = {"features": [5.1, 3.5, 1.4, 0.2]}

UNSENT = "Unsent"


class LoadError(ValueError):
    """The load cannot be made as asked; the message says what would be right."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one request. `due` and `at` (sent) are seconds since the epoch, `latency` seconds from `at`.

    Exactly one of `status` and `error` is set; `error` is the exception's name, `Timeout`, or `Unsent`. `version` is the
    `model_version` of a JSON answer, None where there was none.
    """

    due: float
    at: float
    latency: float
    status: int | None = None
    error: str | None = None
    version: str | None = None

    @property
    def outcome(self) -> str:
        """The status as text, or the error: the key of every count."""
        return str(self.status) if self.status is not None else self.error or ""


@dataclass(frozen=True, slots=True)
class Report:
    """All answers of one load, and what they add up to."""

    answers: tuple[Answer, ...]

    def counts(self) -> dict[str, dict[str, int]]:
        """Answers by version ("-" where none is known), then by outcome."""
        return _count(self.answers)

    def by_second(self) -> dict[int, dict[str, dict[str, int]]]:
        """The counts of every second since the epoch in which a request fell due."""
        seconds: dict[int, list[Answer]] = collections.defaultdict(list)
        for answer in self.answers:
            seconds[int(answer.due)].append(answer)
        return {second: _count(seconds[second]) for second in sorted(seconds)}

    def failures(self) -> tuple[Answer, ...]:
        """Answers that were not 2xx."""
        return tuple(a for a in self.answers if a.status is None or not 200 <= a.status < 300)

    def latency(self, quantile: float) -> float:
        """A quantile (0 to 1) of the latencies in seconds of answers that came; NaN without any."""
        times = sorted(a.latency for a in self.answers if a.status is not None)
        return times[min(len(times) - 1, int(quantile * len(times)))] if times else math.nan

    def summary(self) -> dict[str, Any]:
        """The report as JSON values. Latencies are milliseconds, None without an answer."""
        quantiles = {name: self.latency(share) for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))}
        return {
            "requests": len(self.answers),
            "failures": len(self.failures()),
            "counts": self.counts(),
            "latency_ms": {
                name: None if math.isnan(value) else round(value * 1000, 1) for name, value in quantiles.items()
            },
            "seconds": {str(second): counts for second, counts in self.by_second().items()},
        }


@dataclass
class Load:
    """A load on `url`: `rps` requests a second for `duration` seconds, unless `stop` ends it earlier.

    `host` is the Host header that a gateway chooses its route by. `answers` grows while the load runs, in the order of
    arrival. `method` GET sends no body. Raises LoadError for a target or a bound that is not allowed.
    """

    url: str
    rps: float
    duration: float
    host: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = field(default_factory=lambda: BODY)
    method: str = "POST"
    timeout: float = 10.0
    on_answer: Callable[[Answer], None] | None = None

    def __post_init__(self) -> None:
        check_target(self.url)
        _check_bound("rps", self.rps, MOST_PER_SECOND)
        _check_bound("duration", self.duration, LONGEST_SECONDS)
        self.answers: list[Answer] = []
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """Send no more; `run` returns when what is in flight was answered. To be called in the loop of `run`."""
        self._stop.set()

    async def run(self) -> Report:
        """Send until the end, wait for the last answers (at most `timeout`) and report."""
        in_flight = 0

        def answered(_: asyncio.Task[None]) -> None:
            nonlocal in_flight
            in_flight -= 1

        limit, timeout = aiohttp.TCPConnector(limit=0), aiohttp.ClientTimeout(self.timeout)
        async with (
            aiohttp.ClientSession(connector=limit, timeout=timeout) as session,
            asyncio.TaskGroup() as requests,
        ):
            async for due in self._due_times():
                if in_flight >= MOST_IN_FLIGHT:
                    self._record(Answer(due=due, at=time.time(), latency=0.0, error=UNSENT))
                    continue
                in_flight += 1
                requests.create_task(self._send(session, due)).add_done_callback(answered)
        return Report(tuple(self.answers))

    async def _due_times(self) -> AsyncIterator[float]:
        began, epoch = time.monotonic(), time.time()
        for number in range(round(self.rps * self.duration)):
            offset = number / self.rps
            # Behind schedule the wait is 0: catch up, but let answers in.
            wait = max(0.0, began + offset - time.monotonic())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), wait)
            if self._stop.is_set():
                return
            await asyncio.sleep(0)
            yield epoch + offset

    async def _send(self, session: aiohttp.ClientSession, due: float) -> None:
        at, began = time.time(), time.monotonic()
        status, error, version = None, None, None
        headers = {**self.headers, **({"Host": self.host} if self.host else {})}
        try:
            async with session.request(
                self.method,
                self.url,
                json=self.body if self.method != "GET" else None,
                headers=headers,
                allow_redirects=False,
            ) as response:
                version = _version(await response.read())
                status = response.status
        except TimeoutError:
            error = "Timeout"
        except aiohttp.ClientError as problem:
            error = type(problem).__name__
        self._record(Answer(due, at, time.monotonic() - began, status, error, version))

    def _record(self, answer: Answer) -> None:
        self.answers.append(answer)
        if self.on_answer:
            self.on_answer(answer)


def check_target(url: str) -> None:
    """Refuse whatever is not plain HTTP to loopback or to a local cluster. Raises LoadError."""
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise LoadError(f"{url}: expected an address such as http://127.0.0.1:8000/predict")
    try:
        address = ipaddress.ip_address("127.0.0.1" if parts.hostname == "localhost" else parts.hostname)
    except ValueError:
        raise LoadError(
            f"{url}: expected a numeric address; a name such as a gateway's goes into the Host header"
        ) from None
    if not any(address in network for network in ALLOWED):
        raise LoadError(
            f"{url}: {address} is neither loopback nor a pod or service of a local cluster; no load is sent there"
        )


def _check_bound(name: str, value: float, most: float) -> None:
    if not 0 < value <= most:
        raise LoadError(f"{name}={value:g}: expected more than 0 and at most {most:g}")


def _version(body: bytes) -> str | None:
    try:
        content = json.loads(body)
    except ValueError:
        return None
    version = content.get("model_version") if isinstance(content, dict) else None
    return version if isinstance(version, str) else None


def _count(answers: Sequence[Answer]) -> dict[str, dict[str, int]]:
    counts: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for answer in answers:
        counts[answer.version or "-"][answer.outcome] += 1
    return {version: dict(sorted(counts[version].items())) for version in sorted(counts)}


def _lines(report: Report) -> Iterator[str]:
    summary = report.summary()
    yield f"{summary['requests']} requests, {summary['failures']} not 2xx"
    for version, outcomes in summary["counts"].items():
        yield f"  version {version}: " + ", ".join(f"{outcome} × {count}" for outcome, count in outcomes.items())
    yield "  latency: " + ", ".join(f"{name} {value} ms" for name, value in summary["latency_ms"].items())


async def _main(options: argparse.Namespace) -> Report:
    load = Load(url=options.url, rps=options.rps, duration=options.duration, host=options.host, timeout=options.timeout)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, load.stop)
    return await load.run()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.load", description="Steady load on a model server.")
    parser.add_argument("--url", required=True, help="numeric address, e.g. http://127.0.0.1:8000/predict")
    parser.add_argument("--host", help="Host header, where a gateway routes by it")
    parser.add_argument("--rps", type=float, default=50, help="requests a second")
    parser.add_argument("--duration", type=float, default=30, help="seconds; Ctrl-C ends it earlier with a report")
    parser.add_argument("--timeout", type=float, default=10, help="seconds to wait for one answer")
    parser.add_argument("--output", choices=("text", "json"), default="text")
    parser.add_argument("--records", help="file for one JSON line per answer")
    options = parser.parse_args(arguments)
    try:
        report = asyncio.run(_main(options))
    except LoadError as error:
        parser.error(str(error))
    if options.records:
        with Path(options.records).open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(dataclasses.asdict(answer)) + "\n" for answer in report.answers)
    text = json.dumps(report.summary()) if options.output == "json" else "\n".join(_lines(report))
    sys.stdout.write(text + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
