"""The controller on an API server in memory, with what else there is in a cluster: pods, a gateway, a clock that is told the time.

`Stage` looks when the test says so: `step` lets the operator look once and the cluster answer. `Live` looks by itself, when its queue
wakes it, and the cluster answers every write at once.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

from modelrollout.api.settings import RouterName, Settings
from modelrollout.api.status import ModelDeploymentStatus
from modelrollout.controller.reconcile import Controller
from modelrollout.controller.views import watched
from modelrollout.kube.kinds import DEPLOYMENT, HTTP_ROUTE, MODEL_DEPLOYMENT, ROLLOUT_COMMAND, Kind, Ref
from modelrollout.metrics.subscription import Preflight, resource_of
from modelrollout.runtime.budget import Budget
from modelrollout.runtime.queue import Queue
from modelrollout.runtime.store import Store
from modelrollout.warmup.warmer import Warmer
from tests.fakes.clock import VirtualClock
from tests.fakes.kube import FakeKube

KEY = ("ml", "fraud")
REF = Ref(MODEL_DEPLOYMENT, *KEY)
SECONDS = 6.0
"""Between two looks: longer than readiness and routes take to be confirmed."""


class NoMetrics:
    """A metrics layer that was never asked anything."""

    def __init__(self):
        self.subscriptions: dict[tuple[str, str], Any] = {}

    def subscribe(self, key, subscription):
        self.subscriptions[key] = subscription

    def unsubscribe(self, key):
        self.subscriptions.pop(key, None)

    def windows(self, key):
        return {}

    def problem(self, key):
        return None

    def preflight(self, key):
        return Preflight(ready=True)


class NoSender:
    """For plans without golden requests."""

    async def send(self, request, address, port, within):
        raise AssertionError(f"nothing is to be sent, found {request}")


class Notes:
    """Events, kept."""

    def __init__(self):
        self.said: list[tuple[str, str]] = []

    def record(self, about, kind, reason, action, note):
        self.said.append((reason, note))


class Stage:
    """One ModelDeployment. `unready`: begins of names of Deployments whose pods are not ready."""

    def __init__(self, **settings: Any) -> None:
        self.clock = VirtualClock()
        self.api = FakeKube(self.clock.now)
        self.settings = Settings.model_validate({"comparer": {"image": "comparer:1"}} | settings)
        self.kinds = watched(self.settings)
        self.queue = Queue(self.clock, rng=random.Random(1))
        self.store = Store(self.kinds, self._woken)
        self.api.watchers.append(self._seen)
        self.metrics, self.events = NoMetrics(), Notes()
        self.unready: set[str] = set()
        self.controller = self.operator()

    def operator(self) -> Controller:
        """A process of the operator that remembers nothing."""
        return Controller(
            api=self.api,
            store=self.store,
            queue=self.queue,
            metrics=self.metrics,
            warmer=Warmer(NoSender(), self.clock, self._woken),
            settings=self.settings,
            clock=self.clock,
            events=self.events,
            checkpoints=Budget(self.clock.monotonic, rate=100, burst=100),
        )

    def apply(self, tag: str, **fields: Any) -> None:
        spec = {"server": {"image": f"fraud:{tag}"}, "replicas": 4, "analysis": {"mode": "None"}} | fields
        manifest = {"apiVersion": MODEL_DEPLOYMENT.api_version, "kind": MODEL_DEPLOYMENT.kind}
        self.api.put(manifest | {"metadata": {"namespace": KEY[0], "name": KEY[1]}, "spec": spec})

    def command(self, action: str, **fields: Any) -> None:
        rollout = self.status.rollout
        named = {"revision": rollout.revision} if rollout is not None else {}
        spec = {"target": KEY[1], "action": action, "by": "alice"} | named | fields
        name = f"command-{len(self.api.of(ROLLOUT_COMMAND))}"
        manifest = {"apiVersion": ROLLOUT_COMMAND.api_version, "kind": ROLLOUT_COMMAND.kind}
        self.api.put(manifest | {"metadata": {"namespace": KEY[0], "name": name}, "spec": spec})

    @property
    def status(self) -> ModelDeploymentStatus:
        return ModelDeploymentStatus.model_validate((self.api.peek(REF) or {}).get("status") or {})

    def weights(self) -> dict[str, int]:
        """Recorded weights in basis points, by version; versions without traffic are left out."""
        return {one.version: int(one.weight) for one in self.status.revisions if one.weight}

    @property
    def reason(self) -> str:
        return self.status.summary.reason

    def revision(self, version: str) -> str:
        return next(one.revision for one in self.status.revisions if one.version == version)

    def pods(self, version: str) -> int:
        """Replicas of the version's Deployment; 0 where there is none."""
        label = "app.kubernetes.io/version"
        found = [raw for raw in self.api.of(DEPLOYMENT) if raw["metadata"]["labels"].get(label) == version]
        return sum(int(raw["spec"]["replicas"]) for raw in found)

    def now(self, kind: Kind, name: str) -> Mapping[str, Any] | None:
        return self.api.peek(Ref(kind, KEY[0], name))

    async def step(self) -> None:
        await self.controller.reconcile(KEY)
        for kind in (DEPLOYMENT, HTTP_ROUTE):
            for raw in self.api.of(kind):
                self.answer(kind, raw)
        await self.clock.advance(SECONDS)

    async def run(self, seconds: float) -> None:
        """Let time pass, and look at its end."""
        for _ in range(round(seconds / SECONDS)):
            await self.step()
        await self.controller.reconcile(KEY)

    async def until(self, condition: Callable[[ModelDeploymentStatus], Any], steps: int = 40) -> ModelDeploymentStatus:
        for _ in range(steps):
            if condition(self.status):
                return self.status
            await self.step()
        raise AssertionError(f"never: {self.status.phase} {self.status.summary.reason} {self.status.message}")

    def answer(self, kind: Kind, raw: Mapping[str, Any]) -> None:
        """What the controllers of the cluster make of an object. Routers other than gateways say nothing, as in life."""
        if kind == DEPLOYMENT:
            status = self._pods(raw)
        elif kind == HTTP_ROUTE:
            status = _taken(raw)
        else:
            return
        if raw.get("status") != status:
            self.api.set_status(Ref(kind, KEY[0], raw["metadata"]["name"]), status)

    def _pods(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        replicas = raw["spec"].get("replicas", 1)
        status = {"observedGeneration": raw["metadata"]["generation"], "replicas": replicas}
        if not any(raw["metadata"]["name"].startswith(begin) for begin in self.unready):
            status |= {"readyReplicas": replicas, "updatedReplicas": replicas}
        return status

    def _woken(self, key: tuple[str, str]) -> None:
        """Something about a resource is new. Here the test decides when to look."""

    def _seen(self, kind: Kind, raw: Mapping[str, Any], deleted: bool) -> None:
        if kind.kind in self.kinds:
            self.store.observe(kind.kind, raw, deleted=deleted)


class Live(Stage):
    """The same with the operator at work in `running`, and all routers enabled."""

    def __init__(self) -> None:
        super().__init__(routers=list(RouterName))
        self.api.watchers.append(lambda kind, raw, deleted: None if deleted else self.answer(kind, raw))

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Live"]:
        """The operator at work."""
        task = asyncio.create_task(self.queue.run(self.controller.reconcile))
        try:
            yield self
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def within(self, seconds: int, what: Callable[[], Any]) -> None:
        """Let time pass, second by second, until something is so."""
        for _ in range(seconds):
            if what():
                return
            await self.clock.advance(1.0)
        raise AssertionError(f"not within {seconds} s; status: {self.status.message}")

    async def comes(self, what: Callable[[], Any]) -> None:
        """Let time pass until something is so, for ten minutes at most."""
        await self.within(600, what)

    def _woken(self, key: tuple[str, str]) -> None:
        self.queue.wake(resource_of(key))


def _taken(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The status of a route that its gateways have taken."""
    generation = raw["metadata"]["generation"]
    said = [
        {"type": kind, "status": "True", "reason": kind, "message": "", "observedGeneration": generation}
        for kind in ("Accepted", "ResolvedRefs")
    ]
    return {
        "parents": [
            {"parentRef": parent, "controllerName": "example.com/c", "conditions": said}
            for parent in raw["spec"]["parentRefs"]
        ]
    }
