"""What is simulated, and the spec that a user would write for it."""

from dataclasses import dataclass
from functools import cached_property
from math import ceil
from typing import Any

from modelrollout.api.settings import Settings
from modelrollout.api.spec import ModelDeploymentSpec
from modelrollout.rollout.plan import Plan, resolve

MINUTE = 60.0
AFTER_ONSET = 1800.0
"""Seconds for which a rollout that waits past its plan goes on after the candidate went bad."""
METRIC = "errors"


@dataclass(frozen=True)
class Setting:
    """One simulated situation. Rates are shares of 0 to 1, weights in percent, times in seconds unless named otherwise."""

    rps: float = 50.0
    rate_stable: float = 0.005
    rate_candidate: float = 0.005
    """The candidate's rate from `onset` on; before that it is stable's."""
    weights: tuple[float, ...] = (5.0, 10.0, 25.0, 50.0)
    step_minutes: float = 15.0
    window: float = 15.0
    onset: float = 0.0
    idle: float = 0.0
    """How long the last step waits for approval past the plan before the candidate goes bad."""
    bursts: str = "none"
    """`none`, `shared` (incidents of both versions at once) or `pod` (each pod for itself)."""
    burst_length: float = 300.0
    pods: int = 3
    """Stable's pods; the candidate has as many as its weight needs."""
    spread: float = 0.0
    """Standard deviation of the lasting factor by which a pod's rate differs."""
    diurnal: float = 0.0
    """By which part of themselves load and rates swing over a day."""
    incident: float = 0.0
    """From the middle of the plan on both versions have at least this rate."""
    method: str = "sequential"
    slow: bool = False
    """The rates are those of requests slower than a threshold, not of errors."""
    latency_factor: float = 0.0
    """Whole latencies are drawn and judged at all bounds: the candidate's are so many times stable's. 0: rates are drawn."""
    metrics: int = 1
    """So many metrics, each with errors of its own."""
    alpha: float = 0.01
    beta: float = 0.05
    margin: float | None = None
    """`compare.margin`; None leaves the default."""
    ignore_below: float | None = None
    non_inferiority: float | None = None
    limit: float | None = None
    overdispersion: float | None = None
    """The stated design effect; None: measured on stable's history where pods differ, 1 elsewhere."""

    def __post_init__(self) -> None:
        if self.bursts not in ("none", "shared", "pod"):
            raise ValueError(f"bursts must be none, shared or pod, found {self.bursts!r}")
        if self.method not in ("sequential", "threshold"):
            raise ValueError(f"method must be sequential or threshold, found {self.method!r}")
        if self.latency_factor and (
            self.bursts != "none" or self.spread or self.incident or self.method == "threshold"
        ):
            raise ValueError("latency_factor goes with no bursts, spread, incident or method threshold")

    @cached_property
    def planned(self) -> float:
        """Seconds in all holds together."""
        return len(self.weights) * self.step_minutes * MINUTE

    @cached_property
    def bad_from(self) -> float:
        """Seconds after the first weight at which the candidate goes bad."""
        return self.planned + self.idle if self.idle else self.onset

    @cached_property
    def horizon(self) -> float:
        """Seconds after which nobody looks any more."""
        return self.bad_from + AFTER_ONSET if self.idle else max(self.planned, self.onset)

    @cached_property
    def windows(self) -> int:
        """Windows within the horizon."""
        return ceil(self.horizon / self.window)

    @property
    def differing(self) -> bool:
        """Whether pods are more than shares of one version."""
        return self.bursts == "pod" or self.spread > 0

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the metrics."""
        return tuple(METRIC if not index else f"{METRIC}-{index + 1}" for index in range(self.metrics))


def plan_of(setting: Setting) -> Plan:
    """The plan, through the spec and the resolution of the product."""
    return resolve(ModelDeploymentSpec.model_validate(spec_of(setting)), Settings())


def spec_of(setting: Setting) -> dict[str, Any]:
    """The spec that a user would write."""
    steps: list[dict[str, Any]] = [
        {"weight": _percent(weight / 100), "hold": _duration(setting.step_minutes * MINUTE)}
        for weight in setting.weights
    ]
    if setting.idle:
        steps[-1] |= {"advance": "Approval", "maxDuration": _duration(setting.horizon + 1)}
    return {
        "server": {"image": "registry.example.com/model:1"},
        "replicas": setting.pods,
        "traffic": {"gateway": {"parentRefs": [{"name": "public"}]}},
        "rollout": {"steps": steps},
        "analysis": {
            "interval": _duration(setting.window),
            "falseRollbackProbability": _percent(setting.alpha),
            "badPromotionProbability": _percent(setting.beta),
            "metrics": [_metric(setting, name) for name in setting.names],
        },
    }


def _metric(setting: Setting, name: str) -> dict[str, Any]:
    what: dict[str, Any] = {"errorRate": {}}
    if setting.slow or setting.latency_factor:
        what = {"latency": {"threshold": "250ms"} if setting.slow else {}}
    if setting.method == "threshold":
        checks = min(100, round(setting.step_minutes * MINUTE / setting.window))
        check = {"lookback": "1m", "failures": 3, "of": checks}
        return {"name": name, **what, "method": "Threshold", "limit": "1%", "threshold": check}
    fields: dict[str, Any] = {"name": name, **what, "method": "Sequential"}
    compare: dict[str, Any] = {}
    if setting.margin is not None:
        compare["margin"] = f"{setting.margin:g}"
    if setting.ignore_below is not None:
        compare["ignoreBelow"] = _percent(setting.ignore_below)
    if setting.non_inferiority is not None:
        compare["nonInferiorityMargin"] = f"{setting.non_inferiority:g}"
    if compare or setting.limit is None:
        fields["compare"] = compare
    if setting.limit is not None:
        fields["limit"] = _percent(setting.limit)
    if setting.overdispersion is not None or not setting.differing:
        fields["overdispersion"] = f"{setting.overdispersion or 1:g}"
    return fields


def _percent(share: float) -> str:
    return f"{share * 100:.4f}".rstrip("0").rstrip(".") + "%"


def _duration(seconds: float) -> str:
    return f"{ceil(seconds)}s"
