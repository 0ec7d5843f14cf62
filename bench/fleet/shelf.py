"""Results of several invocations, kept side by side: one fleet size at a time is what a machine has the time for."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.fleet.result import Result, from_dict, to_dict

SHELF = Path(__file__).parent / "results.json"


@dataclass(frozen=True)
class Kept:
    """One result and what it depends on: command, date, machine, commit."""

    result: Result
    setup: Mapping[str, str]


def load(path: Path = SHELF) -> list[Kept]:
    """What was kept, the smallest fleet first."""
    if not path.exists():
        return []
    found: list[dict[str, Any]] = json.loads(path.read_text())
    return sorted(
        (Kept(from_dict(one["result"]), one["setup"]) for one in found), key=lambda kept: kept.result.rollouts
    )


def keep(fresh: list[Kept], path: Path = SHELF) -> list[Kept]:
    """Add results, in place of earlier ones of the same size; returns all."""
    sizes = {kept.result.rollouts for kept in fresh}
    found = sorted(
        [*(kept for kept in load(path) if kept.result.rollouts not in sizes), *fresh],
        key=lambda kept: kept.result.rollouts,
    )
    written = [{"setup": dict(kept.setup), "result": to_dict(kept.result)} for kept in found]
    path.write_text(json.dumps(written, indent=1) + "\n")
    return found
