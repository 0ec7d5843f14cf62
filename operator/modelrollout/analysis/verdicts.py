"""What a trial amounts to: the verdict, the figures that people are shown, and a sentence.

A verdict can always be explained: both rates, the ratio with its interval, how much evidence there is of what is needed, and on how
many requests all that rests.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from modelrollout.api.analysis import Metric
from modelrollout.api.reasons import Reason
from modelrollout.api.scalars import Timestamp
from modelrollout.api.status import MESSAGE_LIMIT, MetricStatus, Verdict

from .battery import ONLY
from .interval import ratio_interval
from .readings import beyond, objective, worse
from .sequential import Trial
from .step import resting_because, speaks
from .window import Answer
from .words import amount, of_what_is_needed, percent, rate, ratio


@dataclass(frozen=True, slots=True)
class Failure:
    """The question (`compare` or `limit`) with which a metric fails, and the log evidence of all tests together."""

    question: str
    log_total: float


_LOAD_DIFFERS = 1.5
"""Requests per pod, one version against the other, beyond which a latency may differ for that alone."""
_MUCH = 1.5
"""By how many times the estimated time must differ from what is left before Underpowered is said, or taken back."""
_SURE_ENOUGH = 50
"""Requests of each version in a window that say something about its pods' load."""


def verdict(trial: Trial, failed: Failure | None) -> MetricStatus:
    """The status of a metric after its trial. `failed`: the test of this metric with which the rollout fails."""
    metric, before = trial.metric, trial.before
    base = MetricStatus(name=metric.name, limit=objective(metric))
    kept = base if before is None else before.model_copy(update={"limit": base.limit})
    if not speaks(metric, trial.context.kind):
        if before is not None and before.definition != trial.definition:
            # Evidence for another question must not be kept under this one's name.
            kept = base.model_copy(update={"design_effect": before.design_effect})
        rests = {"verdict": Verdict.RESTING, "reason": None, "message": resting_because(metric, trial.context.kind)}
        return kept.model_copy(update=rests | {"definition": trial.definition})
    if trial.latched or (
        before is not None and trial.newest is None and trial.awaited is None and _same(trial, before)
    ):
        return kept
    said, reason, message = _words(trial, failed)
    found = trial.counted() | {"verdict": said, "reason": reason, "message": message[:MESSAGE_LIMIT]}
    return kept.model_copy(update=found | _shown(trial))


def _same(trial: Trial, before: MetricStatus) -> bool:
    return before.definition == trial.definition and before.through is not None


def _shown(trial: Trial) -> dict[str, object]:
    """The figures for people."""
    ours, theirs = rate(trial.candidate), rate(trial.stable) if trial.comparing else None
    share = trial.share
    found: dict[str, object] = {
        "candidate": None if ours is None else percent(ours),
        "stable": None if theirs is None else percent(theirs),
        "ratio": ratio(ours, theirs),
        "interval": _interval(trial) if trial.comparing else None,
        "evidence": None if share is None else of_what_is_needed(share),
        "certified": trial.certified or None,
        "certificate": None,
        "decision_at": None,
    }
    if trial.tests.certificates:
        needed = trial.terms.certificate_needed
        found["certificate"] = of_what_is_needed(math.exp(min(0.0, trial.tests.log_certificate - needed)))
        if trial.comparing and not trial.certified and (left := trial.seconds_to_certificate()) is not None:
            found["decision_at"] = Timestamp(trial.through + left)
    return found


def _interval(trial: Trial) -> str | None:
    between = ratio_interval([(trial.candidate, trial.stable)], trial.terms.alpha)
    if not between.low and between.high is None:
        return None
    return f"{_bound(between.low)}–{_bound(between.high)}"


def _bound(value: float | None) -> str:
    if value is None:
        return "∞"
    return f"{value:.3g}" if value >= 1 else f"{value:.2f}"


def _words(trial: Trial, failed: Failure | None) -> tuple[Verdict, Reason | None, str]:
    figures = _figures(trial)
    if failed is not None:
        reason = beyond(trial.metric) if failed.question == "limit" else worse(trial.metric)
        return Verdict.FAIL, reason, f"{figures}{_demand(trial.metric, failed)} ({_certainty(trial, failed.log_total)})"
    if trial.stable_breaches_too:
        text = f"{figures}: both versions are above the limit of {trial.metric.limit}"
        return Verdict.FAIL, Reason.STABLE_BREACHES_TOO, text
    verdict, text = _unanswered(trial) or _lacking(trial, figures) or (Verdict.PASS, figures)
    return verdict, None, text


def _unanswered(trial: Trial) -> tuple[Verdict, str] | None:
    if trial.awaited is not None:
        return Verdict.ERROR, trial.awaited.message
    if trial.newest is not None and trial.newest.answer is Answer.NO_DATA:
        return Verdict.NO_DATA, trial.newest.message
    return None


def _lacking(trial: Trial, figures: str) -> tuple[Verdict, str] | None:
    """What a Pass lacks."""
    if trial.newest is None and not trial.candidate.requests:
        return Verdict.CONTINUE, f"{trial.metric.name}: waits for its first window"
    if trial.candidate.requests < trial.metric.sample:
        so_far = f"{trial.candidate.requests:,} of {amount(trial.metric.sample, 'request')} so far in this step"
        return Verdict.CONTINUE, f"{figures}: {so_far}"
    return _uncertified(trial, figures) if trial.context.certify and not trial.certified else None


def _uncertified(trial: Trial, figures: str) -> tuple[Verdict, str]:
    bad = f"{trial.asked.margin:g} times as bad" if trial.asked.margin is not None else f"at {trial.metric.limit}"
    seconds = trial.seconds_to_certificate()
    if seconds is not None and seconds <= trial.context.left * _doubt(trial):
        when = Timestamp(trial.through + seconds).clock[:5]
        return Verdict.CONTINUE, f"{figures}: that it is not {bad} is expected to be certain about {when}Z"
    unknown = trial.tests.bounds not in ((), ONLY)
    if unknown or trial.answered_at is None or trial.answered_at - trial.context.since < trial.terms.interval * 4:
        return Verdict.CONTINUE, f"{figures}: not yet certain that it is not {bad}"
    why = "is not to be had in this step at this traffic"
    return Verdict.UNDERPOWERED, f"{figures}: certainty that it is not {bad} {why}"


def _doubt(trial: Trial) -> float:
    """An estimate that is about as long as what is left must not have the verdict change, and be written, at each window."""
    before = trial.before
    return 1.0 / _MUCH if before is not None and before.verdict is Verdict.UNDERPOWERED else _MUCH


def _figures(trial: Trial) -> str:
    ours, theirs = rate(trial.candidate), rate(trial.stable) if trial.comparing else None
    subject = f"{trial.metric.name} (slower than {trial.bound})" if trial.bound else trial.metric.name
    if ours is None:
        return f"{subject} without a request"
    against = f" against {percent(theirs)}" if theirs is not None else ""
    return f"{subject} {percent(ours)}{against} on {amount(trial.candidate.requests, 'request')}{_load(trial)}"


def _load(trial: Trial) -> str:
    """A hint where the candidate's pods carry much less or more than stable's: that alone makes them faster or slower."""
    window = trial.newest
    if trial.metric.latency is None or window is None or not (window.candidate_pods and window.stable_pods):
        return ""
    totals = window.candidate.requests, window.stable.requests
    if min(totals) < _SURE_ENOUGH:
        return ""
    load = (totals[0] / len(window.candidate_pods)) / (totals[1] / len(window.stable_pods))
    return (
        f" (load differs: {load:.1f} times stable's requests a pod)"
        if not 1 / _LOAD_DIFFERS <= load <= _LOAD_DIFFERS
        else ""
    )


def _demand(metric: Metric, failed: Failure) -> str:
    return f", above the limit of {metric.limit}" if failed.question == "limit" else ""


def _certainty(trial: Trial, log_total: float) -> str:
    """How unlikely so much evidence is for a candidate that is as good as stable."""
    about = "about " if trial.effect > 1 else ""
    return f"certain to {about}1 in {_one_in(math.exp(min(log_total, 20.7)))}; 1 in {_one_in(1 / trial.terms.alpha)} was asked"


def _one_in(value: float) -> str:
    """Rounded down to one significant digit, as certainties are: ``30,000``."""
    digits = 10 ** math.floor(math.log10(value * (1 + 1e-9)))
    return f"{math.floor(value * (1 + 1e-9) / digits) * digits:,.0f}"
