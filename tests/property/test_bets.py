"""The judge's arithmetic obeys its laws, and each law rejects the arithmetic that is wrong in its way."""

import base64
import zlib
from math import inf, isnan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelrollout.analysis.certificate import BETTER, Certificate
from modelrollout.analysis.evidence import RATES, SLOWNESS, Evidence, Question
from modelrollout.analysis.state import decode, encode
from modelrollout.analysis.window import Counts
from tests.property import bets, bets_faults, bets_of_pods
from tests.property.bets import Maths, Violation

BY_NAME = {law.__name__: law for law in (*bets.LAWS, *bets_of_pods.LAWS)}
FAULTS = bets_faults.FAULTS | bets_of_pods.FAULTS


@pytest.mark.parametrize("law", BY_NAME)
def test_the_arithmetic_obeys(law):
    BY_NAME[law](Maths())


@pytest.mark.parametrize("fault", FAULTS)
def test_arithmetic_is_rejected_in_which(fault):
    law, wrong = FAULTS[fault]
    with pytest.raises(Violation) as caught:
        BY_NAME[law](wrong)
    assert caught.value.law == law


def test_every_law_has_a_planted_fault():
    assert {law for law, _ in FAULTS.values()} == set(BY_NAME)


@st.composite
def counts(draw):
    requests = draw(st.one_of(st.integers(0, 50), st.integers(0, 10**9)))
    return Counts(requests, draw(st.integers(0, requests)))


questions = st.builds(
    Question,
    st.sampled_from([RATES, SLOWNESS]),
    st.sampled_from([None, 0.5, 1.0, 1.2, 10.0]),
    st.sampled_from([0.0001, 0.001, 0.3, 1.0]),
)
histories = st.lists(st.tuples(counts(), counts()), max_size=12)


@settings(max_examples=150, deadline=None)
@given(questions, histories, st.integers(1, 20), st.floats(1.0, 50.0), st.integers(0, 12))
def test_a_restart_in_between_changes_no_digit(question, history, planned, effect, at):
    held, certificate = Evidence.begin(len(question.alternatives)), Certificate.begin()
    restarted = decode(encode(held, certificate))
    for number, (candidate, stable) in enumerate(history):
        gains = question.increments(candidate, stable)
        terms = {"margin": question.margin, "floor": question.floor, "effect": effect}
        held = held.after(gains, planned=planned, effect=effect)
        certificate = certificate.after(candidate, stable, **terms)
        evidence, approval = restarted
        restarted = (
            evidence.after(gains, planned=planned, effect=effect),
            approval.after(candidate, stable, **terms),
        )
        if number == at:
            restarted = decode(encode(*restarted))
        assert restarted == (held, certificate)
        assert max(held.log_value, certificate.log_value) < float("inf")


def sealed(data):
    return "1." + base64.urlsafe_b64encode(zlib.crc32(data).to_bytes(4, "big") + data).decode().rstrip("=")


parts = st.tuples(st.sampled_from([b"E", b"C", b"X"]), st.integers(0, 3), st.binary(max_size=80)).map(
    lambda part: part[0] + bytes([part[1]]) + part[2]
)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(max_size=80).map(lambda text: "1." + text), parts.map(sealed)))
def test_what_was_not_recorded_is_refused_or_sound(text):
    try:
        found = decode(text)
    except ValueError:
        return
    for part in found:
        value = part.log_value
        assert not isnan(value)
        assert value < inf


RECORD = encode(Evidence.begin(7), Certificate.begin(), Evidence(0.1, 17, (1.0, -2.5)))


def test_a_record_that_was_cut_anywhere_is_refused():
    for length in range(len(RECORD)):
        with pytest.raises(ValueError, match="recorded evidence"):
            decode(RECORD[:length])


@settings(max_examples=100, deadline=None)
@given(st.integers(2, len(RECORD) - 2), st.sampled_from("AZaz09-_ .é"))
def test_a_record_that_was_damaged_is_refused(at, sign):
    damaged = RECORD[:at] + sign + RECORD[at + 1 :]
    if damaged != RECORD:
        with pytest.raises(ValueError, match="recorded evidence"):
            decode(damaged)


def test_certificates_have_four_alternatives_a_half():
    assert (len(Certificate.begin().ratio), len(Certificate.begin().absolute)) == (len(BETTER), len(BETTER))
