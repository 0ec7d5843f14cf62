"""One mirrored request on its way to one version, and what comes back."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import aiohttp
from yarl import URL

SHADOW_HEADER = "x-modelrollout-shadow"
"""Tells a model server that a request is a copy, and for which role it is asked."""
_FIRST_SERVER_ERROR = 500
_NOT_HANDED_ON = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers that speak of one connection only, and what the client of this one sets itself."""


NO_JSON = object()


@dataclass(frozen=True, slots=True)
class Copy:
    """A request that was mirrored. `target`: its path and query as they came, still encoded."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """What a version answered. `status` None: nothing, or not in time. `too_large`: more than is kept."""

    status: int | None
    seconds: float
    body: bytes = b""
    too_large: bool = False

    @property
    def failed(self) -> bool:
        """Whether it counts as an error of the version."""
        return self.status is None or self.status >= _FIRST_SERVER_ERROR

    @property
    def value(self) -> Any:
        """The answer as JSON; `NO_JSON` where it is none, or is nested too deeply to be read."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return NO_JSON


def handed_on(headers: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """The headers that belong to the request itself; those that `Connection` names do not."""
    kept = list(headers)
    named = {word.strip().lower() for name, value in kept if name.lower() == "connection" for word in value.split(",")}
    dropped = _NOT_HANDED_ON | named | {SHADOW_HEADER}
    return tuple((name, value) for name, value in kept if name.lower() not in dropped)


async def ask(session: aiohttp.ClientSession, url: str, role: str, copy: Copy, largest: int) -> Reply:
    """Send the copy to a version and read its answer; never raises for the version."""
    began = time.monotonic()
    headers = [*copy.headers, (SHADOW_HEADER, role)]
    try:
        async with session.request(
            copy.method,
            URL(f"{url}{copy.target}", encoded=True),
            headers=headers,
            data=copy.body or None,
            allow_redirects=False,
        ) as response:
            body = bytearray()
            async for chunk in response.content.iter_chunked(1 << 16):
                body += chunk
                if len(body) > largest:
                    return Reply(response.status, time.monotonic() - began, too_large=True)
            return Reply(response.status, time.monotonic() - began, bytes(body))
    except (TimeoutError, aiohttp.ClientError, OSError, ValueError):
        return Reply(None, time.monotonic() - began)
