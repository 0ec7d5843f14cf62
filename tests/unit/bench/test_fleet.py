"""The bench itself: what it plays and what it reads off must be right, or its figures mean nothing."""

from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from bench.fleet.bars import judged, missed
from bench.fleet.growth import PANELS, growth, nice
from bench.fleet.meters import Reading, Stretch, parse, reads, writes
from bench.fleet.report import BEGIN, DOCS, END, PLOT, write_docs
from bench.fleet.result import Aborts, Breach, Phase, Restart, Result, Sync
from bench.fleet.shelf import Kept, keep, load
from bench.fleet.stage import Firsts
from bench.fleet.traffic import FAILED, SCRAPE, FleetSamples, Pod
from bench.fleet.workload import REQUESTS, Workload
from tests.fakes.promql import evaluate
from tests.harness.watching import Sight

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
    nothing = {
        "at": 0.0,
        "cpu": 0.0,
        "memory": 0,
        "peak": 0,
        "requests": {},
        "refused": 0,
        "histograms": {},
        "depth": 0,
    }
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


def result(rollouts: int = 1000, **fields: object) -> Result:
    phase = Phase(
        seconds=60.0,
        cpu=6.0,
        memory=180.0,
        peak=200.0,
        requests={("APPLY", "deployments"): 3},
        served={},
        queries=16,
        received=1 << 20,
        refused=0,
        wait_p50=0.1,
        wait_p99=None,
        work_p50=0.01,
        work_p99=0.1,
        lag_p99=0.1,
        looks=4000,
        load=1.0,
    )
    restart = Restart(ready=3.0, observed=7.0, cpu=5.0, writes=0, reads=9, memory=170.0, weights_moved=0, changed=0)
    found = Result(
        rollouts,
        15,
        70.0,
        first=phase,
        ramp=phase,
        sync=Sync(median=4.0, last=9.0, errors=0),
        steady=phase,
        restart=restart,
        aborts=Aborts(count=5, median=0.2, last=0.4),
        breach=Breach(count=497, first=6.0, median=9.0, last=14.0),
        finish=phase,
    )
    return replace(found, **fields)


def test_a_result_is_read_back_as_it_was_kept(tmp_path):
    shelf = tmp_path / "results.json"
    keep([Kept(result(500), {"date": "monday"}), Kept(result(100), {"date": "monday"})], shelf)
    found = keep([Kept(result(500, idle=71.0), {"date": "tuesday"})], shelf)
    assert [kept.result.rollouts for kept in found] == [100, 500]
    assert found == load(shelf)
    assert (found[1].result.idle, found[1].setup) == (71.0, {"date": "tuesday"})
    assert found[0].result == result(100)


def test_what_was_promised_is_held_against_what_was_measured():
    assert not missed([result()])
    slow = result(breach=Breach(count=497, first=6.0, median=19.0, last=21.0))
    [text] = missed([slow])
    assert "1000 rollouts: half turn bad at once" in text
    assert "21.0 s, at most 20" in text
    assert any("✗" in cell for row in judged([slow]) for cell in row)


def test_each_size_of_a_fleet_has_its_own_bound_of_memory():
    assert [len(missed([result(size)])) for size in (500, 501, 1000, 1001)] == [1, 0, 0, 0]


def test_the_plot_shows_each_fleet_in_each_panel():
    drawn = growth([result(100), result(1000), result(2000)])
    assert drawn.count("<circle") == 3 * len(PANELS)
    assert ET.fromstring(drawn).tag.endswith("svg")


@pytest.mark.parametrize(("value", "top"), [(0.07, 0.08), (1.0, 1.0), (9.1, 10.0), (130.0, 200.0), (4000.0, 4000.0)])
def test_an_axis_ends_at_a_round_number(value, top):
    assert nice(value) == pytest.approx(top)


def test_the_page_keeps_everything_but_the_section_of_the_earlier_run(tmp_path):
    page = tmp_path / "benchmarks.md"
    write_docs([Kept(result(), {"command": "first"})], tmp_path)
    page.write_text(page.read_text() + "\n## Another\n")
    write_docs([Kept(result(), {"command": "second"})], tmp_path)
    text = page.read_text()
    assert text.count(BEGIN) == text.count(END) == 1
    assert "second" in text
    assert "first`" not in text
    assert "## Another" in text
    assert (tmp_path / PLOT).exists()


@pytest.mark.parametrize("name", ["benchmarks.md", "sizing.md", PLOT])
def test_the_pages_are_made_from_the_results_that_were_kept(tmp_path, name):
    for page in ("benchmarks.md", "sizing.md"):
        (tmp_path / page).write_text((DOCS / page).read_text())
    write_docs(load(), tmp_path)
    assert (tmp_path / name).read_text() == (DOCS / name).read_text()


def test_a_version_that_turns_bad_fails_from_then_on():
    samples = fleet(("model-1-a-x", "one"), ("model-2-b-z", "two"), one=9000, two=1000)
    samples.turn_bad("ml", "model", "two", READY + 100)
    bad = 'sum by (pod) (http_requests_total{status="500"})'
    before, after = (by_pod(samples, bad, READY + seconds + SCRAPE) for seconds in (95, 195))
    assert after["model-2-b-z"] - before["model-2-b-z"] == pytest.approx(100 * REQUESTS * 0.1 * 0.5, rel=0.1)
    assert after["model-1-a-x"] - before["model-1-a-x"] == pytest.approx(100 * REQUESTS * 0.9 * FAILED, abs=2)


def test_the_first_sight_counts():
    firsts = Firsts(lambda raw: raw["status"].get("phase") == "Healthy")
    metadata = {"namespace": "ml", "name": "fraud"}
    for at, phase in ((1.0, "Loading"), (2.0, "Healthy"), (3.0, "Healthy")):
        firsts(
            Sight(int(at), "ModelDeployment", "fraud", False, {"metadata": metadata, "status": {"phase": phase}}, at)
        )
    assert firsts.at == {("ml", "fraud"): 2.0}
