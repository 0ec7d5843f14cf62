"""The comparer's server against model servers on loopback."""

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from modelrollout.api.settings import ComparerSettings
from modelrollout.api.shadow import Shadow
from modelrollout.comparer import server
from modelrollout.comparer.__main__ import METRICS_PORT, PORT
from modelrollout.comparer.agreement import Comparison
from modelrollout.comparer.configuration import VARIABLE, Configuration, Limits, Version
from modelrollout.comparer.server import Comparer, mirrored, told
from modelrollout.workload.comparer import comparer_deployment
from modelrollout.workload.identity import Owner
from tests.fakes.loop import in_loop

PACKAGE = Path(server.__file__).parent


class Model:
    """A model server: answers with `answer`, a function of the request, and remembers what it was asked."""

    def __init__(self, answer):
        self.answer, self.asked = answer, []

    async def __call__(self, request):
        body = await request.read()
        self.asked.append((request.method, request.path_qs, dict(request.headers), body))
        found = self.answer(request)
        return await found if asyncio.iscoroutine(found) else found


def scored(score):
    return lambda _request: web.json_response({"score": score})


@contextlib.asynccontextmanager
async def running(app):
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
    finally:
        await runner.cleanup()


def served(model):
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", model.__call__)
    return running(app)


@contextlib.asynccontextmanager
async def compared(candidate, stable, limits=None, **compare):
    """A comparer between two models: where it takes copies, where it tells, and itself."""
    compare = compare or {"method": "Exact", "path": "score"}
    async with served(candidate) as one, served(stable) as other:
        configuration = Configuration(Version("2-bb", one), Version("1-aa", other), Comparison.of(compare))
        comparer = Comparer(replace(configuration, limits=limits or Limits()))
        async with running(mirrored(comparer)) as copies, running(told(comparer)) as telling:
            yield copies, telling, comparer


async def told_by(url):
    async with aiohttp.ClientSession() as session, session.get(f"{url}/metrics") as response:
        return {
            line.split(" ")[0]: float(line.split(" ")[1])
            for line in (await response.text()).splitlines()
            if not line.startswith("#")
        }


def outcome(name, found):
    return found[f'shadow_comparisons_total{{against="1-aa",outcome="{name}",revision="2-bb"}}']


async def send(url, count=1, method="POST", path="/predict?a=%2F", **more):
    async with aiohttp.ClientSession() as session:
        for _ in range(count):
            async with session.request(method, f"{url}{path}", **({"json": {"x": 1}} | more)) as response:
                status = response.status
    return status


@in_loop
async def test_both_versions_are_asked_what_was_mirrored_and_pairs_are_counted():
    candidate, stable = Model(scored(1)), Model(scored(1))
    async with compared(candidate, stable) as (copies, telling, comparer):
        assert await send(copies, 3, headers={"x-tenant": "acme", "Connection": "x-hop", "x-hop": "1"}) == 202
        await comparer.drained()
        found = await told_by(telling)
    for model, role in ((candidate, "candidate"), (stable, "stable")):
        assert len(model.asked) == 3
        method, target, headers, body = model.asked[0]
        assert (method, target, body) == ("POST", "/predict?a=/", b'{"x": 1}')
        assert headers["x-modelrollout-shadow"] == role
        assert headers["x-tenant"] == "acme"
        assert "x-hop" not in headers
    assert outcome("Agree", found) == 3
    assert outcome("Disagree", found) == 0
    assert found['shadow_request_duration_seconds_count{against="1-aa",revision="2-bb",role="stable"}'] == 3


@in_loop
async def test_a_known_share_of_disagreement_is_counted_as_it_is():
    turn = iter(range(1000))
    candidate = Model(lambda _request: web.json_response({"score": 2 if next(turn) % 4 == 0 else 1}))
    async with compared(candidate, Model(scored(1))) as (copies, telling, comparer):
        await send(copies, 40)
        await comparer.drained()
        found = await told_by(telling)
    assert (outcome("Agree", found), outcome("Disagree", found)) == (30, 10)
    assert found['shadow_prediction_delta_count{against="1-aa",revision="2-bb"}'] == 40
    assert found['shadow_prediction_delta_sum{against="1-aa",revision="2-bb"}'] == 10


@in_loop
async def test_failures_are_told_by_role_and_are_no_pairs():
    bad = Model(lambda _request: web.Response(status=503))
    async with compared(bad, Model(scored(1))) as (copies, telling, comparer):
        await send(copies, 2)
        await comparer.drained()
        found = await told_by(telling)
    assert outcome("CandidateFailed", found) == 2
    assert outcome("Agree", found) + outcome("Disagree", found) == 0
    assert found['shadow_errors_total{against="1-aa",revision="2-bb",role="candidate"}'] == 2
    assert found['shadow_errors_total{against="1-aa",revision="2-bb",role="stable"}'] == 0


@in_loop
async def test_a_refusal_by_one_is_a_disagreement_and_by_both_is_none():
    refusing = Model(lambda _request: web.json_response({}, status=422))
    async with compared(refusing, Model(scored(1))) as (copies, telling, comparer):
        await send(copies)
        await comparer.drained()
        assert outcome("Disagree", await told_by(telling)) == 1
    async with compared(refusing, refusing) as (copies, telling, comparer):
        await send(copies)
        await comparer.drained()
        assert outcome("Incomparable", await told_by(telling)) == 1


@in_loop
async def test_what_is_no_json_is_no_pair_or_a_disagreement():
    text = Model(lambda _request: web.Response(text="hello"))
    async with compared(text, Model(scored(1))) as (copies, telling, comparer):
        await send(copies)
        await comparer.drained()
        assert outcome("Disagree", await told_by(telling)) == 1
    async with compared(Model(scored(1)), text) as (copies, telling, comparer):
        await send(copies)
        await comparer.drained()
        assert outcome("Incomparable", await told_by(telling)) == 1


@in_loop
async def test_more_than_it_bears_is_dropped_and_counted_and_keeps_nobody_waiting():
    free = asyncio.Event()

    async def slow(_request):
        await free.wait()
        return web.json_response({"score": 1})

    limits = Limits(waiting=2, concurrency=1)
    async with compared(Model(slow), Model(scored(1)), limits) as (copies, telling, comparer):
        await asyncio.wait_for(send(copies, 10), 10)
        found = await told_by(telling)
        # One is under way and two wait; whether the first was taken up before the third came is chance.
        assert 7 <= outcome("Dropped", found) <= 8
        free.set()
        await comparer.drained()
        found = await told_by(telling)
    assert outcome("Agree", found) + outcome("Dropped", found) == 10


@in_loop
async def test_bodies_and_answers_beyond_the_limit_are_not_kept():
    large = Model(lambda _request: web.json_response({"score": "x" * 5000}))
    limits = Limits(largest=1000)
    async with compared(large, Model(scored(1)), limits) as (copies, telling, comparer):
        assert await send(copies, json={"x": "y" * 2000}) == 413
        await send(copies)
        await comparer.drained()
        found = await told_by(telling)
    assert outcome("TooLarge", found) == 2
    assert len(large.asked) == 1


@in_loop
async def test_a_version_that_does_not_answer_in_time_has_failed():
    async def never(_request):
        await asyncio.Event().wait()

    limits = Limits(timeout=0.2)
    async with compared(Model(never), Model(scored(1)), limits) as (copies, telling, comparer):
        await send(copies)
        await asyncio.wait_for(comparer.drained(), 10)
        assert outcome("CandidateFailed", await told_by(telling)) == 1


@in_loop
async def test_a_version_that_is_gone_and_a_redirect_elsewhere_are_survived():
    elsewhere = Model(lambda _request: web.Response(status=302, headers={"Location": "http://127.0.0.1:9/"}))
    async with compared(elsewhere, Model(scored(1))) as (copies, telling, comparer):
        gone = replace(comparer.configuration, stable=Version("1-aa", "http://127.0.0.1:1"))
        await send(copies)
        await comparer.drained()
        assert len(elsewhere.asked) == 1
        assert outcome("Disagree", await told_by(telling)) == 1
        comparer.configuration = gone
        await send(copies)
        await comparer.drained()
        assert outcome("StableFailed", await told_by(telling)) == 1


@in_loop
async def test_all_outcomes_are_there_from_the_start_and_readiness_is_told():
    async with compared(Model(scored(1)), Model(scored(1))) as (_, telling, _comparer):
        found = await told_by(telling)
        names = [
            "Agree",
            "Disagree",
            "Incomparable",
            "CandidateFailed",
            "StableFailed",
            "BothFailed",
            "Dropped",
            "TooLarge",
        ]
        assert [outcome(name, found) for name in names] == [0.0] * len(names)
        async with aiohttp.ClientSession() as session, session.get(f"{telling}/readyz") as response:
            assert response.status == 200


@pytest.mark.parametrize("module", ["modelrollout.comparer", "comparer"])
def test_a_configuration_that_cannot_be_read_ends_it_with_a_word(module, tmp_path):
    """As part of the operator's package, and as the image has it: alone."""
    shutil.copytree(PACKAGE, tmp_path / "comparer")
    environment = {name: value for name, value in os.environ.items() if name != "COMPARER_CONFIGURATION"}
    for more in ({}, {"COMPARER_CONFIGURATION": "{}"}, {"COMPARER_CONFIGURATION": "no json"}):
        done = subprocess.run(
            [sys.executable, "-m", module],
            env=environment | more | {"PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 2
        assert done.stderr.startswith("COMPARER_CONFIGURATION cannot be read")


def test_it_reads_what_the_operator_writes():
    """The two know nothing of each other but this text."""
    settings = ComparerSettings(image="comparer:1")
    shadow = Shadow.model_validate(
        {
            "percent": 10,
            "match": [{"method": "POST"}],
            "compare": {"method": "Tolerance", "tolerance": "1%", "path": "a[*].b", "ignore": ["t"]},
        }
    )
    made = comparer_deployment(Owner("ml", "fraud", "u"), settings, shadow, "2-bb", "1-aa")
    [container] = made["spec"]["template"]["spec"]["containers"]
    [variable] = container["env"]
    assert variable["name"] == VARIABLE
    found = Configuration.parse(variable["value"])
    assert found.candidate == Version("2-bb", "http://fraud-2-bb.ml.svc:80")
    assert found.stable == Version("1-aa", "http://fraud-1-aa.ml.svc:80")
    assert found.comparison == Comparison.of(shadow.compare.written())
    assert (found.comparison.relative, found.comparison.tolerance) == (True, 0.01)
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"http": PORT, "metrics": METRICS_PORT}
