"""Whether a variant of an A/B test is better than the control: evidence on a rate of users or requests, window by window.

The same test martingale as for badness (`evidence.Question`), asked the other way: the hypothesis to refute is that the variant is
*not better*. For a goal of good events that is p_v <= p_c, for one of bad events p_c <= p_v, with the roles turned. It holds for
any shares and for rates that change in time, as long as they change for both. The alternatives are small (1 % to twofold), because
that is what an A/B test looks for, and nearly all of the capital is invested in the first window: a better model is better from
the beginning.

Several challengers share the error probability by Bonferroni: each needs ln(challengers / alpha), and then the probability that
**any** variant that is not better is ever called better is at most alpha, however often one looks (Ville's inequality). That the
counts are of independent users or requests is an assumption; where one user makes many requests and stays with a variant, it does
not hold for rates per request, and the bound is called approximate.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from modelrollout.api.base import canonical_json
from modelrollout.api.experiment import AssignmentType, Better, Goal, GoalUnit
from modelrollout.api.scalars import Timestamp
from modelrollout.api.status import GoalStatus

from . import state
from .evidence import Evidence, Question
from .interval import ratio_interval
from .window import ZERO, Answer, Counts, Window
from .words import of_what_is_needed, percent, rate, ratio

UPLIFTS = (1.01, 1.02, 1.03, 1.05, 1.1, 1.2, 1.5, 2.0)
"""Alternatives: how many times the control's rate."""
ALPHA = 0.05
SAMPLE, LARGE_SAMPLE = 100, 1000
_BETTER = Question(UPLIFTS, 1.0, None)
_AT_ONCE = 1
"""Windows over which the stakes are spread."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A goal with all defaults filled in; `alpha` is that of one variant among `challengers`."""

    goal: Goal
    challengers: int
    approximate: bool

    @classmethod
    def of(cls, goal: Goal, challengers: int, assignment: AssignmentType) -> Wanted:
        """The goal of a test with so many challengers."""
        per_user = (goal.unit or GoalUnit.REQUEST) is GoalUnit.USER
        return cls(goal, challengers, approximate=not per_user and assignment is not AssignmentType.RANDOM)

    @property
    def alpha(self) -> float:
        """The probability that this variant is called better although it is not."""
        written = self.goal.false_winner_probability
        return (ALPHA if written is None else written.fraction) / self.challengers

    @property
    def sample(self) -> int:
        """Count of each arm below which nothing is said."""
        usual = SAMPLE if self.goal.mean is None else LARGE_SAMPLE
        return usual if self.goal.minimum_sample_size is None else self.goal.minimum_sample_size

    @property
    def more_is_better(self) -> bool:
        """Whether the goal counts good events, or a mean is better the higher it is."""
        if self.goal.ratio is not None:
            return self.goal.ratio.good is not None
        return self.goal.mean is not None and self.goal.mean.better is not Better.LOWER

    @property
    def definition(self) -> str:
        """Eight hex digits; evidence that was gathered under another one does not carry over."""
        asked = self.goal.ratio or self.goal.mean
        assert asked is not None
        text = f"{canonical_json(asked.written())} {self.alpha!r}"
        return hashlib.sha256(text.encode()).hexdigest()[:8]


@dataclass(frozen=True, slots=True)
class _Tally:
    """What was counted so far, in both arms, and what it is worth."""

    variant: Counts
    control: Counts
    evidence: Evidence
    through: Timestamp
    answered_at: Timestamp | None

    def after(self, wanted: Wanted, window: Window) -> _Tally:
        """One window later."""
        through = Timestamp(window.end)
        if not window.answered:
            return replace(self, through=through)
        evidence = self.evidence.after(_increments(wanted, window.candidate, window.stable), planned=_AT_ONCE)
        return _Tally(self.variant + window.candidate, self.control + window.stable, evidence, through, through)


def judge_goal(wanted: Wanted, known: GoalStatus | None, windows: Sequence[Window], since: float) -> GoalStatus:
    """Fold the windows that are new into what was recorded. `windows`: variant as candidate, control as stable, oldest first.

    `since`: only windows wholly after it count. A window whose answer is awaited ends the folding.
    """
    tally = _recorded(wanted, known, since)
    for window in windows:
        if window.start < since or window.end <= tally.through:
            continue
        if window.answer is Answer.ERROR:
            break
        if window.start >= tally.through:
            tally = tally.after(wanted, window)
    return _status(wanted, tally)


def _recorded(wanted: Wanted, known: GoalStatus | None, since: float) -> _Tally:
    """What was recorded under this definition; nothing where it was another one, or cannot be read."""
    if known is None or known.definition != wanted.definition or (evidence := _evidence(known.state)) is None:
        return _Tally(ZERO, ZERO, Evidence.begin(len(UPLIFTS)), Timestamp(since), None)
    variant = Counts(known.count, _bad(wanted, known.count, known.hits))
    control = Counts(known.control_count, _bad(wanted, known.control_count, known.control_hits))
    through = Timestamp(max(since, float(known.through or since)))
    return _Tally(variant, control, evidence, through, known.answered_at)


def _evidence(text: str | None) -> Evidence | None:
    try:
        parts = state.decode(text or "")
    except ValueError:
        return None
    return next((part for part in parts if isinstance(part, Evidence) and len(part.stakes) == len(UPLIFTS)), None)


def _hits(wanted: Wanted, counts: Counts) -> Counts:
    """Counts whose bad events are those that the goal names."""
    return Counts(counts.requests, counts.requests - counts.bad) if wanted.more_is_better else counts


def _bad(wanted: Wanted, count: int, hits: int) -> int:
    return count - hits if wanted.more_is_better else hits


def _increments(wanted: Wanted, variant: Counts, control: Counts) -> tuple[float, ...]:
    ours, theirs = _hits(wanted, variant), _hits(wanted, control)
    if not ours.requests or not theirs.requests:
        return (0.0,) * len(UPLIFTS)
    return _BETTER.increments(ours, theirs) if wanted.more_is_better else _BETTER.increments(theirs, ours)


def _status(wanted: Wanted, tally: _Tally) -> GoalStatus:
    ours, theirs, evidence = _hits(wanted, tally.variant), _hits(wanted, tally.control), tally.evidence
    mine, others = rate(ours), rate(theirs)
    needed = -math.log(wanted.alpha)
    enough = min(ours.requests, theirs.requests) >= max(1, wanted.sample)
    return GoalStatus(
        variant=None if mine is None else percent(mine),
        control=None if others is None else percent(others),
        ratio=ratio(mine, others),
        interval=_interval(wanted, ours, theirs),
        count=ours.requests,
        hits=ours.bad,
        control_count=theirs.requests,
        control_hits=theirs.bad,
        evidence=of_what_is_needed(math.exp(min(0.0, evidence.log_value - needed))),
        better=enough and evidence.log_value >= needed,
        state=state.encode(evidence),
        through=tally.through,
        answered_at=tally.answered_at,
        definition=wanted.definition,
    )


def _interval(wanted: Wanted, ours: Counts, theirs: Counts) -> str | None:
    found = ratio_interval([(ours, theirs)], wanted.alpha)
    if not found.low and found.high is None:
        return None
    high = "∞" if found.high is None else f"{found.high:.2f}"
    return f"{found.low:.2f}–{high}{' (approximate)' if wanted.approximate else ''}"
