"""Specs of the histories: a wish of small integers becomes a real spec and its resolved plan.

Holds are short and samples small, so that a whole life fits into a few dozen decisions. Plans go through the same `resolve` as
those of users.
"""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from typing import Any

from modelrollout.api.settings import Settings
from modelrollout.api.spec import ModelDeploymentSpec
from modelrollout.rollout.plan import Plan, resolve
from tests.unit.traffic.specs import SPECS

STEPS: tuple[list[dict[str, Any]] | None, ...] = (
    [{"weight": 5, "hold": "30s"}, {"weight": 25, "hold": "45s"}, {"weight": 100, "hold": "30s"}],
    [{"weight": 10}, {"weight": 50, "hold": "30s"}],
    [
        {"weight": 20, "hold": "30s", "advance": "Approval"},
        {"weight": 60, "hold": "30s"},
        {"weight": 100, "hold": "15s"},
    ],
    [{"weight": 50, "hold": "1m", "maxDuration": "2m", "advance": "Approval"}, {"weight": 100}],
    [{"weight": 100, "hold": "30s"}],
    [
        {"weight": "0.5%", "hold": "45s", "maxDuration": "90s"},
        {"weight": 34, "hold": "30s"},
        {"weight": 67, "hold": "30s"},
        {"weight": 100},
    ],
    [
        {"name": "a", "weight": 30, "hold": "15s"},
        {"name": "b", "weight": 30, "hold": "30s"},
        {"name": "c", "weight": 100, "hold": "15s", "advance": "Approval"},
        {"name": "d", "weight": 100, "hold": "30s"},
    ],
    [{"weight": 40, "hold": "30s", "maxDuration": "45s"}, {"weight": 100, "hold": "30s", "maxDuration": "45s"}],
    [{"weight": 0, "advance": "Approval"}, {"weight": 100, "hold": "45s"}],
    [
        {"name": "a", "weight": 0, "hold": "45s", "maxDuration": "90s"},
        {"name": "b", "weight": 0, "hold": "30s", "advance": "Approval"},
        {"name": "c", "weight": 40, "hold": "30s"},
        {"name": "d", "weight": 100, "hold": "15s"},
    ],
    [{"shadow": {"percent": 10}, "hold": "30s"}, {"weight": 10, "hold": "30s"}, {"weight": 100, "hold": "15s"}],
    [
        {"name": "a", "shadow": {"percent": 100}, "hold": "45s", "maxDuration": "90s"},
        {"name": "b", "shadow": {"percent": "50%"}, "hold": "30s", "advance": "Approval"},
        {"name": "c", "weight": 40, "hold": "30s"},
        {"name": "d", "weight": 100, "hold": "15s"},
    ],
    [
        {"weight": 0, "hold": "15s"},
        {"shadow": {"percent": 34, "match": [{"path": "/predict"}], "compare": {"method": "Label"}}, "hold": "30s"},
        {"weight": 100, "hold": "30s"},
    ],
)
AT_ONCE = (4, 8)
"""The lists of steps that BlueGreen may have: no weight between none and all."""
IN_PLACE = 4
"""The list of steps that Replace may have."""
OF_THE_SAME_NAMES = (6, 9, 11)
"""Lists whose steps have the same names and other weights."""

_QUICK = {"lookback": "30s", "failures": 2, "of": 3}
_ERRORS: dict[str, Any] = {
    "name": "errors",
    "errorRate": {},
    "limit": "2%",
    "method": "Threshold",
    "threshold": _QUICK,
    "minimumSampleSize": 10,
}
_LATENCY: dict[str, Any] = {
    "name": "latency",
    "latency": {"threshold": "250ms"},
    "compare": {"margin": "1.5"},
    "method": "Threshold",
    "threshold": {"lookback": "15s", "failures": 1, "of": 1},
    "minimumSampleSize": 0,
}
_EVIDENCE: dict[str, Any] = {
    "name": "evidence",
    "errorRate": {},
    "compare": {"ignoreBelow": "1%"},
    "minimumSampleSize": 10,
}
_SLOW: dict[str, Any] = {"name": "slow", "latency": {"threshold": "250ms"}, "compare": {"ignoreBelow": "20%"}}
METRICS: tuple[list[dict[str, Any]] | None, ...] = (
    [_ERRORS],
    [_ERRORS, {**_LATENCY, "onBreach": "Pause"}],
    [
        {**_ERRORS, "compare": {"margin": "2", "ignoreBelow": "0.1%"}},
        {
            "name": "cache",
            "ratio": {"bad": {"series": "misses"}, "total": {"series": "lookups"}},
            "limit": "5%",
            "delay": "30s",
            "method": "Threshold",
            "threshold": _QUICK,
        },
    ],
    [
        {
            "name": "score",
            "query": "drift",
            "range": {"max": "0.02"},
            "threshold": {"lookback": "15s", "failures": 2, "of": 2},
        }
    ],
    [{**_ERRORS, "when": ["Live"]}, {**_LATENCY, "limit": "2%", "when": ["Bake"], "minimumSampleSize": 10}],
    [_ERRORS, {**_LATENCY, "onBreach": "Warn"}],
    [_LATENCY],
    None,
    [{**_ERRORS, "when": ["Preview", "Bake"]}, {**_LATENCY, "when": ["Preview"], "minimumSampleSize": 20}],
    [_EVIDENCE],
    [{**_EVIDENCE, "limit": "2%"}, {**_SLOW, "onBreach": "Pause"}, _SLOW | {"name": "slower"}],
    [_ERRORS, {**_SLOW, "when": ["Live"], "onBreach": "Warn"}, {**_EVIDENCE, "name": "more", "delay": "30s"}],
    [{**_ERRORS, "when": ["Shadow"]}, {**_EVIDENCE, "when": ["Shadow", "Live"]}],
)
"""None: `analysis.mode: None`."""

ROUTED = tuple(SPECS.values())
"""One spec of each router that has objects; decisions must not tell them apart."""

_CONVERSION: dict[str, Any] = {"ratio": {"good": {"series": "converted"}, "total": {"series": "exposed"}}}
_AMOUNTS: dict[str, Any] = {"mean": {name: {"series": name} for name in ("sum", "squares", "count")}}
TESTS: tuple[dict[str, Any], ...] = (
    {},
    {"arms": (("b", 1, 20),), "end": "KeepStable", "duration": "90s"},
    {"arms": (("b", 1, 10), ("c", 2, 40)), "end": "PromoteWinner", "duration": "5m", "goal": _CONVERSION},
    {
        "arms": (("b", 1, "33.3%"), ("c", 2, 33), ("d", 3, 33)),
        "end": "PromoteWinner",
        "duration": "3m",
        "goal": _CONVERSION,
    },
    {"arms": (("b", 2, 50),), "duration": "1m", "goal": _CONVERSION},
    {
        "arms": (("b", 1, 5), ("c", 3, 60)),
        "end": "KeepStable",
        "duration": "2m",
        "goal": _CONVERSION,
        "assignment": {"type": "Sticky"},
    },
    {"arms": (("b", 1, 60), ("c", 2, 10)), "end": "PromoteWinner", "duration": "5m", "goal": _CONVERSION},
    {"arms": (("b", 1, 10), ("c", 2, 20)), "assignment": {"type": "Flag", "header": "x-arm"}},
    {"arms": (("b", 1, 15), ("c", 3, 25)), "end": "PromoteWinner", "duration": "4m", "goal": _AMOUNTS},
)
"""A/B tests; the first is none. An arm: its name, how many builds its own comes after the control's, its share.

The third and the seventh have the same arms with other shares.
"""

INCONCLUSIVE = ("Hold", "Promote", "Rollback")
_SETTINGS = Settings()


@dataclasses.dataclass(frozen=True, slots=True)
class Wish:
    """What a team asks for, beside the version."""

    replicas: int = 2
    steps: int = 0
    metrics: int = 0
    inconclusive: int = 0
    attempt: int = 0
    paused: bool = False
    finish: bool = False
    full: bool = False
    patient: bool = True
    """Long deadlines, or ones that are shorter than an outage."""
    autoscaled: bool = False
    quick: bool = False
    """Steps end when the evidence is there."""
    service: bool = False
    """The replica-ratio router instead of one of `ROUTED`."""
    at_once: bool = False
    """Strategy BlueGreen, where the steps allow it."""
    replace: bool = False
    """Strategy Replace, with the one list of steps that it may have."""
    golden: int = 0
    """Which golden requests, 0: none."""
    surge: int = 0
    """Pods above R for both versions together, where strategy and router allow it; 0: not bounded."""
    test: int = 0
    """Strategy ABTest with these arms, in place of steps, where the router can."""

    @property
    def mirrors(self) -> bool:
        """A Service cannot mirror, and copies need pods beside all of stable's."""
        return not self.service and not self.bounded

    @property
    def bounded(self) -> bool:
        """Whether the pods of both versions are bounded together."""
        other = (
            self.autoscaled or self.service or self.full or self.in_place or (self.at_once and self.steps in AT_ONCE)
        )
        return bool(self.surge) and not other and not self.arms

    @property
    def in_place(self) -> bool:
        """Whether one version runs at a time."""
        return self.replace and not self.autoscaled and not self.arms

    @property
    def arms(self) -> tuple[tuple[str, int, int | str], ...]:
        """The variants of its A/B test; none without."""
        return () if self.service else TESTS[self.test].get("arms", ())


@lru_cache(maxsize=20_000)
def plan_of(wish: Wish) -> tuple[Plan, str]:
    """The plan of a wish, through the real spec, and its name."""
    plan = resolve(ModelDeploymentSpec.model_validate(_spec(wish)), _SETTINGS)
    return plan, plan.digest


def _spec(wish: Wish) -> dict[str, Any]:
    metrics = METRICS[wish.metrics]
    analysis: dict[str, Any] = {"mode": "None"} if metrics is None else {"metrics": metrics, "noDataDeadline": "5m"}
    spec: dict[str, Any] = {
        "server": {"image": "registry.example.com/model:1"},
        "rollout": {
            "steps": [step for step in STEPS[wish.steps] or () if "shadow" not in step or wish.mirrors],
            "loadDeadline": "5m" if wish.patient else "40s",
            "unavailableDeadline": "2m" if wish.patient else "20s",
            "scaleDownDelay": "2m" if wish.patient else "10s",
            "keepFailed": "1m",
            "candidateReplicas": "Full" if wish.full else "Proportional",
            "whenSuperseded": "Finish" if wish.finish else "Replace",
            "paused": wish.paused,
            "attempt": wish.attempt,
            "pace": "Evidence" if wish.quick else "Schedule",
        },
        "analysis": {**analysis, "interval": "15s", "onInconclusive": INCONCLUSIVE[wish.inconclusive]},
    }
    if wish.at_once and wish.steps in AT_ONCE:
        spec["rollout"]["strategy"] = "BlueGreen"
        del spec["rollout"]["candidateReplicas"]
    if wish.golden:
        spec["rollout"]["warmUp"] = {"requests": [{"name": f"golden-{wish.golden}", "path": "/predict"}]}
    if wish.bounded:
        spec["rollout"]["capacity"] = {"maxSurge": wish.surge}
    if wish.in_place:
        spec["rollout"] |= {"strategy": "Replace", "steps": STEPS[IN_PLACE]}
    if wish.arms:
        test = {name: value for name, value in TESTS[wish.test].items() if name != "arms"}
        variants = [{"name": name, "weight": weight, "version": name} for name, _, weight in wish.arms]
        spec["rollout"] |= test | {"strategy": "ABTest", "variants": variants}
        del spec["rollout"]["steps"]
    if wish.autoscaled:
        spec["autoscaling"] = {"minReplicas": max(1, wish.replicas), "maxReplicas": wish.replicas + 3}
    else:
        spec["replicas"] = wish.replicas
    if wish.service:
        spec["traffic"] = {"service": {"coarse": "Accept"}}
    else:
        by_gateway = wish.arms or wish.bounded or any("shadow" in step for step in spec["rollout"]["steps"])
        spec["traffic"] = SPECS["Gateway"] if by_gateway else ROUTED[wish.metrics % len(ROUTED)]
    return spec
