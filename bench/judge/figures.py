"""From played rollouts to figures: counts, medians, and an exact interval for a share."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from math import exp, lgamma, log
from statistics import median
from typing import Any

from bench.judge.play import Played, Player
from bench.judge.setting import Setting

CONFIDENCE = 0.95
HALVINGS = 40


@dataclass(frozen=True)
class Figures:
    """What became of the rollouts of one setting. Seconds and requests count from when the candidate went bad."""

    setting: Setting
    seed: int
    rollouts: int
    rolled_back: int
    early: int
    """Of those, taken back before the candidate went bad."""
    times: tuple[float, ...]
    """Seconds to the rollback, sorted, without the early ones."""
    median_requests: float | None
    certified: int
    median_certified_seconds: float | None
    outcomes: dict[str, int]
    decisions: float
    """Of the decision core, per rollout."""
    cpu_seconds: float
    """All of it, one core: what a busy machine makes of it is not of interest."""

    @property
    def share(self) -> float:
        """Of rollouts that were taken back."""
        return self.rolled_back / self.rollouts

    @property
    def interval(self) -> tuple[float, float]:
        """Of that share, Clopper-Pearson at 95 %."""
        return exact_interval(self.rolled_back, self.rollouts)

    @property
    def median_seconds(self) -> float | None:
        """To the rollback."""
        return _median(self.times)

    def to_dict(self) -> dict[str, Any]:
        """As the JSON object of the command line."""
        return {
            "setting": asdict(self.setting),
            "seed": self.seed,
            "rollouts": self.rollouts,
            "rolled_back": self.rolled_back,
            "rolled_back_before_onset": self.early,
            "rolled_back_share": self.share,
            "rolled_back_interval": list(self.interval),
            "median_seconds": self.median_seconds,
            "median_requests": self.median_requests,
            "certified": self.certified,
            "median_certified_seconds": self.median_certified_seconds,
            "outcomes": self.outcomes,
            "decisions_per_rollout": round(self.decisions, 2),
            "cpu_seconds": round(self.cpu_seconds, 1),
        }


def measure(setting: Setting, rollouts: int, seed: int, play: Callable[[int], Played] | None = None) -> Figures:
    """Play so many rollouts; progress goes to standard error. `play`: something else than the product."""
    play = play or Player(setting, seed).play
    begun, told = time.process_time(), time.monotonic()
    played = []
    for number in range(rollouts):
        played.append(play(number))
        if sys.stderr.isatty() and time.monotonic() - told > 1.0:
            told = time.monotonic()
            print(f"\r{number + 1} of {rollouts} rollouts", end="\r", file=sys.stderr)
    return figures(setting, seed, played, time.process_time() - begun)


def figures(setting: Setting, seed: int, played: Sequence[Played], seconds: float) -> Figures:
    """The figures of played rollouts."""
    back = [one for one in played if one.rolled_back]
    found = [one for one in back if one.seconds > setting.bad_from]
    certified = [one.certified for one in played if one.certified is not None]
    return Figures(
        setting=setting,
        seed=seed,
        rollouts=len(played),
        rolled_back=len(back),
        early=len(back) - len(found),
        times=tuple(sorted(one.seconds - setting.bad_from for one in found)),
        median_requests=_median([one.requests for one in found]),
        certified=len(certified),
        median_certified_seconds=_median(certified),
        outcomes=dict(Counter(one.outcome for one in played)),
        decisions=sum(one.decisions for one in played) / max(1, len(played)),
        cpu_seconds=seconds,
    )


def _median(values: Sequence[float]) -> float | None:
    return median(values) if values else None


def exact_interval(hits: int, of: int) -> tuple[float, float]:
    """Clopper and Pearson's interval for a share."""
    tail = (1.0 - CONFIDENCE) / 2.0
    low = 0.0 if hits == 0 else _solve(lambda share: _at_most(of - hits, of, 1.0 - share) - tail, rising=True)
    high = 1.0 if hits == of else _solve(lambda share: _at_most(hits, of, share) - tail, rising=False)
    return low, high


def _solve(function: Callable[[float], float], *, rising: bool) -> float:
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2.0
        if (function(middle) > 0.0) == rising:
            high = middle
        else:
            low = middle
    return (low + high) / 2.0


def _at_most(hits: int, of: int, share: float) -> float:
    """The probability of at most so many hits."""
    if share <= 0.0:
        return 1.0
    if share >= 1.0:
        return float(hits >= of)
    if hits > of // 2:
        return 1.0 - _at_most(of - hits - 1, of, 1.0 - share) if hits < of else 1.0
    total = lgamma(of + 1)
    return sum(
        exp(total - lgamma(hit + 1) - lgamma(of - hit + 1) + hit * log(share) + (of - hit) * log(1.0 - share))
        for hit in range(hits + 1)
    )
