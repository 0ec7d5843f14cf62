"""The bench itself: what it plays and what it reads off must be right, or its figures mean nothing."""

import pytest

from bench.fleet.meters import Reading, Stretch, parse, reads, writes
from bench.fleet.report import BEGIN, END, write_docs
from bench.fleet.traffic import SCRAPE, FleetSamples, Pod
from bench.fleet.workload import REQUESTS, Workload
from tests.fakes.promql import evaluate

READY = 1_000_000.0
TOTAL = 'sum by (pod) (http_requests_total{namespace="ml",pod=~"(model-1|model-2)-[^-]+-[^-]+"})'


def fleet(*pods: tuple[str, str], **weights: int) -> FleetSamples:
    samples = FleetSamples()
    samples.weigh("ml", "model", weights, READY - 1)
    for name, revision in pods:
        samples.come(Pod("ml", name, "model", revision, READY))
    return samples


def by_pod(samples: FleetSamples, query: str, at: float) -> dict[str, float]:
    return {dict(labels)["pod"]: value for labels, value in evaluate(query, samples, at).items()}


def test_pods_share_the_requests_of_their_version_by_the_weights_of_the_route():
    samples = fleet(("model-1-a-x", "one"), ("model-1-a-y", "one"), ("model-2-b-z", "two"), one=9000, two=1000)
    before, after = (by_pod(samples, TOTAL, READY + seconds) for seconds in (100, 160))
    counted = {pod: after[pod] - before[pod] for pod in after}
    assert counted["model-1-a-x"] == counted["model-1-a-y"] == pytest.approx(60 * REQUESTS * 0.45, abs=2)
    assert counted["model-2-b-z"] == pytest.approx(60 * REQUESTS * 0.1, abs=2)


def test_counters_go_on_where_they_were_when_a_weight_changes():
    samples = fleet(("model-1-a-x", "one"), one=10_000)
    samples.weigh("ml", "model", {"one": 0}, READY + 60)
    later = [by_pod(samples, TOTAL, READY + seconds)["model-1-a-x"] for seconds in (59, 61 + SCRAPE, 600)]
    assert later[0] <= later[1] == later[2] == pytest.approx(60 * REQUESTS)


def test_a_pod_has_series_from_its_first_scrape_until_it_is_gone():
    samples = fleet(("model-1-a-x", "one"), one=10_000)
    assert not evaluate("up", samples, READY - 1)
    assert evaluate("up", samples, READY + SCRAPE)
    samples.go("ml", "model-1-a-x", READY + 50)
    assert evaluate("up", samples, READY + 49)
    assert not evaluate("up", samples, READY + 50)


def test_a_selector_is_read_anew_when_pods_come():
    samples = fleet(("model-1-a-x", "one"), one=10_000)
    assert len(by_pod(samples, TOTAL, READY + 10)) == 1
    samples.come(Pod("ml", "model-1-a-y", "model", "one", READY))
    assert len(by_pod(samples, TOTAL, READY + 10)) == 2


def test_models_are_spread_over_the_namespaces():
    keys = Workload(5, ("a", "b")).names()
    assert [space for space, _ in keys] == ["a", "b", "a", "b", "a"]
    assert len(set(keys)) == 5


def test_an_edit_that_finishes_a_canary_makes_no_other_version():
    workload = Workload(1, ("a",))
    slow, soon = (workload.manifest("model", "2", finishing=finishing)["spec"] for finishing in (False, True))
    assert slow.pop("rollout") != soon.pop("rollout")
    assert slow == soon


def reading(**fields) -> Reading:
    nothing = {"at": 0.0, "cpu": 0.0, "memory": 0, "peak": 0, "requests": {}, "histograms": {}, "depth": 0}
    return Reading(**(nothing | {"served": {}, "queries": 0, "received": 0} | fields))


def test_a_stretch_is_the_difference_of_two_readings():
    infinity = float("inf")
    stretch = Stretch(
        reading(cpu=2.0, requests={("PUT", "a"): 3}, histograms={"work": {0.1: 5.0, infinity: 5.0}}),
        reading(at=60.0, cpu=5.0, requests={("PUT", "a"): 5}, histograms={"work": {0.1: 8.0, infinity: 9.0}}),
    )
    assert (stretch.seconds, stretch.cpu, stretch.requests()) == (60.0, 3.0, {("PUT", "a"): 2})
    assert (stretch.count("work"), stretch.quantile("work", 0.5), stretch.quantile("work", 0.99)) == (4, 0.1, infinity)


def test_events_are_no_state_and_the_lease_is_no_read_of_the_fleet():
    requests = {("PUT", "modeldeployments"): 2, ("APPLY", "events"): 3, ("GET", "leases"): 5, ("LIST", "pods"): 7}
    assert (writes(requests, events=False), writes(requests), reads(requests)) == (2, 5, 7)


def test_only_the_wanted_lines_of_a_long_page_are_parsed():
    page = 'apiserver_request_total{verb="GET",resource="pods"} 4\nsomething_else{broken 1\n'
    [sample] = parse(page, ("apiserver_request_total",))
    assert (sample.labels["verb"], sample.value) == ("GET", 4.0)


def test_the_page_keeps_everything_but_the_section_of_the_earlier_run(tmp_path):
    page = tmp_path / "benchmarks.md"
    write_docs({"setup": {"command": "first"}, "table": "| 1 |"}, page)
    page.write_text(page.read_text() + "\n## Another\n")
    write_docs({"setup": {"command": "second"}, "table": "| 2 |"}, page)
    text = page.read_text()
    assert text.count(BEGIN) == text.count(END) == 1
    assert "second" in text
    assert "first" not in text
    assert "## Another" in text
