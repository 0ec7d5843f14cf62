"""What holds for every router that makes shares by objects of its own."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelrollout.api.errors import SpecError
from modelrollout.api.rollout import Rollout
from modelrollout.api.routing import ROUTERS
from modelrollout.api.settings import RouterName, Settings
from modelrollout.api.spec import ModelDeploymentSpec
from modelrollout.api.traffic import Traffic
from modelrollout.controller.fields import plan_fields
from modelrollout.kube.kinds import KINDS
from modelrollout.rollout.plan import resolve
from modelrollout.traffic.base import ABSENT, RouteIntent, beyond
from modelrollout.traffic.routers import OBJECT_ROUTERS, READERS, SERVICE, router_for
from modelrollout.workload.identity import Owner
from modelrollout.workload.render import accept
from tests.unit.traffic.specs import SPECS

OWNER = Owner("ml", "fraud", "6a3c")
EACH = pytest.mark.parametrize("name", sorted(OBJECT_ROUTERS))
STEPS = st.lists(st.integers(1, 9_999), max_size=5, unique=True)


def traffic(name):
    return Traffic.model_validate(SPECS[name])


def intents(name, cuts):
    """Shares of as many revisions as the router can have share, and one more that has none; the second is the candidate."""
    limit = OBJECT_ROUTERS[name].capabilities.sharing
    edges = [0, *sorted(cuts[: None if limit is None else limit - 1]), 10_000]
    weights = {f"{index}-aaaaaaaa": high - low for index, (low, high) in enumerate(itertools.pairwise(edges))}
    weights["warm-bbbbbbbb"] = 0
    candidate = "1-aaaaaaaa" if "1-aaaaaaaa" in weights else None
    return RouteIntent(OWNER, weights, {}, traffic(name), candidate=candidate)


def stored(name, intent):
    """What the router builds, read back as if an API server had stored it."""
    router = OBJECT_ROUTERS[name]
    return {
        (raw["kind"], raw["metadata"]["name"]): router.read({**raw, "metadata": {**raw["metadata"], "generation": 1}})
        for raw in router.build(intent)
    }


def plan_of_a_test(name, variants, **assignment):
    arms = [{"name": f"arm-{index}", "weight": 5, "version": f"{index}"} for index in range(variants)]
    rollout = {"strategy": "ABTest", "variants": arms, "assignment": assignment}
    found = ModelDeploymentSpec.model_construct(
        traffic=Traffic.model_validate(SPECS[name]) if name in SPECS else None, rollout=Rollout.model_validate(rollout)
    )
    return resolve(found, Settings())


@pytest.mark.parametrize("name", [*sorted(OBJECT_ROUTERS), SERVICE.name])
@pytest.mark.parametrize("variants", [1, 2, 4])
@pytest.mark.parametrize("assignment", [{}, {"type": "Sticky"}, {"type": "Flag", "header": "x-arm"}], ids=str)
def test_what_a_router_cannot_do_for_a_test_is_refused_with_its_name_and_a_way_out(name, variants, assignment):
    router = OBJECT_ROUTERS.get(name, SERVICE)
    able = router.capabilities
    refusal = beyond(router, plan_of_a_test(name, variants, **assignment))
    if able.smallest_weight is None:
        assert refusal.field == "spec.traffic"
    elif assignment and not able.sticky:
        assert refusal.field == "spec.rollout.assignment.type"
    elif able.sharing is not None and variants + 1 > able.sharing:
        assert refusal.field == "spec.rollout.variants"
    else:
        assert refusal is None
        return
    assert f"the router {name} " in str(refusal)
    assert "name a gateway under spec.traffic" in str(refusal)


def shares(weights):
    return {revision: weight for revision, weight in weights.items() if weight}


def test_every_router_of_the_api_is_there_and_can_be_enabled():
    assert set(OBJECT_ROUTERS) == set(ROUTERS.values()) - {SERVICE.name} == set(RouterName)
    assert set(SPECS) == set(OBJECT_ROUTERS)
    assert set(READERS) <= set(KINDS)
    assert len(READERS) == sum(len(router.kinds) for router in OBJECT_ROUTERS.values())


@EACH
@given(cuts=STEPS)
def test_the_weights_that_were_built_are_read_back(name, cuts):
    intent = intents(name, cuts)
    view = OBJECT_ROUTERS[name].observe(OWNER.name, stored(name, intent))
    assert view.exists
    assert shares(view.weights) == shares(intent.weights)
    assert sum(view.weights.values()) == 10_000
    assert view.accepted is not OBJECT_ROUTERS[name].capabilities.reports


@EACH
@given(cuts=STEPS)
def test_equal_intents_make_equal_objects(name, cuts):
    intent = intents(name, cuts)
    turned = RouteIntent(OWNER, dict(reversed(intent.weights.items())), {}, traffic(name), candidate=intent.candidate)
    assert OBJECT_ROUTERS[name].build(intent) == OBJECT_ROUTERS[name].build(turned)


@EACH
@given(cuts=STEPS)
def test_a_promotion_moves_no_traffic(name, cuts):
    before = intents(name, cuts[:1])
    if before.candidate is None:
        return
    weights = dict.fromkeys(before.weights, 0) | {before.candidate: 10_000}
    router = OBJECT_ROUTERS[name]
    built = [
        router.build(RouteIntent(OWNER, weights, {}, before.traffic, candidate=one)) for one in (before.candidate, None)
    ]
    assert built[0] == built[1]


@EACH
def test_every_object_is_of_the_routers_kinds_belongs_to_the_resource_and_carries_its_label(name):
    intent = intents(name, [2_500])
    for raw in OBJECT_ROUTERS[name].build(intent):
        assert (raw["apiVersion"], raw["kind"]) in OBJECT_ROUTERS[name].kinds
        assert raw["metadata"]["labels"]["modelrollout.dev/deployment"] == "fraud"
        assert [owner["uid"] for owner in raw["metadata"]["ownerReferences"]] == ["6a3c"]


@EACH
def test_without_its_objects_there_is_no_route(name):
    others = {ref: view for one in OBJECT_ROUTERS if one != name for ref, view in stored(one, intents(one, [])).items()}
    assert OBJECT_ROUTERS[name].observe("fraud", others) == ABSENT


@EACH
def test_objects_without_a_spec_are_read_as_not_ours(name):
    router = OBJECT_ROUTERS[name]
    for version, kind in router.kinds:
        for spec in ({}, {"spec": None}, {"spec": {}}):
            view = router.read({"apiVersion": version, "kind": kind, "metadata": {"name": "fraud"}, **spec})
            assert view.exists
            assert not view.accepted


@EACH
def test_a_router_that_is_not_enabled_is_refused_by_name(name):
    spec = {"server": {"image": "a:1"}, "analysis": {"mode": "None"}, "traffic": SPECS[name]}
    enabled = accept(spec, Settings(routers=(RouterName(name),)), "fraud")
    assert router_for(plan_fields(enabled.plan).traffic).name == enabled.plan.router == name
    with pytest.raises(SpecError, match=f"ask the administrator to add {name} to the setting routers") as refused:
        accept(spec, Settings(routers=()), "fraud")
    assert refused.value.reason == "RouterMissing"
    assert refused.value.field == f"spec.traffic.{next(iter(SPECS[name]))}"


def test_two_routers_are_refused_by_name():
    one, other = {"service": {}}, SPECS["Gateway"]
    with pytest.raises(ValueError, match="name exactly one router, found gateway and service"):
        Traffic.model_validate(one | other)
