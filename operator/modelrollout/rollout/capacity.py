"""How many pods a revision needs for a share of traffic.

One rule for every router: a candidate that receives share w runs at least ceil(R·w) pods, R being stable's pod count when the
candidate started, and a revision is never scaled below what its recorded weight needs. With the replica-ratio router the pods
*are* the share, so both sides are chosen together.
"""

from __future__ import annotations

from functools import lru_cache

from modelrollout.api.scalars import FULL_WEIGHT

from .plan import Plan


def need(full: int, weight: int) -> int:
    """Pods that a share of `weight` basis points needs when `full` pods carry all: ceil(R·w), at least one for any share."""
    return -(-full * weight // FULL_WEIGHT) if weight and full else 0


def remaining(full: int, weight: int) -> int:
    """Pods that what is left of a share needs, to the hundredth of a percent in which weights are: of 3 pods, 2 for 66.67 %."""
    return max(min(1, full), need(full, weight - 1)) if weight else 0


def candidate_pods(plan: Plan, full: int, weight: int) -> int:
    """Pods that the candidate must have ready **before** it gets `weight`; at least one as soon as it exists."""
    if plan.router == "Service" and 0 < weight < FULL_WEIGHT:
        return shares(weight, full)[1]
    return full if plan.full_candidate else max(1, need(full, weight))


def stable_pods(plan: Plan, full: int, weight: int) -> int:
    """Pods that stable keeps while the candidate has `weight`: all of them, save where the pods are the share.

    None at all where there is one version at a time, or a bound on both: whoever moves weight then neither starts nor stops stable.
    """
    if plan.in_place or plan.surge is not None:
        return 0
    if plan.router == "Service" and 0 < weight < FULL_WEIGHT:
        return shares(weight, full)[0]
    return full


@lru_cache(maxsize=4096)
def shares(weight: int, full: int) -> tuple[int, int, int]:
    """The replica ratio nearest to `weight`: (stable pods, candidate pods, share reached in basis points).

    Both sides keep what their share needs, and none has more than `full` pods. Fewest pods win among equals.
    """
    low = max(1, need(full, weight))
    best = min(
        (
            (stable, candidate)
            for candidate in range(low, full + 1)
            for stable in range(max(1, need(full, FULL_WEIGHT - weight)), full + 1)
        ),
        key=lambda pair: (abs(share(*pair) - weight), -pair[0]),
        default=(full, max(1, full)),
    )
    return best[0], best[1], share(*best)


def share(stable: int, candidate: int) -> int:
    """The candidate's share of connections in basis points when every pod gets as many."""
    return round(candidate * FULL_WEIGHT / (stable + candidate)) if stable + candidate else 0
