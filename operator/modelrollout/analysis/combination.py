"""Several tests of one rollout, and one bound on taking back a candidate that is innocent in all of them.

Each test has a weight v; they add up to 1 and are fixed when the candidate starts. The sum of v M over tests is a supermartingale
from 1 whatever the metrics have to do with one another, so it ever reaches 1/alpha with probability at most alpha. A test with
too few errors is left out of the sum, which can only make it smaller.

A test *fails* when its own v M reaches 1/alpha, or when the sum does and its share is the largest: somebody has to be named.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log

from .logspace import NOTHING, log_of, log_sum


@dataclass(frozen=True, slots=True)
class Weighted:
    """One test among several. `log_value` is ln M, `weight` v; `counts`: it has its minimum of errors."""

    log_value: float
    weight: float
    counts: bool = True

    @property
    def log_share(self) -> float:
        """ln(v M), -inf for a test that does not count."""
        return self.log_value + log_of(self.weight) if self.counts else NOTHING


@dataclass(frozen=True, slots=True)
class Combined:
    """What the tests say together.

    `log_value` is the logarithm of the sum, `reached` whether the candidate is to be taken back, and `failing` says of each
    test, in their order, whether it fails.
    """

    log_value: float
    reached: bool
    failing: tuple[bool, ...]


def combine(tests: Sequence[Weighted], alpha: float) -> Combined:
    """The sum of v M over `tests` against 1/`alpha`, the false-rollback probability (0 < alpha < 1)."""
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha must be a probability above 0 and below 1, found {alpha}")
    needed = -log(alpha)
    shares = [test.log_share for test in tests]
    together = log_sum(shares)
    # The sum of one share is that share but for the last digit, and a test that fails alone makes the sum fail.
    reached = max(together, *shares, NOTHING) >= needed
    first = shares.index(max(shares)) if reached else -1
    failing = tuple(share >= needed or place == first for place, share in enumerate(shares))
    return Combined(together, reached, failing)
