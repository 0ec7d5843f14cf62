"""Everything around the operator: the people who apply, the gateway that accepts, the Prometheus that answers, the waiting."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from bench.fleet.meters import Meters
from bench.fleet.workload import Workload
from tests.harness.apiserver import APPLY, PATHS, ApiServer
from tests.harness.background import Background
from tests.harness.gateway import Gateway
from tests.harness.process import ROOT, Operator
from tests.harness.watching import Observer, Sight

Json = dict[str, Any]
Key = tuple[str, str]
"""Namespace and name."""
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


class Firsts:
    """When a condition was first seen to hold, for each resource: monotonic seconds, a watch's delay late."""

    def __init__(self, condition: Condition) -> None:
        self.at: dict[Key, float] = {}
        self._condition = condition

    def __call__(self, sight: Sight) -> None:
        if sight.kind != "ModelDeployment" or sight.gone or not sight.raw.get("status"):
            return
        key = sight.raw["metadata"]["namespace"], sight.name
        if key not in self.at and self._condition(sight.raw):
            self.at[key] = sight.at


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
        self._ended: set[Key] = set()
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
        self._prometheus_process = process
        url = process.stdout.readline().strip()
        if not url:
            raise NotInTimeError("the played Prometheus did not start")
        return url

    def _server_page(self) -> str:
        return self._background.call(self._page())

    async def _page(self) -> str:
        async with self._server._session.get(f"{self._server.url}/metrics") as answer:  # noqa: SLF001
            return await answer.text()

    def apply(self, version: str, *, finishing: bool = False) -> dict[Key, float]:
        """Have the fleet ask for a version, as fast as the API server takes it; when each was taken, in monotonic seconds.

        Those whose candidate was taken back are let be.
        """
        taken: dict[Key, float] = {}

        async def all_of_it() -> None:
            slots = asyncio.Semaphore(SIDE_BY_SIDE)

            async def one(namespace: str, name: str) -> None:
                manifest = self.workload.manifest(name, version, finishing=finishing)
                path = f"{PATHS['ModelDeployment'].format(namespace)}/{name}"
                async with slots:
                    await self._server.ask("PATCH", path, manifest, content=APPLY, fieldManager="team", force="true")
                taken[namespace, name] = time.monotonic()

            await asyncio.gather(*(one(*key) for key in self.workload.names() if key not in self._ended))

        self._background.call(all_of_it(), 60 + self.workload.rollouts)
        return taken

    def firsts(self, condition: Condition) -> Firsts:
        """Note from now on when the condition is first seen to hold, for each resource."""
        found = Firsts(condition)
        for observer in self._observers.values():
            observer.listen(found)
        return found

    def turn_bad(self, keys: Collection[Key]) -> float:
        """Have the candidates of these rollouts fail from now on; returns since when, in seconds of the wall clock."""
        self._ended |= set(keys)
        process = self._prometheus_process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps([[*key, self._candidate(*key)] for key in keys]) + "\n")
        process.stdin.flush()
        return float(process.stdout.readline())

    def abort(self, namespace: str, name: str) -> float:
        """Have somebody abort a rollout; returns when the order was given, in monotonic seconds."""
        self._ended.add((namespace, name))
        spec = {"target": name, "action": "Abort", "revision": self._candidate(namespace, name), "by": "alice"}
        manifest = {
            "apiVersion": "modelrollout.dev/v1alpha1",
            "kind": "RolloutCommand",
            "metadata": {"name": f"{name}-abort"},
            "spec": spec,
        }
        began = time.monotonic()
        self._background.call(self._server.ask("POST", PATHS["RolloutCommand"].format(namespace), manifest))
        return began

    def _candidate(self, namespace: str, name: str) -> str:
        raw = self._observers[namespace].now("ModelDeployment", name)
        assert raw is not None
        return str(raw["status"]["rollout"]["revision"])

    @property
    def healthy(self) -> list[Key]:
        """The rollouts whose candidate nobody has taken back."""
        return [key for key in self.workload.names() if key not in self._ended]

    def until(self, condition: Condition, what: str, seconds: float) -> float:
        """Wait until the condition holds for every healthy resource; returns how long that took."""
        among = set(self.healthy)

        def lost(raw: Json) -> bool:
            return _key(raw) in among and taken_back(raw)

        def there() -> int:
            if self.count(lost):
                raise NotInTimeError(
                    f"{what}: {self.count(lost)} healthy versions were taken back. {self._words(lost)}"
                )
            return self.count(lambda raw: _key(raw) in among and condition(raw))

        return self.wait(there, what, len(among), seconds, lambda raw: _key(raw) in among and not condition(raw))

    def wait(
        self, there: Callable[[], int], what: str, goal: int, seconds: float, behind: Condition = lambda _: False
    ) -> float:
        """Wait until `there` has come to `goal`, with a word of progress now and then; returns how long that took."""
        began = told = time.monotonic()
        while (reached := there()) < goal:
            now = time.monotonic()
            if now - told >= EVERY:
                told = now
                say(f"  {what}: {reached} of {goal} after {now - began:.0f} s")
            if now - began > seconds:
                raise NotInTimeError(f"{what}: only {reached} of {goal} after {seconds:.0f} s. {self._words(behind)}")
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


def _key(raw: Json) -> Key:
    return raw["metadata"]["namespace"], raw["metadata"]["name"]


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
    """Of a healthy version an error."""
    return raw["status"].get("phase") in ("RolledBack", "Failed")


def begun(version: str) -> Condition:
    """The version was recorded as the candidate: its rollout has started."""
    return lambda raw: bool(raw["status"]["summary"].get("candidate") == version)


def weightless(raw: Json) -> bool:
    """What was taken back is recorded to have no traffic."""
    return not raw["status"].get("rollout") and bool(raw["status"].get("rejected"))


def in_step(name: str) -> Condition:
    """The step's weight was seen applied."""

    def holds(raw: Json) -> bool:
        step = raw["status"].get("step") or {}
        return step.get("name") == name and bool(step.get("appliedAt"))

    return holds


def judged(raw: Json) -> bool:
    """A canary is held by nothing but its hold."""
    return bool(raw["status"]["summary"].get("reason") == "AnalysisPassing")
