"""A controller on an API server in memory, with what else there is in a cluster: pods that become ready, a gateway, a clock.

`step` lets the operator look once and the cluster answer; `until` repeats that until something is so.
"""

import random
from collections.abc import Callable, Mapping
from typing import Any

from modelrollout.api.settings import Settings
from modelrollout.api.status import ModelDeploymentStatus
from modelrollout.controller.reconcile import Controller
from modelrollout.controller.views import watched
from modelrollout.kube.kinds import DEPLOYMENT, HTTP_ROUTE, MODEL_DEPLOYMENT, ROLLOUT_COMMAND, Kind, Ref
from modelrollout.metrics.subscription import Preflight
from modelrollout.runtime.budget import Budget
from modelrollout.runtime.queue import Queue
from modelrollout.runtime.store import Store
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


class Notes:
    """Events, kept."""

    def __init__(self):
        self.said: list[tuple[str, str]] = []

    def record(self, about, kind, reason, action, note):
        self.said.append((reason, note))


class Stage:
    """One ModelDeployment. `unready`: begins of names of Deployments whose pods do not become ready."""

    def __init__(self, **settings: Any) -> None:
        self.api = FakeKube()
        self.clock = VirtualClock()
        self.settings = Settings.model_validate({"comparer": {"image": "comparer:1"}} | settings)
        self.kinds = watched(self.settings)
        self.store = Store(self.kinds, lambda _: None)
        self.api.watchers.append(self._seen)
        self.metrics, self.events = NoMetrics(), Notes()
        self.unready: set[str] = set()
        self.controller = self.operator()

    def operator(self) -> Controller:
        """A process of the operator that remembers nothing."""
        return Controller(
            api=self.api,
            store=self.store,
            queue=Queue(self.clock, rng=random.Random(1)),
            metrics=self.metrics,
            settings=self.settings,
            clock=self.clock,
            events=self.events,
            checkpoints=Budget(self.clock.monotonic, rate=100, burst=100),
        )

    def apply(self, version: str, **fields: Any) -> None:
        spec = {"server": {"image": f"fraud:{version}"}, "replicas": 4, "analysis": {"mode": "None"}} | fields
        manifest = {"apiVersion": MODEL_DEPLOYMENT.api_version, "kind": MODEL_DEPLOYMENT.kind}
        self.api.put(manifest | {"metadata": {"namespace": KEY[0], "name": KEY[1]}, "spec": spec})

    def command(self, action: str, **fields: Any) -> None:
        spec = {"target": KEY[1], "action": action, "revision": self.status.rollout.revision, "by": "alice"} | fields
        name = f"command-{len(self.api.of(ROLLOUT_COMMAND))}"
        manifest = {"apiVersion": ROLLOUT_COMMAND.api_version, "kind": ROLLOUT_COMMAND.kind}
        self.api.put(manifest | {"metadata": {"namespace": KEY[0], "name": name}, "spec": spec})

    @property
    def status(self) -> ModelDeploymentStatus:
        return ModelDeploymentStatus.model_validate(self.api.peek(REF).get("status") or {})

    def now(self, kind: Kind, name: str) -> Mapping[str, Any] | None:
        return self.api.peek(Ref(kind, KEY[0], name))

    async def step(self) -> None:
        await self.controller.reconcile(KEY)
        self._answer()
        await self.clock.advance(SECONDS)

    async def until(self, condition: Callable[[ModelDeploymentStatus], Any], steps: int = 40) -> ModelDeploymentStatus:
        for _ in range(steps):
            if condition(self.status):
                return self.status
            await self.step()
        raise AssertionError(f"never: {self.status.phase} {self.status.summary.reason} {self.status.message}")

    def _answer(self) -> None:
        """What the controllers of the cluster make of the objects."""
        for raw in self.api.of(DEPLOYMENT):
            name, replicas = raw["metadata"]["name"], raw["spec"]["replicas"]
            status = {"observedGeneration": raw["metadata"]["generation"], "replicas": replicas}
            if not any(name.startswith(begin) for begin in self.unready):
                status |= {"readyReplicas": replicas, "updatedReplicas": replicas}
            self.api.set_status(Ref(DEPLOYMENT, KEY[0], name), status)
        for raw in self.api.of(HTTP_ROUTE):
            generation = raw["metadata"]["generation"]
            said = [
                {"type": kind, "status": "True", "reason": kind, "message": "", "observedGeneration": generation}
                for kind in ("Accepted", "ResolvedRefs")
            ]
            parents = [
                {"parentRef": parent, "controllerName": "example.com/c", "conditions": said}
                for parent in raw["spec"]["parentRefs"]
            ]
            self.api.set_status(Ref(HTTP_ROUTE, KEY[0], raw["metadata"]["name"]), {"parents": parents})

    def _seen(self, kind: Kind, raw: Mapping[str, Any], deleted: bool) -> None:
        if kind.kind in self.kinds:
            self.store.observe(kind.kind, raw, deleted=deleted)
