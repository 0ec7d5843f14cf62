"""What a person sees while a cluster is built and started.

On a terminal each step is one line with a bar that fills over the time the step usually takes; elsewhere it is one
numbered line at its start and one at its end. Everything goes to standard error, so that standard output stays clean for
`--output json`. Programs' own output never comes here: it goes to log files, and a long step names its file.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeElapsedColumn
from rich.progress_bar import ProgressBar
from rich.text import Text

LONG_STEP = 20.0  # seconds; longer steps say beforehand how long they take and where their log is


def spoken(seconds: float) -> str:
    """A duration as people say it: `0.4 s`, `12 s`, `4 min 45 s`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


class ExpectedBar(ProgressColumn):
    """A bar over the expected time; it stops short of full until the step is really done."""

    max_refresh = 0.2

    def render(self, task: Task) -> ProgressBar:
        expected = task.fields["expected"]
        share = 1.0 if task.finished else min((task.elapsed or 0.0) / expected, 0.98)
        return ProgressBar(total=1.0, completed=share, width=24)


class ExpectedText(ProgressColumn):
    """`of about 5 min` beside the elapsed time."""

    def render(self, task: Task) -> Text:
        expected = task.fields["expected"]
        return Text("" if task.finished or expected < LONG_STEP else f"of about {spoken(expected)}", style="dim")


class Steps:
    """Shows steps one after another; safe to share by everything that works on one cluster."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, highlight=False)
        self._count = 0

    @contextmanager
    def step(self, title: str, *, expected: float = 2.0, log: Path | None = None) -> Iterator[None]:
        """Show one step; `expected` is in seconds. An exception marks the step as failed and passes through."""
        self._count += 1
        began = time.monotonic()
        shown = self._bar(title, expected) if self._console.is_terminal else self._plain(title, expected, log)
        with shown:
            yield
        if not self._console.is_terminal:
            self.say(f"[{self._count}] {title}: done in {spoken(time.monotonic() - began)}")

    def say(self, text: str) -> None:
        """One line of plain text."""
        self._console.print(text, markup=False, soft_wrap=True)

    @contextmanager
    def _bar(self, title: str, expected: float) -> Iterator[None]:
        columns = (
            SpinnerColumn(finished_text="[green]✓[/]"),
            TextColumn("{task.description}"),
            ExpectedBar(),
            TimeElapsedColumn(),
            ExpectedText(),
        )
        with Progress(*columns, console=self._console, refresh_per_second=5) as progress:
            task = progress.add_task(f"{self._count:>2}. {title}", total=1, expected=expected)
            yield
            progress.update(task, completed=1)

    @contextmanager
    def _plain(self, title: str, expected: float, log: Path | None) -> Iterator[None]:
        if expected >= LONG_STEP:
            where = f"; log: {log}" if log else ""
            self.say(f"[{self._count}] {title} … (about {spoken(expected)}{where})")
        yield


class Silent(Steps):
    """Shows nothing; for callers that have their own display."""

    @contextmanager
    def step(self, title: str, *, expected: float = 2.0, log: Path | None = None) -> Iterator[None]:
        yield

    def say(self, text: str) -> None:
        pass


def default_steps() -> Steps:
    """Steps on standard error."""
    return Steps(Console(file=sys.stderr, highlight=False))
