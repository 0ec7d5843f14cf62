"""Traffic by an HTTPRoute: what is built, and what is read back."""

import copy
import itertools
import json
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelrollout.api.server import EntryService
from modelrollout.api.traffic import Traffic
from modelrollout.traffic import gateway_api, testers
from modelrollout.traffic.base import RouteIntent, RouteView
from modelrollout.traffic.gateway_api import GatewayRouter, observe
from modelrollout.workload.identity import Owner

ROUTER = GatewayRouter()


def traffic(**gateway):
    return Traffic.model_validate({"gateway": {"parentRefs": [{"name": "public", "namespace": "gateways"}]} | gateway})


@pytest.fixture
def intent(owner, records):
    first, second = records
    return RouteIntent(owner, {first: 9500, second: 500}, records, traffic(hostnames=["fraud.example.com"]))


def built(intent):
    (route,) = ROUTER.build(intent)
    return route


def accepted_status(route, **changes):
    generation = route["metadata"].get("generation", 1)
    conditions = [
        {"type": kind, "status": "True", "reason": kind, "message": "", "observedGeneration": generation}
        for kind in ("Accepted", "ResolvedRefs")
    ]
    parents = [
        {"parentRef": parent, "controllerName": "example.com/controller", "conditions": copy.deepcopy(conditions)}
        for parent in route["spec"]["parentRefs"]
    ]
    return (
        route | {"metadata": route["metadata"] | {"generation": generation}, "status": {"parents": parents}} | changes
    )


def condition(route, index=0, parent=0):
    return route["status"]["parents"][parent]["conditions"][index]


def test_one_header_rule_for_each_live_revision_then_one_weighted_rule(intent):
    rules = built(intent)["spec"]["rules"]
    first, second = intent.weights
    token = testers.tester_header(intent.owner).removeprefix("x-modelrollout-version: ")
    assert [rule["matches"][0].get("headers") for rule in rules] == [
        [{"type": "Exact", "name": "x-modelrollout-version", "value": f"{token}-{first}"}],
        [{"type": "Exact", "name": "x-modelrollout-version", "value": f"{token}-{second}"}],
        [{"type": "Exact", "name": "x-modelrollout-version", "value": f"{token}-candidate"}],
        None,
    ]
    assert [[(ref["name"], ref["weight"]) for ref in rule["backendRefs"]] for rule in rules] == [
        [(f"fraud-{first}", 1)],
        [(f"fraud-{second}", 1)],
        [(f"fraud-{first}", 1)],
        [(f"fraud-{first}", 9500), (f"fraud-{second}", 500)],
    ]


def test_a_backend_without_a_share_is_kept(intent):
    first, second = intent.weights
    rules = built(replace(intent, weights={first: 10_000, second: 0}))["spec"]["rules"]
    assert [ref["weight"] for ref in rules[-1]["backendRefs"]] == [10_000, 0]
    assert len(rules) == 4


def test_the_order_of_the_weights_makes_no_difference(intent):
    turned = dict(reversed(intent.weights.items()))
    assert built(replace(intent, weights=turned)) == built(intent)


def test_every_backend_has_a_filter_of_its_own_and_all_defaults_are_written_out(intent):
    first = next(iter(intent.weights))
    assert built(intent)["spec"]["rules"][-1]["backendRefs"][0] == {
        "group": "",
        "kind": "Service",
        "name": f"fraud-{first}",
        "port": 80,
        "weight": 9500,
        "filters": [
            {
                "type": "ResponseHeaderModifier",
                "responseHeaderModifier": {"set": [{"name": "x-model-revision", "value": first}]},
            }
        ],
    }


def test_the_gateway_is_named_as_the_spec_says(intent):
    asked = traffic(
        parentRefs=[
            {"name": "public", "namespace": "gateways", "sectionName": "https", "port": 443},
            {"name": "fraud", "kind": "Service"},
        ]
    )
    assert built(replace(intent, traffic=asked))["spec"]["parentRefs"] == [
        {
            "group": "gateway.networking.k8s.io",
            "kind": "Gateway",
            "name": "public",
            "namespace": "gateways",
            "sectionName": "https",
            "port": 443,
        },
        {"group": "", "kind": "Service", "name": "fraud"},
    ]


def test_path_rewrite_and_timeout_are_in_every_rule(intent):
    asked = traffic(pathPrefix="/fraud", rewritePrefix="/", timeout="1d30s")
    rules = built(replace(intent, traffic=asked))["spec"]["rules"]
    for rule in rules:
        assert rule["matches"][0]["path"] == {"type": "PathPrefix", "value": "/fraud"}
        assert rule["filters"] == [
            {
                "type": "URLRewrite",
                "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}},
            }
        ]
        assert re.fullmatch(r"([0-9]{1,5}(h|m|s|ms)){1,4}", rule["timeouts"]["request"])
        assert rule["timeouts"] == {"request": "24h30s"}


def test_the_token_is_the_resources_own_and_tells_nothing_of_its_uid():
    one, other = (testers.tester_header(Owner("ml", "fraud", uid)) for uid in ("6a3c", "6a3d"))
    assert one != other
    assert re.fullmatch(r"x-modelrollout-version: [0-9a-f]{12}", one)


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=6).filter(lambda cuts: len(set(cuts)) == len(cuts)))
def test_the_weights_that_were_written_are_read_back(cuts):
    edges = [0, *sorted(cuts), 10_000]
    weights = {f"{index}-aaaaaaaa": high - low for index, (low, high) in enumerate(itertools.pairwise(edges))}
    owner = Owner("ml", "fraud", "6a3c")
    route = built(RouteIntent(owner, weights, {}, traffic()))
    assert sum(ref["weight"] for ref in route["spec"]["rules"][-1]["backendRefs"]) == 10_000
    assert observe(accepted_status(json.loads(json.dumps(route)))).weights == weights


def test_a_route_counts_as_accepted_when_every_parent_has_read_this_generation(intent):
    route = accepted_status(built(intent))
    view = observe(route)
    assert (view.exists, view.accepted, view.problem) == (True, True, "")
    assert view.generation == 1


def test_a_route_that_nobody_has_read_is_not_accepted(intent):
    route = built(intent)
    for status in ({}, {"status": None}, {"status": {"parents": []}}):
        view = observe(route | status)
        assert not view.accepted
        assert view.problem == "no gateway controller has taken the route for Gateway gateways/public"


def test_a_status_of_an_older_generation_does_not_count(intent):
    route = accepted_status(built(intent))
    route["metadata"]["generation"] = 2
    assert observe(route).problem == "Gateway gateways/public: has not read generation 2 of the route yet"


@pytest.mark.parametrize("index", [0, 1])
def test_a_refusal_is_told_in_the_controllers_words(intent, index):
    route = accepted_status(built(intent))
    condition(route, index).update(status="False", reason="NoMatchingParent", message="no listener")
    view = observe(route)
    assert not view.accepted
    assert view.problem == "Gateway gateways/public: NoMatchingParent: no listener"


def test_unknown_is_not_yet_accepted_but_unknown_references_do_not_stand_in_the_way(intent):
    route = accepted_status(built(intent))
    condition(route, 1)["status"] = "Unknown"
    assert observe(route).accepted
    condition(route, 0).update(status="Unknown", reason="Pending")
    assert observe(route).problem == "Gateway gateways/public: Pending"


def test_a_parent_without_conditions_is_not_accepted(intent):
    route = accepted_status(built(intent))
    route["status"]["parents"][0]["conditions"] = None
    assert "example.com/controller has not said whether it takes the route" in observe(route).problem


def test_one_parent_of_two_is_not_enough(intent):
    asked = traffic(parentRefs=[{"name": "public", "namespace": "gateways"}, {"name": "inner"}])
    route = accepted_status(built(replace(intent, traffic=asked)))
    assert observe(route).accepted
    del route["status"]["parents"][1]
    assert observe(route).problem == "no gateway controller has taken the route for Gateway ml/inner"


def test_the_status_of_a_parent_may_leave_defaults_out_or_write_the_namespace(intent):
    asked = traffic(parentRefs=[{"name": "inner"}])
    route = accepted_status(built(replace(intent, traffic=asked)))
    route["status"]["parents"][0]["parentRef"] = {"name": "inner", "namespace": "ml"}
    assert observe(route).accepted


@pytest.mark.parametrize(
    "rules",
    [
        None,
        [],
        [{"backendRefs": [{"name": "other", "weight": 1}]}],
        [{"backendRefs": [{"name": "fraud-1-aaaaaaaa", "weight": 0}]}],
        [{"backendRefs": [{"name": "fraud-1-aaaaaaaa"}]}, {"backendRefs": [{"name": "fraud-1-aaaaaaaa"}]}],
        [{"backendRefs": None, "matches": None}],
        [{"backendRefs": [{"name": "fraud-1-aaaaaaaa", "kind": "Other"}]}],
    ],
)
def test_rules_that_are_not_ours_have_no_weights_and_are_not_accepted(intent, rules):
    route = accepted_status(built(intent))
    route["spec"]["rules"] = rules
    view = observe(route)
    assert (view.weights, view.accepted) == (None, False)
    assert view.problem == "its rules are not as the operator made them"


def test_weights_of_another_sum_are_read_as_shares(intent):
    route = accepted_status(built(intent))
    for ref, weight in zip(route["spec"]["rules"][-1]["backendRefs"], (3, 1), strict=True):
        ref["weight"] = weight
    assert list(observe(route).weights.values()) == [7500, 2500]


def test_a_route_that_does_not_exist_says_so():
    view = ROUTER.observe("fraud", {("HTTPRoute", "fraud-preview"): RouteView(exists=True)})
    assert (view.exists, view.weights, view.accepted) == (False, None, False)


def test_testers_who_name_no_revision_meet_the_candidate(intent):
    first, second = intent.weights
    token = testers.tester_token(intent.owner)
    asked = replace(intent, weights={first: 10_000, second: 0}, candidate=second)
    rules = built(asked)["spec"]["rules"]
    header = {"type": "Exact", "name": "x-modelrollout-version", "value": f"{token}-candidate"}
    assert rules[2]["matches"][0]["headers"] == [header]
    assert [ref["name"] for ref in rules[2]["backendRefs"]] == [f"fraud-{second}"]
    assert observe(accepted_status(built(asked))).weights == {first: 10_000, second: 0}


def test_a_promotion_changes_nothing_in_the_route(intent):
    first, second = intent.weights
    baked = replace(intent, weights={first: 0, second: 10_000}, candidate=second)
    assert built(replace(baked, candidate=None)) == built(baked)


def test_previews_with_host_names_have_a_route_of_their_own_to_the_preview_service(intent):
    _, second = intent.weights
    asked = traffic(hostnames=["fraud.example.com"], previewHostnames=["next.example.com"], pathPrefix="/v1")
    users, previews = ROUTER.build(replace(intent, traffic=asked, candidate=second))
    assert users["spec"]["hostnames"] == ["fraud.example.com"]
    assert previews["metadata"]["name"] == "fraud-preview"
    assert previews["spec"]["hostnames"] == ["next.example.com"]
    assert previews["spec"]["parentRefs"] == users["spec"]["parentRefs"]
    (rule,) = previews["spec"]["rules"]
    assert rule["matches"] == [{"path": {"type": "PathPrefix", "value": "/v1"}}]
    (backend,) = rule["backendRefs"]
    assert (backend["kind"], backend["name"], backend["port"]) == ("Service", "fraud-preview", 80)
    assert backend["filters"][0]["responseHeaderModifier"]["set"] == [{"name": "x-model-revision", "value": second}]


def test_without_a_candidate_the_preview_route_stays_and_says_no_revision(intent):
    asked = replace(intent, traffic=traffic(previewHostnames=["next.example.com"]))
    backend = ROUTER.build(asked)[1]["spec"]["rules"][0]["backendRefs"][0]
    assert "filters" not in backend


@pytest.mark.parametrize(
    ("gateway", "ports", "url"),
    [
        (None, None, "http://fraud-preview.ml.svc"),
        (None, [{"name": "grpc", "port": 9000}], "http://fraud-preview.ml.svc:9000"),
        ({}, None, "http://fraud-preview.ml.svc"),
        ({"previewHostnames": ["*.example.com"]}, None, "http://fraud-preview.ml.svc"),
        ({"previewHostnames": ["*.b.example.com", "a.example.com"]}, None, "http://a.example.com"),
        ({"previewHostnames": ["a.example.com"], "pathPrefix": "/v1/"}, None, "http://a.example.com/v1"),
        (
            {"previewHostnames": ["a.example.com"], "parentRefs": [{"name": "public", "port": 443}]},
            None,
            "https://a.example.com",
        ),
        (
            {"previewHostnames": ["a.example.com"], "parentRefs": [{"name": "p", "sectionName": "https-a"}]},
            None,
            "https://a.example.com",
        ),
        (
            {"previewHostnames": ["a.example.com"], "parentRefs": [{"name": "p", "port": 8080}]},
            None,
            "http://a.example.com:8080",
        ),
    ],
)
def test_the_address_of_the_preview(owner, gateway, ports, url):
    service = EntryService.model_validate({"ports": ports}) if ports else None
    found = traffic(**gateway).gateway if gateway is not None else None
    assert gateway_api.preview_url(owner, service, found) == url
