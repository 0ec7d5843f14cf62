"""The twelve rules hold in random histories: specs, edits, commands, pods, metrics, restarts, stale reads, clock steps.

`MODELROLLOUT_HISTORIES` sets how many (default 5,000; `make histories HISTORIES=100000`), `MODELROLLOUT_SEED` where they begin.
A failure prints its seed and the fewest operations that break the same rule.
"""

import os

import pytest

from modelrollout.rollout.decide import decide
from tests.property.history import History, make, play, shrink

HISTORIES = int(os.environ.get("MODELROLLOUT_HISTORIES", "5000"))
FIRST = int(os.environ.get("MODELROLLOUT_SEED", "0"))
PORTION = 250


def _portions():
    return range(FIRST, FIRST + HISTORIES, PORTION)


@pytest.mark.parametrize("first", _portions(), ids="from-{}".format)
def test_the_rules_hold_in_histories(first):
    for seed in range(first, min(first + PORTION, FIRST + HISTORIES)):
        history = make(seed)
        if (error := _error(history)) is not None:
            pytest.fail(_story(history, error), pytrace=False)


def _error(history: History) -> Exception | None:
    try:
        play(history, decide)
    except Exception as error:  # noqa: BLE001  whatever is wrong, the shortest way to it is what helps
        return error
    return None


def _story(history: History, error: Exception) -> str:
    rule = getattr(error, "rule", type(error).__name__)
    short = shrink(history, decide, rule)
    operations = "\n".join(f"    {operation}" for operation in short.ops)
    return (
        f"seed {history.seed}: {error!s:.1500}\n"
        f"  {short.wish}\n  lag {short.lag}, saved every {short.save_every} decisions\n"
        + "\n".join(f"  {fate}" for fate in short.fates)
        + f"\n  operations (name, seconds before, numbers):\n{operations}\n"
        f"  again: MODELROLLOUT_SEED={history.seed} MODELROLLOUT_HISTORIES=1 pytest tests/property/test_rules.py"
    )
