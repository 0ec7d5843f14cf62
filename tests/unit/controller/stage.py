"""A controller on an API server in memory: a resource's life in virtual time, with pods and a gateway that do as they are told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

from modelrollout.analysis.window import Answer, Counts, Window
from modelrollout.api.settings import Settings
from modelrollout.controller.reconcile import Controller
from modelrollout.controller.views import watched
from modelrollout.kube.api import Json
from modelrollout.kube.kinds import (
    DEPLOYMENT,
    HTTP_ROUTE,
    KINDS,
    MODEL_DEPLOYMENT,
    POD_MONITOR,
    ROLLOUT_COMMAND,
    Kind,
    Ref,
)
from modelrollout.metrics.subscription import Preflight, Subscription
from modelrollout.rollout.situation import Problem
from modelrollout.runtime.store import Store
from tests.fakes.clock import VirtualClock
from tests.fakes.kube import FakeKube

KEY = ("ml", "fraud")
REF = Ref(MODEL_DEPLOYMENT, *KEY)
SETTINGS = Settings.model_validate({"providers": [{"url": "http://prometheus:9090"}], "checkpointEvery": "20s"})
INTERVAL = 15.0


class Measured:
    """A metrics layer that makes windows of what it is told: by slot and metric, candidate's and stable's counts in each."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.subscriptions: dict[tuple[str, str], Subscription] = {}
        self.counts: dict[tuple[str, str], tuple[Counts, Counts]] = {}

    def subscribe(self, key: tuple[str, str], subscription: Subscription) -> None:
        self.subscriptions[key] = subscription

    def unsubscribe(self, key: tuple[str, str]) -> None:
        self.subscriptions.pop(key, None)

    def windows(self, key: tuple[str, str]) -> Mapping[str, tuple[Window, ...]]:
        one = self.subscriptions.get(key)
        if one is None or one.preflight:
            return {}
        first = -(-one.since // INTERVAL) * INTERVAL
        ends = [first + INTERVAL * (index + 1) for index in range(int((self.clock.now() - 5.0 - first) // INTERVAL))]
        revision = one.candidate.revision.split("-", maxsplit=1)[0]
        usual = (Counts(100, 0), Counts(100, 0))
        return {
            metric.name: tuple(
                Window(end - INTERVAL, end, Answer.COUNTS, *self.counts.get((revision, metric.name), usual))
                for end in ends
            )
            for metric in one.metrics
        }

    def problem(self, _key: tuple[str, str]) -> Problem | None:
        return None

    def preflight(self, key: tuple[str, str]) -> Preflight:
        return Preflight(ready=key in self.subscriptions)


class Stage:
    """One resource and all that there is around it."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.api = FakeKube(self.clock.now, set(KINDS.values()) - {POD_MONITOR})
        self.store = Store(watched(SETTINGS), lambda _: None)
        self.api.watchers.append(self._tell)
        self.metrics = Measured(self.clock)
        self.broken: set[str] = set()
        """Versions whose pods are not ready."""
        self.events: list[str] = []
        self.start()

    def _tell(self, kind: Kind, raw: Json, deleted: bool) -> None:
        if kind.kind in watched(SETTINGS):
            self.store.observe(kind.kind, raw, deleted=deleted)

    def start(self) -> None:
        """A new process that remembers nothing."""
        quiet = SimpleNamespace(wake=_nothing, wake_at=_nothing, wake_after=_nothing, forget=_nothing)
        self.controller = Controller(
            api=self.api,
            store=self.store,
            queue=quiet,  # type: ignore[arg-type]
            metrics=self.metrics,
            settings=SETTINGS,
            clock=self.clock,
            events=SimpleNamespace(record=lambda *found: self.events.append(found[2])),  # type: ignore[arg-type]
            checkpoints=SimpleNamespace(take=lambda: True),  # type: ignore[arg-type]
        )

    def apply(self, spec: Mapping[str, Any]) -> None:
        metadata = {"name": KEY[1], "namespace": KEY[0]}
        api_version = MODEL_DEPLOYMENT.api_version
        self.api.put({"apiVersion": api_version, "kind": "ModelDeployment", "metadata": metadata, "spec": spec})

    def command(self, action: str, revision: str) -> None:
        metadata = {"generateName": "fraud-", "namespace": KEY[0], "name": f"fraud-{len(self.api.objects)}"}
        spec = {"target": KEY[1], "action": action, "revision": revision, "by": "alice"}
        api_version = ROLLOUT_COMMAND.api_version
        self.api.put({"apiVersion": api_version, "kind": "RolloutCommand", "metadata": metadata, "spec": spec})

    async def run(self, seconds: float) -> None:
        """Let time pass in steps of two seconds."""
        for _ in range(int(seconds / 2)):
            await self.controller.reconcile(KEY)
            self._cluster()
            await self.clock.advance(2.0)
        await self.controller.reconcile(KEY)

    async def until(self, done: Callable[[], bool], seconds: float = 600.0) -> None:
        for _ in range(int(seconds / 2)):
            if done():
                return
            await self.run(2.0)
        raise AssertionError(f"{self.status.get('phase')}: {self.status.get('message')}")

    def _cluster(self) -> None:
        for raw in self.api.of(DEPLOYMENT):
            count, version = raw["spec"]["replicas"], raw["metadata"]["labels"].get("app.kubernetes.io/version")
            ready = 0 if version in self.broken else count
            status = {"observedGeneration": raw["metadata"]["generation"], "replicas": count, "readyReplicas": ready}
            self.api.set_status(Ref(DEPLOYMENT, KEY[0], raw["metadata"]["name"]), status)
        for raw in self.api.of(HTTP_ROUTE):
            generation = raw["metadata"]["generation"]
            conditions = [
                {"type": "Accepted", "status": "True", "reason": "Accepted", "observedGeneration": generation}
            ]
            parents = [{"parentRef": parent, "conditions": conditions} for parent in raw["spec"]["parentRefs"]]
            self.api.set_status(Ref(HTTP_ROUTE, KEY[0], raw["metadata"]["name"]), {"parents": parents})

    @property
    def status(self) -> dict[str, Any]:
        raw = self.api.peek(REF)
        assert raw is not None
        return raw.get("status", {})

    @property
    def reason(self) -> str:
        return str(self.status.get("summary", {}).get("reason", ""))

    def weights(self) -> dict[str, Any]:
        """By version, those above 0."""
        return {found["version"]: found["weight"] for found in self.status["revisions"] if found["weight"]}

    def revision(self, version: str) -> str:
        return next(found["revision"] for found in self.status["revisions"] if found["version"] == version)

    def pods(self, version: str) -> int:
        """Replicas of the version's Deployment; 0 where there is none."""
        found = [
            raw
            for raw in self.api.of(DEPLOYMENT)
            if raw["metadata"]["labels"].get("app.kubernetes.io/version") == version
        ]
        return sum(raw["spec"]["replicas"] for raw in found)

    def rules(self) -> list[dict[str, Any]]:
        raw = self.api.peek(Ref(HTTP_ROUTE, *KEY))
        assert raw is not None
        return list(raw["spec"]["rules"])


def _nothing(*_: object, **__: object) -> None:
    return
