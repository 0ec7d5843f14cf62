"""Models that cannot run twice, or only one pod more: Replace with its gap, and a capacity without one, both with a warm-up.

Users ask all the time, so that what is lost is counted and not supposed.
"""

from tests.e2e.conftest import Desk
from tests.e2e.served import Served
from tests.e2e.users import Users, all_from, routing_failures, versions
from tests.load import BODY

SETOSA = 0
"""What the model says of `BODY`."""


def _golden(prediction: int) -> dict[str, object]:
    expect = {"json": [{"path": "$.prediction", "equals": prediction}]}
    return {"repeats": 5, "requests": [{"name": "setosa", "path": "/predict", "json": dict(BODY), "expect": expect}]}


def _replacing(prediction: int = SETOSA) -> dict[str, object]:
    steps = [{"weight": 100, "hold": "5s"}]
    return {"strategy": "Replace", "steps": steps, "warmUp": _golden(prediction), "keepFailed": "5s"}


def _most_at_once(model: Served) -> tuple[int, int]:
    """The most pods, and the most versions with pods, that there were at any time, those on their way out counted."""
    living: dict[str, str] = {}
    pods = revisions = 0
    for sight in model.observer.history("Pod"):
        labels = sight.raw["metadata"].get("labels") or {}
        if labels.get("modelrollout.dev/deployment") != model.name:
            continue  # other models live in the same namespace
        if sight.gone:
            living.pop(sight.name, None)
        else:
            living[sight.name] = labels["modelrollout.dev/revision"]
        pods, revisions = max(pods, len(living)), max(revisions, len(set(living.values())))
    return pods, revisions


def test_one_version_takes_the_place_of_another_and_gives_it_back_when_it_answers_wrongly(desk: Desk, model: Served):
    assert desk.info.gateway is not None
    model.apply("1", replicas=1, rollout=_replacing())
    model.healthy("1", seconds=180)
    with Users(f"{desk.info.gateway.url}/predict", model.host, rps=20) as users:
        all_from(desk.observer, users, "1", 60)
        model.apply("2", replicas=1, rollout=_replacing())
        status = model.until(lambda status: status.get("down"), "version 1 is stopped by order", 60)
        assert "Nothing answers" in status["message"]
        model.healthy("2", seconds=180)
        all_from(desk.observer, users, "2", 60)
        first = next(one.at for one in users.answers if one.version == "2")
        last = max(one.at for one in users.answers if one.version == "1")
        assert last < first, "never both"

        # It loads, is healthy, and says something else than is known to be true: no user is to hear that.
        model.apply("3", replicas=1, rollout=_replacing(prediction=2))
        model.taken_back("3", phase="Failed")
        model.until(lambda status: "down" not in status, "version 2 answers again", 120)
        all_from(desk.observer, users, "2", 60)
    assert set(versions(users.report.answers)) <= {"1", "2", ""}
    rejected = model.status["rejected"][-1]
    assert rejected["reason"] == "WarmUpFailed"
    assert "expected 2 at $.prediction, got 0" in rejected["message"]
    pods, revisions = _most_at_once(model)
    assert (pods, revisions) == (1, 1), "one pod at a time, whatever happens"
    assert model.timeline() == [("1", 100), ("2", 100)]
    desk.measured("replace_gap_seconds", round(first - last, 1))


def test_with_one_pod_to_spare_the_weight_follows_the_pods_and_no_request_is_lost(desk: Desk, model: Served):
    assert desk.info.gateway is not None
    steps = [{"weight": 50, "hold": "2s"}]
    rollout = {"steps": steps, "capacity": {"maxSurge": 1}, "warmUp": _golden(SETOSA), "scaleDownDelay": "1s"}
    model.apply("1", replicas=2, rollout=rollout)
    model.healthy("1", seconds=180)
    with Users(f"{desk.info.gateway.url}/predict", model.host, rps=50) as users:
        all_from(desk.observer, users, "1", 60)
        begin = len(users.answers)
        model.apply("2", replicas=2, rollout=rollout)
        model.healthy("2", seconds=240)
        all_from(desk.observer, users, "2", 60)
        answers = users.answers[begin:]
    assert model.timeline() == [("1", 100), ("2", 50), ("2", 100)]
    pods, _ = _most_at_once(model)
    assert pods == 3, "two and the one to spare"
    lost = routing_failures(answers)
    desk.measured("capacity_requests", len(answers))
    desk.measured("capacity_failed_on_the_way", len(lost))
    assert not lost, lost[:5]
