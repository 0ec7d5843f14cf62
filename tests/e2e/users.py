"""Users: a steady open-loop load beside a test, and what can be said of its answers."""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from tests.harness.watching import Observer
from tests.load import Answer, Load, Report

LONGEST = 600.0
UNLIKELY = 15.1
"""A chi-square with one degree of freedom exceeds this once in 10,000 draws."""
PROOF = 100
"""Answers in a row that show by which weights the gateway routes."""
_FITS = 6.6
"""A chi-square with one degree of freedom exceeds this once in 100 draws."""
ROUTING_FAILURES = frozenset({"502", "503", "504", "404"})
"""Answers that no model server gave: there was nobody to route to. (Its own 503 is given only before it is ready.)"""


class Users:
    """Send requests for as long as the block lasts."""

    def __init__(self, url: str, host: str | None = None, *, rps: float = 100, **options: Any) -> None:
        self._load = Load(url=url, host=host, rps=rps, duration=LONGEST, **options)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="users", daemon=True)
        self.report = Report(())

    def _run(self) -> None:
        self.report = self._loop.run_until_complete(self._load.run())

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> Report:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._load.stop)
            self._thread.join(20)
        return self.report

    @property
    def answers(self) -> tuple[Answer, ...]:
        """All answers so far."""
        return tuple(self._load.answers)

    def last(self, seconds: float) -> tuple[Answer, ...]:
        """Answers to requests of the last seconds."""
        return within(self.answers, time.time() - seconds, time.time())


def within(answers: Iterable[Answer], begin: float, end: float) -> tuple[Answer, ...]:
    """Answers to requests that were sent in a span, in seconds since the epoch."""
    return tuple(one for one in answers if begin <= one.at < end)


def routing_failures(answers: Iterable[Answer]) -> tuple[Answer, ...]:
    """Answers that failed on the way: no connection, or the gateway's own errors."""
    return tuple(one for one in answers if one.status is None or str(one.status) in ROUTING_FAILURES)


def versions(answers: Iterable[Answer]) -> Counter[str]:
    """How many answers each version gave; "" where none is known."""
    return Counter(one.version or "" for one in answers)


def chi_square(counts: Mapping[str, int], shares: Mapping[str, float]) -> float:
    """Pearson's statistic of counts against expected percentages; infinite where something came that should not."""
    total = sum(counts.values())
    if any(name not in shares for name in counts):
        return float("inf")
    expected = {name: total * share / 100 for name, share in shares.items()}
    return sum((counts.get(name, 0) - want) ** 2 / want for name, want in expected.items())


def routed_by(answers: Sequence[Answer], shares: Mapping[str, float]) -> int | None:
    """The place of the first answer after those that show that the gateway routes by these shares; None if it never does.

    A route's status says that it was read, and how long the gateway then takes is its own affair; so shares are judged on the
    answers after this place, none of which had a part in choosing it.
    """
    for end in range(PROOF, len(answers) + 1):
        if fits(answers[end - PROOF : end], shares, _FITS):
            return end
    return None


def fits(answers: Iterable[Answer], shares: Mapping[str, float], limit: float = UNLIKELY) -> bool:
    """Whether answers come from these versions alone, and as often as their shares (in percent) say."""
    return chi_square(versions(answers), shares) < limit


def counted(observer: Observer, users: Users, shares: Mapping[str, float], enough: int = 800) -> Counter[str]:
    """Wait until users are divided so, then count answers that had no part in finding that out; fails where they do not fit."""
    begin = len(users.answers)
    place = observer.until(lambda: routed_by(users.answers[begin:], shares), f"{shares} are in force", 60)
    begin += place
    observer.until(lambda: len(users.answers) >= begin + enough, f"{enough} more are served", 60)
    counts = versions(users.answers[begin:])
    assert chi_square(counts, shares) < UNLIKELY, counts
    return counts


def all_from(observer: Observer, users: Users, version: str, seconds: float) -> None:
    """Wait until the last users were all answered by one version; the gateway goes by the former weights a moment longer than the route."""
    enough = len(users.answers) + PROOF
    observer.until(
        lambda: len(users.answers) >= enough and fits(users.answers[-PROOF:], {version: 100}),
        f"all users reach version {version}",
        seconds,
    )
