"""The certificate for promotion: evidence that the candidate is *not* much worse than stable.

The roles are turned round: the hypothesis to refute is that the candidate is bad, p_c >= max(r1 p_s, x), and the alternatives
rho are below 1. While it is bad, both of these have expectation at most 1 in every window (see `evidence` for why):

- ratio: e_c ln(rho) - (e_c + e_s) ln(1 + pi (rho - 1)) with pi = r1 n_c / (r1 n_c + n_s);
- absolute: e_c ln(rho) + (n_c - e_c) ln((1 - rho x) / (1 - x)).

Half of the capital bets on each, spread evenly over the alternatives from the beginning: a plain mixture, since badness is
spoken of throughout and no late beginning is looked for. A window with one formula only is no trouble to soundness, since what
a bet is on may be chosen freely before a window's errors are known, and that is chosen by the definition (no floor, no margin)
or by the counts of requests:

- no floor (x is 0 or None): there is nothing absolute to refute, and both halves bet on the ratio. To leave the other half
  idle would be sound as well and would only ask for twice the evidence.
- no margin (a `limit` alone): likewise both halves bet on the absolute formula.
- no request of stable (a bake at 100 %): there is no comparison, the ratio half stays as it is, and only the absolute one learns.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import isfinite, log, log1p

from .logspace import log_sum
from .window import Counts

BETTER = (0.35, 0.5, 0.65, 0.8)
"""Alternatives: how many times the rate that would be bad."""
LARGEST_FLOOR = 0.999
"""To refute p_c >= x refutes every higher rate too, and the formula has no meaning at x = 1."""

_LOGS = tuple(log(rho) for rho in BETTER)
_IDLE = (0.0,) * len(BETTER)


@lru_cache(maxsize=256)
def _goods(floor: float) -> tuple[float, ...]:
    """ln((1 - rho x) / (1 - x)) of each alternative: what a good request is worth."""
    floor = min(floor, LARGEST_FLOOR)
    return tuple(log1p(-rho * floor) - log1p(-floor) for rho in BETTER)


def ratio_increments(candidate: Counts, stable: Counts, margin: float) -> tuple[float, ...]:
    """The log e-values of one window against p_c >= margin p_s; zeros where a version had no request."""
    if not candidate.requests or not stable.requests:
        return _IDLE
    bad, total = candidate.bad, candidate.bad + stable.bad
    share = margin * candidate.requests
    share /= share + stable.requests
    return tuple([bad * gain - total * log1p(share * (rho - 1.0)) for gain, rho in zip(_LOGS, BETTER, strict=True)])


def absolute_increments(candidate: Counts, floor: float) -> tuple[float, ...]:
    """The log e-values of one window against p_c >= floor; `floor` is a share above 0."""
    bad, good = candidate.bad, candidate.requests - candidate.bad
    return tuple([bad * gain + good * worth for gain, worth in zip(_LOGS, _goods(floor), strict=True)])


@dataclass(frozen=True, slots=True)
class Certificate:
    """The capital of one certificate: by alternative, the logarithm of the mean gain of each half."""

    ratio: tuple[float, ...]
    absolute: tuple[float, ...]

    @classmethod
    def begin(cls) -> Certificate:
        """Nothing certified yet."""
        return cls(_IDLE, _IDLE)

    def after(
        self, candidate: Counts, stable: Counts, *, margin: float | None, floor: float | None, effect: float = 1.0
    ) -> Certificate:
        """The certificate one window later.

        `margin` is `nonInferiorityMargin`, None where stable is not compared with; `floor` is `ignoreBelow` or, without a
        margin, the limit, a share of 0 to 1; `effect` the design effect, at least 1. The same at each call.
        """
        _check(margin, floor, effect)
        against = None if margin is None else ratio_increments(candidate, stable, margin)
        alone = absolute_increments(candidate, floor) if floor else None
        ratio = against if against is not None else alone
        absolute = alone if alone is not None else against
        return Certificate(_gained(self.ratio, ratio, effect), _gained(self.absolute, absolute, effect))

    @property
    def log_value(self) -> float:
        """The logarithm of the mean of both halves. A candidate that is bad ever drives it to 1/beta with probability at most beta."""
        return log_sum((*self.ratio, *self.absolute)) - log(len(self.ratio) + len(self.absolute))


def _gained(held: tuple[float, ...], increments: tuple[float, ...] | None, effect: float) -> tuple[float, ...]:
    if increments is None or increments is _IDLE:
        return held
    return tuple([have + gain / effect for have, gain in zip(held, increments, strict=True)])


def _check(margin: float | None, floor: float | None, effect: float) -> None:
    if margin is None and not floor:
        raise ValueError("a certificate needs a margin against stable, a floor above 0, or both; found neither")
    if margin is not None and not (isfinite(margin) and margin > 0.0):
        raise ValueError(f"margin must be a number above 0, found {margin}")
    if floor is not None and not floor >= 0.0:
        raise ValueError(f"floor must be a share of 0 or more, found {floor}")
    if not effect >= 1.0:
        raise ValueError(f"effect must be at least 1, found {effect}")
