"""What counts as the expected answer, and what is said of any other."""

import json

import pytest

from modelrollout.api.warmup import GoldenRequest
from modelrollout.warmup.answers import SHOWN, complaint, equal, shown


def asked(**expect):
    return GoldenRequest.model_validate({"name": "g", "path": "/predict", "expect": expect})


def told(answer, code=200, /, **expect):
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    return complaint(asked(**expect), code, body)


def one(path, **fields):
    return {"json": [{"path": path, **fields}]}


def test_a_status_of_200_is_expected_unless_another_is_named():
    assert told({}) == ""
    assert told({"detail": "no model"}, 500) == 'expected status 200, got 500: {"detail": "no model"}'
    assert told({}, 404, status=404) == ""
    assert told({}, 200, status=404).startswith("expected status 404, got 200")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("$.predictions[0].label", "cat"),
        ("predictions[0].label", "cat"),
        ("predictions[1].score", 0.25),
        ("$.predictions[1]", {"label": "dog", "score": 0.25}),
        ("$", {"predictions": [{"label": "cat"}, {"label": "dog", "score": 0.25}]}),
    ],
)
def test_a_path_leads_to_a_value(path, value):
    answer = {"predictions": [{"label": "cat"}, {"label": "dog", "score": 0.25}]}
    assert told(answer, **one(path, equals=value)) == ""


def test_what_is_missing_is_told_with_what_came():
    assert told({"a": 1}, **one("b")) == 'expected something at b, got {"a": 1}'
    assert told([1], **one("$[3]")) == "expected something at $[3], got [1]"
    assert told({"b": False}, **one("b")) == ""


def test_numbers_may_differ_by_the_tolerance_and_no_more():
    near = one("score", equals=0.2, tolerance="0.1")
    assert told({"score": 0.1 + 0.2}, **near) == ""
    assert told({"score": 0.1}, **near) == ""
    assert told({"score": 0.31}, **near) == "expected 0.2 ± 0.1 at score, got 0.31"
    assert told({"score": "0.2"}, **near) != ""
    assert told({"score": [1, 2.01]}, **one("score", equals=[1, 2], tolerance="0.02")) == ""
    assert told(b'{"score": NaN}', **near) != ""
    assert told(b'{"score": 1e999}', **near) != ""


def test_true_is_no_number_and_a_list_of_other_length_no_equal():
    assert not equal(1, True, 0.0)
    assert not equal(False, 0, 1.0)
    assert not equal([1], [1, 1], 0.0)
    assert not equal({"a": 1}, {"a": 1, "b": 2}, 0.0)
    assert equal({"a": [None, 1]}, {"a": [None, 1.0]}, 0.0)
    assert not equal(1, 10**400, 1.0)


def test_text_is_compared_without_the_white_space_at_its_ends():
    assert told(b"  pong\n", body="pong") == ""
    assert told(b"ping", body="pong") == "expected pong, got ping"


@pytest.mark.parametrize("answer", [b"<html>", b"", b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_json_is_told_as_that(answer):
    assert told(answer, **one("$")).startswith("expected JSON, got")


def test_foreign_text_is_cut_and_escaped():
    text = shown(b"\x1b[31mred\x00\nnext\xe2\x80\xae" + b"x" * 500)
    assert len(text) <= SHOWN
    assert text.isprintable()
    assert "\\u001b[31mred\\u0000\\nnext\\u202e" in text
    assert shown(b"") == "nothing"
