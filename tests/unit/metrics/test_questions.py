"""From metrics as written to PromQL: nothing unescaped, nothing unknown, nothing longer than a URL may be."""

from urllib.parse import quote_plus

import pytest

from modelrollout.api.analysis import Metric
from modelrollout.api.errors import SpecError
from modelrollout.api.experiment import Goal
from modelrollout.api.settings import RuntimePreset, TargetLabels
from modelrollout.metrics import promql
from modelrollout.metrics.batches import Breadth, Target, batches
from modelrollout.metrics.questions import Gauge, Histogram, Pair, check, grid, question
from modelrollout.rollout.arm_evidence import goal_metrics
from tests.fakes.promql import Samples, evaluate
from tests.fakes.sampling import PRESET

CUSTOM = RuntimePreset(name="Custom")
NASTY = "a\"b\\c'd`e\nf{}[]()*+?.|^$ü"


def metric(**fields):
    return Metric.model_validate({"name": "m", "limit": "1%"} | fields)


def conditions(**fields):
    asked = question(metric(**fields), PRESET)
    assert isinstance(asked, Pair)
    assert asked.total.series == "http_requests_total"
    return asked.total.conditions, asked.part.conditions[len(asked.total.conditions) :]


def test_error_rates_ask_for_classes_and_codes_and_leave_out_probes():
    total, part = conditions(errorRate={})
    assert total == ('handler!~"/health|/metrics"',)
    assert part == ('status=~"5.."',)
    total, part = conditions(errorRate={"statuses": ["5xx", "429"], "excludePaths": ["/v1.0/x"]})
    assert total == ('handler!~"/health|/metrics|/v1\\\\.0/x"',)
    assert part == ('status=~"5..|429"',)


@pytest.mark.parametrize(("status", "counts"), [("503", True), ("5xx", True), ("404", False), ("50", False)])
def test_a_class_is_found_in_full_codes_and_in_classes(status, counts):
    samples = Samples()
    samples.add("http_requests_total", {"status": status}, 0, 1)
    asked = question(metric(errorRate={}), PRESET)
    found = evaluate(promql.select(asked.part.series, asked.part.conditions), samples, 1)
    assert bool(found) == counts


def test_latency_asks_for_buckets():
    asked = question(metric(latency={"threshold": "250ms"}), PRESET)
    assert asked == Histogram(asked.family, 0.25)
    assert asked.family.series == "http_request_duration_seconds_bucket"
    assert asked.family.buckets


def test_latency_without_a_threshold_asks_for_all_buckets():
    asked = question(metric(latency={}, compare={}, limit=None, method="Sequential"), PRESET)
    assert asked == Histogram(asked.family, None)


def test_what_a_goal_counts_may_come_later_or_be_no_count():
    goal = Goal.model_validate({"mean": {name: {"series": name} for name in ("sum", "squares", "count")}})
    asked = [question(metric, PRESET) for metric in goal_metrics(goal)]
    assert [(pair.total.series, pair.part.series, pair.good, pair.within) for pair in asked] == [
        ("count", "sum", True, False),
        ("count", "squares", True, False),
    ]
    ratio = Metric.model_validate(
        {"name": "m", "ratio": {"bad": {"series": "a"}, "total": {"series": "b"}}, "compare": {}}
    )
    assert question(ratio, PRESET).within


def test_ratios_take_selectors_as_written():
    total = {"series": "t", "match": [{"label": "a", "values": ["x", "y"]}, {"label": "a", "not": [NASTY]}]}
    asked = question(metric(ratio={"good": {"series": "g"}, "total": total}), CUSTOM)
    assert asked.good
    samples = Samples()
    samples.add("t", {"a": "x"}, 0, 1)
    samples.add("t", {"a": "z"}, 0, 1)
    [(labels, _)] = evaluate(promql.select("t", asked.total.conditions), samples, 1).items()
    assert dict(labels)["a"] == "x"


@pytest.mark.parametrize(
    ("fields", "preset", "words"),
    [
        ({"errorRate": {}}, CUSTOM, "spec.analysis.metrics[m].errorRate: the runtime Custom names no series"),
        ({"latency": {"threshold": "1s"}}, CUSTOM, "the runtime Custom names no series of requests"),
        ({"query": "x{{pod}}", "limit": None, "range": {"min": "0"}}, PRESET, "{{pod}} is not known; there are {{nam"),
    ],
)
def test_what_cannot_be_measured_is_refused_by_name(fields, preset, words):
    with pytest.raises(SpecError) as raised:
        check((metric(**fields),), preset)
    assert words in str(raised.value)


def test_paths_can_only_be_excluded_where_the_series_tell_them_apart():
    blind = RuntimePreset.model_validate({"name": "Blind", "series": {"requests": {"series": "r"}}})
    assert question(metric(errorRate={}), blind).total.conditions == ()
    with pytest.raises(SpecError, match="do not tell paths apart"):
        question(metric(errorRate={"excludePaths": ["/x"]}), blind)


def test_queries_are_asked_at_the_first_multiple_of_the_interval_from_a_minute_on():
    asked = metric(query="x", limit=None, range={"min": "0"})
    assert question(asked, CUSTOM) == Gauge("x")
    assert [grid(asked, interval) for interval in (1, 15, 25, 60, 90)] == [60, 60, 75, 60, 90]
    assert grid(metric(errorRate={}), 15) == 15


@pytest.mark.parametrize("quote", ['"', "'"])
def test_values_fill_a_string_literal_and_never_leave_it(quote):
    filled = promql.fill(f"x{{a={quote}{{{{version}}}}{quote}}}", {"version": NASTY})
    inside = filled[len("x{a=") + 1 : -2]
    assert quote not in inside
    assert "\n" not in inside
    if quote == '"':
        samples = Samples()
        samples.add("x", {"a": NASTY}, 0, 1)
        samples.add("x", {"a": "other"}, 0, 1)
        assert len(evaluate(filled, samples, 1)) == 1


def test_texts_inside_a_regular_expression_mean_themselves():
    samples = Samples()
    for value in (NASTY, "a.c", "abc"):
        samples.add("x", {"a": value}, 0, 1)
    query = promql.select("x", [promql.is_one_of("a", [NASTY, "a.c"])])
    assert {dict(labels)["a"] for labels in evaluate(query, samples, 1)} == {NASTY, "a.c"}
    query = promql.select("x", [promql.is_none_of("a", [NASTY])])
    assert len(evaluate(query, samples, 1)) == 2


def test_presence_tells_number_and_time():
    samples = Samples()
    for job, value, at in (("a", 1, 90.25), ("b", 1, 91.25), ("c", 0, 95)):
        samples.add("up", {"pod": "p", "job": job}, at, value)
    samples.add("up", {"pod": "down", "job": "a"}, 95, 0)
    found = evaluate(promql.presence("up", ["pod"]), samples, 100)
    decoded = {dict(labels)["pod"]: promql.decode_presence(value) for labels, value in found.items()}
    assert decoded == {"p": (2, 90.75), "down": (0, 0.0)}
    now = 1_760_000_000.123
    assert promql.decode_presence(3 * (promql.PRESENCE + now)) == (3, pytest.approx(now, abs=0.001))


def render(conditions):
    return promql.deduplicated_sum(promql.select("http_requests_total", conditions), ("namespace", "pod"))


def targets(count, spaces=1):
    return [Target(f"team-{i % spaces}", f"model-{i}-{version}-7c9f4a1b") for i in range(count) for version in (1, 2)]


def planned(wanted, breadth=Breadth.FITTING, room=5700):
    found = batches(wanted, TargetLabels(), render, room, breadth)
    assert sorted(target for batch in found for target in batch.targets) == sorted(wanted)
    assert all(len(quote_plus(render(batch.conditions))) <= room for batch in found)
    return found


def test_a_few_versions_are_named_and_select_their_own_pods_only():
    [batch] = planned(targets(2))
    samples = Samples()
    for pod in (
        "model-1-2-7c9f4a1b-5d8c7b20-abcde",
        "model-1-2-7c9f4a1b-x-5d8c7b20-abcde",
        "model-1-2-7c9f4a1b-abcde",
        "model-9-2-7c9f4a1b-5d8c7b20-abcde",
    ):
        samples.add("http_requests_total", {"namespace": "team-0", "pod": pod}, 0, 1)
    [labels] = evaluate(render(batch.conditions), samples, 1)
    assert dict(labels)["pod"] == "model-1-2-7c9f4a1b-5d8c7b20-abcde"


@pytest.mark.parametrize(("count", "spaces"), [(60, 3), (1000, 1), (1000, 50), (1000, 1000), (3000, 3000)])
def test_a_fleet_of_any_size_takes_two_batches_at_most(count, spaces):
    assert len(planned(targets(count, spaces))) <= 2


def test_narrow_batches_name_every_version():
    found = planned(targets(1000), Breadth.NAMED)
    assert len(found) > 2
    assert all("pod=~" in batch.conditions[1] for batch in found)


def test_one_target_is_asked_for_however_long_its_name():
    [batch] = batches([Target("n" * 63, "d" * 200)], TargetLabels(), render, 50)
    assert len(batch.targets) == 1
