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

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from modelrollout.api.errors import SpecError
from modelrollout.api.scalars import Duration
from modelrollout.api.server import EntryService
from modelrollout.api.shadow import below, kinds
from modelrollout.api.traffic import Gateway, ParentRef, Traffic
from modelrollout.rollout.plan import Plan
from modelrollout.rollout.revision import child_name
from modelrollout.workload.canonical import canonical
from modelrollout.workload.identity import Owner, common_labels, metadata
from modelrollout.workload.objects import REVISION_PORT, first_port, preview_service_name

from .base import ABSENT, NOT_OURS, Capabilities, Parts, RouteIntent, RouteView, shares
from .gateway_split import assigned, by_chance, set_cookie, shares_in_flags
from .mirroring import Mirrored, matches, mirror_backend, mirror_filter, mirrors
from .testers import REVISION_HEADER, TESTER_HEADER, led_to, tester_header, tester_token

Json = Mapping[str, Any]

GROUP = "gateway.networking.k8s.io"
HTTP, HTTPS = 80, 443
RULES_LIMIT = 16
"""Of an HTTPRoute."""


class GatewayRouter:
    """Exact shares down to a hundredth of a percent, for all traffic that comes through the named parents."""

    name = "Gateway"
    capabilities = Capabilities(smallest_weight=1, header_match=True, reports=True, mirror=True, sticky=True)
    kinds: tuple[tuple[str, str], ...] = ((f"{GROUP}/v1", "HTTPRoute"),)

    def build(self, intent: RouteIntent) -> tuple[dict[str, Any], ...]:
        """One HTTPRoute with the resource's name, and one for previews if they have host names. `intent.traffic` names a gateway."""
        assert intent.traffic is not None
        gateway = intent.traffic.gateway
        assert gateway is not None
        previews = (preview_route(intent, gateway),) if gateway.preview_hostnames else ()
        return (http_route(intent, gateway), *previews)

    def read(self, raw: Json) -> RouteView:
        """What a route and its status say."""
        return observe(raw)

    def observe(self, name: str, parts: Parts) -> RouteView:
        """The route that bears the resource's name carries the split; that of previews has no part in it."""
        return parts.get(("HTTPRoute", name), ABSENT)

    def tester_header(self, owner: Owner, traffic: Traffic) -> str:
        """Every route has the header rules."""
        del traffic
        return tester_header(owner)

    def check(self, plan: Plan) -> SpecError | None:
        """Every weight that a step can have can be carried out; what is mirrored must be among what the route takes."""
        gateway = (plan.written.get("traffic") or {}).get("gateway") or {}
        prefix = gateway.get("pathPrefix") or "/"
        for index, step in enumerate(plan.steps):
            if step.shadow is None:
                continue
            field = f"spec.rollout.steps[{index}].shadow.match"
            for number, match in enumerate(step.shadow.match or ()):
                if match.path is not None and not below(prefix, match.path):
                    why = f"found {match.path}, which the route never sees; begin it with traffic.gateway.pathPrefix"
                    return SpecError(f"{field}[{number}].path", f"{why} ({prefix})")
            if gateway.get("rewritePrefix") and len(kinds(step.shadow, prefix)) > 1:
                why = "a route that replaces a prefix (traffic.gateway.rewritePrefix) can mirror one kind of request"
                return SpecError(field, f"{why}; name one method and one path")
        return None


def observe(raw: Json) -> RouteView:
    """Read weights from the weighted rule, and acceptance from the status of every parent that the route names.

    The route bears its owner's name. Never raises.
    """
    generation = int(raw["metadata"].get("generation") or 0)
    name = str(raw["metadata"]["name"])
    weights = _weights(name, raw)
    problem = refusal = _problem(raw, generation)
    if weights is None:
        problem = problem or NOT_OURS
    copied = {
        service.removeprefix(f"{name}-"): share for rule in _weighted(raw) for service, share in mirrors(rule).items()
    }
    return RouteView(True, weights, not problem, problem, generation, refusal, copied)


def http_route(intent: RouteIntent, gateway: Gateway) -> dict[str, Any]:
    """The route; its order does not depend on the order of the weights."""
    owner, split, weights = intent.owner, intent.split, intent.weights
    prefix = gateway.path_prefix or "/"
    everything: list[dict[str, Any]] = [{"path": {"type": "PathPrefix", "value": prefix}}]
    copied = matches(intent.mirror[1], prefix) if intent.mirror is not None else []
    flagged = assigned(split, weights)
    rules = []
    for name, revision in led_to(_warmest(intent, RULES_LIMIT - len(flagged) - 2)):
        header = {"type": "Exact", "name": TESTER_HEADER, "value": f"{tester_token(owner)}-{name}"}
        tested = [{**match, "headers": [header]} for match in (*everything, *copied)]
        rules += _rules(tested, gateway, [_backend(owner, revision, 1)])
    for one in flagged:
        met = [{**match, "headers": [one.header]} for match in everything]
        rules += _rules(met, gateway, [_backend(owner, one.revision, one.weight)])
    chances = by_chance(split, weights)
    backends = [
        _backend(owner, revision, chances[revision], set_cookie(split, revision, prefix))
        for revision in sorted(weights)
    ]
    if intent.mirror is not None:
        revision, shadow = intent.mirror
        to = mirror_backend(owner.name, child_name(owner.name, revision), shadow)
        rules += _rules(copied, gateway, backends, mirror_filter(Mirrored(shadow, to)))
    rules += _rules(everything, gateway, backends)
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


def _warmest(intent: RouteIntent, count: int) -> RouteIntent:
    """The intent for so many revisions; where there are more, those at weight 0 whose names come last are left out."""
    weights = intent.weights
    by_weight = sorted(weights, key=lambda revision: (not weights[revision], revision))
    kept = set(by_weight[:count]) | {revision for revision in weights if weights[revision]}
    return replace(intent, weights={revision: weight for revision, weight in weights.items() if revision in kept})


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
        "rules": _rules([match], gateway, [backend]),
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


def _rules(
    found: list[dict[str, Any]], gateway: Gateway, backends: list[dict[str, Any]], mirror: dict[str, Any] | None = None
) -> list[dict[str, Any]]:
    """One rule for all matches; where a prefix is replaced one for each, since what is replaced is what was matched."""
    filters = [] if mirror is None else [mirror]
    if gateway.rewrite_prefix is None:
        return [_rule(found, gateway, backends, filters)]
    return [_rule([match], gateway, backends, [_rewritten(match, gateway), *filters]) for match in found]


def _rewritten(match: Json, gateway: Gateway) -> dict[str, Any]:
    prefix, put = (gateway.path_prefix or "/").rstrip("/"), gateway.rewrite_prefix or "/"
    rest = str(match["path"]["value"]).removeprefix(prefix).rstrip("/")
    path = {"type": "ReplacePrefixMatch", "replacePrefixMatch": f"{put.rstrip('/')}{rest}" if rest else put}
    return {"type": "URLRewrite", "urlRewrite": {"path": path}}


def _rule(
    found: list[dict[str, Any]], gateway: Gateway, backends: list[dict[str, Any]], filters: list[dict[str, Any]]
) -> dict[str, Any]:
    rule: dict[str, Any] = {"matches": found, "backendRefs": backends}
    if filters:
        rule["filters"] = filters
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


def _weighted(route: Json) -> list[Json]:
    """The rules that divide traffic: those without a header, one for what is mirrored and one for all the rest."""
    rules = (route.get("spec") or {}).get("rules") or []
    return [rule for rule in rules if not _headers(rule)]


def _weights(owner_name: str, route: Json) -> dict[str, int] | None:
    """Shares by chance, which all weighted rules must have in common, and those that a flag decides on."""
    found = [_backends(rule) for rule in _weighted(route)]
    copying = [bool(mirrors(rule)) for rule in _weighted(route)]
    if copying not in ([False], [True, False]) or any(backends != found[-1] for backends in found):
        return None
    backends = [*found[-1], *_flagged(route)]
    if any(kind != "Service" for kind, _, _ in backends):
        return None
    return shares(owner_name, ((name, weight) for _, name, weight in backends))


def _backends(rule: Json) -> list[tuple[str, str, Any]]:
    """Kind, name and weight of each backend of a rule."""
    backends = rule.get("backendRefs") or ()
    return [(one.get("kind", "Service"), str(one.get("name", "")), one.get("weight")) for one in backends]


def _flagged(route: Json) -> list[tuple[str, str, Any]]:
    """The backends of rules that a flag leads to."""
    rules = (route.get("spec") or {}).get("rules") or []
    found = (rule for rule in rules if shares_in_flags(_headers(rule), TESTER_HEADER))
    return [backend for rule in found for backend in _backends(rule)]


def _headers(rule: Json) -> list[Json]:
    return [header for match in rule.get("matches") or () for header in match.get("headers") or ()]


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
