"""Stands between the operator and the API server, and does to writes what networks, servers and other writers do.

Each *kind* of write (what is written, and in which state) meets its fate once; when it is sent again it passes. So faults
strike everywhere, and a life still comes to its end. With `every`, the writes after a fault pass, until it is the next one's turn.
"""

import asyncio
import json
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from tests.harness.apiserver import ApiServer

Json = dict[str, Any]
Signature = tuple[str, ...]

_HOP = frozenset({"host", "authorization", "connection", "transfer-encoding", "content-length", "content-encoding"})


class Fate(Enum):
    """What happens to a write."""

    PASS = "it passes"
    CONFLICT = "it is refused with 409"
    ERROR = "it is refused with 500"
    LOST = "it is done and the answer is lost"
    KILL_BEFORE = "the operator is killed before it is done"
    KILL_AFTER = "the operator is killed after it is done"


class Proxy:
    """`kill` ends the operator at once; `fate` is what each kind of write meets."""

    def __init__(self, server: ApiServer, fate: Fate, kill: Callable[[], None], *, every: int = 1) -> None:
        self._server, self._kill, self._every, self._free = server, kill, every, 0
        self.fate = fate
        self.struck: list[Signature] = []
        self._open_requests: set[asyncio.Task[Any]] = set()
        self._runner: web.AppRunner | None = None
        self.port = server.background.call(self._open())

    async def _open(self) -> int:
        application = web.Application(client_max_size=16 * 1024**2)
        application.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return int(self._runner.addresses[0][1])

    def close(self) -> None:
        self._server.background.call(self._close())

    async def _close(self) -> None:
        """Watches have no end of their own."""
        for task in self._open_requests:
            task.cancel()
        await asyncio.gather(*self._open_requests, return_exceptions=True)
        assert self._runner is not None
        await self._runner.cleanup()

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

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        task = asyncio.current_task()
        assert task is not None
        self._open_requests.add(task)
        task.add_done_callback(self._open_requests.discard)
        body = await request.read()
        fate = self._meet(request, body)
        if fate is Fate.CONFLICT:
            return _refusal(409, "Conflict", "the object has been modified")
        if fate is Fate.ERROR:
            return _refusal(500, "InternalError", "etcdserver: request timed out")
        if fate is Fate.KILL_BEFORE:
            self._kill()
            return _refusal(500, "InternalError", "nobody hears this")
        headers = {name: text for name, text in request.headers.items() if name.lower() not in _HOP}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
        session = self._server._session
        async with session.request(
            request.method, self._server.url + request.path_qs, data=body or None, headers=headers, timeout=timeout
        ) as answer:
            if fate in (Fate.LOST, Fate.KILL_AFTER):
                await answer.read()
                if fate is Fate.KILL_AFTER:
                    self._kill()
                assert request.transport is not None
                request.transport.abort()
                return web.Response()
            return await _forward(request, answer)

    def _meet(self, request: web.Request, body: bytes) -> Fate:
        if request.method == "GET" or request.path.endswith(("/events", "/leases")):
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


async def _forward(request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    headers = {name: text for name, text in answer.headers.items() if name.lower() not in _HOP}
    response = web.StreamResponse(status=answer.status, headers=headers)
    await response.prepare(request)
    try:
        async for chunk in answer.content.iter_any():
            await response.write(chunk)
        await response.write_eof()
    except (ConnectionError, aiohttp.ClientError):
        if request.transport is not None:
            request.transport.abort()
    return response


def _refusal(code: int, reason: str, message: str) -> web.Response:
    status = {"apiVersion": "v1", "kind": "Status", "status": "Failure", "reason": reason, "message": message}
    return web.json_response(status | {"code": code}, status=code)


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
