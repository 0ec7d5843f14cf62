"""Laying a person's template over the short form."""

import copy

from hypothesis import given
from hypothesis import strategies as st

from modelrollout.workload.merge import merge

SCALARS = st.one_of(st.integers(), st.text(max_size=5), st.booleans())
NAMES = st.sampled_from(["a", "b", "c", "d"])
NAMED = st.lists(st.fixed_dictionaries({"name": NAMES, "x": SCALARS}), max_size=4, unique_by=lambda item: item["name"])
TREES = st.recursive(
    SCALARS | st.lists(SCALARS, max_size=3), lambda below: st.dictionaries(NAMES, below, max_size=4), max_leaves=12
)
MAPS = st.dictionaries(NAMES, TREES, max_size=4)


@given(MAPS, MAPS)
def test_nothing_that_was_handed_over_is_changed(base, overlay):
    before = copy.deepcopy((base, overlay))
    merge(base, overlay)
    assert (base, overlay) == before


@given(MAPS)
def test_laying_nothing_over_it_or_itself_changes_nothing(tree):
    assert merge(tree, {}) == tree
    assert merge(tree, None) == tree
    assert merge(tree, tree) == tree


def leaves(tree, path=()):
    if isinstance(tree, dict) and tree:
        for name, below in tree.items():
            yield from leaves(below, (*path, name))
    elif not isinstance(tree, dict):
        yield path, tree


def at(tree, path):
    for name in path:
        tree = tree[name]
    return tree


@given(MAPS, MAPS)
def test_everything_that_the_person_wrote_is_there(base, overlay):
    merged = merge(base, overlay)
    assert all(at(merged, path) == value for path, value in leaves(overlay))


@given(MAPS, MAPS)
def test_fields_that_the_person_did_not_name_stay(base, overlay):
    merged = merge(base, overlay)
    assert all(merged[name] == value for name, value in base.items() if name not in overlay)


@given(MAPS, MAPS)
def test_laying_it_over_twice_is_laying_it_over_once(base, overlay):
    once = merge(base, overlay)
    assert merge(once, overlay) == once


@given(NAMED, NAMED)
def test_named_things_are_merged_by_name_and_keep_their_order(base, overlay):
    for field in ("containers", "env", "volumes"):
        merged = merge({field: base}, {field: overlay})[field]
        names = [item["name"] for item in merged]
        added = [item["name"] for item in overlay if item["name"] not in {known["name"] for known in base}]
        assert names == [item["name"] for item in base] + added
        assert all(item in merged for item in overlay)


def test_a_variable_is_replaced_whole_since_it_has_one_source():
    base = {"env": [{"name": "KEY", "value": "x"}]}
    overlay = {"env": [{"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]}
    assert merge(base, overlay) == overlay


def test_mounts_are_merged_by_their_path():
    base = {"volumeMounts": [{"name": "m", "mountPath": "/models"}]}
    overlay = {
        "volumeMounts": [{"name": "m", "mountPath": "/models", "readOnly": True}, {"name": "t", "mountPath": "/t"}]
    }
    assert merge(base, overlay) == overlay


def test_a_port_is_the_same_by_name_or_else_by_number():
    base = {"ports": [{"name": "http", "containerPort": 8000, "protocol": "TCP"}]}
    assert merge(base, {"ports": [{"name": "http", "containerPort": 9000}]})["ports"] == [
        {"name": "http", "containerPort": 9000, "protocol": "TCP"}
    ]
    assert merge(base, {"ports": [{"name": "web", "containerPort": 8000}]})["ports"] == [
        {"name": "web", "containerPort": 8000, "protocol": "TCP"}
    ]
    assert len(merge(base, {"ports": [{"name": "grpc", "containerPort": 8001}]})["ports"]) == 2


def test_lists_without_names_are_replaced():
    assert merge({"args": ["a", "b"]}, {"args": ["c"]}) == {"args": ["c"]}
