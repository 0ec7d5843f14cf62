"""A gateway controller that moves no traffic: it reads routes and says in their status whether it took them.

A test can have it wait, take its time, or refuse.
"""

import asyncio
import time

import aiohttp

from tests.harness.apiserver import MERGE, PATHS, ApiServer, Json, RefusedError
from tests.harness.watching import Observer, Sight

CONTROLLER = "example.com/gateway"


class Gateway:
    """Answers for every parent of every route in a namespace."""

    def __init__(self, server: ApiServer, observer: Observer, namespace: str) -> None:
        self._server, self._observer, self._namespace = server, observer, namespace
        self._held = False
        self._refusal, self._refused = "", ""
        self._tasks: set[asyncio.Task[None]] = set()
        observer.listen(self._see)

    def hold(self) -> None:
        """Take no route from now on."""
        self._held = True

    def release(self) -> None:
        """Take what has come, and all that comes."""
        self._held = False
        self._again()

    def refuse(self, message: str, route: str = "") -> None:
        """Refuse all routes, or that one, with this message; the empty one takes them again."""
        self._refusal, self._refused = message, route
        self._again()

    def close(self) -> None:
        self._held = True
        self._server.background.end(*self._tasks)

    def _again(self) -> None:
        for route in self._observer.all("HTTPRoute"):
            self._server.background.loop.call_soon_threadsafe(self._take, route)

    def _see(self, sight: Sight) -> None:
        if sight.kind == "HTTPRoute" and not sight.gone:
            self._take(sight.raw)

    def _take(self, route: Json) -> None:
        if self._held or self._says(route) == (route.get("status") or {}).get("parents"):
            return
        task = asyncio.get_running_loop().create_task(self._answer(route))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, route: Json) -> None:
        path = f"{PATHS['HTTPRoute'].format(self._namespace)}/{route['metadata']['name']}/status"
        body = {"metadata": {"resourceVersion": route["metadata"]["resourceVersion"]}}
        body["status"] = {"parents": self._says(route)}
        try:
            await self._server.ask("PATCH", path, body, content=MERGE, fieldManager="gateway")
        except (RefusedError, aiohttp.ClientError, TimeoutError) as error:
            if isinstance(error, RefusedError) and error.code in (404, 409):
                return  # it moved on: the next sight has it
            await asyncio.sleep(0.5)
            if (latest := self._observer.now("HTTPRoute", route["metadata"]["name"])) is not None:
                self._take(latest)

    def _says(self, route: Json) -> list[Json]:
        generation = route["metadata"]["generation"]
        refused = bool(self._refusal) and self._refused in ("", route["metadata"]["name"])
        old = {
            (condition["type"], condition["status"], condition["observedGeneration"]): condition["lastTransitionTime"]
            for parent in (route.get("status") or {}).get("parents") or ()
            for condition in parent["conditions"]
        }
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())

        def condition(kind: str, status: str, reason: str, message: str) -> Json:
            return {
                "type": kind,
                "status": status,
                "reason": reason,
                "message": message,
                "observedGeneration": generation,
                "lastTransitionTime": old.get((kind, status, generation), now),
            }

        accepted = condition(
            "Accepted", str(not refused), "NotAllowed" if refused else "Accepted", self._refusal if refused else ""
        )
        conditions = [accepted, condition("ResolvedRefs", "True", "ResolvedRefs", "")]
        return [
            {"parentRef": parent, "controllerName": CONTROLLER, "conditions": conditions}
            for parent in route["spec"].get("parentRefs") or ()
        ]
