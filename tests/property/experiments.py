"""Histories of A/B tests: those of `history` with tests among what people ask for, and with the rules of variants beside all others."""

from __future__ import annotations

import dataclasses
import random

from .history import OPERATIONS, PAUSES, RULES, WEIGHTS, History, make
from .rules_of_variants import RULES_OF_VARIANTS
from .specs import TESTS
from .world import World

ALL_RULES = (*RULES, *RULES_OF_VARIANTS)
SAME_ARMS = (2, 6)
_WEIGHTS = WEIGHTS | {"apply": 3, "experiment": 8, "pods": 10, "fate": 7, "wait": 12}


def _experiment(world: World, one: int, two: int, _three: int) -> None:
    """Another test, the same one with other shares, or none any more."""
    wish = world.resource.wish
    kind = one % 5
    if kind == 0:
        number = 0
    elif kind == 1 and wish.test in SAME_ARMS:
        number = SAME_ARMS[SAME_ARMS[0] == wish.test]
    else:
        number = 1 + two % (len(TESTS) - 1)
    world.ask(wish=dataclasses.replace(wish, test=number))


OPERATIONS["experiment"] = _experiment


def make_test(seed: int) -> History:
    """The history of a seed, with an A/B test from the beginning or from some time on."""
    history, rng = make(seed), random.Random(f"test {seed}")
    names = sorted(_WEIGHTS)
    shares = [_WEIGHTS[name] for name in names]
    ops = tuple(
        (name, rng.choice(PAUSES), rng.randrange(1000), rng.randrange(1000), rng.randrange(1000))
        for name in rng.choices(names, shares, k=rng.choice((1, 2, 4, 6, 9, 14)))
    )
    first = ("experiment", 40.0, 2, rng.randrange(1000), 0)
    fates = tuple(dataclasses.replace(fate, better=rng.random() < 0.3) for fate in history.fates)
    wish = dataclasses.replace(history.wish, service=False, finish=rng.random() < 0.1, paused=rng.random() < 0.15)
    return dataclasses.replace(history, fates=fates, wish=wish, ops=(first, *ops))
