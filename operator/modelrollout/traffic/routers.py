"""Which router a spec asks for."""

from __future__ import annotations

from modelrollout.api.spec import Traffic

from .base import Router
from .gateway_api import GatewayRouter
from .service_ratio import ServiceRouter

GATEWAY = GatewayRouter()
SERVICE = ServiceRouter()


def router_for(traffic: Traffic | None) -> Router:
    """The router that `spec.traffic` names; without one, the ratio of pods behind the entry Service."""
    return GATEWAY if traffic is not None and traffic.gateway is not None else SERVICE
