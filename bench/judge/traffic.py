"""Requests and errors of one simulated rollout, drawn as the weights ask for them.

Arrivals are Poisson, errors binomial. What makes errors hang together (incidents, bursts of a pod, a pod that is always worse)
is drawn first, as the rate of each pod at each moment; given these rates, errors are independent.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import ceil, log, sqrt
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.judge.setting import Setting
from modelrollout.analysis.window import Answer, Counts, Window

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Of the histogram, in seconds: those that client libraries have by default."""
SHOWN = 5
MEDIAN, SIGMA = 0.08, 0.6
"""Stable's latencies: median in seconds, and standard deviation of their logarithm. 3 % are slower than 250 ms."""

Rates = NDArray[np.float64]
DAY = 86_400.0
HISTORY = 6 * 3600.0
HISTORY_STEP = 60.0
BURST_SHARE = 0.1
"""Part of the time that is burst."""
BURST_ERRORS = 0.5
"""Part of all errors that come in bursts beside the even rest: the rate in a burst is 5.5 times the mean, outside half of it."""


class Traffic:
    """What both versions get and answer. Times are seconds after the first weight; the same seed draws the same."""

    def __init__(self, setting: Setting, seed: int, number: int) -> None:
        self._setting = setting
        self._dice = np.random.default_rng([seed, number])
        middles = (np.arange(setting.windows) + 0.5) * setting.window
        phase = self._dice.uniform(0, 2 * np.pi) if setting.diurnal else 0.0
        self._load = 1.0 + setting.diurnal * np.sin(2 * np.pi * middles / DAY + phase) if setting.diurnal else None
        swing = 1.0 if self._load is None else self._load
        stable = np.full(setting.windows, setting.rate_stable) * swing
        candidate = np.where(middles >= setting.bad_from, setting.rate_candidate, setting.rate_stable) * swing
        if setting.incident:
            upset = middles >= setting.planned / 2
            stable, candidate = (
                np.where(upset, np.maximum(rates, setting.incident), rates) for rates in (stable, candidate)
            )
        self._history: list[dict[str, Counts]] | None = None
        if setting.bursts == "shared":
            shared = _bursts(self._dice, setting.burst_length, 0.0, setting.window, setting.windows)
            stable, candidate = stable * shared, candidate * shared
        if setting.differing:
            self._stable = self._by_pod(stable)
            self._candidate = self._by_pod(candidate, history=False)
        else:
            self._stable, self._candidate = stable[None].clip(0, 1), candidate[None].clip(0, 1)

    def _by_pod(self, rates: Rates, *, history: bool = True) -> Rates:
        """Rates by pod and window; for stable also its history before the rollout."""
        setting, dice = self._setting, self._dice
        pods, found = [], []
        for _ in range(setting.pods):
            factor = np.exp(setting.spread * dice.standard_normal() - setting.spread**2 / 2) if setting.spread else 1.0
            before, now = _around(dice, setting) if setting.bursts == "pod" else (1.0, 1.0)
            pods.append(rates * now * factor)
            found.append(np.full(int(HISTORY / HISTORY_STEP), setting.rate_stable) * before * factor)
        if history:
            requests = dice.poisson(setting.rps * HISTORY_STEP / setting.pods, (setting.pods, len(found[0])))
            bad = dice.binomial(requests, np.array(found).clip(0, 1))
            self._history = [
                {f"pod-{pod}": Counts(*pair) for pod, pair in enumerate(zip(ones, others, strict=True))}
                for ones, others in zip(requests.T.tolist(), bad.T.tolist(), strict=True)
            ]
        return np.array(pods).clip(0, 1)

    @property
    def history(self) -> Sequence[dict[str, Counts]]:
        """Stable's counts by pod in the six hours before, a minute each; empty where pods do not differ."""
        return self._history or ()

    def windows(self, weight: float, candidate_pods: int, first: int, count: int, start: float) -> list[Window]:
        """`count` windows from number `first` on, at a candidate's share of `weight`; `start` is when the first one begins."""
        span = slice(first, first + count)
        setting = self._setting
        if setting.latency_factor:
            return self._latencies(weight, first, count, start)
        mean = setting.rps * setting.window * (1.0 if self._load is None else self._load[span])
        ones = self._counts(mean * weight, self._candidate[:candidate_pods, span])
        others = self._counts(mean * (1.0 - weight), self._stable[:, span])
        length = setting.window
        return [
            Window(start + index * length, start + (index + 1) * length, Answer.COUNTS, Counts(*one), Counts(*other))
            for index, (one, other) in enumerate(zip(ones, others, strict=True))
        ]

    def _latencies(self, weight: float, first: int, count: int, start: float) -> list[Window]:
        """Windows with the slower requests at each bound of a histogram."""
        setting, span = self._setting, slice(first, first + count)
        mean = np.broadcast_to(setting.rps * setting.window * (1.0 if self._load is None else self._load[span]), count)
        bad = (np.arange(first, first + count) + 0.5) * setting.window >= setting.bad_from
        ours = _slower(self._dice, mean * weight, np.where(bad, setting.latency_factor, 1.0))
        theirs = _slower(self._dice, mean * (1.0 - weight), np.ones(count))
        found = []
        for index, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            pairs = zip(BOUNDS, one[1:], other[1:], strict=True)
            cells = tuple((f"{bound:g}s", Counts(one[0], mine), Counts(other[0], its)) for bound, mine, its in pairs)
            begin = start + index * setting.window
            _, candidate, stable = cells[SHOWN]
            found.append(Window(begin, begin + setting.window, Answer.COUNTS, candidate, stable, bounds=cells))
        return found

    def _counts(self, mean: Any, rates: Rates) -> list[tuple[int, int]]:
        requests = self._dice.poisson(np.broadcast_to(mean / len(rates), rates.shape))
        bad = self._dice.binomial(requests, rates)
        return list(zip(requests.sum(axis=0).tolist(), bad.sum(axis=0).tolist(), strict=True))


def _slower(dice: np.random.Generator, mean: Rates, factors: Rates) -> list[list[int]]:
    """By window: all requests, and those slower than each bound, where latencies are `factors` times stable's."""
    requests = dice.poisson(mean)
    parts = np.array([_buckets(factor) for factor in np.unique(factors)])
    within = dice.multinomial(requests, parts[np.searchsorted(np.unique(factors), factors)])
    slower = requests[:, None] - np.cumsum(within, axis=1)[:, :-1]
    return np.concatenate([requests[:, None], slower], axis=1).tolist()


def _buckets(factor: float) -> list[float]:
    """Part of the requests between two bounds: latencies are log-normal."""
    below = [0.0, *(NormalDist().cdf(log(bound / (MEDIAN * factor)) / SIGMA) for bound in BOUNDS), 1.0]
    return [right - left for left, right in pairwise(below)]


def _around(dice: np.random.Generator, setting: Setting) -> tuple[Rates, Rates]:
    """One pod's bursts in the minutes of its history and in the windows of the rollout, as factors of its rate."""
    steps = int(HISTORY / HISTORY_STEP)
    edges = np.concatenate(
        [
            np.linspace(-HISTORY, 0.0, steps + 1),
            np.arange(1, setting.windows + 1) * setting.window,
        ]
    )
    factors = _factors(dice, setting.burst_length, edges)
    return factors[:steps], factors[steps:]


def _bursts(dice: np.random.Generator, length: float, start: float, window: float, count: int) -> Rates:
    return _factors(dice, length, start + np.arange(count + 1) * window)


def _factors(dice: np.random.Generator, length: float, edges: Rates) -> Rates:
    """For each stretch between two edges the factor of the rate, 1 on average.

    Bursts and calms alternate with exponential lengths; the process is in its steady state when it begins.
    """
    calm = length * (1.0 - BURST_SHARE) / BURST_SHARE
    span = float(edges[-1] - edges[0])
    pairs = ceil(span / (length + calm) + 6 * sqrt(span / (length + calm))) + 8
    lengths = np.empty(2 * pairs)
    lengths[0::2] = dice.exponential(length, pairs)
    lengths[1::2] = dice.exponential(calm, pairs)
    if dice.random() >= BURST_SHARE:
        lengths = lengths[1:]  # it begins calm; an exponential length has no memory
        inside = np.arange(len(lengths)) % 2 == 1
    else:
        inside = np.arange(len(lengths)) % 2 == 0
    turns = edges[0] + np.concatenate([[0.0], np.cumsum(lengths)])
    burst = np.concatenate([[0.0], np.cumsum(np.where(inside, lengths, 0.0))])
    inside_part = np.diff(np.interp(edges, turns, burst)) / np.diff(edges)
    return (1.0 - BURST_ERRORS) + BURST_ERRORS * inside_part / BURST_SHARE
