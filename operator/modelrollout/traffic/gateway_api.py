"""Traffic by a Gateway API HTTPRoute.

The route has one header rule for each live revision and one weighted rule over all of them. The header rules serve testers, and
they keep each version's backend warm: some data planes drop a backend whose weight is 0 and answer a burst of errors when it
comes back. They stand first, where precedence by specificity puts them anyway. One more leads to whatever the candidate is, so
that testers need not learn its name; without one to stable, which is where a promotion has it lead anyway, so that promoting
changes nothing in the route.

Every backendRef carries a filter of its own, a response header that names the revision. Envoy-based gateways then keep one
cluster per version instead of one per rule, so that their counters tell versions apart; Traefik takes it, and has one service
per version in any case. Which version answered can thus be seen in every response.

Rules and backendRefs are atomic lists, so the route is owned whole. All defaults that the API server would fill in (group, kind,
weight, path match) are written out, or every comparison would show a difference.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from modelrollout.api.errors import SpecError
from modelrollout.api.scalars import FULL_WEIGHT, Duration
from modelrollout.api.spec import EntryService, Gateway, ParentRef
from modelrollout.rollout.plan import Plan
from modelrollout.rollout.revision import child_name
from modelrollout.workload.canonical import canonical
from modelrollout.workload.identity import Owner, common_labels, metadata
from modelrollout.workload.objects import REVISION_PORT, first_port, preview_service_name

from .base import ABSENT, Capabilities, RouteIntent, RouteView
from .gateway_split import assigned, by_chance, set_cookie, shares_in_flags

Json = Mapping[str, Any]

GROUP = "gateway.networking.k8s.io"
TESTER_HEADER = "x-modelrollout-version"
REVISION_HEADER = "x-model-revision"
"""Response header that names the revision that answered."""
HTTP, HTTPS = 80, 443
CANDIDATE = "candidate"
"""Stands for the revision of the candidate in the tester header; no revision is called so, for each ends with its hash."""
RULES_LIMIT = 16
"""Of an HTTPRoute."""
_TOKEN_DIGITS = 12


class GatewayRouter:
    """Exact shares down to a hundredth of a percent, for all traffic that comes through the named parents."""

    name = "Gateway"
    capabilities = Capabilities(smallest_weight=1, header_match=True, sticky=True)

    def build(self, intent: RouteIntent) -> tuple[dict[str, Any], ...]:
        """One HTTPRoute with the resource's name, and one for previews if they have host names. `intent.traffic` names a gateway."""
        assert intent.traffic is not None
        gateway = intent.traffic.gateway
        assert gateway is not None
        previews = (preview_route(intent, gateway),) if gateway.preview_hostnames else ()
        return (http_route(intent, gateway), *previews)

    def observe(self, raw: Json | None, pods: Mapping[str, int]) -> RouteView:
        """What the route and its status say; pods play no part."""
        del pods
        return ABSENT if raw is None else observe(raw)

    def check(self, plan: Plan) -> SpecError | None:
        """Every weight that a step can have can be carried out."""
        del plan
        return None


def tester_header(owner: Owner) -> str:
    """`<name>: <token>`; with `-<revision>` or `-candidate` after it a request reaches that revision at any weight."""
    return f"{TESTER_HEADER}: {tester_token(owner)}"


def tester_token(owner: Owner) -> str:
    """The part of the header that an outsider cannot know: 12 hex digits made from the resource's uid."""
    return hashlib.sha256(f"tester:{owner.uid}".encode()).hexdigest()[:_TOKEN_DIGITS]


def observe(raw: Json) -> RouteView:
    """Read weights from the weighted rule, and acceptance from the status of every parent that the route names.

    The route bears its owner's name. Never raises.
    """
    generation = int(raw["metadata"].get("generation") or 0)
    weights = _weights(str(raw["metadata"]["name"]), raw)
    problem = refusal(raw)
    if weights is None:
        problem = problem or "its rules are not as the operator made them"
    return RouteView(True, weights, accepted=not problem, problem=problem, generation=generation)


def refusal(raw: Json) -> str:
    """Why some parent has not taken this generation of a route, in words; empty if all have."""
    return _problem(raw, int(raw["metadata"].get("generation") or 0))


def http_route(intent: RouteIntent, gateway: Gateway) -> dict[str, Any]:
    """The route; its order does not depend on the order of the weights."""
    owner = intent.owner
    path = {"type": "PathPrefix", "value": gateway.path_prefix or "/"}
    split, weights = intent.split, intent.weights
    flagged = assigned(split, weights)
    revisions = _most(weights, RULES_LIMIT - len(flagged) - 2)
    tried = intent.candidate or max(revisions, key=lambda revision: intent.weights[revision])
    rules = []
    for name, revision in [*((revision, revision) for revision in revisions), (CANDIDATE, tried)]:
        header = {"type": "Exact", "name": TESTER_HEADER, "value": f"{tester_token(owner)}-{name}"}
        rules.append(_rule({"path": path, "headers": [header]}, gateway, [_backend(owner, revision, 1)]))
    for one in flagged:
        routed = _backend(owner, one.revision, one.weight)
        rules.append(_rule({"path": path, "headers": [one.header]}, gateway, [routed]))
    chances = by_chance(split, weights)
    backends = [
        _backend(owner, revision, chances[revision], set_cookie(split, revision, path["value"]))
        for revision in revisions
    ]
    rules.append(_rule({"path": path}, gateway, backends))
    spec: dict[str, Any] = {"parentRefs": [_parent(parent) for parent in gateway.parent_refs], "rules": rules}
    if gateway.hostnames:
        spec["hostnames"] = list(gateway.hostnames)
    return canonical(
        {
            "apiVersion": f"{GROUP}/v1",
            "kind": "HTTPRoute",
            "metadata": metadata(owner, owner.name, common_labels(owner.name)),
            "spec": spec,
        }
    )


def _most(weights: Mapping[str, int], count: int) -> list[str]:
    """So many revisions in the order of their names; where there are more, those at weight 0 that come last are left out."""
    weighed = sum(weight > 0 for weight in weights.values())
    idle = [revision for revision in sorted(weights) if not weights[revision]]
    kept = set(idle[: max(0, count - weighed)])
    return [revision for revision in sorted(weights) if weights[revision] or revision in kept]


def preview_route(intent: RouteIntent, gateway: Gateway) -> dict[str, Any]:
    """The route of the preview host names: to the preview Service, which leads to the candidate or, without one, nowhere.

    It is no part of the split, and nothing of it is waited for.
    """
    owner, name = intent.owner, preview_service_name(intent.owner.name)
    backend = {"group": "", "kind": "Service", "name": name, "port": first_port(intent.service), "weight": 1}
    if intent.candidate is not None:
        backend["filters"] = _named(intent.candidate)
    match = {"path": {"type": "PathPrefix", "value": gateway.path_prefix or "/"}}
    spec = {
        "parentRefs": [_parent(parent) for parent in gateway.parent_refs],
        "hostnames": list(gateway.preview_hostnames or ()),
        "rules": [_rule(match, gateway, [backend])],
    }
    found = metadata(owner, name, common_labels(owner.name))
    return canonical({"apiVersion": f"{GROUP}/v1", "kind": "HTTPRoute", "metadata": found, "spec": spec})


def preview_url(owner: Owner, service: EntryService | None, gateway: Gateway | None) -> str:
    """Where testers find the candidate: the first preview host name of the gateway, else the preview Service in the cluster.

    No router says whether it speaks TLS; a parent with port 443, or with a section whose name begins with https, is taken to.
    """
    host = next((name for name in (gateway and gateway.preview_hostnames) or () if not name.startswith("*.")), None)
    if gateway is None or host is None:
        port = first_port(service)
        return f"http://{preview_service_name(owner.name)}.{owner.namespace}.svc{'' if port == HTTP else f':{port}'}"
    parents = gateway.parent_refs
    safe = any(parent.port == HTTPS or (parent.section_name or "").startswith("https") for parent in parents)
    other = next((parent.port for parent in parents if parent.port not in (None, HTTP, HTTPS)), None)
    path = (gateway.path_prefix or "").removesuffix("/")
    return f"{'https' if safe else 'http'}://{host}{'' if other is None else f':{other}'}{path}"


def _rule(match: Json, gateway: Gateway, backends: list[dict[str, Any]]) -> dict[str, Any]:
    rule: dict[str, Any] = {"matches": [match], "backendRefs": backends}
    if gateway.rewrite_prefix is not None:
        rewrite = {"type": "ReplacePrefixMatch", "replacePrefixMatch": gateway.rewrite_prefix}
        rule["filters"] = [{"type": "URLRewrite", "urlRewrite": {"path": rewrite}}]
    if gateway.timeout is not None:
        # The API's own durations know no days and have at most five digits a unit.
        rule["timeouts"] = {"request": str(Duration.of(gateway.timeout.seconds))}
    return rule


def _backend(owner: Owner, revision: str, weight: int, cookie: str = "") -> dict[str, Any]:
    return {
        "group": "",
        "kind": "Service",
        "name": child_name(owner.name, revision),
        "port": REVISION_PORT,
        "weight": weight,
        "filters": _named(revision, cookie),
    }


def _named(revision: str, cookie: str = "") -> list[dict[str, Any]]:
    modifier: dict[str, Any] = {"set": [{"name": REVISION_HEADER, "value": revision}]}
    if cookie:
        modifier["add"] = [{"name": "Set-Cookie", "value": cookie}]
    return [{"type": "ResponseHeaderModifier", "responseHeaderModifier": modifier}]


def _parent(parent: ParentRef) -> dict[str, Any]:
    kind = parent.kind or "Gateway"
    found: dict[str, Any] = {"group": "" if kind == "Service" else GROUP, "kind": kind, "name": parent.name}
    if parent.namespace is not None:
        found["namespace"] = parent.namespace
    if parent.section_name is not None:
        found["sectionName"] = parent.section_name
    if parent.port is not None:
        found["port"] = parent.port
    return found


def _weights(owner_name: str, route: Json) -> dict[str, int] | None:
    rules = (route.get("spec") or {}).get("rules") or []
    weighted = [found for found in rules if not _headers(found)]
    if len(weighted) != 1:
        return None
    prefix = f"{owner_name}-"
    weights: dict[str, int] = {}
    flags = [found for found in rules if shares_in_flags(_headers(found), TESTER_HEADER)]
    for found in (*weighted, *flags):
        for routed in found.get("backendRefs") or ():
            name = str(routed.get("name", ""))
            if not name.startswith(prefix) or routed.get("kind", "Service") != "Service":
                return None
            weight = routed.get("weight")
            revision = name.removeprefix(prefix)
            weights[revision] = weights.get(revision, 0) + (1 if weight is None else int(weight))
    total = sum(weights.values())
    if not total:
        return None
    return (
        weights if total == FULL_WEIGHT else {name: weight * FULL_WEIGHT // total for name, weight in weights.items()}
    )


def _headers(found: Json) -> list[Json]:
    return [header for match in found.get("matches") or () for header in match.get("headers") or ()]


def _problem(route: Json, generation: int) -> str:
    namespace = str(route["metadata"].get("namespace", ""))
    statuses = (route.get("status") or {}).get("parents") or []
    for parent in (route.get("spec") or {}).get("parentRefs") or ():
        same = [
            status for status in statuses if _key(status.get("parentRef") or {}, namespace) == _key(parent, namespace)
        ]
        words = f"{parent.get('kind', 'Gateway')} {parent.get('namespace', namespace)}/{parent.get('name')}"
        if not same:
            return f"no gateway controller has taken the route for {words}"
        if found := next((problem for status in same for problem in _refusals(status, generation)), ""):
            return f"{words}: {found}"
    return ""


def _key(parent: Json, namespace: str) -> tuple[Any, ...]:
    return (
        parent.get("group", GROUP),
        parent.get("kind", "Gateway"),
        parent.get("namespace", namespace),
        parent.get("name"),
        parent.get("sectionName"),
        parent.get("port"),
    )


def _refusals(status: Json, generation: int) -> Iterator[str]:
    conditions = {condition.get("type"): condition for condition in status.get("conditions") or ()}
    accepted = conditions.get("Accepted")
    if accepted is None:
        yield f"{status.get('controllerName', 'the controller')} has not said whether it takes the route"
        return
    for kind in ("Accepted", "ResolvedRefs"):
        condition = conditions.get(kind)
        if condition is None:
            continue
        if (condition.get("observedGeneration") or generation) != generation:
            yield f"has not read generation {generation} of the route yet"
        elif condition.get("status") == "False" or (kind == "Accepted" and condition.get("status") != "True"):
            yield f"{condition.get('reason', kind)}: {condition.get('message', '')}".rstrip(": ")
