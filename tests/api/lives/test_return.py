"""Ways back: aborted, undone, replaced, reverted, and tried again."""

import pytest

from tests.harness.life import conditions

GOOD, BAD = True, False


def test_an_abort_takes_all_traffic_back_and_leaves_one_pod_for_its_logs(life):
    life.begin("1")
    stable = life.pods("1").keys()
    life.apply("2", rollout={"keepFailed": "2s"})
    life.waits("tenth")
    life.accepted("Approve", "tenth")
    life.waits("half")
    life.accepted("Abort", reason="customers complain")
    status = life.taken_back("2")
    life.carries(v1=100)
    assert life.pods("1").keys() == stable
    assert conditions(status)["Stalled"]["status"] == "True"
    assert conditions(status)["Available"]["status"] == "True"
    assert status["desired"]["state"] == "Rejected"
    assert "alice: customers complain" in life.message
    assert life.outcomes()[-1] == ("2", "Aborted")
    life.pods_are("2", 0)
    life.until(lambda status: len(status["revisions"]) == 1, "the rejected version is gone")


@pytest.mark.parametrize("way", ["command", "attempt"])
def test_a_rejected_version_that_is_tried_again_starts_at_its_first_step(life, way):
    life.begin("1")
    life.apply("2")
    life.waits("tenth")
    life.accepted("Approve", "tenth")
    life.waits("half")
    life.accepted("Abort")
    life.taken_back("2")
    if way == "command":
        life.accepted("Retry", revision=life.revision("2"))
    else:
        life.edit(rollout={"attempt": 1})
    life.waits("tenth")
    assert life.status["rejected"] == []
    life.accepted("Approve", "tenth")
    life.waits("half")
    life.accepted("Approve", "half")
    life.healthy("2")
    assert [weight for slug, weight in life.timeline() if slug == "2"] == [10, 50, 0, 10, 50, 100]


def test_nothing_but_a_retry_revives_a_rejected_version(life):
    life.begin("1")
    life.apply("2")
    life.waits("tenth")
    life.accepted("Abort")
    life.taken_back("2")
    life.apply("2", steps=[{"weight": 20}])
    life.sentinel()
    life.taken_back("2")
    life.apply("1")
    life.healthy("1")
    life.apply("2")
    life.until(lambda status: status["desired"]["state"] == "Rejected", "it is still rejected")
    life.taken_back("2")
    assert "kubectl modelrollout retry fraud" in life.message
    assert [weight for slug, weight in life.timeline() if slug == "2"] == [10, 0]


def test_undo_goes_back_to_the_former_version_at_once_and_rejects_the_new_one(life):
    life.begin("1")
    former = life.pods("1").keys()
    life.promote("2")
    life.accepted("Undo", reason="wrong features")
    life.taken_back("2")
    life.carries(v1=100)
    assert life.pods("1").keys() == former
    assert life.timeline()[-1] == ("1", 100)
    assert "rejected" in life.status["desired"]["state"].lower()
    assert "no earlier version" in life.refused("Undo")


def test_undo_brings_a_version_back_whose_pods_are_gone(life):
    life.begin("1", rollout={"scaleDownDelay": "0s"})
    life.promote("2", rollout={"scaleDownDelay": "0s"})
    life.until(lambda status: len(status["revisions"]) == 1, "the former version is gone")
    gone = life.deployment("1")
    template = next(one.raw["spec"]["template"] for one in life.observer.history("Deployment", gone))
    life.accepted("Undo")
    life.taken_back("2")
    life.carries(v1=100)
    assert life.observer.now("Deployment", gone)["spec"]["template"] == template


def test_reverting_in_mid_rollout_withdraws_the_candidate_and_restarts_nothing(life):
    life.begin("1")
    stable = life.pods("1").keys()
    life.apply("2")
    life.waits("tenth")
    life.accepted("Approve", "tenth")
    life.waits("half")
    life.apply("1")
    life.healthy("1")
    life.carries(v1=100)
    assert life.pods("1").keys() == stable
    assert life.outcomes()[-1] == ("2", "Superseded")
    assert life.status["rejected"] == []
    life.apply("2")
    life.waits("tenth")


def test_a_third_version_replaces_a_candidate_that_has_traffic(life):
    life.begin("1")
    life.apply("2")
    life.waits("tenth")
    life.apply("3")
    life.waits("tenth")
    life.carries(v1=90, v3=10)
    assert life.outcomes() == [("1", "Promoted"), ("2", "Superseded")]
    assert life.timeline() == [("1", 100), ("2", 10), ("2", 0), ("3", 10)]
    for step in ("tenth", "half"):
        life.waits(step)
        life.accepted("Approve", step)
    life.healthy("3")


def test_a_third_version_waits_where_the_candidate_may_finish(life):
    finish = {"whenSuperseded": "Finish"}
    life.begin("1", rollout=finish)
    life.apply("2", rollout=finish)
    life.waits("tenth")
    life.apply("3", rollout=finish)
    life.until(lambda status: status["desired"]["state"] == "Queued", "version 3 is queued")
    life.accepted("Approve", "tenth")
    life.waits("half")
    life.accepted("Approve", "half")
    life.until(lambda status: status["summary"]["stable"] == "2" and status["summary"]["candidate"] == "3", "3 follows")
    life.waits("tenth")
    life.carries(v2=90, v3=10)


def test_a_warm_former_version_takes_all_traffic_at_once_and_restarts_nothing(life):
    life.begin("1")
    former = life.pods("1").keys()
    life.promote("2")
    life.apply("1")
    life.healthy("1")
    life.carries(v1=100)
    assert life.pods("1").keys() == former
    assert life.timeline()[-1] == ("1", 100)
    assert life.outcomes()[-1] == ("1", "Promoted")


def test_a_rollback_while_an_older_version_is_warm_leaves_that_one_warm(life):
    life.begin("1")
    life.promote("2")
    warm = life.role("Former")["warmUntil"]
    oldest = life.pods("1").keys()
    life.apply("3")
    life.waits("tenth")
    life.carries(v2=90, v3=10)
    life.accepted("Abort")
    life.taken_back("3")
    life.carries(v2=100)
    former = {entry["version"]: entry for entry in life.status["revisions"] if entry["role"] == "Former"}
    assert former["1"]["warmUntil"] == warm
    assert life.pods("1").keys() == oldest
    life.apply("1")
    life.healthy("1")
    life.carries(v1=100)


def test_a_version_that_is_no_longer_warm_goes_through_the_steps(life):
    cold = {"scaleDownDelay": "0s"}
    life.begin("1", rollout=cold)
    life.promote("2", rollout=cold)
    life.until(lambda status: len(status["revisions"]) == 1, "the former version is gone")
    life.apply("1", rollout=cold)
    life.waits("tenth")
    life.carries(v2=90, v1=10)


@pytest.mark.parametrize(
    "fates",
    [(BAD, GOOD), (BAD, BAD, GOOD), (GOOD, BAD, GOOD)],
    ids=lambda fates: "-".join("gb"[not one] for one in fates),
)
def test_good_and_bad_versions_in_any_order(life, fates):
    life.begin("1")
    stable = "1"
    for number, good in enumerate(fates, start=2):
        version = str(number)
        if good:
            life.promote(version)
            stable = version
        else:
            life.apply(version)
            life.waits("tenth")
            life.accepted("Abort")
            life.taken_back(version)
        life.carries(**{f"v{stable}": 100})
    wanted = [("1", "Promoted")] + [
        (str(number), "Promoted" if good else "Aborted") for number, good in enumerate(fates, start=2)
    ]
    assert life.outcomes() == wanted


def test_a_version_can_be_promoted_without_its_remaining_steps(life):
    life.begin("1")
    life.apply("2")
    life.waits("tenth")
    life.accepted("Promote")
    life.healthy("2")
    life.carries(v2=100)
    assert [weight for slug, weight in life.timeline() if slug == "2"] == [10, 100]
    assert len(life.pods("2")) == 2


def test_commands_that_do_not_fit_are_refused_with_a_reason(life):
    life.begin("1")
    assert "no rollout is under way" in life.refused("Abort")
    assert "no rollout is under way" in life.refused("Promote")
    assert "was not taken back" in life.refused("Retry")
    assert "no earlier version" in life.refused("Undo")
    life.apply("2")
    life.waits("tenth")
    former = life.role("Stable")["revision"]
    assert "the candidate is 2-" in life.refused("Abort", revision=former)
    assert "abort it instead" in life.refused("Undo")
    assert "is not paused" in life.refused("Resume")
    life.accepted("Abort")
    life.taken_back("2")
    assert "no rollout is under way" in life.refused("Promote", revision=life.revision("2"))
