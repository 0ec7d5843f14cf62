"""How often answers differ: counted by the comparer's pods, whichever version they speak of."""

from dataclasses import replace

from modelrollout.analysis.panel import judge_all
from modelrollout.analysis.step import StepContext
from modelrollout.analysis.terms import Terms
from modelrollout.analysis.window import Answer, Counts
from modelrollout.api.analysis import Identify, Metric, StepKind
from modelrollout.comparer.agreement import Verdict
from modelrollout.metrics import questions
from modelrollout.metrics.subscription import Preflight
from tests.fakes.loop import in_loop
from tests.fakes.sampling import CANDIDATE, ERRORS, KEY, STABLE, START, Pod, World

DISAGREEMENT = Metric.model_validate({"name": "answers", "disagreement": {}, "limit": "1%", "overdispersion": 1})


class ComparerPod(Pod):
    """Counts pairs of answers, and requests without a pair."""

    outcomes: dict[str, int]

    def exposed(self):
        found = getattr(self, "outcomes", None)
        if not self.up or found is None:
            return {} if self.up else None
        labels = {"revision": CANDIDATE.revision, "against": STABLE.revision}
        return {"shadow_comparisons_total": [({"outcome": name, **labels}, count) for name, count in found.items()]}


def comparer(world, name="fraud-comparer-7d9f5b6c4-x2x4z", **outcomes):
    pod = ComparerPod("ml", name)
    pod.outcomes = {"Agree": 0, "Disagree": 0, "CandidateFailed": 0, "Dropped": 0} | outcomes
    world.pods[name] = pod
    return pod


def counting(world, pod, **a_second):
    def traffic():
        for name, count in a_second.items():
            pod.outcomes[name] += count

    world.traffic = traffic


def test_the_outcomes_that_are_asked_for_are_those_that_are_counted():
    asked = (questions.AGREE, questions.DISAGREE)
    assert asked == (Verdict.AGREE.value, Verdict.DISAGREE.value)


@in_loop
async def test_pairs_are_counted_and_what_is_no_pair_is_not():
    one = World()
    one.add(CANDIDATE)
    one.add(STABLE)
    counting(one, comparer(one), Agree=9, Disagree=1, CandidateFailed=5, Dropped=7)
    one.subscribe(metrics=(DISAGREEMENT,), counts_from={})
    async with one.running():
        await one.live(66)
        windows = one.windows("answers")
        assert [(window.start - START, window.candidate, window.stable) for window in windows] == [
            (15 * index, Counts(150, 15), Counts(0, 0)) for index in range(4)
        ]


@in_loop
async def test_they_are_the_comparers_though_a_label_tells_versions_apart():
    one = World()
    one.add(CANDIDATE)
    counting(one, comparer(one), Agree=10)
    one.subscribe(metrics=(DISAGREEMENT,), identify=Identify(label="model_version"))
    async with one.running():
        await one.live(36)
        assert [window.candidate for window in one.windows("answers")] == [Counts(150, 0)] * 2


@in_loop
async def test_no_comparer_is_no_data_and_the_comparer_of_another_resource_is_not_asked():
    one = World()
    one.add(CANDIDATE)
    other = comparer(one, "fraud-eu-comparer-7d9f5b6c4-x2x4z")
    counting(one, other, Agree=10)
    one.subscribe(metrics=(DISAGREEMENT,))
    async with one.running():
        await one.live(36)
        assert {window.answer for window in one.windows("answers")} == {Answer.NO_DATA}


@in_loop
async def test_before_the_first_copy_the_comparer_must_be_scraped():
    one = World()
    candidate = one.add(CANDIDATE)
    one.add(STABLE).serve(1)
    candidate.serve(1)
    one.subscribe(metrics=(ERRORS, DISAGREEMENT), preflight=True)
    async with one.running():
        await one.live(15 * 6)
        problem = one.sampler.preflight(KEY).problem
        assert problem.reason == "MetricsMissing"
        assert '"fraud-comparer-[^-]+-[^-]+"' in problem.message
        comparer(one)
        await one.live(15)
        assert one.sampler.preflight(KEY) == Preflight(ready=True)


def judged(windows, known=None):
    terms = Terms(0.01, 0.05, 60, 15.0, (DISAGREEMENT,), compared='{"method":"Exact"}')
    context = StepContext(StepKind.SHADOW, since=START, now=START + 1e6, interval=15.0)
    return judge_all(known or {}, {"answers": windows}, context, terms)[0]


@in_loop
async def test_a_rate_clearly_above_the_limit_fails_and_one_at_it_does_not():
    one = World()
    one.add(CANDIDATE)
    pod = comparer(one)
    one.subscribe(metrics=(DISAGREEMENT,))
    async with one.running():
        counting(one, pod, Agree=97, Disagree=3)
        await one.live(126)
        said = judged(one.windows("answers"))
        assert (said.verdict, said.reason, said.limit) == ("Fail", "Disagrees", "1%")
        assert "answers 3 % on" in said.message
        counting(one, pod, Agree=99, Disagree=1)
        await one.live(300)
        steady = [window for window in one.windows("answers") if window.start > START + 135]
        assert judged(steady).verdict == "Pass"


def test_another_way_to_compare_starts_the_evidence_afresh():
    terms = Terms(0.01, 0.05, 60, 15.0, (DISAGREEMENT,), compared='{"method":"Exact"}')
    other = replace(terms, compared='{"method":"Label"}')
    assert terms.fingerprint(DISAGREEMENT) != other.fingerprint(DISAGREEMENT)
    plain = replace(terms, compared="", metrics=(ERRORS,))
    assert plain.fingerprint(ERRORS) == Terms(0.01, 0.05, 60, 15.0, (ERRORS,)).fingerprint(ERRORS)
