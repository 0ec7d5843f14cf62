"""Time, as something that is handed in.

Two clocks are kept apart because they fail differently. Wall time (`now`) is what people and other processes share:
holds, deadlines and due times are written in it, and it may jump in either direction when a machine's clock is set.
Monotonic time never jumps, means nothing outside this process, and stands still while the machine sleeps: waits,
time-outs, back-off and the lease are measured in it. Nothing else in the project asks the machine for the time.
"""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """The time, and a way to wait for it."""

    def now(self) -> float:
        """Wall time in seconds since the epoch, UTC."""

    def monotonic(self) -> float:
        """Seconds on a clock that never jumps; only differences have a meaning."""

    async def sleep_until(self, monotonic: float) -> None:
        """Return when `monotonic()` has reached the given reading; at once (after one turn of the loop) if it has."""


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep_until(self, monotonic: float) -> None:
        await asyncio.sleep(max(0.0, monotonic - time.monotonic()))
