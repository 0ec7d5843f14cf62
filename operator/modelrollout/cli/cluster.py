"""The plugin's edge to the API server, with the rights of the person who calls it.

It is the operator's own client (requests with a time limit, errors as one tree) under another field manager, plus the three
things that only a person's tool needs: a watch of one object, a merge patch, and the question "who am I". Commands know the
protocol `Cluster` alone, so that tests put a small one in its place.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlencode

import aiohttp

from modelrollout.kube.client import Client, load_configuration
from modelrollout.kube.errors import Forbidden, NotFound, Unreachable, from_status
from modelrollout.kube.kinds import SELF_REVIEW, Kind, Ref

from .failures import Failure
from .kubeconfig import Options, Target, locate

FIELD_MANAGER = "kubectl-modelrollout"
WATCH_SECONDS = 60
"""A watch is renewed so often: short enough to notice a connection that died silently."""
_ERRORS_FROM = 400

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """What a watch reports: the object as it is now, or that it was deleted (the object as it was last)."""

    item: Json
    deleted: bool = False


class Cluster(Protocol):
    """What commands ask of the API server. All methods raise `ApiError`."""

    namespace: str
    """Of `--namespace` or of the context."""

    async def get(self, ref: Ref) -> Json:
        """Read one object."""

    async def items(self, kind: Kind, namespace: str, labels: str = "") -> list[Json]:
        """List a kind in one namespace or (empty) in all."""

    async def create(self, manifest: Json) -> Json:
        """Create an object."""

    async def patch(self, ref: Ref, body: Json) -> Json:
        """Merge `body` into an object."""

    def watch(self, ref: Ref, resource_version: str) -> AsyncIterator[Change]:
        """Report changes of one object after that version; ends after a while, or raises `Gone`."""

    async def user(self) -> str:
        """Name of the authenticated user; where the server cannot say, the kubeconfig's name for the credentials."""

    async def renew(self) -> None:
        """Load the credentials again (short-lived ones run out in a long `wait`)."""


class ApiServer:
    """`Cluster` over HTTP."""

    def __init__(self, target: Target, client: _Client) -> None:
        self._target = target
        self._client = client
        self.namespace = target.namespace

    async def get(self, ref: Ref) -> Json:
        return await self._client.get(ref)

    async def items(self, kind: Kind, namespace: str, labels: str = "") -> list[Json]:
        found: list[Json] = []
        async for page in self._client.pages(kind, namespace=namespace, labels=labels):
            found += page.items
        return found

    async def create(self, manifest: Json) -> Json:
        return await self._client.create(manifest)

    async def patch(self, ref: Ref, body: Json) -> Json:
        return await self._client.patch(ref, body)

    def watch(self, ref: Ref, resource_version: str) -> AsyncIterator[Change]:
        return self._client.watch(ref, resource_version)

    async def user(self) -> str:
        review = {"apiVersion": SELF_REVIEW.api_version, "kind": SELF_REVIEW.kind, "metadata": {}}
        try:
            answer = await self._client.create(review)
        except (NotFound, Forbidden):
            return self._target.user
        return str(((answer.get("status") or {}).get("userInfo") or {}).get("username") or self._target.user)

    async def renew(self) -> None:
        await self._client.close()
        self._client = await _client(self._target)

    async def close(self) -> None:
        await self._client.close()


@asynccontextmanager
async def connect(options: Options) -> AsyncIterator[Cluster]:
    """Talk to the cluster that the options, the environment and the kubeconfig name. Raises Failure."""
    target = locate(options)
    server = ApiServer(target, await _client(target))
    try:
        yield server
    finally:
        await server.close()


async def _client(target: Target) -> _Client:
    from kubernetes.aio.config import ConfigException  # noqa: PLC0415  loaded with the client anyway

    try:
        configuration = await load_configuration(target.paths, target.context)
        return _Client(configuration, field_manager=FIELD_MANAGER)
    except (ConfigException, OSError, ValueError) as error:
        where = target.paths or "the pod's service account"
        raise Failure(f"the credentials in {where} cannot be used: {error}") from error


class _Client(Client):
    """The operator's client and a watch of one object (the operator itself is fed by kopf's watches)."""

    async def watch(self, ref: Ref, resource_version: str) -> AsyncIterator[Change]:
        what = f"WATCH {ref}"
        try:
            async with self._stream(ref, resource_version) as response:
                if response.status >= _ERRORS_FROM:
                    raise from_status(response.status, _parsed(await response.read()), request=what, write=False)
                async for line in response.content:
                    yield _change(_parsed(line), what)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise Unreachable(str(error) or type(error).__name__, request=what) from error

    @asynccontextmanager
    async def _stream(self, ref: Ref, resource_version: str) -> AsyncIterator[aiohttp.ClientResponse]:
        query = {
            "watch": "true",
            "fieldSelector": f"metadata.name={ref.name}",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        url = f"{self._configuration.host}{ref.kind.path(ref.namespace)}?{urlencode(query)}"
        # A server that is there ends the watch itself; silence beyond that means that the connection is dead.
        patience = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=WATCH_SECONDS + 15)
        headers = await self._headers("application/json")
        answer = await self._client.call_api("GET", url, header_params=headers, _request_timeout=patience)
        async with answer.response as response:
            yield response


def _parsed(raw: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(raw)
    except ValueError:
        # Cut off in the middle of a line, or a proxy that answers in HTML.
        return {"message": raw[:200].decode("utf-8", "replace")}
    return answer if isinstance(answer, dict) else {}


def _change(event: Json, what: str) -> Change:
    item = event.get("object") or {}
    match event.get("type"):
        case "ADDED" | "MODIFIED":
            return Change(item)
        case "DELETED":
            return Change(item, deleted=True)
        case "ERROR":
            raise from_status(int(item.get("code") or 500), item, request=what, write=False)
    raise Unreachable("the stream was cut off", request=what)
