"""A clock that stands still until it is told to move, and a loop that is run until nothing is left to do.

`advance` moves both clocks from one waiting sleeper to the next and lets everything settle at each stop, so that code that
waits is tested in virtual time and in one order only. `jump` sets the wall clock alone, as an administrator or NTP does.
"""

import asyncio
import heapq
import math


class VirtualClock:
    """Both clocks, moved by the test. Sleepers wake only inside `advance`."""

    def __init__(self, now: float = 1_700_000_000.0, monotonic: float = 1_000.0) -> None:
        self._wall = now
        self._monotonic = monotonic
        self._turn = 0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now(self) -> float:
        return self._wall

    def monotonic(self) -> float:
        return self._monotonic

    async def sleep_until(self, monotonic: float) -> None:
        if monotonic <= self._monotonic:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._turn += 1
        heapq.heappush(self._sleepers, (monotonic, self._turn, woken))
        await woken

    async def advance(self, seconds: float) -> None:
        """Let so many seconds pass on both clocks."""
        await settle()
        target = self._monotonic + seconds
        while (due := self._next()) <= target:
            self._move(due)
            while self._sleepers and self._sleepers[0][0] <= self._monotonic:
                woken = heapq.heappop(self._sleepers)[2]
                if not woken.done():
                    woken.set_result(None)
            await settle()
        self._move(target)
        await settle()

    def jump(self, seconds: float) -> None:
        """Set the wall clock forward or back; monotonic time and sleepers do not notice."""
        self._wall += seconds

    def _next(self) -> float:
        while self._sleepers and self._sleepers[0][2].done():  # cancelled
            heapq.heappop(self._sleepers)
        return self._sleepers[0][0] if self._sleepers else math.inf

    def _move(self, monotonic: float) -> None:
        passed = max(0.0, monotonic - self._monotonic)
        self._monotonic += passed
        self._wall += passed


async def settle() -> None:
    """Run the loop until no callback is ready: whatever is left waits for time or for I/O."""
    ready = asyncio.get_running_loop()._ready  # type: ignore[attr-defined] # the loop offers no other way to ask
    await asyncio.sleep(0)
    while ready:  # noqa: ASYNC110 there is no event for "nothing left to do"
        await asyncio.sleep(0)
