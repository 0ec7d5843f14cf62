"""What people and their tools see through kubectl."""

import json

import pytest

from tests.harness.life import conditions
from tests.harness.specs import behaving, model


def columns(text: str) -> list[dict[str, str]]:
    """The rows of `kubectl get` by their header, cut where the header's words begin."""
    header, *rows = text.splitlines()
    starts = [
        index for index, letter in enumerate(header) if letter != " " and (index == 0 or header[index - 1] == " ")
    ]
    ends = [*starts[1:], None]
    names = [header[start:end].strip() for start, end in zip(starts, ends, strict=True)]
    return [
        dict(zip(names, (row[start:end].strip() for start, end in zip(starts, ends, strict=True)), strict=True))
        for row in rows
    ]


def row(life) -> dict[str, str]:
    [found] = columns(life.kubectl.ok("get", "mdep"))
    found.pop("AGE")
    return found


def test_columns_tell_the_story_of_a_rollout(life):
    life.begin("1")
    life.reason("Serving")
    assert row(life) == {
        "NAME": "fraud",
        "STABLE": "1",
        "CANDIDATE": "",
        "WEIGHT": "",
        "STEP": "",
        "STATUS": "Healthy",
        "READY": "2/2",
        "REASON": "Serving",
    }
    life.apply("2")
    life.waits("tenth")
    assert row(life) == {
        "NAME": "fraud",
        "STABLE": "1",
        "CANDIDATE": "2",
        "WEIGHT": "10",
        "STEP": "1/3",
        "STATUS": "Paused",
        "READY": "2/2",
        "REASON": "ApprovalRequired",
    }
    life.accepted("Abort")
    life.taken_back("2")
    assert row(life)["STATUS"] == "RolledBack"
    assert row(life)["REASON"] == "Aborted"
    [command] = columns(life.kubectl.ok("get", "rolloutcommands"))
    assert (command["TARGET"], command["ACTION"], command["BY"]) == ("fraud", "Abort", "alice")


def test_wait_for_ready_ends_when_the_version_carries_all_traffic(life):
    life.kubectl.apply(model("1"))
    life.operator.start(wait=False)
    life.kubectl.ok("wait", "--for=condition=Ready", "mdep/fraud", "--timeout=60s")
    life.kubectl.apply(model("2"))
    life.waits("tenth")
    answer = life.kubectl("wait", "--for=condition=Ready", "mdep/fraud", "--timeout=1s")
    assert answer.code != 0
    life.accepted("Promote")
    life.kubectl.ok("wait", "--for=condition=Ready", "mdep/fraud", "--timeout=60s")
    life.carries(v2=100)


def test_ready_may_mean_that_the_rollout_runs_as_planned(life):
    life.begin("1", rollout={"readyWhen": "Serving"})
    life.apply("2", rollout={"readyWhen": "Serving"})
    life.waits("tenth")
    assert conditions(life.status)["Ready"]["status"] == "True"
    life.accepted("Abort")
    life.taken_back("2")
    assert conditions(life.status)["Ready"]["status"] == "False"


def test_a_diff_after_an_apply_is_empty_whoever_applies(life):
    life.operator.start(wait=False)
    for options in ((), ("--server-side", "--force-conflicts")):
        life.kubectl.apply(model("1"), options=options)
        life.healthy("1")
        answer = life.kubectl("diff", *options, "-f", "-", stdin=json.dumps(model("1")))
        assert (answer.code, answer.out) == (0, "")


@pytest.mark.parametrize("options", [(), ("--server-side", "--force-conflicts")], ids=["client-side", "server-side"])
def test_git_still_asks_for_a_version_that_was_taken_back(life, options):
    """A bot raises the image; it is taken back; the message says what runs, what is asked for and the ways on."""

    def sync(version: str) -> None:
        answer = life.kubectl.apply(model(version), options=options)
        assert answer.code == 0, answer.err

    def no_drift(version: str) -> None:
        answer = life.kubectl("diff", *options, "-f", "-", stdin=json.dumps(model(version)))
        assert (answer.code, answer.out) == (0, "")

    sync("1")
    life.operator.start(wait=False)
    life.healthy("1")
    pods = life.pods("1").keys()
    sync("2")
    life.waits("tenth")
    no_drift("2")
    life.accepted("Abort", reason="wrong answers")
    life.taken_back("2")
    for words in (
        "Version 2",
        "wrong answers",
        "version 1 serves all traffic",
        "Revert the change (nothing restarts)",
        "apply a newer version",
        "raise spec.rollout.attempt",
    ):
        assert words in life.message, life.message
    sync("2")
    life.sentinel()
    assert life.status["phase"] == "RolledBack"
    no_drift("2")
    sync("1")
    life.healthy("1")
    no_drift("1")
    assert life.pods("1").keys() == pods
    assert [weight for slug, weight in life.timeline() if slug == "2"] == [10, 0]


def test_events_tell_what_happened(life):
    life.begin("1")
    life.apply("2")
    life.waits("tenth")
    life.accepted("Abort")
    life.taken_back("2")

    wanted = {"CandidateCreated": "Normal", "WeightChanged": "Normal", "RolledBack": "Warning", "Promoted": "Normal"}
    life.observer.until(lambda: wanted.items() <= life.events().items(), "events are there")


def test_deleting_it_in_mid_rollout_leaves_nothing_behind(life):
    life.begin("1")
    life.apply("2")
    life.waits("tenth")
    life.kubectl.ok("delete", "mdep", "fraud", "--timeout=60s")

    def left() -> list[str]:
        kinds = ("Deployment", "Service", "HTTPRoute", "ControllerRevision", "RolloutCommand", "Pod")
        return [f"{kind} {one['metadata']['name']}" for kind in kinds for one in life.observer.all(kind)]

    life.observer.until(lambda: not left(), f"everything is gone: {left()}")
    life.sentinel()
    assert left() == []


def test_a_name_that_is_deleted_and_taken_again_begins_anew(life):
    life.begin("1")
    life.kubectl.ok("delete", "mdep", "fraud", "--wait=false")
    life.gone("ModelDeployment", "fraud")
    life.apply("2")
    life.healthy("2", seconds=100)
    assert life.timeline() == [("2", 100)]
    life.carries(v2=100)


def test_loading_says_until_when(life):
    life.begin("1")
    life.apply("2", env=behaving("never-ready"))
    life.reason("ModelLoading")
    assert "It must be ready by" in life.message
    assert "0 of 1 pods ready" in life.message
