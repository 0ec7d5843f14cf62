"""The parts of a local cluster, and the order in which they start.

A part has three verbs: `start`, `reason` (why it is not ready yet, empty when it is) and `stop`. All of them may be called
at any time and any number of times: `up` on a running cluster, `status`, and `down` after a crash in the middle of `up`
use the same parts. Parts are grouped in waves; a wave starts together once the wave before it is ready.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.cluster.commands import tail
from tests.cluster.contract import ClusterError, ComponentStatus
from tests.cluster.progress import Steps

POLL = 0.1  # seconds between two looks at a part that is not ready


class Component(Protocol):
    """One part of a cluster."""

    @property
    def name(self) -> str: ...

    def start(self) -> None:
        """Make it start, unless it runs already."""

    def reason(self) -> str:
        """Why it is not ready, in a few words; empty when it is. Never blocks for more than a few seconds."""

    def stop(self) -> None:
        """End it, unless it is gone already."""

    def status(self) -> ComponentStatus: ...


Waves = Sequence[Sequence[Component]]


@dataclass(frozen=True)
class Task:
    """A part that is no process: a bridge, applied objects, a condition to wait for."""

    name: str
    do: Callable[[], None] = lambda: None
    check: Callable[[], str] = lambda: ""
    undo: Callable[[], None] = lambda: None
    log: Path | None = None

    def start(self) -> None:
        self.do()

    def reason(self) -> str:
        return self.check()

    def stop(self) -> None:
        self.undo()

    def status(self) -> ComponentStatus:
        reason = self.reason()
        return ComponentStatus(self.name, not reason, reason)


def start_waves(waves: Waves, patience: float, steps: Steps) -> None:
    """Start everything in order; each part gets `patience` seconds to become ready. Raises ClusterError."""
    for wave in waves:
        with steps.step(f"Start {', '.join(part.name for part in wave)}"):
            for part in wave:
                part.start()
            for part in wave:
                wait_ready(part, patience)


def all_ready(waves: Waves) -> bool:
    """Whether every part is ready now."""
    with ThreadPoolExecutor() as pool:
        return not any(pool.map(lambda part: part.reason(), (part for wave in waves for part in wave)))


def statuses(waves: Waves) -> tuple[ComponentStatus, ...]:
    """The status of every part, looked at together since some looks take a second."""
    with ThreadPoolExecutor() as pool:
        return tuple(pool.map(lambda part: part.status(), (part for wave in waves for part in wave)))


def stop_waves(waves: Waves) -> None:
    """Stop everything, last wave first."""
    for wave in reversed(waves):
        for part in reversed(wave):
            part.stop()


def wait_ready(part: Component, patience: float) -> None:
    """Wait for one part; raises ClusterError with its last reason and the end of its log."""
    deadline = time.monotonic() + patience
    while reason := part.reason():
        if reason.startswith("not running") or time.monotonic() > deadline:
            status = part.status()
            raise ClusterError(f"{part.name} did not become ready: {reason}{_log_end(status.log)}")
        time.sleep(POLL)


def _log_end(log: Path | None) -> str:
    if log is None:
        return ""
    return f"\n{tail(log)}\nfull log: {log}"
