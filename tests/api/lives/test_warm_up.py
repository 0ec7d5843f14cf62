"""Golden requests: what right, wrong and missing answers do to a candidate, and what a restart makes of them."""

import pytest

from tests.harness.golden import Golden
from tests.harness.life import steadily

WARM_UP = {
    "timeout": "5s",
    "requests": [
        {"name": "known", "path": "/predict", "expect": {"json": [{"path": "$.label", "equals": "fraud"}]}},
    ],
}


@pytest.fixture
def golden():
    with Golden() as found:
        yield found


def fields(golden, **rollout):
    return golden.fields() | {"rollout": {"warmUp": WARM_UP} | rollout}


def warm(life):
    return ((life.status.get("rollout") or {}).get("warmUp") or {}).get("warm", 0)


def test_each_pod_answers_before_it_counts_and_a_pod_that_comes_later_too(life, golden):
    life.begin("1", **fields(golden))
    assert len(golden.asked) >= 1, "a first version is asked, too"
    golden.asked.clear()
    life.apply("2", **fields(golden))
    life.waits("tenth")
    assert (len(golden.asked), warm(life)) == (1, 1)
    life.accepted("Approve", "tenth")
    life.waits("half")
    life.accepted("Approve", "half")
    life.healthy("2")
    assert golden.asked == ["/predict"] * 2, "each of the two pods once"
    assert life.timeline() == [("1", 100), ("2", 10), ("2", 50), ("2", 100)]


def test_a_wrong_answer_rejects_before_any_user_has_met_it(life, golden):
    life.begin("1")
    golden.body = '{"label": "\\u001b[31mfine"}'
    life.apply("2", **fields(golden))
    life.taken_back("2", phase="Failed")
    life.reason("WarmUpFailed")
    assert "expected fraud at $.label, got \\u001b[31mfine" in life.message
    assert life.timeline() == [("1", 100)]
    assert life.outcomes()[-1] == ("2", "Failed")
    golden.body = '{"label": "fraud"}'
    life.accepted("Retry", revision=life.revision("2"))
    life.waits("tenth")


def test_no_answer_holds_until_the_load_deadline(life, golden):
    life.begin("1")
    golden.gone()
    life.apply("2", **fields(golden, loadDeadline="20s"))
    life.reason("WarmUpUnanswered")
    assert life.status["phase"] == "WarmingUp"
    steadily(life, lambda: life.timeline() == [("1", 100)], 3, "no weight")
    golden.back()
    life.waits("tenth")
    golden.gone()
    life.apply("3", **fields(golden, loadDeadline="8s"))
    life.taken_back("3", phase="Failed")
    life.reason("ModelLoadFailed")
    assert "no connection" in life.message


def test_an_operator_that_is_killed_loses_no_answer_and_skips_none(life, golden):
    life.begin("1", **fields(golden))
    golden.asked.clear()
    golden.held.clear()
    life.apply("2", **fields(golden))
    life.observer.until(lambda: golden.asked, "a pod is asked")
    life.operator.kill()
    golden.held.set()
    life.operator.start(wait=False)
    life.waits("tenth")
    assert len(golden.asked) == 2, "the answer that nobody took is asked for again"
    life.operator.kill()
    life.operator.start(wait=False)
    life.accepted("Approve", "tenth")
    life.waits("half")
    life.accepted("Approve", "half")
    life.healthy("2")
    assert len(golden.asked) == 3, "the pod that stood on record was not asked again"


def test_an_edit_to_another_strategy_and_other_requests_in_mid_rollout(life, golden):
    life.begin("1", **fields(golden))
    life.apply("2", **fields(golden))
    life.waits("tenth")
    golden.asked.clear()
    other = WARM_UP | {"requests": [{"name": "other", "path": "/other"}]}
    switch = {"strategy": "BlueGreen", "steps": [{"weight": 0, "advance": "Approval"}, {"weight": 100, "hold": "1h"}]}
    life.apply("2", **fields(golden, **switch, warmUp=other))
    life.waits("preview")
    life.accepted("Approve", "preview")
    life.carries(v2=100)
    assert set(golden.asked) == {"/other"}
