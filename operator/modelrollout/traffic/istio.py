"""Traffic by an Istio VirtualService.

Each version has a Service of its own, and these are the destinations. Subsets, and with them a DestinationRule, are for versions
that share one Service; here a DestinationRule would only have to be there before, and go after, every change of the
VirtualService. One of yours for a version's host is left alone, and there `host` may stand for all: `*.ml.svc.cluster.local`.

The VirtualService has a header rule for each live revision, which Istio asks in this order, and one weighted rule over all. It is
owned whole. Destinations are named without a namespace, which Istio takes as the VirtualService's own, whatever the
cluster's domain.

Istio says nothing in a status, unless told to. It waits for a stream of changes to end before it sends them out, for 10 s at
most, which `lag` allows for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelrollout.api.errors import SpecError
from modelrollout.api.istio import Istio
from modelrollout.api.scalars import FULL_WEIGHT
from modelrollout.api.traffic import Traffic
from modelrollout.rollout.plan import Plan
from modelrollout.rollout.revision import child_name
from modelrollout.workload.canonical import canonical
from modelrollout.workload.identity import Owner, common_labels, metadata
from modelrollout.workload.objects import REVISION_PORT

from .base import ABSENT, Capabilities, Parts, RouteIntent, RouteView, shares, silent
from .testers import REVISION_HEADER, TESTER_HEADER, led_to, tester_header, tester_token

Json = Mapping[str, Any]

API_VERSION, KIND = "networking.istio.io/v1", "VirtualService"
LAG = 10.0


class IstioRouter:
    """Exact shares down to a hundredth of a percent, for all traffic through the named gateways and, with `mesh`, from sidecars."""

    name = "Istio"
    capabilities = Capabilities(smallest_weight=1, header_match=True, lag=LAG)
    kinds: tuple[tuple[str, str], ...] = ((API_VERSION, KIND),)

    def build(self, intent: RouteIntent) -> tuple[dict[str, Any], ...]:
        """One VirtualService with the resource's name."""
        assert intent.traffic is not None
        assert intent.traffic.istio is not None
        return (virtual_service(intent, intent.traffic.istio),)

    def read(self, raw: Json) -> RouteView:
        """The shares of the weighted rule."""
        return silent(raw, _weights(str(raw["metadata"]["name"]), raw.get("spec") or {}))

    def observe(self, name: str, parts: Parts) -> RouteView:
        """The one VirtualService."""
        return parts.get((KIND, name), ABSENT)

    def check(self, plan: Plan) -> SpecError | None:
        """Every weight that a step can have can be carried out."""
        del plan
        return None

    def tester_header(self, owner: Owner, traffic: Traffic) -> str:
        """Every VirtualService has the header rules."""
        del traffic
        return tester_header(owner)


def virtual_service(intent: RouteIntent, asked: Istio) -> dict[str, Any]:
    """The VirtualService; its order does not depend on the order of the weights."""
    owner, revisions = intent.owner, sorted(intent.weights)
    rules = []
    for name, revision in led_to(intent):
        header = {"headers": {TESTER_HEADER: {"exact": f"{tester_token(owner)}-{name}"}}}
        rules.append(
            _rule([match | header for match in _matches(asked)], [_destination(owner, revision, FULL_WEIGHT)], asked)
        )
    destinations = [_destination(owner, revision, intent.weights[revision]) for revision in revisions]
    rules.append(_rule([match for match in _matches(asked) if match], destinations, asked))
    spec: dict[str, Any] = {"hosts": list(asked.hosts), "http": rules}
    if asked.gateways:
        spec["gateways"] = list(asked.gateways)
    found = metadata(owner, owner.name, common_labels(owner.name))
    return canonical({"apiVersion": API_VERSION, "kind": KIND, "metadata": found, "spec": spec})


def _matches(asked: Istio) -> list[dict[str, Any]]:
    """One of these must hold; an empty one always does. A prefix of Istio's is one of characters."""
    path = (asked.path_prefix or "/").rstrip("/")
    return [{"uri": {"exact": path}}, {"uri": {"prefix": f"{path}/"}}] if path else [{}]


def _rule(matches: list[dict[str, Any]], destinations: list[dict[str, Any]], asked: Istio) -> dict[str, Any]:
    rule: dict[str, Any] = {"route": destinations}
    if matches:
        rule["match"] = matches
    if asked.timeout is not None and asked.timeout.seconds:
        # Istio reads nothing but seconds here, and takes no 0.
        rule["timeout"] = f"{int(asked.timeout.seconds)}s"
    return rule


def _destination(owner: Owner, revision: str, weight: int) -> dict[str, Any]:
    return {
        "destination": {"host": child_name(owner.name, revision), "port": {"number": REVISION_PORT}},
        "weight": weight,
        "headers": {"response": {"set": {REVISION_HEADER: revision}}},
    }


def _weights(name: str, spec: Json) -> dict[str, int] | None:
    rules = spec.get("http") or []
    weighted = [rule for rule in rules if not any(match.get("headers") for match in rule.get("match") or ())]
    if len(weighted) != 1:
        return None
    found = weighted[0].get("route") or ()
    return shares(name, ((str((one.get("destination") or {}).get("host", "")), one.get("weight")) for one in found))
