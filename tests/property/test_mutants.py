"""The harness finds what it is there to find: each planted fault is rejected by the invariant of its rule."""

import pytest

from modelrollout.rollout.decide import decide
from tests.property.faults import FAULTS
from tests.property.history import RULES, make, play
from tests.property.surroundings import Violation

ENOUGH = 10_000
"""Histories within which a fault must be found; CI plays many times as many."""


@pytest.mark.parametrize("fault", FAULTS)
def test_a_core_is_rejected_in_which(fault):
    rule, spoil = FAULTS[fault]
    rules = tuple(one for one in RULES if one.__name__ == rule)
    wrong = spoil(decide)
    others = []
    for seed in range(ENOUGH):
        try:
            play(make(seed), wrong, rules)
        except Violation as violation:
            if violation.rule == rule:
                return
            others.append(violation.rule)
    pytest.fail(f"{fault!r} was not rejected by {rule} in {ENOUGH} histories (by others: {sorted(set(others))})")


def test_every_rule_has_a_planted_fault():
    planted = {rule for rule, _ in FAULTS.values()}
    numbered = {rule[:7] for rule in planted if rule.startswith("rule_")}
    assert numbered == {f"rule_{number:02}" for number in range(1, 13)}
