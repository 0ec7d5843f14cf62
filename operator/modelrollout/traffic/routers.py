"""Which routers there are, and which a spec asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from modelrollout.api.traffic import Traffic

from .base import ObjectRouter, Router, RouteView
from .gateway_api import GatewayRouter
from .istio import IstioRouter
from .nginx import NginxRouter
from .service_ratio import ServiceRouter
from .traefik import TraefikRouter

SERVICE = ServiceRouter()
_OBJECT_ROUTERS: tuple[ObjectRouter, ...] = (GatewayRouter(), TraefikRouter(), IstioRouter(), NginxRouter())
OBJECT_ROUTERS: Mapping[str, ObjectRouter] = {router.name: router for router in _OBJECT_ROUTERS}
"""By name; all but the one whose shares are made of pods."""
READERS: Mapping[tuple[str, str], Callable[[Mapping[str, Any]], RouteView]] = {
    kind: router.read for router in OBJECT_ROUTERS.values() for kind in router.kinds
}
"""How an object of a router is read, by its (apiVersion, kind); no two routers share one."""


def router_for(traffic: Traffic | None) -> Router:
    """The router that `spec.traffic` names; without one, the ratio of pods behind the entry Service."""
    return OBJECT_ROUTERS.get(traffic.router, SERVICE) if traffic is not None else SERVICE
