"""Sums of numbers of which only the logarithms are at hand: evidence grows and falls by factors that no float can hold.

-inf is the logarithm of zero and an ordinary value here. Nothing overflows, however large the logarithms are.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, inf, log, log1p

NOTHING = -inf
"""The logarithm of zero."""


def log_of(value: float) -> float:
    """The logarithm of a number that is not negative; `NOTHING` for zero."""
    return log(value) if value > 0.0 else NOTHING


def log_add(first: float, second: float) -> float:
    """log(e^first + e^second)."""
    if first < second:
        first, second = second, first
    return first if second == NOTHING else first + log1p(exp(second - first))


def log_sum(logs: Sequence[float]) -> float:
    """The logarithm of the sum of e^x over all x; `NOTHING` where there are none."""
    if len(logs) == 1:
        return logs[0]
    largest = max(logs, default=NOTHING)
    if largest == NOTHING:
        return NOTHING
    return largest + log(sum([exp(one - largest) for one in logs]))


def log_mean(logs: Sequence[float]) -> float:
    """The logarithm of the mean of e^x over all x.

    A mean of supermartingales is one: so evidence over several bounds becomes one evidence.
    """
    if not logs:
        raise ValueError("log_mean: found no values; a mean needs at least one")
    return log_sum(logs) - log(len(logs))
