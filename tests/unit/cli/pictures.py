"""The golden pictures of `status`: every state at three widths. `python -m tests.unit.cli.pictures` draws them anew."""

from __future__ import annotations

from pathlib import Path

from modelrollout.cli.deployment import parse
from modelrollout.cli.draw import draw
from modelrollout.cli.plans import planned
from modelrollout.cli.view import View, look
from tests.unit.cli import samples

WIDTHS = (60, 80, 120)
GOLDEN = Path(__file__).parent / "golden"


def view(state: str) -> View:
    deployment = parse(samples.STATES[state]())
    return look(deployment, planned(deployment), samples.NOW)


def picture(width: int) -> str:
    """All states at one width, each under its name."""
    parts = []
    for state in samples.STATES:
        parts.append(f"==== {state} ".ljust(width, "="))
        parts += [line.plain for line in draw(view(state), width)]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    for width in WIDTHS:
        (GOLDEN / f"status-{width}.txt").write_text(picture(width))
