"""A/B tests in random histories: the rules of every rollout, and shares as asked, variants taken out alone, ends for a reason."""

import os

import pytest

from modelrollout.rollout.decide import decide
from tests.property.experiments import ALL_RULES, make_test
from tests.property.faults_of_tests import FAULTS
from tests.property.history import History, play, shrink
from tests.property.rules_of_variants import RULES_OF_VARIANTS
from tests.property.surroundings import Violation

HISTORIES = int(os.environ.get("MODELROLLOUT_HISTORIES", "5000")) // 4
FIRST = int(os.environ.get("MODELROLLOUT_SEED", "0"))
PORTION = 250
ENOUGH = 300
"""Histories within which a fault must be found."""


@pytest.mark.parametrize("first", range(FIRST, FIRST + HISTORIES, PORTION), ids="from-{}".format)
def test_the_rules_hold_in_histories_of_tests(first):
    for seed in range(first, min(first + PORTION, FIRST + HISTORIES)):
        history = make_test(seed)
        if (error := _error(history)) is not None:
            pytest.fail(_story(history, error), pytrace=False)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_core_is_rejected_in_which(fault):
    name, spoil = FAULTS[fault]
    rules = tuple(rule for rule in RULES_OF_VARIANTS if rule.__name__ == name)
    wrong = spoil(decide)
    for seed in range(ENOUGH):
        try:
            play(make_test(seed), wrong, rules)
        except Violation as violation:
            if violation.rule == name:
                return
    pytest.fail(f"{fault!r} was not rejected by {name} in {ENOUGH} histories")


def test_every_rule_of_variants_has_a_planted_fault():
    assert {rule.__name__ for rule in RULES_OF_VARIANTS} == {name for name, _ in FAULTS.values()}


def _error(history: History) -> Exception | None:
    try:
        play(history, decide, ALL_RULES)
    except Exception as error:  # noqa: BLE001  whatever is wrong, the shortest way to it is what helps
        return error
    return None


def _story(history: History, error: Exception) -> str:
    rule = getattr(error, "rule", type(error).__name__)
    short = shrink(history, decide, rule, ALL_RULES)
    operations = "\n".join(f"    {operation}" for operation in short.ops)
    fates = "\n".join(f"  {fate}" for fate in short.fates)
    return (
        f"seed {history.seed}: {error!s:.1500}\n  {short.wish}\n  lag {short.lag}, saved every {short.save_every} decisions\n"
        f"{fates}\n  operations (name, seconds before, numbers):\n{operations}"
    )
