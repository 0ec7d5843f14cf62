"""What a rollout asks of the warmer, and what it has learned from it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address

from modelrollout.api.base import canonical_json
from modelrollout.api.scalars import Timestamp
from modelrollout.api.status import ModelDeploymentStatus, WarmUpStatus
from modelrollout.api.warmup import WarmUp
from modelrollout.kube.pods import PodFacts
from modelrollout.metrics.subscription import resource_of, slot_of
from modelrollout.rollout.book import Book
from modelrollout.rollout.plan import Plan
from modelrollout.rollout.revision import child_name
from modelrollout.rollout.situation import Situation, WarmUpFacts
from modelrollout.runtime.queue import Key
from modelrollout.warmup.warmer import Errand, PodToWarm, WarmUpSource

from .children import Children
from .memory import Memory


@dataclass(frozen=True, slots=True)
class _Start:
    """One start of a version whose pods are to be warm: where its errand is kept, which version, which requests for which start."""

    slot: Key
    revision: str
    definition: str
    recorded: WarmUpStatus | None


@dataclass(frozen=True, slots=True)
class Warming:
    """Between the controller and the warmer. A variant of an A/B test has an errand of its own, in a slot of its own."""

    source: WarmUpSource

    def facts(self, key: Key, status: ModelDeploymentStatus, plan: Plan | None, memory: Memory) -> WarmUpFacts:
        """What the golden requests have shown of the candidate's pods; nothing where none are asked."""
        start = _candidate(key, status, plan)
        return WarmUpFacts() if start is None else self._found(start, memory)

    def variants(
        self, key: Key, status: ModelDeploymentStatus, plan: Plan | None, memory: Memory
    ) -> dict[str, WarmUpFacts]:
        """The same of each variant of an A/B test that takes part, by revision."""
        return {start.revision: self._found(start, memory) for start in _variants(key, status, plan)}

    def _found(self, start: _Start, memory: Memory) -> WarmUpFacts:
        found, recorded = self.source.results(start.slot, start.definition), start.recorded
        known = set(recorded.pods) if recorded is not None and recorded.definition == start.definition else set()
        there = [pod for pod in _pods(memory, start.revision) if not pod.deleted]
        warm = [pod for pod in there if _identity(pod) in known or _identity(pod) in found.warm]
        silent = [f"pod {pod.name} has no address of its own" for pod in there if pod.ready_since and not pod.address]
        present = {_identity(pod) for pod in there}
        troubles = [text for identity, text in sorted(found.troubles.items()) if identity in present]
        return WarmUpFacts(
            definition=start.definition,
            warm=sum(pod.ready_since is not None for pod in warm),
            pods=tuple(sorted(_identity(pod) for pod in warm)),
            failure=next((text for _, text in sorted(found.failures.items())), ""),
            trouble=next(iter([*troubles, *silent]), ""),
            slowest=max(found.warm.values(), default=0.0) or None,
        )

    def ask(
        self, key: Key, situation: Situation, status: ModelDeploymentStatus, memory: Memory, children: Children
    ) -> None:
        """Have the pods warmed that are not; `status`: as decided."""
        plan = situation.plan
        start = _candidate(key, status, plan) if Book(situation, status).warms_up else None
        if start is None or not self._want(start, plan, set(situation.warm_up.pods), memory, children):
            self.source.drop(key)
        wanted = set()
        for slot in _readmitted(key, situation.status, status):
            self.source.drop(slot)  # it begins afresh, and what it answered before counts no more
        for start in _variants(key, status, plan):
            arm = situation.arms.get(start.revision)
            if self._want(start, plan, set(arm.warm_up.pods) if arm else set(), memory, children):
                wanted.add(start.slot)
        for slot in memory.warming - wanted:
            self.source.drop(slot)
        memory.warming = frozenset(wanted)

    def _want(self, start: _Start, plan: Plan | None, warm: set[str], memory: Memory, children: Children) -> bool:
        """Whether there is somebody to ask, who is now."""
        record = children.records.get(start.revision)
        if plan is None or plan.golden is None or record is None:
            return False
        deployment = child_name(resource_of(start.slot)[1], start.revision)
        pods = tuple(
            PodToWarm(_identity(pod), pod.name, pod.address, record.port)
            for pod in _pods(memory, start.revision)
            if _may_be_asked(pod, deployment) and _identity(pod) not in warm
        )
        self.source.want(start.slot, Errand(start.definition, plan.golden, pods))
        return True

    def forget(self, key: Key, memory: Memory | None) -> None:
        """The resource is gone, or another process's."""
        for slot in (key, *(memory.warming if memory is not None else ())):
            self.source.drop(slot)


def _candidate(key: Key, status: ModelDeploymentStatus, plan: Plan | None) -> _Start | None:
    rollout = status.rollout
    if rollout is None or plan is None or plan.golden is None:
        return None
    return _Start(
        key, rollout.revision, _definition(rollout.revision, rollout.started_at, plan.golden), rollout.warm_up
    )


def _variants(key: Key, status: ModelDeploymentStatus, plan: Plan | None) -> list[_Start]:
    test = status.experiment
    if test is None or plan is None or plan.golden is None:
        return []
    return [
        _Start(
            slot_of(key, arm.revision),
            arm.revision,
            _definition(arm.revision, test.started_at, plan.golden),
            arm.warm_up,
        )
        for arm in test.variants
        if arm.out is None
    ]


def _readmitted(key: Key, before: ModelDeploymentStatus, after: ModelDeploymentStatus) -> list[Key]:
    if before.experiment is None or after.experiment is None:
        return []
    out = {arm.revision for arm in before.experiment.variants if arm.out is not None}
    return [slot_of(key, arm.revision) for arm in after.experiment.variants if arm.out is None and arm.revision in out]


def _pods(memory: Memory, revision: str) -> Iterator[PodFacts]:
    seen = memory.pods.get(revision)
    return iter(seen.pods if seen else ())


def _identity(pod: PodFacts) -> str:
    """Of a pod whose containers have not restarted since: a model that was loaded again is cold."""
    return f"{pod.uid.split('-', maxsplit=1)[0]}.{pod.restarts}"


def _may_be_asked(pod: PodFacts, deployment: str) -> bool:
    """Ready, made by the revision's Deployment, and at an address that a pod can have: labels alone are anybody's."""
    if pod.deleted or pod.ready_since is None or not pod.controller.startswith(f"ReplicaSet {deployment}-"):
        return False
    try:
        address = ip_address(pod.address)
    except ValueError:
        return False
    return not (address.is_link_local or address.is_multicast or address.is_unspecified)


def _definition(revision: str, started_at: Timestamp, golden: WarmUp) -> str:
    text = canonical_json([revision, str(started_at), golden.written()])
    return hashlib.sha256(text.encode()).hexdigest()[:8]
