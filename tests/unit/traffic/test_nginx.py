"""Traffic by the canary annotations of ingress-nginx: what only this router does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelrollout.api.traffic import Traffic
from modelrollout.traffic.base import RouteIntent
from modelrollout.traffic.nginx import NginxRouter
from modelrollout.workload.identity import Owner

ROUTER, OWNER = NginxRouter(), Owner("ml", "fraud", "6a3c")
FIRST, SECOND = "1-aaaaaaaa", "2-bbbbbbbb"
ANNOTATION = "nginx.ingress.kubernetes.io/"


def built(weights, candidate=SECOND, **nginx):
    asked = Traffic.model_validate({"nginx": {"hosts": ["a.example.com"]} | nginx})
    return {
        made["metadata"]["name"]: made
        for made in ROUTER.build(RouteIntent(OWNER, weights, {}, asked, candidate=candidate))
    }


def backend(made):
    [rule] = made["spec"]["rules"]
    [path] = rule["http"]["paths"]
    return path["backend"]["service"]["name"]


def notes(made):
    return {name.removeprefix(ANNOTATION): value for name, value in (made["metadata"].get("annotations") or {}).items()}


def seen(*made):
    return ROUTER.observe("fraud", {("Ingress", one["metadata"]["name"]): ROUTER.read(one) for one in made})


def test_the_candidates_share_is_the_canarys_and_testers_reach_it_by_header():
    made = built({FIRST: 9_500, SECOND: 500})
    assert backend(made["fraud"]) == f"fraud-{FIRST}"
    assert backend(made["fraud-canary"]) == f"fraud-{SECOND}"
    header, _, token = ROUTER.tester_header(OWNER, Traffic()).partition(": ")
    assert notes(made["fraud-canary"]) == {
        "canary": "true",
        "canary-weight": "5",
        "canary-by-header": header,
        "canary-by-header-value": f"{token}-candidate",
    }


def test_a_candidate_with_more_than_half_is_still_the_canary():
    made = built({FIRST: 4_000, SECOND: 6_000})
    assert backend(made["fraud"]) == f"fraud-{FIRST}"
    assert notes(made["fraud-canary"])["canary-weight"] == "60"


def test_of_more_than_two_that_another_router_still_divides_between_two_have_a_part_and_it_shows():
    made = built({FIRST: 5_000, SECOND: 3_000, "3-cccccccc": 2_000}, candidate=None)
    assert backend(made["fraud"]) == f"fraud-{FIRST}"
    assert seen(*made.values()).weights != {FIRST: 5_000, SECOND: 3_000, "3-cccccccc": 2_000}


def test_a_candidate_without_a_share_has_a_canary_of_weight_0():
    made = built({FIRST: 10_000, SECOND: 0})
    assert notes(made["fraud-canary"])["canary-weight"] == "0"


def test_a_total_is_named_only_where_percents_are_not_fine_enough():
    found = notes(built({FIRST: 9_950, SECOND: 50})["fraud-canary"])
    assert (found["canary-weight"], found["canary-weight-total"]) == ("50", "10000")


def test_who_has_everything_has_the_main_ingress_and_depends_on_no_other_version():
    made = built({FIRST: 0, SECOND: 10_000})
    assert set(made) == {"fraud"}
    assert backend(made["fraud"]) == f"fraud-{SECOND}"


def test_a_warm_version_has_no_part_in_it():
    made = built({FIRST: 0, SECOND: 10_000}, candidate=None)
    assert set(made) == {"fraud"}


def test_the_annotations_of_the_spec_are_the_main_ingresses():
    asked = {f"{ANNOTATION}proxy-body-size": "20m"}
    made = built({FIRST: 9_500, SECOND: 500}, annotations=asked)
    assert made["fraud"]["metadata"]["annotations"] == asked
    assert "proxy-body-size" not in notes(made["fraud-canary"])


def test_both_ingresses_answer_the_same_requests():
    made = built({FIRST: 9_500, SECOND: 500}, hosts=["a.b", "*.a.b"], pathPrefix="/v1", tls={}, ingressClassName="x")
    one, other = ({**each["spec"], "rules": None} for each in made.values())
    assert one == other
    assert one["tls"] == [{"hosts": ["a.b", "*.a.b"]}]
    where = [
        [
            (rule["host"], path["path"], path["pathType"])
            for rule in each["spec"]["rules"]
            for path in rule["http"]["paths"]
        ]
        for each in made.values()
    ]
    assert where == [[("a.b", "/v1", "Prefix"), ("*.a.b", "/v1", "Prefix")]] * 2


@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_no_write_on_the_way_from_one_split_to_another_gives_the_candidate_more_than_either(before, after):
    """Objects are written in the order of `build`, and what is not built any more is removed after that."""
    old, new = (built({FIRST: 10_000 - weight, SECOND: weight}) for weight in (before, after))
    stored, shown = dict(old), []
    for name, made in new.items():
        stored[name] = made
        shown.append(seen(*stored.values()).weights.get(SECOND, 0))
    for name in old.keys() - new.keys():
        del stored[name]
        shown.append(seen(*stored.values()).weights.get(SECOND, 0))
    assert set(shown) <= {before, after} | ({0} if before == 10_000 else set())
    assert shown[-1] == after


@pytest.mark.parametrize(
    ("weight", "total", "share"),
    [
        ("5", None, 500),
        ("5", "100", 500),
        ("5", "10", 500),
        ("5", "1000", 50),
        ("500", None, 10_000),
        ("5", "10000", 5),
    ],
)
def test_a_share_is_read_as_the_controller_takes_it(weight, total, share):
    made = built({FIRST: 9_500, SECOND: 500})
    found = made["fraud-canary"]["metadata"]["annotations"]
    found[f"{ANNOTATION}canary-weight"] = weight
    if total is not None:
        found[f"{ANNOTATION}canary-weight-total"] = total
    assert seen(*made.values()).weights == {FIRST: 10_000 - share, SECOND: share}


@pytest.mark.parametrize(
    "change",
    [
        lambda made: made["fraud-canary"]["metadata"]["annotations"].pop(f"{ANNOTATION}canary"),
        lambda made: made["fraud-canary"]["metadata"]["annotations"].update({f"{ANNOTATION}canary-weight": "-5"}),
        lambda made: made["fraud-canary"]["metadata"].update(annotations=None),
        lambda made: made["fraud"]["metadata"].update(annotations={f"{ANNOTATION}canary": "true"}),
        lambda made: made["fraud"]["metadata"].update(labels=None),
        lambda made: made["fraud"]["spec"].update(rules=None),
        lambda made: made["fraud"]["spec"]["rules"].append({"host": "b"}) or made["fraud"]["spec"]["rules"].pop(0),
        lambda made: made["fraud"]["spec"]["rules"][0]["http"]["paths"].append({"backend": {"service": {"name": "b"}}}),
        lambda made: made["fraud-canary"]["spec"]["rules"][0]["http"]["paths"][0].update(backend=None),
    ],
)
def test_what_is_not_ours_is_not_in_force(change):
    made = built({FIRST: 9_500, SECOND: 500})
    change(made)
    view = seen(*made.values())
    assert view.exists
    assert not view.accepted
    assert view.problem == "its rules are not as the operator made them"
