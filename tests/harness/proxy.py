"""Stands between the operator and the API server, and does to requests what networks, servers and other writers do.

Each *kind* of write (what is written, and in which state) meets its fate once; when it is sent again it passes. So faults
strike everywhere, and a life still comes to its end. With `every`, the writes after a fault pass, until it is the next one's turn.

Beside the fates there is weather, which meets all requests alike while it lasts: the server is away, refuses, is slow, or tells
its watches late.
"""

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from tests.harness.apiserver import ApiServer

Json = dict[str, Any]
Signature = tuple[str, ...]
Refuses = Callable[[web.Request], web.Response | None]

_HOP = frozenset({"host", "authorization", "connection", "transfer-encoding", "content-length", "content-encoding"})
_READ = frozenset({"GET", "HEAD"})


class Fate(Enum):
    """What happens to a request."""

    PASS = "it passes"
    CONFLICT = "it is refused with 409"
    ERROR = "it is refused with 500"
    LOST = "it is done and the answer is lost"
    KILL_BEFORE = "the operator is killed before it is done"
    KILL_AFTER = "the operator is killed after it is done"


_ANSWERS: dict[Fate, tuple[int, str, str]] = {
    Fate.CONFLICT: (409, "Conflict", "the object has been modified"),
    Fate.ERROR: (500, "InternalError", "etcdserver: request timed out"),
    Fate.KILL_BEFORE: (500, "InternalError", "nobody hears this"),
}


class Proxy:
    """`kill` ends the operator at once; `fate` is what each kind of write meets."""

    def __init__(
        self, server: ApiServer, fate: Fate = Fate.PASS, kill: Callable[[], None] = lambda: None, *, every: int = 1
    ) -> None:
        self._server, self._kill, self._every, self._free = server, kill, every, 0
        self.fate = fate
        self.struck: list[Signature] = []
        self.refuses: Refuses = lambda _: None
        """Answers in place of the server; None lets the request pass."""
        self.slow = 0.0
        """Seconds that each answer takes longer."""
        self.late = 0.0
        """Seconds by which watches tell everything late."""
        self._open_requests: set[asyncio.Task[Any]] = set()
        self._watches: dict[asyncio.Task[Any], str] = {}
        self._last_words: dict[asyncio.Task[Any], bytes] = {}
        self._runner: web.AppRunner | None = None
        self._site: web.TCPSite | None = None
        self.port = server.background.call(self._open())

    async def _open(self) -> int:
        application = web.Application(client_max_size=16 * 1024**2)
        application.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        self._site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await self._site.start()
        return int(self._runner.addresses[0][1])

    def close(self) -> None:
        self._server.background.call(self._close())

    async def _close(self) -> None:
        """Watches have no end of their own."""
        await self._cut()
        assert self._runner is not None
        await self._runner.cleanup()

    async def _cut(self) -> None:
        for task in self._open_requests:
            task.cancel()
        await asyncio.gather(*self._open_requests, return_exceptions=True)

    def kubeconfig(self, folder: Path) -> Path:
        """A kubeconfig that leads here; the proxy has credentials of its own."""
        cluster = {"server": f"http://127.0.0.1:{self.port}"}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "proxy",
            "clusters": [{"name": "proxy", "cluster": cluster}],
            "users": [{"name": "proxy", "user": {"token": "unused"}}],
            "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "proxy"}}],
        }
        file = folder / "proxy.kubeconfig"
        file.write_text(json.dumps(config))
        return file

    # Weather

    def away(self) -> None:
        """Break all connections and take no new one, as a server that is gone."""

        async def leave() -> None:
            assert self._site is not None
            await self._site.stop()
            await self._cut()
            assert self._runner is not None
            assert self._runner.server is not None
            for connection in list(self._runner.server.connections):
                if connection.transport is not None:
                    connection.transport.abort()

        self._server.background.call(leave())

    def back(self) -> None:
        """Listen again, at the same address."""

        async def listen() -> None:
            assert self._runner is not None
            self._site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
            await self._site.start()

        self._server.background.call(listen())

    def end_watches(self, last: Json | None = None) -> list[str]:
        """End all watches that are open, with this event as the last word of each; returns whose they were."""

        async def end() -> list[str]:
            ended = dict(self._watches)
            for task in ended:
                self._last_words[task] = b"" if last is None else json.dumps(last).encode() + b"\n"
                task.cancel()
            await asyncio.gather(*ended, return_exceptions=True)
            return list(ended.values())

        return self._server.background.call(end())

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        task = asyncio.current_task()
        assert task is not None
        self._open_requests.add(task)
        task.add_done_callback(self._open_requests.discard)
        body = await request.read()
        if (refusal := self.refuses(request)) is not None:
            return refusal
        if self.slow:
            await asyncio.sleep(self.slow)
        fate = self._meet(request, body)
        if fate is Fate.KILL_BEFORE:
            self._kill()
        if fate in _ANSWERS:
            return refusal_of(*_ANSWERS[fate])
        try:
            return await self._pass(request, body, fate)
        except ConnectionError:
            return web.Response()  # who asked is dead

    async def _pass(self, request: web.Request, body: bytes, fate: Fate) -> web.StreamResponse:
        headers = {name: text for name, text in request.headers.items() if name.lower() not in _HOP}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
        session = self._server._session
        async with session.request(
            request.method, self._server.url + request.path_qs, data=body or None, headers=headers, timeout=timeout
        ) as answer:
            if fate in (Fate.LOST, Fate.KILL_AFTER):
                if not is_watch(request):
                    await answer.read()
                if fate is Fate.KILL_AFTER:
                    self._kill()
                if request.transport is not None:
                    request.transport.abort()
                return web.Response()
            if is_watch(request):
                return await self._watch(request, answer)
            return await _forward(request, answer)

    async def _watch(self, request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
        task = asyncio.current_task()
        assert task is not None
        self._watches[task] = request.path
        response = await _begun(request, answer)
        held: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        teller = asyncio.create_task(_tell(response, held))
        loop = asyncio.get_running_loop()
        try:
            async for chunk in answer.content.iter_any():
                held.put_nowait((loop.time() + self.late, chunk))
        except asyncio.CancelledError:
            if task not in self._last_words:
                raise
            task.uncancel()
            teller.cancel()
            with contextlib.suppress(ConnectionError, aiohttp.ClientError):
                await response.write(self._last_words.pop(task))
        except (ConnectionError, aiohttp.ClientError):
            if request.transport is not None:
                request.transport.abort()
        finally:
            teller.cancel()
            del self._watches[task]
        with contextlib.suppress(ConnectionError, aiohttp.ClientError):
            await response.write_eof()
        return response

    def _meet(self, request: web.Request, body: bytes) -> Fate:
        if request.method in _READ or request.path.endswith(("/events", "/leases")):
            return Fate.PASS
        if self.fate is Fate.PASS:
            return Fate.PASS
        signature = _signature(request.method, request.path, json.loads(body) if body else {})
        if signature in self.struck or self._free:
            self._free = max(0, self._free - 1)
            return Fate.PASS
        self._free = self._every - 1
        self.struck.append(signature)
        return self.fate


def is_watch(request: web.Request) -> bool:
    return "watch" in request.query


async def _begun(request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    headers = {name: text for name, text in answer.headers.items() if name.lower() not in _HOP}
    response = web.StreamResponse(status=answer.status, headers=headers)
    await response.prepare(request)
    return response


async def _tell(response: web.StreamResponse, held: "asyncio.Queue[tuple[float, bytes]]") -> None:
    """Hand a watch's words on, each when its time has come."""
    loop = asyncio.get_running_loop()
    while True:
        due, chunk = await held.get()
        if due > loop.time():
            await asyncio.sleep(due - loop.time())
        try:
            await response.write(chunk)
        except (ConnectionError, aiohttp.ClientError):
            return


async def _forward(request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    response = await _begun(request, answer)
    try:
        async for chunk in answer.content.iter_any():
            await response.write(chunk)
        await response.write_eof()
    except (ConnectionError, aiohttp.ClientError):
        if request.transport is not None:
            request.transport.abort()
    return response


def refusal_of(code: int, reason: str, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """An answer as the API server gives it."""
    status = {"apiVersion": "v1", "kind": "Status", "status": "Failure", "reason": reason, "message": message}
    return web.json_response(status | {"code": code}, status=code, headers=headers)


def _signature(method: str, path: str, body: Json) -> Signature:
    """What is written and in which state: a status by its phase, reason and weights, a route by its weights, pods by count."""
    *_, last = path.strip("/").split("/")
    status, spec = body.get("status") or {}, body.get("spec") or {}
    weights = [f"{one['revision']}={one['weight']}" for one in status.get("revisions", ())]
    shares = [
        f"{backend['name']}={backend['weight']}" for rule in spec.get("rules", ()) for backend in rule["backendRefs"]
    ]
    state = [str(status.get("phase", "")), str((status.get("summary") or {}).get("reason", "")), *weights, *shares]
    return (method, path, last, str(spec.get("replicas", "")), *state)
