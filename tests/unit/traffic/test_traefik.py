"""Traffic by a TraefikService: what only this router does."""

import re

import pytest

from modelrollout.api.traffic import Traffic
from modelrollout.traffic.base import RouteIntent
from modelrollout.traffic.traefik import TraefikRouter
from modelrollout.workload.identity import Owner

ROUTER, OWNER = TraefikRouter(), Owner("ml", "fraud", "6a3c")
FIRST, SECOND = "1-aaaaaaaa", "2-bbbbbbbb"


def built(weights=(9_000, 1_000), **traefik):
    asked = Traffic.model_validate({"traefik": traefik})
    return ROUTER.build(
        RouteIntent(OWNER, dict(zip((FIRST, SECOND), weights, strict=True)), {}, asked, candidate=SECOND)
    )


def services(made):
    return {one["name"]: one["weight"] for one in made["spec"]["weighted"]["services"]}


def test_alone_it_is_a_traefik_service_for_an_ingress_route_of_the_users():
    [made] = built()
    assert services(made) == {f"fraud-{FIRST}": 9_000, f"fraud-{SECOND}": 1_000}
    assert ROUTER.tester_header(OWNER, Traffic.model_validate({"traefik": {}})) == ""


def test_a_version_without_a_share_is_not_in_it_for_without_pods_it_would_take_the_whole_down():
    assert services(built((10_000, 0))[0]) == {f"fraud-{FIRST}": 10_000}


def test_an_ingress_route_leads_testers_to_each_version_and_all_others_to_the_traefik_service():
    _, route = built((10_000, 0), ingressRoute={"hostnames": ["a.example.com"], "middlewares": [{"name": "m"}]})
    *testers, users = route["spec"]["routes"]
    assert [one["services"][0]["name"] for one in testers] == [f"fraud-{FIRST}", f"fraud-{SECOND}", f"fraud-{SECOND}"]
    assert users["services"] == [{"kind": "TraefikService", "name": "fraud"}]
    assert users["match"] == "Host(`a.example.com`)"
    assert all(one["match"].startswith(f"{users['match']} && Header(`x-modelrollout-version`, `") for one in testers)
    assert all(one["middlewares"] == [{"name": "m"}] for one in route["spec"]["routes"])


@pytest.mark.parametrize(
    ("asked", "match"),
    [
        ({}, "PathPrefix(`/`)"),
        ({"pathPrefix": "/"}, "PathPrefix(`/`)"),
        ({"pathPrefix": "/v1/"}, "(Path(`/v1`) || PathPrefix(`/v1/`))"),
        ({"hostnames": ["a.b"], "pathPrefix": "/"}, "Host(`a.b`)"),
        (
            {"hostnames": ["a.b", "c.d"], "pathPrefix": "/v1"},
            "(Host(`a.b`) || Host(`c.d`)) && (Path(`/v1`) || PathPrefix(`/v1/`))",
        ),
        ({"hostnames": ["*.a.b"]}, "HostRegexp(`^.+\\.a\\.b$`)"),
    ],
)
def test_the_rule_says_which_requests_are_meant(asked, match):
    *_, users = built(ingressRoute=asked)[1]["spec"]["routes"]
    assert users["match"] == match


def test_a_wildcard_is_any_name_below():
    *_, users = built(ingressRoute={"hostnames": ["*.a.b"]})[1]["spec"]["routes"]
    pattern = users["match"].split("`")[1]
    assert re.search(pattern, "x.a.b")
    assert re.search(pattern, "x.y.a.b")
    assert not re.search(pattern, "a.b")
    assert not re.search(pattern, "xaab")


def test_a_class_is_an_annotation_so_that_every_traefik_3_reads_it():
    assert built(ingressRoute={"ingressClass": "inner"})[1]["metadata"]["annotations"] == {
        "kubernetes.io/ingress.class": "inner"
    }


@pytest.mark.parametrize(
    "weighted",
    [
        None,
        {"services": None},
        {"services": [{"name": "other", "weight": 1}]},
        {"services": [{"name": f"fraud-{FIRST}", "kind": "TraefikService", "weight": 1}]},
        {"services": [{"name": f"fraud-{FIRST}", "weight": "1"}]},
        {"services": [{"name": f"fraud-{FIRST}", "weight": 0}]},
    ],
)
def test_services_that_are_not_ours_have_no_weights(weighted):
    view = ROUTER.read({"kind": "TraefikService", "metadata": {"name": "fraud"}, "spec": {"weighted": weighted}})
    assert (view.weights, view.accepted) == (None, False)


def test_an_ingress_route_that_leads_elsewhere_keeps_the_weights_from_being_in_force():
    service, route = built(ingressRoute={})
    parts = {(raw["kind"], "fraud"): ROUTER.read(raw) for raw in (service, route)}
    assert ROUTER.observe("fraud", parts).accepted
    route["spec"]["routes"][-1]["services"] = [{"kind": "Service", "name": "other", "port": 80}]
    view = ROUTER.observe("fraud", parts | {("IngressRoute", "fraud"): ROUTER.read(route)})
    assert (view.exists, view.weights, view.accepted) == (True, None, False)
