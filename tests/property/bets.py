"""The laws that the arithmetic of the judge obeys.

Expectations are exact: all outcomes of small windows are enumerated with their binomial probabilities, on the boundary of the
hypothesis and inside. A law takes the arithmetic as an argument, so that it can be shown to reject a wrong one.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modelrollout.analysis import state
from modelrollout.analysis.certificate import BETTER, Certificate, absolute_increments, ratio_increments
from modelrollout.analysis.combination import Combined, Weighted, combine
from modelrollout.analysis.dispersion import Effect, design_effect
from modelrollout.analysis.evidence import RATES, SLOWNESS, Evidence, Question
from modelrollout.analysis.interval import Interval, ratio_interval
from modelrollout.analysis.logspace import log_add, log_sum
from modelrollout.analysis.window import ZERO, Counts

ROUNDING = 1e-9
SIZES = ((1, 1), (1, 5), (5, 1), (4, 4), (2, 7), (6, 3))
"""Requests of the candidate and of stable in a window."""
SHARES = (0.0, 0.001, 0.05, 0.3, 0.5, 0.9, 1.0)


class Violation(AssertionError):  # noqa: N818  as a sentence: a violation of a law
    """The law that was broken, and where."""

    def __init__(self, law: str, where: str) -> None:
        super().__init__(f"{law}: {where}")
        self.law = law


@dataclass(frozen=True)
class Maths:
    """All of the judge's arithmetic, each part replaceable."""

    increments: Callable[[Question, Counts, Counts], Sequence[float]] = Question.increments
    after: Callable[..., Evidence] = Evidence.after
    log_value: Callable[[Evidence], float] = lambda evidence: evidence.log_value
    certify_ratio: Callable[[Counts, Counts, float], Sequence[float]] = ratio_increments
    certify_absolute: Callable[[Counts, float], Sequence[float]] = absolute_increments
    certified: Callable[..., Certificate] = Certificate.after
    log_certificate: Callable[[Certificate], float] = lambda certificate: certificate.log_value
    combine: Callable[[Sequence[Weighted], float], Combined] = combine
    interval: Callable[[Sequence[tuple[Counts, Counts]], float], Interval] = ratio_interval
    recorded: Callable[..., tuple[Any, ...]] = lambda *parts: state.decode(state.encode(*parts))
    effect: Callable[[Sequence[Mapping[str, Counts]], float], Effect] = design_effect
    run: Callable[[Maths, Question, Iterable[tuple[Counts, Counts]]], float] | None = None
    """The evidence of a whole history; None: window by window with `increments` and `after`."""

    def evidence(self, question: Question, history: Iterable[tuple[Counts, Counts]], planned: int = 2) -> float:
        if self.run is not None:
            return self.run(self, question, history)
        held = Evidence.begin(len(question.alternatives))
        for candidate, stable in history:
            held = self.after(held, self.increments(question, candidate, stable), planned=planned)
        return self.log_value(held)


Law = Callable[[Maths], None]


def chance(bad: int, requests: int, rate: float) -> float:
    """The binomial probability of so many bad ones."""
    return math.comb(requests, bad) * rate**bad * (1.0 - rate) ** (requests - bad)


def outcomes(size: tuple[int, int], rates: tuple[float, float]) -> Iterable[tuple[float, Counts, Counts]]:
    """All outcomes of a window with their probabilities."""
    for one, other in itertools.product(range(size[0] + 1), range(size[1] + 1)):
        weight = chance(one, size[0], rates[0]) * chance(other, size[1], rates[1])
        if weight:
            yield weight, Counts(size[0], one), Counts(size[1], other)


def _fair(law: str, score: Callable[[Counts, Counts], Sequence[float]], worlds: Iterable[Any], where: str) -> None:
    """Each alternative's e-value has expectation at most 1 in all worlds (candidate's and stable's rate)."""
    for size in SIZES:
        table = {
            (one, other): [math.exp(log) for log in score(Counts(size[0], one), Counts(size[1], other))]
            for one, other in itertools.product(range(size[0] + 1), range(size[1] + 1))
        }
        for rates in worlds:
            means = [
                sum(parts)
                for parts in zip(
                    *(
                        [weight * value for value in table[one.bad, other.bad]]
                        for weight, one, other in outcomes(size, rates)
                    ),
                    strict=True,
                )
            ]
            if max(means) > 1.0 + ROUNDING:
                raise Violation(law, f"expectation {max(means)} with {where}, requests {size}, rates {rates}")


def _innocent(margin: float | None, floor: float | None) -> list[tuple[float, float]]:
    """Rates at the boundary of innocence and inside it."""
    found = []
    for stable in SHARES:
        allowed = max(0.0 if margin is None else min(1.0, margin * stable), floor or 0.0)
        found += [(allowed * part, stable) for part in (0.0, 0.5, 0.9, 1.0)]
    return found


def _bad(margin: float | None, floor: float | None) -> list[tuple[float, float]]:
    """Rates at the boundary of badness and inside it."""
    found = []
    for stable in SHARES:
        least = max(0.0 if margin is None else margin * stable, floor or 0.0)
        found += [(min(1.0, least + more), stable) for more in (0.0, 0.1, 0.5, 1.0) if least <= 1.0]
    return found


def _questions(margins: Sequence[float | None], floors: Sequence[float | None]) -> Iterable[tuple[Question, str]]:
    for alternatives, margin, floor in itertools.product((RATES, SLOWNESS), margins, floors):
        yield Question(alternatives, margin, floor), f"margin {margin}, floor {floor}"


def _fair_evidence(law: str, maths: Maths, margins: Sequence[float | None], floors: Sequence[float | None]) -> None:
    for question, where in _questions(margins, floors):
        score = lambda one, other, asked=question: maths.increments(asked, one, other)  # noqa: E731
        _fair(law, score, _innocent(question.margin, question.floor), where)


def ratio_is_a_fair_bet(maths: Maths) -> None:
    _fair_evidence("ratio_is_a_fair_bet", maths, (0.8, 1.0, 1.2, 3.0), (None, 0.0))


def limit_is_a_fair_bet(maths: Maths) -> None:
    _fair_evidence("limit_is_a_fair_bet", maths, (None,), (0.001, 0.02, 0.4, 0.9, 1.0))


def ratio_with_floor_is_a_fair_bet(maths: Maths) -> None:
    _fair_evidence("ratio_with_floor_is_a_fair_bet", maths, (1.0, 1.2), (0.001, 0.1, 0.5))


def certificate_by_ratio_is_a_fair_bet(maths: Maths) -> None:
    for margin in (1.0, 1.5, 2.0, 10.0):
        score = lambda one, other, r1=margin: maths.certify_ratio(one, other, r1)  # noqa: E731
        _fair("certificate_by_ratio_is_a_fair_bet", score, _bad(margin, None), f"margin {margin}")


def absolute_certificate_is_a_fair_bet(maths: Maths) -> None:
    for floor in (0.001, 0.05, 0.5, 1.0):
        score = lambda one, _, x=floor: maths.certify_absolute(one, x)  # noqa: E731
        _fair("absolute_certificate_is_a_fair_bet", score, _bad(None, floor), f"floor {floor}")


def certificate_is_a_supermartingale(maths: Maths) -> None:
    for margin, floor in ((2.0, 0.3), (2.0, None), (None, 0.3), (2.0, 0.0)):
        for rates in _bad(margin, floor):
            mean = 0.0
            for first, one, other in outcomes((3, 3), rates):
                held = maths.certified(Certificate.begin(), one, other, margin=margin, floor=floor)
                for second, late, _ in outcomes((3, 0), rates):
                    then = maths.certified(held, late, ZERO, margin=margin, floor=floor)
                    mean += first * second * math.exp(maths.log_certificate(then))
            if mean > 1.0 + ROUNDING:
                raise Violation(
                    "certificate_is_a_supermartingale", f"{mean} with margin {margin}, floor {floor}, {rates}"
                )


def certificate_takes_all_its_capital_to_work(maths: Maths) -> None:
    law = "certificate_takes_all_its_capital_to_work"
    one, other = Counts(1000, 0), Counts(1000, 30)
    ratio = log_sum(maths.certify_ratio(one, other, 2.0)) - math.log(len(BETTER))
    absolute = log_sum(maths.certify_absolute(one, 0.01)) - math.log(len(BETTER))
    expected = {
        (2.0, None, other): ratio,
        (2.0, 0.0, other): ratio,
        (None, 0.01, other): absolute,
        (2.0, 0.01, other): log_add(ratio, absolute) - math.log(2.0),
        (2.0, 0.01, ZERO): log_add(0.0, absolute) - math.log(2.0),
    }
    for (margin, floor, stable), value in expected.items():
        held = maths.certified(Certificate.begin(), one, stable, margin=margin, floor=floor)
        if not math.isclose(maths.log_certificate(held), value, abs_tol=ROUNDING):
            raise Violation(law, f"{maths.log_certificate(held)} for {value} with margin {margin}, floor {floor}")


def evidence_is_a_supermartingale(maths: Maths) -> None:
    """Over three windows of which one lies beyond the plan, on the boundary."""
    for margin, floor in ((1.0, None), (1.2, 0.3), (None, 0.3)):
        question = Question(RATES, margin, floor)
        for rates in ((floor or 0.4, 0.1 if floor else 0.4 / (margin or 1.0)), (0.3, 0.3)):
            windows = [(weight, (one, other)) for weight, one, other in outcomes((2, 2), rates)]
            mean = sum(
                math.prod(weight for weight, _ in history)
                * math.exp(maths.evidence(question, (counts for _, counts in history)))
                for history in itertools.product(windows, repeat=3)
            )
            if mean > 1.0 + ROUNDING:
                raise Violation("evidence_is_a_supermartingale", f"{mean} with {question}, rates {rates}")


def capital_is_conserved(maths: Maths) -> None:
    for count, planned in ((1, 1), (7, 3), (8, 240)):
        held = Evidence.begin(count)
        for number in range(4 * planned):
            held = maths.after(held, (0.0,) * count, planned=planned)
            if abs(maths.log_value(held)) > ROUNDING or not 0.0 <= held.uninvested < 1.0:
                raise Violation("capital_is_conserved", f"{maths.log_value(held)} after {number + 1} of {planned}")
            if number + 1 == planned and abs(held.uninvested - 0.1) > ROUNDING:
                raise Violation("capital_is_conserved", f"{held.uninvested} is kept back after {planned} windows")


def capital_lasts_for_a_late_beginning(maths: Maths) -> None:
    """After a day beyond the plan a window at 60 times the rate of before is still seen."""
    held = Evidence.begin(len(RATES))
    question = Question(RATES, 1.0, 0.001)
    quiet = maths.increments(question, Counts(375, 2), Counts(375, 2))
    for _ in range(6000):
        held = maths.after(held, quiet, planned=240)
    held = maths.after(held, maths.increments(question, Counts(375, 75), Counts(375, 2)), planned=240)
    if maths.log_value(held) < math.log(100.0):
        raise Violation("capital_lasts_for_a_late_beginning", f"only {maths.log_value(held)}")


def reasons_for_innocence_may_change(maths: Maths) -> None:
    """Below the floor first, as bad as stable in an incident later: innocent in each window, for another reason."""
    question, floor = Question((5.0,), 1.0, 0.1), 0.1
    first = [(chance(bad, 40, floor), (Counts(40, bad), Counts(4000, 0))) for bad in range(41)]
    later = [(weight, (one, other)) for weight, one, other in outcomes((10, 10), (0.6, 0.6))]
    mean = sum(
        before * then * math.exp(maths.evidence(question, (quiet, incident)))
        for (before, quiet), (then, incident) in itertools.product(first, later)
    )
    if mean > 1.0 + ROUNDING:
        raise Violation("reasons_for_innocence_may_change", f"expectation {mean}")


def correlated_errors_are_discounted(maths: Maths) -> None:
    """Errors in threes: each bad event stands for three, and the effect of three makes the bet fair again."""
    question, certificate = Question(RATES, 1.0, None), Certificate.begin()
    for rate in (0.05, 0.3):
        evidence = approval = 0.0
        for weight, one, other in outcomes((4, 4), (rate, rate)):
            candidate, stable = Counts(12, 3 * one.bad), Counts(12, 3 * other.bad)
            gains = maths.increments(question, candidate, stable)
            held = maths.after(Evidence.begin(len(gains)), gains, planned=5, effect=3.0)
            evidence += weight * math.exp(maths.log_value(held))
            then = maths.certified(certificate, candidate, stable, margin=1.0, floor=None, effect=3.0)
            approval += weight * math.exp(maths.log_certificate(then))
        if max(evidence, approval) > 1.0 + ROUNDING:
            raise Violation("correlated_errors_are_discounted", f"{evidence}, {approval} at {rate}")


def evidence_follows_the_errors(maths: Maths) -> None:
    for question, where in _asked():
        for candidate, stable in itertools.product(range(12), repeat=2):
            now = maths.increments(question, Counts(12, candidate), Counts(24, stable))
            worse = maths.increments(question, Counts(12, candidate + 1), Counts(24, stable)) if candidate < 12 else now
            better = maths.increments(question, Counts(12, candidate), Counts(24, stable + 1))
            if any(after < before - ROUNDING for before, after in zip(now, worse, strict=True)):
                raise Violation("evidence_follows_the_errors", f"an error made it smaller: {where}")
            if any(after > before + ROUNDING for before, after in zip(now, better, strict=True)):
                raise Violation("evidence_follows_the_errors", f"an error of stable made it larger: {where}")


def _asked() -> Iterable[tuple[Question, str]]:
    yield from _questions((1.0, 1.2), (None, 0.001, 0.3))
    yield from _questions((None,), (0.001, 0.3))


def certificates_fall_with_errors(maths: Maths) -> None:
    for bad, other in itertools.product(range(12), range(24)):
        certificates = [
            maths.log_certificate(
                maths.certified(Certificate.begin(), Counts(12, one), Counts(24, two), margin=2.0, floor=0.01)
            )
            for one, two in ((bad, other), (bad + 1, other), (bad, other + 1))
        ]
        if certificates[1] > certificates[0] + ROUNDING or certificates[2] < certificates[0] - ROUNDING:
            raise Violation("certificates_fall_with_errors", f"{certificates} at {bad} and {other}")


def large_counts_overflow_nothing(maths: Maths) -> None:
    giant = 10**9
    for bad, other in itertools.product((0, 1, giant // 2, giant), repeat=2):
        candidate, stable = Counts(giant, bad), Counts(giant, other)
        certificate = Certificate.begin()
        for question, where in _asked():
            held = Evidence.begin(len(question.alternatives))
            for _ in range(3):
                held = maths.after(held, maths.increments(question, candidate, stable), planned=1)
                held = maths.after(held, maths.increments(question, Counts(giant, 0), stable), planned=1)
            if not math.isfinite(maths.log_value(held)):
                raise Violation("large_counts_overflow_nothing", f"{maths.log_value(held)} with {where}")
        for _ in range(3):
            certificate = maths.certified(certificate, candidate, stable, margin=2.0, floor=0.001)
        if not math.isfinite(maths.log_certificate(certificate)):
            raise Violation("large_counts_overflow_nothing", "the certificate")
        maths.recorded(held, certificate)


def records_are_exact(maths: Maths) -> None:
    question = Question(RATES, 1.0, 0.001)
    held, certificate = Evidence.begin(len(RATES)), Certificate.begin()
    for number in range(5):
        if maths.recorded(held, certificate, held) != (held, certificate, held):
            raise Violation("records_are_exact", f"after {number} windows")
        candidate, stable = Counts(77, number), Counts(703, 3)
        held = maths.after(held, maths.increments(question, candidate, stable), planned=3, effect=1.7)
        certificate = maths.certified(certificate, candidate, stable, margin=2.0, floor=0.001, effect=1.7)


def tests_share_one_bound(maths: Maths) -> None:
    """Tests that always say the same, the worst dependence there is, may not add up to more than one test."""
    alpha = 0.25
    for weights in ((1.0,), (0.5, 0.5), (0.1, 0.2, 0.7)):
        for value in (0.0, 1.0, math.log(1.0 / alpha) - 1e-6, math.log(1.0 / alpha) + 1e-6, 1000.0):
            said = maths.combine([Weighted(value, weight) for weight in weights], alpha)
            if said.reached != (value > math.log(1.0 / alpha)) or any(said.failing) != said.reached:
                raise Violation("tests_share_one_bound", f"{said} with {weights} and {value}")
            few = maths.combine([Weighted(value, weight, counts=False) for weight in weights], alpha)
            if few.reached or any(few.failing):
                raise Violation("tests_share_one_bound", f"{few} without the minimum of errors")


def intervals_hold_the_truth(maths: Maths) -> None:
    alpha, size = 0.2, 25
    grid = list(itertools.product(range(size + 1), repeat=2))
    found = {bad: maths.interval([(Counts(size, bad[0]), Counts(size, bad[1]))], alpha) for bad in grid}
    for candidate, stable in ((0.2, 0.2), (0.8, 0.2), (0.1, 0.5), (0.9, 0.9)):
        truth = candidate / stable
        outside = sum(
            chance(bad[0], size, candidate) * chance(bad[1], size, stable)
            for bad, one in found.items()
            if not one.low <= truth or (one.high is not None and truth > one.high)
        )
        if outside > alpha:
            raise Violation("intervals_hold_the_truth", f"{outside} outside at {candidate} against {stable}")


LAWS: tuple[Law, ...] = (
    ratio_is_a_fair_bet,
    limit_is_a_fair_bet,
    ratio_with_floor_is_a_fair_bet,
    certificate_by_ratio_is_a_fair_bet,
    absolute_certificate_is_a_fair_bet,
    certificate_is_a_supermartingale,
    certificate_takes_all_its_capital_to_work,
    evidence_is_a_supermartingale,
    capital_is_conserved,
    capital_lasts_for_a_late_beginning,
    reasons_for_innocence_may_change,
    correlated_errors_are_discounted,
    evidence_follows_the_errors,
    certificates_fall_with_errors,
    large_counts_overflow_nothing,
    records_are_exact,
    tests_share_one_bound,
    intervals_hold_the_truth,
)
