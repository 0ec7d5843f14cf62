"""One bounded HTTP conversation with a Prometheus: the session under prometheus-api-client.

The library waits for ever, follows redirects, and reads any answer into memory. Here every answer has a bound in size, no
redirect is followed (an address comes from the administrator alone), nothing is taken from the environment (proxies, .netrc),
credentials are read from their files at each request, and `abort` ends a conversation from another thread: time-outs of
sockets bound one read, not a server that drips a byte a second.
"""

from __future__ import annotations

import contextlib
import email.utils
import json
import socket
from pathlib import Path
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase, HTTPBasicAuth
from urllib3.util.retry import Retry

from modelrollout.api.settings import Auth, Provider, Scheme

from .errors import AnswerError, RefusedError, TooLargeError, UnavailableError

LARGEST_ANSWER = 64 << 20
"""Bytes of one answer."""

_CHUNK = 1 << 16
_EXCERPT = 300
_TRY_AGAIN = frozenset({408, 425, 429})


class FileAuth(AuthBase):
    """Credentials from mounted files, read anew for each request, so that they may be rotated."""

    def __init__(self, auth: Auth) -> None:
        self._auth = auth

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._auth.scheme is Scheme.BEARER:
            request.headers["Authorization"] = f"Bearer {_secret(self._auth.token_file)}"
        elif self._auth.scheme is Scheme.BASIC:
            HTTPBasicAuth(_secret(self._auth.username_file), _secret(self._auth.password_file))(request)
        return request


def _secret(path: str | None) -> str:
    try:
        return Path(path or "").read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UnavailableError(f"the credentials in {path} cannot be read") from error


class Wire:
    """The connection of one session, as something that can be cut from another thread."""

    def __init__(self) -> None:
        self.cut = False
        self._handle: socket.socket | None = None

    def opened(self, connection: socket.socket) -> None:
        # A second descriptor of the same connection stays valid when TLS takes the first one over.
        self.close()
        self._handle = connection.dup()

    def abort(self) -> None:
        self.cut = True
        if self._handle is not None:
            with contextlib.suppress(OSError):
                self._handle.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        if self._handle is not None:
            self._handle.close()
            self._handle = None


class WireAdapter(HTTPAdapter):
    """Connections that are registered with a Wire; never a retry."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=Retry(0, read=False))

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        wire = self._wire

        class Http(urllib3.connection.HTTPConnection):
            def _new_conn(self) -> socket.socket:
                connection = super()._new_conn()
                wire.opened(connection)
                return connection

        class Https(urllib3.connection.HTTPSConnection):
            def _new_conn(self) -> socket.socket:
                connection = super()._new_conn()
                wire.opened(connection)
                return connection

        class HttpPool(urllib3.HTTPConnectionPool):
            ConnectionCls = Http

        class HttpsPool(urllib3.HTTPSConnectionPool):
            ConnectionCls = Https

        self.poolmanager.pool_classes_by_scheme = {"http": HttpPool, "https": HttpsPool}


class BoundedSession(requests.Session):
    """A session whose answers are complete, small enough and 200, or an error of ours.

    `received`: bytes of the last answer; `date`: its Date header in seconds since 1970, None if it had none.
    """

    def __init__(self, provider: Provider, wire: Wire, largest: int = LARGEST_ANSWER) -> None:
        super().__init__()
        self.trust_env = False
        self.verify = False if provider.tls.insecure_skip_verify else provider.tls.ca_file or True
        self.headers.update({"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "modelrollout"})
        self.received = 0
        self.date: float | None = None
        self._wire = wire
        self._largest = largest

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        """As `requests.Session.request`, bounded. Raises MetricsError and what requests and urllib3 raise."""
        self.received, self.date = 0, None
        with super().request(*args, **{**kwargs, "stream": True, "allow_redirects": False}) as response:
            body = self._body(response)
        self.date = _date(response.headers.get("Date"))
        _check(response, body)
        response._content = body  # noqa: SLF001  the only way to hand a body that was read under a bound to the library
        return response

    def _body(self, response: requests.Response) -> bytes:
        declared = response.headers.get("Content-Length", "")
        if declared.isdigit() and int(declared) > self._largest:
            raise TooLargeError(f"the answer has {int(declared) >> 20} MB")
        body = bytearray()
        while chunk := response.raw.read1(_CHUNK, decode_content=True):
            body += chunk
            self.received = len(body)
            if len(body) > self._largest:
                raise TooLargeError(f"the answer has more than {self._largest >> 20} MB")
        if declared.isdigit() and "Content-Encoding" not in response.headers and len(body) < int(declared):
            raise AnswerError("the answer was cut off")
        return bytes(body)


def _date(text: str | None) -> float | None:
    with contextlib.suppress(TypeError, ValueError):
        return email.utils.parsedate_to_datetime(text or "").timestamp()
    return None


def _check(response: requests.Response, body: bytes) -> None:
    status = response.status_code
    if status == requests.codes.ok:
        return
    said = _said(body)
    brief = f"HTTP {status}: {said}" if said else f"HTTP {status}"
    if status >= requests.codes.server_error or status in _TRY_AGAIN:
        raise UnavailableError(brief)
    if status >= requests.codes.bad_request:
        raise RefusedError(brief)
    raise AnswerError(f"HTTP {status} instead of an answer")


def _said(body: bytes) -> str:
    """The message of a Prometheus' error; of anything else nothing, for it may be a page of HTML."""
    try:
        said = json.loads(body)["error"]
    except (ValueError, KeyError, TypeError):
        return ""
    return str(said)[:_EXCERPT]
