"""One ModelDeployment's life in memory: the operator's controller on the API server of `fakes/kube.py`, in virtual time.

Pods are ready as soon as they are asked for. A gateway takes every HTTPRoute at once; other routers say nothing, as in life.
Nothing is measured.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from modelrollout.api.settings import RouterName, Settings
from modelrollout.controller.reconcile import Controller
from modelrollout.controller.views import watched
from modelrollout.kube.api import Json
from modelrollout.kube.events import Events
from modelrollout.kube.kinds import DEPLOYMENT, HTTP_ROUTE, MODEL_DEPLOYMENT, ROLLOUT_COMMAND, Kind, Ref
from modelrollout.metrics.subscription import Preflight
from modelrollout.runtime.budget import Budget
from modelrollout.runtime.queue import Queue
from modelrollout.runtime.store import Store
from tests.fakes.clock import VirtualClock
from tests.fakes.kube import FakeKube

KEY = ("ml", "fraud")
REF = Ref(MODEL_DEPLOYMENT, *KEY)


class Nothing:
    """A source of metrics that is never asked, for plans that are not judged."""

    def subscribe(self, key: Any, subscription: Any) -> None: ...

    def unsubscribe(self, key: Any) -> None: ...

    def windows(self, key: Any) -> dict[str, Any]:
        del key
        return {}

    def problem(self, key: Any) -> None: ...

    def preflight(self, key: Any) -> Preflight:
        del key
        return Preflight(ready=True)


class Stage:
    """The API server, the operator, and what is asked of both."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.api = FakeKube(self.clock.now)
        settings = Settings(routers=tuple(RouterName))
        self.queue = Queue(self.clock, rng=random.Random(1))
        self.store = Store(watched(settings), self.queue.wake)
        self.api.watchers += [self._happened, self._answered]
        self.events = Events(self.api, self.clock, "stage")
        self.controller = Controller(
            api=self.api,
            store=self.store,
            queue=self.queue,
            metrics=Nothing(),
            settings=settings,
            clock=self.clock,
            events=self.events,
            checkpoints=Budget(self.clock.monotonic, rate=5.0, burst=5.0),
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Stage"]:
        """The operator at work."""
        task = asyncio.create_task(self.queue.run(self.controller.reconcile))
        try:
            yield self
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    @property
    def status(self) -> dict[str, Any]:
        return dict(self.api.peek(REF) or {}).get("status") or {}

    def weights(self) -> dict[str, str]:
        """Recorded weights in percent, by version."""
        return {one["version"]: one.get("weight", 0) for one in self.status["revisions"]}

    def ask(self, manifest: Json) -> None:
        """What `kubectl apply` does."""
        self.api.put({**manifest, "metadata": {"namespace": KEY[0], **manifest["metadata"]}})

    def command(self, action: str, version: str) -> None:
        """A RolloutCommand about a version."""
        revision = next(one["revision"] for one in self.status["revisions"] if one["version"] == version)
        body = {"target": KEY[1], "action": action, "revision": revision, "by": "alice"}
        name = f"{action.lower()}-{self.api.version}"
        metadata = {"namespace": KEY[0], "name": name}
        self.api.put(
            {
                "apiVersion": ROLLOUT_COMMAND.api_version,
                "kind": ROLLOUT_COMMAND.kind,
                "metadata": metadata,
                "spec": body,
            }
        )

    async def until(self, what: Callable[[], Any], seconds: int = 600) -> None:
        """Let time pass until something is so."""
        for _ in range(seconds):
            if what():
                return
            await self.clock.advance(1.0)
        raise AssertionError(f"not within {seconds} s; status: {self.status.get('message')}")

    def _happened(self, kind: Kind, raw: Json, deleted: bool) -> None:
        if kind.kind in self.store._kinds:
            self.store.observe(kind.kind, raw, deleted=deleted)

    def _answered(self, kind: Kind, raw: Json, deleted: bool) -> None:
        """What controllers and gateways write into statuses."""
        metadata, spec = raw["metadata"], raw.get("spec") or {}
        ref = Ref(kind, metadata["namespace"], metadata["name"])
        status = _pods(metadata, spec) if kind == DEPLOYMENT else _taken(metadata, spec) if kind == HTTP_ROUTE else None
        if status is not None and not deleted and raw.get("status") != status:
            self.api.set_status(ref, status)


def _pods(metadata: Json, spec: Json) -> Json:
    count = spec.get("replicas", 1)
    return {"observedGeneration": metadata["generation"], "replicas": count, "readyReplicas": count}


def _taken(metadata: Json, spec: Json) -> Json:
    conditions = [
        {"type": "Accepted", "status": "True", "reason": "Accepted", "observedGeneration": metadata["generation"]}
    ]
    return {"parents": [{"parentRef": parent, "conditions": conditions} for parent in spec["parentRefs"]]}
