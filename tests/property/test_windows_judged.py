"""Verdicts do not depend on how windows arrive, and counts are those of the windows, each once."""

from hypothesis import given, settings
from hypothesis import strategies as st

from modelrollout.analysis.coverage import covered
from modelrollout.analysis.step import StepContext
from modelrollout.analysis.threshold import judge, required_lookback
from modelrollout.analysis.window import Answer, Counts, Window
from modelrollout.api.analysis import Metric, OnBreach, StepKind
from modelrollout.api.status import MetricStatus, Verdict

SINCE = 37.0
CONTEXT = StepContext(StepKind.LIVE, since=SINCE, now=1e6, interval=15.0)


@st.composite
def counts(draw):
    requests = draw(st.integers(0, 200))
    return Counts(requests, draw(st.integers(0, requests)) if draw(st.booleans()) else 0)


outcomes = st.one_of(st.none(), st.tuples(counts(), counts()))
histories = st.lists(outcomes, min_size=1, max_size=40)
metrics = st.builds(
    lambda limit, margin, lookback, failures, of, sample, breach: Metric.model_validate(
        {
            "name": "errors",
            "errorRate": {},
            "method": "Threshold",
            "threshold": {"lookback": f"{lookback}s", "failures": min(failures, of), "of": of},
            "minimumSampleSize": sample,
            "onBreach": breach,
        }
        | ({"limit": f"{limit}%"} if limit or not margin else {})
        | ({"compare": {"margin": margin}} if margin else {})
    ),
    st.one_of(st.none(), st.integers(0, 50)).map(lambda limit: limit or 0),
    st.sampled_from([None, "1", "1.5"]),
    st.integers(1, 120),
    st.integers(1, 6),
    st.integers(1, 8),
    st.integers(0, 500),
    st.sampled_from(["Rollback", "Pause", "Warn"]),
)


def made(history):
    windows = []
    for index, outcome in enumerate(history):
        start = 15.0 * index
        if outcome is None:
            windows.append(Window(start, start + 15, Answer.NO_DATA, message="nothing"))
        else:
            windows.append(Window(start, start + 15, Answer.COUNTS, *outcome))
    return windows


def to_the_end(metric, windows):
    """Judge until nothing is left; the verdicts on the way."""
    said, found = None, []
    while True:
        new = judge(metric, said, windows, CONTEXT)
        if new == said:
            return said, found
        said = new
        found.append((float(said.through), said.verdict))


def stands(metric: Metric, said: MetricStatus) -> bool:
    """Whether nothing is counted any more: the candidate is taken back."""
    return said.verdict is Verdict.FAIL and metric.breach is OnBreach.ROLLBACK


@settings(max_examples=100, deadline=None)
@given(metrics, histories, st.lists(st.integers(1, 40), max_size=10))
def test_portions_restarts_and_forgotten_windows_do_not_matter(metric, history, cuts):
    windows = made(history)
    whole, on_the_way = to_the_end(metric, windows)
    said: MetricStatus | None = None
    fails = set()
    for end in [*sorted(min(cut, len(windows)) for cut in cuts), len(windows)]:
        while True:
            through = SINCE if said is None or said.through is None else float(said.through)
            kept = [one for one in windows[:end] if one.start >= through - required_lookback(metric)]
            new = judge(metric, said, kept, CONTEXT)
            if new.verdict is Verdict.FAIL:
                fails.add(float(new.through))
            if said is not None and new.through == said.through:
                break
            said = MetricStatus.model_validate(new.written())
    assert said is not None
    assert said == MetricStatus.model_validate(whole.written())
    assert {through for through, verdict in on_the_way if verdict is Verdict.FAIL} <= fails


@settings(max_examples=100, deadline=None)
@given(metrics, histories)
def test_counts_are_those_of_the_windows_in_the_step(metric, history):
    windows = made(history)
    said, _ = to_the_end(metric, windows)
    inside = [window for window in windows if window.start >= SINCE and window.answered]
    if stands(metric, said):
        inside = [window for window in inside if window.end <= float(said.through)]
    assert said.requests == sum(window.candidate.requests for window in inside)
    assert said.errors == sum(window.candidate.bad for window in inside)
    assert said.stable_requests == sum(window.stable.requests for window in inside)
    assert len(said.checks or "") <= metric.threshold.of
    if said.verdict is Verdict.FAIL:
        assert said.requests >= metric.sample
        assert (said.checks or "").count("F") >= metric.threshold.failures
    if not inside:
        assert said.verdict in (Verdict.CONTINUE, Verdict.NO_DATA)


@settings(max_examples=100, deadline=None)
@given(metrics, histories, st.integers(0, 40))
def test_nothing_is_counted_past_an_awaited_window(metric, history, place):
    windows = made(history)
    at = min(place, len(windows) - 1)
    awaited = Window(windows[at].start, windows[at].end, Answer.ERROR, message="awaited")
    said, _ = to_the_end(metric, [*windows[:at], awaited, *windows[at + 1 :]])
    if awaited.start >= SINCE and not stands(metric, said):
        assert said.verdict is Verdict.ERROR
    if awaited.start >= SINCE:
        assert float(said.through) <= max(SINCE, awaited.start)
    healed = said
    while (new := judge(metric, healed, windows, CONTEXT)) != healed:
        healed = new
    assert healed == to_the_end(metric, windows)[0]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from("cne"), max_size=30), st.lists(st.sampled_from("cn"), max_size=8), st.data())
def test_covered_time_adds_up_however_often_it_is_asked_for(fast, slow, data):
    answers = {"c": Answer.COUNTS, "n": Answer.NO_DATA, "e": Answer.ERROR}
    windows = {
        "fast": [Window(15.0 * i, 15.0 * i + 15, answers[kind]) for i, kind in enumerate(fast)],
        "slow": [Window(60.0 * i, 60.0 * i + 60, answers[kind]) for i, kind in enumerate(slow)],
    }
    whole, end = covered(windows, {"fast", "slow"}, SINCE, None)
    total, through = 0.0, None
    for _ in range(data.draw(st.integers(0, 5))):
        part = {name: found[: data.draw(st.integers(0, len(found)))] for name, found in windows.items()}
        seconds, through = covered(part, {"fast", "slow"}, SINCE, through)
        total += seconds
    seconds, through = covered(windows, {"fast", "slow"}, SINCE, through)
    assert total + seconds == whole
    assert through == end
    assert 0 <= whole <= max(0.0, end - SINCE)
