"""The figures for people: tables, the plot, the comparison with what was to be expected, and the section of the docs."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.judge.figures import Figures
from bench.judge.scenes import NEAR, Scene
from bench.judge.svg import Curve, plot

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs" / "benchmarks.md"
PICTURE = ROOT / "docs" / "images" / "judge.svg"
BEGIN, END = "<!-- judge: made by python -m bench.judge --write-docs -->", "<!-- /judge -->"
HEAD = "# Benchmarks\n\nEvery figure on this page was written by the command that is named beside it.\n"
TICKS = ((15.0, "15 s"), (60.0, "1 min"), (300.0, "5 min"), (900.0, "15 min"), (3600.0, "1 h"))


@dataclass(frozen=True)
class Result:
    """A scene and what came of it; in the reference table also by the other two methods."""

    scene: Scene
    found: Figures
    threshold: Figures | None = None
    checks: Figures | None = None

    @property
    def strays(self) -> tuple[str, ...]:
        """Where a figure is not near the one that was expected, in words."""
        return tuple(text for text in _strays(self) if text)


def _strays(result: Result) -> list[str]:
    expected, found, name = result.scene.expected, result.found, result.scene.name
    grid = found.setting.window
    certified = found.certified / found.rollouts
    strays = [
        _far(f"{name}: median seconds", found.median_seconds, expected.seconds, grid),
        _far(f"{name}: median requests", found.median_requests, expected.requests, 0.0),
        _far(f"{name}: seconds to the certificate", found.median_certified_seconds, expected.certified_seconds, grid),
    ]
    for what, share, wanted, hits in (
        ("rolled back", found.share, expected.share, found.interval[0]),
        ("certified", certified, expected.certified_share, certified),
    ):
        if wanted is None:
            continue
        wrong = hits > wanted if expected.at_most else abs(share - wanted) > NEAR * wanted
        strays.append(f"{name}: {share:.2%} {what}, expected {wanted:.0%}" if wrong else "")
    return strays


def _far(what: str, found: float | None, expected: float | None, grid: float) -> str:
    """A median on a grid of windows is as near as it can be when it is the next point of the grid."""
    if expected is None:
        return ""
    if found is None:
        return f"{what}: none, expected {expected:g}"
    return f"{what}: {found:g}, expected {expected:g}" if abs(found - expected) > max(NEAR * expected, grid) else ""


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f} s"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


def _share(found: Figures) -> str:
    return f"{_percent(found.share)} ({_percent(found.interval[0])}–{_percent(found.interval[1])})"


def _percent(share: float) -> str:
    return f"{100 * share:.2f}".rstrip("0").rstrip(".") + " %"


def _certified(found: Figures) -> str:
    return _percent(found.certified / found.rollouts)


Column = tuple[str, Callable[[Result], str]]

_NAME: Column = ("", lambda one: one.scene.name)
_ROLLOUTS: Column = ("rollouts", lambda one: f"{one.found.rollouts:,}")
_BACK: Column = ("rolled back", lambda one: _share(one.found))

TABLE_COLUMNS: tuple[Column, ...] = (
    ("candidate's errors", lambda one: one.scene.name),
    ("rolled back", lambda one: _percent(one.found.share)),
    ("median time", lambda one: _seconds(one.found.median_seconds)),
    ("median candidate requests", lambda one: _number(one.found.median_requests)),
    ("Threshold: rolled back", lambda one: _percent(one.threshold.share) if one.threshold else ""),
    ("median time", lambda one: _seconds(one.threshold.median_seconds) if one.threshold else ""),
    ("3 failed checks in all: rolled back", lambda one: _percent(one.checks.share) if one.checks else ""),
    ("median time", lambda one: _seconds(one.checks.median_seconds) if one.checks else ""),
)
LATE_COLUMNS: tuple[Column, ...] = (
    _NAME,
    _ROLLOUTS,
    ("found", lambda one: _percent((one.found.rolled_back - one.found.early) / one.found.rollouts)),
    ("rolled back before", lambda one: _percent(one.found.early / one.found.rollouts)),
    ("median time", lambda one: _seconds(one.found.median_seconds)),
    ("median candidate requests", lambda one: _number(one.found.median_requests)),
)
CERTIFICATE_COLUMNS: tuple[Column, ...] = (
    _NAME,
    _ROLLOUTS,
    ("certified", lambda one: _certified(one.found)),
    ("median time", lambda one: _seconds(one.found.median_certified_seconds)),
)
INNOCENT_COLUMNS: tuple[Column, ...] = (_NAME, _ROLLOUTS, _BACK)


def table(columns: Sequence[Column], results: Sequence[Result]) -> str:
    """Aligned columns; a Markdown table as it stands."""
    cells = [[name for name, _ in columns], *([cell(one) for _, cell in columns] for one in results)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(columns))]
    lines = [
        "| " + " | ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) + " |" for row in cells
    ]
    rule = "| " + " | ".join(["-" * widths[0], *(f"{'-' * (width - 1)}:" for width in widths[1:])]) + " |"
    return "\n".join([lines[0], rule, *lines[1:]])


@dataclass(frozen=True)
class Report:
    """All results of a run."""

    table: tuple[Result, ...]
    late: tuple[Result, ...]
    latencies: tuple[Result, ...]
    certificates: tuple[Result, ...]
    innocent: tuple[Result, ...]
    approximate: tuple[Result, ...]

    @property
    def strays(self) -> list[str]:
        """Figures that are not near what was expected."""
        return [text for results in self._all for result in results for text in result.strays]

    @property
    def _all(self) -> tuple[tuple[Result, ...], ...]:
        return (self.table, self.late, self.latencies, self.certificates, self.innocent, self.approximate)

    def to_dict(self) -> dict[str, Any]:
        """Everything as one JSON object."""
        names = ("table", "late", "latencies", "certificates", "innocent", "approximate")
        return {
            name: [{"name": one.scene.name, **one.found.to_dict()} for one in results]
            for name, results in zip(names, self._all, strict=True)
        } | {"strays": self.strays}

    def text(self) -> str:
        """The tables with their headings."""
        return "\n".join(_body(self))


def _body(report: Report) -> list[str]:
    return [
        "50 requests/s, stable with 0.5 % errors, weights of 5, 10, 25 and 50 % for 15 min each, windows of 15 s, one metric with",
        "`compare` at its defaults, false-rollback probability 1 %. A rollout of 0.5 % is healthy: taking it back is wrong.",
        "",
        table(TABLE_COLUMNS, report.table),
        "",
        "Threshold is the operator's own method with `limit: 1%`, checked each minute, 3 failed checks of a step. The last two",
        "columns count failed checks over the whole rollout and ask for no sample, as is usual elsewhere.",
        "",
        "![Share of rollouts taken back over time](images/judge.svg)",
        "",
        "**It goes bad later.** Time and requests count from then. Waiting for approval is judged like everything else.",
        "",
        table(LATE_COLUMNS, report.late),
        "",
        "**Latency without a threshold**, judged at all eleven bounds of a usual histogram together (margin 1.2). Latencies are log-normal",
        "around 80 ms, 3 % beyond 250 ms, and the candidate's are so many times stable's.",
        "",
        table(LATE_COLUMNS, report.latencies),
        "",
        "**The certificate for promotion** (twice as bad as stable is bad, below 0.1 % never mind, probability 5 % unless named).",
        "",
        table(CERTIFICATE_COLUMNS, report.certificates),
        "",
        "**Innocent candidates taken back**, with the exact 95 % interval of the share. The bound is 1 %.",
        "",
        table(INNOCENT_COLUMNS, report.innocent),
        "",
        "**Where errors of one pod hang together the bound is approximate.** The design effect is measured on six simulated hours",
        "of stable's pods before the rollout. A pod is in a burst a tenth of the time, and half of all errors come in bursts.",
        "",
        table(INNOCENT_COLUMNS, report.approximate),
    ]


def picture(results: Sequence[Result]) -> str:
    """The share of rollouts that were taken back over time."""
    curves = [Curve(f"{one.scene.name} errors", one.found.times, one.found.rollouts) for one in results]
    healthy = results[0]
    if healthy.threshold is not None:
        curves.append(Curve("0.5 %, Threshold", healthy.threshold.times, healthy.threshold.rollouts, dashed=True))
    if healthy.checks is not None:
        curves.append(Curve("0.5 %, 3 failed checks", healthy.checks.times, healthy.checks.rollouts, dashed=True))
    title = "Candidates taken back, stable at 0.5 % errors, 50 requests/s"
    return plot(title, "time since the first weight", "share taken back", curves, TICKS)


def setup(command: str) -> dict[str, str]:
    """What the figures depend on."""
    processor = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    words = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()
    return {
        "command": command,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "machine": f"{os.cpu_count()} × {processor[1] if processor else platform.machine()}, one core used",
        "python": f"{platform.python_version()}, numpy {version('numpy')}",
        "operator": f"{version('modelrollout')} ({commit or 'no commit'})",
    }


def section(report: Report, around: dict[str, str]) -> str:
    """The section of the page."""
    lines = [f"- {name}: {text if name != 'command' else f'`{text}`'}" for name, text in around.items()]
    largest = max(report.innocent, key=lambda one: one.found.rollouts).found
    speed = (
        f"- speed: {largest.rollouts:,} rollouts of {largest.setting.windows} windows in {largest.cpu_seconds:.0f} s of CPU time, "
        f"{largest.decisions:.0f} decisions each"
    )
    title = "## How often the judge is wrong, and how fast it is right"
    return "\n".join([BEGIN, title, "", *_body(report), "", *lines, speed, END])


def write_docs(report: Report, around: dict[str, str], page: Path = DOCS, image: Path = PICTURE) -> None:
    """Put the section into the page, in place of the one of an earlier run, and the plot beside it."""
    text = page.read_text() if page.exists() else HEAD
    fresh = section(report, around)
    if BEGIN in text:
        before, _, rest = text.partition(BEGIN)
        text = before + fresh + rest.partition(END)[2]
    else:
        text = f"{text.rstrip()}\n\n{fresh}\n"
    page.write_text(text)
    image.parent.mkdir(parents=True, exist_ok=True)
    image.write_text(picture(report.table))
