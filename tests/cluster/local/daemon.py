"""Host processes that outlive the command which started them.

A process is known by its id, its start time and the boot it belongs to, because ids come back. It also carries the
cluster's folder in its environment: `orphans` finds every process of a cluster by that mark, including one whose pid file
was never written because `up` was killed in that very moment, and the helpers that it started in turn.
"""

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.cluster.contract import ComponentStatus, without_proxy

MARK = "MODELROLLOUT_TEST_CLUSTER"
PATIENCE = 10.0  # seconds that a process has to end by itself


@dataclass(frozen=True)
class ProcessId:
    """One process, not confusable with a later one of the same number."""

    pid: int
    start: int  # clock ticks since boot
    boot: str

    @classmethod
    def of(cls, pid: int) -> "ProcessId | None":
        """The process that has this number now; None when there is none (a zombie counts as none)."""
        reap(pid)
        try:
            # The command name in parentheses may hold spaces; what follows the last parenthesis is regular.
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return None
        return None if fields[0] in "ZX" else cls(pid, int(fields[19]), boot_id())

    @property
    def alive(self) -> bool:
        return ProcessId.of(self.pid) == self

    def send(self, number: signal.Signals) -> None:
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def reap(pid: int) -> None:
    """Collect a child of ours that has ended; it would look alive otherwise."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


@dataclass(frozen=True)
class Daemon:
    """A long-running program as a part of a cluster.

    `probe` says why it is not ready, empty when it is; `files` (path: text) are written right before it starts.
    """

    name: str
    argv: Sequence[str | Path]
    home: Path
    probe: Callable[[], str] = lambda: ""
    files: Mapping[Path, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    no_proxy: tuple[str, ...] = ()

    @property
    def log(self) -> Path:
        return self.home / "logs" / f"{self.name}.log"

    @property
    def record(self) -> Path:
        return self.home / "pids" / f"{self.name}.json"

    def process(self) -> ProcessId | None:
        """The running process, None when there is none."""
        try:
            known = ProcessId(**json.loads(self.record.read_text()))
        except (OSError, ValueError, TypeError):
            return None
        return known if known.alive else None

    def start(self) -> None:
        if self.process():
            return
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.record.parent.mkdir(parents=True, exist_ok=True)
        for file, text in self.files.items():
            file.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(file, text)
        argv = [str(word) for word in self.argv]
        env = without_proxy({**os.environ, **self.env, MARK: str(self.home)}, *self.no_proxy)
        with self.log.open("a") as sink:
            # posix_spawn instead of Popen: nothing here should wait for, or complain about, a process meant to stay.
            pid = os.posix_spawn(
                argv[0],
                argv,
                env,
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, sink.fileno(), 1),
                    (os.POSIX_SPAWN_DUP2, sink.fileno(), 2),
                ],
                setsid=True,
                setsigmask=(),
                setsigdef=(signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGHUP),
            )
        process = ProcessId.of(pid)
        if process:
            write_atomically(self.record, json.dumps(vars(process)))

    def reason(self) -> str:
        return self.probe() if self.process() else "not running"

    def stop(self) -> None:
        process = self.process()
        if process:
            end([process])
        self.record.unlink(missing_ok=True)

    def status(self) -> ComponentStatus:
        process, reason = self.process(), self.reason()
        return ComponentStatus(self.name, not reason, reason, process.pid if process else None, self.log)


def end(processes: Iterable[ProcessId], patience: float = PATIENCE) -> None:
    """Terminate processes together, and kill those that are still there after `patience` seconds."""
    left = list(processes)
    for number, limit in ((signal.SIGTERM, patience), (signal.SIGKILL, 5.0)):
        for process in left:
            process.send(number)
        deadline = time.monotonic() + limit
        while (left := [process for process in left if process.alive]) and time.monotonic() < deadline:
            time.sleep(0.02)
        if not left:
            return


def orphans(home: Path) -> list[ProcessId]:
    """All processes that carry the mark of the cluster in `home`, never this process or one above it."""
    mark = f"{MARK}={home}".encode()
    spared = _ancestors()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) in spared:
            continue
        with contextlib.suppress(OSError):
            if mark in (entry / "environ").read_bytes().split(b"\0") and (process := ProcessId.of(int(entry.name))):
                found.append(process)
    return found


def _ancestors() -> set[int]:
    line, pid = set(), os.getpid()
    while pid > 1:
        line.add(pid)
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            break
    return line


def write_atomically(path: Path, text: str) -> None:
    """Replace a file in one step, so that a reader never sees half of it."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.write_text(text)
    scratch.replace(path)
