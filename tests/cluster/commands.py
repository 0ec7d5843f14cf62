"""Running other programs to their end.

Long output goes to a named log file; an error carries the last lines and the file's name. A program that outlives an
interrupt would go on building or downloading unseen, so each runs in a session of its own that ends with us.
"""

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.cluster.contract import ClusterError

TAIL_LINES = 20


class CommandError(ClusterError):
    """A program ended with an error or could not be started."""


def run(
    argv: Sequence[str | Path],
    *,
    log: Path | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: str | None = None,
    timeout: float | None = None,
) -> str:
    """Run to the end and return standard output (empty when it went to `log`); raises CommandError."""
    words = [str(word) for word in argv]
    with contextlib.ExitStack() as stack:
        sink = None
        if log:
            log.parent.mkdir(parents=True, exist_ok=True)
            sink = stack.enter_context(log.open("a"))
            sink.write(f"$ {' '.join(words)}\n")
            sink.flush()
        try:
            process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
                stdout=sink or subprocess.PIPE,
                stderr=subprocess.STDOUT if sink else subprocess.PIPE,
                env=None if env is None else dict(env),
                cwd=cwd,
                text=True,
                start_new_session=True,
            )
        except OSError as error:
            raise CommandError(f"cannot start {words[0]}: {error.strerror or error}") from error
        stdout, stderr = _wait(process, words, stdin, timeout)
    if process.returncode:
        said = tail(log) if log else (stderr or stdout).strip()
        where = f"\nfull log: {log}" if log else ""
        raise CommandError(f"{_short(words)} ended with exit code {process.returncode}:\n{said}{where}")
    return stdout


def _wait(
    process: "subprocess.Popen[str]", words: list[str], stdin: str | None, timeout: float | None
) -> tuple[str, str]:
    try:
        stdout, stderr = process.communicate(stdin, timeout=timeout)
    except subprocess.TimeoutExpired as error:
        end_group(process)
        raise CommandError(f"{_short(words)} did not end within {timeout:.0f} s") from error
    except BaseException:
        end_group(process)
        raise
    return stdout or "", stderr or ""


def end_group(process: "subprocess.Popen[str]") -> None:
    """Stop a program and what it started: politely, then after 5 s for good."""
    for number, patience in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
        try:
            os.killpg(process.pid, number)
            process.wait(patience)
        except ProcessLookupError:
            break
        except subprocess.TimeoutExpired:
            continue
        break


def tail(log: Path, lines: int = TAIL_LINES) -> str:
    """The last lines of a text file, empty when there is none."""
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""


def _short(words: Sequence[str]) -> str:
    text = " ".join(words)
    return text if len(text) <= 160 else text[:157] + "..."
