"""Full lists of the watched kinds: at the start, after a watch began anew, and once in a while.

A watch tells what changes; what vanished in a break that it could not bridge it never tells. So each kind is listed whole at the
start (before anything is decided), whenever a watch began anew, and by a slow timer. Lists come in pages and each object is
projected and let go.

Where single namespaces are named, each is read for itself: one whose permission is withdrawn, or whose Role was never made, must
not hold up the others. Until all kinds of a namespace were read once it is `unread`, and nothing may be decided in it: a
Deployment that nobody may see looks like one that is not there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass

from modelrollout.kube.api import KubeApi
from modelrollout.kube.errors import ApiError, Forbidden, Gone, NotFound, Unauthorized
from modelrollout.kube.kinds import MODEL_DEPLOYMENT, Kind
from modelrollout.runtime.clock import Clock
from modelrollout.runtime.store import Listing, Store

log = logging.getLogger(__name__)

Pause = Callable[[float], Awaitable[None]]

SETTLE = 5.0
"""Seconds between two looks for watches that began anew."""
PATIENCE = 5.0
"""Seconds until a list that failed is tried again."""

_ALL = ""


@dataclass(frozen=True, slots=True)
class Listed:
    """One kind and which of its objects are ours to see."""

    kind: Kind
    labels: str = ""


class Lister:
    """Keeps the Store whole."""

    def __init__(
        self, api: KubeApi, store: Store, clock: Clock, kinds: Collection[Listed], namespaces: Collection[str]
    ) -> None:
        self._api, self._store, self._clock = api, store, clock
        self._kinds = {listed.kind.kind: listed for listed in kinds}
        self.namespaces = tuple(namespaces) or (_ALL,)
        self._versions: dict[tuple[str, str], str] = {}
        self._lacking = {namespace: set(self._kinds) for namespace in self.namespaces}
        self._told: set[tuple[str, str]] = set()

    def unread(self, namespace: str) -> bool:
        """Whether some kind in this namespace was never read since the start."""
        return bool(self._lacking.get(namespace))

    async def list_all(self) -> None:
        """List every kind, trying again until each has been listed once, or is refused in a namespace that was named."""
        for name in self._kinds:
            while not await self._list(name, self.namespaces):
                await self._pause(PATIENCE)

    def version(self, kind: str, namespace: str) -> str:
        """The version of the last list of a kind in one of the `namespaces`; empty where there is none."""
        return self._versions.get((kind, namespace), "")

    async def list(self, kind: str, namespace: str) -> bool:
        """List one kind in one of the `namespaces`; tells whether that went well."""
        await self._list(kind, (namespace,))
        return (kind, namespace) in self._versions

    async def run(self, every: float) -> None:
        """List again for ever: what was relisted or never read soon, everything each `every` seconds."""
        due = self._clock.monotonic() + every
        while True:
            await self._pause(SETTLE)
            if self._clock.monotonic() >= due:
                due = self._clock.monotonic() + every
                names = frozenset(self._kinds)
            else:
                names = self._store.relisted() & frozenset(self._kinds)
            for name in sorted(names):
                await self._list(name, self.namespaces)
            for namespace, lacking in self._lacking.items():
                for name in sorted(lacking - names):
                    await self._list(name, (namespace,))

    async def _pause(self, seconds: float) -> None:
        await self._clock.sleep_until(self._clock.monotonic() + seconds)

    async def _list(self, name: str, namespaces: Collection[str]) -> bool:
        """List one kind in some namespaces; tells whether there is none among them that may be read in a moment."""
        listed = self._kinds[name]
        listing = self._store.listing(name)
        versions: dict[str, str] = {}
        waiting = False
        for namespace in namespaces:
            self._versions.pop((name, namespace), None)
            try:
                versions[namespace] = await self._read(listed, listing, namespace)
            except NotFound:
                log.info("the cluster does not serve %s", listed.kind.plural)
                self._settle(name, self.namespaces)
                return True
            except Gone:
                log.info("the list of %s took too long and is begun again", listed.kind.plural)
                waiting = True
            except ApiError as error:
                self._tell(name, namespace, error)
                waiting = waiting or namespace == _ALL or not isinstance(error, Forbidden | Unauthorized)
        if versions:
            # Of several lists the oldest says what has certainly vanished.
            lacking = frozenset(self.namespaces) - versions.keys()
            listing.end(min(versions.values(), key=int), consistent=self.namespaces == (_ALL,), lacking=lacking)
        self._versions |= {(name, namespace): version for namespace, version in versions.items()}
        self._settle(name, versions)
        return not waiting

    async def _read(self, listed: Listed, listing: Listing, namespace: str) -> str:
        version = ""
        async for page in self._api.pages(listed.kind, namespace=namespace, labels=listed.labels):
            for raw in page.items:
                listing.add(raw)
            version = page.resource_version
            await asyncio.sleep(0)  # thousands of projections must not hold up the loop
        return version

    def _settle(self, name: str, read: Collection[str]) -> None:
        for namespace in read:
            self._told.discard((name, namespace))
            lacking = self._lacking[namespace]
            if name in lacking:
                lacking.discard(name)
                if not lacking and namespace != _ALL:
                    self._store.wake_all(MODEL_DEPLOYMENT.kind, namespace)

    def _tell(self, name: str, namespace: str, error: ApiError) -> None:
        """Once until it works again: a namespace may stay closed for days."""
        if (name, namespace) not in self._told:
            self._told.add((name, namespace))
            log.warning("cannot list %s: %s", self._kinds[name].kind.plural, error)
