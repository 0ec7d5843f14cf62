"""The same scenario against the real API server and against the fake, so that the fake cannot drift from the real one."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from modelrollout.kube.api import Json, KubeApi
from modelrollout.kube.client import Client
from modelrollout.kube.kinds import Ref
from tests.api.kubectl import Kubectl
from tests.fakes.fields import merge
from tests.fakes.kube import FakeKube


@dataclass
class Server:
    """`api` is ours; `patch` merges something into an object as somebody else does, `scale` as an autoscaler does."""

    api: KubeApi
    namespace: str
    patch: Callable[[Ref, dict[str, Any]], Any]
    scale: Callable[[Ref, int], Any]
    create: Callable[[Json], Any]


@asynccontextmanager
async def fake_server() -> AsyncIterator[Server]:
    fake = FakeKube()

    async def patch(ref: Ref, body: dict[str, Any]) -> Json:
        def change(raw: dict[str, Any]) -> None:
            raw.update(merge(raw, body))

        return fake.edit(ref, change, manager="other")

    async def scale(ref: Ref, replicas: int) -> None:
        fake.edit(ref, lambda raw: raw["spec"].update(replicas=replicas), manager="kubectl", subresource="scale")

    async def create(manifest: Json) -> Json:
        return fake.put(manifest, manager="other")

    yield Server(fake, "ml", patch, scale, create)


@asynccontextmanager
async def real_server(cluster: Any, space: Kubectl) -> AsyncIterator[Server]:
    async with cluster.client() as api, cluster.client(field_manager="other") as other:

        async def patch(ref: Ref, body: dict[str, Any]) -> Json:
            # Strategic merge, as kubectl does it: lists with keys are merged by them.
            return await strategic(other, ref, body)

        async def scale(ref: Ref, replicas: int) -> None:
            space.ok("scale", f"{ref.kind.plural}/{ref.name}", f"--replicas={replicas}")

        yield Server(api, space.namespace, patch, scale, other.create)


async def strategic(client: Client, ref: Ref, body: dict[str, Any]) -> Json:
    from modelrollout.kube.client import _Request  # noqa: PLC0415 only tests send such a patch

    content = "application/strategic-merge-patch+json"
    query = {"fieldManager": "other"}
    return await client._send(_Request("PATCH", ref.kind, ref.path, str(ref), query=query, body=body, content=content))
