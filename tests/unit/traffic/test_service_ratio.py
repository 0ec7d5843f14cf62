"""Traffic by the number of pods behind the entry Service."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelrollout.api.settings import Settings
from modelrollout.rollout.capacity import share
from modelrollout.traffic.base import RouteIntent
from modelrollout.traffic.routers import router_for
from modelrollout.traffic.service_ratio import ServiceRouter, check, effective, lowest_share, observe, shares
from modelrollout.workload.render import accept

ROUTER = ServiceRouter()
SETTINGS = Settings.model_validate({"providers": [{"url": "http://prometheus:9090"}]})

FULL = st.integers(1, 60)
MIXED = st.integers(1, 9_999)


@given(MIXED, FULL)
def test_neither_side_has_fewer_pods_than_its_share_needs_or_more_than_it_had(weight, full):
    stable, candidate, _ = shares(weight, full)
    assert max(1, math.ceil(full * weight / 10_000)) <= candidate <= full
    assert math.ceil(full * (10_000 - weight) / 10_000) <= stable <= full


@given(MIXED, st.integers(1, 15))
def test_no_other_pair_within_capacity_comes_nearer(weight, full):
    *_, reached = shares(weight, full)
    pairs = [
        (stable, candidate)
        for stable in range(max(1, math.ceil(full * (10_000 - weight) / 10_000)), full + 1)
        for candidate in range(max(1, math.ceil(full * weight / 10_000)), full + 1)
    ]
    assert abs(reached - weight) == min(abs(share(*pair) - weight) for pair in pairs)


@given(MIXED, FULL)
def test_no_share_is_below_the_lowest(weight, full):
    assert shares(weight, full)[2] >= lowest_share(full)


@pytest.mark.parametrize(("full", "lowest"), [(1, 5000), (2, 3333), (3, 2500), (9, 1000), (99, 100)])
def test_the_lowest_share_is_one_pod_beside_all_of_stables(full, lowest):
    assert lowest_share(full) == lowest
    assert abs(shares(1, full)[2] - lowest) <= 1


def test_no_pods_make_no_share():
    with pytest.raises(ValueError, match="a share needs pods, found 0"):
        lowest_share(0)


@given(st.dictionaries(st.text("abc", min_size=1, max_size=3), st.integers(0, 500), min_size=1, max_size=6))
def test_shares_by_pods_add_up_and_are_off_by_less_than_a_hundredth_of_a_percent(pods):
    found = effective(pods)
    total = sum(pods.values())
    if not total:
        assert found == {}
        return
    assert sum(found.values()) == 10_000
    assert all(abs(found[name] - count * 10_000 / total) < 1 for name, count in pods.items())


def plan(weights, **fields):
    raw = {
        "server": {"image": "a:1"},
        "rollout": {"steps": [{"weight": weight} for weight in weights]},
        "traffic": {"service": {"coarse": "Accept"}},
    } | fields
    return accept(raw, SETTINGS, "fraud").plan


@given(st.lists(st.integers(1, 100), min_size=1, max_size=5), st.integers(1, 30))
def test_exactly_the_steps_below_the_lowest_share_are_refused(weights, replicas):
    accepted = plan(sorted(weights), replicas=replicas)
    assert check(accepted) is None, "coarse steps are accepted"
    strict = type(accepted)(steps=accepted.steps, replicas=replicas, text='{"rollout":{"steps":[]}}')
    refusal = check(strict)
    if min(weights) * 100 < lowest_share(replicas):
        assert refusal is not None
        assert refusal.field == "spec.rollout.steps[0].weight"
        # The number of pods that the message names is enough, and one fewer is not.
        needed = int(refusal.message.partition("at least ")[2].split()[0])
        assert lowest_share(needed) <= min(weights) * 100
        assert lowest_share(needed - 1) > min(weights) * 100
    else:
        assert refusal is None


def test_the_entry_service_selects_those_that_have_a_share(owner, records):
    first, second = records

    def selector(weights):
        (service,) = ROUTER.build(RouteIntent(owner, weights, records))
        return service["spec"]["selector"]

    assert selector({first: 10_000, second: 0})["modelrollout.dev/revision"] == first
    assert selector({first: 0, second: 10_000})["modelrollout.dev/revision"] == second
    assert selector({first: 6000, second: 4000}) == {"modelrollout.dev/deployment": "fraud"}


def test_what_was_built_is_read_back(owner, records):
    first, second = records
    for weights, pods, seen in (
        ({first: 10_000, second: 0}, {first: 3, second: 1}, {first: 10_000}),
        ({first: 7500, second: 2500}, {first: 3, second: 1}, {first: 7500, second: 2500}),
        ({first: 7500, second: 2500}, {}, {}),
    ):
        (service,) = ROUTER.build(RouteIntent(owner, weights, records))
        view = ROUTER.observe(service, pods)
        assert (view.exists, view.weights, view.accepted) == (True, seen, True)


def test_a_service_that_leads_nowhere_carries_nothing(owner):
    (service,) = ROUTER.build(RouteIntent(owner, {}, {}))
    assert observe(service, {"1-aaaaaaaa": 3}).weights == {}


def test_a_selector_of_somebody_elses_making_has_no_weights():
    for selector in (None, {}, {"app": "x"}, {"modelrollout.dev/deployment": "fraud", "app": "x"}):
        view = observe({"metadata": {"name": "fraud"}, "spec": {"selector": selector}}, {})
        assert (view.weights, view.accepted) == (None, False)
        assert view.problem


def test_an_entry_service_that_does_not_exist_says_so():
    assert ROUTER.observe(None, {}).problem == "the entry Service does not exist yet"


def test_without_a_gateway_the_service_is_the_router():
    assert router_for(None).name == "Service"
    assert not router_for(None).capabilities.header_match
