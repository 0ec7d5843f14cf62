"""Only the leader writes.

Every write passes here and is refused, before anything is sent, when our lease does not hold by our own monotonic clock.
That leaves a request that was sent in the last moment and arrives late. No lease can fence that off: it is why each
write that matters carries the resourceVersion of what it was decided on. Reads pass always.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Protocol

from modelrollout.kube.api import Json, KubeApi, Page, Propagation, Version
from modelrollout.kube.errors import NotLeader
from modelrollout.kube.kinds import Kind, Ref


class Held(Protocol):
    """Tells whether we lead."""

    def held(self) -> bool: ...


class Guarded(KubeApi):
    """The same API; each write raises `NotLeader` while the lease is not held."""

    def __init__(self, api: KubeApi, lease: Held) -> None:
        self._api = api
        self._lease = lease

    def _check(self, request: str) -> None:
        if not self._lease.held():
            raise NotLeader("this process does not hold the lease; nothing was sent", request=request)

    async def get(self, ref: Ref) -> Json:
        return await self._api.get(ref)

    def pages(
        self,
        kind: Kind,
        *,
        namespace: str = "",
        labels: str = "",
        resource_version: str | None = None,
        limit: int = 500,
    ) -> AsyncIterator[Page]:
        return self._api.pages(kind, namespace=namespace, labels=labels, resource_version=resource_version, limit=limit)

    async def list(
        self, kind: Kind, *, namespace: str = "", labels: str = "", resource_version: str | None = None
    ) -> Page:
        return await self._api.list(kind, namespace=namespace, labels=labels, resource_version=resource_version)

    async def apply(
        self, manifest: Json, *, force: bool = False, only_if: Version | None = None, dry_run: bool = False
    ) -> Json:
        self._check("APPLY")
        return await self._api.apply(manifest, force=force, only_if=only_if, dry_run=dry_run)

    async def create(self, manifest: Json) -> Json:
        self._check("POST")
        return await self._api.create(manifest)

    async def replace(self, manifest: Json) -> Json:
        self._check("PUT")
        return await self._api.replace(manifest)

    async def replace_status(self, ref: Ref, status: Json, *, resource_version: str) -> Json:
        self._check(f"PUT {ref} status")
        return await self._api.replace_status(ref, status, resource_version=resource_version)

    async def patch_metadata(
        self,
        ref: Ref,
        *,
        labels: Mapping[str, str | None] | None = None,
        annotations: Mapping[str, str | None] | None = None,
        resource_version: str | None = None,
    ) -> Json:
        self._check(f"PATCH {ref}")
        return await self._api.patch_metadata(
            ref, labels=labels, annotations=annotations, resource_version=resource_version
        )

    async def delete(
        self,
        ref: Ref,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
        propagation: Propagation = "Background",
    ) -> None:
        self._check(f"DELETE {ref}")
        await self._api.delete(ref, uid=uid, resource_version=resource_version, propagation=propagation)

    async def serves(self, kind: Kind) -> bool:
        return await self._api.serves(kind)
