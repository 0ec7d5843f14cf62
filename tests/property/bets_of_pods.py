"""The laws of the design effect: what pods that differ by chance, by clumps and for good look like."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from modelrollout.analysis.dispersion import Effect
from modelrollout.analysis.window import Counts

from .bets import ROUNDING, Maths, Violation

History = Sequence[Mapping[str, Counts]]
STEP = 60.0
HOUR = 60
"""Steps."""


def chance_looks_like_one(maths: Maths) -> None:
    """Of N requests shared by pods at random, chi-square has expectation N/(N-1) of its degrees of freedom, exactly."""
    sizes = (30, 20, 14)
    together = sum(sizes)
    for bad in (5, 20, 60):
        mean = 0.0
        for one in range(min(bad, sizes[0]) + 1):
            for other in range(min(bad - one, sizes[1]) + 1):
                third = bad - one - other
                ways = math.comb(sizes[0], one) * math.comb(sizes[1], other) * math.comb(sizes[2], third)
                counts = {"a": Counts(sizes[0], one), "b": Counts(sizes[1], other), "c": Counts(sizes[2], third)}
                # What is below 1.15 is told as 1, so each outcome is seen as if it were ten times as large.
                tenfold = {pod: Counts(10 * count.requests, 10 * count.bad) for pod, count in counts.items()}
                value = maths.effect([tenfold], STEP).value
                mean += ways / math.comb(together, bad) * (0.0 if value == 1.0 else value / 10)
        # Outcomes that are told as 1 are left out: they lack at most 0.115 of their value.
        if not together / (together - 1) - 0.115 <= mean <= together / (together - 1) + ROUNDING:
            raise Violation("chance_looks_like_one", f"{mean} with {bad} bad ones of {together}")


def clumps_look_like_their_size(maths: Maths) -> None:
    """A count that stands for b times as many, good and bad, has b times the effect."""
    pattern = [(3, 1), (0, 4), (2, 2), (5, 0)]
    plain = [{"a": Counts(40, one), "b": Counts(40, other)} for one, other in pattern]
    values = [
        maths.effect(
            [{pod: Counts(b * n.requests, b * n.bad) for pod, n in step.items()} for step in plain], STEP
        ).value
        for b in (2, 6)
    ]
    if not math.isclose(values[1], 3 * values[0], rel_tol=ROUNDING):
        raise Violation("clumps_look_like_their_size", f"{values}")


def pods_are_compared_at_the_same_time(maths: Maths) -> None:
    """An incident in which pods were replaced is no difference between pods."""
    calm = {"a": Counts(1000, 5), "b": Counts(1000, 5)}
    upset = {"c": Counts(1000, 300), "d": Counts(1000, 300)}
    found = maths.effect([calm] * HOUR + [upset] * HOUR, STEP).value
    if found != 1.0:
        raise Violation("pods_are_compared_at_the_same_time", f"an effect of {found}")


def long_bursts_are_not_overlooked(maths: Maths) -> None:
    """A pod that is a little worse for an hour shows in no minute, and in the hour."""
    found = maths.effect([{"a": Counts(200, 3), "b": Counts(200, 2)}] * (6 * HOUR), STEP).value
    if found < 5.0:
        raise Violation("long_bursts_are_not_overlooked", f"an effect of {found}")


def an_effect_never_makes_evidence_larger(maths: Maths) -> None:
    """Pods that are more alike than chance allows, and histories that tell nothing."""
    alike: History = [{"a": Counts(100, 2), "b": Counts(100, 2)}] * HOUR
    for history, least in ((alike, 1.0), ([], 2.0), ([{"a": Counts(100, 5)}] * HOUR, 2.0)):
        found = maths.effect(history, STEP).value
        if found < least:
            raise Violation("an_effect_never_makes_evidence_larger", f"an effect of {found}")


LAWS: tuple[Callable[[Maths], None], ...] = (
    chance_looks_like_one,
    clumps_look_like_their_size,
    pods_are_compared_at_the_same_time,
    long_bursts_are_not_overlooked,
    an_effect_never_makes_evidence_larger,
)


def _ratio(history: History, length: int, lacking: int = 1, *, binomial: bool = True) -> float:
    """Chi-square over (pods - `lacking`) in blocks of `length` steps."""
    chi_square, freedom = 0.0, 0
    for begin in range(0, len(history), length):
        sums: dict[str, Counts] = {}
        for step in history[begin : begin + length]:
            for pod, count in step.items():
                sums[pod] = sums.get(pod, Counts(0, 0)) + count
        rate = sum(one.bad for one in sums.values()) / max(1, sum(one.requests for one in sums.values()))
        if len(sums) < 2 or not 0.0 < rate < 1.0:
            continue
        spread = rate * (1.0 - rate) if binomial else rate
        chi_square += sum((one.bad - one.requests * rate) ** 2 / (one.requests * spread) for one in sums.values())
        freedom += len(sums) - lacking
    return chi_square / freedom if freedom else 0.0


def _told(value: float) -> Effect:
    return Effect(value if value >= 1.15 else 1.0, "")


def _largest(history: History, lacking: int = 1, *, binomial: bool = True) -> Effect:
    return _told(max((_ratio(history, length, lacking, binomial=binomial) for length in (1, 5, HOUR)), default=2.0))


FAULTS: dict[str, tuple[str, Maths]] = {
    "one degree of freedom too many": (
        "chance_looks_like_one",
        Maths(effect=lambda history, _: _largest(history, lacking=0)),
    ),
    "counts are taken for Poisson": (
        "chance_looks_like_one",
        Maths(effect=lambda history, _: _largest(history, binomial=False)),
    ),
    "the effect is a standard deviation": (
        "clumps_look_like_their_size",
        Maths(effect=lambda history, _: _told(math.sqrt(_ratio(history, 1)))),
    ),
    "all of history is one block": (
        "pods_are_compared_at_the_same_time",
        Maths(effect=lambda history, _: _told(_ratio(history, max(1, len(history))))),
    ),
    "only minutes are looked at": (
        "long_bursts_are_not_overlooked",
        Maths(effect=lambda history, _: _told(_ratio(history, 1))),
    ),
    "pods that are alike make evidence larger": (
        "an_effect_never_makes_evidence_larger",
        Maths(effect=lambda history, _: Effect(_ratio(history, 1), "")),
    ),
}
"""What is wrong, the law that must say so, and the arithmetic that is wrong in this way."""
