"""The plugin's edge to the API server, with the rights of the person who calls it.

It is the operator's own client (requests with a time limit, errors as one tree) under another field manager, and the question
"who am I". Commands know the protocol `Cluster` alone, so that tests put a small one in its place.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from modelrollout.kube.api import Selection
from modelrollout.kube.client import Client, load_configuration
from modelrollout.kube.errors import Forbidden, NotFound
from modelrollout.kube.kinds import SELF_REVIEW, Kind, Ref

from .failures import Failure
from .kubeconfig import Options, Target, locate

FIELD_MANAGER = "kubectl-modelrollout"
WATCH_SECONDS = 60
"""A watch is renewed so often: short enough to notice a connection that died silently."""

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

    def __init__(self, target: Target, client: Client) -> None:
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

    async def watch(self, ref: Ref, resource_version: str) -> AsyncIterator[Change]:
        found = self._client.watch(
            Selection(ref.kind, ref.namespace, name=ref.name), resource_version, seconds=WATCH_SECONDS
        )
        async with aclosing(found):
            async for told in found:
                if told.type != "BOOKMARK":
                    yield Change(told.raw, deleted=told.type == "DELETED")

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


async def _client(target: Target) -> Client:
    from kubernetes.aio.config import ConfigException  # noqa: PLC0415  loaded with the client anyway

    try:
        configuration = await load_configuration(target.paths, target.context)
        return Client(configuration, field_manager=FIELD_MANAGER)
    except (ConfigException, OSError, ValueError) as error:
        where = target.paths or "the pod's service account"
        raise Failure(f"the credentials in {where} cannot be used: {error}") from error
