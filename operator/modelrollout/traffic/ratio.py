"""The arithmetic of traffic by the number of pods.

Behind a Service every ready pod gets as many connections as any other, so the share of a version is its share of the pods, and
only certain shares can be had. With at most R pods of each version the smallest is one pod beside R: 1/(R+1).

How many pods each side runs for a weight is `rollout.capacity.shares`, because it is a rule of capacity that decisions keep.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from modelrollout.api.errors import SpecError
from modelrollout.api.scalars import FULL_WEIGHT, Weight
from modelrollout.rollout.plan import Plan

ROUTER = "Service"


def lowest_share(full: int) -> int:
    """The smallest share that can be had with at most `full` (>= 1) pods of each version, in basis points, cut."""
    if full < 1:
        raise ValueError(f"a share needs pods, found {full}")
    return FULL_WEIGHT // (full + 1)


def effective(pods: Mapping[str, int]) -> dict[str, int]:
    """Shares by revision in basis points, adding up to 10,000; empty without any pod."""
    total = sum(pods.values())
    if total <= 0:
        return {}
    exact = {revision: count * FULL_WEIGHT / total for revision, count in pods.items()}
    shares = {revision: int(value) for revision, value in exact.items()}
    # What was cut off goes to the largest remainders, by name among equals, so that the sum stays exact.
    order = sorted(exact, key=lambda revision: (shares[revision] - exact[revision], revision))
    for revision in order[: FULL_WEIGHT - sum(shares.values())]:
        shares[revision] += 1
    return shares


def reachable(plan: Plan) -> Plan:
    """The plan without the *default* steps that so few pods cannot carry out; steps that somebody wrote stay."""
    written = plan.written.get("rollout", {}).get("steps")
    if plan.router != ROUTER or plan.coarse or written is not None or plan.replicas < 1:
        return plan
    lowest = lowest_share(plan.replicas)
    return replace(plan, steps=tuple(step for step in plan.steps if not step.weight or step.weight >= lowest))


def check(plan: Plan) -> SpecError | None:
    """Name the first step that is finer than the replica ratio, unless that was accepted; None if there is none."""
    if plan.router != ROUTER or plan.coarse or plan.replicas < 1:
        return None
    lowest = lowest_share(plan.replicas)
    for index, step in enumerate(plan.steps):
        if 0 < step.weight < lowest:
            needed = -(-FULL_WEIGHT // step.weight) - 1
            return SpecError(
                f"spec.rollout.steps[{index}].weight",
                f"step {step.name} asks for {step.weight.percent} %, but {_pods(plan.replicas)} behind a Service can carry no "
                f"share below {Weight(lowest).percent} %; name a gateway under spec.traffic, run at least {needed} pods, "
                "or set spec.traffic.service.coarse: Accept",
            )
    return None


def _pods(count: int) -> str:
    return "1 pod" if count == 1 else f"{count} pods"
