"""A proxy before the real Prometheus that fails on demand: real data most of the time, and every kind of bad answer."""

import asyncio
import contextlib
import math
import time
from enum import Enum
from typing import Any, Self

import aiohttp
from aiohttp import web

from tests.harness.background import Background


class Fault(Enum):
    HANG = "hangs"
    ERROR = "answers 500"
    EMPTY = "answers nothing"
    NAN = "answers NaN"


class ProviderProxy:
    """Listens on loopback for as long as the block lasts; without a fault it passes everything on."""

    def __init__(self, background: Background, url: str) -> None:
        self._background, self._upstream = background, url
        self._ends = asyncio.Event()
        self.fault: Fault | None = None
        self.url = ""
        self.asked: list[tuple[float, float]] = []
        """When each query came, and for which time it asked: seconds since the epoch."""

    def fail(self, fault: Fault | None) -> None:
        """Answer like this from now on; None ends what hangs."""

        async def change() -> None:
            self.fault = fault
            self._ends.set()
            self._ends = asyncio.Event()

        self._background.call(change())

    def __enter__(self) -> Self:
        self._background.call(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        self.fail(None)
        self._background.call(self._stop())

    async def _start(self) -> None:
        self._session = aiohttp.ClientSession()
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(application, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = "http://{}:{}".format(*self._runner.addresses[0][:2])

    async def _stop(self) -> None:
        await self._runner.cleanup()
        await self._session.close()

    async def _answer(self, request: web.Request) -> web.Response:
        fault, now = self.fault, time.time()
        asked = {**request.query, **await request.post()}
        if at := asked.get("time") or asked.get("end"):
            self.asked.append((now, float(str(at))))
        if fault is Fault.HANG:
            await self._ends.wait()  # whoever asked has given up by then
        if fault is Fault.ERROR:
            return web.Response(status=500, text="out of order")
        found = await self._upstream_answer(request)
        if fault is Fault.EMPTY:
            found["data"]["result"] = []
        if fault is Fault.NAN:
            for row in found["data"]["result"]:
                _blank(row)
        return web.json_response(found)

    async def _upstream_answer(self, request: web.Request) -> Any:
        body = await request.read()
        headers = {name: text for name, text in request.headers.items() if name.lower() == "content-type"}
        url = self._upstream + request.path_qs
        async with self._session.request(request.method, url, data=body, headers=headers) as answer:
            return await answer.json(content_type=None)


def _blank(row: Any) -> None:
    with contextlib.suppress(KeyError):
        row["value"][1] = str(math.nan)
    for pair in row.get("values", ()):
        pair[1] = str(math.nan)
