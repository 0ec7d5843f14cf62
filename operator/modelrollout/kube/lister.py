"""Full lists of the watched kinds: at the start, after a watch began anew, and once in a while.

A watch tells what changes; what vanished in a break that it could not bridge it never tells. So each kind is listed whole at the
start (before anything is decided), whenever a watch began anew, and by a slow timer. Lists come in pages and each object is
projected and let go.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass

from modelrollout.kube.api import KubeApi
from modelrollout.kube.errors import ApiError, Gone, NotFound
from modelrollout.kube.kinds import Kind
from modelrollout.runtime.clock import Clock
from modelrollout.runtime.store import Store

log = logging.getLogger(__name__)

Pause = Callable[[float], Awaitable[None]]

SETTLE = 5.0
"""Seconds between two looks for watches that began anew."""
PATIENCE = 5.0
"""Seconds until a list that failed is tried again."""


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
        self._versions: dict[tuple[str, str], str] = {}
        self.namespaces = tuple(namespaces) or ("",)

    async def list_all(self) -> None:
        """List every kind, trying again until each has been listed once."""
        for name in self._kinds:
            while not await self.list(name):
                await self._pause(PATIENCE)

    def version(self, kind: str, namespace: str) -> str:
        """The version of the last list of a kind in one of the `namespaces`; empty where there is none."""
        return self._versions.get((kind, namespace), "")

    async def run(self, every: float) -> None:
        """List again for ever: what was relisted soon, everything each `every` seconds."""
        due = self._clock.monotonic() + every
        while True:
            await self._pause(SETTLE)
            if self._clock.monotonic() >= due:
                due = self._clock.monotonic() + every
                names = frozenset(self._kinds)
            else:
                names = self._store.relisted() & frozenset(self._kinds)
            for name in sorted(names):
                await self.list(name)

    async def _pause(self, seconds: float) -> None:
        await self._clock.sleep_until(self._clock.monotonic() + seconds)

    async def list(self, name: str) -> bool:
        """List one kind whole; tells whether that went well."""
        listed = self._kinds[name]
        try:
            await self._list_once(listed)
        except NotFound:
            log.info("the cluster does not serve %s", listed.kind.plural)
            self._versions = {place: version for place, version in self._versions.items() if place[0] != name}
            return True
        except Gone:
            log.info("the list of %s took too long and is begun again", listed.kind.plural)
            return False
        except ApiError as error:
            log.warning("cannot list %s: %s", listed.kind.plural, error)
            return False
        return True

    async def _list_once(self, listed: Listed) -> None:
        listing = self._store.listing(listed.kind.kind)
        versions = {}
        for namespace in self.namespaces:
            version = ""
            async for page in self._api.pages(listed.kind, namespace=namespace, labels=listed.labels):
                for raw in page.items:
                    listing.add(raw)
                version = page.resource_version
                await asyncio.sleep(0)  # thousands of projections must not hold up the loop
            versions[listed.kind.kind, namespace] = version
        # Of several lists the oldest says what has certainly vanished.
        listing.end(min(versions.values(), key=int), consistent=len(versions) == 1)
        self._versions |= versions
