"""Everything around the operator: the people who apply, the gateway that accepts, the Prometheus that answers, the waiting."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from bench.fleet.meters import Meters
from bench.fleet.workload import Workload
from tests.harness.apiserver import APPLY, PATHS, ApiServer
from tests.harness.background import Background
from tests.harness.gateway import Gateway
from tests.harness.process import ROOT, Operator
from tests.harness.watching import Observer

Json = dict[str, Any]
Condition = Callable[[Json], Any]
"""Of a ModelDeployment with a status."""

SIDE_BY_SIDE = 16
"""Applies that are under way at the same time."""
EVERY = 5.0
"""Seconds between two words of progress."""

SETTINGS: Json = {
    "settle": "2s",
    "drain": "5s",
    "readyFor": "5s",
    "evaluationDelay": "5s",
}
"""The operator's own defaults, where the harness for tests has shorter times."""


class NotInTimeError(Exception):
    """The fleet did not get there."""


class Stage:
    """A context: made before the operator starts, gone after it has ended."""

    def __init__(
        self, kubeconfig: Path, folder: Path, workload: Workload, settings: Json | None = None, *, alone: bool = True
    ) -> None:
        self.workload, self._alone = workload, alone
        self._stack = ExitStack()
        self._background = Background()
        self._stack.callback(self._background.close)
        self._server = ApiServer(self._background, kubeconfig)
        self._stack.callback(self._server.close)
        self._observers: dict[str, Observer] = {}
        for namespace in workload.namespaces:
            observer = Observer(self._server, namespace, ("ModelDeployment", "HTTPRoute"), history=False)
            gateway = Gateway(self._server, observer, namespace)
            self._stack.callback(observer.close)
            self._stack.callback(gateway.close)
            self._observers[namespace] = observer
        prometheus = self._prometheus(kubeconfig)
        provider = {"providers": [{"url": prometheus}]}
        scope = {} if alone else {"namespaces": list(workload.namespaces)}
        self.operator = Operator(folder, kubeconfig, "", SETTINGS | provider | scope | (settings or {}))
        page = self._server_page if alone else None
        self.meters = Meters(lambda: self.operator.pid, self.operator.page, page, prometheus)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.operator.running:
            self.operator.stop()
        self._stack.close()

    def _prometheus(self, kubeconfig: Path) -> str:
        words = [sys.executable, "-m", "bench.fleet.prometheus", str(kubeconfig), *self.workload.namespaces]
        process = subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert process.stdin is not None
        assert process.stdout is not None
        self._stack.callback(process.wait, 30)
        self._stack.callback(process.stdin.close)
        self._stack.callback(process.stdout.close)
        url = process.stdout.readline().strip()
        if not url:
            raise NotInTimeError("the played Prometheus did not start")
        return url

    def _server_page(self) -> str:
        return self._background.call(self._page())

    async def _page(self) -> str:
        async with self._server._session.get(f"{self._server.url}/metrics") as answer:  # noqa: SLF001
            return await answer.text()

    def apply(self, version: str, *, finishing: bool = False) -> None:
        """Have the whole fleet ask for a version, as fast as the API server takes it."""

        async def all_of_it() -> None:
            slots = asyncio.Semaphore(SIDE_BY_SIDE)

            async def one(namespace: str, name: str) -> None:
                manifest = self.workload.manifest(name, version, finishing=finishing)
                path = f"{PATHS['ModelDeployment'].format(namespace)}/{name}"
                async with slots:
                    await self._server.ask("PATCH", path, manifest, content=APPLY, fieldManager="team", force="true")

            await asyncio.gather(*(one(*key) for key in self.workload.names()))

        self._background.call(all_of_it(), 60 + self.workload.rollouts)

    def until(self, condition: Condition, what: str, seconds: float) -> float:
        """Wait until the condition holds for every resource; returns how long that took."""
        began = told = time.monotonic()
        while (there := self.count(condition)) < self.workload.rollouts:
            if (lost := self.count(taken_back)) > 0:
                raise NotInTimeError(f"{what}: {lost} healthy versions were taken back. {self._words(taken_back)}")
            now = time.monotonic()
            if now - told >= EVERY:
                told = now
                say(f"  {what}: {there} of {self.workload.rollouts} after {now - began:.0f} s")
            if now - began > seconds:
                behind = self._words(lambda raw: not condition(raw))
                raise NotInTimeError(
                    f"{what}: only {there} of {self.workload.rollouts} after {seconds:.0f} s. {behind}"
                )
            time.sleep(0.2)
        return time.monotonic() - began

    def resources(self, kind: str = "ModelDeployment") -> Iterable[Json]:
        """All of them as last seen."""
        return (raw for observer in self._observers.values() for raw in observer.all(kind))

    def count(self, condition: Condition) -> int:
        return sum(1 for raw in self.resources() if raw.get("status") and condition(raw))

    def _words(self, condition: Condition) -> str:
        """What the first few say."""
        found = [raw for raw in self.resources() if raw.get("status") and condition(raw)]
        return "; ".join(f"{raw['metadata']['name']}: {raw['status'].get('message')}" for raw in found[:3])

    def fingerprint(self) -> dict[tuple[str, str, str], str]:
        """The resourceVersion of every resource and route: equal fingerprints, no write."""
        return {
            (kind, raw["metadata"]["namespace"], raw["metadata"]["name"]): raw["metadata"]["resourceVersion"]
            for kind in ("ModelDeployment", "HTTPRoute")
            for raw in self.resources(kind)
        }

    def weights(self) -> dict[tuple[str, str], str]:
        """What each route carries, as written."""
        return {
            (raw["metadata"]["namespace"], raw["metadata"]["name"]): repr(raw["spec"].get("rules"))
            for raw in self.resources("HTTPRoute")
        }


def say(text: str) -> None:
    """Progress, for a person who waits."""
    print(text, file=sys.stderr, flush=True)


def healthy(version: str) -> Condition:
    """The version carries all traffic, and the spec that asks for it was seen."""

    def holds(raw: Json) -> bool:
        status = raw["status"]
        return (
            status.get("observedGeneration") == raw["metadata"]["generation"]
            and status.get("phase") == "Healthy"
            and status["summary"].get("stable") == version
            and not status["summary"].get("candidate")
        )

    return holds


def taken_back(raw: Json) -> bool:
    """No version of a fleet is bad."""
    return raw["status"].get("phase") in ("RolledBack", "Failed")


def in_step(name: str) -> Condition:
    """The step's weight was seen applied."""

    def holds(raw: Json) -> bool:
        step = raw["status"].get("step") or {}
        return step.get("name") == name and bool(step.get("appliedAt"))

    return holds


def judged(raw: Json) -> bool:
    """A canary is held by nothing but its hold."""
    return bool(raw["status"]["summary"].get("reason") == "AnalysisPassing")
