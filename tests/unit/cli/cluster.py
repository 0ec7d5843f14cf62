"""The plugin's `Cluster` over the in-memory API server, with watches that really wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from modelrollout.cli.cluster import Change
from modelrollout.kube.errors import ApiError
from modelrollout.kube.kinds import MODEL_DEPLOYMENT, ROLLOUT_COMMAND, Kind, Ref
from tests.fakes.fields import merge
from tests.fakes.kube import FakeKube


class FakeCluster:
    """`fake` is what is stored. `faults` are raised one by one by the next reads; `cuts` lose a
    change, and end the watch, that many times."""

    def __init__(self, *deployments: dict[str, Any], namespace: str = "ml") -> None:
        self.fake = FakeKube()
        self.namespace = namespace
        self.name = "alice@example.com"
        self.faults: list[ApiError] = []
        self.cuts = 0
        self.renewed = 0
        self.patches: list[tuple[Ref, dict[str, Any]]] = []
        for found in deployments:
            self.load(found)

    def load(self, found: dict[str, Any]) -> Ref:
        """Store a sample with its status; the generation that the status speaks of is moved to the stored one's."""
        metadata = {key: found["metadata"][key] for key in ("name", "namespace")}
        stored = self.fake.put({**found, "metadata": metadata})
        ref = Ref(MODEL_DEPLOYMENT, metadata["namespace"], metadata["name"])
        if "status" in found:
            behind = found["metadata"]["generation"] - found["status"]["observedGeneration"]
            generation = stored["metadata"]["generation"] - behind
            self.fake.set_status(ref, {**found["status"], "observedGeneration": generation})
        return ref

    def operator(self, outcome: str, message: str) -> None:
        """Let somebody take each command as soon as it is created."""
        loop = asyncio.get_event_loop_policy()

        def watcher(kind: Kind, raw: Any, deleted: bool) -> None:
            if kind == ROLLOUT_COMMAND and "status" not in raw:
                ref = Ref(kind, raw["metadata"]["namespace"], raw["metadata"]["name"])
                status = {"outcome": outcome, "message": message}
                loop.get_event_loop().call_soon(self.fake.set_status, ref, status)

        self.fake.watchers.append(watcher)

    @property
    def commands(self) -> list[Any]:
        return self.fake.of(ROLLOUT_COMMAND)

    async def get(self, ref: Ref) -> Any:
        if self.faults:
            raise self.faults.pop(0)
        return await self.fake.get(ref)

    async def items(self, kind: Kind, namespace: str, labels: str = "") -> list[Any]:
        return list((await self.fake.list(kind, namespace=namespace, labels=labels)).items)

    async def create(self, manifest: Any) -> Any:
        return await self.fake.create(manifest)

    async def patch(self, ref: Ref, body: Any) -> Any:
        self.patches.append((ref, body))
        return self.fake.edit(ref, lambda raw: raw.update(merge(raw, body)), manager="kubectl-modelrollout")

    async def watch(self, ref: Ref, resource_version: str) -> AsyncIterator[Change]:
        changes: asyncio.Queue[Change] = asyncio.Queue()

        def watcher(kind: Kind, raw: Any, deleted: bool) -> None:
            if kind == ref.kind and raw["metadata"]["name"] == ref.name:
                changes.put_nowait(Change(raw, deleted))

        live = self.fake.peek(ref)
        if live is not None and live["metadata"]["resourceVersion"] != resource_version:
            changes.put_nowait(Change(live))
        self.fake.watchers.append(watcher)
        try:
            while True:
                change = await changes.get()
                if self.cuts:
                    self.cuts -= 1
                    return
                yield change
        finally:
            self.fake.watchers.remove(watcher)

    async def user(self) -> str:
        return self.name

    async def renew(self) -> None:
        self.renewed += 1


def soon(action: Callable[[], Any]) -> None:
    """Do something after everything that is waiting now had its turn."""
    asyncio.get_running_loop().call_later(0.01, action)
