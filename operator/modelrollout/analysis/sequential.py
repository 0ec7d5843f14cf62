"""One metric judged by evidence: its windows go into the tests one by one, oldest first, each exactly once.

Threshold methods look at a stretch of the past again and again; here every window is used once and what it was worth is carried in
the tests, over steps and weights, until the rollout ends. What a trial has read so far is in the status that it makes (`through` and
`state`), so a process that was killed goes on with the next window and comes to the same figures.

A trial folds; `panel` asks after each window of all metrics whether they amount to a Fail, because the tests share one error probability.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from modelrollout.api.analysis import Metric, OnBreach, StepKind
from modelrollout.api.reasons import Reason
from modelrollout.api.scalars import Timestamp
from modelrollout.api.status import MetricStatus, Verdict

from .battery import ONLY, Battery, steps_until
from .certificate import Certificate
from .combination import Weighted
from .evidence import RATES, SLOWNESS, Evidence, Question
from .readings import IGNORE_BELOW
from .step import StepContext, compares
from .terms import Terms
from .window import ZERO, Answer, Counts, Window

UNKNOWN_EFFECT = 2.0
"""The design effect where stable's history was not read."""
_WORN_OFF_SOON = math.log(100.0)
"""How far stable's evidence against a limit may rise above what is needed."""
_NEVER = 1e9
"""Seconds (thirty years) beyond which no time is told: there may be no date for it."""
_MARGIN, _LATENCY_MARGIN, _NON_INFERIORITY = 1.0, 1.2, 2.0
_ROOM = 1.5
"""How far what is bad lies above what is allowed, at least: no candidate at `margin` would ever be certified to be below `margin`."""
_USUAL_SLOW_SHARE = 0.05
"""Without a threshold, the bound is shown beyond which about so many of stable's requests lie."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A metric's questions with all defaults filled in.

    `margin` and `floor` are those of the certificate: bad is what is `margin` times stable and at least `floor`; a metric with a
    `limit` alone is bad at the limit.
    """

    worse: Question | None
    limit: Question | None
    margin: float | None
    floor: float

    @classmethod
    def of(cls, metric: Metric) -> Asked:
        """The questions of a rate."""
        compare, latency = metric.compare, metric.latency is not None
        limit = None if metric.limit is None else Question(RATES, None, metric.limit.fraction)
        if compare is None:
            assert metric.limit is not None
            return cls(None, limit, None, metric.limit.fraction)
        margin = _LATENCY_MARGIN if latency else _MARGIN
        margin = margin if compare.margin is None else compare.margin.number
        floor = IGNORE_BELOW if compare.ignore_below is None else compare.ignore_below.fraction
        written = compare.non_inferiority_margin
        non_inferiority = max(_NON_INFERIORITY, _ROOM * margin) if written is None else written.number
        return cls(Question(SLOWNESS if latency else RATES, margin, floor), limit, non_inferiority, floor)


def effect_of(metric: Metric, known: MetricStatus | None) -> float:
    """The design effect in force: stated, else measured before the first weight, else a cautious guess."""
    stated = metric.overdispersion.stated if metric.overdispersion is not None else None
    if stated is not None:
        return stated
    return float(known.design_effect.split()[0]) if known is not None and known.design_effect else UNKNOWN_EFFECT


class Trial:
    """One metric of one rollout while new windows are folded in. Lives for one call of `panel.judge_all`."""

    def __init__(
        self,
        metric: Metric,
        known: MetricStatus | None,
        windows: Sequence[Window],
        context: StepContext,
        terms: Terms,
    ) -> None:
        self.metric, self.context, self.terms = metric, context, terms
        self.asked = Asked.of(metric)
        self.definition = terms.fingerprint(metric)
        self.effect = effect_of(metric, known)
        self.comparing = compares(metric, context.kind)
        self.before = known
        self.late = metric.delay.seconds if metric.delay is not None else 0.0
        self.through = _begin(known, context)
        carried = known if known is not None and known.definition == self.definition else None
        in_step = carried if carried is not None and self.through > context.since else None
        self.candidate = Counts(in_step.requests, in_step.errors) if in_step else ZERO
        self.stable = Counts(in_step.stable_requests, in_step.stable_errors) if in_step else ZERO
        self.answered_at = float(in_step.answered_at) if in_step and in_step.answered_at else None
        self.total = Counts(carried.total_requests, carried.total_errors) if carried else ZERO
        self.tests = self._recorded(carried) or Battery()
        self.bound = carried.effective_threshold if carried is not None else None
        self.newest: Window | None = None
        self.awaited: Window | None = None
        self.pending = list(self._pending(windows))

    def _recorded(self, carried: MetricStatus | None) -> Battery | None:
        """The tests as recorded; None where there are none, or none that can be gone on with (another release made them)."""
        tests = Battery.decode(carried.state) if carried is not None and carried.state else None
        worse = self.asked.worse
        return tests if tests is not None and tests.fits(len(worse.alternatives) if worse else 0) else None

    @property
    def latched(self) -> bool:
        """Whether it has failed for good: the rollback that follows was decided on what was known then."""
        known = self.before
        return (
            known is not None
            and known.verdict is Verdict.FAIL
            and known.reason != Reason.STABLE_BREACHES_TOO
            and known.definition == self.definition
            and self.metric.breach is OnBreach.ROLLBACK
        )

    def _pending(self, windows: Sequence[Window]) -> Iterator[Window]:
        """The windows to fold, oldest first, up to one whose answer is awaited."""
        for window in windows:
            if window.start < self.context.since or window.end <= self.through:
                continue
            if window.answer is Answer.ERROR:
                self.awaited = window
                return
            if window.start >= self.through:
                yield window

    def take(self, window: Window) -> None:
        """Fold one window in."""
        self.through, self.newest = window.end, window
        if not window.answered:
            return
        self.answered_at = window.end
        cells = window.bounds if self._boundless else (("", window.candidate, window.stable),)
        self._show(window)
        if self.comparing or self.asked.worse is None:
            self._compare(cells)
        if self.asked.limit is not None:
            self._hold_against_limit(window)

    @property
    def _boundless(self) -> bool:
        return self.metric.latency is not None and self.metric.latency.threshold is None

    def _show(self, window: Window) -> None:
        """Count what people are shown."""
        ours, theirs = window.candidate, window.stable
        if self._boundless:
            if self.bound is None and window.bounds and ours.requests + theirs.requests:
                self.bound = min(window.bounds, key=lambda cell: _from_usual(cell[2] if cell[2].requests else cell[1]))[
                    0
                ]
            ours, theirs = next(
                ((mine, other) for text, mine, other in window.bounds if text == self.bound), (ZERO, ZERO)
            )
        elif window.effective_threshold is not None:
            self.bound = window.effective_threshold
        self.candidate += ours
        self.stable += theirs
        self.total += ours

    def _compare(self, cells: Sequence[tuple[str, Counts, Counts]]) -> None:
        question, tests = self.asked.worse, self.tests
        if not tests.bounds:
            opened = Battery.opened(
                [text for text, _, _ in cells], alternatives=len(question.alternatives) if question else 0
            )
            tests = replace(opened, limit=tests.limit, stable_limit=tests.stable_limit)
        found = {text: (ours, theirs) for text, ours, theirs in cells}
        # A bound that a version no longer has adds nothing; one that is new was not among the tests that were fixed.
        counts = [found.get(text, (ZERO, ZERO)) for text in tests.bounds]
        worse = tests.worse
        if question is not None:
            worse = tuple(
                evidence.after(question.increments(ours, theirs), planned=self.terms.planned, effect=self.effect)
                for evidence, (ours, theirs) in zip(tests.worse, counts, strict=True)
            )
        certificates = tests.certificates
        if self.context.kind is not StepKind.PREVIEW:
            # What testers send says nothing of the traffic that promotion is about.
            certificates = tuple(
                self._certified(certificate, ours, theirs)
                for certificate, (ours, theirs) in zip(certificates, counts, strict=True)
            )
        self.tests = replace(tests, worse=worse, certificates=certificates)

    def _certified(self, certificate: Certificate, ours: Counts, theirs: Counts) -> Certificate:
        asked = self.asked
        return certificate.after(ours, theirs, margin=asked.margin, floor=asked.floor, effect=self.effect)

    def _hold_against_limit(self, window: Window) -> None:
        """The same test for both versions. Where both breach, the candidate's starts afresh and rests until stable's has fallen.

        An incident that hits both leaves more evidence behind than many good windows wear off, and stable's wears off first: kept,
        it would take an innocent candidate back once the incident is over, or hold it for ever.
        """
        question = self.asked.limit
        assert question is not None
        fresh = Evidence.begin(len(question.alternatives))

        def after(evidence: Evidence | None, counts: Counts) -> Evidence:
            increments = question.increments(counts, ZERO)
            return (evidence or fresh).after(increments, planned=self.terms.planned, effect=self.effect)

        excused = self.stable_breaches_too
        stable = after(self.tests.stable_limit, window.stable).capped(self._needed + _WORN_OFF_SOON)
        if self.context.kind is StepKind.BAKE:
            stable, excused = fresh, False  # without traffic it would never be seen to have recovered
        candidate = fresh if excused else after(self.tests.limit, window.candidate)
        both = min(candidate.log_value, stable.log_value) >= self._needed
        self.tests = self.tests.with_limit(fresh if both else candidate, stable)

    @property
    def _needed(self) -> float:
        """The log evidence that one of the metric's tests needs alone."""
        return self.terms.needed - math.log(self.terms.weight(self.metric))

    def standing(self) -> tuple[tuple[str, Weighted], ...]:
        """The tests as they stand, by question."""
        enough = self.total.bad >= self.metric.least_errors
        weight = self.terms.weight(self.metric)
        found = []
        if self.tests.worse:
            found.append(("compare", Weighted(self.tests.log_worse, weight, enough)))
        if self.tests.limit is not None:
            blamed = enough and not self._stable_breaches
            found.append(("limit", Weighted(self.tests.limit.log_value, weight, blamed)))
        return tuple(found)

    @property
    def stable_breaches_too(self) -> bool:
        """Whether both versions are above the limit: then the candidate is not to blame, and its own test rests."""
        return self.tests.limit is not None and not self.tests.limit.windows and self._stable_breaches

    @property
    def _stable_breaches(self) -> bool:
        """Whether stable is above the limit: then the candidate's part in that does not count, not even beside other metrics'."""
        stable = self.tests.stable_limit
        return stable is not None and stable.log_value >= self._needed

    @property
    def share(self) -> float | None:
        """The evidence as a share of what takes the candidate back, of the test that has most; None before any."""
        values = [test.log_value + math.log(test.weight) for _, test in self.standing()]
        return math.exp(min(0.0, max(values) - self.terms.needed)) if values else None

    @property
    def certified(self) -> bool:
        """Whether the certificate stands."""
        return bool(self.tests.certificates) and self.tests.log_certificate >= self.terms.certificate_needed

    def seconds_to_certificate(self) -> float | None:
        """How long the certificate will take if traffic and rates stay as in this step; None where it will not come so."""
        if not self.tests.certificates or self.answered_at is None or self.tests.bounds != ONLY:
            return None
        spent = self.answered_at - self.context.since
        if spent <= 0 or not self.candidate.requests:
            return None
        growth = self._certified(Certificate.begin(), self.candidate, self.stable)
        steps = steps_until(self.tests.certificates[0], self.terms.certificate_needed, growth)
        return None if steps is None or steps * spent > _NEVER else steps * spent

    def counted(self) -> dict[str, object]:
        """The fields of status that carry what was folded."""
        return {
            "definition": self.definition,
            "requests": self.candidate.requests,
            "errors": self.candidate.bad,
            "stable_requests": self.stable.requests,
            "stable_errors": self.stable.bad,
            "total_requests": self.total.requests,
            "total_errors": self.total.bad,
            "state": self.tests.encode() if self.tests.begun else None,
            "through": Timestamp(self.through),
            "answered_at": None if self.answered_at is None else Timestamp(self.answered_at),
            "effective_threshold": self.bound,
            "checks": None,
        }


def _begin(known: MetricStatus | None, context: StepContext) -> float:
    return context.since if known is None or known.through is None else max(context.since, float(known.through))


def _from_usual(counts: Counts) -> float:
    share = counts.bad / counts.requests if counts.requests else 0.0
    return abs(share - _USUAL_SLOW_SHARE)
