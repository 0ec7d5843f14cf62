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

from bench.fleet.bars import judged
from bench.fleet.growth import growth
from bench.fleet.peers import compared
from bench.fleet.result import Phase, Result, to_dict
from bench.fleet.shelf import Kept
from tests.cluster import versions

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PLOT = "images/fleet.svg"
BEGIN, END = "<!-- fleet: made by python -m bench.fleet --write-docs -->", "<!-- /fleet -->"
COSTS_BEGIN, COSTS_END = "<!-- fleet-costs: made by python -m bench.fleet --write-docs -->", "<!-- /fleet-costs -->"
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
    ("of that, before there was a rollout", lambda one: f"{one.idle:.0f} MiB"),
    ("memory per rollout", lambda one: f"{1024 * (one.steady.memory - one.idle) / one.rollouts:.0f} KiB"),
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
    ("resident memory three windows on", lambda one: f"{one.restart.memory:.0f} MiB"),
    ("**All specs change at once**", lambda _: ""),
    ("rollout recorded after, median / last", lambda one: f"{one.sync.median:.1f} / {one.sync.last:.1f} s"),
    ("API errors", lambda one: str(one.sync.errors)),
    ("**Half of the fleet turns bad at once**", lambda _: ""),
    ("canaries that turn bad", lambda one: str(one.breach.count)),
    (
        "weight 0 recorded after the first bad window closed, first / median / last",
        lambda one: f"{one.breach.first:.1f} / {one.breach.median:.1f} / {one.breach.last:.1f} s",
    ),
    ("**Abort by hand**", lambda _: ""),
    (
        "weight 0 recorded after the order, median / slowest",
        lambda one: f"{one.aborts.median:.2f} / {one.aborts.last:.2f} s of {one.aborts.count}",
    ),
    ("**Movement**", lambda _: ""),
    ("first versions up after", lambda one: f"{one.first.seconds:.0f} s"),
    ("all canaries at their first weight after", lambda one: f"{one.ramp.seconds:.0f} s"),
    ("the healthy rest promoted after the order to finish", lambda one: f"{one.finish.seconds:.0f} s"),
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
    promoted = one.rollouts - one.breach.count - one.aborts.count
    phases = ((one.first, one.rollouts), (one.ramp, one.rollouts), (one.finish, promoted))
    return " / ".join(f"{figure(phase) / count:.{digits}f}{unit}" for phase, count in phases)


def table(results: Sequence[Result]) -> str:
    """One column a fleet."""
    return aligned(
        ["", *(f"{one.rollouts:,} rollouts" for one in results)],
        [[name, *(cell(one) for one in results)] for name, cell in ROWS],
    )


def bars(results: Sequence[Result]) -> str:
    """What was promised, and what was measured."""
    return aligned(["", "at most", *(f"{one.rollouts:,} rollouts" for one in results)], judged(results))


def aligned(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Aligned columns; a Markdown table as it stands."""
    cells = [list(head), *rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
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


def document(kept: Sequence[Kept]) -> list[dict[str, Any]]:
    """Everything as JSON: for each fleet its set-up, its figures and the promises with whether they held."""
    return [
        {
            "setup": dict(one.setup),
            "result": to_dict(one.result),
            "bars": [dict(zip(("bar", "atMost", "measured"), row, strict=True)) for row in judged([one.result])],
        }
        for one in kept
    ]


def section(kept: Sequence[Kept]) -> str:
    """The section of the page."""
    results = [one.result for one in kept]
    return "\n".join(
        [
            BEGIN,
            "## A fleet of rollouts in one process",
            "",
            "Each rollout has two versions behind a Gateway route, 10 % on the candidate, and two metrics judged at every",
            "interval. What is promised for up to 1,000 rollouts, and what was measured:",
            "",
            bars(results),
            "",
            f"![What a fleet costs, by its size]({PLOT})",
            "",
            "### All figures",
            "",
            "Reads and writes are the operator's own; Events and the lease are left out. Progress is saved every",
            "`checkpointEvery` (5 min) for each rollout, and everything is listed every `relistEvery` (10 min): a measurement that is",
            "shorter may see neither. The few reads are of the process, not of rollouts: whether optional kinds are served.",
            "",
            table(results),
            "",
            "### Beside others",
            "",
            *compared(results),
            "",
            "### Set-up",
            "",
            *_setups(kept),
            END,
        ]
    )


def _setups(kept: Sequence[Kept]) -> list[str]:
    """What all fleets have in common once, what differs for each."""
    names = list(dict.fromkeys(name for one in kept for name in one.setup))
    lines = []
    for name in names:
        texts = [one.setup.get(name, "–") for one in kept]
        mark = "`" if name == "command" else ""
        if len(set(texts)) == 1:
            lines.append(f"- {name}: {mark}{texts[0]}{mark}")
        else:
            each = (f"{one.result.rollouts:,}: {mark}{text}{mark}" for one, text in zip(kept, texts, strict=True))
            lines.append(f"- {name}: {'; '.join(each)}")
    return lines


def costs(kept: Sequence[Kept]) -> str:
    """The table of the page on sizing."""
    rows = [
        [
            f"{one.rollouts:,}",
            f"{one.steady.memory:.0f} MiB",
            f"{max(one.ramp.peak, one.steady.peak, one.finish.peak):.0f} MiB",
            f"{one.steady.cpu / one.steady.seconds:.3f}",
            f"{one.steady.queries / _points(one):.0f}",
            f"{one.restart.observed:.0f} s",
        ]
        for one in (kept.result for kept in kept)
    ]
    head = ["rollouts", "memory", "at most", "cores", "queries per interval", "restart: all decided"]
    interval = ", ".join(sorted({f"{one.result.interval} s" for one in kept}))
    told = f"Canaries with two metrics, judged every {interval}, on the machine of [the benchmarks](benchmarks.md); all figures are there."
    return "\n".join([COSTS_BEGIN, told, "", aligned(head, rows), COSTS_END])


def write_docs(kept: Sequence[Kept], folder: Path = DOCS) -> None:
    """Put the sections into the pages, in place of those of an earlier run, and the plot beside them."""
    _put(folder / "benchmarks.md", section(kept), BEGIN, END)
    _put(folder / "sizing.md", costs(kept), COSTS_BEGIN, COSTS_END)
    plot = folder / PLOT
    plot.parent.mkdir(exist_ok=True)
    plot.write_text(growth([one.result for one in kept]))


def _put(page: Path, fresh: str, begin: str, end: str) -> None:
    text = page.read_text() if page.exists() else HEAD
    if begin in text:
        before, _, rest = text.partition(begin)
        text = before + fresh + rest.partition(end)[2]
    else:
        text = f"{text.rstrip()}\n\n{fresh}\n"
    page.write_text(text)
