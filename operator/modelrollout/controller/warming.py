"""What a rollout asks of the warmer, and what it has learned from it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address

from modelrollout.api.base import canonical_json
from modelrollout.api.status import ModelDeploymentStatus
from modelrollout.kube.pods import PodFacts
from modelrollout.rollout.book import Book
from modelrollout.rollout.plan import Plan
from modelrollout.rollout.revision import child_name
from modelrollout.rollout.situation import Situation, WarmUpFacts
from modelrollout.runtime.queue import Key
from modelrollout.warmup.warmer import Errand, PodToWarm, WarmUpSource

from .children import Children
from .memory import Memory


@dataclass(frozen=True, slots=True)
class Warming:
    """Between the controller and the warmer."""

    source: WarmUpSource

    def facts(self, key: Key, status: ModelDeploymentStatus, plan: Plan | None, memory: Memory) -> WarmUpFacts:
        """What the golden requests have shown of the candidate's pods; nothing where none are asked."""
        rollout = status.rollout
        if rollout is None or plan is None or plan.golden is None:
            return WarmUpFacts()
        definition = _definition(status, plan)
        found = self.source.results(key, definition)
        recorded = rollout.warm_up
        known = set(recorded.pods) if recorded is not None and recorded.definition == definition else set()
        there = [pod for pod in _pods(memory, rollout.revision) if not pod.deleted]
        warm = [pod for pod in there if _identity(pod) in known or _identity(pod) in found.warm]
        silent = [f"pod {pod.name} has no address of its own" for pod in there if pod.ready_since and not pod.address]
        present = {_identity(pod) for pod in there}
        troubles = [text for identity, text in sorted(found.troubles.items()) if identity in present]
        return WarmUpFacts(
            definition=definition,
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
        plan, rollout = situation.plan, status.rollout
        record = children.records.get(rollout.revision) if rollout is not None else None
        if rollout is None or plan is None or plan.golden is None or record is None:
            self.source.drop(key)
            return
        if not Book(situation, status).warms_up:
            self.source.drop(key)
            return
        warm = set(situation.warm_up.pods)
        name = child_name(key[1], rollout.revision)
        pods = tuple(
            PodToWarm(_identity(pod), pod.name, pod.address, record.port)
            for pod in _pods(memory, rollout.revision)
            if _may_be_asked(pod, name) and _identity(pod) not in warm
        )
        self.source.want(key, Errand(_definition(status, plan), plan.golden, pods))


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


def _definition(status: ModelDeploymentStatus, plan: Plan) -> str:
    rollout = status.rollout
    assert rollout is not None
    assert plan.golden is not None
    text = canonical_json([rollout.revision, str(rollout.started_at), plan.golden.written()])
    return hashlib.sha256(text.encode()).hexdigest()[:8]
