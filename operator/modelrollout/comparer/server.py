"""The comparer's server: takes mirrored requests, works them off, and shows what it has counted.

Two listeners: one for mirrored requests of any method and path, one for /metrics and /readyz, so that no mirrored path can be taken
for these.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import aiohttp
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from .agreement import Verdict
from .configuration import Configuration
from .relay import NO_JSON, Copy, Reply, ask, handed_on
from .telemetry import Lost, Telemetry

log = logging.getLogger(__name__)

_FIRST_REFUSAL = 400


class Comparer:
    """Works off copies from a bounded queue."""

    def __init__(self, configuration: Configuration) -> None:
        self.configuration = configuration
        self.telemetry = Telemetry(configuration.candidate.revision, configuration.stable.revision)
        self._waiting: asyncio.Queue[Copy] = asyncio.Queue(configuration.limits.waiting)

    def take(self, copy: Copy) -> bool:
        """Line a copy up; False where it was dropped."""
        try:
            self._waiting.put_nowait(copy)
        except asyncio.QueueFull:
            self.telemetry.count(Lost.DROPPED)
            return False
        return True

    async def run(self) -> None:
        """Work off copies until cancelled."""
        limits = self.configuration.limits
        timeout = aiohttp.ClientTimeout(total=limits.timeout, sock_connect=min(5.0, limits.timeout))
        connector = aiohttp.TCPConnector(limit=2 * limits.concurrency)
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session,
            asyncio.TaskGroup() as tasks,
        ):
            for _ in range(limits.concurrency):
                tasks.create_task(self._work(session))

    async def _work(self, session: aiohttp.ClientSession) -> None:
        while True:
            copy = await self._waiting.get()
            try:
                await self.compare(session, copy)
            except Exception:
                log.exception("a pair of answers could not be compared")
            finally:
                self._waiting.task_done()

    async def drained(self) -> None:
        """Wait until all that was taken is worked off."""
        await self._waiting.join()

    async def compare(self, session: aiohttp.ClientSession, copy: Copy) -> None:
        """Ask both versions at once, and count what came of it."""
        candidate, stable = await asyncio.gather(
            *(
                ask(session, version.url, role, copy, self.configuration.limits.largest)
                for role, version in (
                    ("candidate", self.configuration.candidate),
                    ("stable", self.configuration.stable),
                )
            )
        )
        for role, reply in (("candidate", candidate), ("stable", stable)):
            self.telemetry.durations[role].observe(reply.seconds)
            if reply.failed:
                self.telemetry.errors[role].inc()
        outcome, delta = self._outcome(candidate, stable)
        self.telemetry.count(outcome)
        if delta is not None:
            self.telemetry.deltas.observe(delta)

    def _outcome(self, candidate: Reply, stable: Reply) -> tuple[Verdict | Lost, float | None]:
        if candidate.failed or stable.failed:
            if candidate.failed and stable.failed:
                return Lost.BOTH_FAILED, None
            return Lost.CANDIDATE_FAILED if candidate.failed else Lost.STABLE_FAILED, None
        if candidate.too_large or stable.too_large:
            return Lost.TOO_LARGE, None
        return self._verdict(candidate, stable)

    def _verdict(self, candidate: Reply, stable: Reply) -> tuple[Verdict, float | None]:
        refused = [(reply.status or 0) >= _FIRST_REFUSAL for reply in (candidate, stable)]
        if any(refused):
            # Where both refuse a request there is no prediction; where one does they do not agree.
            return Verdict.INCOMPARABLE if all(refused) else Verdict.DISAGREE, None
        expected, found = stable.value, candidate.value
        if expected is NO_JSON:
            return Verdict.INCOMPARABLE, None
        if found is NO_JSON:
            return Verdict.DISAGREE, None
        try:
            return self.configuration.comparison.judge(expected, found)
        except RecursionError:
            return Verdict.INCOMPARABLE, None


def mirrored(comparer: Comparer) -> web.Application:
    """The application to which the gateway mirrors. Nobody reads its answers."""
    largest = comparer.configuration.limits.largest

    async def take(request: web.Request) -> web.Response:
        body = bytearray()
        async for chunk in request.content.iter_any():
            body += chunk
            if len(body) > largest:
                comparer.telemetry.count(Lost.TOO_LARGE)
                return web.Response(status=413)
        comparer.take(Copy(request.method, request.raw_path, handed_on(request.headers.items()), bytes(body)))
        return web.Response(status=202)

    async def working(_app: web.Application) -> AsyncIterator[None]:
        task = asyncio.create_task(comparer.run())
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", take)
    app.cleanup_ctx.append(working)
    return app


def told(comparer: Comparer) -> web.Application:
    """The application with metrics and readiness."""

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(body=comparer.telemetry.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def ready(_request: web.Request) -> web.Response:
        return web.Response(text="ok")

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    app.router.add_get("/readyz", ready)
    return app


async def serve(configuration: Configuration, host: str, port: int, metrics_port: int) -> None:
    """Serve until cancelled."""
    comparer = Comparer(configuration)
    runners = []
    try:
        for app, number in ((mirrored(comparer), port), (told(comparer), metrics_port)):
            runner = web.AppRunner(app, access_log=None, handle_signals=False)
            runners.append(runner)
            await runner.setup()
            await web.TCPSite(runner, host, number).start()
        log.info("comparing %s with %s", configuration.candidate.revision, configuration.stable.revision)
        await asyncio.Event().wait()
    finally:
        for runner in runners:
            await runner.cleanup()
