"""Whatever analysis the API accepts, and whatever is counted: the judge says something sensible, and the same in any portions."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from modelrollout.analysis.panel import judge_all, required_lookback
from modelrollout.analysis.step import StepContext, speaks
from modelrollout.analysis.terms import Terms
from modelrollout.analysis.window import ZERO, Answer, Counts, Window
from modelrollout.api.analysis import Method, Metric, OnBreach, StepKind
from modelrollout.api.status import MESSAGE_LIMIT, MetricStatus, Verdict
from modelrollout.rollout.book import unseen
from tests import strategies

SINCE = 1_700_000_003.0
FIRST = 1_700_000_010.0
LEVELS = {Verdict.CONTINUE, Verdict.UNDERPOWERED}
"""Between these two an estimate decides, which may remember what was said before."""

requests = st.sampled_from([0, 1, 3, 40, 1000, 10**6, 10**9])
shares = st.sampled_from([0.0, 0.0, 0.001, 0.01, 0.3, 1.0])
counts = st.builds(lambda total, share: Counts(total, math.ceil(total * share)), requests, shares)
numbers = st.one_of(st.none(), st.sampled_from([0.0, 0.5, 1.0, 1e12, -3.0, math.inf, math.nan]))
slow = st.fixed_dictionaries(
    {"latency": st.just({}), "compare": st.just({}), "name": st.just("slow")},
    optional={"onBreach": st.sampled_from(["Rollback", "Pause", "Warn"]), "gate": st.booleans()},
)
kinds = st.lists(st.sampled_from(["Shadow", "Preview", "Live", "Bake"]), min_size=1, max_size=4, unique=True)
panels = st.builds(
    # All windows come in on time here, so no metric has a delay.
    lambda found, more, when: [
        {name: value for name, value in one.items() if name != "delay"}
        | ({"when": when} if when and "disagreement" not in one else {})
        for one in (*found, *more)
    ],
    strategies.metrics().map(lambda found: [one for one in found if one["name"] != "slow"]),
    st.lists(slow, max_size=1),
    st.one_of(st.none(), kinds),
).map(lambda found: tuple(Metric.model_validate(one) for one in found))
contexts = st.builds(
    lambda kind, certify, left: StepContext(kind, SINCE, FIRST + 1000, 15.0, certify=certify, left=left),
    st.sampled_from(StepKind),
    st.booleans(),
    st.sampled_from([0.0, 3600.0]),
)
probabilities = st.sampled_from([1e-6, 0.01, 0.05, 0.5])


def window(metric, index, candidate, stable, number):
    """A window with an answer, as the metrics layer makes it for this metric."""
    start = FIRST + 15.0 * index
    if metric.query is not None:
        return Window(start, start + 15, Answer.VALUES, candidate_value=number, stable_value=number)
    if metric.latency is not None and metric.latency.threshold is None:
        fewer = Counts(candidate.requests, candidate.bad // 3), Counts(stable.requests, stable.bad // 3)
        bounds = (("0.1s", candidate, stable), ("0.5s", *fewer))[: 2 - index % 2]
        totals = Counts(candidate.requests, 0), Counts(stable.requests, 0)
        return Window(start, start + 15, Answer.COUNTS, *totals, bounds=bounds)
    return Window(start, start + 15, Answer.COUNTS, candidate, stable)


@st.composite
def pasts(draw, metrics):
    """Twenty windows at most of each metric, all on one grid."""
    length = draw(st.integers(1, 20))
    found = {}
    for metric in metrics:
        told = [
            window(metric, index, draw(counts), draw(counts), draw(numbers))
            if draw(st.integers(0, 5))
            else Window(FIRST + 15.0 * index, FIRST + 15.0 * index + 15, Answer.NO_DATA, message="nothing")
            for index in range(length)
        ]
        found[metric.name] = tuple(told)
    return found


def through_status(said):
    """What comes back from the API server."""
    return {one.name: MetricStatus.model_validate_json(one.model_dump_json(by_alias=True)) for one in said}


def comparable(said):
    """All that must not depend on portions."""
    return [
        one.model_copy(update={"message": None, "verdict": Verdict.CONTINUE}) if one.verdict in LEVELS else one
        for one in said
    ]


def to_the_end(known, windows, context, terms):
    """Judge until nothing is left to be said."""
    said = judge_all(known, windows, context, terms)
    while (new := judge_all(through_status(said), windows, context, terms)) != tuple(through_status(said).values()):
        said = new
    return said


def sane(said, metric, windows, kind):
    """What a verdict may look like."""
    assert len(said.message or "") <= MESSAGE_LIMIT
    assert len(said.state or "") <= 4096
    assert (said.verdict is Verdict.RESTING) is not speaks(metric, kind)
    assert (said.reason is not None) is (said.verdict is Verdict.FAIL)
    counted = [one for one in windows if one.answered]
    assert said.requests <= sum(one.candidate.requests for one in counted)
    assert 0 <= said.errors <= said.requests
    assert said.total_errors <= said.total_requests
    for share in (said.evidence, said.certificate):
        assert share is None or 0 <= int(share.removesuffix(" %")) <= 100
    if said.verdict is Verdict.FAIL and metric.judged_by is Method.SEQUENTIAL and metric.breach is OnBreach.ROLLBACK:
        assert said.reason == "StableBreachesToo" or said.total_errors >= metric.least_errors or not said.total_errors
    if said.verdict is Verdict.PASS and metric.query is None:
        assert said.requests >= metric.sample


@settings(max_examples=200, deadline=None)
@given(st.data(), panels, probabilities, probabilities, contexts)
def test_any_analysis_comes_to_the_same_sensible_verdicts_in_any_portions(data, metrics, alpha, beta, context):
    terms = Terms(alpha, beta, data.draw(st.integers(1, 500)), 15.0, metrics)
    windows = data.draw(pasts(metrics))
    whole = to_the_end({}, windows, context, terms)
    length = max((len(found) for found in windows.values()), default=0)
    known = {}
    for end in [*sorted(data.draw(st.lists(st.integers(0, length), max_size=6))), length]:
        kept = {}
        for metric in metrics:
            before = known.get(metric.name)
            begin = SINCE if before is None or before.through is None else float(before.through)
            begin -= required_lookback(metric)
            kept[metric.name] = tuple(one for one in windows[metric.name][:end] if one.start >= begin)
        known = through_status(to_the_end(known, kept, context, terms))
    for portions, at_once in zip(comparable(known.values()), comparable(through_status(whole).values()), strict=True):
        assert {name: value for name, value in portions if getattr(at_once, name) != value} == {}
    for said, metric in zip(whole, metrics, strict=True):
        sane(said, metric, windows[metric.name], context.kind)


rates = st.lists(st.one_of(st.none(), st.tuples(counts, counts)), min_size=20, max_size=20)


@settings(max_examples=100, deadline=None)
@given(rates, st.lists(st.sampled_from(StepKind), min_size=4, max_size=4))
def test_over_steps_of_any_kinds_each_window_that_a_metric_speaks_in_counts_once(outcomes, kinds):
    metric = Metric.model_validate(
        {
            "name": "errors",
            "errorRate": {},
            "compare": {},
            "limit": "99%",
            "onBreach": "Warn",
            "when": ["Preview", "Live"],
        }
    )
    terms = Terms(0.01, 0.05, 240, 15.0, (metric,))
    windows = [
        Window(FIRST + 15.0 * index, FIRST + 15.0 * index + 15, Answer.COUNTS, *outcome)
        for index, outcome in enumerate(outcomes)
        if outcome is not None
    ]
    known, expected = {}, 0
    for number, kind in enumerate(kinds):
        since = FIRST + 75.0 * number
        seen = tuple(one for one in windows if one.end <= since + 75)
        known = through_status(judge_all(known, {"errors": seen}, StepContext(kind, since, since + 75, 15.0), terms))
        if speaks(metric, kind):
            expected += sum(one.candidate.requests for one in seen if one.start >= since)
        known = {one.name: one for one in unseen(tuple(known.values()))}
    assert known["errors"].total_requests == expected


def test_a_window_without_any_request_says_nothing():
    metric = Metric.model_validate({"name": "errors", "errorRate": {}, "compare": {}, "limit": "1%"})
    silent = Window(FIRST, FIRST + 15, Answer.COUNTS, ZERO, ZERO)
    context = StepContext(StepKind.LIVE, SINCE, FIRST + 100, 15.0, certify=True)
    (said,) = judge_all({}, {"errors": (silent,)}, context, Terms(0.01, 0.05, 240, 15.0, (metric,)))
    assert (said.verdict, said.evidence) == (Verdict.CONTINUE, "0 %")
