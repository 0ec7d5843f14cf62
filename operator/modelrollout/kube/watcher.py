"""Watches of the kinds of which there are many: each event is projected into the Store and let go.

kopf keeps a queue, a task and a memory for each object that it watches, which is of use to handlers with state and costs more
than all that the Store keeps. The children of a fleet are ten times as many as its resources, so they are watched here. A watch
takes up where its list ended; one that breaks off goes on from the last version it has heard of, so nothing is lost and
nothing is listed again. Only where the server has forgotten that version the kind is listed whole.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Protocol

from modelrollout.kube.api import Selection, Told
from modelrollout.kube.errors import ApiError, Gone, NotFound
from modelrollout.kube.lister import Listed, Lister
from modelrollout.runtime.clock import Clock
from modelrollout.runtime.store import Store

log = logging.getLogger(__name__)

LASTS = 300.0
"""Seconds after which a watch is opened anew, more or less, so that not all are at once."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0
"""Seconds before a watch that failed is opened again; doubled each time."""
STEADY = 5.0
"""Seconds that a watch must have lasted to count as one that worked."""


class Streams(Protocol):
    """Opens watches."""

    def watch(self, what: Selection, resource_version: str, seconds: int = 300) -> AsyncGenerator[Told, None]:
        """What happens after a version."""


@dataclass(slots=True)
class Watcher:
    """Follows one kind in one namespace (empty: in all). `rng` is for jitter."""

    api: Streams
    store: Store
    lister: Lister
    clock: Clock
    listed: Listed
    namespace: str = ""
    rng: random.Random = field(default_factory=random.Random)
    _version: str = ""

    async def run(self) -> None:
        """Follow for ever. To be started once the kind was listed."""
        kind, pause = self.listed.kind.kind, FIRST_PAUSE
        self._version = self.lister.version(kind, self.namespace)
        while True:
            began = self.clock.monotonic()
            try:
                if not self._version and await self.lister.list(kind, self.namespace):
                    self._version = self.lister.version(kind, self.namespace)
                if self._version:
                    await self._follow()
            except (Gone, NotFound) as error:
                log.info("the watch of %s begins anew: %s", self.listed.kind.plural, error)
                self._version = ""
            except ApiError as error:
                log.log(logging.INFO if pause == FIRST_PAUSE else logging.WARNING, "%s; trying again", error)
            if self.clock.monotonic() - began >= STEADY:
                pause = FIRST_PAUSE
            await self.clock.sleep_until(self.clock.monotonic() + pause * self.rng.uniform(0.5, 1.0))
            pause = min(2.0 * pause, LONGEST_PAUSE)

    async def _follow(self) -> None:
        listed = self.listed
        what = Selection(listed.kind, self.namespace, listed.labels)
        events = self.api.watch(what, self._version, round(LASTS * self.rng.uniform(0.8, 1.2)))
        async with aclosing(events):
            async for told in events:
                if told.type != "BOOKMARK":
                    self.store.observe(listed.kind.kind, told.raw, deleted=told.type == "DELETED")
                self._version = told.resource_version
                await asyncio.sleep(0)  # a burst of events must not hold up the loop
