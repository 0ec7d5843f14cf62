"""What a person sees: numbered lines, bars with the expected time, and what kubectl prints.

Below an act's headline lines appear as they come, and under them, on a terminal, one live line: how far, how long, and what
users meet right now. Where output is no terminal there is no live line, only lines. A `picture` is a second, silent console
that gets all lasting lines and can be saved as SVG for the documentation.
"""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text

from tests.cluster.progress import ExpectedBar, ExpectedText, Steps, spoken

WIDTH = 100
INDENT = "    "
_WORDS = re.compile(
    r"(?P<good>\b(?:Healthy|Promoted|RolloutFinished)\b|✓)"
    r"|(?P<bad>\b(?:RolledBack|RollingBack|Failed|Warning|[A-Z][A-Za-z]+(?:Worse|TooHigh))\b|✗)"
    r"|(?P<moving>\b(?:Progressing|Promoting|Loading|WarmingUp|Deploying)\b)"
)
_STYLES = {"good": "green", "bad": "red", "moving": "cyan"}


class LiveText(ProgressColumn):
    """One line of text that is asked for at each refresh."""

    max_refresh = 0.5

    def __init__(self, say: Callable[[], str]) -> None:
        super().__init__()
        self._say = say

    def render(self, task: Task) -> Text:  # noqa: ARG002 - the text is the same for every task
        return Text(self._say(), style="dim", no_wrap=True, overflow="ellipsis")


class Screen(Steps):
    """Shows the demo; the cluster's own steps are counted in the same row."""

    def __init__(self, console: Console | None = None, *, picture: bool = False) -> None:
        self.console = console or Console(highlight=False)
        super().__init__(self.console)
        self._picture = Console(record=True, width=WIDTH, file=StringIO(), highlight=False) if picture else None

    @contextmanager
    def step(self, title: str, *, expected: float = 2.0, log: Path | None = None) -> Iterator[None]:
        """As `Steps.step`; the picture gets one line when it is done."""
        began = time.monotonic()
        with super().step(title, expected=expected, log=log):
            yield
        self._paint(Text(f"✓ {self._count:>2}. {title}  ({spoken(time.monotonic() - began)})"))

    @contextmanager
    def act(self, title: str, *, expected: float, live: Callable[[], str]) -> Iterator[None]:
        """A numbered headline, lines printed meanwhile (`line`), and the live line below them."""
        self._count += 1
        self.line("")
        self._print(Text(f"  {self._count:>2}. {title}", style="bold"))
        if not self.console.is_terminal:
            self.line(f"(about {spoken(expected)})")
            yield
            return
        columns = (
            TextColumn("   "),
            SpinnerColumn(),
            ExpectedBar(),
            TimeElapsedColumn(),
            ExpectedText(),
            LiveText(live),
        )
        with Progress(*columns, console=self.console, refresh_per_second=4, transient=True) as progress:
            progress.add_task("", total=1, expected=expected)
            yield

    def line(self, text: str, style: str = "") -> None:
        """One line below the headline; words that tell good from bad are coloured."""
        shown = Text(INDENT + text if text else "", style=style)
        for found in _WORDS.finditer(shown.plain):
            shown.stylize(_STYLES[found.lastgroup or "good"], *found.span())
        self._print(shown)

    def command(self, text: str) -> None:
        """A command to copy: never folded, because a line end in the middle of it would break it."""
        shown = Text(INDENT + text, style="cyan")
        self.console.print(shown, soft_wrap=True)
        self._paint(shown)

    def save(self, file: Path, title: str) -> None:
        """Write the picture."""
        assert self._picture is not None
        file.parent.mkdir(parents=True, exist_ok=True)
        picture = self._picture.export_svg(title=title)
        # Nothing is fetched to look at it: whoever does has a monospaced font.
        file.write_text(re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL))

    def _print(self, text: Text) -> None:
        # On a terminal long sentences wrap below their indentation; in a file they stay whole.
        if self.console.is_terminal:
            self.console.print(*_folded(text, self.console.width), sep="\n")
        else:
            self.console.print(text, soft_wrap=True)
        self._paint(text)

    def _paint(self, text: Text) -> None:
        if self._picture is not None:
            self._picture.print(*_folded(text, WIDTH), sep="\n")


def _folded(text: Text, width: int) -> list[Text]:
    """The text in lines of at most `width`, all indented like the first."""
    margin = len(text.plain) - len(text.plain.lstrip())
    if len(text.plain) <= width:
        return [text]
    console = Console(width=max(20, width - margin), file=StringIO())
    lines = text[margin:].wrap(console, max(20, width - margin))
    return [Text(" " * margin) + line for line in lines]
