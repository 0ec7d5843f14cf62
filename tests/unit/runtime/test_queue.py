import asyncio
import logging
import random
from typing import Self

import pytest
from prometheus_client import CollectorRegistry

from modelrollout.runtime.queue import Queue, Tuning
from modelrollout.runtime.telemetry import QueueMetrics
from tests.fakes.clock import VirtualClock, settle
from tests.fakes.loop import in_loop

A, B, C = ("ml", "a"), ("ml", "b"), ("ml", "c")


class Harness:
    """A queue on virtual time, with a handler that records what it was given and does what the test says."""

    def __init__(self, **tuning) -> None:
        self.clock = VirtualClock()
        self.registry = CollectorRegistry()
        self.queue = Queue(
            self.clock, rng=random.Random(1), metrics=QueueMetrics(self.registry), tuning=Tuning(**tuning)
        )
        self.seen: list[tuple[str, str]] = []
        self.times: list[float] = []
        self.gates: dict[tuple[str, str], asyncio.Event] = {}
        self.errors: list[BaseException] = []

    async def handle(self, key) -> None:
        self.seen.append(key)
        self.times.append(self.clock.monotonic() - 1_000.0)
        if key in self.gates:
            await self.gates[key].wait()
        if self.errors:
            raise self.errors.pop(0)

    def metric(self, name, **labels):
        return self.registry.get_sample_value(name, {"name": "modeldeployment", **labels})

    async def __aenter__(self) -> Self:
        self.task = asyncio.create_task(self.queue.run(self.handle))
        await settle()
        return self

    async def __aexit__(self, *exc) -> None:
        for gate in self.gates.values():
            gate.set()
        self.task.cancel()
        await asyncio.wait({self.task})


@in_loop
async def test_a_key_woken_many_times_before_it_is_taken_is_looked_at_once():
    h = Harness()
    for _ in range(5):
        h.queue.wake(A)
    async with h:
        assert h.seen == [A]
        assert len(h.queue) == 0


@in_loop
async def test_a_key_woken_while_it_is_worked_on_is_looked_at_again_and_never_twice_at_once():
    async with Harness() as h:
        h.gates[A] = asyncio.Event()
        h.queue.wake(A)
        await settle()
        for _ in range(3):
            h.queue.wake(A)
        await settle()
        assert h.seen == [A]
        h.gates.pop(A).set()
        await settle()
        assert h.seen == [A, A]


@in_loop
async def test_no_more_keys_than_workers_are_worked_on_at_once():
    async with Harness(workers=2) as h:
        for key in (A, B, C):
            h.gates[key] = asyncio.Event()
            h.queue.wake(key)
        await settle()
        assert h.seen == [A, B]
        assert h.metric("workqueue_depth") == 1
        h.gates[A].set()
        await settle()
        assert h.seen == [A, B, C]


@in_loop
async def test_an_urgent_key_waits_neither_behind_queued_keys_nor_for_a_busy_worker():
    async with Harness(workers=1, urgent_workers=1) as h:
        h.gates[A] = asyncio.Event()
        h.queue.wake(A)
        for n in range(1000):
            h.queue.wake(("ml", f"n{n}"))
        h.queue.wake(C)
        h.queue.wake(C, urgent=True)
        await settle()
        assert h.seen == [A, C]
        h.gates[A].set()
        await settle()
        assert len(h.seen) == 1002


@in_loop
async def test_a_key_woken_urgently_while_it_is_worked_on_is_the_next_to_be_taken():
    async with Harness(workers=1, urgent_workers=0) as h:
        h.gates[A] = asyncio.Event()
        h.queue.wake(A)
        await settle()
        h.queue.wake(B)
        h.queue.wake(A, urgent=True)
        h.gates.pop(A).set()
        await settle()
        assert h.seen == [A, A, B]


@in_loop
async def test_a_due_time_is_kept_to_and_replaced_by_a_later_decision():
    async with Harness() as h:
        now = h.clock.now()
        h.queue.wake_at(A, now + 5)
        h.queue.wake_at(A, now + 300)
        await h.clock.advance(299)
        assert h.seen == []
        await h.clock.advance(1)
        assert h.seen == [A]
        await h.clock.advance(1_000)
        assert h.seen == [A]


@in_loop
async def test_a_due_time_of_none_takes_the_former_back():
    async with Harness() as h:
        h.queue.wake_at(A, h.clock.now() + 5)
        h.queue.wake_at(A, None)
        await h.clock.advance(100)
        assert h.seen == []


@in_loop
async def test_a_due_time_in_the_past_is_due_at_once():
    async with Harness() as h:
        h.queue.wake_at(A, h.clock.now() - 100)
        await h.clock.advance(0)
        assert h.seen == [A]


@in_loop
async def test_of_two_delays_the_shorter_one_counts():
    async with Harness() as h:
        h.queue.wake_after(A, 5)
        h.queue.wake_after(A, 50)
        h.queue.wake_after(A, 2)
        await h.clock.advance(1.9)
        assert h.seen == []
        await h.clock.advance(0.1)
        assert h.seen == [A]
        await h.clock.advance(100)
        assert h.seen == [A]


@in_loop
async def test_a_look_for_another_reason_uses_up_a_delay_but_not_a_due_time():
    async with Harness() as h:
        h.queue.wake_after(A, 5)
        h.queue.wake_at(A, h.clock.now() + 10)
        h.queue.wake(A)
        await h.clock.advance(9)
        assert h.seen == [A]
        await h.clock.advance(1)
        assert h.seen == [A, A]


@pytest.mark.parametrize("seconds", [-31_536_000.0, 3_600.0])
@in_loop
async def test_a_jump_of_the_wall_clock_in_either_direction_wakes_all_that_wait_by_it_within_the_recheck_time(seconds):
    async with Harness(recheck=10) as h:
        h.queue.wake_at(A, h.clock.now() + 86_400 * 400)
        h.queue.wake_after(B, 1_000)
        await h.clock.advance(15)
        assert h.seen == []
        h.clock.jump(seconds)
        await h.clock.advance(10)
        assert h.seen == [A]


@in_loop
async def test_a_failing_key_backs_off_up_to_the_cap_and_starts_over_after_a_success():
    async with Harness(backoff_base=1, backoff_cap=8) as h:
        h.errors = [ValueError("x")] * 6
        h.queue.wake(A)
        await h.clock.advance(100)
        gaps = [b - a for a, b in zip(h.times, h.times[1:], strict=False)]
        assert len(gaps) == 6
        for gap, full in zip(gaps, [1, 2, 4, 8, 8, 8], strict=True):
            assert full / 2 <= gap <= full
        assert h.metric("workqueue_retries_total") == 6
        h.errors = [ValueError("x")]
        h.queue.wake(A)
        await h.clock.advance(1)
        assert len(h.times) == 9


@in_loop
async def test_a_retry_after_is_respected():
    class BusyError(Exception):
        retry_after = 30.0

    async with Harness() as h:
        h.errors = [BusyError()]
        h.queue.wake(A)
        await h.clock.advance(29.9)
        assert h.seen == [A]
        await h.clock.advance(0.1)
        assert h.seen == [A, A]


@in_loop
async def test_a_retry_after_is_respected_although_the_key_is_woken_meanwhile_save_urgently():
    class BusyError(Exception):
        retry_after = 30.0

    async with Harness() as h:
        h.errors = [BusyError(), BusyError()]
        h.gates[A] = asyncio.Event()
        h.queue.wake(A)
        await settle()
        h.queue.wake(A)
        h.gates.pop(A).set()
        for _ in range(29):
            await h.clock.advance(1)
            h.queue.wake(A)
        assert h.seen == [A]
        await h.clock.advance(1)
        assert h.seen == [A, A]
        h.queue.wake(A, urgent=True)
        await settle()
        assert h.seen == [A, A, A]


@in_loop
async def test_no_retry_after_is_longer_than_the_longest_back_off():
    class BusyError(Exception):
        retry_after = 86_400.0

    async with Harness(backoff_cap=60) as h:
        h.errors = [BusyError()]
        h.queue.wake(A)
        await h.clock.advance(60)
        assert h.seen == [A, A]


@in_loop
async def test_a_key_that_fails_and_was_woken_meanwhile_waits_a_moment_but_not_its_whole_back_off():
    async with Harness(backoff_base=40) as h:
        h.gates[A] = asyncio.Event()
        h.errors = [ValueError("x")]
        h.queue.wake(A)
        await settle()
        h.queue.wake(A)
        h.gates.pop(A).set()
        await settle()
        assert h.seen == [A]
        await h.clock.advance(1)
        assert h.seen == [A, A]


@in_loop
async def test_a_handler_that_is_cancelled_from_within_does_not_lose_its_key():
    async with Harness() as h:
        h.errors = [asyncio.CancelledError()]
        h.queue.wake(A)
        await h.clock.advance(1)
        assert h.seen == [A, A]


@in_loop
async def test_a_forgotten_key_has_no_due_time_left():
    async with Harness() as h:
        h.queue.wake_at(A, h.clock.now() + 5)
        h.queue.wake_after(A, 6)
        h.queue.forget(A)
        await h.clock.advance(60)
        assert h.seen == []


@in_loop
async def test_stopping_takes_no_further_key_and_waits_for_those_at_work():
    async with Harness(workers=1) as h:
        h.gates[A] = asyncio.Event()
        h.queue.wake(A)
        h.queue.wake(B)
        await settle()
        h.task.cancel()
        await settle()
        assert not h.task.done()
        h.gates[A].set()
        await asyncio.wait({h.task})
        assert h.seen == [A]


@in_loop
async def test_the_heartbeat_goes_on_while_nothing_is_due_and_the_slowest_worker_is_shown():
    async with Harness(recheck=10) as h:
        h.gates[A] = asyncio.Event()
        h.queue.wake(A)
        await h.clock.advance(95)
        assert h.clock.monotonic() - h.queue.last_turn <= 10
        assert h.queue.longest_running() == 95
        assert h.metric("workqueue_longest_running_processor_seconds") == 95
        h.gates[A].set()
        await settle()
        assert h.queue.longest_running() == 0
        assert h.metric("workqueue_work_duration_seconds_sum") == 95
        assert h.metric("workqueue_adds_total") == 1


@in_loop
async def test_errors_of_the_outside_world_are_one_line_and_our_own_faults_have_a_traceback(caplog):
    class AwayError(Exception):
        retry_after = None

    caplog.set_level(logging.WARNING)
    async with Harness() as h:
        h.errors = [AwayError("connection refused"), KeyError("spec")]
        h.queue.wake(A)
        await h.clock.advance(5)
    away, fault = caplog.records
    assert "connection refused" in away.getMessage()
    assert not away.exc_info
    assert fault.exc_info[0] is KeyError
