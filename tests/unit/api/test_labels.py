"""Label selectors mean what they mean to the API server."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelrollout.api.labels import LONGEST, LabelSelector

RISK = {"team": "risk", "shard": "a", "example.com/tier": ""}


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("", True),
        (" ", True),
        ("shard=a", True),
        ("shard == a", True),
        (" shard=a\n", True),
        ("shard=b", False),
        ("zone=a", False),
        ("shard!=b", True),
        ("shard!=a", False),
        ("zone!=a", True),
        ("team", True),
        ("zone", False),
        ("!zone", True),
        ("! team", False),
        ("team in (ads, risk)", True),
        ("team in(ads)", False),
        ("zone in (ads)", False),
        ("team notin (ads)", True),
        ("team notin (ads,risk)", False),
        ("zone notin (ads)", True),
        ("example.com/tier=", True),
        ("example.com/tier in (gold,)", True),
        ("team=", False),
        ("team in (ads,risk),shard=a,!zone", True),
        ("team in (ads,risk),shard=b,!zone", False),
        ("in=a", False),
        ("notin notin (in)", True),
    ],
)
def test_a_selector_matches_as_on_the_server(text, matches):
    assert LabelSelector.parse(text).matches(RISK) is matches


@pytest.mark.parametrize(
    "text",
    [
        "shard a",
        "shard=a b",
        "shard=a,",
        ",shard=a",
        "shard=a;team=b",
        "shard==!a",
        "shard===a",
        "shard in a",
        "shard in (a",
        "shard in (a))",
        "shard in ((a))",
        "(a)",
        "!",
        "!shard=a",
        "shard>1",
        "-shard=a",
        "shard-=a",
        "shard=-a",
        f"shard={'a' * 64}",
        f"{'a' * 64}",
        "EXAMPLE.com/shard=a",
        "a/b/c=d",
        "shard=ä",
        "shard=a\u00a0",
        "a..b/shard=a",
        "shard=a&limit=1",
    ],
)
def test_what_the_server_would_refuse_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match=r"shard=a or team in \(risk, fraud\)"):
        LabelSelector.parse(text)


def test_a_selector_that_no_address_could_carry_is_refused():
    with pytest.raises(ValueError, match="at most 2000 characters"):
        LabelSelector.parse(",".join(["shard=a"] * LONGEST))


NAMES = st.sampled_from(["team", "shard", "example.com/tier"])
VALUES = st.sampled_from(["", "a", "b", "a.b-c_D"])


@given(labels=st.dictionaries(NAMES, VALUES), name=NAMES, values=st.lists(VALUES, min_size=1))
def test_a_term_and_its_opposite_divide_all_objects(labels, name, values):
    listed = ", ".join(values)
    pairs = [
        (f"{name}={values[0]}", f"{name}!={values[0]}"),
        (f"{name} in ({listed})", f"{name} notin ({listed})"),
        (name, f"!{name}"),
    ]
    for term, opposite in pairs:
        assert LabelSelector.parse(term).matches(labels) is not LabelSelector.parse(opposite).matches(labels)


@given(text=st.text(alphabet="ab=!,() in<>/.-\n", max_size=30), labels=st.dictionaries(NAMES, VALUES))
def test_any_text_is_read_or_refused(text, labels):
    try:
        found = LabelSelector.parse(text)
    except ValueError:
        return
    assert found.matches(labels) in {True, False}
