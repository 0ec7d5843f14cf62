"""Planted faults in the arithmetic of the judge: each is wrong in one way, and named with the law that has to reject it."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable
from dataclasses import replace

from modelrollout.analysis.certificate import BETTER, Certificate
from modelrollout.analysis.combination import Combined, Weighted, combine
from modelrollout.analysis.evidence import Evidence, Question, stake
from modelrollout.analysis.interval import Interval, ratio_interval
from modelrollout.analysis.logspace import log_add, log_of, log_sum
from modelrollout.analysis.window import Counts

from .bets import Maths


def _ratio(question: Question, candidate: Counts, share: float, total: int) -> list[float]:
    return [candidate.bad * math.log(rho) - total * math.log1p(share * (rho - 1.0)) for rho in question.alternatives]


def _share(candidate: Counts, stable: Counts, margin: float) -> float:
    return margin * candidate.requests / (margin * candidate.requests + stable.requests)


def _with_floor(question: Question, candidate: Counts, stable: Counts, ratio: list[float]) -> list[float]:
    if not question.floor:
        return ratio
    floor = Question(question.alternatives, None, question.floor).increments(candidate, stable)
    return [min(pair) for pair in zip(ratio, floor, strict=True)]


def _margin_forgotten(question: Question, candidate: Counts, stable: Counts) -> list[float]:
    share = _share(candidate, stable, 1.0)
    return _with_floor(question, candidate, stable, _ratio(question, candidate, share, candidate.bad + stable.bad))


def _odds_for_a_share(question: Question, candidate: Counts, stable: Counts) -> list[float]:
    """Pi is taken of stable's share instead of the candidate's."""
    share = 1.0 - _share(candidate, stable, question.margin or 1.0)
    return _with_floor(question, candidate, stable, _ratio(question, candidate, share, candidate.bad + stable.bad))


def _stable_forgotten(question: Question, candidate: Counts, stable: Counts) -> list[float]:
    share = _share(candidate, stable, question.margin or 1.0)
    return _with_floor(question, candidate, stable, _ratio(question, candidate, share, candidate.bad))


def _larger_of_both(question: Question, candidate: Counts, stable: Counts) -> list[float]:
    if question.margin is None or not question.floor:
        return list(question.increments(candidate, stable))
    one = Question(question.alternatives, question.margin, None).increments(candidate, stable)
    other = Question(question.alternatives, None, question.floor).increments(candidate, stable)
    return [max(pair) for pair in zip(one, other, strict=True)]


def _without_floor(question: Question, candidate: Counts, stable: Counts) -> list[float]:
    if question.margin is None:
        return list(question.increments(candidate, stable))
    return list(Question(question.alternatives, question.margin, None).increments(candidate, stable))


def _good_requests_say_nothing(question: Question, candidate: Counts, stable: Counts) -> list[float]:
    if question.margin is not None:
        return list(question.increments(candidate, stable))
    floor = question.floor or 0.0
    return [candidate.bad * math.log(min(rho * floor, 0.5 + floor / 2) / floor) for rho in question.alternatives]


def _stable_is_good_news(question: Question, candidate: Counts, stable: Counts) -> list[float]:
    total = candidate.bad - stable.bad
    share = _share(candidate, stable, question.margin or 1.0)
    return _ratio(question, candidate, share, total)


def _other_floor(question: Question, candidate: Counts, stable: Counts) -> list[float]:
    if not question.floor:
        return list(question.increments(candidate, stable))
    return list(Question(question.alternatives, question.margin, question.floor / 2).increments(candidate, stable))


def _sum_of_the_minima(maths: Maths, question: Question, history: Iterable[tuple[Counts, Counts]]) -> float:
    """Two evidences, each over all of history, and the smaller one at the end."""
    if question.margin is None or not question.floor:
        return replace(maths, run=None).evidence(question, history)
    windows = list(history)
    parts = (
        Question(question.alternatives, question.margin, None),
        Question(question.alternatives, None, question.floor),
    )
    return min(replace(maths, run=None).evidence(part, windows) for part in parts)


def _recursion(held: Evidence, gains: Iterable[float], fresh: float, left: float) -> Evidence:
    stakes = tuple(log_add(have, fresh) + gain for have, gain in zip(held.stakes, gains, strict=True))
    return Evidence(left, held.windows + 1, stakes)


def _capital_is_not_shared(held: Evidence, gains: Iterable[float], *, planned: int, effect: float = 1.0) -> Evidence:
    share = stake(held.uninvested, held.windows, planned)
    return _recursion(held, [gain / effect for gain in gains], log_of(share), held.uninvested - share)


def _capital_is_spent_twice(held: Evidence, gains: Iterable[float], *, planned: int, effect: float = 1.0) -> Evidence:
    share = stake(held.uninvested, held.windows, planned)
    fresh = log_of(share / len(held.stakes))
    return _recursion(held, [gain / effect for gain in gains], fresh, held.uninvested)


def _all_at_the_beginning(held: Evidence, gains: Iterable[float], *, planned: int, effect: float = 1.0) -> Evidence:
    share = held.uninvested
    return _recursion(held, [gain / effect for gain in gains], log_of(share / len(held.stakes)), 0.0)


def _effect_multiplies(held: Evidence, gains: Iterable[float], *, planned: int, effect: float = 1.0) -> Evidence:
    return held.after([gain * effect for gain in gains], planned=planned)


def _effect_is_ignored(held: Evidence, gains: Iterable[float], *, planned: int, effect: float = 1.0) -> Evidence:
    return held.after(tuple(gains), planned=planned)


def _fresh_capital_misses_its_window(
    held: Evidence, gains: Iterable[float], *, planned: int, effect: float = 1.0
) -> Evidence:
    """Capital is invested with hindsight: only where the window was a gain."""
    share = stake(held.uninvested, held.windows, planned)
    fresh = log_of(share / len(held.stakes))
    pairs = zip(held.stakes, gains, strict=True)
    stakes = tuple(log_add(have + gain / effect, fresh + max(0.0, gain / effect)) for have, gain in pairs)
    return Evidence(held.uninvested - share, held.windows + 1, stakes)


def _linear(evidence: Evidence) -> float:
    """The capital as a plain number."""
    try:
        return math.log(evidence.uninvested + sum(math.exp(one) for one in evidence.stakes))
    except OverflowError:
        return math.inf


def _turned(candidate: Counts, stable: Counts, margin: float) -> list[float]:
    """The certificate with the alternatives of the rollback test."""
    share = _share(candidate, stable, margin)
    total = candidate.bad + stable.bad
    return [candidate.bad * -math.log(rho) - total * math.log1p(share * (1.0 / rho - 1.0)) for rho in BETTER]


def _certified_at_one(candidate: Counts, stable: Counts, margin: float) -> list[float]:
    """The margin only makes the candidate's share larger, as if it were less bad."""
    share = _share(candidate, stable, margin * margin)
    total = candidate.bad + stable.bad
    return [candidate.bad * math.log(rho) - total * math.log1p(share * (rho - 1.0)) for rho in BETTER]


def _every_request_counts(candidate: Counts, floor: float) -> list[float]:
    floor = min(floor, 0.999)
    return [
        candidate.bad * math.log(rho) + candidate.requests * (math.log1p(-rho * floor) - math.log1p(-floor))
        for rho in BETTER
    ]


def _idle_half(
    held: Certificate, one: Counts, other: Counts, *, margin: float | None, floor: float | None, effect: float = 1.0
) -> Certificate:
    """Without a floor half of the capital does nothing."""
    then = held.after(one, other, margin=margin, floor=floor, effect=effect)
    return then if floor and margin else replace(then, absolute=held.absolute)


def _half_for_the_floor(
    held: Certificate, one: Counts, other: Counts, *, margin: float | None, floor: float | None, effect: float = 1.0
) -> Certificate:
    """A missing comparison is taken for an equal number of good requests."""
    other = other if other.requests else Counts(one.requests, one.requests)
    return held.after(one, other, margin=margin, floor=floor, effect=effect)


def _undiscounted(
    held: Certificate, one: Counts, other: Counts, *, margin: float | None, floor: float | None, effect: float = 1.0
) -> Certificate:
    return held.after(one, other, margin=margin, floor=floor)


def _sum_of_halves(certificate: Certificate) -> float:
    return log_sum((*certificate.ratio, *certificate.absolute)) - math.log(len(certificate.ratio))


def _best_of_all(certificate: Certificate) -> float:
    return max(*certificate.ratio, *certificate.absolute)


def _single_precision(*parts: Evidence | Certificate) -> tuple[Evidence | Certificate, ...]:
    def short(value: float) -> float:
        return struct.unpack("f", struct.pack("f", value))[0]

    return tuple(
        replace(part, uninvested=short(part.uninvested), stakes=tuple(map(short, part.stakes)))
        if isinstance(part, Evidence)
        else Certificate(tuple(map(short, part.ratio)), tuple(map(short, part.absolute)))
        for part in parts
    )


def _each_for_itself(tests: list[Weighted], alpha: float) -> Combined:
    return combine([replace(test, weight=1.0) for test in tests], alpha)


def _never_together(tests: list[Weighted], alpha: float) -> Combined:
    """Bonferroni: the sum is not looked at."""
    failing = tuple(test.log_share >= -math.log(alpha) for test in tests)
    return Combined(log_sum([test.log_share for test in tests]), any(failing), failing)


def _any_number_of_errors(tests: list[Weighted], alpha: float) -> Combined:
    return combine([replace(test, counts=True) for test in tests], alpha)


def _narrow(totals: list[tuple[Counts, Counts]], alpha: float) -> Interval:
    """A quarter as wide around the ratio that was seen."""
    found = ratio_interval(totals, alpha)
    (one, other), *_ = totals
    seen = (max(one.bad, 0.5) / max(other.bad, 0.5)) ** 0.75
    return Interval(found.low**0.25 * seen, None if found.high is None else found.high**0.25 * seen)


FAULTS: dict[str, tuple[str, Maths]] = {
    "the margin is forgotten": ("ratio_is_a_fair_bet", Maths(increments=_margin_forgotten)),
    "pi is stable's share": ("ratio_is_a_fair_bet", Maths(increments=_odds_for_a_share)),
    "stable's errors are forgotten": ("ratio_is_a_fair_bet", Maths(increments=_stable_forgotten)),
    "good requests say nothing about a limit": ("limit_is_a_fair_bet", Maths(increments=_good_requests_say_nothing)),
    "half the limit": ("limit_is_a_fair_bet", Maths(increments=_other_floor)),
    "the larger one of both": ("ratio_with_floor_is_a_fair_bet", Maths(increments=_larger_of_both)),
    "the floor is forgotten": ("ratio_with_floor_is_a_fair_bet", Maths(increments=_without_floor)),
    "the smaller one of two sums": ("reasons_for_innocence_may_change", Maths(run=_sum_of_the_minima)),
    "stable's errors speak against the candidate": (
        "evidence_follows_the_errors",
        Maths(increments=_stable_is_good_news),
    ),
    "each alternative has all of the capital": ("capital_is_conserved", Maths(after=_capital_is_not_shared)),
    "what is invested is not taken away": ("capital_is_conserved", Maths(after=_capital_is_spent_twice)),
    "no capital is left for later": ("capital_lasts_for_a_late_beginning", Maths(after=_all_at_the_beginning)),
    "capital knows its window": ("evidence_is_a_supermartingale", Maths(after=_fresh_capital_misses_its_window)),
    "evidence has no discount": ("correlated_errors_are_discounted", Maths(after=_effect_is_ignored)),
    "the discount multiplies": ("correlated_errors_are_discounted", Maths(after=_effect_multiplies)),
    "capital is a plain number": ("large_counts_overflow_nothing", Maths(log_value=_linear)),
    "the certificate looks for a worse candidate": (
        "certificate_by_ratio_is_a_fair_bet",
        Maths(certify_ratio=_turned),
    ),
    "the certificate's margin is squared": (
        "certificate_by_ratio_is_a_fair_bet",
        Maths(certify_ratio=_certified_at_one),
    ),
    "bad requests are good ones too": (
        "absolute_certificate_is_a_fair_bet",
        Maths(certify_absolute=_every_request_counts),
    ),
    "half of the capital is idle": ("certificate_takes_all_its_capital_to_work", Maths(certified=_idle_half)),
    "no comparison is a good one": ("certificate_is_a_supermartingale", Maths(certified=_half_for_the_floor)),
    "the certificate has no discount": ("correlated_errors_are_discounted", Maths(certified=_undiscounted)),
    "both halves of the capital are whole": ("certificate_is_a_supermartingale", Maths(log_certificate=_sum_of_halves)),
    "the best alternative is taken": ("certificate_is_a_supermartingale", Maths(log_certificate=_best_of_all)),
    "certificates rise with errors": (
        "certificates_fall_with_errors",
        Maths(log_certificate=lambda certificate: -certificate.log_value),
    ),
    "records are short of digits": ("records_are_exact", Maths(recorded=_single_precision)),
    "each test has the whole bound": ("tests_share_one_bound", Maths(combine=_each_for_itself)),
    "tests do not add up": ("tests_share_one_bound", Maths(combine=_never_together)),
    "one error is enough": ("tests_share_one_bound", Maths(combine=_any_number_of_errors)),
    "the interval is too narrow": ("intervals_hold_the_truth", Maths(interval=_narrow)),
}
"""What is wrong, the law that must say so, and the arithmetic that is wrong in this way."""
