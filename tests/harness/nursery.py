"""Operators by the dozen: a process that has imported the operator once and forks it for each start.

A start costs a second of processor time, nearly all of it for imports, and the crash matrix needs hundreds. What is forked is a
process like any other: it has its own log, is killed by a signal and takes nobody along. When the nursery goes, so do they.
"""

import contextlib
import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).parents[2]
_PR_SET_PDEATHSIG = 1


class Forked:
    """A forked operator, as far as `subprocess.Popen` is needed for it. Who was killed has the exit code 1."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._lock = threading.Lock()
        self._handle: int | None = os.pidfd_open(pid)

    def poll(self) -> int | None:
        return 1 if self._ended(0) else None

    def send_signal(self, number: int) -> None:
        with self._lock:
            if self._handle is not None:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(self._handle, number)

    def wait(self, timeout: float) -> int:
        assert self._ended(timeout), f"process {self.pid} did not end within {timeout:g} s"
        return 1

    def _ended(self, seconds: float) -> bool:
        """Whether it has ended, or does within that time. The handle goes with it: the matrix starts a thousand of them."""
        with self._lock:
            if self._handle is None:
                return True
            waiting = select.poll()  # unlike select, it takes any number of open files
            waiting.register(self._handle, select.POLLIN)
            if not waiting.poll(seconds * 1000):
                return False
            os.close(self._handle)
            self._handle = None
            return True


class Nursery:
    """A context. `start` may be called from any thread."""

    def __enter__(self) -> Self:
        environment = {name: text for name, text in os.environ.items() if not name.startswith("MODELROLLOUT_")}
        environment["PYTHONPATH"] = os.pathsep.join([str(ROOT / "operator"), str(ROOT)])
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.harness.nursery"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def start(self, words: Sequence[str], environment: dict[str, str], log: Path) -> Forked:
        order = {"words": list(words), "environment": environment, "log": str(log)}
        with self._lock:
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
            return Forked(int(self._process.stdout.readline()))


def _serve() -> None:
    from modelrollout import operator  # noqa: F401, PLC0415  what all of this is for

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the dead
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _become(order)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


def _become(order: dict[str, Any]) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    nothing = os.open(os.devnull, os.O_RDONLY)
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for ours, standard in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(ours, standard)
    sys.stdin = sys.__stdin__ = None  # type: ignore[assignment] # it is the nursery's
    os.environ.update(order["environment"])
    from modelrollout.operator import main  # noqa: PLC0415

    code = 1
    try:
        main(order["words"])
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
        if isinstance(end.code, str):
            sys.stderr.write(f"{end.code}\n")
    except Exception:  # noqa: BLE001  as the interpreter does it at the end of a process
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve()
