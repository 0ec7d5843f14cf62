"""Hypothesis strategies for ModelDeployments as people write them: plain dictionaries, camelCase.

`specs()` makes valid ones of every shape the API knows. `invalid_specs()` takes a valid one and plants exactly one fault, so
that a refusal can only be due to it. Both the models and the CRD are held against them, and a property test of the operator can
draw its input here.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

Spec = dict[str, Any]

_LOWER = "abcdefghijklmnopqrstuvwxyz"
_DIGITS = "0123456789"


def labels(max_size: int = 32) -> st.SearchStrategy[str]:
    """DNS-1035 labels."""
    inner = st.text(_LOWER + _DIGITS + "-", max_size=max_size - 2)
    return st.builds(str.__add__, st.sampled_from(_LOWER), inner.map(lambda text: text.rstrip("-")))


def names() -> st.SearchStrategy[str]:
    """Names that a ModelDeployment may have."""
    return labels(36)


def durations() -> st.SearchStrategy[str]:
    """Such as 90s, 1h30m, 2d."""
    parts = {"d": 9, "h": 48, "m": 300, "s": 4000}
    units = st.lists(st.sampled_from(list(parts)), min_size=1, unique=True).map(
        lambda found: [u for u in parts if u in found]
    )
    return units.flatmap(
        lambda found: st.tuples(*(st.integers(0, parts[unit]).map(lambda n, u=unit: f"{n}{u}") for unit in found))
    ).map("".join)


def weights() -> st.SearchStrategy[int | str]:
    """Weights in all forms: 5, "5", "5%", "0.25%"."""
    return st.integers(0, 10_000).flatmap(written_weights)


def written_weights(points: int) -> st.SearchStrategy[int | str]:
    """The forms in which so many basis points can be written."""
    percent = f"{Decimal(points) / 100:f}"
    if points % 100:
        return st.sampled_from([percent, f"{percent}%"])
    whole = points // 100
    return st.sampled_from([whole, str(whole), f"{whole}%", f"{whole}.0%"])


def rates() -> st.SearchStrategy[str]:
    """Such as "1%" and "0.25%"."""
    return st.integers(0, 1_000_000).map(lambda points: f"{Decimal(points) / 10_000:f}%")


def factors() -> st.SearchStrategy[int | str]:
    """Such as "1.25", and 2 without quotes."""
    return st.integers(0, 99_999) | st.integers(0, 99_999).map(lambda found: f"{Decimal(found) / 100:f}")


def margins() -> st.SearchStrategy[int | str]:
    """Such as "1.25", and 2 without quotes; above 0."""
    return st.integers(1, 99_999) | st.integers(1, 99_999).map(lambda found: f"{Decimal(found) / 100:f}")


def margins_above_one() -> st.SearchStrategy[int | str]:
    """Such as "1.25", and 2 without quotes; above 1."""
    return st.integers(2, 99_999) | st.integers(101, 99_999).map(lambda found: f"{Decimal(found) / 100:f}")


def limits() -> st.SearchStrategy[str]:
    """Rates above 0."""
    return st.integers(1, 1_000_000).map(lambda points: f"{Decimal(points) / 10_000:f}%")


def numbers() -> st.SearchStrategy[int | str]:
    """Such as "-0.5", and -3 without quotes."""
    return st.integers(-99_999, 99_999) | st.integers(-99_999, 99_999).map(lambda found: f"{Decimal(found) / 1000:f}")


def images() -> st.SearchStrategy[str]:
    """With a tag, with a digest, with neither."""
    base = st.sampled_from(["fraud", "registry.example.com/fraud", "localhost:5000/team/fraud"])
    tag = labels(20).map(lambda text: f":{text}")
    digest = st.text("0123456789abcdef", min_size=64, max_size=64).map(lambda text: f"@sha256:{text}")
    return st.builds(str.__add__, base, st.just("") | tag | digest)


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Spec]:
    """A dictionary with any of the fields."""
    return st.fixed_dictionaries({}, optional=fields)


def steps() -> st.SearchStrategy[list[Spec]]:
    """Weights that do not fall, names that are unique."""

    @st.composite
    def build(draw: st.DrawFn) -> list[Spec]:
        points = sorted(draw(st.lists(st.integers(0, 10_000), min_size=1, max_size=6)))
        names = draw(st.lists(labels(), min_size=len(points), max_size=len(points), unique=True))
        found = []
        for point, name in zip(points, names, strict=True):
            step = draw(
                some(
                    hold=durations(),
                    maxDuration=durations(),
                    advance=st.sampled_from(["Automatic", "Approval"]),
                    name=st.just(name),
                )
            )
            found.append({"weight": draw(written_weights(point)), **step})
        return found

    return build()


def shadows() -> st.SearchStrategy[Spec]:
    """Valid `shadow` of a step."""
    paths = st.sampled_from(["/", "/predict", "/v2/models/a%20b"])
    methods = st.sampled_from(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
    match = st.lists(_either(method=methods, path=paths), min_size=1, max_size=5)
    places = st.sampled_from(["score", "predictions[*].score", "[0]", "a-b._c[3][*].d"])
    how = st.sampled_from(
        [
            {"method": "Exact"},
            {"method": "Label"},
            {"method": "TopK", "k": 5},
            {"method": "Tolerance", "tolerance": "0.01"},
            {"method": "Tolerance", "tolerance": "1%"},
            {"method": "Tolerance", "tolerance": 2},
        ]
    )
    compare = st.builds(lambda one, more: one | more, how, some(path=places, ignore=st.lists(places, max_size=2)))
    rest = some(match=match) | st.fixed_dictionaries({"match": match, "compare": compare})
    share = st.integers(1, 10_000).flatmap(written_weights)
    return st.builds(lambda percent, more: {"percent": percent, **more}, share, rest)


def steps_that_mirror() -> st.SearchStrategy[list[Spec]]:
    """Copies of requests, and then weights."""
    rest = some(weight=written_weights(0), hold=durations(), advance=st.sampled_from(["Automatic", "Approval"]))
    step = st.builds(lambda shadow, more: {"shadow": shadow, **more}, shadows(), rest)
    return st.builds(list.__add__, st.lists(step, min_size=1, max_size=2), st.just([]) | steps())


def steps_at_once() -> st.SearchStrategy[list[Spec]]:
    """Weights of 0 and 100 alone, in all forms, in order."""

    def step(points: int) -> st.SearchStrategy[Spec]:
        rest = some(hold=durations(), advance=st.sampled_from(["Automatic", "Approval"]))
        return st.builds(lambda weight, more: {"weight": weight, **more}, written_weights(points), rest)

    previews, bakes = st.lists(step(0), max_size=2), st.lists(step(10_000), max_size=2)
    return st.builds(list.__add__, previews, bakes).filter(bool)


def selectors() -> st.SearchStrategy[Spec]:
    """Counters with conditions on labels, among them texts with quotes and backslashes."""
    text = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=20)
    form = st.one_of(
        st.fixed_dictionaries({"value": text}),
        st.fixed_dictionaries({"values": st.lists(text, max_size=3)}),
        st.fixed_dictionaries({"not": st.lists(text, max_size=3)}),
    )
    matcher = st.builds(lambda label, found: {"label": label, **found}, st.sampled_from(["status", "path"]), form)
    series = st.sampled_from(["http_requests_total", "job:errors:sum"])
    return st.builds(lambda name, match: {"series": name, **match}, series, some(match=st.lists(matcher, max_size=2)))


def _kinds_of_rate() -> st.SearchStrategy[Spec]:
    source = st.sampled_from(["Auto", "Server"])
    statuses = st.lists(st.sampled_from(["5xx", "503", "429"]), min_size=1, max_size=3)
    latency = st.builds(
        lambda threshold, rest: {"threshold": threshold, **rest},
        st.integers(1, 9999).flatmap(lambda count: st.sampled_from([f"{count}ms", f"{count}s", f"1m{count}s"])),
        some(source=source),
    )
    ratio = st.builds(
        lambda side, part, total: {side: part, "total": total},
        st.sampled_from(["bad", "good"]),
        selectors(),
        selectors(),
    )
    error_rate = some(source=source, statuses=statuses, excludePaths=st.lists(st.just("/health"), max_size=2))
    return st.one_of(
        st.fixed_dictionaries({"errorRate": error_rate}),
        st.fixed_dictionaries({"latency": latency}),
        st.fixed_dictionaries({"ratio": ratio}),
    )


def _disagreements() -> st.SearchStrategy[Spec]:
    more = some(
        when=st.just(["Shadow"]), minimumErrors=st.integers(0, 100), onBreach=st.sampled_from(["Pause", "Warn"])
    )
    return st.builds(lambda limit, rest: {"disagreement": {}, "limit": limit, **rest}, limits(), more)


def _questions_of_rate() -> st.SearchStrategy[Spec]:
    by_checks = st.builds(lambda margin, rest: {"margin": margin, **rest}, margins(), some(ignoreBelow=rates()))
    by_evidence = some(margin=margins(), ignoreBelow=rates(), nonInferiorityMargin=margins_above_one())
    return st.one_of(
        st.builds(
            lambda asked, more: {"method": "Threshold", **asked, **more},
            _either(limit=rates(), compare=by_checks),
            some(threshold=_thresholds()),
        ),
        st.builds(
            lambda asked, more: {**asked, **more},
            _either(limit=limits(), compare=by_evidence),
            some(
                method=st.just("Sequential"),
                minimumErrors=st.integers(0, 100),
                overdispersion=st.sampled_from(["Auto", "1.5", 2]),
            ),
        ),
    )


def _thresholds() -> st.SearchStrategy[Spec]:
    failures = st.integers(1, 5).flatmap(
        lambda count: st.fixed_dictionaries({"failures": st.just(count), "of": st.integers(count, 10)})
    )
    return st.builds(lambda found, more: found | more, failures, some(lookback=durations()))


def _questions_of_query() -> st.SearchStrategy[Spec]:
    compared = _either(
        range=_either(min=numbers(), max=numbers()), compare=_either(maxDrop=numbers(), maxRise=numbers())
    )
    return compared | st.builds(lambda asked: {"anomaly": asked}, some(sensitivity=factors()))


def _either(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Spec]:
    """At least one of the fields."""
    return some(**fields).filter(bool)


def metrics() -> st.SearchStrategy[list[Spec]]:
    """Up to three metrics of any kind, with unique names."""
    rate = st.builds(lambda kind, question: kind | question, _kinds_of_rate(), _questions_of_rate())
    query = st.builds(
        lambda text, question, more: {"query": text} | question | more,
        st.sampled_from(['sum(up{pod=~"{{pods}}"})', "avg(drift{job='it''s \"quoted\"'})", "1"]),
        _questions_of_query(),
        some(method=st.just("Threshold"), threshold=_thresholds()),
    )
    rest = some(
        delay=durations(),
        when=st.lists(st.sampled_from(["Shadow", "Preview", "Live", "Bake"]), min_size=1, max_size=4, unique=True),
        minimumSampleSize=st.integers(0, 10_000),
        onBreach=st.sampled_from(["Rollback", "Pause", "Warn"]),
        gate=st.booleans(),
    )
    metric = st.builds(lambda name, what, more: {"name": name, **what, **more}, labels(), rate | query, rest)
    paired = st.builds(lambda name, what: {"name": name, **what}, labels(), _disagreements())
    return st.lists(metric | paired, max_size=3, unique_by=lambda found: found["name"])


def analyses() -> st.SearchStrategy[Spec]:
    """Valid `spec.analysis`."""
    identify = st.builds(
        lambda label, rest: {"label": label, **rest},
        st.just("model_version"),
        some(by=st.sampled_from(["Revision", "Version"])),
    )
    return some(
        mode=st.sampled_from(["Metrics", "None"]),
        provider=labels(),
        interval=durations(),
        warmUp=durations(),
        identify=identify,
        noDataDeadline=durations(),
        onInconclusive=st.sampled_from(["Hold", "Promote", "Rollback"]),
        metrics=metrics(),
    )


def warm_ups() -> st.SearchStrategy[Spec]:
    """Valid `spec.rollout.warmUp`."""
    value = st.one_of(st.booleans(), st.integers(-99, 99), st.just(0.25), st.text(max_size=9), st.just([1, {"a": "b"}]))
    place = st.sampled_from(["$", "$.predictions[0].label", "score", "[1].a-b"])
    at_a_place = st.builds(lambda path, more: {"path": path, **more}, place, some(equals=value, tolerance=factors()))
    expect = st.one_of(
        some(status=st.integers(100, 599), json=st.lists(at_a_place, min_size=1, max_size=2)),
        some(status=st.integers(100, 599), body=st.text(max_size=20)),
    )
    body = st.one_of(
        some(method=st.sampled_from(["GET", "POST"])),
        st.fixed_dictionaries({"json": st.just({"x": [1.5, "a"]})}, optional={"method": st.just("PUT")}),
        st.fixed_dictionaries({"body": st.text(max_size=20)}),
    )
    request = st.builds(
        lambda name, path, form, more: {"name": name, "path": path, **form, **more},
        labels(),
        st.sampled_from(["/", "/v1/predict?raw=%20&a=b"]),
        body,
        some(expect=expect, headers=st.dictionaries(st.sampled_from(["X-Team", "Content-Type"]), st.just("a/b"))),
    )
    timed = st.builds(
        lambda bound, more: {"latency": bound, **more},
        st.sampled_from(["200ms", "2s"]),
        some(tries=st.integers(1, 100)),
    )
    return st.builds(
        lambda requests, one, other: {"requests": requests, **one, **other},
        st.lists(request, min_size=1, max_size=3, unique_by=lambda found: found["name"]),
        st.just({}) | timed,
        some(repeats=st.integers(1, 100), timeout=st.sampled_from(["3s", "5m"])),
    )


def rollouts() -> st.SearchStrategy[Spec]:
    """Valid `spec.rollout`."""
    how = st.one_of(
        some(strategy=st.just("Canary"), steps=steps()),
        st.builds(lambda more: {"strategy": "BlueGreen", **more}, some(steps=steps_at_once())),
        st.builds(lambda more: {"strategy": "Shadow", **more}, some(steps=steps_that_mirror())),
        st.fixed_dictionaries({"steps": steps_that_mirror()}),
        st.builds(
            lambda more: {"strategy": "Replace", **more}, some(steps=st.just([{"weight": "100%"}, {"weight": 100}]))
        ),
    )
    rest = some(
        warmUp=warm_ups(),
        loadDeadline=durations(),
        unavailableDeadline=durations(),
        scaleDownDelay=durations(),
        keepFailed=durations(),
        candidateReplicas=st.sampled_from(["Proportional", "Full"]),
        whenSuperseded=st.sampled_from(["Replace", "Finish"]),
        readyWhen=st.sampled_from(["Promoted", "Serving"]),
        paused=st.booleans(),
        attempt=st.integers(0, 100),
    )
    return st.builds(lambda one, other: one | other, how, rest)


def experiments() -> st.SearchStrategy[Spec]:
    """Valid `spec.rollout` of an A/B test."""
    own = _either(
        version=st.sampled_from(["2", "2.1-rc1"]),
        model=st.just({"uri": "s3://models/fraud/next"}),
        server=st.just({"image": "fraud:next", "env": [{"name": "TEMPERATURE", "value": "0.2"}]}),
        template=st.just({"metadata": {"labels": {"arm": "next"}}}),
    )

    def variants(shares: list[int], names: list[str], owns: list[Spec]) -> list[Spec]:
        return [
            {"name": name, "weight": f"{Decimal(points) / 100:f}%", **fields}
            for name, points, fields in zip(names, shares, owns, strict=False)
        ]

    several = st.builds(
        variants,
        st.lists(st.integers(1, 2499), min_size=1, max_size=4),
        st.permutations(["b", "c", "challenger-3", "d"]),
        st.lists(own, min_size=4, max_size=4),
    )
    assignment = st.one_of(
        st.just({}),
        st.just({"type": "Random"}),
        st.just({"type": "Sticky", "cookie": "arm_1"}),
        st.just({"type": "Flag", "header": "X-Experiment-Arm"}),
    )
    amounts = {"sum": {"series": "paid"}, "squares": {"series": "paid_squared"}, "count": {"series": "users"}}
    goal = st.builds(
        lambda what, more: {**what, **more},
        st.one_of(
            st.sampled_from(["good", "bad"]).map(
                lambda kind: {"ratio": {kind: {"series": "hits"}, "total": {"series": "users"}}}
            ),
            some(better=st.sampled_from(["Higher", "Lower"])).map(lambda more: {"mean": {**amounts, **more}}),
        ),
        some(
            unit=st.sampled_from(["Request", "User"]),
            falseWinnerProbability=st.just("1%"),
            minimumSampleSize=st.integers(0, 9),
        ),
    )
    end = st.one_of(
        some(goal=goal, end=st.just("Manual")),
        st.builds(lambda more: {"duration": "14d", "end": "KeepStable", **more}, some(goal=goal)),
        st.builds(lambda found: {"duration": "14d", "end": "PromoteWinner", "goal": found}, goal),
    )
    return st.builds(
        lambda arms, who, how: {"strategy": "ABTest", "variants": arms, "assignment": who, **how},
        several,
        assignment,
        end,
    )


def traffic() -> st.SearchStrategy[Spec]:
    """Valid `spec.traffic`: one router, or none named."""
    parent = st.builds(
        lambda name, rest: {"name": name, **rest},
        labels(),
        some(
            namespace=labels(),
            sectionName=labels(),
            port=st.integers(1, 65535),
            kind=st.sampled_from(["Gateway", "Service"]),
        ),
    )
    gateway = st.builds(
        lambda parents, rest, previews: {"parentRefs": parents, **rest, **(previews if _are_gateways(parents) else {})},
        st.lists(parent, min_size=1, max_size=2),
        some(
            hostnames=st.lists(st.sampled_from(["fraud.example.com", "*.example.com"]), max_size=2),
            pathPrefix=st.sampled_from(["/", "/v1/fraud", "/a%20b"]),
            rewritePrefix=st.just("/"),
            timeout=durations(),
        ),
        some(
            previewHostnames=st.lists(
                st.sampled_from(["next.example.com", "*.next.example.com"]), min_size=1, max_size=2
            )
        ),
    )
    service = some(coarse=st.sampled_from(["Refuse", "Accept"]))
    routers = {"gateway": gateway, "service": service, **_other_routers()}
    return st.one_of(st.just({}), *(st.fixed_dictionaries({name: spec}) for name, spec in routers.items()))


def _other_routers() -> dict[str, st.SearchStrategy[Spec]]:
    hosts = st.lists(st.sampled_from(["fraud.example.com", "*.example.com"]), min_size=1, max_size=2)
    paths = st.sampled_from(["/", "/v1/fraud", "/v1/", "/a%20b"])
    ingress_route = some(
        entryPoints=st.lists(st.sampled_from(["web", "websecure"]), min_size=1, max_size=2),
        hostnames=hosts,
        pathPrefix=paths,
        middlewares=st.lists(
            st.builds(lambda name, rest: {"name": name, **rest}, labels(), some(namespace=labels())), max_size=2
        ),
        tls=some(secretName=labels(), certResolver=st.just("letsencrypt")),
        ingressClass=labels(),
    )
    istio = st.builds(
        lambda hosts, rest: {"hosts": hosts, **rest},
        st.lists(st.sampled_from(["fraud", "fraud.example.com", "*.example.com", "*"]), min_size=1, max_size=2),
        some(
            gateways=st.lists(st.sampled_from(["mesh", "public", "gateways/public"]), min_size=1, max_size=2),
            pathPrefix=paths,
            timeout=durations(),
        ),
    )
    nginx = st.builds(
        lambda hosts, rest: {"hosts": hosts, **rest},
        hosts,
        some(
            ingressClassName=labels(),
            pathPrefix=paths,
            tls=some(secretName=labels()),
            annotations=st.just({"nginx.ingress.kubernetes.io/proxy-body-size": "20m"}),
        ),
    )
    return {"traefik": some(ingressRoute=ingress_route), "istio": istio, "nginx": nginx}


def _are_gateways(parents: list[Spec]) -> bool:
    return all(parent.get("kind") != "Service" for parent in parents)


def _servers() -> st.SearchStrategy[Spec]:
    env = st.lists(st.builds(lambda name: {"name": name.upper(), "value": "1"}, labels(12)), max_size=2)
    return st.builds(
        lambda image, rest: {"image": image, **rest},
        images(),
        some(
            runtime=st.sampled_from(["FastAPI", "Custom"]),
            port=st.integers(1, 65535),
            command=st.lists(st.just("serve"), max_size=2),
            args=st.lists(st.just("--fast"), max_size=2),
            env=env,
            resources=st.just({"requests": {"cpu": "100m", "memory": "64Mi"}}),
        ),
    )


def _services() -> st.SearchStrategy[Spec]:
    port = st.builds(
        lambda name, number, rest: {"name": name, "port": number, **rest},
        labels(15),
        st.integers(1, 65535),
        some(targetPort=st.integers(1, 65535), appProtocol=st.just("kubernetes.io/h2c")),
    )
    return some(
        name=labels(),
        type=st.sampled_from(["ClusterIP", "NodePort", "LoadBalancer"]),
        ports=st.lists(port, min_size=1, max_size=3, unique_by=lambda found: found["name"]),
        annotations=st.dictionaries(st.just("example.com/team"), st.just("risk")),
    )


_TEMPLATE: Spec = {
    "metadata": {"labels": {"team": "risk"}},
    "spec": {"containers": [{"name": "server", "image": "fraud:2"}], "nodeSelector": {"pool": "models"}},
}


def specs() -> st.SearchStrategy[Spec]:
    """Valid specs."""
    scale = st.one_of(
        st.just({}),
        st.fixed_dictionaries({"replicas": st.integers(0, 50)}),
        st.integers(1, 9).map(lambda least: {"autoscaling": {"minReplicas": least, "maxReplicas": least + 3}}),
    )
    source = st.one_of(
        st.fixed_dictionaries({"server": _servers()}, optional={"template": st.just(_TEMPLATE)}),
        st.just({"template": _TEMPLATE}),
    )
    rest = some(
        version=st.from_regex(r"\A[A-Za-z0-9]([-A-Za-z0-9._+]{0,20}[A-Za-z0-9])?\Z"),
        model=some(name=labels(), uri=st.just("s3://models/fraud/2"), format=st.just("sklearn")),
        service=_services(),
        traffic=traffic(),
        rollout=rollouts(),
        analysis=analyses(),
    )
    made = st.builds(
        lambda *parts: _fixed({key: value for part in parts for key, value in part.items()}), source, scale, rest
    )
    plain = made.map(_mirrored_by_a_gateway)
    tested = st.builds(_tested, plain, experiments(), st.sampled_from(list(_DIVIDING.values())))
    return st.one_of(plain, plain, plain, tested)


def _tested(spec: Spec, rollout: Spec, routed: Spec) -> Spec:
    """An A/B test behind a router that can do it."""
    several = len(rollout["variants"]) > 1 and "nginx" in routed
    by_user = rollout["assignment"].get("type", "Random") != "Random"
    return {**spec, "traffic": _ROUTED if several or by_user else routed, "rollout": rollout}


def _fixed(spec: Spec) -> Spec:
    """One version at a time has no autoscaler."""
    in_place = spec.get("rollout", {}).get("strategy") == "Replace"
    return _without_scale(spec) if in_place and "autoscaling" in spec else spec


def _mirrored_by_a_gateway(spec: Spec) -> Spec:
    """A Service cannot mirror, so what mirrors gets a gateway."""
    rollout = spec.get("rollout") or {}
    written = rollout.get("steps")
    mirrors = rollout.get("strategy") == "Shadow" if written is None else any("shadow" in step for step in written)
    if not mirrors or "gateway" in (spec.get("traffic") or {}):
        return spec
    return spec | {"traffic": {"gateway": {"parentRefs": [{"name": "public"}]}}}


_ROUTED: Spec = {"gateway": {"parentRefs": [{"name": "public"}]}}
_DIVIDING: dict[str, Spec] = {
    "gateway": _ROUTED,
    "traefik": {"traefik": {}},
    "istio": {"istio": {"hosts": ["fraud.example.com"]}},
    "nginx": {"nginx": {"hosts": ["fraud.example.com"]}},
}
"""`spec.traffic` of each router whose shares do not depend on pods."""

Fault = Callable[[Spec], Spec]


def _put(*path: str, value: Any) -> Fault:
    """Replace a field by a bad value, making the way there."""

    def plant(spec: Spec) -> Spec:
        head, *tail = path
        inner = _put(*tail, value=value)(spec.get(head) or {}) if tail else value
        return {**spec, head: inner}

    return plant


def _metric(**fields: Any) -> Fault:
    return _put("analysis", "metrics", value=[{"name": "m", **fields}])


def _steps(*found: Spec) -> Fault:
    return _put("rollout", "steps", value=list(found))


def _test(*variants: Spec, traffic: Spec | None = None, **fields: Any) -> Fault:
    """An A/B test behind a gateway or another router, with one good variant where none is given."""
    arms = list(variants) or [{"name": "b", "weight": 20, "version": "next"}]
    rollout = {"strategy": "ABTest", "variants": arms, **fields}
    return lambda spec: {**spec, "traffic": _ROUTED if traffic is None else traffic, "rollout": rollout}


_AMOUNTS = {name: {"series": f"paid_{name}"} for name in ("sum", "squares", "count")}
_GOAL = {"ratio": {"good": {"series": "hits"}, "total": {"series": "users"}}}


def _no_image(spec: Spec) -> Spec:
    return {key: value for key, value in spec.items() if key not in ("server", "template")}


_SELECTOR = {"series": "a_total"}
_CPU = {"minReplicas": 1, "maxReplicas": 2}


def _mirroring(*found: Spec, strategy: str | None = None, traffic: Spec | None = None, **shadow: Any) -> Fault:
    """Steps that mirror, behind a gateway unless `traffic` says otherwise; `shadow`: of the only step."""
    steps = list(found) or [{"shadow": {"percent": 10, **shadow}}]
    rollout = {"steps": steps} | ({"strategy": strategy} if strategy else {})
    routed = {"gateway": {"parentRefs": [{"name": "public"}]}} if traffic is None else traffic

    def plant(spec: Spec) -> Spec:
        return {**spec, "rollout": rollout, "traffic": routed}

    return plant


_MATCH = [{"method": "POST", "path": "/predict"}]


def _golden(request: Spec, **fields: Any) -> Fault:
    return _put("rollout", "warmUp", value={"requests": [{"name": "g", "path": "/"} | request], **fields})


FAULTS: dict[str, Fault] = {
    "a step that mirrors and serves": _mirroring({"shadow": {"percent": 10}, "weight": 5}),
    "a step that mirrors and serves a little": _mirroring({"shadow": {"percent": 10}, "weight": "0.01%"}),
    "copies after traffic": _mirroring({"weight": 5}, {"shadow": {"percent": 10}}),
    "copies of nothing": _mirroring(percent=0),
    "copies of nothing as a text": _mirroring(percent="0.00%"),
    "copies of more than all": _mirroring(percent=101),
    "copies of an unknown share": _mirroring({"shadow": {}}),
    "copies by a Service": _mirroring(traffic={"service": {}}),
    "copies without a router": _mirroring(traffic={}),
    "the strategy Shadow without a router": lambda spec: {**spec, "rollout": {"strategy": "Shadow"}, "traffic": {}},
    "the strategy Shadow without copies": _mirroring({"weight": 5}, strategy="Shadow"),
    "copies of what nobody named": _mirroring(match=[]),
    "copies of any request in particular": _mirroring(match=[{}]),
    "a method in lower case": _mirroring(match=[{"method": "post"}]),
    "a path to mirror without a slash": _mirroring(match=[{"path": "predict"}]),
    "six kinds of copies": _mirroring(match=[{"path": f"/{index}"} for index in range(6)]),
    "answers compared of unnamed requests": _mirroring(compare={"method": "Exact"}),
    "answers compared in no way": _mirroring(match=_MATCH, compare={}),
    "answers compared in an unknown way": _mirroring(match=_MATCH, compare={"method": "Fuzzy"}),
    "a tolerance of nothing": _mirroring(match=_MATCH, compare={"method": "Tolerance"}),
    "a tolerance for labels": _mirroring(match=_MATCH, compare={"method": "Label", "tolerance": "1"}),
    "a negative tolerance": _mirroring(match=_MATCH, compare={"method": "Tolerance", "tolerance": "-1"}),
    "the first classes without a number": _mirroring(match=_MATCH, compare={"method": "TopK"}),
    "the first 0 classes": _mirroring(match=_MATCH, compare={"method": "TopK", "k": 0}),
    "a number of classes for numbers": _mirroring(match=_MATCH, compare={"method": "Exact", "k": 3}),
    "a place in an answer with a filter": _mirroring(match=_MATCH, compare={"method": "Exact", "path": "a[?(@.b)]"}),
    "a place in an answer from its root": _mirroring(match=_MATCH, compare={"method": "Exact", "path": "$.a"}),
    "disagreement with stable's disagreement": _metric(disagreement={}, compare={}, limit="1%"),
    "disagreement without a limit": _metric(disagreement={}),
    "disagreement about live traffic": _metric(disagreement={}, limit="1%", when=["Shadow", "Live"]),
    "disagreement that comes late": _metric(disagreement={}, limit="1%", delay="5m"),
    "copies where pods are few": lambda spec: {
        **_without_scale(spec),
        **_mirroring()(spec),
        "rollout": {"capacity": {"maxSurge": 1}, "steps": [{"shadow": {"percent": 10}}]},
    },
    "copies beside a version that is stopped": _mirroring(strategy="Replace"),
    "a capacity of no pod to spare": _put("rollout", value={"capacity": {"maxSurge": 0}}),
    "a capacity of a full second set": _put(
        "rollout", value={"capacity": {"maxSurge": 1}, "candidateReplicas": "Full"}
    ),
    "a capacity of one switch": _put("rollout", value={"strategy": "BlueGreen", "capacity": {"maxSurge": 1}}),
    "a capacity where pods are the share": lambda spec: {
        **_without_scale(spec),
        "traffic": {"service": {}},
        "rollout": {"capacity": {"maxSurge": 1}},
    },
    "a share beside a version that is stopped": _put(
        "rollout", value={"strategy": "Replace", "steps": [{"weight": 50}, {"weight": 100}]}
    ),
    "an autoscaler of one place": lambda spec: {
        **_without_scale(spec),
        "autoscaling": _CPU,
        "rollout": {"strategy": "Replace"},
    },
    "a warm-up without requests": _put("rollout", "warmUp", value={"requests": []}),
    "two golden requests of one name": _put(
        "rollout", "warmUp", value={"requests": [{"name": "g", "path": "/"}, {"name": "g", "path": "/a"}]}
    ),
    "a golden request to another host": _golden({"path": "http://elsewhere/"}),
    "a golden request with two bodies": _golden({"json": {}, "body": "x"}),
    "a golden answer of two forms": _golden({"expect": {"body": "x", "json": [{"path": "$"}]}}),
    "a golden path with a wildcard": _golden({"expect": {"json": [{"path": "$..a"}]}}),
    "a golden request that deletes": _golden({"method": "DELETE"}),
    "a golden status that is none": _golden({"expect": {"status": 99}}),
    "a golden header with a line break": _golden({"headers": {"X-A": "b\r\nX-C: d"}}),
    "a hundred and one repeats": _golden({}, repeats=101),
    "a warm-up latency of words": _golden({}, latency="fast"),
    "tries of no latency": _golden({}, tries=3),
    "weights fall": _steps({"weight": 25}, {"weight": "5%"}),
    "a weight above 100": _steps({"weight": 101}),
    "a weight text above 100": _steps({"weight": "100.01%"}),
    "a negative weight": _steps({"weight": -1}),
    "a weight of three decimals": _steps({"weight": "0.125%"}),
    "a weight that is no number": _steps({"weight": "half"}),
    "a weight with a space": _steps({"weight": " 5"}),
    "a weight that is a float": _steps({"weight": 0.5}),
    "a step without weight": _steps({"hold": "5m"}),
    "no steps": _steps(),
    "too many steps": _steps(*({"weight": 1} for _ in range(21))),
    "two steps of one name": _steps({"weight": 1, "name": "a"}, {"weight": 2, "name": "a"}),
    "a step's name in capitals": _steps({"weight": 1, "name": "Half"}),
    "a negative duration": _steps({"weight": 1, "hold": "-5m"}),
    "a duration in words": _put("rollout", "loadDeadline", value="5 minutes"),
    "a duration without unit": _put("rollout", "keepFailed", value="300"),
    "an empty duration": _put("analysis", "interval", value=""),
    "a duration with a line break": _put("analysis", "interval", value="5s\n"),
    "a duration that is a number": _put("rollout", "scaleDownDelay", value=300),
    "an A/B test without variants": lambda spec: {**spec, "traffic": _ROUTED, "rollout": {"strategy": "ABTest"}},
    "variants of a canary": _put(
        "rollout", value={"strategy": "Canary", "variants": [{"name": "b", "weight": 20, "version": "next"}]}
    ),
    "a duration of a canary": _put("rollout", value={"strategy": "Canary", "duration": "1d"}),
    "an assignment of a canary": _put("rollout", value={"strategy": "Canary", "assignment": {}}),
    "a goal of a canary": _put("rollout", value={"strategy": "Canary", "goal": _GOAL}),
    "an end of a canary": _put("rollout", value={"strategy": "Canary", "end": "Manual"}),
    "an A/B test with steps": _test(steps=[{"weight": 5}]),
    "an A/B test without a router": _test(traffic={}),
    "an A/B test by the ratio of pods": _test(traffic={"service": {"coarse": "Accept"}}),
    "cookies by a router without rules for them": _test(assignment={"type": "Sticky"}, traffic=_DIVIDING["traefik"]),
    "flags by a router without rules for them": _test(
        assignment={"type": "Flag", "header": "x-arm"}, traffic=_DIVIDING["istio"]
    ),
    "three versions by a router for two": _test(
        {"name": "b", "weight": 5, "version": "2"},
        {"name": "c", "weight": 5, "version": "3"},
        traffic=_DIVIDING["nginx"],
    ),
    "an A/B test within a capacity": _test(capacity={"maxSurge": 1}),
    "shares of 100": _test({"name": "b", "weight": 50, "version": "2"}, {"name": "c", "weight": 50, "version": "3"}),
    "shares above 100": _test({"name": "b", "weight": 70, "version": "2"}, {"name": "c", "weight": 50, "version": "3"}),
    "a share of 0": _test({"name": "b", "weight": 0, "version": "2"}),
    "two variants of one name": _test(
        {"name": "b", "weight": 5, "version": "2"}, {"name": "b", "weight": 5, "version": "3"}
    ),
    "five variants": _test(*({"name": f"v{number}", "weight": 5, "version": str(number)} for number in range(5))),
    "a variant called control": _test({"name": "control", "weight": 5, "version": "2"}),
    "a variant without a name": _test({"weight": 5, "version": "2"}),
    "a variant without a share": _test({"name": "b", "version": "2"}),
    "a variant that differs in nothing": _test({"name": "b", "weight": 5}),
    "a variant's name in capitals": _test({"name": "B", "weight": 5, "version": "2"}),
    "a flag without a header": _test(assignment={"type": "Flag"}),
    "a header without a flag": _test(assignment={"type": "Random", "header": "x-arm"}),
    "a header without a type": _test(assignment={"header": "x-arm"}),
    "a cookie without stickiness": _test(assignment={"type": "Random", "cookie": "arm"}),
    "a cookie's name with a semicolon": _test(assignment={"type": "Sticky", "cookie": "arm;b"}),
    "the header of testers": _test(assignment={"type": "Flag", "header": "X-ModelRollout-Version"}),
    "the cookie header as a flag": _test(assignment={"type": "Flag", "header": "cookie"}),
    "a winner without a goal": _test(duration="1d", end="PromoteWinner"),
    "a winner without a duration": _test(goal=_GOAL, end="PromoteWinner"),
    "stable kept without a duration": _test(end="KeepStable"),
    "a goal without counters": _test(goal={}),
    "a goal of a rate and a mean": _test(goal=_GOAL | {"mean": _AMOUNTS}),
    "a mean without squares": _test(
        goal={"mean": {name: found for name, found in _AMOUNTS.items() if name != "squares"}}
    ),
    "a goal of good and bad": _test(
        goal={"ratio": {"good": {"series": "a"}, "bad": {"series": "b"}, "total": {"series": "c"}}}
    ),
    "an unknown strategy": _put("rollout", "strategy", value="canary"),
    "a share of traffic in blue/green": _put(
        "rollout", value={"strategy": "BlueGreen", "steps": [{"weight": 0}, {"weight": "50%"}, {"weight": 100}]}
    ),
    "a hundredth of a percent in blue/green": _put(
        "rollout", value={"strategy": "BlueGreen", "steps": [{"weight": "0.01%"}]}
    ),
    "a preview at a host name of users": _put(
        "traffic",
        value={
            "gateway": {
                "parentRefs": [{"name": "a"}],
                "hostnames": ["a.example.com"],
                "previewHostnames": ["a.example.com"],
            }
        },
    ),
    "a host name for previews in a mesh": _put(
        "traffic",
        value={"gateway": {"parentRefs": [{"name": "a", "kind": "Service"}], "previewHostnames": ["a.example.com"]}},
    ),
    "no host name for previews": _put(
        "traffic", value={"gateway": {"parentRefs": [{"name": "a"}], "previewHostnames": []}}
    ),
    "an unknown way to end a step": _steps({"weight": 1, "advance": "Manual"}),
    "paused in words": _put("rollout", "paused", value="yes"),
    "a negative attempt": _put("rollout", "attempt", value=-1),
    "two routers": _put("traffic", value={"gateway": {"parentRefs": [{"name": "public"}]}, "service": {}}),
    "an entry point with a backquote": _put("traffic", value={"traefik": {"ingressRoute": {"entryPoints": ["a`b"]}}}),
    "a virtual service without hosts": _put("traffic", value={"istio": {"gateways": ["mesh"]}}),
    "a gateway of two namespaces": _put("traffic", value={"istio": {"hosts": ["a"], "gateways": ["a/b/c"]}}),
    "an ingress without hosts": _put("traffic", value={"nginx": {}}),
    "a snippet": _put(
        "traffic",
        value={"nginx": {"hosts": ["a"], "annotations": {"nginx.ingress.kubernetes.io/configuration-snippet": "a"}}},
    ),
    "a canary's annotation": _put(
        "traffic", value={"nginx": {"hosts": ["a"], "annotations": {"nginx.ingress.kubernetes.io/canary-weight": "5"}}}
    ),
    "an annotation of another controller": _put(
        "traffic", value={"nginx": {"hosts": ["a"], "annotations": {"proxy-body-size": "5m"}}}
    ),
    "an annotation that ends its line": _put(
        "traffic",
        value={"nginx": {"hosts": ["a"], "annotations": {"nginx.ingress.kubernetes.io/limit-rps": "5;\nreturn"}}},
    ),
    "a path with a backquote": _put("traffic", value={"traefik": {"ingressRoute": {"pathPrefix": "/`"}}}),
    "three routers": _put("traffic", value={"service": {}, "traefik": {}, "gateway": {"parentRefs": [{"name": "a"}]}}),
    "a gateway without parents": _put("traffic", value={"gateway": {"parentRefs": []}}),
    "a host name with a path": _put(
        "traffic", value={"gateway": {"parentRefs": [{"name": "a"}], "hostnames": ["a.example.com/x"]}}
    ),
    "a path that does not begin with a slash": _put(
        "traffic", value={"gateway": {"parentRefs": [{"name": "a"}], "pathPrefix": "v1"}}
    ),
    "no image": _no_image,
    "an image that is empty": _put("server", "image", value=""),
    "a runtime in lower case": _put("server", "runtime", value="fastapi"),
    "port 0": _put("server", "port", value=0),
    "a port in quotes": _put("server", "port", value="8000"),
    "negative replicas": lambda spec: {**_without_scale(spec), "replicas": -1},
    "replicas in quotes": lambda spec: {**_without_scale(spec), "replicas": "3"},
    "replicas beside autoscaling": lambda spec: {**spec, "replicas": 3, "autoscaling": _CPU},
    "more least than most replicas": lambda spec: {
        **_without_scale(spec),
        "autoscaling": {"minReplicas": 3, "maxReplicas": 2},
    },
    "two ports of one name": _put("service", "ports", value=[{"name": "a", "port": 1}, {"name": "a", "port": 2}]),
    "an unknown type of service": _put("service", "type", value="ExternalName"),
    "a version with a slash": _put("version", value="a/b"),
    "an unknown field": _put("rollouts", value={}),
    "an unknown field within": _put("rollout", "step", value=[]),
    "a metric of no kind": _metric(limit="1%"),
    "a metric of two kinds": _metric(errorRate={}, query="1", limit="1%"),
    "a metric that asks nothing": _metric(errorRate={}),
    "a limit on a query": _metric(query="1", limit="1%"),
    "a range on a rate": _metric(errorRate={}, range={"min": 1}),
    "a range without bounds": _metric(query="1", range={}),
    "a comparison of rates without margin": _metric(errorRate={}, method="Threshold", compare={"ignoreBelow": "1%"}),
    "a query judged by evidence": _metric(query="1", range={"max": 1}, method="Sequential"),
    "a threshold for a metric judged by evidence": _metric(errorRate={}, limit="1%", threshold={"failures": 1}),
    "a minimum of errors for checks": _metric(errorRate={}, limit="1%", method="Threshold", minimumErrors=1),
    "a design effect below 1": _metric(errorRate={}, limit="1%", overdispersion="0.5"),
    "latency without a threshold but with a limit": _metric(latency={}, limit="1%"),
    "a comparison of numbers with a certificate": _metric(query="1", compare={"maxDrop": 1, "nonInferiorityMargin": 2}),
    "an anomaly of a rate": _metric(errorRate={}, anomaly={}),
    "an anomaly beside a range": _metric(query="1", range={"max": 1}, anomaly={}),
    "a certainty of nothing": _put("analysis", "falseRollbackProbability", value="0%"),
    "a coin for a verdict": _put("analysis", "badPromotionProbability", value="60%"),
    "a comparison of rates with maxDrop": _metric(errorRate={}, compare={"margin": 1, "maxDrop": 1}),
    "a comparison of numbers without bounds": _metric(query="1", compare={}),
    "a comparison of numbers with margin": _metric(query="1", compare={"maxDrop": 1, "margin": 1}),
    "a limit without percent sign": _metric(errorRate={}, limit="0.02"),
    "a limit above 100 %": _metric(errorRate={}, limit="101%"),
    "a margin that is a float": _metric(errorRate={}, compare={"margin": 1.5}),
    "a negative margin": _metric(errorRate={}, compare={"margin": -1}),
    "a margin of nothing": _metric(errorRate={}, compare={"margin": "0.00"}),
    "a margin of the integer 0": _metric(errorRate={}, compare={"margin": 0}),
    "a candidate like stable that is bad": _metric(errorRate={}, compare={"nonInferiorityMargin": "1.0"}),
    "a candidate like stable that is bad, as an integer": _metric(errorRate={}, compare={"nonInferiorityMargin": 1}),
    "four latencies without threshold": _put(
        "analysis", "metrics", value=[{"name": f"m{index}", "latency": {}, "compare": {}} for index in range(4)]
    ),
    "no error at all, judged by evidence": _metric(errorRate={}, limit="0.0%"),
    "more failures than checks": _metric(
        errorRate={}, limit="1%", method="Threshold", threshold={"failures": 4, "of": 3}
    ),
    "more failures than checks by default": _metric(
        errorRate={}, limit="1%", method="Threshold", threshold={"failures": 6}
    ),
    "a status that is none": _metric(errorRate={"statuses": ["9xx"]}, limit="1%"),
    "a ratio of bad and good": _metric(ratio={"bad": _SELECTOR, "good": _SELECTOR, "total": _SELECTOR}, limit="1%"),
    "a label with two conditions": _metric(
        ratio={"bad": {**_SELECTOR, "match": [{"label": "a", "value": "b", "values": ["c"]}]}, "total": _SELECTOR},
        limit="1%",
    ),
    "a label without condition": _metric(
        ratio={"bad": {**_SELECTOR, "match": [{"label": "a"}]}, "total": _SELECTOR}, limit="1%"
    ),
    "a series name with braces": _metric(ratio={"bad": {"series": "a{b}"}, "total": _SELECTOR}, limit="1%"),
    "two metrics of one name": _put(
        "analysis",
        "metrics",
        value=[{"name": "m", "errorRate": {}, "limit": "1%"}, {"name": "m", "query": "1", "range": {"max": 1}}],
    ),
    "a provider with a slash": _put("analysis", "provider", value="http://elsewhere"),
}


def _without_scale(spec: Spec) -> Spec:
    return {key: value for key, value in spec.items() if key not in ("replicas", "autoscaling")}


def invalid_specs() -> st.SearchStrategy[tuple[str, Spec]]:
    """A valid spec with one planted fault, and the fault's name."""
    return st.tuples(st.sampled_from(sorted(FAULTS)), specs()).map(lambda found: (found[0], FAULTS[found[0]](found[1])))


def invalid_names() -> st.SearchStrategy[str]:
    """Names that Kubernetes would take but a ModelDeployment must not have."""
    return st.sampled_from(["a" * 37, "1fraud", "fraud.v2"])
