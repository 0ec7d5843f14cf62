"""Plays a soak: people apply versions that deserve to be promoted or taken back, faults strike one after another, all is judged.

The operator is killed in the first third only. After that one process has to live to the end, so that its memory can be looked at.
"""

import random
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

from tests.api.kubectl import Kubectl, fresh_namespace
from tests.harness import laws
from tests.harness.apiserver import ApiServer
from tests.harness.gateway import Gateway
from tests.harness.life import Life
from tests.harness.process import Operator
from tests.harness.proxy import Proxy
from tests.harness.specs import behaving
from tests.harness.traffic import Answers, Traffic
from tests.harness.watching import Observer, Sight
from tests.soak.faults import FAULTS, KILLS, Scene

FATES = ("good", "good", "good", "bad", "crash")
"""What a version deserves: to be promoted, to be taken back by its metrics, or never to load."""
STEPS = [{"name": "tenth", "weight": 10, "hold": "3s"}, {"name": "half", "weight": 50, "hold": "3s"}]
ERRORS = {
    "name": "errors",
    "errorRate": {},
    "method": "Threshold",
    "limit": "5%",
    "minimumSampleSize": 20,
    "threshold": {"lookback": "4s", "failures": 2, "of": 3},
}
SPEC: dict[str, Any] = {
    "steps": STEPS,
    "rollout": {"keepFailed": "1s", "scaleDownDelay": "1s", "loadDeadline": "40s", "unavailableDeadline": "10m"},
    "analysis": {"interval": "2s", "warmUp": "0s", "metrics": [ERRORS]},
}
CALM = 300.0
"""Seconds after the last fault in which every rollout has to come to its end."""
GROWTH = 16.0
"""MiB by which memory may differ between the first and the last third."""
EVERY = 2.0
"""Seconds between two looks at memory."""
_PAGE = 4096 / 1024**2


class _Deserts(dict[str, Answers]):
    """How versions answer, by the first word of their name."""

    def get(self, version: str, default: Any = None) -> Any:
        return super().get(version.partition("-")[0], default)


@dataclass
class Soak:
    """What came of it. `memory`: MiB of the last process by seconds since the beginning; `wrong`: empty if all is well."""

    seed: int
    seconds: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)
    starts: int = 0
    memory: list[tuple[float, float]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def growth(self) -> float:
        """MiB from the first to the last third of what the last process lived through, medians."""
        sizes = [size for _, size in self.memory]
        third = len(sizes) // 3
        return median(sizes[-third:]) - median(sizes[:third]) if third else 0.0

    def words(self) -> str:
        sizes = [size for _, size in self.memory] or [0.0]
        return "\n".join(
            [
                f"seed {self.seed}: {self.seconds:.0f} s, {sum(self.faults.values())} faults, {self.starts} starts",
                f"rollouts that ended as their model deserved: {dict(sorted(self.ended.items()))}",
                f"memory of the last process: {min(sizes):.0f} to {max(sizes):.0f} MiB, growth {self.growth:+.1f} MiB",
                f"faults: {dict(sorted(self.faults.items()))}",
                *(f"WRONG: {one}" for one in self.wrong),
            ]
        )


@dataclass(frozen=True)
class Length:
    """How much of it. `rollouts`: ModelDeployments side by side."""

    minutes: float
    rollouts: int
    seed: int


def soak(server: ApiServer, kubectl: Kubectl, length: Length, say: Callable[[str], None]) -> Soak:
    """Run it. Raises nothing for what the operator does wrong: that is in the answer."""
    found, began = Soak(length.seed), time.monotonic()
    with _stage(server, kubectl, length) as scene:
        people = [
            threading.Thread(target=_person, args=(scene, life, number, found))
            for number, life in enumerate(scene.lives)
        ]
        watch = threading.Thread(target=_watch, args=(scene, found, began))
        for thread in (*people, watch):
            thread.start()
        _strike(scene, found, began, 60 * length.minutes, say)
        scene.over.set()
        for thread in (*people, watch):
            thread.join()
        found.seconds, found.starts = time.monotonic() - began, scene.life.operator.starts
        _judge(scene, found)
    return found


@contextmanager
def _stage(server: ApiServer, kubectl: Kubectl, length: Length) -> Iterator[Scene]:
    with ExitStack() as stack:
        own = stack.enter_context(fresh_namespace(kubectl, "soak"))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="soak-")))
        observer = Observer(server, own.namespace)
        stack.callback(observer.close)
        gateway = Gateway(server, observer, own.namespace)
        stack.callback(gateway.close)
        proxy = Proxy(server)
        stack.callback(proxy.close)
        operator = Operator(folder, proxy.kubeconfig(folder), own.namespace)
        life = Life(own, server.of(own.namespace), observer, gateway, operator)
        traffic = stack.enter_context(Traffic(life))
        operator.settings["providers"] = [{"name": "default", "url": traffic.url, "timeout": "2s"}]
        operator.settings["evaluationDelay"] = "1s"
        traffic.answers = _Deserts({"bad": Answers(errors=0.5)})
        lives = [replace(life, name=f"model{number}") for number in range(length.rollouts)]
        stack.callback(lambda: operator.kill() if operator.running else None)
        operator.start()
        yield Scene(lives, proxy, traffic, random.Random(length.seed), threading.Event())


def _strike(scene: Scene, found: Soak, began: float, seconds: float, say: Callable[[str], None]) -> None:
    while (passed := time.monotonic() - began) < seconds:
        strike = scene.rng.choice((*FAULTS, *KILLS) if passed < seconds / 3 else FAULTS)
        words = strike(scene)
        found.faults[words] += 1
        say(f"{passed:6.0f} s  {words}")
        time.sleep(scene.rng.uniform(1, 8))


def _person(scene: Scene, life: Life, number: int, found: Soak) -> None:
    """Apply a first version, then one after another, each after the one before has come to its end."""
    rng = random.Random(f"{found.seed} {number}")
    try:
        life.apply("first", **SPEC)
        life.healthy("first", seconds=CALM)
        round_ = 0
        while not scene.over.wait(rng.uniform(1, 20)):
            round_ += 1
            fate = rng.choice(FATES)
            _rollout(life, fate, f"{fate}-{round_}")
            found.ended[fate] += 1
            scene.over.wait(rng.uniform(0, 240))
    except AssertionError as error:
        found.wrong.append(f"{life.name}: {' '.join(str(error).split())[:500]}")


def _rollout(life: Life, fate: str, version: str) -> None:
    life.apply(version, **SPEC, env=behaving("crash-loop") if fate == "crash" else None)
    if fate == "good":
        life.healthy(version, seconds=CALM)
        assert version not in [entry["version"] for entry in life.status["rejected"]]
        return
    outcome = {"bad": "RolledBack", "crash": "Failed"}[fate]
    life.until(
        lambda status: version in [one["version"] for one in status["rejected"]], f"{version} is taken back", CALM
    )
    life.until(lambda status: not status["summary"]["candidate"], f"{version} is no candidate any more", CALM)
    assert (version, outcome) in life.outcomes(), f"{version}: {life.outcomes()}"
    assert (version, 100) not in life.timeline()


def _watch(scene: Scene, found: Soak, began: float) -> None:
    """Looks at the process: it must not end by itself, and its memory is written down."""
    operator, pid = scene.life.operator, 0
    while not scene.over.wait(EVERY):
        if operator.pid != pid:
            pid = operator.pid
            found.memory.clear()
        try:
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        except (OSError, IndexError):
            time.sleep(1)  # it is being killed and started anew just now, or it has ended
            if operator.pid == pid and not operator.running:
                found.wrong.append(f"the operator has ended by itself: {operator.log.read_text()[-500:]}")
                scene.over.set()
            continue
        found.memory.append((time.monotonic() - began, pages * _PAGE))


class _Part:
    """What an observer has seen of one life among many."""

    def __init__(self, observer: Observer, name: str) -> None:
        self._observer, self._name = observer, name

    def history(self, kind: str = "", name: str = "") -> list[Sight]:
        mine = f"{self._name}-"
        return [
            one for one in self._observer.history(kind, name) if one.name == self._name or one.name.startswith(mine)
        ]


def _judge(scene: Scene, found: Soak) -> None:
    lines = [line for line in scene.life.operator.lines() if line.get("level") in ("error", "critical")]
    # What kopf says of tries that failed is no fault.
    found.wrong += [str(line)[:500] for line in lines if not line["message"].startswith("Request attempt")][:5]
    for life in scene.lives:
        part = replace(
            life, observer=_Part(life.observer, life.name), excused={"the_operator_reports_no_fault_of_its_own"}
        )
        try:
            laws.judge(part)
        except AssertionError as error:
            found.wrong.append(f"{life.name}: {' '.join(str(error).split())[:500]}")
