"""The client against a server of our own: what it sends, and what it makes of every way to fail."""

import asyncio
import json
import socket
import subprocess
import sys
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from kubernetes.aio.client.configuration import Configuration

from modelrollout import __version__
from modelrollout.kube.api import Selection, Version
from modelrollout.kube.client import Client, load_configuration
from modelrollout.kube.errors import (
    AlreadyExists,
    ApiError,
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    NotFound,
    OutcomeUnknown,
    TooManyRequests,
    Unauthorized,
    Unavailable,
    Unreachable,
)
from modelrollout.kube.kinds import LEASE, MODEL_DEPLOYMENT, POD, SERVICE, Ref
from tests.fakes.loop import in_loop

REF = Ref(SERVICE, "ml", "fraud")
SERVICE_MANIFEST = {"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "ml", "name": "fraud"}}


@asynccontextmanager
async def serving(answer, **options):
    """A client of a server that answers with `answer(request, body)`; also the list of what was seen."""
    seen = []

    async def handle(request):
        body = await request.json() if request.can_read_body else None
        seen.append((request, body))
        return await answer(request, body)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]
    client = Client(Configuration(host=f"http://127.0.0.1:{port}"), **options)
    try:
        yield client, seen
    finally:
        await client.close()
        await runner.cleanup()


def always(body=None, status=200, headers=None):
    async def answer(request, sent):
        return web.json_response(body if body is not None else {}, status=status, headers=headers)

    return answer


def failure(code, reason="", **details):
    return {"kind": "Status", "code": code, "reason": reason, "message": f"it is {code}", "details": details}


@pytest.mark.parametrize(
    ("code", "reason", "error"),
    [
        (400, "BadRequest", Invalid),
        (401, "Unauthorized", Unauthorized),
        (403, "Forbidden", Forbidden),
        (404, "NotFound", NotFound),
        (409, "Conflict", Conflict),
        (409, "AlreadyExists", AlreadyExists),
        (410, "Expired", Gone),
        (418, "", ApiError),
        (422, "Invalid", Invalid),
        (429, "TooManyRequests", TooManyRequests),
        (500, "InternalError", Unavailable),
        (503, "ServiceUnavailable", Unavailable),
        (504, "Timeout", Unavailable),
    ],
)
@in_loop
async def test_each_code_is_an_error_of_its_own_that_names_the_request(code, reason, error):
    async with serving(always(failure(code, reason), status=code)) as (client, _):
        with pytest.raises(error) as caught:
            await client.get(REF)
    assert type(caught.value) is error
    assert caught.value.code == code
    assert str(caught.value) == f"GET services ml/fraud: it is {code}"
    assert caught.value.outcome_known


@in_loop
async def test_after_a_server_error_on_a_write_nothing_is_known():
    async with serving(always(failure(504), status=504)) as (client, _):
        with pytest.raises(Unavailable) as caught:
            await client.apply(SERVICE_MANIFEST)
    assert not caught.value.outcome_known


@in_loop
async def test_when_to_come_back_is_read_from_header_or_body():
    async with serving(always(failure(429), status=429, headers={"Retry-After": "7"})) as (client, _):
        with pytest.raises(TooManyRequests) as caught:
            await client.get(REF)
        assert caught.value.retry_after == 7
    async with serving(always(failure(503, retryAfterSeconds=3), status=503)) as (client, _):
        with pytest.raises(Unavailable) as caught:
            await client.get(REF)
        assert caught.value.retry_after == 3
    async with serving(always(failure(429), status=429, headers={"Retry-After": "soon"})) as (client, _):
        with pytest.raises(TooManyRequests) as caught:
            await client.get(REF)
        assert caught.value.retry_after == 1


@in_loop
async def test_what_the_server_objects_to_is_kept_by_field():
    causes = [{"field": "spec.ports", "reason": "FieldValueRequired", "message": "Required value"}]
    async with serving(always(failure(422, "Invalid", causes=causes), status=422)) as (client, _):
        with pytest.raises(Invalid) as caught:
            await client.create(SERVICE_MANIFEST)
    assert caught.value.causes[0].field == "spec.ports"


@pytest.mark.parametrize(
    "message",
    [
        "failed to create typed patch object (ml/fraud; apps/v1, Kind=Deployment): .spec.x: field not declared in schema",
        "failed to convert new object (ml/fraud; apps/v1, Kind=Deployment) to proper version: quantities must match",
    ],
)
def test_a_manifest_that_has_not_the_form_of_its_kind_is_invalid_although_the_server_says_500(message):
    @in_loop
    async def check():
        async def answer(*_):
            return web.json_response({"kind": "Status", "message": message}, status=500)

        async with serving(answer) as (client, _):
            with pytest.raises(Invalid, match="failed to"):
                await client.apply(SERVICE_MANIFEST)
            with pytest.raises(Unavailable):
                await client.replace(SERVICE_MANIFEST)

    check()


@in_loop
async def test_what_the_server_repeats_of_a_spec_is_one_printable_line():
    async def answer(*_):
        return web.json_response({"kind": "Status", "message": "a\x1b[2J\u202eb\n\n  c"}, status=422)

    async with serving(answer) as (client, _):
        with pytest.raises(Invalid) as raised:
            await client.get(REF)
        assert raised.value.message == "a [2J b c"


@in_loop
async def test_an_answer_of_a_proxy_that_is_no_json_is_an_error_with_its_text():
    async def html(request, body):
        return web.Response(status=502, text="<html>Bad Gateway</html>", content_type="text/html")

    async with serving(html) as (client, _):
        with pytest.raises(Unavailable, match="Bad Gateway"):
            await client.get(REF)


@in_loop
async def test_a_refused_connection_is_unreachable_and_nothing_was_sent():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        client = Client(Configuration(host=f"http://127.0.0.1:{taken.getsockname()[1]}"))
        with pytest.raises(Unreachable) as caught:
            await client.apply(SERVICE_MANIFEST)
        assert caught.value.outcome_known
        await client.close()


@pytest.mark.parametrize("how", ["hangs", "cuts off"])
@in_loop
async def test_a_write_without_an_answer_has_an_unknown_outcome_and_a_read_has_none(how):
    async def silent(request, body):
        if how == "hangs":
            await asyncio.sleep(30)
        request.transport.abort()
        return web.Response()

    async with serving(silent, timeout=0.3) as (client, seen):
        with pytest.raises(OutcomeUnknown) as caught:
            await client.apply(SERVICE_MANIFEST)
        assert not caught.value.outcome_known
        assert len(seen) == 1  # nothing was sent again
        with pytest.raises(Unreachable):
            await client.get(REF)


@in_loop
async def test_an_apply_says_who_applies_by_force_or_not_and_which_object_it_is_meant_for():
    async with serving(always({"metadata": {}})) as (client, seen):
        await client.apply(SERVICE_MANIFEST, force=True, only_if=Version("u1", "42"), dry_run=True)
        await client.apply(SERVICE_MANIFEST)
    request, body = seen[0]
    assert request.method == "PATCH"
    assert request.path == "/api/v1/namespaces/ml/services/fraud"
    assert request.headers["Content-Type"] == "application/apply-patch+yaml"
    assert request.headers["User-Agent"] == f"modelrollout/{__version__}"
    assert dict(request.query) == {
        "fieldManager": "modelrollout",
        "force": "true",
        "fieldValidation": "Strict",
        "dryRun": "All",
    }
    assert body["metadata"] == {"namespace": "ml", "name": "fraud", "uid": "u1", "resourceVersion": "42"}
    assert seen[1][0].query["force"] == "false"
    assert seen[1][1] == SERVICE_MANIFEST
    assert "uid" not in SERVICE_MANIFEST["metadata"]


@in_loop
async def test_a_status_goes_to_its_own_endpoint_without_spec():
    async with serving(always({"metadata": {}})) as (client, seen):
        await client.replace_status(Ref(MODEL_DEPLOYMENT, "ml", "fraud"), {"phase": "Healthy"}, resource_version="42")
    request, body = seen[0]
    assert request.method == "PUT"
    assert request.path == "/apis/modelrollout.dev/v1alpha1/namespaces/ml/modeldeployments/fraud/status"
    assert body == {
        "apiVersion": "modelrollout.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"namespace": "ml", "name": "fraud", "resourceVersion": "42"},
        "status": {"phase": "Healthy"},
    }


@in_loop
async def test_a_list_is_read_page_by_page_with_the_continue_token_alone():
    async def answer(request, body):
        last = request.query.get("continue")
        metadata = {"resourceVersion": "77"} | ({} if last else {"continue": "next"})
        return web.json_response({"metadata": metadata, "items": [{"n": 2 if last else 1}]})

    async with serving(answer) as (client, seen):
        pages = [page async for page in client.pages(POD, labels="a=b", resource_version="0", limit=1)]
    assert [page.items for page in pages] == [({"n": 1},), ({"n": 2},)]
    assert {page.resource_version for page in pages} == {"77"}
    assert dict(seen[0][0].query) == {"limit": "1", "labelSelector": "a=b", "resourceVersion": "0"}
    assert dict(seen[1][0].query) == {"limit": "1", "labelSelector": "a=b", "continue": "next"}
    assert seen[0][0].path == "/api/v1/pods"


@in_loop
async def test_a_list_that_expires_between_two_pages_is_gone():
    async def answer(request, body):
        if "continue" in request.query:
            return web.json_response(failure(410, "Expired"), status=410)
        return web.json_response({"metadata": {"resourceVersion": "7", "continue": "x"}, "items": []})

    async with serving(answer) as (client, _):
        with pytest.raises(Gone):
            _ = [page async for page in client.pages(POD)]


def stream(*parts):
    """A watch that sends these pieces and ends."""

    async def answer(request, sent):
        response = web.StreamResponse()
        await response.prepare(request)
        for part in parts:
            await response.write(part)
        return response

    return answer


def line(kind, version, **fields):
    raw = {"type": kind, "object": {"metadata": {"name": "fraud", "resourceVersion": str(version)}, **fields}}
    return json.dumps(raw).encode() + b"\n"


@in_loop
async def test_a_watch_is_read_line_by_line_however_long_and_however_it_is_cut():
    long = line("MODIFIED", 8, filling="x" * 300_000)
    parts = (line("ADDED", 7) + long[:9], long[9:], b"\n", line("BOOKMARK", 9))
    async with serving(stream(*parts)) as (client, seen):
        what = Selection(SERVICE, "ml", labels="modelrollout.dev/deployment")
        found = [told async for told in client.watch(what, "6")]
        assert [(told.type, told.resource_version) for told in found] == [
            ("ADDED", "7"),
            ("MODIFIED", "8"),
            ("BOOKMARK", "9"),
        ]
        assert len(found[1].raw["filling"]) == 300_000
        request = seen[0][0]
        assert request.path == "/api/v1/namespaces/ml/services"
        assert request.query["watch"] == request.query["allowWatchBookmarks"] == "true"
        assert (request.query["resourceVersion"], request.query["timeoutSeconds"]) == ("6", "300")
        assert request.query["labelSelector"] == "modelrollout.dev/deployment"


@in_loop
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (always(failure(410, "Expired"), 410), Gone),
        (stream(line("ADDED", 7), json.dumps({"type": "ERROR", "object": failure(410)}).encode() + b"\n"), Gone),
        (stream(line("ADDED", 7), line("ADDED", 8)[:20]), Unreachable),
        (stream(line("ADDED", 7), b"<html>\n"), Unreachable),
        (always(failure(403), 403), Forbidden),
    ],
)
async def test_a_watch_that_fails_says_how(answer, error):
    async with serving(answer) as (client, _):
        with pytest.raises(error):
            async for _ in client.watch(Selection(SERVICE), "6"):
                pass


@in_loop
async def test_a_watch_on_which_nothing_comes_is_broken(monkeypatch):
    monkeypatch.setattr("modelrollout.kube.client._QUIET", 0.2)

    async def silent(request, sent):
        response = web.StreamResponse()
        await response.prepare(request)
        await asyncio.get_running_loop().create_future()

    async with serving(silent) as (client, _):
        with pytest.raises(Unreachable, match="WATCH services"):
            async for _ in client.watch(Selection(SERVICE), "6"):
                pass


@in_loop
async def test_no_more_requests_than_allowed_are_under_way_at_once():
    now = most = 0

    async def answer(request, body):
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.01)
        now -= 1
        return web.json_response({})

    async with serving(answer, concurrency=3) as (client, seen):
        await asyncio.gather(*(client.get(REF) for _ in range(12)))
    assert most == 3
    assert len(seen) == 12


@in_loop
async def test_each_request_is_counted_by_verb_resource_and_code():
    counted = []
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        away = Client(
            Configuration(host=f"http://127.0.0.1:{taken.getsockname()[1]}"),
            observer=lambda verb, resource, code, seconds: counted.append((verb, resource, code)),
        )
        with pytest.raises(Unreachable):
            await away.get(REF)
        await away.close()
    async with serving(
        always({"metadata": {}, "items": []}),
        observer=lambda verb, resource, code, seconds: counted.append((verb, resource, code)),
    ) as (client, _):
        await client.list(LEASE)
        await client.apply(SERVICE_MANIFEST)
    assert counted == [("GET", "services", "Unreachable"), ("LIST", "leases", "200"), ("APPLY", "services", "200")]


@in_loop
async def test_a_warning_of_the_server_is_logged_once(caplog):
    async with serving(always({}, headers={"Warning": '299 - "unknown field spec.foo"'})) as (client, _):
        await client.get(REF)
        await client.get(REF)
    assert caplog.text.count("unknown field spec.foo") == 1


@in_loop
async def test_a_rotated_token_is_read_again(tmp_path, monkeypatch):
    from kubernetes.aio.config import incluster_config  # noqa: PLC0415 only its file names are replaced

    token, ca = tmp_path / "token", tmp_path / "ca.crt"
    token.write_text("first")
    ca.write_text("unused")
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(ca))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "1")
    configuration = await load_configuration()
    configuration.ssl_ca_cert = None
    client = Client(configuration)
    first = await client._headers("application/json")
    token.write_text("second")
    loader = configuration.refresh_api_key_hook.__closure__[0].cell_contents
    loader.token_expires_at -= loader._token_refresh_period * 2  # its minute has passed
    second = await client._headers("application/json")
    await client.close()
    assert [headers["authorization"] for headers in (first, second)] == ["bearer first", "bearer second"]


def test_the_typed_models_are_not_imported():
    loaded = "import sys, modelrollout.kube.client; print(*(m for m in sys.modules if 'client.models.' in m))"
    found = subprocess.run(
        [sys.executable, "-c", loaded], env={"PYTHONPATH": "operator"}, capture_output=True, text=True, check=True
    )
    assert found.stdout.split() == []
