"""Traffic by Traefik's own resources: a TraefikService of weights, and an IngressRoute that leads to it.

The TraefikService is what users know to name: an IngressRoute of theirs has it as a service of kind TraefikService, and all
else about the way in (entry points, TLS, middlewares) stays theirs. Where the spec asks for it the operator makes the IngressRoute
too; only then testers have a header, for a header is matched by a route.

Traefik leaves out a TraefikService whole if one of its Services has no endpoints (unless it was started with
`allowEmptyServices`). So only revisions with a share stand in it, and those have ready pods. A revision without a share has a
route of its own by header, which may be left out alone.

Traefik says nothing in a status. It takes up a change within its throttle (2 s by default), which `lag` allows for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from modelrollout.api.errors import SpecError
from modelrollout.api.traefik import IngressRoute
from modelrollout.api.traffic import Traffic
from modelrollout.rollout.plan import Plan
from modelrollout.rollout.revision import child_name
from modelrollout.workload.canonical import canonical
from modelrollout.workload.identity import Owner, common_labels, metadata
from modelrollout.workload.objects import REVISION_PORT

from .base import ABSENT, Capabilities, Parts, RouteIntent, RouteView, shares, silent
from .testers import TESTER_HEADER, led_to, tester_header, tester_token

Json = Mapping[str, Any]

API_VERSION = "traefik.io/v1alpha1"
SERVICE, ROUTE = "TraefikService", "IngressRoute"
LAG = 4.0
CLASS_ANNOTATION = "kubernetes.io/ingress.class"


class TraefikRouter:
    """Exact shares down to a hundredth of a percent, for all traffic that an IngressRoute leads to the TraefikService."""

    name = "Traefik"
    capabilities = Capabilities(smallest_weight=1, header_match=True, lag=LAG)
    kinds: tuple[tuple[str, str], ...] = ((API_VERSION, SERVICE), (API_VERSION, ROUTE))

    def build(self, intent: RouteIntent) -> tuple[dict[str, Any], ...]:
        """A TraefikService with the resource's name, and an IngressRoute of the same name if the spec asks for one."""
        assert intent.traffic is not None
        assert intent.traffic.traefik is not None
        route = intent.traffic.traefik.ingress_route
        service = traefik_service(intent)
        return (service,) if route is None else (service, ingress_route(intent, route))

    def read(self, raw: Json) -> RouteView:
        """The shares of a TraefikService; of an IngressRoute, whether it leads to one of its own name."""
        name, spec = str(raw["metadata"]["name"]), raw.get("spec") or {}
        return silent(raw, _weights(name, spec) if raw["kind"] == SERVICE else _led(name, spec))

    def observe(self, name: str, parts: Parts) -> RouteView:
        """The TraefikService carries the split; an IngressRoute that leads elsewhere keeps it from being in force."""
        service, route = parts.get((SERVICE, name), ABSENT), parts.get((ROUTE, name))
        return service if route is None or route.accepted or not service.exists else route

    def check(self, plan: Plan) -> SpecError | None:
        """Every weight that a step can have can be carried out."""
        del plan
        return None

    def tester_header(self, owner: Owner, traffic: Traffic) -> str:
        """Only the operator's own IngressRoute has header rules."""
        owned = traffic.traefik is not None and traffic.traefik.ingress_route is not None
        return tester_header(owner) if owned else ""


def traefik_service(intent: RouteIntent) -> dict[str, Any]:
    """The weighted TraefikService, over the revisions that have a share."""
    services = [
        {
            "kind": "Service",
            "name": child_name(intent.owner.name, revision),
            "port": REVISION_PORT,
            "weight": intent.weights[revision],
        }
        for revision in sorted(intent.weights)
        if intent.weights[revision]
    ]
    return _object(intent.owner, SERVICE, {"weighted": {"services": services}})


def ingress_route(intent: RouteIntent, asked: IngressRoute) -> dict[str, Any]:
    """The IngressRoute: a header rule for each live revision, which goes first because it is longer, then all requests."""
    owner, every = intent.owner, _rule(asked)
    routes = []
    for name, revision in led_to(intent):
        match = f"{every} && Header(`{TESTER_HEADER}`, `{tester_token(owner)}-{name}`)"
        backend = {"kind": "Service", "name": child_name(owner.name, revision), "port": REVISION_PORT}
        routes.append(_route(match, backend, asked))
    routes.append(_route(every, {"kind": SERVICE, "name": owner.name}, asked))
    spec: dict[str, Any] = {"routes": routes}
    if asked.entry_points:
        spec["entryPoints"] = list(asked.entry_points)
    if asked.tls is not None:
        spec["tls"] = asked.tls.written()
    found = _object(owner, ROUTE, spec)
    if asked.ingress_class is not None:
        found["metadata"]["annotations"] = {CLASS_ANNOTATION: asked.ingress_class}
    return found


def _object(owner: Owner, kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    found = metadata(owner, owner.name, common_labels(owner.name))
    return canonical({"apiVersion": API_VERSION, "kind": kind, "metadata": found, "spec": spec})


def _route(match: str, backend: dict[str, Any], asked: IngressRoute) -> dict[str, Any]:
    route: dict[str, Any] = {"kind": "Rule", "match": match, "services": [backend]}
    if asked.middlewares:
        route["middlewares"] = [middleware.written() for middleware in asked.middlewares]
    return route


def _rule(asked: IngressRoute) -> str:
    """Which requests are meant, in Traefik's rule language. Names and paths hold no backquote: the schema sees to it."""
    hosts, path = [_host(name) for name in asked.hostnames or ()], (asked.path_prefix or "/").rstrip("/")
    terms = [f"({' || '.join(hosts)})"] if len(hosts) > 1 else hosts
    if path or not hosts:
        terms.append(f"(Path(`{path}`) || PathPrefix(`{path}/`))" if path else "PathPrefix(`/`)")
    return " && ".join(terms)


def _host(name: str) -> str:
    if not name.startswith("*."):
        return f"Host(`{name}`)"
    return f"HostRegexp(`^.+{re.escape(name.removeprefix('*'))}$`)"


def _weights(name: str, spec: Json) -> dict[str, int] | None:
    services = (spec.get("weighted") or {}).get("services") or ()
    if any(service.get("kind", "Service") != "Service" for service in services):
        return None
    return shares(name, ((str(service.get("name", "")), service.get("weight")) for service in services))


def _led(name: str, spec: Json) -> dict[str, int] | None:
    """No shares of its own, or None where its last route does not lead to the TraefikService."""
    last = (spec.get("routes") or [{}])[-1].get("services") or ()
    return {} if [(one.get("kind"), one.get("name")) for one in last] == [(SERVICE, name)] else None
