"""The one queue of keys that want a look, and the workers that take them.

A key says only "look again"; what has changed is for the handler to find out. So a wake may be merged with another but
never lost: a key that is woken while it is being worked on is queued again when the work ends. No key is ever worked on
twice at once. Besides being woken, a key can have

- one **due time** by wall time (`wake_at`), which belongs to the latest decision about it and is replaced by the next;
- one **delay** by monotonic time (`wake_after`, and the back-off after a failure), of which the shorter one counts.

Whichever comes first queues it. Due times are re-read at least every `recheck` seconds. When the wall clock has jumped
against the monotonic one, all keys that wait for a due time are woken: their decisions were made by a wrong clock, in
whichever direction, and making them again is cheap.

Urgent keys (an Abort, a verdict of Fail) go before all others and have workers of their own that nothing else may use,
so that they wait neither behind a thousand keys nor behind slow requests.
"""

import asyncio
import logging
import math
import random
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from modelrollout.runtime.clock import Clock
from modelrollout.runtime.telemetry import QueueMetrics, about
from modelrollout.runtime.timers import Timers

Key = tuple[str, str]
"""Namespace and name of the ModelDeployment."""

Handler = Callable[[Key], Awaitable[None]]

log = logging.getLogger(__name__)

_WOKEN_AND_FAILED = 1.0  # seconds


@dataclass(frozen=True, slots=True)
class Tuning:
    """Sizes and times of a queue; all times are in seconds."""

    workers: int = 8
    urgent_workers: int = 1  # more of them, for urgent keys only
    backoff_base: float = 0.1
    backoff_cap: float = 60.0
    recheck: float = 10.0  # due times are re-read at least so often
    jump: float = 2.0  # a change between wall and monotonic clock that counts as a jump
    grace: float = 10.0  # for keys being worked on when the queue is stopped


class Queue:
    """Keys to look at, now or later; `run` works on them until it is cancelled.

    An error that has a `retry_after` (seconds or None) is one of the outside world: it is logged in one line and tried
    again no sooner than it says (but for urgent wakes), at most `backoff_cap` later. Any other is a fault of ours and is logged with its traceback. Both back off, doubling
    from `backoff_base` to `backoff_cap`, less up to half of it at random.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        rng: random.Random,
        metrics: QueueMetrics | None = None,
        tuning: Tuning | None = None,
    ) -> None:
        self._clock = clock
        self._rng = rng
        self._tuning = tuning or Tuning()
        self._handle: Handler | None = None
        self._urgent: OrderedDict[Key, float] = OrderedDict()  # to the reading when it was queued
        self._normal: OrderedDict[Key, float] = OrderedDict()
        self._running: dict[Key, float] = {}  # to the reading when it was taken
        self._dirty: dict[Key, bool] = {}  # woken while running; True if urgently
        self._tasks: set[asyncio.Task[None]] = set()
        self._failures: dict[Key, int] = {}
        self._held: dict[
            Key, float
        ] = {}  # to the reading before which the outside world does not want to be asked again
        self._due: Timers[Key] = Timers()
        self._delays: Timers[Key] = Timers()
        self._rearmed = asyncio.Event()
        self._rests_until = math.inf
        self._offset = clock.now() - clock.monotonic()
        self.last_turn = clock.monotonic()
        self._metrics = metrics
        if metrics is not None:
            metrics.depth(lambda: len(self._urgent) + len(self._normal))
            metrics.unfinished(self.longest_running)

    def wake(self, key: Key, *, urgent: bool = False) -> None:
        """Have a look at the key as soon as a worker is free."""
        if key in self._running:
            self._dirty[key] = urgent or self._dirty.get(key, False)
            return
        if key in self._urgent:
            return
        if not urgent and (held := self._held.get(key, -math.inf)) > self._clock.monotonic():
            self.wake_after(key, held - self._clock.monotonic())
            return
        if key not in self._normal and self._metrics is not None:
            self._metrics.added()
        if urgent:
            self._urgent[key] = self._normal.pop(key, self._clock.monotonic())
        elif key not in self._normal:
            self._normal[key] = self._clock.monotonic()
        self._dispatch()

    def wake_at(self, key: Key, due: float | None) -> None:
        """Look again at this wall time (seconds since the epoch) at the latest. None: no due time. Replaces the former."""
        if due is None:
            self._due.drop(key)
            return
        self._due.set(key, due)
        self._rearm(self._clock.monotonic() + due - self._clock.now())

    def wake_after(self, key: Key, seconds: float) -> None:
        """Look again in so many seconds by the monotonic clock; a shorter delay that is under way stays."""
        at = self._clock.monotonic() + seconds
        if (former := self._delays.get(key)) is None or at < former:
            self._delays.set(key, at)
            self._rearm(at)

    def forget(self, key: Key) -> None:
        """The object is gone: drop its due time, delay and failures. A look that is queued already stays queued."""
        self._due.drop(key)
        self._delays.drop(key)
        self._failures.pop(key, None)
        self._held.pop(key, None)

    def longest_running(self) -> float:
        """For how many seconds the slowest worker has been at its key; 0 when none is at work."""
        return self._clock.monotonic() - min(self._running.values()) if self._running else 0.0

    def __len__(self) -> int:
        """How many keys are queued (not counting those being worked on)."""
        return len(self._urgent) + len(self._normal)

    async def run(self, handle: Handler) -> None:
        """Work until cancelled; then take no further key, and give those being worked on `grace` seconds to end."""
        self._handle = handle
        self._dispatch()
        try:
            while True:
                self._turn()
                await self._rest()
        finally:
            self._handle = None
            await self._drain()

    def _turn(self) -> None:
        self.last_turn = monotonic = self._clock.monotonic()
        now = self._clock.now()
        offset = now - monotonic
        if abs(offset - self._offset) > self._tuning.jump:
            log.warning("the wall clock jumped by %.1f s; all due times are decided anew", offset - self._offset)
            for key in self._due:
                self.wake(key)
        self._offset = offset
        for key in self._due.take_due(now):
            self.wake(key)
        for key in self._delays.take_due(monotonic):
            self.wake(key)

    async def _rest(self) -> None:
        monotonic = self._clock.monotonic()
        until = monotonic + self._tuning.recheck
        if (due := self._due.next()) is not None:
            until = min(until, monotonic + due - self._clock.now())
        if (delay := self._delays.next()) is not None:
            until = min(until, delay)
        self._rests_until = until
        self._rearmed.clear()
        waits = {asyncio.ensure_future(self._clock.sleep_until(until)), asyncio.ensure_future(self._rearmed.wait())}
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def _rearm(self, at: float) -> None:
        if at < self._rests_until:
            self._rearmed.set()

    def _dispatch(self) -> None:
        while self._handle is not None:
            free = self._tuning.workers - len(self._running)
            if self._urgent and free + self._tuning.urgent_workers > 0:
                key, since = self._urgent.popitem(last=False)
            elif self._normal and free > 0:
                key, since = self._normal.popitem(last=False)
            else:
                return
            self._running[key] = began = self._clock.monotonic()
            self._delays.drop(key)  # this look is what the delay was for
            if self._metrics is not None:
                self._metrics.taken(began - since)
            task = asyncio.get_running_loop().create_task(self._work(key, self._handle), name="/".join(key))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _work(self, key: Key, handle: Handler) -> None:
        failed: BaseException | None = None
        with about("/".join(key)):
            try:
                await handle(key)
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 a lost key is worse than any error
                failed = error
            finally:
                self._ended(key, failed)

    def _ended(self, key: Key, failed: BaseException | None) -> None:
        took = self._clock.monotonic() - self._running.pop(key)
        if self._metrics is not None:
            self._metrics.done(took)
        woken = self._dirty.pop(key, None)
        self._held.pop(key, None)
        if failed is None:
            self._failures.pop(key, None)
        else:
            self._back_off(key, failed)
        if woken or (woken is not None and failed is None):
            self.wake(key, urgent=woken)
        elif woken is not None:
            # It may have been woken by its own half of work, so going on at once could spin.
            self.wake_after(key, max(_WOKEN_AND_FAILED, self._held.get(key, 0.0) - self._clock.monotonic()))
        self._dispatch()

    def _back_off(self, key: Key, failed: BaseException) -> None:
        count = self._failures[key] = self._failures.get(key, 0) + 1
        delay = min(self._tuning.backoff_cap, self._tuning.backoff_base * 2.0 ** min(count - 1, 60))
        delay *= self._rng.uniform(0.5, 1.0)
        if hasattr(failed, "retry_after"):
            asked = min(failed.retry_after or 0.0, self._tuning.backoff_cap)
            delay = max(delay, asked)
            self._held[key] = self._clock.monotonic() + asked
            log.warning("try %d failed, again in %.1f s: %s", count, delay, failed)
        else:
            log.error("try %d failed, again in %.1f s", count, delay, exc_info=failed)
        if self._metrics is not None:
            self._metrics.retried()
        self.wake_after(key, delay)

    async def _drain(self) -> None:
        if not self._tasks:
            return
        _, pending = await asyncio.wait(set(self._tasks), timeout=self._tuning.grace)
        for task in pending:
            log.warning("%s did not end within %.0f s and is cut off", task.get_name(), self._tuning.grace)
            task.cancel()
        if pending:
            await asyncio.wait(pending, timeout=1.0)
