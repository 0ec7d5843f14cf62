"""What the process answers over HTTP: whether it lives, and its own metrics. Nothing here changes anything.

`/healthz` is 200 while every part that should turn has turned lately; `/readyz` is 200 as soon as the process is up (a standby
is ready too: it waits for the lease). `/metrics` has the registry in Prometheus' text format.
"""

from __future__ import annotations

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from modelrollout.runtime.supervisor import Heartbeat


async def serve(
    address: str, port: int, *, heartbeat: Heartbeat | None, registry: CollectorRegistry | None
) -> web.AppRunner:
    """Listen until the runner is cleaned up. Raises OSError where the port is taken."""

    async def health(_: web.Request) -> web.Response:
        # A probe that raises would hang the endpoint in some servers; here it is answered in any case.
        hung = heartbeat.hung() if heartbeat else {}
        if hung:
            words = ", ".join(f"{name} has not turned for {age:.0f} s" for name, age in hung.items())
            return web.Response(status=503, text=f"{words}\n")
        return web.Response(text="ok\n")

    async def ready(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def metrics(_: web.Request) -> web.Response:
        assert registry is not None
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    application = web.Application()
    if heartbeat is not None:
        application.router.add_get("/healthz", health)
        application.router.add_get("/readyz", ready)
    if registry is not None:
        application.router.add_get("/metrics", metrics)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, address, port).start()
    return runner
