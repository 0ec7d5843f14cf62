"""Traffic by the canary annotations of ingress-nginx.

The main Ingress bears the resource's name and leads to the version that has all requests, or all but the candidate's. Beside it
stands the canary Ingress, which ingress-nginx merges into the first: for the same hosts and path, with the candidate's weight and the
testers' header. There can be one canary for each host and path, so two versions share traffic, not more.

No moment between two writes gives the candidate more than it had or is to have. A weight is one annotation of the canary. When the candidate gets
everything, the main Ingress is turned to it first, and the canary goes after that; on the way back the main Ingress is turned
first, too. So at 100 % nothing depends on the former version, whose Service without pods would make the main Ingress answer 503.

Weights are of 100, and of 10,000 only where that is not fine enough: controllers that do not know the total would take 500 of it
for all of 100. A header that is matched goes before the weight. The controller says nothing of weights in a status; it takes up
changes within its rate limit of one in 3.3 s and hands them to its workers every second, which `lag` allows for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelrollout.api.errors import SpecError
from modelrollout.api.nginx import PREFIX, Nginx
from modelrollout.api.scalars import FULL_WEIGHT
from modelrollout.api.traffic import Traffic
from modelrollout.rollout.plan import Plan
from modelrollout.rollout.revision import child_name
from modelrollout.workload.canonical import canonical
from modelrollout.workload.identity import DEPLOYMENT_LABEL, Owner, common_labels, metadata
from modelrollout.workload.objects import REVISION_PORT

from .base import ABSENT, Capabilities, Parts, RouteIntent, RouteView, silent
from .testers import CANDIDATE, TESTER_HEADER, tester_header, tester_token

Json = Mapping[str, Any]

API_VERSION, KIND = "networking.k8s.io/v1", "Ingress"
LAG = 6.0
MARK, WEIGHT, TOTAL = (f"{PREFIX}canary{suffix}" for suffix in ("", "-weight", "-weight-total"))
HEADER, HEADER_VALUE = f"{PREFIX}canary-by-header", f"{PREFIX}canary-by-header-value"
_PERCENT = 100


class NginxRouter:
    """Shares between two versions, for all traffic that ingress-nginx answers at the hosts."""

    name = "Nginx"
    capabilities = Capabilities(smallest_weight=1, header_match=True, sharing=2, lag=LAG)
    kinds: tuple[tuple[str, str], ...] = ((API_VERSION, KIND),)

    def build(self, intent: RouteIntent) -> tuple[dict[str, Any], ...]:
        """The main Ingress and, while a candidate has less than everything, the canary Ingress."""
        assert intent.traffic is not None
        assert intent.traffic.nginx is not None
        asked, (main, canary) = intent.traffic.nginx, _sides(intent)
        ingress = _ingress(intent.owner, intent.owner.name, main, asked, dict(asked.annotations or {}))
        if canary is None:
            return (ingress,)
        notes = _notes(intent.owner, intent.weights[canary])
        return ingress, _ingress(intent.owner, canary_name(intent.owner.name), canary, asked, notes)

    def read(self, raw: Json) -> RouteView:
        """Of the main Ingress, the revision that it leads to; of the canary, its share."""
        found = raw["metadata"]
        notes, owner_name = found.get("annotations") or {}, (found.get("labels") or {}).get(DEPLOYMENT_LABEL, "")
        revision = _led_to(owner_name, raw.get("spec") or {})
        canary = found["name"] == canary_name(owner_name)
        weight = _share(notes) if canary else None if MARK in notes else FULL_WEIGHT
        return silent(raw, None if revision is None or weight is None else {revision: weight})

    def observe(self, name: str, parts: Parts) -> RouteView:
        """What the canary does not take is the main Ingress's."""
        main, canary = parts.get((KIND, name), ABSENT), parts.get((KIND, canary_name(name)))
        if canary is None or not main.accepted:
            return main
        if canary.weights is None or main.weights is None:
            return canary
        (stable,), ((candidate, weight),) = main.weights, canary.weights.items()
        weights = main.weights if stable == candidate else {stable: FULL_WEIGHT - weight, candidate: weight}
        return RouteView(True, weights, accepted=True, generation=main.generation)

    def check(self, plan: Plan) -> SpecError | None:
        """Every weight that a step can have can be carried out."""
        del plan
        return None

    def tester_header(self, owner: Owner, traffic: Traffic) -> str:
        """The canary has a header rule; one for the candidate only, since a canary has only one."""
        del traffic
        return tester_header(owner)


def canary_name(owner_name: str) -> str:
    """`<resource>-canary`."""
    return f"{owner_name}-canary"


def _sides(intent: RouteIntent) -> tuple[str, str | None]:
    """Who has the main Ingress, and who the canary."""
    shared = sorted(revision for revision, weight in intent.weights.items() if weight)
    if len(shared) == 1:
        [main] = shared
        return main, intent.candidate if intent.candidate != main else None
    canary = (
        intent.candidate if intent.candidate in shared else min(shared, key=lambda revision: intent.weights[revision])
    )
    # More than two are among them only after an edit in the middle of an A/B test that another router divides, until it is withdrawn.
    main = max((revision for revision in shared if revision != canary), key=lambda revision: intent.weights[revision])
    return main, canary


def _notes(owner: Owner, weight: int) -> dict[str, str]:
    whole = weight % _PERCENT == 0
    total = {} if whole else {TOTAL: str(FULL_WEIGHT)}
    return {
        MARK: "true",
        WEIGHT: str(weight // _PERCENT if whole else weight),
        **total,
        HEADER: TESTER_HEADER,
        HEADER_VALUE: f"{tester_token(owner)}-{CANDIDATE}",
    }


def _ingress(owner: Owner, name: str, revision: str, asked: Nginx, notes: dict[str, str]) -> dict[str, Any]:
    backend = {"service": {"name": child_name(owner.name, revision), "port": {"number": REVISION_PORT}}}
    path = {"path": asked.path_prefix or "/", "pathType": "Prefix", "backend": backend}
    spec: dict[str, Any] = {"rules": [{"host": host, "http": {"paths": [path]}} for host in asked.hosts]}
    if asked.ingress_class_name is not None:
        spec["ingressClassName"] = asked.ingress_class_name
    if asked.tls is not None:
        spec["tls"] = [{"hosts": list(asked.hosts), **asked.tls.written()}]
    found = metadata(owner, name, common_labels(owner.name))
    if notes:
        found["annotations"] = notes
    return canonical({"apiVersion": API_VERSION, "kind": KIND, "metadata": found, "spec": spec})


def _led_to(owner_name: str, spec: Json) -> str | None:
    """The one revision that all paths of all rules lead to, if there is one."""
    paths = [path for found in spec.get("rules") or () for path in (found.get("http") or {}).get("paths") or ()]
    names = {str(((path.get("backend") or {}).get("service") or {}).get("name", "")) for path in paths}
    if len(names) != 1 or not owner_name:
        return None
    name, prefix = names.pop(), f"{owner_name}-"
    return name.removeprefix(prefix) if name.startswith(prefix) else None


def _share(notes: Mapping[str, str]) -> int | None:
    """The canary's share in basis points; None where it is none, or switched off."""
    weight, total = notes.get(WEIGHT, ""), notes.get(TOTAL, str(_PERCENT))
    if notes.get(MARK) != "true" or not weight.isdecimal() or not total.isdecimal():
        return None
    # A total below 100 counts as 100.
    return min(FULL_WEIGHT, int(weight) * FULL_WEIGHT // max(_PERCENT, int(total)))
