"""Keeps the process honest: it lives with all of its tasks or not at all.

An asyncio task that dies is noticed by nobody, and an operator without its queue or its sampler looks alive while rollouts
stand still. So every lasting task is started here under a name, and when one ends, by an error or by just returning, the
process ends with a line that names it; Kubernetes starts it afresh. The other way a part can fail is to hang: parts that
turn regularly beat a `Heartbeat`, which the liveness probe reads.

Nothing is restarted within the process, and nothing is cleaned up on a failure: the recorded state is made for a kill at
any instant, and clean-up code that runs half broken is a risk of its own.
"""

import asyncio
import logging
import os
import sys
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from modelrollout.runtime.clock import Clock

log = logging.getLogger(__name__)

EXIT_FAILED = 1


def end_process(code: int) -> None:
    """End the process now, whatever other tasks and threads are doing. Log lines get out first."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


class Supervisor:
    """Named tasks that must not end before `stop`. `end` is called with the exit code when one does."""

    def __init__(self, end: Callable[[int], None] = end_process) -> None:
        self._end = end
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._stopping = False

    def start(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Run a task for the life of the process. Raises ValueError for a name that is taken."""
        if name in self._tasks:
            work.close()
            raise ValueError(f"task {name!r} is running already")
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks[name] = task
        task.add_done_callback(self._ended)

    async def stop(self, grace: float = 15.0) -> None:
        """End all tasks in order, the last started first, each within `grace` seconds."""
        self._stopping = True
        for name, task in reversed(self._tasks.items()):
            task.cancel()
            _, pending = await asyncio.wait({task}, timeout=grace)
            if pending:
                log.warning("task %s did not stop within %.0f s", name, grace)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if self._stopping:
            if not task.cancelled() and (error := task.exception()) is not None:
                log.warning("task %s failed while stopping", task.get_name(), exc_info=error)
            return
        error = None if task.cancelled() else task.exception()
        how = "was cancelled" if task.cancelled() else "failed" if error else "returned"
        log.critical("task %s %s; the process ends", task.get_name(), how, exc_info=error)
        self._end(EXIT_FAILED)


class Heartbeat:
    """When each part last showed that it turns."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._sources: dict[str, tuple[Callable[[], float], float]] = {}

    def watch(self, name: str, last_turn: Callable[[], float], limit: float) -> None:
        """Have a part looked at: `last_turn` gives a monotonic reading, `limit` how many seconds old it may be."""
        self._sources[name] = (last_turn, limit)

    def hung(self) -> dict[str, float]:
        """The parts that have not turned for longer than they may, with their age in seconds."""
        now = self._monotonic()
        ages = {name: (now - last_turn(), limit) for name, (last_turn, limit) in self._sources.items()}
        return {name: age for name, (age, limit) in ages.items() if age > limit}


class Observes(Protocol):
    """Takes one measurement, as a histogram does."""

    def observe(self, amount: float) -> None: ...


async def watch_lag(clock: Clock, lag: Observes, interval: float = 1.0) -> None:
    """Measure for ever by how many seconds the event loop is late."""
    while True:
        due = clock.monotonic() + interval
        await clock.sleep_until(due)
        lag.observe(max(0.0, clock.monotonic() - due))
