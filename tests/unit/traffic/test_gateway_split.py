"""A/B tests on a route: cookies that keep users, flags that choose, and shares that are read back."""

import re
from dataclasses import replace

import pytest

from modelrollout.api.traffic import Traffic
from modelrollout.traffic.base import RouteIntent, Split
from modelrollout.traffic.gateway_api import RULES_LIMIT, GatewayRouter, observe
from modelrollout.traffic.gateway_split import set_cookie

ROUTER = GatewayRouter()
TOKEN = "5d41402abc4b"


@pytest.fixture
def intent(owner, records):
    control, variant = records
    traffic = Traffic.model_validate({"gateway": {"parentRefs": [{"name": "public"}], "pathPrefix": "/v1"}})
    return RouteIntent(owner, {control: 7000, variant: 3000}, records, traffic)


@pytest.fixture
def sticky(intent):
    control, variant = intent.records
    arms = {control: "control", variant: "b"}
    return replace(intent, split=Split(control, arms, cookie="arm", token=TOKEN, seconds=3600))


@pytest.fixture
def flagged(intent):
    control, variant = intent.records
    return replace(intent, split=Split(control, {variant: "b"}, header="x-arm"))


def rules(intent):
    (route,) = ROUTER.build(intent)
    return route["spec"]["rules"]


def headers(rule):
    return [(header["name"], header["value"]) for header in rule["matches"][0].get("headers", ())]


def revisions(rule):
    return {backend["name"].removeprefix("fraud-"): backend["weight"] for backend in rule["backendRefs"]}


def cookies(rule):
    modifiers = [backend["filters"][0]["responseHeaderModifier"] for backend in rule["backendRefs"]]
    return [header["value"] for found in modifiers for header in found.get("add", ())]


def seen(intent):
    (route,) = ROUTER.build(intent)
    return observe(route | {"metadata": route["metadata"] | {"generation": 1}}).weights


def test_the_weighted_rule_tells_each_new_user_to_stay(sticky):
    control, variant = sticky.records
    *_, weighted = rules(sticky)
    assert revisions(weighted) == {control: 7000, variant: 3000}
    assert cookies(weighted) == [
        f"arm={TOKEN}.{name}; Path=/v1; Max-Age=3600; HttpOnly; SameSite=Lax"
        for name in (sticky.split.arms[control], sticky.split.arms[variant])
    ]


def test_every_answer_names_the_revision_beside_the_cookie(sticky):
    *_, weighted = rules(sticky)
    named = [backend["filters"][0]["responseHeaderModifier"]["set"][0]["value"] for backend in weighted["backendRefs"]]
    assert named == list(sticky.records)
    assert all(len(backend["filters"]) == 1 for backend in weighted["backendRefs"])


def test_cookies_lead_each_user_to_the_same_version_whatever_the_weights(sticky):
    by_cookie = {header: revisions(rule) for rule in rules(sticky) for header in headers(rule) if header[0] == "Cookie"}
    moved = replace(sticky, weights=dict(zip(sticky.records, (2000, 8000), strict=True)))
    again = {header: revisions(rule) for rule in rules(moved) for header in headers(rule) if header[0] == "Cookie"}
    assert by_cookie == again
    assert sorted(by_cookie.values(), key=str) == sorted(({name: 1} for name in sticky.records), key=str)


@pytest.mark.parametrize(
    ("cookie", "meets"),
    [
        (f"arm={TOKEN}.b", True),
        (f"session=1; arm={TOKEN}.b; theme=dark", True),
        (f"session=1;arm={TOKEN}.b", True),
        (f"arm={TOKEN}.beta", False),
        (f"charm={TOKEN}.b", False),
        (f"arm={TOKEN}xb", False),
        ("arm=000000000000.b", False),
        ("arm=", False),
        ("", False),
    ],
)
def test_a_cookie_binds_by_its_name_the_test_and_the_arm(sticky, cookie, meets):
    (pattern,) = [value for rule in rules(sticky) for name, value in headers(rule) if value.endswith("b(;.*)?$")]
    # Some data planes match the whole value, others look for a part of it.
    assert bool(re.fullmatch(pattern, cookie)) == bool(re.search(pattern, cookie)) == meets


def test_testers_go_before_cookies(sticky):
    names = [headers(rule)[0][0] for rule in rules(sticky) if headers(rule)]
    assert names == sorted(names, key=lambda name: name == "Cookie")


def test_a_version_without_a_share_keeps_nobody(sticky):
    control, variant = sticky.records
    back = replace(
        sticky, weights={control: 10_000, variant: 0}, split=replace(sticky.split, arms={control: "control"})
    )
    stuck = [revisions(rule) for rule in rules(back) for name, _ in headers(rule) if name == "Cookie"]
    assert stuck == [{control: 1}]
    *_, weighted = rules(back)
    assert [value.partition(";")[0] for value in cookies(weighted)] == [f"arm={TOKEN}.control"]


def test_a_flag_chooses_and_chance_does_not(flagged):
    control, variant = flagged.records
    chosen = [revisions(rule) for rule in rules(flagged) if ("x-arm", "b") in headers(rule)]
    *_, rest = rules(flagged)
    assert chosen == [{variant: 3000}]
    assert revisions(rest) == {control: 7000, variant: 0}
    assert cookies(rest) == []


@pytest.mark.parametrize("kind", ["intent", "sticky", "flagged"])
def test_the_recorded_shares_are_read_back_from_the_route(kind, request):
    intent = request.getfixturevalue(kind)
    assert seen(intent) == intent.weights


def test_a_flag_that_was_turned_elsewhere_is_seen(flagged):
    (route,) = ROUTER.build(flagged)
    control, _ = flagged.records
    rule = next(rule for rule in route["spec"]["rules"] if ("x-arm", "b") in headers(rule))
    rule["backendRefs"][0]["name"] = f"fraud-{control}"
    assert observe(route).weights != flagged.weights


def test_a_route_has_no_more_rules_than_the_gateway_api_takes(sticky):
    idle = {f"9-{number:08x}": 0 for number in range(20)}
    crowded = replace(sticky, weights=sticky.weights | idle)
    found = rules(crowded)
    assert len(found) == RULES_LIMIT
    assert seen(crowded).items() >= sticky.weights.items()


def test_whoever_takes_no_part_gets_no_cookie(sticky):
    assert not set_cookie(sticky.split, "9-ffff0009", "/")
    assert not set_cookie(None, "9-ffff0009", "/")
