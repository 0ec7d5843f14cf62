"""One bounded HTTP conversation with a pod.

The address is a literal IP that the API server named for a pod of ours, so no name is resolved. Nothing is taken from the
environment (proxies, .netrc), no redirect is followed, no cookie is kept, and no more is read of an answer than is compared.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass
from ipaddress import ip_address

import aiohttp
from yarl import URL

from modelrollout.api.warmup import GoldenRequest
from modelrollout.runtime.clock import Clock

LARGEST_ANSWER = 1 << 20
"""Bytes of one answer; more is a wrong answer."""
LONGEST_CONNECT = 5.0
"""Seconds until a pod has taken a connection."""
_NOT_NOW = frozenset({429, 502, 503, 504})
"""What a server says that cannot answer now: no answer, unless it is the expected one."""


class Unanswered(Exception):  # noqa: N818  not an error of ours: asked again later
    """There was no answer. `late`: the time for it was over."""

    def __init__(self, why: str, *, late: bool = False) -> None:
        super().__init__(why)
        self.late = late


@dataclass(frozen=True, slots=True)
class Answer:
    """What came. `seconds` from the first byte sent to the last one received; `body` is cut at the bound, then `whole` is false."""

    status: int
    body: bytes
    seconds: float
    whole: bool = True


def url(address: str, port: int, path: str) -> str:
    """Where a pod is asked."""
    host = f"[{address}]" if ip_address(address).version == 6 else address  # noqa: PLR2004
    return f"http://{host}:{port}{path}"


class Wire:
    """Sends golden requests. One for the whole process; to be closed."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None

    async def send(self, request: GoldenRequest, address: str, port: int, within: float) -> Answer:
        """Ask a pod once. Raises Unanswered."""
        begun = self._clock.monotonic()
        try:
            async with (
                asyncio.timeout(within),
                self._asked(request, url(address, port, request.path), within) as response,
            ):
                body = await _bounded(response)
                status = response.status
        except aiohttp.ConnectionTimeoutError:
            raise Unanswered("no connection in time; is the operator let in?") from None
        except TimeoutError:
            raise Unanswered(f"no answer within {within:g}s", late=True) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise Unanswered(_in_words(error)) from None
        expected = request.expect.status if request.expect is not None else None
        if status in _NOT_NOW and status != expected:
            raise Unanswered(f"it answered {status}")
        seconds = self._clock.monotonic() - begun
        return Answer(status, body[:LARGEST_ANSWER], seconds, whole=len(body) <= LARGEST_ANSWER)

    def _asked(
        self, request: GoldenRequest, where: str, within: float
    ) -> contextlib.AbstractAsyncContextManager[aiohttp.ClientResponse]:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(force_close=True, limit=0),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                auto_decompress=False,
            )
        headers = {"User-Agent": "modelrollout-warm-up", "Accept-Encoding": "identity"}
        body: bytes | None = request.body.encode() if request.body is not None else None
        if request.json_ is not None:
            body, headers["Content-Type"] = json.dumps(request.json_).encode(), "application/json"
        elif body is not None:
            headers["Content-Type"] = "text/plain; charset=utf-8"
        named = {name.lower() for name in request.headers or {}}
        headers = {name: value for name, value in headers.items() if name.lower() not in named} | (
            request.headers or {}
        )
        # Less than the time for the answer: a pod that nobody can reach is not a slow one.
        connect = aiohttp.ClientTimeout(total=None, sock_connect=min(LONGEST_CONNECT, 0.8 * within))
        where_to = URL(where, encoded=True)
        return self._session.request(
            request.verb, where_to, headers=headers, data=body, allow_redirects=False, timeout=connect
        )

    async def close(self) -> None:
        """Give the connections back."""
        if self._session is not None:
            await self._session.close()
            self._session = None


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_chunked(1 << 16):
        body += chunk
        if len(body) > LARGEST_ANSWER:
            break
    return bytes(body)


def _in_words(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"no connection ({error.os_error.strerror or 'refused'})"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "it closed the connection"
    return f"no proper answer ({type(error).__name__})"
