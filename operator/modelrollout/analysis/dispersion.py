"""The design effect: by how much errors that come in bursts make counts less certain than independent errors would.

Pods of one version that serve the same traffic should have equal error rates. How much more their counts differ than chance
allows is Pearson's chi-square over its degrees of freedom, taken within blocks of time: a burst that hits all pods at once
does not count, since it hits both versions and needs no correction. A burst shows best in blocks of about its own length,
so several lengths are tried and the largest value is taken.

Dividing all evidence by it is exact only for bursts of a fixed size; docs and status call the bound approximate then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .window import Counts
from .words import amount

BLOCKS = (300.0, 3600.0)
"""Seconds of the longer blocks; the shortest is one step of the history."""
NEGLIGIBLE = 1.15
ASSUMED = 2.0
"""Where history does not tell."""
LARGE = 10.0
FEWEST_ERRORS = 5
"""With fewer errors their spread over pods is 1 by arithmetic rather than by observation."""
FEWEST_PODS = 2


@dataclass(frozen=True, slots=True)
class Effect:
    """The design effect, at least 1, and in `note` how it came about, for a person."""

    value: float
    note: str

    @property
    def large(self) -> bool:
        """Whether pods differ so much that somebody should look at them."""
        return self.value > LARGE


def design_effect(history: Iterable[Mapping[str, Counts]], step: float) -> Effect:
    """The design effect of one metric from stable's history: counts by pod for each step of `step` seconds, oldest first.

    Steps may be empty (no data) and pods may come and go. The iterable is read once, and only one block is held at a time.
    """
    lengths = [1, *(size for size in (round(length / step) for length in BLOCKS) if size > 1)]
    sums = [_Blocks(length) for length in lengths]
    errors, pods, steps = 0, set[str](), 0
    for counts in history:
        told = {pod: one for pod, one in counts.items() if one.requests}
        errors += sum(one.bad for one in told.values())
        pods.update(told)
        steps += bool(told)
        for blocks in sums:
            blocks.add(told)
    if not steps:
        return _assumed("stable has no history")
    if len(pods) < FEWEST_PODS:
        return _assumed("stable has had only one pod")
    if errors < FEWEST_ERRORS:
        few = f"only {amount(errors, 'bad event')}" if errors else "no bad events"
        return _assumed(f"stable's history has {few}")
    found = [(ratio, blocks.length * step) for blocks in sums if (ratio := blocks.ratio()) is not None]
    if not found:
        return _assumed("stable's pods never served at the same time")
    return _measured(*max(found))


def _assumed(why: str) -> Effect:
    return Effect(ASSUMED, f"assumed: {why}")


def _measured(value: float, length: float) -> Effect:
    if value < NEGLIGIBLE:
        return Effect(1.0, "stable's pods differ no more than by chance")
    span = f"{length / 60:g} min" if length >= 60 else f"{length:g} s"  # noqa: PLR2004
    note = f"stable's pods differ {value:.3g} times as much as by chance, seen in blocks of {span}"
    return Effect(value, note)


class _Blocks:
    """Chi-square and degrees of freedom over blocks of `length` steps."""

    def __init__(self, length: int) -> None:
        self.length = length
        self._chi_square = 0.0
        self._freedom = 0
        self._steps = 0
        self._pods: dict[str, Counts] = {}

    def add(self, counts: Mapping[str, Counts]) -> None:
        for pod, one in counts.items():
            before = self._pods.get(pod)
            self._pods[pod] = one if before is None else before + one
        self._steps += 1
        if self._steps == self.length:
            self._close()

    def ratio(self) -> float | None:
        """Chi-square over degrees of freedom, with the last block as far as it got; None without any freedom."""
        self._close()
        return self._chi_square / self._freedom if self._freedom else None

    def _close(self) -> None:
        requests = sum(one.requests for one in self._pods.values())
        bad = sum(one.bad for one in self._pods.values())
        if len(self._pods) >= FEWEST_PODS and 0 < bad < requests:
            rate = bad / requests
            self._chi_square += sum(
                (one.bad - one.requests * rate) ** 2 / (one.requests * rate * (1.0 - rate))
                for one in self._pods.values()
            )
            self._freedom += len(self._pods) - 1
        self._steps = 0
        self._pods = {}
