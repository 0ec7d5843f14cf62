"""A provider over a real socket: every way to fail ends in a typed error within a bounded time."""

import asyncio
import base64
import time
from contextlib import asynccontextmanager

import pytest

from modelrollout.api.settings import Provider
from modelrollout.metrics.errors import AnswerError, HangError, RefusedError, TooLargeError, UnavailableError
from modelrollout.metrics.http import LARGEST_ANSWER
from modelrollout.metrics.provider import CLIENTS, PrometheusSource
from tests.fakes import prometheus as fake
from tests.fakes.loop import in_loop


@asynccontextmanager
async def source(url, **fields):
    largest = fields.pop("largest", 1 << 20)
    observer = fields.pop("observer", None)
    provider = Provider.model_validate({"url": url, "timeout": "1s"} | fields)
    made = PrometheusSource(provider, largest=largest, observer=observer)
    try:
        yield made
    finally:
        made.close()


async def ask(one):
    return await one.instant("up", 1000.0, lambda rows: rows)


@in_loop
async def test_an_answer_comes_as_rows_for_an_explicit_time():
    with fake.FaultyServer() as server:
        server.samples.add("up", {"pod": "a"}, 990.0, 1)
        server.samples.add("up", {"pod": "a"}, 1010.0, 0)
        async with source(server.url) as one:
            [row] = await ask(one)
            assert row == {"metric": {"pod": "a", "__name__": "up"}, "value": [1000.0, "1"]}
            [row] = await one.range("up", 990.0, 1020.0, 15.0, lambda rows: rows)
            assert row["values"] == [[990.0, "1"], [1005.0, "1"], [1020.0, "0"]]
        assert abs(one.skew) < 2


REFUSALS = {
    "HTTP 500": (fake.status(500), UnavailableError, "HTTP 500"),
    "HTTP 503 with words": (
        fake.status(503, b'{"status":"error","error":"query timed out"}'),
        UnavailableError,
        "HTTP 503: query timed out",
    ),
    "HTTP 429": (fake.status(429), UnavailableError, "HTTP 429"),
    "HTTP 422": (fake.status(422, b'{"status":"error","error":"bad"}'), RefusedError, "HTTP 422: bad"),
    "HTTP 401 in HTML": (fake.status(401, b"<html>"), RefusedError, "HTTP 401"),
    "a redirect": (fake.status(302, Location="http://127.0.0.1:1/"), AnswerError, "HTTP 302 instead of an answer"),
    "HTML": (fake.status(200, b"<html>Sign in</html>"), AnswerError, "the answer is not JSON"),
    "no UTF-8": (fake.status(200, b"\xff\xfe\xfa{}"), AnswerError, "the answer is not JSON"),
    "nothing": (fake.status(200), AnswerError, "the answer is not JSON"),
    "JSON of another kind": (fake.status(200, b"[1]"), AnswerError, "the answer has not the form of a Prometheus'"),
    "no data": (fake.status(200, b'{"data":null}'), AnswerError, "the answer has not the form of a Prometheus'"),
    "deep JSON": (fake.status(200, b"[" * 200_000), AnswerError, "the answer has not the form of a Prometheus'"),
    "a cut answer": (fake.truncated, AnswerError, "the answer was cut off"),
    "an answer without end": (fake.huge, TooLargeError, "the answer has more than 1 MB"),
    "a declared size": (fake.status(200, b" " * (2 << 20)), TooLargeError, "the answer has 2 MB"),
    "silence": (fake.hang, HangError, "timed out"),
    "a dripping body": (fake.drip_body, HangError, "timed out"),
    "a dripping head": (fake.drip_headers, HangError, "timed out"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_every_fault_is_a_typed_error_in_bounded_time_and_the_next_query_works(name):
    fault, kind, brief = REFUSALS[name]

    @in_loop
    async def check():
        with fake.FaultyServer() as server:
            async with source(server.url) as one:
                server.fault = fault
                began = time.monotonic()
                with pytest.raises(kind) as raised:
                    await ask(one)
                assert time.monotonic() - began < 3
                assert type(raised.value) is kind
                assert raised.value.brief == brief
                server.fault = None
                assert await ask(one) == []

    check()


@pytest.mark.parametrize("declared", [True, False])
def test_of_an_answer_of_100_megabytes_no_more_is_read_than_is_taken(declared):
    seen = []

    class Watch:
        def queried(self, provider, seconds, received, error):
            seen.append((received, error))

    @in_loop
    async def check():
        with fake.FaultyServer() as server:
            server.fault = fake.status(200, bytes(100 << 20)) if declared else fake.huge
            async with source(server.url, largest=LARGEST_ANSWER, timeout="30s", observer=Watch()) as one:
                with pytest.raises(TooLargeError):
                    await ask(one)

    check()
    [(received, error)] = seen
    assert error == "TooLargeError"
    assert received <= (0 if declared else LARGEST_ANSWER + (1 << 16))


@pytest.mark.parametrize("seconds", [300.0, -300.0])
def test_a_clock_that_is_five_minutes_off_is_noticed_by_its_date(seconds):
    @in_loop
    async def check():
        with fake.FaultyServer() as server:
            server.fault = fake.skewed(seconds)
            async with source(server.url) as one:
                await ask(one)
                assert abs(one.skew - seconds) < 5

    check()


@in_loop
async def test_nobody_listening_and_no_such_name_are_told_apart():
    async with source(fake.refused_url()) as one:
        with pytest.raises(UnavailableError, match="connection refused"):
            await ask(one)
    async with source("http://prometheus.invalid") as one:
        with pytest.raises(UnavailableError) as raised:
            await ask(one)
        assert raised.value.brief in ("its name cannot be resolved", "timed out")


@in_loop
async def test_a_provider_that_hangs_holds_a_few_threads_and_no_other_provider():
    with fake.FaultyServer() as stuck, fake.FaultyServer() as well:
        stuck.fault = fake.hang
        async with source(stuck.url, name="stuck") as one, source(well.url, name="well") as other:
            waiting = [asyncio.create_task(ask(one)) for _ in range(50)]
            await asyncio.sleep(0)
            assert await ask(other) == []
            outcomes = await asyncio.gather(*waiting, return_exceptions=True)
            assert {type(outcome) for outcome in outcomes} == {HangError}
            assert len(stuck.seen) <= 2 * CLIENTS
            stuck.fault = None
            assert await ask(one) == []


@in_loop
async def test_credentials_are_read_from_their_files_each_time(tmp_path):
    token = tmp_path / "token"
    token.write_text("first\n")
    with fake.FaultyServer() as server:
        auth = {"scheme": "Bearer", "tokenFile": str(token)}
        async with source(server.url, auth=auth, headers={"X-Scope-OrgID": "team"}) as one:
            await ask(one)
            token.write_text("second")
            await ask(one)
            token.unlink()
            with pytest.raises(UnavailableError, match="cannot be read"):
                await ask(one)
        assert [headers["Authorization"] for _, headers in server.seen] == ["Bearer first", "Bearer second"]
        assert server.seen[0][1]["X-Scope-OrgID"] == "team"
        (tmp_path / "user").write_text("me")
        (tmp_path / "password").write_text("s3cret\n")
        auth = {"scheme": "Basic", "usernameFile": f"{tmp_path}/user", "passwordFile": f"{tmp_path}/password"}
        async with source(server.url, auth=auth) as one:
            await ask(one)
        assert server.seen[-1][1]["Authorization"] == f"Basic {base64.b64encode(b'me:s3cret').decode()}"


@in_loop
async def test_queries_are_observed_with_time_bytes_and_errors():
    seen = []

    class Watch:
        def queried(self, provider, seconds, received, error):
            seen.append((provider, seconds < 2, received, error))

    with fake.FaultyServer() as server:
        async with source(server.url, name="main", observer=Watch()) as one:
            await ask(one)
            server.fault = fake.status(500)
            with pytest.raises(UnavailableError):
                await ask(one)
    assert seen == [("main", True, 69, None), ("main", True, 0, "UnavailableError")]
