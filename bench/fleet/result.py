"""What was measured of one fleet, and how it is kept: as JSON, which is read back for the page and the plot."""

from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from bench.fleet.meters import Requests, reads, writes


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
    refused: int
    """Requests that the API server refused or could not carry out; conflicts and what was not there are no errors."""
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
    memory: float
    """Resident, in MiB, three windows on."""
    weights_moved: int
    changed: int
    """Resources and routes whose stored version changed."""


@dataclass(frozen=True)
class Sync:
    """All specs change at once. Seconds from the answer to an apply until the rollout is recorded; `errors` of the API server."""

    median: float
    last: float
    errors: int


@dataclass(frozen=True)
class Aborts:
    """Orders by hand. Seconds from giving one until weight 0 is recorded."""

    count: int
    median: float
    last: float


@dataclass(frozen=True)
class Breach:
    """Half of the fleet turns bad at once. Seconds from the close of the first bad window until weight 0 is recorded."""

    count: int
    first: float
    median: float
    last: float


@dataclass(frozen=True)
class Result:
    """Everything that was measured. `idle`: MiB of a process that has no rollouts yet."""

    rollouts: int
    interval: int
    idle: float
    first: Phase
    ramp: Phase
    sync: Sync
    steady: Phase
    restart: Restart
    aborts: Aborts
    breach: Breach
    finish: Phase


_RESULT = TypeAdapter(Result)
_PHASES = ("first", "ramp", "steady", "finish")
_TABLES = ("requests", "served")


def to_dict(result: Result) -> dict[str, Any]:
    """Plain JSON."""
    found: dict[str, Any] = _RESULT.dump_python(result)
    for name in _PHASES:
        for table in _TABLES:
            found[name][table] = {f"{verb} {what}": count for (verb, what), count in found[name][table].items()}
    return found


def from_dict(found: dict[str, Any]) -> Result:
    """The inverse of `to_dict`."""
    phases = {
        name: found[name]
        | {table: {tuple(key.split(" ", 1)): count for key, count in found[name][table].items()} for table in _TABLES}
        for name in _PHASES
    }
    return _RESULT.validate_python(found | phases)
