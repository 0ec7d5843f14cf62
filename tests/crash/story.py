"""Two stories, each told to one operator in a namespace of its own: a version is promoted, or taken back by its metrics.

Times are a second where they can be, Prometheus is played, and a killed operator is started again at once, as a kubelet does it.
What was stored meanwhile is judged: by the laws of all lives, and by what the same story came to when nobody was killed.
"""

import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.api.kubectl import Kubectl
from tests.crash.strike import Asked, Counting, Kind
from tests.harness import laws
from tests.harness.apiserver import ApiServer, Json
from tests.harness.gateway import Gateway
from tests.harness.life import Life
from tests.harness.nursery import Nursery
from tests.harness.process import Operator
from tests.harness.traffic import Answers, Traffic
from tests.harness.watching import Observer

STORIES = ("promotion", "rollback")
PATIENCE = 240.0
HOLD = 2.0
"""Seconds that each step is held."""
STEPS = [
    {"name": "tenth", "weight": 10, "hold": f"{HOLD:.0f}s"},
    {"name": "half", "weight": 50, "hold": f"{HOLD:.0f}s"},
]
ERRORS = {
    "name": "errors",
    "errorRate": {},
    "method": "Threshold",
    "limit": "5%",
    "minimumSampleSize": 20,
    "threshold": {"lookback": "2s", "failures": 2, "of": 3},
}
SPEC: dict[str, Any] = {
    "steps": STEPS,
    "rollout": {"keepFailed": "1s", "scaleDownDelay": "1s"},
    "analysis": {"interval": "1s", "warmUp": "0s", "metrics": [ERRORS]},
}
LEADERSHIP = {"name": "matrix", "duration": "9s", "renewDeadline": "8s", "retryPeriod": "1s"}
"""A dozen operators share the machine: one that is starved for a few seconds must not count as one that was killed."""


@dataclass(frozen=True)
class Case:
    """One run: a story, and what happens at which of its requests. Without `kind` it is the undisturbed run."""

    story: str
    kind: Kind | None = None
    chapter: int = 0
    number: int | None = None


@dataclass(frozen=True)
class Told:
    """What a run came to. `holds`: seconds from a step's weight being applied to the next weight; `wrong`: empty if all is well."""

    case: Case
    hit: Asked | None
    asked: tuple[Asked, ...]
    timeline: tuple[tuple[str, Any], ...]
    outcomes: tuple[tuple[str, str], ...]
    holds: dict[str, float]
    starts: int
    seconds: float
    wrong: str = ""


@dataclass(frozen=True)
class Theatre:
    """What all runs share."""

    server: ApiServer
    kubectl: Kubectl
    nursery: Nursery


def tell(theatre: Theatre, case: Case) -> Told:
    """Tell the story once. Never raises for what the operator does wrong: that is in the answer."""
    began = time.monotonic()
    with _stage(theatre, case) as (life, proxy, traffic):
        wrong = ""
        try:
            _tell(life, proxy, traffic, case.story)
            life.operator.kill()
            laws.judge(life)
            _covered_time_is_real(life)
        except AssertionError as error:
            wrong = " ".join(str(error).split())[:600] or "an assertion failed"
        status = (life.observer.now("ModelDeployment", life.name) or {}).get("status") or {}
        known = bool(status.get("timeline"))
        return Told(
            case,
            proxy.hit,
            tuple(proxy.asked),
            tuple(life.timeline()) if known else (),
            tuple(life.outcomes()) if known else (),
            _holds(life),
            life.operator.starts,
            time.monotonic() - began,
            wrong,
        )


@contextmanager
def _stage(theatre: Theatre, case: Case) -> Iterator[tuple[Life, Counting, Traffic]]:
    server, namespace = theatre.server, f"crash-{uuid.uuid4().hex[:8]}"
    call = server.background.call
    call(server.ask("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}}))
    kubectl = Kubectl(theatre.kubectl.program, theatre.kubectl.environment, namespace)
    observer = Observer(server, namespace)
    gateway = Gateway(server, observer, namespace)
    with tempfile.TemporaryDirectory(prefix="crash-") as place:
        folder = Path(place)
        proxy = Counting(server, case.kind, case.chapter, case.number, lambda: life.operator.kill())  # noqa: PLW0108  it comes later
        settings = {"metricsPort": 0, "leadership": LEADERSHIP | {"namespace": namespace}}
        operator = Operator(folder, proxy.kubeconfig(folder), namespace, settings, lease=True, nursery=theatre.nursery)
        life = Life(kubectl, server.of(namespace), observer, gateway, operator)
        try:
            with Traffic(life) as traffic:
                operator.settings["providers"] = [{"name": "default", "url": traffic.url, "timeout": "2s"}]
                operator.settings["evaluationDelay"] = "1s"
                yield life, proxy, traffic
        finally:
            if operator.running:
                operator.kill()
            proxy.close()
            gateway.close()
            observer.close()
            call(server.ask("DELETE", f"/api/v1/namespaces/{namespace}"))


def _tell(life: Life, proxy: Counting, traffic: Traffic, story: str) -> None:
    life.apply("1", **SPEC)
    life.operator.start(wait=False)
    _until(life, lambda status: status["phase"] == "Healthy", "version 1 is healthy")
    if story == "rollback":
        traffic.answers["2"] = Answers(errors=0.5)
    proxy.chapter = 1
    life.apply("2", **SPEC)
    if story == "promotion":
        _until(life, lambda status: status["summary"]["stable"] == "2", "version 2 is stable")
    else:
        _until(life, lambda status: status["phase"] == "RolledBack", "version 2 is taken back")
    _until(life, lambda status: len(status["revisions"]) == 1, "the other version is recorded as gone")
    gone, stays = ("1", "2") if story == "promotion" else ("2", "1")
    _alive(life, lambda: life.observer.now("Deployment", life.deployment(gone)) is None, "its Deployment is gone")
    _alive(life, lambda: _carried(life) == {stays: 10_000}, f"the route carries version {stays}")
    _alive(life, lambda: len(life.pods(stays)) == 2, f"version {stays} has 2 pods")


def _until(life: Life, condition: Any, what: str) -> None:
    def found() -> Any:
        status = (life.observer.now("ModelDeployment", life.name) or {}).get("status") or {}
        return status.get("summary") and condition(status)

    _alive(life, found, what)


def _alive(life: Life, found: Any, what: str) -> None:
    """Wait, and start the operator again whenever it has ended."""

    def look() -> Any:
        if not life.operator.running:
            life.operator.start(wait=False)
        return found()

    try:
        life.observer.until(look, what, seconds=PATIENCE)
    except AssertionError as error:
        raise AssertionError(f"{error}; {life.told()}; {life.operator.log.read_text()[-600:]}") from None


def _carried(life: Life) -> dict[str, int]:
    return {revision.rsplit("-", 1)[0]: weight for revision, weight in life.route().items() if weight}


def _steps(life: Life) -> Iterator[tuple[Json, Json]]:
    """Each status of a step of version 2 whose weight was applied, with its step."""
    for sight in life.observer.history("ModelDeployment", life.name):
        status = sight.raw.get("status") or {}
        step = status.get("step") or {}
        if step.get("appliedAt") and (status.get("rollout") or {}).get("revision", "").startswith("2-"):
            yield status, step


def _holds(life: Life) -> dict[str, float]:
    applied = {step["name"]: _epoch(step["appliedAt"]) for _, step in reversed(list(_steps(life)))}
    status = (life.observer.now("ModelDeployment", life.name) or {}).get("status") or {}
    weights = [
        (entry["weight"], _epoch(entry["at"])) for entry in status.get("timeline", ()) if entry["revision"][0] == "2"
    ]
    found = {}
    for step in STEPS:
        after = [at for weight, at in weights if weight > step["weight"]]
        if step["name"] in applied and after:
            found[str(step["name"])] = after[0] - applied[str(step["name"])]
    return found


def _covered_time_is_real(life: Life) -> None:
    """No restart makes covered time out of nothing: there is never more of it than has passed since the weight was applied."""
    for status, step in _steps(life):
        if status.get("seenAt"):
            covered, passed = (
                float(step["covered"].removesuffix("s")),
                _epoch(status["seenAt"]) - _epoch(step["appliedAt"]),
            )
            assert covered <= passed + 1.0, f"{step} as seen at {status['seenAt']}"


def _epoch(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp()
