"""Pods are found by their names, however long the name of the Deployment is."""

import re

from hypothesis import given
from hypothesis import strategies as st

from modelrollout.metrics.pod_names import expression, owners

DEPLOYMENTS = st.from_regex(r"[a-z][a-z0-9]{0,8}(-[a-z0-9]{1,9}){0,5}-[0-9a-f]{8}", fullmatch=True).filter(
    lambda name: len(name) <= 57
)
HASHES = st.from_regex(r"[bcdfghjklmnpqrstvwxz2456789]{5,10}", fullmatch=True)
RANDOMS = st.from_regex(r"[bcdfghjklmnpqrstvwxz2456789]{5}", fullmatch=True)
LONGEST = "m" * 36 + "-12345678901-981b4742"


def named(deployment, digits, random):
    """As the ReplicaSet controller and the API server do (names.SimpleNameGenerator)."""
    return f"{deployment}-{digits}-"[:58] + random


@given(DEPLOYMENTS, HASHES, RANDOMS)
def test_a_pod_is_found_by_the_name_of_its_deployment(deployment, digits, random):
    pod = named(deployment, digits, random)
    assert deployment in owners(pod)
    assert re.fullmatch(expression([deployment]), pod)
    assert re.fullmatch(expression([deployment, "other"]), pod)


@given(DEPLOYMENTS, DEPLOYMENTS, HASHES, RANDOMS)
def test_it_belongs_to_one_of_two(one, other, digits, random):
    pod = named(one, digits, random)
    assert one == other or next(name for name in owners(pod) if name in {one, other}) == one


def test_the_longest_name_leaves_room_for_the_random_part_only():
    assert len(LONGEST) == 57
    pod = named(LONGEST, "6d4b75cb6d", "x7k2p")
    assert pod == f"{LONGEST}-x7k2p"
    assert owners(pod)[0] == LONGEST


def test_a_short_name_is_no_prefix_of_others():
    assert not re.fullmatch(expression(["fraud-1"]), "fraud-1-2de91397-6d4b75cb6d-x7k2p")
    assert owners("fraud-1-2de91397-6d4b75cb6d-x7k2p") == ("fraud-1-2de91397",)
