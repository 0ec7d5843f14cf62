"""Evidence that the candidate is worse: one window's bets, and the capital that they make over time.

A window is scored for each *alternative* rho ("the candidate's rate is rho times what it may be") by the logarithm l of an
e-value: a number whose exponential has expectation at most 1 as long as the candidate is innocent, whatever the weights, the
counts of requests and stable's rate in that window (test martingales; Ville 1939, Ramdas et al. 2023).

- *Ratio*, innocent means p_c <= r p_s. With pi = r n_c / (r n_c + n_s),
  l = e_c ln(rho) - (e_c + e_s) ln(1 + pi (rho - 1)). By 1 + x <= e^x its expectation is at most
  exp(c n_c n_s (p_c - r p_s)) with c > 0, for any rates.
- *Floor*, innocent means p_c <= x. With q = min(rho x, 1/2 + x/2),
  l = e_c ln(q / x) + (n_c - e_c) ln((1 - q) / (1 - x)): the likelihood ratio of two coins.
- Both asked: the smaller of the two, window by window. It is a fair bet against whichever reason for innocence holds in that
  window. The smaller of two *sums* would not be: the reason may change over time.

Nobody knows when a candidate goes bad, so capital is invested little by little (a mixture of restarted martingales): what is
invested late has lost nothing before. The sum of all capital is a non-negative supermartingale from 1, so an innocent candidate
ever drives it to 1/alpha with probability at most alpha. All of it in log space: counts of 10^9 a window overflow nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isfinite, log, log1p

from .logspace import NOTHING, log_add, log_of, log_sum
from .window import Counts

RATES = (1.5, 2.0, 3.0, 5.0, 10.0, 25.0, 60.0)
"""Alternatives for error rates: how many times what is allowed."""
SLOWNESS = (1.05, 1.1, 1.2, 1.5, 2.0, 4.0, 10.0, 30.0)
"""Alternatives for shares of slow requests: a shift moves the bulk a little, a tail many times."""

FIRST, PLANNED = 0.5, 0.4
"""Shares of the capital for the first window, and evenly for the planned ones (the first among them); a tenth is kept back."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a candidate is suspected of.

    `margin` r: innocent while its rate is at most r times stable's; None asks nothing of stable.
    `floor` x, a share of 0 to 1: innocent while its rate is at most x; None or 0 is no floor. With `margin` None it is an
    absolute limit. A floor of 1 or more makes every candidate innocent.
    """

    alternatives: tuple[float, ...]
    margin: float | None
    floor: float | None
    _ratio: tuple[tuple[float, float], ...] = field(init=False, repr=False, compare=False)
    """Of each alternative: ln(rho), rho - 1."""
    _coin: tuple[tuple[float, float], ...] = field(init=False, repr=False, compare=False)
    """Of each alternative: ln(q/x) and ln((1-q)/(1-x)); empty without a floor."""

    def __post_init__(self) -> None:
        _check(self)
        object.__setattr__(self, "_ratio", tuple((log(rho), rho - 1.0) for rho in self.alternatives))
        object.__setattr__(self, "_coin", _coins(self.alternatives, self.floor) if self.floor else ())

    def increments(self, candidate: Counts, stable: Counts) -> tuple[float, ...]:
        """The log e-values of one window, one an alternative.

        Zeros where the window cannot tell: no request of the candidate, or none of stable where it is compared with.

        With an absolute limit `stable` is not looked at; to ask stable the same question, hand it over as the candidate.
        """
        requests, bad = candidate.requests, candidate.bad
        margin = self.margin
        if not requests or (margin is not None and not stable.requests):
            return (0.0,) * len(self.alternatives)
        good = requests - bad
        if margin is None:
            return tuple([bad * up + good * down for up, down in self._coin])
        total = bad + stable.bad
        share = margin * requests
        share /= share + stable.requests
        if not self._coin:
            return tuple([bad * gain - total * log1p(share * more) for gain, more in self._ratio])
        found = []
        for (gain, more), (up, down) in zip(self._ratio, self._coin, strict=True):
            ratio = bad * gain - total * log1p(share * more)
            coin = bad * up + good * down
            found.append(min(coin, ratio))
        return tuple(found)


def _check(question: Question) -> None:
    if not question.alternatives or not all(isfinite(rho) and rho > 1.0 for rho in question.alternatives):
        raise ValueError(f"alternatives must be numbers above 1 (times what is allowed), found {question.alternatives}")
    if question.margin is not None and not (isfinite(question.margin) and question.margin > 0.0):
        raise ValueError(f"margin must be a number above 0, found {question.margin}")
    if question.floor is not None and not question.floor >= 0.0:
        raise ValueError(f"floor must be a share of 0 or more, found {question.floor}")
    if question.margin is None and not question.floor:
        raise ValueError("a question needs a margin against stable, a floor above 0, or both; found neither")


def _coins(alternatives: Sequence[float], floor: float) -> tuple[tuple[float, float], ...]:
    """ln(q/x) and ln((1-q)/(1-x)) of each alternative."""
    if floor >= 1.0:
        return ((0.0, 0.0),) * len(alternatives)
    suspects = [min(rho * floor, 0.5 + floor / 2.0) for rho in alternatives]
    return tuple((log(rate / floor), log1p(-rate) - log1p(-floor)) for rate in suspects)


def stake(uninvested: float, windows: int, planned: int) -> float:
    """How much of the capital a window invests, after `windows` others of `planned`.

    Beyond the plan it is a share of what is left, so that capital is never used up: after a day of waiting there is still some
    for whatever begins then.
    """
    if windows >= planned:
        return uninvested / (2.0 * planned)
    share = PLANNED / planned + (0.0 if windows else FIRST)
    return min(share, uninvested)


@dataclass(frozen=True, slots=True)
class Evidence:
    """The capital of one test. Invariant: before any window it is 1, and it never grows in expectation while innocent."""

    uninvested: float
    """What is left of the capital, 1 at the beginning."""
    windows: int
    """How many windows have invested."""
    stakes: tuple[float, ...]
    """The logarithm of what is invested in each alternative, gains and losses included; -inf before any."""

    @classmethod
    def begin(cls, count: int) -> Evidence:
        """No evidence yet, with so many alternatives."""
        return cls(1.0, 0, (NOTHING,) * count)

    def after(self, increments: Sequence[float], *, planned: int, effect: float = 1.0) -> Evidence:
        """The evidence one window later.

        `planned` is the number of windows that the whole rollout is expected to have, the same at each call; `effect` the
        design effect, at least 1, by which every increment is divided.
        """
        if planned < 1 or not effect >= 1.0:
            raise ValueError(f"planned and effect must be at least 1, found planned {planned} and effect {effect}")
        share = stake(self.uninvested, self.windows, planned)
        fresh = log_of(share / len(self.stakes))
        stakes = tuple(
            [log_add(held, fresh) + gain / effect for held, gain in zip(self.stakes, increments, strict=True)]
        )
        return Evidence(self.uninvested - share, self.windows + 1, stakes)

    def capped(self, most: float) -> Evidence:
        """The evidence with stakes given up until ln M is about `most`: what is given away needs no justification."""
        beyond = self.log_value - most
        if beyond <= 0.0:
            return self
        return Evidence(self.uninvested, self.windows, tuple([held - beyond for held in self.stakes]))

    @property
    def log_value(self) -> float:
        """The logarithm of M. An innocent candidate's M ever reaches 1/alpha with probability at most alpha."""
        return log_sum((*self.stakes, log_of(self.uninvested)))
