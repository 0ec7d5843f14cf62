"""One fleet from its first versions to its end, with an operator that is restarted on the way, and what each part cost.

After the restart a few canaries are aborted by hand, half of them turn bad at once, and the rest is promoted.
"""

import os
import time
from collections.abc import Callable
from statistics import median

from bench.fleet.meters import Reading, Stretch, reads, writes
from bench.fleet.result import Aborts, Breach, Phase, Restart, Result, Sync
from bench.fleet.stage import Condition, Stage, begun, healthy, in_step, judged, say, weightless

ABORTED = 5
"""Canaries that are aborted by hand, one after another."""
GRID_POINTS = 3
"""Windows that pass before a fleet counts as steady."""
AFTER_THE_POINT = 0.5
"""Seconds."""
MEBIBYTE = 1 << 20
PATIENCE = 240.0
"""Seconds that a phase may take, …"""
EACH = 2.0
"""… and so many more for each rollout: the played cluster shares the machine."""


def run(stage: Stage, minutes: float) -> Result:
    """The whole story. Raises NotInTimeError if a part of it does not come to its end."""
    count = stage.workload.rollouts
    patience = PATIENCE + EACH * count
    say(f"fleet of {count}: start the operator")
    stage.operator.start()
    idle = stage.meters.read().memory / MEBIBYTE
    first = _phase(stage, "first versions are up", lambda: stage.apply("1"), healthy("1"), patience)
    ramp, sync = _synced(stage, patience)
    stage.until(judged, "metrics say Pass", patience)
    say(f"  wait for {GRID_POINTS} windows, then measure {minutes:g} min of a steady fleet")
    _pass_time(stage.workload.interval * GRID_POINTS)
    steady = _steady(stage, minutes * 60)
    restart = _restart(stage, patience)
    aborts = _aborts(stage, patience)
    breach = _breach(stage, patience)
    finish = _phase(stage, "promoted", lambda: stage.apply("2", finishing=True), healthy("2"), patience)
    interval = stage.workload.interval
    return Result(count, interval, idle, first, ramp, sync, steady, restart, aborts, breach, finish)


def _synced(stage: Stage, patience: float) -> tuple[Phase, Sync]:
    """All specs change at once, as a GitOps tool does it."""
    started, taken = stage.firsts(begun("2")), {}
    before = stage.meters.read()

    def act() -> None:
        taken.update(stage.apply("2"))

    ramp = _phase(stage, "canaries have their first weight", act, in_step("tenth"), patience)
    waits = [max(0.0, started.at[key] - at) for key, at in taken.items()]
    weighed = Stretch(before, stage.meters.read())
    return ramp, Sync(median=median(waits), last=max(waits), errors=weighed.refused)


def _aborts(stage: Stage, patience: float) -> Aborts:
    """One order among a fleet that has other things to do."""
    taken = []
    for key in stage.healthy[:ABORTED]:
        back = stage.firsts(weightless)
        ordered = stage.abort(*key)
        stage.wait(lambda back=back, key=key: key in back.at, "aborted", 1, patience)
        taken.append(back.at[key] - ordered)
    say(f"  {len(taken)} aborted, the slowest after {max(taken):.2f} s")
    return Aborts(count=len(taken), median=median(taken), last=max(taken))


def _breach(stage: Stage, patience: float) -> Breach:
    """Half of the fleet turns bad, just after a point of the grid, so that the window that closes next is the first bad one."""
    interval, keys = stage.workload.interval, stage.healthy[::2]
    _pass_time(interval - time.time() % interval + AFTER_THE_POINT)
    back = stage.firsts(weightless)
    since = stage.turn_bad(keys)
    closes = (since // interval + 1) * interval - time.time() + time.monotonic()
    say(f"  {len(keys)} turn bad at once")
    bad = set(keys)
    stage.wait(lambda: len(bad & back.at.keys()), "taken back", len(bad), patience)
    after = [back.at[key] - closes for key in keys]
    say(f"  all taken back {max(after):.1f} s after the first bad window closed")
    return Breach(count=len(keys), first=min(after), median=median(after), last=max(after))


def _phase(stage: Stage, what: str, act: Callable[[], object], condition: Condition, patience: float) -> Phase:
    before = stage.meters.read()
    began = time.monotonic()
    act()
    stage.until(condition, what, patience)
    seconds = time.monotonic() - began
    say(f"  {what}: all {len(stage.healthy)} after {seconds:.0f} s")
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
        memory=stage.meters.read().memory / MEBIBYTE,
        weights_moved=sum(1 for key, rules in stage.weights().items() if weights.get(key) != rules),
        changed=sum(1 for key, version in now.items() if versions.get(key) != version),
    )


def _all_decided(reading: Reading, rollouts: int) -> bool:
    return reading.histograms["work"].get(float("inf"), 0) >= rollouts and not reading.depth


def _costs(before: Reading, after: Reading) -> Phase:
    stretch = Stretch(before, after)
    return Phase(
        seconds=stretch.seconds,
        cpu=stretch.cpu,
        memory=after.memory / MEBIBYTE,
        peak=after.peak / MEBIBYTE,
        requests=stretch.requests(),
        served=stretch.served(),
        queries=stretch.queries,
        received=stretch.received,
        refused=stretch.refused,
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
