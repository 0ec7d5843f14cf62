"""When two answers agree, and where in them the prediction is found."""

import json
import re

import pytest

from modelrollout.api.shadow import JSON_PATH
from modelrollout.comparer.agreement import Comparison, Verdict
from modelrollout.comparer.paths import EVERY, Missing, parse, pick, without

AGREE, DISAGREE, INCOMPARABLE = Verdict.AGREE, Verdict.DISAGREE, Verdict.INCOMPARABLE


def judged(stable, candidate, **compare):
    return Comparison.of(compare).judge(stable, candidate)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("", ()),
        ("score", ("score",)),
        ("outputs[0].data", ("outputs", 0, "data")),
        ("predictions[*].score", ("predictions", EVERY, "score")),
        ("[3][*]", (3, EVERY)),
        ("a-b._c", ("a-b", "_c")),
    ],
)
def test_a_path_is_names_and_places(text, path):
    assert parse(text) == path
    assert not text or re.match(JSON_PATH, text)


@pytest.mark.parametrize("text", [".a", "a.", "a..b", "a[]", "a[-1]", "a b", "a.[0]", "$", "a[0]b", "[12345]"])
def test_what_is_no_path_is_refused_here_and_at_apply(text):
    assert not re.match(JSON_PATH, text)
    with pytest.raises(ValueError, match="is no path"):
        parse(text)


def test_a_path_finds_its_values():
    answer = {"predictions": [{"score": 1}, {"score": 2}], "id": None}
    assert pick(answer, parse("predictions[*].score")) == [1, 2]
    assert pick(answer, parse("predictions[1].score")) == [2]
    assert pick(answer, parse("id")) == [None]
    assert pick(answer, ()) == [answer]
    for text in ("predictions[2]", "predictions.score", "id[*]", "nothing", "predictions[*].class"):
        with pytest.raises(Missing):
            pick(answer, parse(text))


def test_what_is_ignored_is_left_out_and_the_answer_stays_as_it_is():
    answer = {"a": [{"t": 1, "v": 2}, {"t": 3, "v": 4}], "took": 5}
    before = json.dumps(answer)
    assert without(answer, [parse("a[*].t"), parse("took"), parse("nothing.there")]) == {"a": [{"v": 2}, {"v": 4}]}
    assert without([1, 2, 3], [parse("[1]")]) == [1, 3]
    assert json.dumps(answer) == before


@pytest.mark.parametrize(
    ("stable", "candidate", "verdict"),
    [
        ({"a": 1}, {"a": 1.0}, AGREE),
        ({"a": 1}, {"a": True}, DISAGREE),
        ({"a": 1}, {"a": 1, "b": 2}, DISAGREE),
        ([1, 2], [2, 1], DISAGREE),
        (None, None, AGREE),
        ("x", None, DISAGREE),
    ],
)
def test_exact_is_the_same_json_value(stable, candidate, verdict):
    assert judged(stable, candidate, method="Exact")[0] is verdict


def test_exact_leaves_out_what_is_ignored():
    one, other = {"score": 1, "took": 3}, {"score": 1, "took": 9}
    assert judged(one, other, method="Exact")[0] is DISAGREE
    assert judged(one, other, method="Exact", ignore=["took"])[0] is AGREE


@pytest.mark.parametrize(
    ("stable", "candidate", "tolerance", "verdict", "delta"),
    [
        (1.0, 1.01, "0.02", AGREE, 0.01),
        (1.0, 1.03, "0.02", DISAGREE, 0.03),
        (100, 101, "1%", AGREE, 1.0),
        (-100, -102, "1%", DISAGREE, 2.0),
        (0, 0.1, "1%", DISAGREE, 0.1),
        ([[1, 2], [3]], [[1, 2.5], [3]], "0.5", AGREE, 0.5),
        ([1, 2], [1, 2, 3], "9", DISAGREE, None),
        (1, "1", "9", DISAGREE, None),
        ("1", 1, "9", INCOMPARABLE, None),
        (1, float("nan"), "9", DISAGREE, None),
    ],
)
def test_numbers_agree_within_the_tolerance(stable, candidate, tolerance, verdict, delta):
    found = judged(stable, candidate, method="Tolerance", tolerance=tolerance)
    assert found[0] is verdict
    assert found[1] == (delta if delta is None else pytest.approx(delta))


@pytest.mark.parametrize(
    ("stable", "candidate", "verdict"),
    [
        ("cat", "cat", AGREE),
        ("cat", "dog", DISAGREE),
        (3, 3, AGREE),
        ([0.1, 0.9], [0.4, 0.6], AGREE),
        ([0.1, 0.9], [0.6, 0.4], DISAGREE),
        ({"cat": 0.9, "dog": 0.1}, {"dog": 0.2, "cat": 0.8}, AGREE),
        ({"cat": 0.9}, ["cat"], DISAGREE),
        ([], "cat", INCOMPARABLE),
        (None, "cat", INCOMPARABLE),
    ],
)
def test_a_label_is_a_class_or_the_one_with_the_highest_score(stable, candidate, verdict):
    assert judged(stable, candidate, method="Label")[0] is verdict


@pytest.mark.parametrize(
    ("stable", "candidate", "k", "verdict"),
    [
        (["a", "b", "c"], ["b", "a", "d"], 2, AGREE),
        (["a", "b", "c"], ["b", "c", "a"], 2, DISAGREE),
        ([0.5, 0.3, 0.2], [0.3, 0.5, 0.2], 2, AGREE),
        ({"a": 3, "b": 2, "c": 1}, {"c": 3, "b": 2, "a": 1}, 1, DISAGREE),
        ({"a": 3, "b": 2}, {"a": 1, "b": 2}, 9, AGREE),
        ("a", ["a"], 1, INCOMPARABLE),
    ],
)
def test_the_first_k_classes_are_the_same_in_any_order(stable, candidate, k, verdict):
    assert judged(stable, candidate, method="TopK", k=k)[0] is verdict


def test_every_element_has_to_agree_and_there_must_be_as_many():
    one = {"p": [{"l": "a"}, {"l": "b"}]}
    assert judged(one, {"p": [{"l": "a"}, {"l": "b"}]}, method="Label", path="p[*].l")[0] is AGREE
    assert judged(one, {"p": [{"l": "a"}, {"l": "c"}]}, method="Label", path="p[*].l")[0] is DISAGREE
    assert judged(one, {"p": [{"l": "a"}]}, method="Label", path="p[*].l")[0] is DISAGREE
    assert judged({"p": []}, one, method="Label", path="p[*].l")[0] is INCOMPARABLE


def test_a_prediction_that_stable_does_not_give_says_nothing_of_the_candidate():
    assert judged({"error": "x"}, {"score": 1}, method="Exact", path="score")[0] is INCOMPARABLE
    assert judged({"score": 1}, {"error": "x"}, method="Exact", path="score")[0] is DISAGREE


def test_an_unknown_method_is_refused():
    with pytest.raises(ValueError, match="Fuzzy"):
        Comparison.of({"method": "Fuzzy"})
