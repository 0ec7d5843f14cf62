"""The names of revisions: a frozen algorithm, and names that fit everywhere."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelrollout.api.errors import SpecError
from modelrollout.rollout.revision import check_name, child_name, identify, inputs, slug, version_of

DNS_1035 = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
CUT_BY_THE_API_SERVER = 58  # what a pod's generated name keeps of `<ReplicaSet>-`

# A change of any of these gives every running version of every user a new name, and with it new pods.
FROZEN = [
    ({"server": {"image": "registry.example.com/fraud:2"}}, "2-deba335d", "2"),
    ({"version": "2.1.0", "server": {"image": "fraud:2.1.0"}}, "2-1-0-9497ba2c", "2.1.0"),
    (
        {
            "version": "2",
            "model": {"name": "fraud", "uri": "s3://models/fraud/2", "format": "sklearn"},
            "server": {"image": "fraud:2", "env": [{"name": "GREETING", "value": "grüß 🦊"}]},
            "template": {"spec": {"nodeSelector": {"pool": "models"}, "terminationGracePeriodSeconds": 60}},
            "replicas": 3,
            "rollout": {"steps": [{"weight": 5}]},
        },
        "2-f16733ca",
        "2",
    ),
]


@pytest.mark.parametrize(("raw", "revision", "version"), FROZEN)
def test_the_algorithm_is_frozen(raw, revision, version):
    found = identify(raw)
    assert (found.revision, found.version) == (revision, version)
    assert found.sha256.startswith(revision.rpartition("-")[2])
    assert len(found.sha256) == 64


def test_the_order_of_keys_and_nulls_say_nothing():
    one = {"version": "2", "server": {"image": "a:2", "port": 80, "args": None}, "model": None}
    other = {"server": {"port": 80, "image": "a:2"}, "version": "2"}
    assert identify(one) == identify(other)


@pytest.mark.parametrize(
    "change",
    [{"replicas": 9}, {"rollout": {"paused": True}}, {"analysis": {"mode": "None"}}, {"service": {"name": "x"}}],
)
def test_what_does_not_shape_pods_does_not_change_the_revision(change):
    raw = {"version": "2", "server": {"image": "a:2"}}
    assert identify(raw | change) == identify(raw)


@pytest.mark.parametrize(
    "change",
    [
        {"version": "3"},
        {"model": {"uri": "s3://b"}},
        {"server": {"image": "a:3"}},
        {"server": {"image": "a:2", "runtime": "FastAPI"}},
        {"template": {"metadata": {"labels": {"a": "b"}}}},
    ],
)
def test_what_shapes_pods_changes_the_revision(change):
    raw = {"version": "2", "server": {"image": "a:2"}}
    assert identify(raw | change).revision != identify(raw).revision


@pytest.mark.parametrize(
    ("image", "version"),
    [
        ("fraud:2", "2"),
        ("registry.example.com:5000/team/fraud:1.4-rc.1", "1.4-rc.1"),
        ("registry.example.com:5000/team/fraud", "latest"),
        ("fraud@sha256:0123456789abcdef", "01234567"),
        ("fraud:7@sha256:0123456789abcdef", "7"),
    ],
)
def test_a_version_comes_from_the_images_tag_or_else_its_digest(image, version):
    assert version_of({"server": {"image": image}}) == version


def test_the_image_may_stand_in_the_template_alone_and_goes_over_the_short_form():
    template = {"spec": {"containers": [{"name": "sidecar", "image": "x:9"}, {"name": "server", "image": "a:3"}]}}
    assert version_of({"template": template}) == "3"
    assert version_of({"server": {"image": "a:2"}, "template": template}) == "3"


@pytest.mark.parametrize(
    "raw", [{}, {"server": {}}, {"template": {"spec": {"containers": [{"name": "main", "image": "a:1"}]}}}]
)
def test_without_an_image_there_is_no_version(raw):
    with pytest.raises(SpecError, match=r"spec\.server\.image: an image is needed"):
        identify(raw)


def test_what_is_kept_are_the_pod_shaping_fields_without_nulls():
    raw = {"version": "2", "server": {"image": "a", "args": None}, "replicas": 3, "template": None}
    assert inputs(raw) == {"version": "2", "server": {"image": "a"}}


@given(st.text(max_size=80))
def test_a_slug_can_stand_in_every_name(version):
    found = slug(version)
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", found)
    assert len(found) <= 11


@given(
    st.from_regex(r"[a-z]([-a-z0-9]{0,34}[a-z0-9])?", fullmatch=True),
    st.from_regex(r"[A-Za-z0-9][-A-Za-z0-9._+]{0,60}[A-Za-z0-9]", fullmatch=True),
)
def test_every_child_name_is_valid_and_every_pods_name_begins_with_it(name, version):
    check_name(name)
    child = child_name(name, identify({"version": version}).revision)
    assert DNS_1035.fullmatch(child)
    assert f"{child}-68dc9f8c7b-"[:CUT_BY_THE_API_SERVER].startswith(f"{child}-")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("x" * 37, "has 37 characters; use at most 36"),
        ("2fraud", "begin with a letter"),
        ("fraud.v2", '"fraud.v2" cannot name a Service'),
        ("fraud-", "end with a letter or digit"),
        ("Fraud", "use a-z"),
    ],
)
def test_a_name_that_children_could_not_bear_is_refused(name, message):
    with pytest.raises(SpecError, match=re.escape(message)) as refused:
        check_name(name)
    assert refused.value.reason == "InvalidSpec"
    assert refused.value.field == "metadata.name"


def test_a_number_is_hashed_as_the_api_server_hands_it_back():
    written = {"version": "2", "template": {"spec": {"x": 1.0}}}
    stored = {"version": "2", "template": {"spec": {"x": 1}}}
    assert identify(written) == identify(stored)
