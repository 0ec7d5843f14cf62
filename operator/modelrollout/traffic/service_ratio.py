"""Traffic by the number of pods behind the entry Service, on any cluster.

While one revision carries everything the entry Service selects that revision alone, so that a candidate can load, and a former
stable can stay warm, without getting a connection. While two share, it selects **all** pods of the resource: the labels of pods
never change, and a selector cannot name two values. So no other revision may have pods while traffic is mixed, and the pods of
both must be there before the selector widens.

What is divided are connections, not requests, and open ones stay where they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelrollout.api.errors import SpecError
from modelrollout.api.scalars import FULL_WEIGHT
from modelrollout.rollout.capacity import shares
from modelrollout.rollout.plan import Plan
from modelrollout.workload.identity import DEPLOYMENT_LABEL, NO_REVISION, REVISION_LABEL
from modelrollout.workload.objects import entry_service

from .base import Capabilities, RouteIntent, RouteView
from .ratio import check, effective, lowest_share

Json = Mapping[str, Any]

__all__ = ["ServiceRouter", "check", "effective", "lowest_share", "shares"]


class ServiceRouter:
    """Shares of connections, as fine as the number of pods allows."""

    name = "Service"
    capabilities = Capabilities(smallest_weight=None, header_match=False)

    def build(self, intent: RouteIntent) -> tuple[dict[str, Any], ...]:
        """The entry Service: it selects every revision that has a share."""
        records = [intent.records[revision] for revision, weight in sorted(intent.weights.items()) if weight > 0]
        return (entry_service(intent.owner, intent.service, records),)

    def observe(self, raw: Json | None, pods: Mapping[str, int]) -> RouteView:
        """The shares that the selector and the ready pods make, given the ready pods by revision."""
        if raw is None:
            return RouteView(exists=False, problem="the entry Service does not exist yet")
        return observe(raw, pods)

    def check(self, plan: Plan) -> SpecError | None:
        """Steps finer than one pod beside all of stable's are refused, unless that was accepted."""
        return check(plan)


def observe(raw: Json, pods: Mapping[str, int]) -> RouteView:
    """Read the shares from the entry Service and the ready pods by revision; nobody would refuse a Service."""
    generation = int(raw["metadata"].get("generation") or 0)
    labels = dict((raw.get("spec") or {}).get("selector") or {})
    revision = labels.pop(REVISION_LABEL, None)
    if set(labels) != {DEPLOYMENT_LABEL}:
        problem = "the selector of the entry Service is not as the operator made it"
        return RouteView(exists=True, problem=problem, generation=generation)
    single = {} if revision in (None, NO_REVISION) else {revision: FULL_WEIGHT}
    weights = effective(pods) if revision is None else single
    return RouteView(True, weights, accepted=True, generation=generation)
