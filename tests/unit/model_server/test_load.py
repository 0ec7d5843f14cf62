"""The load generator against a local server that keeps its own count."""

import asyncio
import itertools
import json
import subprocess
import sys
from pathlib import Path

import pytest
from aiohttp import web

from tests import load
from tests.load import Answer, Load, LoadError, Report

ROOT = Path(__file__).parents[3]


class Server:
    """Answers as `behave` says; keeps what it was asked."""

    def __init__(self, behave):
        self._behave = behave
        self.requests = []

    async def _handle(self, request):
        self.requests.append((request.method, request.host, await request.text()))
        return await self._behave(len(self.requests))

    async def __aenter__(self):
        app = web.Application()
        app.router.add_route("*", "/predict", self._handle)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/predict"
        return self

    async def __aexit__(self, *_):
        await self._runner.cleanup()


async def fine(_number):
    return web.json_response({"prediction": 0, "probability": 0.9, "model_version": "1"})


def against(behave, **options):
    async def run():
        async with Server(behave) as server:
            report = await Load(server.url, **options).run()
            return report, server.requests

    return asyncio.run(run())


def test_as_many_requests_are_sent_as_rate_and_duration_say():
    report, asked = against(fine, rps=100, duration=1.5)
    assert len(report.answers) == len(asked) == 150
    assert report.counts() == {"1": {"200": 150}}


def test_due_times_are_spread_evenly_and_each_second_is_full():
    report, _ = against(fine, rps=40, duration=2)
    due = sorted(answer.due for answer in report.answers)
    gaps = [later - earlier for earlier, later in itertools.pairwise(due)]
    assert gaps == pytest.approx([1 / 40] * 79, abs=1e-4)
    first, *whole, last = [counts["1"]["200"] for counts in report.by_second().values()]
    assert first + sum(whole) + last == 80
    assert all(count == 40 for count in whole)


def test_a_server_that_does_not_answer_slows_nothing_down():
    async def run():
        enough = asyncio.Event()

        async def hold(number):
            # Only open-loop load gets here: no request is answered before the last one has arrived.
            if number == 60:
                enough.set()
            await enough.wait()
            return await fine(number)

        async with Server(hold) as server:
            return await Load(server.url, rps=100, duration=0.6).run()

    report = asyncio.run(run())
    assert report.counts() == {"1": {"200": 60}}


def test_bodies_are_valid_questions_and_carry_the_host_that_was_asked_for():
    _, asked = against(fine, rps=50, duration=0.1, host="fraud.example.com")
    assert {(method, host) for method, host, _ in asked} == {("POST", "fraud.example.com")}
    assert all(len(json.loads(body)["features"]) == 4 for _, _, body in asked)


def test_versions_and_statuses_are_told_apart():
    async def mixed(number):
        if number % 4 == 0:
            return web.json_response({"detail": "internal error"}, status=500)
        return web.json_response({"model_version": "2" if number % 4 == 1 else "1"})

    report, _ = against(mixed, rps=200, duration=0.2)
    assert report.counts() == {"-": {"500": 10}, "1": {"200": 20}, "2": {"200": 10}}
    assert len(report.failures()) == report.summary()["failures"] == 10


def test_timeouts_cut_connections_and_refusals_are_records_of_their_own_kind():
    async def hang(_number):
        await asyncio.Event().wait()

    report, _ = against(hang, rps=20, duration=0.1, timeout=0.2)
    assert report.counts() == {"-": {"Timeout": 2}}

    async def refused():
        async with Server(fine) as server:
            url = server.url
        return await Load(url, rps=20, duration=0.1).run()

    report = asyncio.run(refused())
    assert report.counts() == {"-": {"ClientConnectorError": 2}}
    assert report.summary()["latency_ms"] == {"p50": None, "p95": None, "p99": None}


def test_requests_beyond_the_most_in_flight_are_recorded_as_unsent(monkeypatch):
    monkeypatch.setattr(load, "MOST_IN_FLIGHT", 3)

    async def hang(_number):
        await asyncio.Event().wait()

    report, asked = against(hang, rps=100, duration=0.1, timeout=0.5)
    assert report.counts() == {"-": {"Timeout": 3, "Unsent": 7}}
    assert len(asked) == 3


def test_redirects_are_not_followed():
    async def elsewhere(_number):
        raise web.HTTPFound("http://127.0.0.1:1/")

    report, _ = against(elsewhere, rps=20, duration=0.1)
    assert report.counts() == {"-": {"302": 2}}


def test_a_stopped_load_sends_no_more_and_reports_what_it_has():
    async def run():
        async with Server(fine) as server:
            steady = Load(server.url, rps=50, duration=3_600)
            steady.on_answer = lambda _: steady.stop() if len(steady.answers) == 10 else None
            return await asyncio.wait_for(steady.run(), 30), server.requests

    report, asked = asyncio.run(run())
    assert 10 <= len(report.answers) == len(asked) <= 12


def test_seconds_are_counted_by_the_time_a_request_was_due():
    report = Report(
        (
            Answer(due=100.2, at=100.2, latency=1.5, status=200, version="1"),
            Answer(due=100.9, at=101.1, latency=0.1, status=500),
            Answer(due=101.0, at=101.0, latency=0.3, error="Timeout"),
        )
    )
    assert report.by_second() == {100: {"-": {"500": 1}, "1": {"200": 1}}, 101: {"-": {"Timeout": 1}}}
    assert report.latency(0.5) == 1.5
    assert report.latency(0.0) == 0.1


@pytest.mark.parametrize(
    "url",
    [
        "http://8.8.8.8/predict",
        "http://192.168.1.10/predict",
        "http://10.0.0.5/predict",
        "http://example.com/predict",
        "http://localhost.example.com/predict",
        "http://127.0.0.1@8.8.8.8/predict",
        "http://[2001:db8::1]/predict",
        "https://127.0.0.1/predict",
        "/predict",
    ],
)
def test_no_load_goes_to_any_other_address(url):
    with pytest.raises(LoadError, match=r"expected|no load is sent there"):
        Load(url, rps=1, duration=1)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:80/", "http://localhost:80/", "http://[::1]/", "http://10.244.0.7:8000/"]
)
def test_loopback_and_pods_of_a_local_cluster_are_allowed(url):
    assert Load(url, rps=1, duration=1).url == url


@pytest.mark.parametrize(("rps", "duration"), [(0, 1), (-5, 1), (1e6, 1), (1, 0), (1, 1e9), (float("nan"), 1)])
def test_rate_and_duration_are_bounded(rps, duration):
    with pytest.raises(LoadError, match="expected more than 0 and at most"):
        Load("http://127.0.0.1/", rps=rps, duration=duration)


def test_the_command_prints_one_json_report_and_writes_every_record(tmp_path):
    async def run():
        async with Server(fine) as server:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.load", "--url", server.url, "--rps", "50", "--duration", "0.4"),
                *("--output", "json", "--records", str(tmp_path / "records")),
                cwd=ROOT,
                stdout=subprocess.PIPE,
            )
            return (await process.communicate())[0]

    summary = json.loads(asyncio.run(run()))
    records = [json.loads(line) for line in (tmp_path / "records").read_text().splitlines()]
    assert summary["requests"] == len(records) == 20
    assert summary["counts"] == {"1": {"200": 20}}
    assert {record["version"] for record in records} == {"1"}


def test_the_command_refuses_a_foreign_address_in_words():
    command = [sys.executable, "-m", "tests.load", "--url", "http://8.8.8.8/"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "8.8.8.8 is neither loopback nor a pod" in done.stderr
