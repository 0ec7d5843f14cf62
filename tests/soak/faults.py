"""The faults of a soak. Each strikes, lasts for a while where it has a length, and is over: what it broke is for the operator to mend."""

import os
import random
import signal
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.harness.apiserver import RefusedError
from tests.harness.life import Life
from tests.harness.proxy import Fate, Proxy, refusal_of
from tests.harness.traffic import Traffic

GONE = {"type": "ERROR", "object": {"kind": "Status", "apiVersion": "v1", "code": 410, "reason": "Expired"}}
REFUSALS = {500: "InternalError", 503: "ServiceUnavailable", 429: "TooManyRequests"}
SILENCES = (
    "refused",
    "hanging",
    "500",
    "503",
    "html",
    "truncated",
    "empty",
    "nan",
    "inf",
    "negative",
    "doubled",
    "stale",
)
CHILDREN = ("HTTPRoute", "Service", "Deployment", "ControllerRevision", "Pod")


@dataclass
class Scene:
    """What faults strike at. `over` is set when the soak ends, so that no fault outlasts it."""

    lives: Sequence[Life]
    proxy: Proxy
    traffic: Traffic
    rng: random.Random
    over: threading.Event

    @property
    def life(self) -> Life:
        return self.lives[0]

    def last(self, shortest: float, longest: float) -> None:
        self.over.wait(self.rng.uniform(shortest, longest))

    def child(self, kind: str) -> str | None:
        """The name of some object of a kind."""
        names = sorted(raw["metadata"]["name"] for raw in self.life.observer.all(kind))
        return self.rng.choice(names) if names else None


def killed(scene: Scene) -> str:
    scene.life.operator.kill()
    scene.life.operator.start(wait=False)
    return "operator killed"


def stopped(scene: Scene) -> str:
    pid = scene.life.operator.pid
    os.kill(pid, signal.SIGSTOP)
    scene.last(2, 12)
    os.kill(pid, signal.SIGCONT)
    return "operator stopped for a while"


def server_away(scene: Scene) -> str:
    scene.proxy.away()
    scene.last(1, 12)
    scene.proxy.back()
    return "API server away"


def server_refuses(scene: Scene) -> str:
    code = scene.rng.choice(sorted(REFUSALS))
    scene.proxy.refuses = lambda _: refusal_of(code, REFUSALS[code], "not now")
    scene.last(1, 8)
    scene.proxy.refuses = lambda _: None
    return f"API server answers {code}"


def server_slow(scene: Scene) -> str:
    scene.proxy.slow = scene.rng.uniform(0.5, 3)
    scene.last(3, 10)
    scene.proxy.slow = 0.0
    return "API server slow"


def watches_late(scene: Scene) -> str:
    scene.proxy.late = scene.rng.uniform(0.5, 3)
    scene.last(3, 10)
    scene.proxy.late = 0.0
    return "watches late"


def watches_end(scene: Scene) -> str:
    expired = scene.rng.random() < 0.5
    scene.proxy.end_watches(GONE if expired else None)
    return "watches expired" if expired else "watches ended"


def writes_fail(scene: Scene) -> str:
    scene.proxy.struck.clear()
    scene.proxy.fate = scene.rng.choice((Fate.CONFLICT, Fate.ERROR, Fate.LOST))
    words = scene.proxy.fate.value
    scene.last(2, 8)
    scene.proxy.fate = Fate.PASS
    return f"each kind of write: {words}"


def prometheus_away(scene: Scene) -> str:
    how = scene.rng.choice(SILENCES)
    scene.traffic.away(how)
    scene.last(2, 12)
    scene.traffic.back()
    return f"Prometheus: {how}"


def gateway_away(scene: Scene) -> str:
    scene.life.gateway.hold()
    scene.last(2, 10)
    scene.life.gateway.release()
    return "gateway away"


def something_deleted(scene: Scene) -> str:
    kind = scene.rng.choice(CHILDREN)
    if (name := scene.child(kind)) is None:
        return f"no {kind} to delete"
    _whatever_is_said(lambda: scene.life.objects.delete(kind, name, propagationPolicy="Background"))
    return f"{kind} deleted"


def something_scaled(scene: Scene) -> str:
    if (name := scene.child("Deployment")) is not None:
        body = {"spec": {"replicas": scene.rng.choice((0, 1, 3))}}
        _whatever_is_said(lambda: scene.life.objects.patch("Deployment", name, body, "scale", manager="autoscaler"))
    return "Deployment scaled"


def route_edited(scene: Scene) -> str:
    def edit(raw: dict) -> None:
        for backend in raw["spec"]["rules"][-1]["backendRefs"]:
            backend["weight"] = 5000

    if (name := scene.child("HTTPRoute")) is not None:
        _whatever_is_said(lambda: scene.life.objects.change("HTTPRoute", name, edit, manager="kubectl-edit"))
    return "route edited"


def _whatever_is_said(strike: Callable[[], object]) -> None:
    """What was chosen may be gone by now."""
    try:
        strike()
    except RefusedError as refusal:
        if refusal.code not in (404, 409):
            raise


KILLS = (killed,)
FAULTS: tuple[Callable[[Scene], str], ...] = (
    stopped,
    server_away,
    server_refuses,
    server_slow,
    watches_late,
    watches_end,
    writes_fail,
    prometheus_away,
    prometheus_away,
    gateway_away,
    something_deleted,
    something_deleted,
    something_scaled,
    route_edited,
)
