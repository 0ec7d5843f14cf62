"""Verdicts by failed checks: a check looks at a look-back, and so many failed ones among the last so many are a Fail.

New windows are folded one by one into what was recorded, oldest first, with a check at the end of each that had an answer. The
fold stops

- at a window whose answer is still awaited (ERROR): real data will take its place, and nothing may be counted past it;
- at the window with which the metric begins to fail, where that takes the candidate back: whoever folds a backlog after an outage
  must see the same Fail that was to be seen live, even if later windows look better. It stays there, however often it is folded.

So the verdict does not depend on how the windows were portioned. Windows without data are passed over, and say so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from modelrollout.api.analysis import Metric, OnBreach, Threshold
from modelrollout.api.reasons import Reason
from modelrollout.api.scalars import Timestamp
from modelrollout.api.status import MESSAGE_LIMIT, MetricStatus, Verdict

from .readings import Reading, beyond, objective, read, worse
from .step import StepContext, compares, resting_because, speaks
from .window import ZERO, Answer, Counts, Window
from .words import amount, span

LOOKBACK = 60.0
RECENT = 1800.0
"""Seconds of stable's own numbers among which an anomaly is looked for."""
FAILURES = 3
OF = 5

PASSED, FAILED = ".", "F"


def required_lookback(metric: Metric) -> float:
    """Seconds before the last counted window that the next check looks back on."""
    return 0.0 if metric.query is not None and metric.anomaly is None else _rule(metric).lookback


def fingerprint(metric: Metric) -> str:
    """Eight hex digits of the definition as written; counts made under another one do not carry over."""
    return hashlib.sha256(metric.text.encode()).hexdigest()[:8]


def judge(
    metric: Metric, previous: MetricStatus | None, windows: Sequence[Window], context: StepContext
) -> MetricStatus:
    """What the metric says after all `windows` that are new; see `panel.judge_all`."""
    definition = fingerprint(metric)
    base = MetricStatus(name=metric.name, limit=objective(metric), definition=definition)
    if not speaks(metric, context.kind):
        return base.model_copy(update={"verdict": Verdict.RESTING, "message": resting_because(metric, context.kind)})
    begin = context.since if previous is None or previous.through is None else max(context.since, previous.through)
    known = previous if previous is not None and previous.definition == definition and begin > context.since else None
    rule = _rule(metric)
    fold = _fold(metric, rule, _tally(known, begin), windows, context)
    if known is not None and fold.newest is None and fold.awaited is None:
        return known
    return _verdict(metric, rule, fold, known or base, compares(metric, context.kind))


@dataclass(frozen=True, slots=True)
class _Rule:
    """`threshold`, resolved: look-back in seconds, Fail at `failures` of the last `of` checks and `sample` requests."""

    lookback: float
    failures: int
    of: int
    sample: int

    def fails(self, tally: _Tally) -> bool:
        return tally.checks.count(FAILED) >= self.failures and tally.candidate.requests >= self.sample


def _rule(metric: Metric) -> _Rule:
    written = metric.threshold or Threshold()
    of = written.of if written.of is not None else max(OF, written.failures or 0)
    usual = LOOKBACK if metric.anomaly is None else RECENT
    return _Rule(
        lookback=usual if written.lookback is None else written.lookback.seconds,
        failures=min(FAILURES if written.failures is None else written.failures, of),
        of=of,
        sample=metric.sample,
    )


@dataclass(frozen=True, slots=True)
class _Tally:
    """What was counted of the step; `through` is the end of the last window in it."""

    through: float
    candidate: Counts = ZERO
    stable: Counts = ZERO
    checks: str = ""
    answered_at: float | None = None

    def with_window(self, window: Window) -> _Tally:
        if not window.answered:
            return replace(self, through=window.end)
        return replace(
            self,
            through=window.end,
            candidate=self.candidate + window.candidate,
            stable=self.stable + window.stable,
            answered_at=window.end,
        )


def _tally(known: MetricStatus | None, begin: float) -> _Tally:
    if known is None:
        return _Tally(begin)
    return _Tally(
        begin,
        Counts(known.requests, known.errors),
        Counts(known.stable_requests, known.stable_errors),
        known.checks or "",
        known.answered_at,
    )


@dataclass(frozen=True, slots=True)
class _Fold:
    """Where a fold ended: `newest` is the last window that was counted, `awaited` the one that stopped it."""

    tally: _Tally
    newest: Window | None = None
    awaited: Window | None = None
    reading: Reading | None = None
    """Of the last check, or of the last attempt at one."""
    shown: Reading | None = None
    """Of the last attempt that had numbers to show."""


def _fold(metric: Metric, rule: _Rule, tally: _Tally, windows: Sequence[Window], context: StepContext) -> _Fold:
    inside = [window for window in windows if window.start >= context.since]
    comparing = compares(metric, context.kind)
    fold, final = _Fold(tally), metric.breach is OnBreach.ROLLBACK
    if final and rule.fails(tally):
        return fold
    for position, window in enumerate(inside):
        awaited = window.answer is Answer.ERROR
        if window.end <= fold.tally.through or (window.start < fold.tally.through and not awaited):
            continue
        lookback = _lookback(inside, position, rule.lookback)
        missing = next((one for one in lookback if one.answer is Answer.ERROR), None)
        if missing is not None:
            return replace(fold, awaited=missing)
        tally, reading = fold.tally.with_window(window), fold.reading
        if window.answered:
            reading = read(metric, lookback, comparing=comparing)
            if reading.spoke:
                result = FAILED if reading.breach else PASSED
                tally = replace(tally, checks=(tally.checks + result)[-rule.of :])
        shown = reading if reading is not None and reading.candidate is not None else fold.shown
        fold = _Fold(tally, window, None, reading, shown)
        if final and rule.fails(tally):
            break  # the rollback is decided on what was known then; any other breach goes on being judged
    return fold


def _lookback(windows: Sequence[Window], newest: int, seconds: float) -> Sequence[Window]:
    """The windows that end with the newest and begin within the look-back, the newest at least."""
    begin = windows[newest].end - seconds
    first = newest
    while first > 0 and windows[first - 1].start >= begin:
        first -= 1
    return windows[first : newest + 1]


def _verdict(metric: Metric, rule: _Rule, fold: _Fold, before: MetricStatus, comparing: bool) -> MetricStatus:
    tally, shown = fold.tally, fold.shown
    verdict, reason, message = _words(metric, rule, fold, comparing)
    found: dict[str, object] = {
        "verdict": verdict,
        "reason": reason,
        "message": message[:MESSAGE_LIMIT],
        "requests": tally.candidate.requests,
        "errors": tally.candidate.bad,
        "stable_requests": tally.stable.requests,
        "stable_errors": tally.stable.bad,
        "checks": tally.checks or None,
        "through": Timestamp(tally.through),
        "answered_at": None if tally.answered_at is None else Timestamp(tally.answered_at),
    }
    if shown is not None:
        found |= {"candidate": shown.candidate, "stable": shown.stable, "ratio": shown.ratio}
    if fold.newest is not None and fold.newest.effective_threshold is not None:
        found["effective_threshold"] = fold.newest.effective_threshold
    return before.model_copy(update=found)


def _words(metric: Metric, rule: _Rule, fold: _Fold, comparing: bool) -> tuple[Verdict, Reason | None, str]:
    """The verdict, its reason if it is a Fail, and a sentence."""
    if fold.awaited is not None:
        return Verdict.ERROR, None, fold.awaited.message
    if fold.newest is not None and fold.newest.answer is Answer.NO_DATA:
        return Verdict.NO_DATA, None, fold.newest.message
    subject = _subject(metric, fold)
    figures = f"{subject} {fold.reading.figures}" if fold.reading is not None and fold.reading.figures else metric.name
    if fold.newest is not None and not metric.query:
        figures += f" in the last {span(max(rule.lookback, fold.newest.end - fold.newest.start))}"
    if rule.fails(fold.tally):
        return Verdict.FAIL, _reason(metric, fold.reading, comparing=comparing), _failure(figures, fold)
    missing = _missing(rule, fold)
    if missing:
        return Verdict.CONTINUE, None, f"{figures}: {missing}"
    return Verdict.PASS, None, figures


def _subject(metric: Metric, fold: _Fold) -> str:
    bound = fold.newest.effective_threshold if fold.newest is not None else None
    return f"{metric.name} (slower than {bound})" if bound else metric.name


def _reason(metric: Metric, reading: Reading | None, *, comparing: bool) -> Reason:
    """Of the newest check; where that one passed (the sample came late), of the question that was asked."""
    if reading is not None and reading.breach is not None:
        return reading.breach
    return worse(metric) if comparing else beyond(metric)


def _failure(figures: str, fold: _Fold) -> str:
    demand = f", {fold.reading.demand}" if fold.reading is not None and fold.reading.breach is not None else ""
    failed = fold.tally.checks.count(FAILED)
    return f"{figures}{demand}: {failed} of the last {amount(len(fold.tally.checks), 'check')} failed"


def _missing(rule: _Rule, fold: _Fold) -> str:
    """What a Pass lacks, in words; empty if nothing."""
    tally, reading = fold.tally, fold.reading
    if fold.newest is None and not tally.checks:
        return "waits for its first window"
    lacks = []
    if tally.candidate.requests < rule.sample:
        lacks.append(f"{tally.candidate.requests:,} of {amount(rule.sample, 'request')} so far in this step")
    if reading is not None and not reading.spoke and not tally.checks:
        lacks.append(reading.silence)
    if tally.checks.endswith(FAILED):
        lacks.append(f"{tally.checks.count(FAILED)} of the last {amount(len(tally.checks), 'check')} failed")
    if not tally.checks and not lacks:
        lacks.append("no check yet")
    return ", ".join(lacks)
