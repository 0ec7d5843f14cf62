"""Whether a variant's mean is better than the control's: an asymptotic confidence sequence on sums, sums of squares and counts.

Amounts such as revenue have no distribution that could be named, so there is no exact test of their means that may be looked at at any
time. For large samples there is one that holds about: with d the difference of both means, v its estimated variance
s_v^2/n_v + s_c^2/n_c, and the effective sample n = n_v n_c / (n_v + n_c), the mixture

    ln E = (d^2 / v) / 2 * n rho^2 / (n rho^2 + 1) - ln(n rho^2 + 1) / 2

behaves as a test martingale does in the limit of large n (Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas, "Time-uniform central limit theory and
asymptotic confidence sequences", Annals of Statistics 2024): P(E ever >= 1/alpha) is about alpha if one begins to look at a large sample. rho is set
where the interval is narrowest at `TUNED` (their equation for that). A variant is better when d has the right sign and E reaches
challengers/alpha; as E asks in both directions, that errs half as often. What comes of it is called approximate, in every case.

The difference is of all windows together, so it speaks of the whole test; amounts that drift alike in both arms add to v and
make it slower, not wrong.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from modelrollout.api.scalars import Timestamp
from modelrollout.api.status import GoalStatus

from .goal import Wanted
from .window import Answer, Counts, Window
from .words import number, of_what_is_needed, ratio

TUNED = 5_000
"""Effective sample at which the interval is as narrow as it can be."""
_BETWEEN = ":"


@dataclass(frozen=True, slots=True)
class Moments:
    """Amounts of one arm: how many, their sum, the sum of their squares."""

    count: int = 0
    sum: int = 0
    squares: int = 0

    def __add__(self, other: Moments) -> Moments:
        return Moments(self.count + other.count, self.sum + other.sum, self.squares + other.squares)

    @property
    def mean(self) -> float | None:
        """None without any."""
        return self.sum / self.count if self.count else None

    @property
    def variance(self) -> float:
        """Of one amount; 0 with fewer than two."""
        if self.count < 2:  # noqa: PLR2004  one amount has no spread
            return 0.0
        about = self.squares - self.sum * self.sum / self.count
        return max(0.0, about / (self.count - 1))


@dataclass(frozen=True, slots=True)
class Joined:
    """One window of amounts: the variant's and the control's moments, or why there are none (`answer`)."""

    start: float
    end: float
    answer: Answer
    variant: Moments = Moments()
    control: Moments = Moments()


def paired(sums: Sequence[Window], squares: Sequence[Window]) -> Iterator[Joined]:
    """Windows of sums and of squares as one, oldest first, as far as both are there; the worse answer counts."""
    found = {window.end: window for window in squares}
    for one in sums:
        other = found.get(one.end)
        if other is None or other.start != one.start:
            return
        answer = next((window.answer for window in (one, other) if not window.answered), one.answer)
        yield Joined(
            one.start, one.end, answer, _moments(one.candidate, other.candidate), _moments(one.stable, other.stable)
        )


def _moments(sums: Counts, squares: Counts) -> Moments:
    """As counted for a ratio of good ones: what is not bad is the amount."""
    return Moments(sums.requests, sums.requests - sums.bad, squares.requests - squares.bad)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Both arms. `difference` is None without an amount in either."""

    variant: Moments = Moments()
    control: Moments = Moments()

    @property
    def difference(self) -> float | None:
        """The variant's mean less the control's."""
        ours, theirs = self.variant.mean, self.control.mean
        return None if ours is None or theirs is None else ours - theirs

    @property
    def spread(self) -> float:
        """Estimated variance of the difference."""
        arms = (self.variant, self.control)
        return sum(arm.variance / arm.count for arm in arms if arm.count)

    @property
    def sample(self) -> float:
        """The effective sample."""
        total = self.variant.count + self.control.count
        return self.variant.count * self.control.count / total if total else 0.0

    def log_evidence(self, alpha: float) -> float:
        """Ln E that there is a difference; 0 where nothing can be said."""
        if self.difference is None or not self.spread:
            return 0.0
        weight = self.sample * _rho_squared(alpha)
        return self.difference**2 / self.spread / 2.0 * weight / (weight + 1.0) - math.log1p(weight) / 2.0

    def radius(self, alpha: float) -> float | None:
        """How far the true difference lies from the estimate at most, with about 1 - `alpha`, at all times."""
        weight = self.sample * _rho_squared(alpha)
        if self.difference is None or not weight or not self.spread:
            return None
        return math.sqrt(2.0 * self.spread * (weight + 1.0) / weight * (math.log1p(weight) / 2.0 - math.log(alpha)))


def _rho_squared(alpha: float) -> float:
    likely = -2.0 * math.log(alpha)
    return (likely + math.log(likely) + 1.0) / TUNED


def judge_mean(wanted: Wanted, known: GoalStatus | None, windows: Iterator[Joined], since: float) -> GoalStatus:
    """Add the windows that are new to what was recorded. `since`: only windows wholly after it count."""
    carried = known if known is not None and known.definition == wanted.definition else None
    seen = _recorded(carried.state) if carried is not None else Comparison()
    through = max(since, float(carried.through or since)) if carried is not None else since
    answered = carried.answered_at if carried is not None else None
    for window in windows:
        if window.start < since or window.end <= through:
            continue
        if window.answer is Answer.ERROR:
            break
        if window.start < through:
            continue
        through = window.end
        if window.answer is Answer.COUNTS:
            seen = Comparison(seen.variant + window.variant, seen.control + window.control)
            answered = Timestamp(window.end)
    return _status(wanted, seen).model_copy(update={"through": Timestamp(through), "answered_at": answered})


def _status(wanted: Wanted, seen: Comparison) -> GoalStatus:
    ours, theirs, difference = seen.variant, seen.control, seen.difference
    right_way = difference is not None and (difference > 0) == wanted.more_is_better and difference != 0
    log_value = seen.log_evidence(wanted.alpha) if right_way else 0.0
    needed = -math.log(wanted.alpha)
    enough = min(ours.count, theirs.count) >= max(2, wanted.sample)
    return GoalStatus(
        variant=number(ours.mean),
        control=number(theirs.mean),
        ratio=ratio(ours.mean, theirs.mean),
        interval=_interval(seen, wanted.alpha),
        count=ours.count,
        hits=ours.sum,
        control_count=theirs.count,
        control_hits=theirs.sum,
        evidence=of_what_is_needed(math.exp(min(0.0, log_value - needed))),
        better=right_way and enough and log_value >= needed,
        state=_text(seen),
        definition=wanted.definition,
    )


def _interval(seen: Comparison, alpha: float) -> str | None:
    radius, difference = seen.radius(alpha), seen.difference
    if radius is None or difference is None:
        return None
    return f"{difference - radius:+.4g} to {difference + radius:+.4g} (approximate)"


def _text(seen: Comparison) -> str:
    arms = (seen.variant, seen.control)
    return _BETWEEN.join(str(value) for arm in arms for value in (arm.count, arm.sum, arm.squares))


def _recorded(text: str | None) -> Comparison:
    """What was recorded; nothing where it cannot be read."""
    parts = (text or "").split(_BETWEEN)
    try:
        counts = [int(part) for part in parts]
    except ValueError:
        return Comparison()
    if len(counts) != 6:  # noqa: PLR2004  three of each arm
        return Comparison()
    return replace(Comparison(), variant=Moments(*counts[:3]), control=Moments(*counts[3:]))
