"""The edge to the API server, against a small HTTP server that answers as the real one does."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import yaml
from aiohttp import web

from modelrollout.cli.cluster import Change, connect
from modelrollout.cli.failures import Failure
from modelrollout.cli.follow import follow
from modelrollout.cli.kubeconfig import Options
from modelrollout.kube.errors import Gone, NotFound, Unreachable
from modelrollout.kube.kinds import DEPLOYMENT, MODEL_DEPLOYMENT, Ref

FRAUD = Ref(MODEL_DEPLOYMENT, "ml", "fraud")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def served(handler: Handler, path):
    """A kubeconfig that leads to the handler."""
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]
    file = path / "kubeconfig"
    file.write_text(
        yaml.safe_dump(
            {
                "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
                "users": [{"name": "ci-robot", "user": {"token": "secret"}}],
                "contexts": [{"name": "x", "context": {"cluster": "c", "user": "ci-robot", "namespace": "ml"}}],
                "current-context": "x",
            }
        )
    )
    try:
        async with connect(Options(kubeconfig=str(file))) as cluster:
            yield cluster
    finally:
        await runner.cleanup()


def events(*found: dict, cut: str = "") -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for event in found:
            await response.write(json.dumps(event).encode() + b"\n")
        await response.write(cut.encode())
        return response

    return handler


def version(number: int) -> dict:
    return {"metadata": {"name": "fraud", "resourceVersion": str(number)}}


async def watched(handler: Handler, path) -> list[Change]:
    async with served(handler, path) as cluster:
        return [change async for change in cluster.watch(FRAUD, "1")]


def test_a_watch_reports_changes_and_deletion(tmp_path):
    handler = events({"type": "MODIFIED", "object": version(2)}, {"type": "DELETED", "object": version(3)})
    assert asyncio.run(watched(handler, tmp_path)) == [Change(version(2)), Change(version(3), deleted=True)]


def test_a_watch_asks_for_one_object_from_one_version_on(tmp_path):
    asked: list[web.Request] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        asked.append(request)
        return await events()(request)

    asyncio.run(watched(handler, tmp_path))
    (request,) = asked
    assert request.path == "/apis/modelrollout.dev/v1alpha1/namespaces/ml/modeldeployments"
    assert request.query["fieldSelector"] == "metadata.name=fraud"
    assert request.query["resourceVersion"] == "1"
    assert request.query["watch"] == "true"
    assert request.headers["Authorization"] == "Bearer secret"


def test_a_version_that_is_too_old_is_gone(tmp_path):
    handler = events({"type": "ERROR", "object": {"kind": "Status", "code": 410, "message": "too old"}})
    with pytest.raises(Gone):
        asyncio.run(watched(handler, tmp_path))


def test_a_watch_that_is_refused_says_why(tmp_path):
    async def handler(request: web.Request) -> web.StreamResponse:
        return web.json_response({"kind": "Status", "code": 404, "message": "not there"}, status=404)

    with pytest.raises(NotFound, match="not there"):
        asyncio.run(watched(handler, tmp_path))


def test_a_stream_that_is_cut_off_within_a_line_is_no_change(tmp_path):
    with pytest.raises(Unreachable):
        asyncio.run(watched(events(cut='{"type": "MODIFIED", "obj'), tmp_path))


def test_following_goes_on_over_streams_that_end(tmp_path):
    """Each read shows the version after next; each watch shows one change and ends."""
    stored = iter([1, 2, 4])
    changes = iter([events({"type": "MODIFIED", "object": version(2)}), events(cut="{"), events()])

    async def handler(request: web.Request) -> web.StreamResponse:
        if "watch" in request.query:
            return await next(changes)(request)
        return web.json_response(version(next(stored)))

    async def seen() -> list[str]:
        found = []
        async with served(handler, tmp_path) as cluster:
            async for item in follow(cluster, FRAUD):
                found.append(item["metadata"]["resourceVersion"])
                if found[-1] == "4":
                    break
        return found

    assert asyncio.run(seen()) == ["1", "2", "4"]


def test_the_user_is_the_one_that_the_server_knows(tmp_path):
    async def handler(request: web.Request) -> web.StreamResponse:
        assert request.path == "/apis/authentication.k8s.io/v1/selfsubjectreviews"
        return web.json_response({"status": {"userInfo": {"username": "alice@example.com"}}}, status=201)

    async def user() -> str:
        async with served(handler, tmp_path) as cluster:
            return await cluster.user()

    assert asyncio.run(user()) == "alice@example.com"


@pytest.mark.parametrize("code", [403, 404])
def test_where_the_server_cannot_say_it_is_the_kubeconfigs_user(tmp_path, code):
    async def handler(request: web.Request) -> web.StreamResponse:
        return web.json_response({"message": "no"}, status=code)

    async def user() -> str:
        async with served(handler, tmp_path) as cluster:
            return await cluster.user()

    assert asyncio.run(user()) == "ci-robot"


def test_a_patch_is_a_merge_under_the_plugins_own_name(tmp_path):
    asked: list[tuple[str, str, str, object]] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        asked.append((request.method, request.content_type, request.query["fieldManager"], await request.json()))
        return web.json_response({})

    async def patched() -> None:
        async with served(handler, tmp_path) as cluster:
            await cluster.patch(Ref(DEPLOYMENT, "ml", "fraud-1"), {"a": {"b": "c"}})

    asyncio.run(patched())
    assert asked == [("PATCH", "application/merge-patch+json", "kubectl-modelrollout", {"a": {"b": "c"}})]


def test_renewed_credentials_are_read_from_the_file_again(tmp_path):
    tokens: list[str] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        tokens.append(request.headers["Authorization"])
        return web.json_response(version(1))

    async def asked() -> None:
        async with served(handler, tmp_path) as cluster:
            await cluster.get(FRAUD)
            file = tmp_path / "kubeconfig"
            file.write_text(file.read_text().replace("token: secret", "token: fresh"))
            await cluster.renew()
            await cluster.get(FRAUD)

    asyncio.run(asked())
    assert tokens == ["Bearer secret", "Bearer fresh"]


def test_credentials_that_cannot_be_used_are_named_by_their_file(tmp_path):
    file = tmp_path / "kubeconfig"
    broken = {
        "clusters": [
            {"name": "c", "cluster": {"server": "https://127.0.0.1:1", "certificate-authority": "missing.pem"}}
        ],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "users": [{"name": "u", "user": {}}],
        "current-context": "x",
    }
    file.write_text(yaml.safe_dump(broken))

    async def connected() -> None:
        async with connect(Options(kubeconfig=str(file))):
            pass

    with pytest.raises(Failure, match=r"the credentials in .*kubeconfig cannot be used: .*missing.pem"):
        asyncio.run(connected())
