"""The API server as a person, a GitOps tool or another controller uses it: requests on plain JSON, under any manager's name.

It shares nothing with the operator's own client, so that a fault there cannot hide here.
"""

import asyncio
import base64
import json
import ssl
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any

import aiohttp

from tests.harness.background import Background

Json = dict[str, Any]

PATHS = {
    "ModelDeployment": "/apis/modelrollout.dev/v1alpha1/namespaces/{}/modeldeployments",
    "RolloutCommand": "/apis/modelrollout.dev/v1alpha1/namespaces/{}/rolloutcommands",
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments",
    "ControllerRevision": "/apis/apps/v1/namespaces/{}/controllerrevisions",
    "HTTPRoute": "/apis/gateway.networking.k8s.io/v1/namespaces/{}/httproutes",
    "HorizontalPodAutoscaler": "/apis/autoscaling/v2/namespaces/{}/horizontalpodautoscalers",
    "Service": "/api/v1/namespaces/{}/services",
    "Pod": "/api/v1/namespaces/{}/pods",
    "PodDisruptionBudget": "/apis/policy/v1/namespaces/{}/poddisruptionbudgets",
}
VERSIONS = {kind: path[len("/apis/") : path.index("/namespaces")] for kind, path in PATHS.items()} | {
    "Service": "v1",
    "Pod": "v1",
}
MERGE = "application/merge-patch+json"
APPLY = "application/apply-patch+yaml"


class RefusedError(Exception):
    """The server said no. `code` is HTTP's."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message = code, message


class ApiServer:
    """One API server. The asynchronous half is for the background, the other for tests."""

    def __init__(self, background: Background, kubeconfig: Path) -> None:
        self.background = background
        config = json.loads(kubeconfig.read_text())
        self.url = str(config["clusters"][0]["cluster"]["server"])
        self.tls = _tls(config)
        self._session = background.call(self._open())

    async def _open(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=self.tls, limit=0))

    def close(self) -> None:
        self.background.call(self._session.close())

    async def ask(
        self, method: str, path: str, body: Any = None, content: str = "application/json", **query: str
    ) -> Json:
        headers = {"Content-Type": content}
        data = None if body is None else json.dumps(body)
        timeout = aiohttp.ClientTimeout(total=30)
        async with self._session.request(
            method, self.url + path, data=data, params=query, headers=headers, timeout=timeout
        ) as answer:
            found: Json = await answer.json(content_type=None)
            if answer.status >= 400:
                raise RefusedError(answer.status, str(found.get("message")))
            return found

    async def watch(self, path: str, version: str) -> AsyncIterator[Json]:
        """Events after a resourceVersion, until the server ends the watch."""
        query = {"watch": "1", "resourceVersion": version}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
        async with self._session.get(self.url + path, params=query, timeout=timeout) as answer:
            rest = b""
            async for chunk in answer.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    yield json.loads(line)

    def of(self, namespace: str) -> "Objects":
        return Objects(self, namespace)


class Objects:
    """The objects of one namespace, for tests."""

    def __init__(self, server: ApiServer, namespace: str) -> None:
        self.server, self.namespace = server, namespace

    def path(self, kind: str, name: str = "", subresource: str = "") -> str:
        return "/".join(part for part in (PATHS[kind].format(self.namespace), name, subresource) if part)

    def ask(self, *words: Any, **options: Any) -> Json:
        return self.server.background.call(self.server.ask(*words, **options))

    def get(self, kind: str, name: str) -> Json:
        return self.ask("GET", self.path(kind, name))

    def list(self, kind: str, labels: str = "") -> list[Json]:
        options = {"labelSelector": labels} if labels else {}
        items: list[Json] = self.ask("GET", self.path(kind), **options)["items"]
        return items

    def create(self, manifest: Json, manager: str = "somebody") -> Json:
        return self.ask("POST", self.path(manifest["kind"]), manifest, fieldManager=manager)

    def create_all(self, manifests: Iterable[Json], manager: str = "somebody") -> None:
        """Many at once."""

        async def all_of_them() -> None:
            gate = asyncio.Semaphore(32)

            async def one(manifest: Json) -> None:
                async with gate:
                    await self.server.ask("POST", self.path(manifest["kind"]), manifest, fieldManager=manager)

            await asyncio.gather(*(one(manifest) for manifest in manifests))

        self.server.background.call(all_of_them())

    def apply(self, manifest: Json, manager: str = "somebody", force: bool = True) -> Json:
        path = self.path(manifest["kind"], manifest["metadata"]["name"])
        return self.ask("PATCH", path, manifest, content=APPLY, fieldManager=manager, force=str(force).lower())

    def patch(self, kind: str, name: str, body: Json, subresource: str = "", manager: str = "somebody") -> Json:
        return self.ask("PATCH", self.path(kind, name, subresource), body, content=MERGE, fieldManager=manager)

    def change(
        self, kind: str, name: str, edit: Callable[[Json], object], subresource: str = "", manager: str = "somebody"
    ) -> Json:
        """Read, edit, write back: what `kubectl edit` does. A conflict begins again."""
        while True:
            found = self.get(kind, name)
            edit(found)
            try:
                return self.ask("PUT", self.path(kind, name, subresource), found, fieldManager=manager)
            except RefusedError as refusal:
                if refusal.code != 409:
                    raise

    def delete(self, kind: str, name: str, **options: Any) -> Json:
        return self.ask("DELETE", self.path(kind, name), options or None)


def _tls(config: Json) -> ssl.SSLContext:
    authority = base64.b64decode(config["clusters"][0]["cluster"]["certificate-authority-data"]).decode()
    context = ssl.create_default_context(cadata=authority)
    user = config["users"][0]["user"]
    with tempfile.NamedTemporaryFile("wb") as pair:
        pair.write(base64.b64decode(user["client-certificate-data"]))
        pair.write(base64.b64decode(user["client-key-data"]))
        pair.flush()
        context.load_cert_chain(pair.name)
    return context
