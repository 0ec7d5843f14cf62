"""What the controller asks of the metrics layer, and what it gets: the contract of the Sampler.

A rollout *subscribes* with everything that decides which counts are its own: the two versions and their pods, since when each pod
counts, since when the step's weight is in force. Nothing in a subscription is an address; a provider is only named.

`MetricsSource` is what the controller holds. Reading it is O(1) and never waits: the Sampler asks Prometheus on its own grid and
wakes the key when windows have come in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from modelrollout.analysis.dispersion import Effect
from modelrollout.analysis.planner import Traffic
from modelrollout.analysis.window import Window
from modelrollout.api.analysis import Identify, Metric
from modelrollout.api.settings import RuntimePreset
from modelrollout.rollout.situation import Problem

Key = tuple[str, str]
"""Namespace and name of the ModelDeployment; with a revision behind the name, one variant of its A/B test (`slot_of`)."""
_BEHIND = "/"


def slot_of(key: Key, revision: str) -> Key:
    """Where one variant is measured against the control: a rollout of its own to the metrics layer. No name holds a slash."""
    return key[0], f"{key[1]}{_BEHIND}{revision}"


def resource_of(slot: Key) -> Key:
    """The resource that is measured there."""
    return slot[0], slot[1].partition(_BEHIND)[0]


@dataclass(frozen=True, slots=True)
class VersionSelector:
    """How one version's series are found. Pods are named ``<deployment>-<ReplicaSet hash>-<suffix>``."""

    revision: str
    version: str
    deployment: str
    preset: RuntimePreset


@dataclass(frozen=True, slots=True)
class Subscription:
    """What is to be measured for one rollout. Times in seconds since 1970 UTC.

    `since`: only windows wholly after it are made (the step's `appliedAt`; before the first weight, the time of subscribing).
    `keep_from`: windows that begin earlier are not kept or read back (`through` of the metrics less their look-back).
    `stable`: None where nothing is to be compared (a first version, or a bake at 100 %).
    `counts_from`: pod → since when its counts are taken (ready + warm-up), for the pods of both versions; a pod that is not
    in it is not counted yet. `share`: the candidate's share of requests (0 to 1), by which the Sampler knows when its series
    ought to have shown. `identify`: tell versions apart by a label instead of by pod. `history`: find out from stable's past how
    much its pods differ (`Preflight.effects`); to be set before the first weight only. `preflight`: there is no weight yet, so
    nothing is judged: no windows are made, and only the latest grid point is looked at for what `MetricsSource.preflight` tells.
    """

    key: Key
    provider: str
    interval: float
    since: float
    keep_from: float
    namespace: str
    candidate: VersionSelector
    stable: VersionSelector | None
    metrics: tuple[Metric, ...]
    counts_from: Mapping[str, float] = field(default_factory=dict)
    share: float = 0.0
    identify: Identify | None = None
    history: bool = False
    preflight: bool = False


@dataclass(frozen=True, slots=True)
class Preflight:
    """Whether a candidate may get its first weight as far as metrics go.

    `ready`: its target is up, each metric exists for stable or candidate, and the `effects` that were asked for are known.
    Otherwise `problem` says what is missing, once that has lasted for a few windows, or that the provider does not answer;
    None: not known yet. `effects`: design effects by name of metric (`Subscription.history`), as they were first found; for a
    latency without a threshold also by bound (`effect_name`). `traffic`: what stable was asked in the time from which they were found.
    """

    ready: bool
    problem: Problem | None = None
    effects: Mapping[str, Effect] = field(default_factory=dict)
    traffic: Mapping[str, Traffic] = field(default_factory=dict)


def effect_name(metric: str, bound: str) -> str:
    """The key of the effect at one bound, as `Window.bounds` names it; under the metric's own name stands the largest."""
    return f"{metric}/{bound}"


class MetricsSource(Protocol):
    """What the controller holds. Every method returns at once."""

    def subscribe(self, key: Key, subscription: Subscription) -> None:
        """Measure from now on; idempotent. A later `since` drops older windows."""

    def unsubscribe(self, key: Key) -> None:
        """Forget the rollout; unknown keys are fine."""

    def windows(self, key: Key) -> Mapping[str, tuple[Window, ...]]:
        """By metric name, oldest first, disjoint; an ERROR window, if any, comes last and stands for all that is awaited."""

    def problem(self, key: Key) -> Problem | None:
        """Why it cannot be measured: unknown provider, a metric that cannot be asked, or series that ought to be there."""

    def preflight(self, key: Key) -> Preflight:
        """Whether the first weight may be given."""
