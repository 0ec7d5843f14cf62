"""The table of `kubectl get modeldeployments --watch`, in columns that stay in line.

kubectl makes a column as wide as what it has printed so far, so a watch whose words grow gets crooked. Here the same
columns (those of the CRD) are printed from the watched object with room for the longest words, and a line that differs
from the one before in nothing but the age is left out.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import yaml

from demo.kube import Json
from demo.places import CRDS

ROOM = {"Name": 4, "Status": 11, "Reason": 18}
"""Least widths of columns: the longest words that a rollout shows in them."""
GAP = "   "


class Table:
    """Prints one line for each version of an object that looks different."""

    def __init__(self, print_line: Callable[[str], None]) -> None:
        self._print = print_line
        self._columns = columns()
        self._before: list[str] | None = None

    def __call__(self, found: Json) -> None:
        cells = [found["metadata"]["name"], *(cell(found, path) for _, path in self._columns)]
        if self._before is None:
            self._print(self._line(["Name", *(name for name, _ in self._columns)]).upper())
        if cells[:-1] != self._before:
            self._print(self._line(cells))
        self._before = cells[:-1]

    def _line(self, cells: list[str]) -> str:
        names = ["Name", *(name for name, _ in self._columns)]
        widths = [max(len(name), ROOM.get(name, 0)) for name in names]
        return GAP.join(text.ljust(width) for text, width in zip(cells, widths, strict=True)).rstrip()


def columns() -> list[tuple[str, str]]:
    """Name and path of the CRD's columns that are shown without `-o wide`; the last is the age."""
    document: Json = yaml.safe_load((CRDS / "modelrollout.dev_modeldeployments.yaml").read_text())
    found = document["spec"]["versions"][0]["additionalPrinterColumns"]
    return [(one["name"], one["jsonPath"]) for one in found if not one.get("priority")]


def cell(found: Json, path: str) -> str:
    """What stands in a column: the value at a path such as `.status.phase`, or the age of a creation time."""
    value: Any = found
    for name in path.removeprefix(".").split("."):
        value = value.get(name, "") if isinstance(value, dict) else ""
    if path.endswith("Timestamp"):
        return _age(str(value))
    return str(value)


def _age(created: str) -> str:
    """As kubectl says it: seconds up to two minutes, then minutes and seconds, then minutes."""
    seconds = round((datetime.now(UTC) - datetime.fromisoformat(created)).total_seconds())
    if seconds < 120:  # noqa: PLR2004
        return f"{seconds}s"
    minutes, rest = divmod(seconds, 60)
    return f"{minutes}m{rest}s" if minutes < 10 and rest else f"{minutes}m"  # noqa: PLR2004
