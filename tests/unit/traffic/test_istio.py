"""Traffic by a VirtualService: what only this router does."""

import re

import pytest

from modelrollout.api.traffic import Traffic
from modelrollout.traffic.base import RouteIntent
from modelrollout.traffic.istio import IstioRouter
from modelrollout.workload.identity import Owner

ROUTER, OWNER = IstioRouter(), Owner("ml", "fraud", "6a3c")
FIRST, SECOND = "1-aaaaaaaa", "2-bbbbbbbb"


def rules(candidate=SECOND, weights=(9_000, 1_000), **istio):
    asked = Traffic.model_validate({"istio": {"hosts": ["fraud"]} | istio})
    [made] = ROUTER.build(
        RouteIntent(OWNER, dict(zip((FIRST, SECOND), weights, strict=True)), {}, asked, candidate=candidate)
    )
    return made["spec"]["http"]


def destinations(rule):
    return {one["destination"]["host"]: one["weight"] for one in rule["route"]}


def test_header_rules_come_before_the_weighted_one_for_istio_asks_in_order():
    *headers, weighted = rules()
    assert [destinations(rule) for rule in headers] == [
        {f"fraud-{FIRST}": 10_000},
        {f"fraud-{SECOND}": 10_000},
        {f"fraud-{SECOND}": 10_000},
    ]
    assert all("x-modelrollout-version" in match["headers"] for rule in headers for match in rule["match"])
    assert destinations(weighted) == {f"fraud-{FIRST}": 9_000, f"fraud-{SECOND}": 1_000}
    assert "match" not in weighted


def test_a_version_without_a_share_stays_a_destination():
    assert destinations(rules(weights=(10_000, 0))[-1]) == {f"fraud-{FIRST}": 10_000, f"fraud-{SECOND}": 0}


def test_every_answer_names_its_revision():
    for rule in rules():
        for one in rule["route"]:
            assert f"fraud-{one['headers']['response']['set']['x-model-revision']}" == one["destination"]["host"]


@pytest.mark.parametrize(
    ("path", "taken", "left"),
    [("/v1", ["/v1", "/v1/", "/v1/a"], ["/v10", "/", "/a/v1"]), ("/v1/", ["/v1", "/v1/a"], ["/v10"])],
)
def test_a_path_is_matched_by_whole_elements(path, taken, left):
    def matches(asked):
        return any(
            asked == match["uri"].get("exact") or asked.startswith(match["uri"].get("prefix", "\0"))
            for match in rules(pathPrefix=path)[-1]["match"]
        )

    assert all(matches(asked) for asked in taken)
    assert not any(matches(asked) for asked in left)


@pytest.mark.parametrize(("timeout", "written"), [("90s", "90s"), ("30d", "2592000s"), ("0s", None)])
def test_times_are_written_as_istio_reads_them(timeout, written):
    for rule in rules(timeout=timeout):
        assert rule.get("timeout") == written
        assert written is None or re.fullmatch(r"[0-9]+s", written)


@pytest.mark.parametrize(
    "http",
    [
        None,
        [],
        [{"route": [{"destination": {"host": "other"}, "weight": 1}]}],
        [{"route": [{"destination": {"host": f"fraud-{FIRST}"}, "weight": 0}]}],
        [{"redirect": {"uri": "/"}}],
        [
            {"route": [{"destination": {"host": f"fraud-{FIRST}"}}]},
            {"route": [{"destination": {"host": f"fraud-{FIRST}"}}]},
        ],
        [{"route": [{"destination": None, "weight": 1}]}],
        [{"route": None, "match": None}],
    ],
)
def test_rules_that_are_not_ours_have_no_weights(http):
    view = ROUTER.read({"kind": "VirtualService", "metadata": {"name": "fraud"}, "spec": {"http": http}})
    assert (view.weights, view.accepted, view.problem) == (None, False, "its rules are not as the operator made them")
