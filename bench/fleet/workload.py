"""The resources of a fleet: all alike, judged by evidence on two metrics, spread over a few namespaces."""

from dataclasses import dataclass
from typing import Any

from tests.harness.specs import model

Json = dict[str, Any]

REQUESTS = 200.0
"""Requests that each model gets in a second, over both versions: enough that one error more is no news."""


METRICS = [
    {"name": "errors", "errorRate": {}, "compare": {"ignoreBelow": "5%"}},
    {"name": "latency", "latency": {"threshold": "500ms"}, "compare": {"ignoreBelow": "10%"}},
]
"""Coarse, so that a candidate is certified within a minute; what a decision costs does not depend on it."""


@dataclass(frozen=True)
class Workload:
    """`interval` and `warm_up` as in the spec; `hold` is how long the first step lasts until somebody shortens it."""

    rollouts: int
    namespaces: tuple[str, ...]
    interval: int = 15
    warm_up: str = "5s"
    hold: str = "12h"
    short_hold: str = "15s"

    def names(self) -> list[tuple[str, str]]:
        """(namespace, name) of each."""
        spaces = self.namespaces
        return [(spaces[index % len(spaces)], f"model-{index:04d}") for index in range(self.rollouts)]

    def manifest(self, name: str, version: str, *, finishing: bool = False) -> Json:
        """Version 2 waits in its first step; `finishing` is the edit that lets both steps end soon."""
        hold = self.short_hold if finishing else self.hold
        steps = [{"name": "tenth", "weight": 10, "hold": hold}, {"name": "half", "weight": 50, "hold": self.short_hold}]
        analysis = {"interval": f"{self.interval}s", "warmUp": self.warm_up, "metrics": METRICS}
        return model(version, name=name, steps=steps, analysis=analysis, rollout={"scaleDownDelay": "10m"})
