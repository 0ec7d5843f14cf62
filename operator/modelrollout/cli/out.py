"""The plugin's standard output: plain lines, styled lines, and documents for machines.

Colours appear on a terminal only (and follow NO_COLOR and FORCE_COLOR, as rich does). A terminal whose encoding lacks a mark
shows `?` instead of failing.
"""

from __future__ import annotations

import io
import json
import shutil
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from .choices import Format

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_FALLBACK = (120, 24)
"""Size where there is no terminal (a pipe, a CI log) and COLUMNS is not set."""


def say(text: str) -> None:
    """Print a line for people, at once (a pipe reads along)."""
    _forgiving(sys.stdout)
    print(text, flush=True)  # noqa: T201  the one place that prints


def complain(text: str) -> None:
    """Print a line on standard error."""
    _forgiving(sys.stderr)
    print(text, file=sys.stderr, flush=True)  # noqa: T201  likewise


def columns() -> int:
    """Width of the terminal."""
    return shutil.get_terminal_size(_FALLBACK).columns


def console() -> Console:
    """Standard output as a console that changes nothing but colours."""
    from rich.console import Console  # noqa: PLC0415  rich is loaded by what draws

    _forgiving(sys.stdout)
    return Console(highlight=False, markup=False, emoji=False, soft_wrap=True)


def show(lines: Iterable[Text]) -> None:
    """Print styled lines."""
    target = console()
    for line in lines:
        target.print(line, soft_wrap=True)


def document(body: Any, form: Format, *, compact: bool = False) -> str:
    """A document for machines, without a line break at its end; `compact` makes JSON one line."""
    if form is Format.JSON:
        return json.dumps(body, ensure_ascii=False) if compact else json.dumps(body, ensure_ascii=False, indent=2)
    return yaml_text([body])


def yaml_text(bodies: Iterable[Any]) -> str:
    """YAML documents in the order of their fields, separated by `---`."""
    import yaml  # noqa: PLC0415  not for commands without documents

    return str(yaml.safe_dump_all(bodies, sort_keys=False, allow_unicode=True, width=120)).rstrip("\n")


def _forgiving(stream: Any) -> None:
    if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
        stream.reconfigure(errors="replace")
