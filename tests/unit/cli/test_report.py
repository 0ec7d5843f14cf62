"""The record of one rollout: which one, what is in it, how it is shown, and what is read back from a Prometheus."""

import json
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

from modelrollout.api.settings import TargetLabels
from modelrollout.cli.failures import Failure, Refused
from modelrollout.cli.readback import provider
from modelrollout.cli.record import pick, record, steps_of
from modelrollout.cli.report import as_document
from modelrollout.cli.report_html import html
from modelrollout.cli.report_text import text
from modelrollout.cli.view import DOCUMENT_VERSION
from tests.fakes.prometheus import FaultyServer, refused_url, status
from tests.unit.cli import reports, samples
from tests.unit.cli.cluster import FakeCluster
from tests.unit.cli.reports import ADVERSE, GOLDEN, NOW, STATES, WIDTHS, found

PAGE = Path(__file__).parents[3] / "docs" / "cli.md"
METRICS = [
    {"name": "errors", "errorRate": {}, "compare": {}, "limit": "5%"},
    {"name": "latency", "latency": {"threshold": "250ms"}, "compare": {}},
]


def judged(*metrics, **spec):
    """The rollout that was taken back, with these metrics in its spec."""
    item = reports.rolled_back()
    item["spec"] |= {"analysis": {"metrics": list(metrics or METRICS)}} | spec
    return FakeCluster(item)


@pytest.fixture(scope="module")
def prometheus():
    with FaultyServer(reports.recorded()) as server:
        yield server


# Which rollout


def test_without_a_name_it_is_the_one_under_way_else_the_last():
    assert found(reports.under_way()).outcome == "InProgress"
    assert found(reports.rolled_back()).revision == "3-b21aa04e"


@pytest.mark.parametrize("wanted", ["1-5d8c7b20", "1"])
def test_a_rollout_is_named_by_its_revision_or_version(wanted):
    assert found(reports.rolled_back(), wanted).outcome == "Promoted"


def test_of_several_attempts_it_is_the_newest():
    item = reports.rolled_back()
    again = reports.ENDED | {
        "startedAt": "2026-07-26T13:55:00Z",
        "endedAt": "2026-07-26T13:58:00Z",
        "outcome": "Aborted",
    }
    item["status"]["history"] = [reports.ENDED, again]
    assert found(item, "3").outcome == "Aborted"


def test_an_unknown_one_is_refused_with_those_that_there_are():
    with pytest.raises(Refused, match=r'fraud: no rollout of "9" is on record; there are 3-b21aa04e, 1-5d8c7b20'):
        found(reports.rolled_back(), "9")


def test_before_the_first_rollout_there_is_nothing(run):
    said = run(FakeCluster(samples.new()), "report", "fraud")
    assert (said.code, said.err) == (1, "error: fraud: nothing has been rolled out yet\n")


# What is in it


def test_weights_and_commands_are_those_of_its_own_time():
    one = found(reports.rolled_back())
    assert [(weighed.weight, weighed.seconds) for weighed in one.weights] == [
        ("5", 1815.0),
        ("25", 1276.0),
        ("0", None),
    ]
    assert [(ordered.action, ordered.by, ordered.outcome) for ordered in one.commands] == [
        ("Approve", "alice@example.com", "Accepted"),
        ("Pause", "bob@example.com", "Refused"),
    ]


def test_the_step_and_the_reason_come_from_the_command_itself_where_it_may_be_read():
    (approve, pause) = found(reports.rolled_back()).commands
    assert (approve.step, approve.reason) == ("weight-5", "looked at the confusion matrix")
    assert (pause.step, pause.reason) == ("", "")
    (blind, _) = found(reports.rolled_back(), commands=()).commands
    assert (blind.by, blind.step) == ("alice@example.com", "")


def test_a_command_for_another_revision_is_left_out():
    other = reports.APPROVAL | {"spec": reports.APPROVAL["spec"] | {"revision": "1-5d8c7b20"}}
    assert [one.action for one in found(reports.rolled_back(), commands=(other,)).commands] == ["Pause"]


def test_what_it_ran_against_is_what_was_stable_then():
    assert found(reports.rolled_back()).against == "1"
    assert found(reports.under_way()).against_revision == "1-5d8c7b20"
    item = reports.rolled_back()
    item["status"]["history"] = [reports.PROMOTED, {key: v for key, v in reports.ENDED.items() if key != "against"}]
    assert found(item).against == "1", "an older operator did not note it"


def test_what_is_not_known_any_more_is_said():
    item = reports.rolled_back()
    item["status"]["timeline"] = [reports.weight("13:40:00", 25, "step weight-25")] * 30
    assert any("the last 30 weights only" in gap for gap in found(item).gaps)
    item["status"]["timeline"] = []
    assert "no traffic was moved" in found(item).gaps
    later = reports.rolled_back()
    later["status"]["history"] = [reports.PROMOTED, reports.ENDED]
    assert found(later, "1").gaps == ("what its metrics said is kept until the next rollout ends",)


def test_the_weight_over_time_is_a_stair():
    one = found(reports.rolled_back())
    corners = steps_of(one, one.until(NOW))
    assert [share for _, share in corners] == [0, 0, 0.05, 0.05, 0.25, 0.25, 0, 0]
    assert [at for at, _ in corners] == sorted(at for at, _ in corners)


# How it is shown


@pytest.mark.parametrize("width", WIDTHS)
def test_each_state_is_drawn_as_in_the_golden_pictures(width):
    assert reports.picture(width) == (GOLDEN / f"report-{width}.txt").read_text()


@pytest.mark.parametrize("state", STATES)
def test_no_line_is_wider_than_the_terminal_or_ends_in_blanks(state):
    for width in range(60, 161):
        lines = [line.plain for line in text(found(STATES[state]()), (), NOW, width)]
        assert [line for line in lines if len(line) > width or line != line.rstrip()] == [], f"at {width}"


def test_the_page_is_the_golden_one():
    assert reports.page() == (GOLDEN / "report.html").read_text()


class Elements(HTMLParser):
    """Elements in their order, all texts, and every attribute; void elements need no end."""

    VOID = frozenset({"meta", "line", "circle", "polyline", "polygon"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.texts: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


@pytest.mark.parametrize("maker", [*STATES.values(), reports.adverse])
def test_the_page_is_well_formed_and_asks_for_nothing_from_anywhere(maker):
    page = Elements(html(found(maker()), (), NOW))
    assert page.open == []
    assert not {"script", "link", "img", "iframe", "object", "embed", "base", "form"} & set(page.seen)
    assert not {"src", "href", "action", "onload", "onclick", "style"} & {name for name, _ in page.attributes}
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in page.attributes


def test_what_people_and_models_write_stays_text():
    page = html(found(reports.adverse()), (), NOW)
    assert "<script>" not in page
    assert page.count("</style>") == 1
    assert ADVERSE in "".join(Elements(page).texts)


def test_the_document_for_machines_keeps_its_shape(run):
    said = run(FakeCluster(reports.rolled_back()), "report", "fraud", "-o", "json")
    assert said.code == 0
    body = json.loads(said.out)
    assert (body["apiVersion"], body["kind"]) == (DOCUMENT_VERSION, "RolloutReport")
    assert (body["version"], body["against"], body["outcome"]) == ("3", "1", "RolledBack")
    assert (body["startedAt"], body["endedAt"]) == ("2026-07-26T13:00:00Z", "2026-07-26T13:52:31Z")
    assert body["weights"][0] == {
        "at": "2026-07-26T13:01:00Z",
        "weight": "5",
        "share": 0.05,
        "reason": "step weight-5",
        "seconds": 1815.0,
    }
    assert body["metrics"][0]["evidence"] == "100 %"
    assert "curves" not in body


def test_every_field_of_the_document_is_explained_in_the_reference(run, prometheus):
    explained = set(re.findall(r"`([A-Za-z]+)`", PAGE.read_text())) | {"apiVersion"}
    body = json.loads(run(judged(), "report", "fraud", "-o", "json", "--prometheus", prometheus.url).out)
    parts = [body, *body["weights"], *body["commands"], *body["curves"], *body["curves"][0]["readings"]]
    assert {field for part in parts for field in part} <= explained


def test_the_evidence_itself_is_no_part_of_the_document():
    item = reports.under_way()
    item["status"]["metrics"][0]["state"] = "x" * 4000
    assert "state" not in as_document(found(item), (), NOW)["metrics"][0]


# What is read back


def read(run, prometheus, cluster=None, *words):
    said = run(cluster or judged(), "report", "fraud", "-o", "json", "--prometheus", prometheus.url, *words)
    assert (said.code, said.err) == (0, "")
    return {one["metric"]: one for one in json.loads(said.out)["curves"]}


def test_all_requests_within_its_weights_are_counted_once(run, prometheus):
    readings = read(run, prometheus)["errors"]["readings"]
    spans = [(one["start"], one["end"]) for one in readings]
    assert all(before[1] <= after[0] for before, after in pairwise(spans))
    assert readings[0]["start"] == "2026-07-26T13:01:00Z"
    assert not any(one["start"] < "2026-07-26T13:31:15Z" < one["end"] for one in readings), "a weight is changed then"
    seconds = 52 * 60 + 30 - 60
    assert sum(one["requests"] + one["stableRequests"] for one in readings) == pytest.approx(40 * seconds, rel=0.02)


def test_the_evidence_is_that_of_the_judge(run, prometheus):
    readings = read(run, prometheus)["errors"]["readings"]
    before = [one["evidence"] for one in readings if one["end"] < "2026-07-26T13:44:00Z"]
    after = [one["evidence"] for one in readings if one["end"] > "2026-07-26T13:50:00Z"]
    assert max(before) < 0.1
    assert min(after) == 1.0
    assert max(one["certificate"] for one in readings) == 1.0
    assert len(readings) <= 250


def test_a_histogram_is_read_at_the_bound_that_was_used(run, prometheus):
    latency = read(run, prometheus)["latency"]
    assert latency["bound"] == "0.25s"
    assert 0 < sum(one["bad"] for one in latency["readings"]) < 300
    boundless = read(run, prometheus, judged({"name": "latency", "latency": {}, "compare": {}}))["latency"]
    assert boundless["bound"] in ("0.1s", "0.25s")
    assert sum(one["bad"] for one in boundless["readings"]) == sum(one["bad"] for one in latency["readings"])


def test_a_query_is_read_back_as_numbers(run, prometheus):
    query = {"name": "up", "query": 'count by (job) (up{pod=~"{{pods}}"})', "range": {"max": "5"}}
    readings = read(run, prometheus, judged(query))["up"]["readings"]
    assert {one["candidate"] for one in readings} == {1.0}
    assert {one["stable"] for one in readings} == {3.0}


def test_a_long_rollout_is_read_in_longer_windows(run, prometheus):
    cluster = judged()
    item = reports.rolled_back()
    item["spec"] = item["spec"] | {"analysis": {"interval": "1s", "metrics": METRICS}}
    long = FakeCluster(item)
    assert len(read(run, prometheus, long)["errors"]["readings"]) <= 260
    assert len(read(run, prometheus, cluster)["errors"]["readings"]) > 100


def test_a_metric_that_nothing_is_known_of_says_so(run, prometheus):
    ratio = {"total": {"series": "nothing_total"}, "bad": {"series": "nothing_bad_total"}}
    curves = read(run, prometheus, judged(*METRICS, {"name": "other", "ratio": ratio, "compare": {}}))
    assert sum(one["requests"] for one in curves["other"].get("readings", [])) == 0
    assert sum(one["requests"] for one in curves["errors"]["readings"]) > 1000


def test_text_and_page_show_what_was_read_back(run, prometheus):
    words = run(judged(), "report", "fraud", "--prometheus", prometheus.url).out
    assert re.search(r"errors +\S*█\S*  evidence, up to 100 %", words.replace("\n             ", "\nerrors  "))
    page = run(judged(), "report", "fraud", "-o", "html", "--prometheus", prometheus.url).out
    elements = Elements(page)
    assert elements.open == []
    assert elements.seen.count("svg") == 6
    assert elements.seen.count("polyline") >= 10
    assert "Curves were read back from Prometheus" in page


def test_a_prometheus_that_does_not_answer_is_one_line(run):
    url = refused_url()
    said = run(judged(), "report", "fraud", "--prometheus", url)
    assert (said.code, said.out) == (4, "")
    assert said.err == f"error: {url}/: connection refused\n"


def test_a_prometheus_that_refuses_a_query_is_named_with_the_metric(run):
    with FaultyServer() as server:
        server.fault = status(400, b'{"status":"error","error":"bad query"}', "application/json")
        curves = read(run, server)
    assert "bad query" in curves["errors"]["problem"]


@pytest.mark.parametrize("url", ["prometheus", "ftp://x", "http://"])
def test_an_address_that_is_none_is_a_wrong_command_line(run, url):
    said = run(judged(), "report", "fraud", "--prometheus", url)
    assert said.code == 64
    assert f"--prometheus {url}: write an address such as http://localhost:9090" in said.err


def test_a_user_and_password_in_the_address_are_sent_and_never_shown(run):
    with FaultyServer() as server:
        url = server.url.replace("http://", "http://alice:p%40ss@")
        run(judged(), "report", "fraud", "--prometheus", url)
        assert {headers.get("Authorization") for _, headers in server.seen} == {"Basic YWxpY2U6cEBzcw=="}
    gone = run(
        judged(), "report", "fraud", "--prometheus", "http://alice:secret@" + refused_url().removeprefix("http://")
    )
    assert "secret" not in gone.err
    with pytest.raises(Failure) as wrong:
        provider("ftp://alice:secret@x", TargetLabels())
    assert "secret" not in str(wrong.value)


def test_a_runtime_that_only_the_settings_know_is_said_and_taken_from_them(run, prometheus, tmp_path):
    server = {"runtime": "Ours", "image": "x:1"}
    said = run(judged(server=server), "report", "fraud", "--prometheus", prometheus.url)
    assert said.code == 4
    assert "no runtime" in said.err
    assert "--settings" in said.err
    file = tmp_path / "settings.yaml"
    file.write_text(
        '{"runtimes": [{"name": "Ours", "port": 8000, "series": {"requests": {"series": "http_requests_total"}}}]}'
    )
    errors = judged(METRICS[0], server=server)
    readings = read(run, prometheus, errors, "--settings", str(file))["errors"]["readings"]
    assert sum(one["requests"] for one in readings) > 1000


def test_record_and_pick_need_no_commands():
    from modelrollout.cli.deployment import parse  # noqa: PLC0415

    deployment = parse(reports.under_way())
    assert record(deployment, pick(deployment, None)).commands == ()
