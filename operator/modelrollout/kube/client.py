"""`KubeApi` over the official asynchronous client, on raw JSON.

Only the transport, the kubeconfig and the in-cluster token of `kubernetes.aio` are used. Its typed models are left out:
they would cost a model object for each of thousands of objects, and they drop fields they do not know. Every request
has a time limit, at most `concurrency` are under way at once, and none is repeated here. (aiohttp sends a GET, PUT or
DELETE again when a kept-alive connection turns out to be closed. That is harmless: a PUT here carries the resourceVersion
and a DELETE names the object's uid, so that a second arrival is at worst a Conflict.)

The lease has a client of its own, so that a crowd of slow requests cannot keep it from being renewed.
"""

import asyncio
import json
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.config import load_incluster_config, load_kube_config

from modelrollout import __version__
from modelrollout.kube.api import FIELD_MANAGER, Json, KubeApi, Page, Propagation, Selection, Told, Version
from modelrollout.kube.errors import (
    ApiError,
    Conflict,
    Invalid,
    NotFound,
    OutcomeUnknown,
    Unavailable,
    Unreachable,
    from_status,
)
from modelrollout.kube.kinds import Kind, Ref, ref_of

log = logging.getLogger(__name__)

Observer = Callable[[str, str, str, float], None]
"""Told of each request: verb, resource, code (or the error's name) and seconds."""

_ERROR_CODES_FROM = 400
_WARNINGS_REMEMBERED = 200
_MALFORMED = ("failed to create typed patch object", "failed to convert new object")
_QUIET = 150.0
"""Seconds without a byte after which a watch counts as broken: two bookmarks have failed to come."""
_GRACE = 15.0
"""Seconds that a server may take to end a watch whose time is over."""


async def load_configuration(kubeconfig: str | Path | None = None, context: str | None = None) -> Configuration:
    """Find the API server and the credentials: a kubeconfig if one is named, else the pod's own service account."""
    configuration = Configuration()
    if kubeconfig is None:
        load_incluster_config(client_configuration=configuration)
    else:
        await load_kube_config(
            config_file=str(kubeconfig), context=context, client_configuration=configuration, persist_config=False
        )
    return configuration


def _nobody(verb: str, resource: str, code: str, seconds: float) -> None:
    pass


@dataclass(frozen=True, slots=True)
class _Request:
    """One request before it has a host and credentials. `verb` is HTTP's, or LIST, WATCH or APPLY, which say more."""

    verb: str
    kind: Kind
    path: str
    what: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Json | None = None
    content: str = "application/json"

    @property
    def method(self) -> str:
        return {"LIST": "GET", "WATCH": "GET", "APPLY": "PATCH"}.get(self.verb, self.verb)

    @property
    def target(self) -> str:
        return self.path + (f"?{urlencode(self.query)}" if self.query else "")

    def __str__(self) -> str:
        return f"{self.verb} {self.what}"


class Client(KubeApi):
    """Requests to one API server. Make it inside a running event loop, and close it."""

    def __init__(
        self,
        configuration: Configuration,
        *,
        timeout: float = 10.0,
        concurrency: int = 32,
        observer: Observer = _nobody,
        field_manager: str = FIELD_MANAGER,
    ) -> None:
        configuration.retries = None
        self._client = ApiClient(configuration)
        self._configuration = configuration
        self._timeout = aiohttp.ClientTimeout(total=timeout, sock_connect=min(5.0, timeout))
        self._slots = asyncio.Semaphore(concurrency)
        self._observer = observer
        self._field_manager = field_manager
        self._warned: set[str] = set()

    async def close(self) -> None:
        await self._client.close()

    async def get(self, ref: Ref) -> Json:
        return await self._send(_Request("GET", ref.kind, ref.path, str(ref)))

    async def pages(
        self,
        kind: Kind,
        *,
        namespace: str = "",
        labels: str = "",
        resource_version: str | None = None,
        limit: int = 500,
    ) -> AsyncIterator[Page]:
        query: dict[str, str] = {"limit": str(limit)} if limit else {}
        if labels:
            query["labelSelector"] = labels
        if resource_version is not None:
            query["resourceVersion"] = resource_version
        path, what = kind.path(namespace), f"{kind.plural} {namespace or '(all)'}"
        while True:
            body = await self._send(_Request("LIST", kind, path, what, query=query))
            metadata = body.get("metadata") or {}
            yield Page(tuple(body.get("items") or ()), str(metadata.get("resourceVersion", "")))
            if not (token := metadata.get("continue")):
                return
            query["continue"] = token
            query.pop("resourceVersion", None)  # a continue token carries its own; the server refuses both

    async def list(
        self, kind: Kind, *, namespace: str = "", labels: str = "", resource_version: str | None = None
    ) -> Page:
        pages = self.pages(kind, namespace=namespace, labels=labels, resource_version=resource_version, limit=0)
        async for page in pages:
            return page
        raise AssertionError("a list has at least one page")

    async def watch(self, what: Selection, resource_version: str, seconds: int = 300) -> AsyncGenerator[Told, None]:
        """What happens after a version, as it happens; ends after so many seconds, or as the server likes.

        Raises `Gone` where the server has forgotten that version: the caller lists, and watches from there. Takes no slot of
        the other requests. A connection on which not even a bookmark comes (the server sends one a minute) counts as broken.
        """
        query = {"watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": str(seconds)}
        query |= {"resourceVersion": resource_version} | what.selectors
        request = _Request("WATCH", what.kind, what.kind.path(what.namespace), str(what), query)
        response = await self._open(request, min(_QUIET, seconds + _GRACE))
        try:
            async for line in _lines(response.content):
                yield _told(line, str(request))
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise Unreachable(_text(error), request=str(request)) from error
        finally:
            response.close()

    async def apply(
        self, manifest: Json, *, force: bool = False, only_if: Version | None = None, dry_run: bool = False
    ) -> Json:
        ref = ref_of(dict(manifest))
        query = {"fieldManager": self._field_manager, "force": str(force).lower(), "fieldValidation": "Strict"}
        if dry_run:
            query["dryRun"] = "All"
        body = dict(manifest)
        if only_if is not None:
            expected = {"uid": only_if.uid, "resourceVersion": only_if.resource_version}
            body["metadata"] = {**body["metadata"], **expected}
        content = "application/apply-patch+yaml"
        try:
            return await self._send(_Request("APPLY", ref.kind, ref.path, str(ref), query, body, content))
        except Invalid as error:
            # How the server says that there is another object of this name now.
            if only_if is not None and any(cause.field == "metadata.uid" for cause in error.causes):
                raise Conflict(error.message, request=error.request, code=error.code, causes=error.causes) from error
            raise
        except Unavailable as error:
            # A manifest that has not the form of its kind is the server's 500, and will be the next time.
            if error.message.startswith(_MALFORMED):
                raise Invalid(error.message, request=error.request, code=error.code) from error
            raise

    async def create(self, manifest: Json) -> Json:
        kind, metadata = _kind_of(manifest), manifest["metadata"]
        namespace = metadata.get("namespace", "")
        what = f"{kind.plural} {namespace}/{metadata.get('name') or metadata.get('generateName')}"
        query = {"fieldManager": self._field_manager}
        return await self._send(_Request("POST", kind, kind.path(namespace), what, query=query, body=manifest))

    async def replace(self, manifest: Json) -> Json:
        ref = ref_of(dict(manifest))
        query = {"fieldManager": self._field_manager}
        return await self._send(_Request("PUT", ref.kind, ref.path, str(ref), query=query, body=manifest))

    async def replace_status(self, ref: Ref, status: Json, *, resource_version: str) -> Json:
        # The status endpoint takes everything but status and managedFields from the stored object, so a body
        # without spec cannot touch it.
        body = {
            "apiVersion": ref.kind.api_version,
            "kind": ref.kind.kind,
            "metadata": {"namespace": ref.namespace, "name": ref.name, "resourceVersion": resource_version},
            "status": status,
        }
        path = ref.kind.path(ref.namespace, ref.name, "status")
        query = {"fieldManager": self._field_manager}
        return await self._send(_Request("PUT", ref.kind, path, f"{ref} status", query=query, body=body))

    async def patch_metadata(
        self,
        ref: Ref,
        *,
        labels: Mapping[str, str | None] | None = None,
        annotations: Mapping[str, str | None] | None = None,
        resource_version: str | None = None,
    ) -> Json:
        metadata: dict[str, Any] = {}
        if labels:
            metadata["labels"] = dict(labels)
        if annotations:
            metadata["annotations"] = dict(annotations)
        if resource_version is not None:
            metadata["resourceVersion"] = resource_version
        return await self._send(
            _Request(
                "PATCH",
                ref.kind,
                ref.path,
                str(ref),
                query={"fieldManager": self._field_manager},
                body={"metadata": metadata},
                content="application/merge-patch+json",
            )
        )

    async def patch(self, ref: Ref, body: Json) -> Json:
        """Merge `body` into an object, whatever its version.

        Not part of `KubeApi`: the operator writes what it decided on, and only that. A person's `restart` is such a patch.
        """
        query = {"fieldManager": self._field_manager}
        content = "application/merge-patch+json"
        return await self._send(
            _Request("PATCH", ref.kind, ref.path, str(ref), query=query, body=body, content=content)
        )

    async def delete(
        self,
        ref: Ref,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
        propagation: Propagation = "Background",
    ) -> None:
        wanted = {"uid": uid, "resourceVersion": resource_version}
        body: dict[str, Any] = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}
        if preconditions := {name: value for name, value in wanted.items() if value is not None}:
            body["preconditions"] = preconditions
        await self._send(_Request("DELETE", ref.kind, ref.path, str(ref), body=body))

    async def serves(self, kind: Kind) -> bool:
        try:
            body = await self._send(_Request("GET", kind, kind.base, f"resources of {kind.api_version}"))
        except NotFound:
            return False
        return any(resource.get("name") == kind.plural for resource in body.get("resources") or ())

    async def _send(self, request: "_Request") -> dict[str, Any]:
        async with self._slots:
            began, code = time.monotonic(), "Cancelled"
            try:
                answer, status = await self._exchange(request)
                code = str(status)
            except ApiError as error:
                code = str(error.code or type(error).__name__)
                raise
            finally:
                self._observer(request.verb, request.kind.plural, code, time.monotonic() - began)
        return answer

    async def _open(self, request: "_Request", quiet: float) -> aiohttp.ClientResponse:
        """Begin to read an answer that does not end, but breaks off after so many quiet seconds. Raises nothing but `ApiError`."""
        began, code, what = time.monotonic(), "Cancelled", str(request)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5.0, sock_read=quiet)
        try:
            response = await self._client.call_api(
                request.method,
                self._configuration.host + request.target,
                header_params=await self._headers(request.content),
                _request_timeout=timeout,
            )
            code = str(response.status)
            if response.status >= _ERROR_CODES_FROM:
                after = _seconds(response.headers.get("Retry-After"))
                answer = _parse(await response.read())
                raise from_status(response.status, answer, request=what, write=False, retry_after=after)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            code = Unreachable.__name__
            raise Unreachable(_text(error), request=what) from error
        finally:
            self._observer(request.verb, request.kind.plural, code, time.monotonic() - began)
        found: aiohttp.ClientResponse = response.response
        return found

    async def _exchange(self, request: "_Request") -> tuple[dict[str, Any], int]:
        """One request and its whole answer. Raises nothing but `ApiError`."""
        write, what = request.method != "GET", str(request)
        headers = await self._headers(request.content)
        url = self._configuration.host + request.target
        try:
            response = await self._client.call_api(
                request.method, url, header_params=headers, body=request.body, _request_timeout=self._timeout
            )
            raw = await response.read()
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise Unreachable(_text(error), request=what) from error
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            kind = OutcomeUnknown if write else Unreachable
            raise kind(_text(error), request=what) from error
        answer = _parse(raw)
        if response.status >= _ERROR_CODES_FROM:
            after = _seconds(response.headers.get("Retry-After"))
            raise from_status(response.status, answer, request=what, write=write, retry_after=after)
        self._note_warnings(what, response.headers.getall("Warning", ()))
        return answer, response.status

    async def _headers(self, content: str) -> dict[str, str]:
        headers = {
            "Accept": "application/json",
            "Content-Type": content,
            "User-Agent": f"modelrollout/{__version__}",
        }
        for auth in (await self._configuration.auth_settings()).values():
            headers[auth["key"]] = auth["value"]  # re-reads the token's file when it is a minute old
        return headers

    def _note_warnings(self, request: str, warnings: Iterable[str]) -> None:
        for warning in warnings:
            if warning not in self._warned and len(self._warned) < _WARNINGS_REMEMBERED:
                self._warned.add(warning)
                log.warning("API server on %s: %s", request, warning)


def _kind_of(manifest: Json) -> Kind:
    return ref_of({**manifest, "metadata": {"name": "-"}}).kind


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """The lines of a stream, of any length."""
    begun = bytearray()
    async for chunk in content.iter_any():
        begun += chunk
        *whole, rest = begun.split(b"\n")
        begun = rest
        for line in whole:
            if line:
                yield bytes(line)
    if begun:
        raise aiohttp.ClientPayloadError("the stream was cut off")


def _told(line: bytes, request: str) -> Told:
    try:
        event = json.loads(line)
        kind, raw = event["type"], event["object"]
    except (ValueError, KeyError, TypeError) as error:
        raise Unreachable("the stream was cut off", request=request) from error
    if kind == "ERROR":
        raise from_status(int(raw.get("code") or 500), raw, request=request, write=False)
    return Told(kind, raw)


def _text(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _parse(raw: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(raw) if raw else {}
    except ValueError:
        # A proxy in front of the API server answers in HTML.
        return {"message": raw[:200].decode("utf-8", "replace")}
    return answer if isinstance(answer, dict) else {}


def _seconds(header: str | None) -> float | None:
    try:
        return float(header) if header else None
    except ValueError:
        return None
