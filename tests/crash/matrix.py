"""Which runs there are, which of them a share has, and what is right: the same as undisturbed."""

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from tests.crash.story import HOLD, Case, Theatre, Told, tell
from tests.crash.strike import Kind

SHARES = 5
SHARE_VARIABLE = "MODELROLLOUT_CRASH_SHARE"


@dataclass(frozen=True)
class Share:
    """One of the parts into which the matrix is cut; `index` None is all of it."""

    index: int | None

    def takes(self, position: int) -> bool:
        return self.index is None or position % SHARES == self.index

    def __str__(self) -> str:
        return "all of the matrix" if self.index is None else f"share {self.index + 1} of {SHARES}"


def share_of_today() -> Share:
    """Another fifth each day, or the one that is asked for (1 to 5)."""
    if asked := os.environ.get(SHARE_VARIABLE):
        return Share(int(asked) - 1)
    return Share(datetime.now(UTC).toordinal() % SHARES)


def cases(undisturbed: Told) -> list[Case]:
    """All runs of a story, from what the operator asked for when nobody was killed.

    A rollback begins like a promotion; what comes before its second version is struck there. Late watches mean nothing while a
    process starts: those runs are about the second version alone.
    """
    story = undisturbed.case.story
    found = []
    for chapter in (0, 1) if story == "promotion" else (1,):
        asked = [one for one in undisturbed.asked if one.chapter == chapter]
        writes = [one for one in asked if one.write]
        for kind in Kind:
            if kind.late and chapter == 0:
                continue
            count = len(writes if kind.writes_only else asked)
            found += [Case(story, kind, chapter, number) for number in range(count)]
    return found


def play(
    theatre: Theatre, story: str, share: Share, side_by_side: int, told: Callable[[Told], None] = lambda _: None
) -> tuple[Told, list[Told]]:
    """The undisturbed run and those of the share, side by side."""
    undisturbed = tell(theatre, Case(story))
    assert not undisturbed.wrong, undisturbed.wrong
    chosen = [case for position, case in enumerate(cases(undisturbed)) if share.takes(position)]

    def run(case: Case) -> Told:
        found = judged(tell(theatre, case), undisturbed)
        told(found)
        return found

    with ThreadPoolExecutor(side_by_side) as pool:
        return undisturbed, list(pool.map(run, chosen))


def judged(run: Told, undisturbed: Told) -> Told:
    """The run with what is wrong about it."""
    return replace(run, wrong=run.wrong or "; ".join(_differences(run, undisturbed)))


def _differences(run: Told, undisturbed: Told) -> Iterable[str]:
    if run.timeline != undisturbed.timeline:
        yield f"weights were {_weights(run)}, undisturbed {_weights(undisturbed)}"
    if run.outcomes != undisturbed.outcomes:
        yield f"outcomes were {run.outcomes}, undisturbed {undisturbed.outcomes}"
    if run.holds.keys() != undisturbed.holds.keys():
        yield f"steps held were {sorted(run.holds)}, undisturbed {sorted(undisturbed.holds)}"
    for name, seconds in run.holds.items():
        if seconds < HOLD:
            yield f"step {name} was held for {seconds:.3f} s of {HOLD:g} s"


def _weights(run: Told) -> str:
    return " ".join(f"{version}={weight}" for version, weight in run.timeline) or "none"


def missed(runs: Sequence[Told]) -> list[Told]:
    """Runs that came to their end before the request that was to be struck: a run may ask a little less than another."""
    return [run for run in runs if run.hit is None]
