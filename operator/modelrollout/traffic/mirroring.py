"""Mirrored requests in an HTTPRoute: which rule has the filter, what the filter says, and reading it back.

Only requests that match are mirrored, so they have a weighted rule of their own before the general one; both carry the same weights.
A longer path goes before a header in the Gateway API's order of precedence, so each header rule matches the same requests, too:
without that a tester who asks for a mirrored path would meet stable.

The share is written as `percent` where it is a whole number, for that is what more gateways know, else as `fraction`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modelrollout.api.scalars import FULL_WEIGHT, Weight
from modelrollout.api.shadow import Shadow, kinds
from modelrollout.workload.comparer import comparer_name
from modelrollout.workload.objects import REVISION_PORT

Json = Mapping[str, Any]

COMPARER = comparer_name("").removeprefix("-")
"""What copies that go to the comparer are read back as, in place of a revision."""
_BASIS_POINTS_OF_A_PERCENT = 100
CLASS_FEATURE = "HTTPRouteRequestMirror"
"""What a GatewayClass names among its `status.supportedFeatures` if its gateways can mirror at all."""
SHARE_FEATURE = "HTTPRouteRequestPercentageMirror"
"""… and if they can mirror a share of the requests."""


@dataclass(frozen=True, slots=True)
class Mirrored:
    """Requests that are copied: which (`shadow`), and to which Service."""

    shadow: Shadow
    backend: str


def mirror_backend(owner_name: str, child: str, shadow: Shadow) -> str:
    """The Service that gets the copies: the candidate's own, or the comparer's, which hands them on."""
    return comparer_name(owner_name) if shadow.compare is not None else child


def matches(shadow: Shadow, prefix: str) -> list[dict[str, Any]]:
    """The requests that are copied, as matches of a rule."""
    return [
        {"path": {"type": "PathPrefix", "value": path}, "method": method.value}
        for method, path in kinds(shadow, prefix)
    ]


def mirror_filter(mirrored: Mirrored) -> dict[str, Any]:
    """The filter that copies a share of a rule's requests."""
    backend = {"group": "", "kind": "Service", "name": mirrored.backend, "port": REVISION_PORT}
    return {"type": "RequestMirror", "requestMirror": {"backendRef": backend, **_share(mirrored.shadow.percent)}}


def _share(share: Weight) -> dict[str, Any]:
    if share == FULL_WEIGHT:
        return {}
    whole, rest = divmod(int(share), _BASIS_POINTS_OF_A_PERCENT)
    return {"percent": whole} if not rest else {"fraction": {"numerator": int(share), "denominator": FULL_WEIGHT}}


def mirrors(rule: Json) -> dict[str, int]:
    """Shares of requests that a rule copies, in basis points, by name of the Service."""
    found: dict[str, int] = {}
    for one in rule.get("filters") or ():
        mirror = one.get("requestMirror") if one.get("type") == "RequestMirror" else None
        if mirror is not None:
            found[str((mirror.get("backendRef") or {}).get("name", ""))] = _read(mirror)
    return found


def _read(mirror: Json) -> int:
    fraction = mirror.get("fraction")
    if fraction is not None:
        return int(fraction.get("numerator") or 0) * FULL_WEIGHT // int(fraction.get("denominator") or 100)
    percent = mirror.get("percent")
    return FULL_WEIGHT if percent is None else int(percent) * _BASIS_POINTS_OF_A_PERCENT


def lacking(features: frozenset[str], share: int) -> str:
    """The feature that gateways would need and do not name; empty if they have all, or name none at all (then nothing is known)."""
    wanted = [CLASS_FEATURE] if share == FULL_WEIGHT else [CLASS_FEATURE, SHARE_FEATURE]
    return next((feature for feature in wanted if feature not in features), "") if features else ""
