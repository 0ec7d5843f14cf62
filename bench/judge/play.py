"""One simulated rollout: windows of its traffic through the product's analysis, and its decision core when there is cause.

The analysis is asked about several windows at a time. Where what it says has changed after them (a verdict, a certificate), the
window that made the change is looked for by halving, and the decision core decides at the end of that very window, as it does in
a cluster. It also decides at the moment that it named itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, inf

from bench.judge.panel import effects, first_certified, judged
from bench.judge.setting import Setting, plan_of
from bench.judge.stage import BEGIN, CANDIDATE, Moment, Stage
from bench.judge.traffic import Traffic
from modelrollout.analysis.panel import required_lookback
from modelrollout.analysis.window import Window
from modelrollout.api.scalars import FULL_WEIGHT
from modelrollout.api.status import MetricStatus, Outcome
from modelrollout.rollout.capacity import candidate_pods

DRAWN = 60
"""Windows that are drawn at once, at least."""
FEW, MANY = 3, 40
"""Windows that the analysis is asked about at once: few at the beginning of a step, more and more while nothing changes."""


@dataclass(frozen=True, slots=True)
class Played:
    """How one rollout ended. Seconds count from the first weight; `requests` are the candidate's since it went bad."""

    rolled_back: bool
    outcome: str
    """Of the rollout, or the phase in which it was left."""
    seconds: float
    requests: int
    certified: float | None
    """When its certificate first stood; None if it never did."""
    decisions: int


class Player:
    """Plays the rollouts of one setting."""

    def __init__(self, setting: Setting, seed: int) -> None:
        self._setting, self._seed = setting, seed
        self._stage = Stage(plan_of(setting))

    def play(self, number: int) -> Played:
        """Rollout `number`; the same number is the same rollout."""
        return _Rollout(self._setting, self._stage, Traffic(self._setting, self._seed, number)).played()


class _Rollout:
    """One rollout under way."""

    def __init__(self, setting: Setting, stage: Stage, traffic: Traffic) -> None:
        self._setting, self._stage, self._traffic = setting, stage, traffic
        self._plan = stage.plan
        self._lookback = max(required_lookback(metric) for metric in self._plan.metrics)
        begun = stage.begun(effects(setting.names, traffic.history))
        self._status, self._wake = begun.status, begun.wake_at
        self._now = BEGIN
        self._chunk = FEW
        self._requests = self._decisions = 0
        self._certified: float | None = None
        self._drawn: dict[str, list[Window]] = {}
        """Windows at the present weight: those still ahead and those behind that somebody may ask about."""

    def played(self) -> Played:
        while self._now < BEGIN + self._setting.horizon and not self._over:
            self._stretch()
        rolled_back = bool(self._status.rejected)
        outcome = str(self._status.history[-1].outcome if self._over and not rolled_back else self._status.phase)
        return Played(
            rolled_back,
            str(Outcome.ROLLED_BACK) if rolled_back else outcome,
            self._now - BEGIN,
            self._requests,
            self._certified,
            self._decisions,
        )

    @property
    def _over(self) -> bool:
        return self._status.rollout is None or bool(self._status.rejected)

    def _stretch(self) -> None:
        """The next windows: up to the decision core's own moment, or to the one that changes what the analysis says."""
        length, before = self._setting.window, self._status.metrics
        ahead = min(self._wake or inf, BEGIN + self._setting.horizon) - self._now
        count = max(1, min(ceil(ahead / length - 1e-6), self._chunk))
        self._draw(count)
        ends = [self._now + (index + 1) * length for index in range(count)]
        if (certain := self._first_certified(ends[-1])) is not None:
            ends = [end for end in ends if end <= certain]
        metrics = self._judged(before, ends[-1])
        if changed := _says(metrics) != _says(before):
            ends, metrics = self._first_change(before, metrics, ends)
        else:
            self._chunk = min(2 * self._chunk, MANY)
        self._pass(ends[-1], metrics)
        if changed or (self._wake is not None and self._now >= self._wake):
            self._decide(metrics)
        else:
            self._status = self._status.model_copy(update={"metrics": metrics})

    def _first_change(
        self, before: Sequence[MetricStatus], after: tuple[MetricStatus, ...], ends: list[float]
    ) -> tuple[list[float], tuple[MetricStatus, ...]]:
        """The ends up to the window with which the analysis says something new, and what it says then.

        `before` is what it said before all of them, `after` what it says after the last one.
        """
        same = 0  # so many windows change nothing
        while len(ends) - same > 1:
            middle = (same + len(ends)) // 2
            metrics = self._judged(before, ends[middle - 1])
            if _says(metrics) == _says(before):
                same, before = middle, metrics
            else:
                ends, after = ends[:middle], metrics
        return ends, after

    def _judged(self, known: Sequence[MetricStatus], until: float) -> tuple[MetricStatus, ...]:
        return judged(self._plan, self._stage.step(self._status), self._status, known, self._heard(until))

    def _first_certified(self, until: float) -> float | None:
        """When certificates first stand, which may be for a moment only, if that is before `until` and for the first time."""
        if self._certified is not None or self._setting.method != "sequential":
            return None
        return first_certified(self._plan, self._stage.step(self._status), self._status, self._heard(until))

    def _heard(self, until: float) -> dict[str, list[Window]]:
        return {name: [one for one in drawn if one.end <= until] for name, drawn in self._drawn.items()}

    def _draw(self, count: int) -> None:
        """See to it that the next `count` windows are there."""
        setting = self._setting
        candidate = self._stage.candidate(self._status)
        share = int(candidate.weight) / FULL_WEIGHT
        pods = candidate_pods(self._plan, setting.pods, int(candidate.weight))
        for name in setting.names:
            drawn = self._drawn.setdefault(name, [])
            last = drawn[-1].end if drawn else self._now
            lacking = count - round((last - self._now) / setting.window)
            if lacking > 0:
                first = round((last - BEGIN) / setting.window)
                several = min(max(lacking, DRAWN), setting.windows - first)
                drawn += self._traffic.windows(share, pods, first, several, last)

    def _pass(self, now: float, metrics: Sequence[MetricStatus]) -> None:
        """Time passes to `now`."""
        self._requests += sum(
            window.candidate.requests
            for window in self._drawn[self._setting.names[0]]
            if self._now < window.end <= now and window.end > BEGIN + self._setting.bad_from
        )
        self._now = now
        if self._certified is None and all(metric.certified for metric in metrics):
            self._certified = now - BEGIN

    def _decide(self, metrics: Sequence[MetricStatus]) -> None:
        """Ask the decision core, with what it may look at; at another weight the windows ahead are drawn anew."""
        status = self._status.model_copy(update={"metrics": tuple(metrics)})
        windows = {
            name: tuple(window for window in drawn if window.end <= self._now) for name, drawn in self._drawn.items()
        }
        before = self._stage.decisions
        passed = self._now - float(status.seen_at or self._now)
        decision = self._stage.settle(status, CANDIDATE, Moment(self._now, passed, windows))
        self._decisions += self._stage.decisions - before
        moved = self._status.step != decision.status.step and (
            decision.status.step is None
            or self._status.step is None
            or decision.status.step.applied_at != self._status.step.applied_at
        )
        self._status, self._wake = decision.status, decision.wake_at
        if moved:
            self._drawn, self._chunk = {}, FEW
        else:
            self._forget()

    def _forget(self) -> None:
        """Windows that nobody can ask about any more."""
        step = self._status.step
        if step is None or step.applied_at is None:
            return
        settled = min([self._now, *(float(metric.through or 0.0) for metric in self._status.metrics)])
        oldest = min(settled, float(step.covered_through or 0.0)) - self._lookback
        self._drawn = {name: [one for one in drawn if one.end > oldest] for name, drawn in self._drawn.items()}


def _says(metrics: Sequence[MetricStatus]) -> tuple[object, ...]:
    return tuple((metric.verdict, bool(metric.certified)) for metric in metrics)
