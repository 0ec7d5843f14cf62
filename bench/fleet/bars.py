"""What a fleet may cost, and whether it held: the figures that the project promises, beside those that were measured."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.fleet.result import Result


@dataclass(frozen=True)
class Bar:
    """`measured` may be at most `most`, for fleets of up to `upto` rollouts and of more than `above`."""

    name: str
    unit: str
    most: float
    measured: Callable[[Result], float]
    digits: int = 2
    above: int = 0
    upto: int = 1000

    def of(self, result: Result) -> bool:
        """Whether the promise is about a fleet of this size."""
        return self.above < result.rollouts <= self.upto

    def held(self, result: Result) -> bool:
        return self.measured(result) <= self.most


FAIR = 5.0
"""No rollout waits so many times as long as the median one."""

BARS = (
    Bar("resident memory, up to 500 rollouts", "MiB", 130, lambda one: one.steady.memory, 0, upto=500),
    Bar("resident memory, up to 1,000", "MiB", 200, lambda one: one.steady.memory, 0, above=500),
    Bar("CPU while steady", "cores", 0.15, lambda one: one.steady.cpu / one.steady.seconds, 3),
    Bar(
        "API writes per rollout and minute",
        "",
        0.5,
        lambda one: one.steady.writes * 60 / one.steady.seconds / one.rollouts,
    ),
    Bar(
        "Prometheus queries per interval, in all",
        "",
        10,
        lambda one: one.steady.queries * one.interval / one.steady.seconds,
        1,
    ),
    Bar("restart: every rollout decided after", "s", 15, lambda one: one.restart.observed, 1),
    Bar("restart: API writes", "", 0, lambda one: one.restart.writes, 0),
    Bar("restart: routes whose weights moved", "", 0, lambda one: one.restart.weights_moved, 0),
    Bar("half turn bad at once: the last at weight 0 after", "s", 20, lambda one: one.breach.last, 1),
    Bar("an abort by hand: at weight 0 after", "s", 1, lambda one: one.aborts.last),
    Bar("all specs change at once: API errors", "", 0, lambda one: one.sync.errors, 0),
    Bar("all specs change at once: longest wait / median", "", FAIR, lambda one: one.sync.last / one.sync.median, 1),
)


def judged(results: Sequence[Result]) -> list[list[str]]:
    """A row for each bar: its name, its bound, and for each fleet the figure and whether it held."""
    return [
        [
            bar.name,
            f"≤ {bar.most:g} {bar.unit}".rstrip(),
            *(
                f"{bar.measured(one):.{bar.digits}f} {'✓' if bar.held(one) else '✗'}" if bar.of(one) else "–"
                for one in results
            ),
        ]
        for bar in BARS
    ]


def missed(results: Sequence[Result]) -> list[str]:
    """The promises that were not kept, in words."""
    return [
        f"{one.rollouts} rollouts: {bar.name}: {bar.measured(one):.{bar.digits}f} {bar.unit}, at most {bar.most:g} was promised"
        for one in results
        for bar in BARS
        if bar.of(one) and not bar.held(one)
    ]
