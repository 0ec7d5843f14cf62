"""All metrics of one rollout, judged together: the one way in.

Tests that roll back share one error probability, so their evidence is summed after each window of any of them, in the order in
which they come in (a metric with a `delay` that much later), and folding stops where the sum says Fail: whoever folds a backlog after an outage sees the same Fail that was to be seen
live. Metrics judged by thresholds stand for themselves. Everything is a pure function of recorded facts, so a process that was
killed comes to the same verdicts as one that was not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import itemgetter

from modelrollout.api.analysis import Method, Metric, OnBreach
from modelrollout.api.status import MetricStatus

from . import threshold
from .combination import combine
from .sequential import Trial
from .step import StepContext, speaks
from .terms import Terms, by_evidence, shares
from .verdicts import Failure, verdict
from .window import Window


def judge_all(
    known: Mapping[str, MetricStatus],
    windows: Mapping[str, Sequence[Window]],
    context: StepContext,
    terms: Terms,
) -> tuple[MetricStatus, ...]:
    """Fold the windows that are new into what was recorded, one status for each of `terms.metrics`.

    `windows` by metric name, oldest first; they may overlap what was counted (`through`). `known` by metric name; a metric that is not
    in it starts afresh.
    """
    trials: dict[str, Trial] = {}
    for metric in by_evidence(terms.metrics):
        heard = windows.get(metric.name, ()) if speaks(metric, context.kind) else ()
        trials[metric.name] = Trial(metric, known.get(metric.name), heard, context, terms)
    sharing = [trial for trial in trials.values() if shares(trial.metric)]
    failures = _fold(sharing, terms)
    for trial in trials.values():
        if trial not in sharing:
            failures |= _fold([trial], terms)

    def said(metric: Metric) -> MetricStatus:
        trial = trials.get(metric.name)
        if trial is None:
            return threshold.judge(metric, known.get(metric.name), windows.get(metric.name, ()), context)
        return verdict(trial, failures.get(metric.name))

    return tuple(said(metric) for metric in terms.metrics)


def required_lookback(metric: Metric) -> float:
    """How many seconds before `through` windows are needed to judge the next one."""
    return threshold.required_lookback(metric) if metric.judged_by is Method.THRESHOLD else 0.0


def _fold(trials: Sequence[Trial], terms: Terms) -> dict[str, Failure]:
    """Fold all pending windows of trials that share alpha, up to those with which they fail; what failed, by metric.

    Without a rollback to be decided, a trial that fails goes on being judged: it is what it says in the end that counts.
    """
    if any(trial.latched for trial in trials):
        return {}
    pending = sorted(
        ((window.end + trial.late, number, window) for number, trial in enumerate(trials) for window in trial.pending),
        key=itemgetter(0, 1),
    )
    for _, at_once in groupby(pending, key=itemgetter(0)):
        for _, number, window in at_once:
            trials[number].take(window)
        if trials[0].metric.breach is OnBreach.ROLLBACK and (failed := _failing(trials, terms)):
            return failed
    return _failing(trials, terms)


def _failing(trials: Sequence[Trial], terms: Terms) -> dict[str, Failure]:
    """What fails now, by metric; of a metric whose both questions fail, the one with more evidence."""
    named = [(trial.metric.name, question, test) for trial in trials for question, test in trial.standing()]
    combined = combine([test for _, _, test in named], terms.alpha)
    if not combined.reached:
        return {}
    found: dict[str, Failure] = {}
    failed = [one for one, fails in zip(named, combined.failing, strict=True) if fails]
    for name, question, _ in sorted(failed, key=lambda one: one[2].log_share):
        found[name] = Failure(question, combined.log_value)
    return found
