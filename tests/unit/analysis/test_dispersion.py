"""The design effect of histories whose answer is known."""

import random

import pytest

from modelrollout.analysis.dispersion import Effect, design_effect
from modelrollout.analysis.window import Counts

PODS = tuple("abcde")


def history(rate, steps=360, pods=PODS, requests=200, seed=1):
    """Independent errors with `rate(step, pod)`."""
    dice = random.Random(seed)
    return [
        {pod: Counts(requests, sum(dice.random() < rate(step, pod) for _ in range(requests))) for pod in pods}
        for step in range(steps)
    ]


def test_independent_errors_need_no_correction():
    assert design_effect(history(lambda *_: 0.01), 60.0) == Effect(1.0, "stable's pods differ no more than by chance")


def test_incidents_of_all_pods_at_once_need_no_correction():
    assert design_effect(history(lambda step, _: 0.2 if step % 30 < 5 else 0.005), 60.0).value == 1.0


def test_errors_in_clumps_of_a_fixed_size_have_the_effect_of_that_size():
    clumps = [
        {pod: Counts(8 * one.requests, 8 * one.bad) for pod, one in step.items()}
        for step in history(lambda *_: 0.002, requests=100)
    ]
    found = design_effect(clumps, 60.0)
    assert found.value == pytest.approx(8.0, rel=0.25)
    assert found.note.startswith("stable's pods differ ")


def test_bursts_of_one_pod_show_in_blocks_of_their_length():
    found = design_effect(history(lambda step, pod: 0.03 if step // 5 % 5 == PODS.index(pod) else 0.005), 60.0)
    assert found.value > 2.0
    assert found.note.endswith("in blocks of 5 min")


def test_a_pod_that_is_always_worse_shows_in_the_longest_blocks():
    found = design_effect(history(lambda _, pod: 0.05 if pod == "a" else 0.005), 60.0)
    assert found.note.endswith("in blocks of 60 min")
    assert found.large


@pytest.mark.parametrize(
    ("counts", "why"),
    [
        ([], "stable has no history"),
        ([{}, {"a": Counts(0, 0), "b": Counts(0, 0)}], "stable has no history"),
        ([{"a": Counts(100, 50)}] * 60, "stable has had only one pod"),
        ([{"a": Counts(100, 0), "b": Counts(100, 0)}] * 60, "stable's history has no bad events"),
        ([{"a": Counts(100, 4), "b": Counts(100, 0)}], "stable's history has only 4 bad events"),
        (
            [{"a": Counts(100, 9)}] * 2 + [{}] * 58 + [{"b": Counts(100, 9)}],
            "stable's pods never served at the same time",
        ),
    ],
)
def test_where_history_does_not_tell_two_is_assumed_and_said(counts, why):
    assert design_effect(counts, 60.0) == Effect(2.0, f"assumed: {why}")


def test_all_requests_bad_is_no_difference():
    bad = [{"a": Counts(10, 10), "b": Counts(10, 10)}] * 10
    assert design_effect(bad, 60.0).value == 2.0


def test_a_history_is_read_once_and_may_be_a_stream():
    listed = history(lambda *_: 0.03, steps=70)
    assert design_effect(iter(listed), 15.0) == design_effect(listed, 15.0)
