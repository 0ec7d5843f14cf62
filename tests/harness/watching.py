"""Sees every version of every object of a namespace, in the order in which the API server stored them.

Watches lose nothing between their list and their end, and resourceVersions count all writes of the store upwards in one
number. So the whole history of a test can be laid out afterwards: what stood in status when the route was written, and how
many pods were ready when a weight rose.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import aiohttp

from tests.harness.apiserver import PATHS, ApiServer, Json, RefusedError

WATCHED = (
    "ModelDeployment",
    "RolloutCommand",
    "Deployment",
    "ControllerRevision",
    "HTTPRoute",
    "HorizontalPodAutoscaler",
    "Service",
    "Pod",
)
PATIENCE = 120.0
"""Seconds: generous, because the machine may be busy. What is slow is judged elsewhere."""


@dataclass(frozen=True)
class Sight:
    """One stored version of an object; `gone` for its deletion."""

    version: int
    kind: str
    name: str
    gone: bool
    raw: Json
    at: float
    """By the monotonic clock, when the watch told of it."""


class Observer:
    """Watches one namespace until it is closed. A fleet watches few kinds and keeps no history."""

    def __init__(
        self, server: ApiServer, namespace: str, kinds: Iterable[str] = WATCHED, *, history: bool = True
    ) -> None:
        self._server, self._namespace, self._keep = server, namespace, history
        self._news = threading.Condition()
        self._sights: list[Sight] = []
        self._latest: dict[tuple[str, str], Sight] = {}
        self._listeners: list[Callable[[Sight], None]] = []
        self._tasks = [server.background.start(self._watch(kind)) for kind in kinds]

    def close(self) -> None:
        self._server.background.end(*self._tasks)

    def listen(self, listener: Callable[[Sight], None]) -> None:
        """Have every further sight told, in the background's loop."""
        self._listeners.append(listener)

    async def _watch(self, kind: str) -> None:
        path, version = PATHS[kind].format(self._namespace), ""
        while True:
            try:
                if not version:
                    found = await self._server.ask("GET", path)
                    for item in found["items"]:
                        self._see(kind, item)
                    version = found["metadata"]["resourceVersion"]
                async for event in self._server.watch(path, version):
                    if event["type"] == "ERROR":
                        version = ""
                        break
                    version = event["object"]["metadata"]["resourceVersion"]
                    self._see(kind, event["object"], gone=event["type"] == "DELETED")
            except (aiohttp.ClientError, TimeoutError, RefusedError, ValueError):
                version = ""  # a list tells what is there, and the watch goes on from it
                await asyncio.sleep(0.2)

    def _see(self, kind: str, raw: Json, gone: bool = False) -> None:
        metadata = raw["metadata"]
        sight = Sight(int(metadata["resourceVersion"]), kind, metadata["name"], gone, raw, time.monotonic())
        with self._news:
            before = self._latest.get((kind, sight.name))
            if before is not None and (before.version, before.gone) == (sight.version, sight.gone):
                return  # a list after a watch that broke tells of it again
            if self._keep:
                self._sights.append(sight)
            self._latest[kind, sight.name] = sight
            self._news.notify_all()
        for listener in self._listeners:
            listener(sight)

    def now(self, kind: str, name: str) -> Json | None:
        """The latest version, None if there is none."""
        with self._news:
            sight = self._latest.get((kind, name))
        return None if sight is None or sight.gone else sight.raw

    def all(self, kind: str) -> list[Json]:
        with self._news:
            return [sight.raw for (of, _), sight in sorted(self._latest.items()) if of == kind and not sight.gone]

    def history(self, kind: str = "", name: str = "") -> list[Sight]:
        """All that was seen, in the order of the store."""
        with self._news:
            found = list(self._sights)
        found = [sight for sight in found if kind in ("", sight.kind) and name in ("", sight.name)]
        return sorted(found, key=lambda sight: sight.version)

    def until(self, found: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
        """Wait until `found` says something truthy, and return it. It is asked again after everything that is seen."""
        deadline = time.monotonic() + seconds
        while not (answer := found()):
            with self._news:
                left = deadline - time.monotonic()
                assert left > 0, f"not within {seconds:g} s: {what}"
                self._news.wait(min(left, 0.2))
        return answer
