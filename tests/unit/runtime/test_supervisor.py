import asyncio
import contextlib
import subprocess
import sys

import pytest
from prometheus_client import CollectorRegistry

from modelrollout.runtime.supervisor import Heartbeat, Supervisor, watch_lag
from modelrollout.runtime.telemetry import loop_lag
from tests.fakes.clock import VirtualClock, settle
from tests.fakes.loop import in_loop


async def for_ever() -> None:
    await asyncio.Event().wait()


async def fails() -> None:
    raise RuntimeError("no more")


async def returns() -> None:
    return


@pytest.mark.parametrize(("work", "how"), [(fails, "task sampler failed"), (returns, "task sampler returned")])
@in_loop
async def test_the_end_of_any_task_ends_the_process_with_a_line_that_names_it(work, how, caplog):
    codes = []
    supervisor = Supervisor(codes.append)
    supervisor.start("queue", for_ever())
    supervisor.start("sampler", work())
    await settle()
    assert codes == [1]
    assert how in caplog.text
    await supervisor.stop()


@in_loop
async def test_stopping_ends_the_tasks_last_started_first_and_not_the_process(caplog):
    codes, ended = [], []

    async def until_cancelled(name):
        try:
            await for_ever()
        finally:
            ended.append(name)

    supervisor = Supervisor(codes.append)
    for name in ("lease", "queue", "watch"):
        supervisor.start(name, until_cancelled(name))
    await settle()
    await supervisor.stop()
    assert ended == ["watch", "queue", "lease"]
    assert codes == []


@in_loop
async def test_a_task_that_does_not_stop_is_named_and_the_others_are_stopped_all_the_same(caplog):
    ended = []
    release = asyncio.Event()

    async def stubborn():
        while not release.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await release.wait()

    async def willing():
        try:
            await for_ever()
        finally:
            ended.append("willing")

    supervisor = Supervisor(lambda code: None)
    supervisor.start("willing", willing())
    supervisor.start("stubborn", stubborn())
    await settle()
    await supervisor.stop(grace=0.01)
    assert "task stubborn did not stop" in caplog.text
    assert ended == ["willing"]
    release.set()
    await settle()


@in_loop
async def test_a_name_is_given_to_one_task_only():
    supervisor = Supervisor(lambda code: None)
    supervisor.start("queue", for_ever())
    with pytest.raises(ValueError, match="queue"):
        supervisor.start("queue", for_ever())
    await supervisor.stop()


def test_the_process_really_ends_with_a_failure_and_its_last_log_line_gets_out():
    program = """
import asyncio, logging
from modelrollout.runtime.supervisor import Supervisor
logging.basicConfig()
async def main():
    async def dies():
        raise RuntimeError("gone")
    Supervisor().start("sampler", dies())
    await asyncio.Event().wait()
asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        check=False,
        env={"PYTHONPATH": "operator"},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 1
    assert "task sampler failed; the process ends" in done.stderr


def test_a_part_that_has_not_turned_for_too_long_is_named_with_its_age():
    clock = VirtualClock()
    turned = {"queue": 1_000.0, "sampler": 1_000.0}
    heartbeat = Heartbeat(clock.monotonic)
    heartbeat.watch("queue", lambda: turned["queue"], limit=60)
    heartbeat.watch("sampler", lambda: turned["sampler"], limit=200)
    assert heartbeat.hung() == {}
    asyncio.run(clock.advance(90))
    assert heartbeat.hung() == {"queue": 90}
    turned["queue"] = clock.monotonic()
    assert heartbeat.hung() == {}


@in_loop
async def test_the_lag_of_the_event_loop_is_measured():
    clock, registry = VirtualClock(), CollectorRegistry()
    task = asyncio.create_task(watch_lag(clock, loop_lag(registry)))
    await clock.advance(3)
    assert registry.get_sample_value("modelrollout_event_loop_lag_seconds_count") == 3
    assert registry.get_sample_value("modelrollout_event_loop_lag_seconds_sum") == 0
    task.cancel()
