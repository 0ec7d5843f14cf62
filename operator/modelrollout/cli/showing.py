"""`status`: read, look, draw; with `--watch` again at every change until Ctrl-C.

On a terminal the picture is redrawn in place, at a change of the object as well as of the window. Elsewhere each state is
printed once, so that a log shows what happened.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import Iterator

from rich.console import Group
from rich.live import Live
from rich.text import Text

from modelrollout.kube.errors import ApiError, NotFound

from .choices import Format
from .cluster import Cluster
from .deployment import address, missing, parse, read
from .draw import draw
from .failures import ExitCode, Failure
from .follow import follow
from .out import columns, complain, console, document, say, show
from .plans import Plans
from .view import View, look
from .view import document as as_document


async def status(cluster: Cluster, name: str, output: Format | None, *, watch: bool) -> ExitCode:
    """Show one ModelDeployment."""
    if watch:
        return await _watch(cluster, name, output)
    deployment = await read(cluster, name)
    now = time.time()
    view = look(deployment, await Plans(cluster).of(deployment), now)
    if output is None:
        show(draw(view, columns()))
    else:
        say(document(as_document(view, now), output))
    return ExitCode.DONE


async def _watch(cluster: Cluster, name: str, output: Format | None) -> ExitCode:
    ref, plans = address(cluster, name), Plans(cluster)
    with _screen(output) as screen:
        try:
            async for item in follow(cluster, ref, screen.trouble):
                deployment = parse(item)
                screen.change(look(deployment, await plans.of(deployment), time.time()))
        except NotFound as error:
            raise missing(ref, error) from error
    raise Failure(f"{ref.name} was deleted", ExitCode.NO)


class _Printer:
    """Each state once: for pipes and logs, and as documents for machines."""

    def __init__(self, output: Format | None) -> None:
        self._output = output
        self._last: View | None = None
        self._troubled = False

    def change(self, view: View) -> None:
        if view == self._last:
            return
        first, self._last = self._last is None, view
        if self._output is None:
            show([*([] if first else [Text()]), *draw(view, columns())])
        else:
            separator = "---\n" if self._output is Format.YAML and not first else ""
            say(separator + document(as_document(view, time.time()), self._output, compact=True))

    def trouble(self, error: ApiError | None) -> None:
        if error is not None and not self._troubled:
            complain(f"the API server does not answer ({error.message}); trying again")
        self._troubled = error is not None


class _Screen:
    """The state in place, on a terminal."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._view: View | None = None
        self._trouble = ""

    def change(self, view: View) -> None:
        self._view = view
        self.draw()

    def trouble(self, error: ApiError | None) -> None:
        before, self._trouble = self._trouble, error.message if error is not None else ""
        if before != self._trouble:
            self.draw()

    def draw(self) -> None:
        if self._view is None:
            return
        lines = draw(self._view, columns())
        if self._trouble:
            lines.append(Text(f"  the API server does not answer ({self._trouble}); trying again", style="yellow"))
        self._live.update(Group(*lines), refresh=True)


@contextlib.contextmanager
def _screen(output: Format | None) -> Iterator[_Printer | _Screen]:
    if output is not None or not sys.stdout.isatty():
        yield _Printer(output)
        return
    with Live(console=console(), auto_refresh=False) as live:
        screen = _Screen(live)
        loop = asyncio.get_running_loop()
        resized = getattr(signal, "SIGWINCH", None)
        if resized is not None:
            loop.add_signal_handler(resized, screen.draw)
        try:
            yield screen
        finally:
            if resized is not None:
                loop.remove_signal_handler(resized)
