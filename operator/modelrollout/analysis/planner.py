"""How long it takes until evidence speaks: the tests of a rollout, run forward on expected counts instead of backward on seen ones.

A test's log evidence grows by a certain mean and variance in each window, which follow from the rates of both versions, the
weight and the traffic. From them comes the time at which it stands where it must. For a candidate R times as bad as stable,
with share v of alpha, K alternatives, design effect phi and weight w, and where the floor does not matter, this is

    n = phi (ln(1/(alpha v)) + ln K + ln 2) / (p_s I),   I = R ln R - (R + (1-w)/w) ln(1 + w (R - 1))

requests of the candidate. The floor (`ignoreBelow`) is met window by window, as the test does it: where stable's errors are rarer
than the floor, or windows nearly empty, the plain formula would promise three times too much.

A `certainty` of one half gives the typical (median) time; 0.9 the one within which nine of ten end. Both come out up to a third
too long, not too short (tests hold them against simulated rollouts). All speaks of a candidate that is bad from the first of the
given stages on; one that turns bad after hours takes up to 1.6 times as long, because the stakes are spread thinner by then. Pure
arithmetic: rates and weights from 0 to 1, times in seconds, counts as expected values.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

from .certificate import BETTER, LARGEST_FLOOR
from .evidence import FIRST, Question

FOREVER = 1e12
"""Seconds beyond which a time is no longer told from never."""

_FEW = 40.0
"""Expected events up to which their number is enumerated; beyond, points of the normal curve stand for it."""
_REACH, _SPACING = 6.0, 0.4
"""How far those points go, and how far they lie apart, in standard deviations."""
_TINY = 1e-9


@dataclass(frozen=True, slots=True)
class Traffic:
    """Requests per second of both versions together, stable's share of bad ones, and the length of a window in seconds."""

    rps: float
    stable_rate: float
    window: float = 15.0


@dataclass(frozen=True, slots=True)
class Stage:
    """Time with one weight: the candidate's share of requests, and for how many seconds."""

    weight: float
    seconds: float = FOREVER


@dataclass(frozen=True, slots=True)
class Load:
    """What a window is expected to hold: requests and bad ones, of the candidate and of stable."""

    requests: float
    bad: float
    stable_requests: float
    stable_bad: float

    @classmethod
    def of(cls, traffic: Traffic, weight: float, rate: float) -> Load:
        """A window at `weight`, of a candidate with this rate of bad requests."""
        ours, theirs = (traffic.rps * traffic.window * part for part in (weight, 1.0 - weight))
        return cls(ours, ours * rate, theirs, theirs * traffic.stable_rate)

    def share(self, margin: float) -> float:
        """Of the bad requests, how many are the candidate's if it is exactly `margin` times as bad as stable (pi)."""
        weighted = margin * self.requests
        return weighted / (weighted + self.stable_requests) if weighted else 0.0


@dataclass(frozen=True, slots=True)
class Growth:
    """Mean and variance of what is added to a log evidence in a while."""

    mean: float = 0.0
    variance: float = 0.0

    def times(self, windows: float) -> Growth:
        """In so many windows."""
        return Growth(self.mean * windows, self.variance * windows)

    def divided(self, design_effect: float) -> Growth:
        """With each increment divided by the design effect, which is what the counts vary more."""
        return Growth(self.mean / design_effect, self.variance / design_effect)

    def __add__(self, other: Growth) -> Growth:
        return Growth(self.mean + other.mean, self.variance + other.variance)

    def at_least(self, z: float) -> float:
        """What is exceeded with the probability of which `z` is the normal quantile."""
        return self.mean - z * math.sqrt(self.variance)


def growth(question: Question, alternative: float, load: Load) -> Growth:
    """What one window adds to the log evidence for one alternative, before the design effect.

    Where both are asked it is the smaller of the two, window by window, as in the test: a mean over the number of bad requests of
    both versions, and over which of them are the candidate's.
    """
    up, down = _coin(alternative, question.floor) if question.floor else (0.0, 0.0)
    if question.margin is None:
        return Growth(load.bad * up + (load.requests - load.bad) * down, load.bad * (up - down) ** 2)
    gain, each = math.log(alternative), math.log1p(load.share(question.margin) * (alternative - 1.0))
    bad = load.bad + load.stable_bad
    ours = load.bad / bad if bad else 0.0
    spread = gain**2 * ours * (1.0 - ours)
    mean = square = 0.0
    for count, probability in poisson(bad):
        expected = count * ours
        found = expected * gain - count * each
        if question.floor:
            found = min(found, expected * up + max(load.requests - expected, 0.0) * down)
        mean += probability * found
        square += probability * (found * found + count * spread)
    return Growth(mean, max(square - mean * mean, 0.0))


@dataclass(frozen=True, slots=True)
class Rollback:
    """A test that takes a candidate back. `share`: its part v of alpha among the tests of the rollout."""

    question: Question
    alpha: float = 0.01
    share: float = 1.0
    design_effect: float = 1.0
    minimum_errors: int = 3

    @property
    def needed(self) -> float:
        """The log evidence of the right alternative at which it fails: half of the capital is divided among the K alternatives."""
        return math.log(len(self.question.alternatives) / (FIRST * self.alpha * self.share))


@dataclass(frozen=True, slots=True)
class Certification:
    """What promotion needs: that the candidate is not as bad as max(`margin` times stable, `floor`).

    `margin` None: only the floor says what is bad (a `limit`); `floor` None: only the margin does.
    """

    margin: float | None = 2.0
    floor: float | None = 0.001
    beta: float = 0.05
    design_effect: float = 1.0

    @property
    def needed(self) -> float:
        """The log of the mixture at which it stands."""
        return -math.log(self.beta)

    def parts(self, load: Load) -> tuple[Growth, ...]:
        """What one window adds to the members of the mixture, all of one weight, before the design effect."""
        ratio = None if self.margin is None else tuple(_by_ratio(part, self.margin, load) for part in BETTER)
        floor = min(self.floor or 0.0, LARGEST_FLOOR)
        absolute = tuple(_by_floor(part, floor, load) for part in BETTER) if floor else ratio or ()
        return (*(absolute if ratio is None else ratio), *absolute)


def _by_ratio(part: float, margin: float, load: Load) -> Growth:
    if not load.stable_requests:
        return Growth()
    each = math.log1p(load.share(margin) * (part - 1.0))
    gain = math.log(part) - each
    return Growth(load.bad * gain - load.stable_bad * each, load.bad * gain**2 + load.stable_bad * each**2)


def _by_floor(part: float, floor: float, load: Load) -> Growth:
    gain, good = math.log(part), math.log1p(-part * floor) - math.log1p(-floor)
    return Growth(load.bad * gain + (load.requests - load.bad) * good, load.bad * (gain - good) ** 2)


def rollback_seconds(
    test: Rollback, traffic: Traffic, stages: Sequence[Stage], rate: float, certainty: float = 0.5
) -> float | None:
    """When a candidate of this rate of bad requests is taken back, in seconds from the first stage; None: not in these stages."""
    z = _quantile(certainty)
    loads = {stage: Load.of(traffic, stage.weight, rate) for stage in stages}

    def passes(alternative: float) -> float | None:
        def grows(stage: Stage) -> tuple[Growth, ...]:
            return (growth(test.question, alternative, loads[stage]).divided(test.design_effect),)

        return _first(stages, traffic.window, (Growth(),), grows, lambda state: state[0].at_least(z) >= test.needed)

    found = [when for alternative in test.question.alternatives if (when := passes(alternative)) is not None]
    least = _least_errors(test, traffic, stages, rate, z)
    return max(min(found), least) if found and least is not None else None


def rollback_requests(
    test: Rollback, traffic: Traffic, weight: float, rate: float, certainty: float = 0.5
) -> float | None:
    """The candidate's requests until it is taken back at one weight; None: it never is."""
    seconds = rollback_seconds(test, traffic, [Stage(weight)], rate, certainty)
    return None if seconds is None else seconds * weight * traffic.rps


def smallest_rate(test: Rollback, traffic: Traffic, stages: Sequence[Stage], certainty: float = 0.5) -> float | None:
    """The smallest rate of bad requests at which a candidate is taken back within the stages; None: not even at 100 %.

    At most a thousandth above the exact one.
    """

    def seen(rate: float) -> bool:
        return rollback_seconds(test, traffic, stages, rate, certainty) is not None

    high = 1.0
    if not seen(high):
        return None
    low = max(traffic.stable_rate, 1e-7)
    while high > low * 1.001:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if seen(middle) else (middle, high)
    return high


def smallest_ratio(test: Rollback, traffic: Traffic, stages: Sequence[Stage], certainty: float = 0.5) -> float | None:
    """The same as a multiple of stable's rate; None also where stable has no bad requests, for then there is no multiple."""
    rate = smallest_rate(test, traffic, stages, certainty)
    return None if rate is None or not traffic.stable_rate else rate / traffic.stable_rate


def certificate_seconds(
    certification: Certification,
    traffic: Traffic,
    stages: Sequence[Stage],
    certainty: float = 0.5,
    rate: float | None = None,
) -> float | None:
    """When a candidate is certified, in seconds from the first stage; None: not in these stages.

    `rate` is its rate of bad requests: by default stable's, for a healthy candidate.
    """
    z, phi = _quantile(certainty), certification.design_effect
    ours = traffic.stable_rate if rate is None else rate

    def parts(stage: Stage) -> tuple[Growth, ...]:
        return tuple(part.divided(phi) for part in certification.parts(Load.of(traffic, stage.weight, ours)))

    def stands(state: tuple[Growth, ...]) -> bool:
        return _mean_of_logs([part.at_least(z) for part in state]) >= certification.needed

    start = (Growth(),) * (2 * len(BETTER))
    return _first(stages, traffic.window, start, parts, stands)


def underpowered(
    certification: Certification, traffic: Traffic, stages: Sequence[Stage], certainty: float = 0.5
) -> bool:
    """Whether a healthy candidate cannot be certified in the planned time at this traffic."""
    return certificate_seconds(certification, traffic, stages, certainty) is None


def requests(traffic: Traffic, stages: Sequence[Stage], seconds: float) -> float:
    """The candidate's requests in the first so many seconds of the stages."""
    total, left = 0.0, seconds
    for stage in stages:
        total += traffic.rps * stage.weight * min(left, stage.seconds)
        left = max(0.0, left - stage.seconds)
    return total


@lru_cache(maxsize=4096)
def poisson(expected: float) -> tuple[tuple[float, float], ...]:
    """Numbers of events and their probabilities, which add up to 1: all of them while few, else points of the normal curve."""
    width = math.sqrt(expected)
    if expected > _FEW:
        points = [_SPACING * step for step in range(round(-_REACH / _SPACING), round(_REACH / _SPACING) + 1)]
        weights = [math.exp(-point * point / 2.0) for point in points]
        counts = [max(0.0, expected + point * width) for point in points]
    else:
        counts = [float(count) for count in range(int(expected + _REACH * width + 10.0))]
        weights = [math.exp(count * math.log(max(expected, _TINY)) - math.lgamma(count + 1.0)) for count in counts]
    whole = math.fsum(weights)
    return tuple(
        (count, weight / whole) for count, weight in zip(counts, weights, strict=True) if weight > _TINY * whole
    )


def _coin(alternative: float, floor: float) -> tuple[float, float]:
    """What a bad and a good request add in the test that a rate is above `floor`."""
    if floor >= 1.0:
        return 0.0, 0.0
    rate = min(alternative * floor, 0.5 + floor / 2.0)
    return math.log(rate / floor), math.log1p(-rate) - math.log1p(-floor)


def _quantile(certainty: float) -> float:
    if not 0.0 < certainty < 1.0:
        raise ValueError(f"certainty must lie between 0 and 1, found {certainty}")
    return NormalDist().inv_cdf(certainty)


def _least_errors(test: Rollback, traffic: Traffic, stages: Sequence[Stage], rate: float, z: float) -> float | None:
    """When the candidate has its minimum of bad requests: the quantile of a Poisson count after Wilson and Hilferty (1931)."""
    least = test.minimum_errors
    if least <= 0:
        return 0.0
    wanted = least * (1.0 - 1.0 / (9.0 * least) + z / (3.0 * math.sqrt(least))) ** 3
    passed = 0.0
    for stage in stages:
        pace = traffic.rps * stage.weight * rate
        if pace * stage.seconds >= wanted:
            return passed + wanted / pace
        wanted -= pace * stage.seconds
        passed += stage.seconds
    return None


def _first(
    stages: Sequence[Stage],
    window: float,
    start: tuple[Growth, ...],
    grows: Callable[[Stage], tuple[Growth, ...]],
    stands: Callable[[tuple[Growth, ...]], bool],
) -> float | None:
    """The time at which `stands` is first true of a state that `grows` in each stage; None: never. To a thousandth of itself.

    Within a stage it is sought by halving: a quantile of evidence falls at first and rises then, so it passes a height once.
    """
    passed, state = 0.0, start
    for stage in stages:
        growth = grows(stage)
        for begin, end in _stretches(stage.seconds):
            if not stands(_after(state, growth, end / window)):
                continue
            low, high = begin, end
            while high - low > 1e-3 * (passed + low) + 1e-3:
                middle = (low + high) / 2.0
                low, high = (low, middle) if stands(_after(state, growth, middle / window)) else (middle, high)
            return passed + high
        state = _after(state, growth, stage.seconds / window)
        passed += stage.seconds
    return None


def _stretches(seconds: float) -> Iterator[tuple[float, float]]:
    """A long time in pieces that double, so that an early end is found quickly and exactly."""
    begin, end = 0.0, 60.0
    while end < seconds:
        yield begin, end
        begin, end = end, 2.0 * end
    yield begin, seconds


def _after(state: tuple[Growth, ...], growth: tuple[Growth, ...], windows: float) -> tuple[Growth, ...]:
    return tuple(before + more.times(windows) for before, more in zip(state, growth, strict=True))


def _mean_of_logs(logs: Sequence[float]) -> float:
    """The log of the mean of numbers that are given by their logs."""
    largest = max(logs)
    return largest + math.log(math.fsum(math.exp(log - largest) for log in logs) / len(logs))
