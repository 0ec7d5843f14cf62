"""Mirrored requests in an HTTPRoute: which rule has the filter, what is read back, and what cannot be carried out."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelrollout.api.errors import SpecError
from modelrollout.api.scalars import Weight
from modelrollout.api.settings import Settings
from modelrollout.api.shadow import MATCHES_LIMIT, Shadow, below
from modelrollout.api.traffic import Traffic
from modelrollout.traffic import gateway_api
from modelrollout.traffic.base import RouteIntent
from modelrollout.traffic.gateway_api import GatewayRouter, observe
from modelrollout.traffic.mirroring import lacking
from modelrollout.workload.identity import Owner
from modelrollout.workload.render import accept
from tests.strategies import shadows

ROUTER = GatewayRouter()
SETTINGS = Settings.model_validate({"comparer": {"image": "comparer:1"}})
FEATURES = ("HTTPRouteRequestMirror", "HTTPRouteRequestPercentageMirror")


def traffic(**gateway):
    return Traffic.model_validate({"gateway": {"parentRefs": [{"name": "public"}]} | gateway})


@pytest.fixture
def intent(owner, records):
    first, second = records
    return RouteIntent(owner, {first: 10_000, second: 0}, records, traffic(), candidate=second)


def mirroring(intent, gateway=None, **shadow):
    fields = {"percent": 10, **shadow}
    traffic_ = traffic(**gateway) if gateway else intent.traffic
    return replace(intent, traffic=traffic_, mirror=(intent.candidate, Shadow.model_validate(fields)))


def rules(intent):
    (route,) = ROUTER.build(intent)
    return route["spec"]["rules"]


def filters(rule):
    return [one["requestMirror"] for one in rule.get("filters", ()) if one["type"] == "RequestMirror"]


def test_only_what_matches_is_mirrored_and_all_of_it_is_divided_alike(intent):
    *headers, copied, rest = rules(mirroring(intent, match=[{"method": "POST", "path": "/predict"}]))
    path = {"type": "PathPrefix", "value": "/predict"}
    assert copied["matches"] == [{"path": path, "method": "POST"}]
    backend = {"group": "", "kind": "Service", "name": f"fraud-{intent.candidate}", "port": 80}
    assert filters(copied) == [{"backendRef": backend, "percent": 10}]
    assert rest["matches"] == [{"path": {"type": "PathPrefix", "value": "/"}}]
    assert not filters(rest)
    assert copied["backendRefs"] == rest["backendRefs"]
    assert not any(filters(rule) for rule in headers), "what testers send is not copied"


def test_testers_meet_their_version_on_mirrored_paths_too(intent):
    """A longer path goes before a header, and so does a method."""
    *headers, copied, _ = rules(mirroring(intent, match=[{"method": "POST", "path": "/predict"}]))
    for rule in headers:
        [value] = {match["headers"][0]["value"] for match in rule["matches"]}
        assert value.startswith(gateway_api.tester_header(intent.owner).partition(": ")[2])
        without = [{name: item for name, item in match.items() if name != "headers"} for match in rule["matches"]]
        assert all(match in without for match in copied["matches"])


def test_without_a_match_methods_that_change_state_are_left_out(intent):
    *_, copied, _ = rules(mirroring(intent))
    assert [match["method"] for match in copied["matches"]] == ["GET", "HEAD", "POST"]


@pytest.mark.parametrize(
    ("percent", "written"),
    [
        (10, {"percent": 10}),
        ("0.5%", {"fraction": {"numerator": 50, "denominator": 10_000}}),
        ("33.33", {"fraction": {"numerator": 3333, "denominator": 10_000}}),
        (100, {}),
    ],
)
def test_a_share_is_a_percentage_where_it_is_whole_and_nothing_where_it_is_all(intent, percent, written):
    *_, copied, _ = rules(mirroring(intent, percent=percent))
    [mirror] = filters(copied)
    assert {name: value for name, value in mirror.items() if name != "backendRef"} == written


def test_with_a_comparison_copies_go_to_the_comparer(intent):
    compare = {"match": [{"method": "POST"}], "compare": {"method": "Exact"}}
    *_, copied, _ = rules(mirroring(intent, **compare))
    assert filters(copied)[0]["backendRef"]["name"] == "fraud-comparer"


@settings(deadline=None)
@given(share=st.integers(1, 10_000), written=shadows())
def test_what_was_built_is_read_back(share, written):
    accepted = [accept({"server": {"image": f"fraud:{tag}"}, "analysis": {"mode": "None"}}, SETTINGS) for tag in "12"]
    records = {found.record.revision: found.record for found in accepted}
    first, second = records
    shadow = Shadow.model_validate(written).model_copy(update={"percent": Weight(share)})
    weights = {first: 10_000, second: 0}
    intent = RouteIntent(Owner("ml", "fraud", "u"), weights, records, traffic(), candidate=second)
    (route,) = ROUTER.build(replace(intent, mirror=(second, shadow)))
    found = observe(route | {"metadata": route["metadata"] | {"generation": 1}})
    assert found.weights == weights
    assert found.mirrors == {("comparer" if shadow.compare else second): share}


def test_a_route_without_copies_has_none(intent):
    (route,) = ROUTER.build(intent)
    assert observe(route).mirrors == {}


def test_a_share_that_the_server_dropped_is_read_as_all(intent):
    """Gateway API CRDs before 1.3 know no share."""
    (route,) = ROUTER.build(mirroring(intent))
    for rule in route["spec"]["rules"]:
        for mirror in filters(rule):
            del mirror["percent"]
    assert observe(route).mirrors == {intent.candidate: 10_000}


def test_weights_that_differ_between_the_two_rules_are_not_ours(intent):
    (route,) = ROUTER.build(mirroring(intent))
    route["spec"]["rules"][-1]["backendRefs"][1]["weight"] = 500
    assert observe(route).weights is None


def test_a_copied_rule_without_its_filter_is_not_ours(intent):
    (route,) = ROUTER.build(mirroring(intent))
    for rule in route["spec"]["rules"]:
        rule.pop("filters", None)
    assert observe(route).weights is None


def test_a_prefix_is_replaced_in_front_of_mirrored_paths(intent):
    """The API takes one match with such a filter, and replaces what was matched."""
    gateway = {"pathPrefix": "/fraud", "rewritePrefix": "/v1"}
    found = rules(mirroring(intent, gateway, match=[{"method": "POST", "path": "/fraud/predict/"}]))
    for rule in found:
        [match] = rule["matches"]
        rewrite = rule["filters"][0]["urlRewrite"]["path"]["replacePrefixMatch"]
        assert rewrite == {"/fraud": "/v1", "/fraud/predict/": "/v1/predict"}[match["path"]["value"]]
    assert sum(bool(filters(rule)) for rule in found) == 1


def spec_with(shadow, **gateway):
    return {
        "server": {"image": "fraud:2"},
        "analysis": {"mode": "None"},
        "traffic": {"gateway": {"parentRefs": [{"name": "public"}], **gateway}},
        "rollout": {"steps": [{"shadow": {"percent": 10, **shadow}}, {"weight": 10}]},
    }


@pytest.mark.parametrize(
    ("shadow", "gateway", "text"),
    [
        (
            {"match": [{"path": "/other"}]},
            {"pathPrefix": "/fraud"},
            "spec.rollout.steps[0].shadow.match[0].path: found /other, which the route never sees; begin it with traffic.gateway.pathPrefix (/fraud)",
        ),
        (
            {},
            {"rewritePrefix": "/"},
            "spec.rollout.steps[0].shadow.match: a route that replaces a prefix (traffic.gateway.rewritePrefix) can mirror one kind of request; name one method and one path",
        ),
    ],
)
def test_what_a_route_cannot_mirror_is_refused_by_name(shadow, gateway, text):
    with pytest.raises(SpecError) as refusal:
        accept(spec_with(shadow, **gateway), SETTINGS)
    assert str(refusal.value) == text


def test_a_path_below_the_prefix_is_taken():
    accept(spec_with({"match": [{"path": "/fraud/predict"}]}, pathPrefix="/fraud"), SETTINGS)
    accept(spec_with({"match": [{"method": "POST", "path": "/predict"}]}, rewritePrefix="/v1"), SETTINGS)
    assert below("/", "/x")
    assert below("/a/", "/a")
    assert not below("/a", "/ab")


def test_every_answer_about_features_is_understood():
    both, one = frozenset(FEATURES), frozenset(FEATURES[:1])
    assert lacking(both, 100) == lacking(one, 10_000) == lacking(frozenset(), 100) == ""
    assert lacking(one, 100) == FEATURES[1]
    assert lacking(frozenset({"HTTPRoute"}), 10_000) == FEATURES[0]


def test_a_mirrored_route_stays_within_what_the_api_takes(intent):
    """At most 16 rules, 64 matches in a rule and 128 in all, while two former versions are warm, too."""
    match = [{"path": f"/{index}"} for index in range(MATCHES_LIMIT)]
    record = intent.records[intent.candidate]
    former = {f"{number}-0000aaaa": 0 for number in (3, 4)}
    more = replace(intent, weights=intent.weights | former, records=intent.records | dict.fromkeys(former, record))
    found = rules(mirroring(more, match=match))
    counts = [len(rule["matches"]) for rule in found]
    assert len(found) <= 16
    assert max(counts) <= 64
    assert sum(counts) <= 128
