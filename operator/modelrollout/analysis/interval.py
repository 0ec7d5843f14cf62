"""An interval for the ratio of both rates, for people to read beside a verdict; it decides nothing.

A ratio r is ruled out from below when the evidence against "the candidate's rate is at most r times stable's" reaches 2/alpha,
and from above likewise with the roles turned. The evidence is a plain mixture over alternatives on totals by step, where the
weights are constant. It falls in r for the one side and rises for the other, so that each end is found by bisection: among 25
values of r on a log grid, and then a little between two of them. An end is always a value that *is* ruled out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log, log1p, sqrt

from .logspace import log_sum
from .window import Counts

Total = tuple[Counts, Counts]
"""Candidate's and stable's counts of one step."""

VALUES = 25
LOWEST, HIGHEST = 0.01, 100.0
GRID = tuple(LOWEST * exp(log(HIGHEST / LOWEST) * place / (VALUES - 1)) for place in range(VALUES))
HALVINGS = 3

ALTERNATIVES = (1.03, 1.1, 1.25, 1.6, 2.5, 6.0, 25.0)
"""The small ones make the interval narrow where there are many errors, the large ones finite where there are few."""
_MORE = tuple((log(rho), rho - 1.0) for rho in ALTERNATIVES)
_LESS = tuple((-log(rho), 1.0 / rho - 1.0) for rho in ALTERNATIVES)


@dataclass(frozen=True, slots=True)
class Interval:
    """The ratio lies above `low` and below `high`; 0 and None where nothing is ruled out on that side."""

    low: float
    high: float | None


def ratio_interval(totals: Sequence[Total], alpha: float = 0.05) -> Interval:
    """An interval that holds the true ratio with probability 1 - `alpha` at least, at whatever moment it is looked at."""
    # Without an error on either side a step rules out nothing.
    told = [pair for pair in totals if pair[0].requests and pair[1].requests and pair[0].bad + pair[1].bad]
    if not told:
        return Interval(0.0, None)
    needed = log(2.0 / alpha) + log(len(ALTERNATIVES))
    low = _edge(told, _MORE, needed, GRID)
    return Interval(0.0 if low is None else low, _edge(told, _LESS, needed, GRID[::-1]))


Bets = tuple[tuple[float, float], ...]
"""Of each alternative: ln(rho), rho - 1."""


def _edge(told: Sequence[Total], bets: Bets, needed: float, grid: Sequence[float]) -> float | None:
    """The last value of `grid` that is ruled out, brought nearer to the next one; None where not even the first is."""
    bad = sum(candidate.bad for candidate, _ in told)
    gained = [bad * gain for gain, _ in bets]
    more = [extra for _, extra in bets]
    steps = [(one.bad + other.bad, one.requests, other.requests) for one, other in told]

    def ruled_out(margin: float) -> bool:
        logs = gained
        for total, requests, others in steps:
            share = margin * requests / (margin * requests + others)
            logs = [have - total * log1p(share * extra) for have, extra in zip(logs, more, strict=True)]
        return max(logs) >= needed or log_sum(logs) >= needed

    out, within = -1, len(grid)
    while within - out > 1:
        middle = (out + within) // 2
        if ruled_out(grid[middle]):
            out = middle
        else:
            within = middle
    if out < 0 or within == len(grid):
        return None if out < 0 else grid[out]
    value, beyond = grid[out], grid[within]
    for _ in range(HALVINGS):
        between = sqrt(value * beyond)
        if ruled_out(between):
            value = between
        else:
            beyond = between
    return value
