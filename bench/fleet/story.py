"""One fleet from its first versions to its promotion, with an operator that is restarted on the way, and what each part cost."""

import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from bench.fleet.meters import Reading, Requests, Stretch, reads, writes
from bench.fleet.stage import Condition, Stage, healthy, in_step, judged, say

GRID_POINTS = 3
"""Windows that pass before a fleet counts as steady."""
PATIENCE = 240.0
"""Seconds that a phase may take, …"""
EACH = 2.0
"""… and so many more for each rollout: the played cluster shares the machine."""


@dataclass(frozen=True)
class Phase:
    """What a part of the story cost. `cpu` in seconds, memory in MiB, latencies in seconds (upper bounds of buckets)."""

    seconds: float
    cpu: float
    memory: float
    peak: float
    requests: Requests
    served: Requests
    queries: int
    received: int
    wait_p50: float | None
    wait_p99: float | None
    work_p50: float | None
    work_p99: float | None
    lag_p99: float | None
    looks: int
    """How often a rollout was observed and decided."""
    load: float
    """Load average of the machine over the last minute at the end."""

    @property
    def writes(self) -> int:
        """Writes of the operator, Events left out."""
        return writes(self.requests, events=False)

    @property
    def reads(self) -> int:
        return reads(self.requests)


@dataclass(frozen=True)
class Restart:
    """A new process in the middle of the fleet. Seconds from its start; `observed`: every rollout was decided once."""

    ready: float
    observed: float
    cpu: float
    writes: int
    reads: int
    weights_moved: int
    changed: int
    """Resources and routes whose stored version changed."""


@dataclass(frozen=True)
class Result:
    """Everything that was measured."""

    rollouts: int
    interval: int
    first: Phase
    ramp: Phase
    steady: Phase
    restart: Restart
    finish: Phase

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        found: dict[str, Any] = asdict(self)
        for name in ("first", "ramp", "steady", "finish"):
            phase: Phase = getattr(self, name)
            for table in ("requests", "served"):
                found[name][table] = {f"{verb} {what}": count for (verb, what), count in getattr(phase, table).items()}
            found[name] |= {"writes": phase.writes, "reads": phase.reads}
        return found


def run(stage: Stage, minutes: float) -> Result:
    """The whole story. Raises NotInTimeError if a phase does not come to its end."""
    patience = PATIENCE + EACH * stage.workload.rollouts
    count = stage.workload.rollouts
    say(f"fleet of {count}: start the operator")
    stage.operator.start()
    first = _phase(stage, "first versions are up", lambda: stage.apply("1"), healthy("1"), patience)
    ramp = _phase(stage, "canaries have their first weight", lambda: stage.apply("2"), in_step("tenth"), patience)
    stage.until(judged, "metrics say Pass", patience)
    say(f"  wait for {GRID_POINTS} windows, then measure {minutes:g} min of a steady fleet")
    _pass_time(stage.workload.interval * GRID_POINTS)
    steady = _steady(stage, minutes * 60)
    restart = _restart(stage, patience)
    finish = _phase(stage, "promoted", lambda: stage.apply("2", finishing=True), healthy("2"), patience)
    return Result(count, stage.workload.interval, first, ramp, steady, restart, finish)


def _phase(stage: Stage, what: str, act: Callable[[], None], condition: Condition, patience: float) -> Phase:
    before = stage.meters.read()
    began = time.monotonic()
    act()
    stage.until(condition, what, patience)
    seconds = time.monotonic() - began
    say(f"  {what}: all {stage.workload.rollouts} after {seconds:.0f} s")
    return _costs(before, stage.meters.read())


def _steady(stage: Stage, seconds: float) -> Phase:
    before = stage.meters.read()
    _pass_time(seconds)
    return _costs(before, stage.meters.read())


def _restart(stage: Stage, patience: float) -> Restart:
    """End the process, start another, and see that it changes nothing."""
    say("  restart the operator in mid-fleet")
    stage.operator.stop()
    weights, versions = stage.weights(), stage.fingerprint()
    began = time.monotonic()
    stage.operator.start()
    ready = time.monotonic() - began
    while not _all_decided(reading := stage.meters.read(), stage.workload.rollouts):
        if time.monotonic() - began > patience:
            raise TimeoutError("the new process did not decide about every rollout")
        time.sleep(0.2)
    observed = time.monotonic() - began
    say(f"  all observed after {observed:.1f} s; wait for {GRID_POINTS} windows")
    _pass_time(stage.workload.interval * GRID_POINTS)
    requests = stage.meters.read().requests
    now = stage.fingerprint()
    return Restart(
        ready=ready,
        observed=observed,
        cpu=reading.cpu,
        writes=writes(requests, events=False),
        reads=reads(reading.requests),
        weights_moved=sum(1 for key, rules in stage.weights().items() if weights.get(key) != rules),
        changed=sum(1 for key, version in now.items() if versions.get(key) != version),
    )


def _all_decided(reading: Reading, rollouts: int) -> bool:
    return reading.histograms["work"].get(float("inf"), 0) >= rollouts and not reading.depth


def _costs(before: Reading, after: Reading) -> Phase:
    stretch, mebibyte = Stretch(before, after), 1 << 20
    return Phase(
        seconds=stretch.seconds,
        cpu=stretch.cpu,
        memory=after.memory / mebibyte,
        peak=after.peak / mebibyte,
        requests=stretch.requests(),
        served=stretch.served(),
        queries=stretch.queries,
        received=stretch.received,
        wait_p50=stretch.quantile("wait", 0.5),
        wait_p99=stretch.quantile("wait", 0.99),
        work_p50=stretch.quantile("work", 0.5),
        work_p99=stretch.quantile("work", 0.99),
        lag_p99=stretch.quantile("lag", 0.99),
        looks=stretch.count("work"),
        load=os.getloadavg()[0],
    )


def _pass_time(seconds: float) -> None:
    """A measurement lasts as long as it lasts."""
    time.sleep(seconds)
