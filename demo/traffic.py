"""The users: a steady open-loop load through the gateway, in a thread beside the story, and what they met."""

import asyncio
import threading
import time
from collections import Counter, deque
from dataclasses import dataclass

from tests.load import Answer, Load

RECENT = 5.0
"""Seconds that "now" means on the live line."""
LONGEST = 1800.0
"""Seconds after which the load ends by itself, whatever becomes of the demo."""


@dataclass(frozen=True)
class Tally:
    """Requests answered so far, and those that were not 2xx."""

    requests: int = 0
    failed: int = 0

    def __sub__(self, other: "Tally") -> "Tally":
        return Tally(self.requests - other.requests, self.failed - other.failed)

    def __str__(self) -> str:
        share = f" ({100 * self.failed / self.requests:.1f} %)" if self.failed else ""
        return f"{self.requests:,} requests, {self.failed or 'none'} failed{share}"


class Traffic:
    """Sends `rps` requests a second to a model behind a gateway until it is stopped."""

    def __init__(self, url: str, host: str, rps: float) -> None:
        self._load = Load(url=f"{url}/predict", host=host, rps=rps, duration=LONGEST, on_answer=self._count)
        self._rps = rps
        self._lock = threading.Lock()
        self._tally = Tally()
        self._recent: deque[tuple[float, str, bool]] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="traffic", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Send no more, and wait for the last answers; nothing when it was never started."""
        if self._loop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._load.stop)
            self._thread.join(timeout=15)

    def so_far(self) -> Tally:
        with self._lock:
            return self._tally

    def now(self) -> str:
        """What users meet right now, in a few words."""
        with self._lock:
            self._forget()
            recent = list(self._recent)
        if not recent:
            return ""
        versions = Counter(version for _, version, _ in recent)
        failed = sum(not good for _, _, good in recent)
        shares = ", ".join(f"v{name} {100 * count / len(recent):.0f} %" for name, count in sorted(versions.items()))
        return f"{self._rps:.0f} requests/s: {shares}, failed {100 * failed / len(recent):.0f} %"

    def _run(self) -> None:
        async def main() -> None:
            self._loop = asyncio.get_running_loop()
            await self._load.run()

        asyncio.run(main())

    def _count(self, answer: Answer) -> None:
        good = answer.status is not None and 200 <= answer.status < 300  # noqa: PLR2004 - 2xx
        with self._lock:
            self._tally = Tally(self._tally.requests + 1, self._tally.failed + (not good))
            self._recent.append((time.monotonic(), answer.version or "?", good))
            self._forget()
        self._load.answers.clear()  # the counts above are all that is shown

    def _forget(self) -> None:
        while self._recent and time.monotonic() - self._recent[0][0] > RECENT:
            self._recent.popleft()
