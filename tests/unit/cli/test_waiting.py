import asyncio

import pytest

from modelrollout.cli.choices import Goal
from modelrollout.cli.deployment import parse
from modelrollout.cli.failures import ExitCode, Failure
from modelrollout.cli.waiting import bind, judge, sharpen, wait
from modelrollout.kube.errors import Forbidden, NotFound, Unauthorized, Unavailable, Unreachable
from modelrollout.kube.kinds import MODEL_DEPLOYMENT, Ref
from tests.unit.cli import samples
from tests.unit.cli.cluster import FakeCluster, soon

READY = [{"type": "Ready", "status": "True", "reason": "Serving", "lastTransitionTime": "2026-07-26T14:19:30Z"}]
FRAUD = Ref(MODEL_DEPLOYMENT, "ml", "fraud")


def promoted() -> dict:
    item = samples.former_warm()
    item["status"]["conditions"] = READY
    return item


def answer(before: dict, now: dict, goal: Goal = Goal.PROMOTED):
    start, deployment = parse(before), parse(now)
    return judge(sharpen(bind(start), deployment), deployment, goal)


def test_promoted_and_ready_is_the_end():
    found = answer(samples.waiting(), promoted())
    assert (found.code, found.message) == (ExitCode.DONE, "version 2 is promoted")


def test_promoted_but_not_ready_yet_is_not_the_end():
    assert answer(samples.waiting(), samples.former_warm()) is None


@pytest.mark.parametrize("state", ["loading", "progressing", "waiting", "paused", "no-metrics", "first-version"])
def test_a_rollout_under_way_is_not_the_end(state):
    assert answer(samples.STATES[state](), samples.STATES[state]()) is None


@pytest.mark.parametrize("state", ["rolled-back", "failed", "invalid"])
def test_a_rejected_or_invalid_spec_is_a_no_with_the_operators_words(state):
    item = samples.STATES[state]()
    found = answer(item, item)
    assert found.code is ExitCode.NO
    assert found.message.split()[0] in item["status"]["message"]


def test_an_old_status_says_nothing_about_a_new_spec():
    healthy = promoted()
    edited = promoted()
    edited["metadata"]["generation"] = 8
    assert answer(edited, edited) is None
    assert answer(healthy, healthy) is not None


def test_another_version_in_the_spec_ends_it():
    start = samples.waiting()
    later = samples.rolled_back()
    later["metadata"]["generation"] = later["status"]["observedGeneration"] = 8
    found = answer(start, later)
    assert found.code is ExitCode.NO
    assert found.message.startswith("the spec asks for version 3 now: Version 3 was taken back")


def test_an_edit_that_keeps_the_version_does_not_end_it():
    later = promoted()
    later["metadata"]["generation"] = later["status"]["observedGeneration"] = 9
    assert answer(samples.waiting(), later).code is ExitCode.DONE


def test_a_generation_that_the_operator_skipped_is_known_by_its_revision():
    start = samples.new()
    later = promoted()
    later["metadata"]["generation"] = later["status"]["observedGeneration"] = 8
    assert answer(start, later).code is ExitCode.NO  # the sample's revision is not the one that its spec makes


def test_an_object_that_was_made_anew_is_another_one():
    again = promoted()
    again["metadata"]["uid"] = "another"
    assert answer(promoted(), again).code is ExitCode.NO


def test_paused_can_be_waited_for():
    assert answer(samples.waiting(), samples.waiting(), Goal.PAUSED).code is ExitCode.DONE
    assert answer(samples.loading(), samples.loading(), Goal.PAUSED) is None


def waited(cluster: FakeCluster, *, seconds: float = 5, later=None) -> ExitCode:
    async def both() -> ExitCode:
        if later:
            soon(later)
        return await wait(cluster, "fraud", Goal.PROMOTED, seconds)

    return asyncio.run(both())


def test_each_change_of_state_is_one_line(capsys):
    cluster = FakeCluster(samples.waiting())
    assert waited(cluster, later=lambda: cluster.load(promoted())) is ExitCode.DONE
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("Z  ")[1] for line in lines[:2]] == [
        "Paused  version 2 at 25 %  step 2/4  ApprovalRequired",
        "Healthy  Serving",
    ]
    assert lines[2:] == ["fraud: version 2 is promoted"]


def test_it_outlives_an_api_server_that_goes_away_and_comes_back(capsys):
    cluster = FakeCluster(samples.waiting())

    def restart() -> None:
        cluster.faults = [Unreachable("refused"), Unavailable("starting", code=503), Unreachable("refused")]
        cluster.cuts = 1
        cluster.load(promoted())

    assert waited(cluster, later=restart, seconds=20) is ExitCode.DONE
    said = capsys.readouterr()
    assert said.err.count("does not answer") == 1


def test_credentials_that_ran_out_are_renewed_once():
    cluster = FakeCluster(promoted())
    cluster.faults = [Unauthorized("expired", code=401)]
    assert waited(cluster) is ExitCode.DONE
    assert cluster.renewed == 1


def test_credentials_that_do_not_work_even_when_renewed_end_it():
    cluster = FakeCluster(promoted())
    cluster.faults = [Unauthorized("expired", code=401), Unauthorized("expired", code=401)]
    with pytest.raises(Unauthorized):
        waited(cluster)


def test_what_does_not_pass_is_not_repeated():
    cluster = FakeCluster(promoted())
    cluster.faults = [Forbidden("no", code=403)]
    with pytest.raises(Forbidden):
        waited(cluster)


def test_the_time_is_up_with_the_last_state():
    with pytest.raises(Failure, match=r"fraud: not promoted within 0 s \(Paused, version 2 at 25 %") as caught:
        waited(FakeCluster(samples.waiting()), seconds=0.05)
    assert caught.value.code is ExitCode.TIMED_OUT


def test_deletion_ends_it():
    cluster = FakeCluster(samples.waiting())
    with pytest.raises(Failure, match="fraud: it was deleted") as caught:
        waited(cluster, later=lambda: cluster.fake.remove(FRAUD))
    assert caught.value.code is ExitCode.NO


def test_deletion_while_nobody_watched_ends_it_too():
    cluster = FakeCluster(samples.waiting())

    def gone() -> None:
        cluster.faults = [NotFound('modeldeployments "fraud" not found', code=404)]
        cluster.cuts = 1
        cluster.load(samples.paused())

    with pytest.raises(Failure, match="fraud: it was deleted"):
        waited(cluster, later=gone)
