"""One event loop in a thread of its own, for what goes on beside a test: watches, a gateway, a Prometheus, a proxy.

Tests themselves stay plain functions. They hand coroutines over and wait for the answer, or wait on what a watch has seen.
"""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_PATIENCE = 60.0


class Background:
    """`call` runs a coroutine in the loop and returns what it returned."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="background", daemon=True)
        self._thread.start()

    def call(self, work: Coroutine[Any, Any, T], seconds: float = _PATIENCE) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(seconds)

    def start(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        async def begun() -> "asyncio.Task[Any]":
            return asyncio.get_running_loop().create_task(work)

        return self.call(begun())

    def end(self, *tasks: "asyncio.Task[Any]") -> None:
        async def ended() -> None:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        self.call(ended())

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()
