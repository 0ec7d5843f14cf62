"""The figures for people: a table on the terminal, and the section of docs/benchmarks.md that is made from a run."""

import os
import platform
import re
import subprocess
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.fleet.story import Phase, Result
from tests.cluster import versions

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs" / "benchmarks.md"
BEGIN, END = "<!-- fleet: made by python -m bench.fleet --write-docs -->", "<!-- /fleet -->"
HEAD = "# Benchmarks\n\nEvery figure on this page was written by the command that is named beside it.\n"

Cell = Callable[[Result], str]


def _per_rollout_minute(count: int, result: Result, phase: Phase) -> str:
    return f"{count / result.rollouts / phase.seconds * 60:.2f}"


def _points(result: Result) -> float:
    return result.steady.seconds / result.interval


def _bound(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    return f"≤ {1000 * seconds:g} ms" if seconds < 1 else f"≤ {seconds:g} s" if seconds != float("inf") else "> 60 s"


def _pair(fifty: float | None, ninety_nine: float | None) -> str:
    return f"{_bound(fifty)} / {_bound(ninety_nine)}"


ROWS: tuple[tuple[str, Cell], ...] = (
    ("**Steady canaries**", lambda _: ""),
    ("seconds measured", lambda one: f"{one.steady.seconds:.0f}"),
    ("CPU, share of one core", lambda one: f"{one.steady.cpu / one.steady.seconds:.3f}"),
    (
        "CPU per rollout and window",
        lambda one: f"{1000 * one.steady.cpu / _points(one) / one.rollouts:.2f} ms",
    ),
    ("looks at a rollout per window", lambda one: f"{one.steady.looks / _points(one) / one.rollouts:.2f}"),
    ("resident memory", lambda one: f"{one.steady.memory:.0f} MiB"),
    ("API writes per rollout and minute", lambda one: _per_rollout_minute(one.steady.writes, one, one.steady)),
    ("API reads, in all", lambda one: f"{one.steady.reads}"),
    (
        "the same by the API server's count (reads and writes)",
        lambda one: str(sum(one.steady.served.values())),
    ),
    ("Prometheus queries per interval, in all", lambda one: f"{one.steady.queries / _points(one):.1f}"),
    ("answers of Prometheus per interval", lambda one: f"{one.steady.received / _points(one) / 1024:.0f} KiB"),
    ("wait in the queue, p50 / p99", lambda one: _pair(one.steady.wait_p50, one.steady.wait_p99)),
    ("reconcile, p50 / p99", lambda one: _pair(one.steady.work_p50, one.steady.work_p99)),
    ("event loop lag, p99", lambda one: _bound(one.steady.lag_p99)),
    ("**Restart in mid-fleet**", lambda _: ""),
    ("started and listed after", lambda one: f"{one.restart.ready:.1f} s"),
    ("every rollout decided after", lambda one: f"{one.restart.observed:.1f} s"),
    ("CPU until then", lambda one: f"{one.restart.cpu:.1f} s"),
    ("API reads until then", lambda one: str(one.restart.reads)),
    ("API writes until then and three windows on", lambda one: str(one.restart.writes)),
    ("objects whose version changed", lambda one: str(one.restart.changed)),
    ("routes whose weights moved", lambda one: str(one.restart.weights_moved)),
    ("**Movement**", lambda _: ""),
    ("first versions up after", lambda one: f"{one.first.seconds:.0f} s"),
    ("all canaries at their first weight after", lambda one: f"{one.ramp.seconds:.0f} s"),
    ("all promoted after the order to finish", lambda one: f"{one.finish.seconds:.0f} s"),
    (
        "API writes per rollout: first version / first weight / promotion",
        lambda one: _each(one, lambda phase: phase.writes),
    ),
    (
        "API reads per rollout: first version / first weight / promotion",
        lambda one: _each(one, lambda phase: phase.reads),
    ),
    (
        "CPU per rollout: first version / first weight / promotion",
        lambda one: _each(one, lambda phase: 1000 * phase.cpu, " ms", 0),
    ),
    ("peak memory", lambda one: f"{max(one.ramp.peak, one.steady.peak, one.finish.peak):.0f} MiB"),
    ("load average of the machine while steady", lambda one: f"{one.steady.load:.1f}"),
)


def _each(one: Result, figure: Callable[[Phase], float], unit: str = "", digits: int = 1) -> str:
    return " / ".join(f"{figure(phase) / one.rollouts:.{digits}f}{unit}" for phase in (one.first, one.ramp, one.finish))


def table(results: Sequence[Result]) -> str:
    """Aligned columns, one a fleet; a Markdown table as it stands."""
    cells = [["", *(f"{one.rollouts} rollouts" for one in results)]]
    cells += [[name, *(cell(one) for one in results)] for name, cell in ROWS]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    lines = [
        "| " + " | ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) + " |" for row in cells
    ]
    rule = "| " + " | ".join(["-" * widths[0], *(f"{'-' * (width - 1)}:" for width in widths[1:])]) + " |"
    return "\n".join([lines[0], rule, *lines[1:]])


def setup(command: str) -> dict[str, str]:
    """What the figures depend on."""
    processor = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    words = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    machine = f"{os.cpu_count()} × {processor[1] if processor else platform.machine()}, {memory:.0f} GiB"
    return {
        "command": command,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "machine": f"{machine}; API server, etcd, scheduler, controllers and kwok run on it too",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "operator": f"{version('modelrollout')} ({commit or 'no commit'})",
        "kubernetes": versions.KUBERNETES.removeprefix("v"),
        "libraries": ", ".join(f"{name} {version(name)}" for name in ("kopf", "kubernetes", "pydantic", "aiohttp")),
    }


def document(results: Sequence[Result], found: dict[str, str], minutes: float) -> dict[str, Any]:
    """Everything as one JSON object."""
    return {"setup": found, "minutes": minutes, "fleets": [one.to_dict() for one in results], "table": table(results)}


def section(found: dict[str, Any]) -> str:
    """The section of the page."""
    lines = [f"- {name}: {text if name != 'command' else f'`{text}`'}" for name, text in found["setup"].items()]
    return "\n".join(
        [
            BEGIN,
            "## A fleet of rollouts in one process",
            "",
            "Each rollout has two versions behind a Gateway route, 10 % on the candidate, and two metrics judged at every",
            "interval. Reads and writes are the operator's own; Events and the lease are left out. Progress is saved every",
            "`checkpointEvery` (5 min) for each rollout, and everything is listed every `relistEvery` (10 min): a measurement that is",
            "shorter may see neither. The few reads are of the process, not of rollouts: whether optional kinds are served.",
            "",
            found["table"],
            "",
            *lines,
            END,
        ]
    )


def write_docs(found: dict[str, Any], page: Path = DOCS) -> None:
    """Put the section into the page, in place of the one of an earlier run."""
    text = page.read_text() if page.exists() else HEAD
    fresh = section(found)
    if BEGIN in text:
        before, _, rest = text.partition(BEGIN)
        text = before + fresh + rest.partition(END)[2]
    else:
        text = f"{text.rstrip()}\n\n{fresh}\n"
    page.write_text(text)
