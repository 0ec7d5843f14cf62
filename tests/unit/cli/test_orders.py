import pytest

from modelrollout.api.command import Action, RolloutCommandSpec
from modelrollout.cli.deployment import parse
from modelrollout.cli.failures import Refused
from modelrollout.cli.orders import manifest, order
from modelrollout.cli.plans import planned
from tests.unit.cli import samples

NEEDS_A_ROLLOUT = [Action.APPROVE, Action.PAUSE, Action.RESUME, Action.ABORT, Action.PROMOTE]


def ordered(action: Action, item: dict) -> object:
    deployment = parse(item)
    return order(action, deployment, planned(deployment))


@pytest.mark.parametrize("action", NEEDS_A_ROLLOUT)
def test_without_a_candidate_there_is_nothing_to_ask_for(action):
    with pytest.raises(
        Refused, match=r"fraud: nothing to \w+: no rollout is under way \(version 1 serves all traffic\)"
    ):
        ordered(action, samples.healthy())


@pytest.mark.parametrize("action", NEEDS_A_ROLLOUT)
def test_commands_are_bound_to_the_candidate(action):
    assert ordered(action, samples.waiting()).revision == "2-7c9f4a1b"


def test_an_approval_is_bound_to_the_step_under_way():
    assert ordered(Action.APPROVE, samples.waiting()).step == "weight-25"


def test_before_the_first_step_there_is_nothing_to_approve():
    with pytest.raises(Refused, match="nothing to approve yet: no step has begun, version 2 is loading"):
        ordered(Action.APPROVE, samples.loading())


def test_an_object_that_no_operator_has_seen_says_so():
    with pytest.raises(Refused, match="no operator has looked at it yet"):
        ordered(Action.APPROVE, samples.new())


def test_promote_says_which_steps_are_skipped():
    text = ordered(Action.PROMOTE, samples.waiting()).announcement
    assert text == "promoting version 2: all traffic as soon as all its pods are ready; skipped: weight-50, bake"


def test_abort_says_where_the_traffic_goes():
    text = ordered(Action.ABORT, samples.waiting()).announcement
    assert text.startswith("taking version 2 back: its 25 % of traffic goes to version 1 at once;")
    assert "all traffic stays with version 1" in ordered(Action.ABORT, samples.loading()).announcement


def test_retry_is_for_the_rejected_version_that_the_spec_asks_for():
    assert ordered(Action.RETRY, samples.rolled_back()).revision == "3-b21aa04e"
    with pytest.raises(Refused, match="version 2, which the spec asks for, was not taken back"):
        ordered(Action.RETRY, samples.former_warm())


def test_retry_of_a_version_that_the_spec_no_longer_asks_for_says_what_to_apply():
    item = samples.rolled_back()
    item["status"]["desired"] = {"revision": "1-5d8c7b20", "version": "1", "state": "Serving"}
    with pytest.raises(Refused, match=r"version 3 was: apply it again first"):
        ordered(Action.RETRY, item)


def test_retry_frees_a_candidate_that_is_blocked():
    item = samples.loading()
    item["status"]["rollout"]["blocked"] = {"reason": "MetricsMissing", "message": "no series"}
    assert ordered(Action.RETRY, item).revision == "2-7c9f4a1b"


def undoable() -> dict:
    item = samples.former_warm()
    first = item["status"]["history"][0] | {"revision": "1-5d8c7b20", "version": "1"}
    item["status"]["history"].insert(0, first)
    return item


def test_undo_is_bound_to_stable_and_names_the_version_before():
    found = ordered(Action.UNDO, undoable())
    assert found.revision == "2-7c9f4a1b"
    assert found.announcement.startswith("going back from version 2 to version 1 (its pods are still warm)")


def test_undo_says_when_pods_have_to_start_first():
    item = undoable()
    item["status"]["revisions"][1].pop("warmUntil")
    assert "(its pods start first)" in ordered(Action.UNDO, item).announcement


def test_undo_in_mid_rollout_names_the_command_that_fits():
    with pytest.raises(Refused, match="`kubectl modelrollout abort fraud`"):
        ordered(Action.UNDO, samples.waiting())


def test_undo_without_an_earlier_version_is_refused():
    with pytest.raises(Refused, match="no earlier version to go back to"):
        ordered(Action.UNDO, samples.healthy())


def test_the_command_belongs_to_its_target_and_is_a_valid_one():
    deployment = parse(samples.waiting())
    found = manifest(deployment, order(Action.APPROVE, deployment), by="alice", reason="looks good")

    assert found["metadata"]["generateName"] == "fraud-"
    assert found["metadata"]["labels"] == {"modelrollout.dev/deployment": "fraud"}
    assert found["metadata"]["ownerReferences"] == [
        {
            "apiVersion": "modelrollout.dev/v1alpha1",
            "kind": "ModelDeployment",
            "name": "fraud",
            "uid": "uid-fraud",
            "controller": False,
            "blockOwnerDeletion": False,
        }
    ]
    spec = RolloutCommandSpec.model_validate(found["spec"])
    assert (spec.action, spec.step, spec.by, spec.reason) == (Action.APPROVE, "weight-25", "alice", "looks good")


def test_a_user_name_longer_than_the_field_is_cut():
    deployment = parse(samples.waiting())
    found = manifest(deployment, order(Action.PAUSE, deployment), by="x" * 400, reason=None)
    assert RolloutCommandSpec.model_validate(found["spec"]).by == "x" * 253


def in_test(action: Action, variant: str | None = None) -> object:
    return order(action, parse(samples.testing()), None, variant)


def test_in_a_test_a_command_is_bound_to_a_variant_and_the_test_itself_to_its_control():
    assert in_test(Action.PROMOTE, "b").revision == "2-7c9f4a1b"
    assert in_test(Action.ABORT, "challenger-3").revision == "3-b21aa04e"
    assert in_test(Action.ABORT).revision == in_test(Action.PAUSE).revision == "1-5d8c7b20"
    assert in_test(Action.RETRY).revision == "4-11aa22bb"


def test_in_a_test_an_abort_says_what_it_is_about():
    assert in_test(Action.ABORT).announcement == "ending the A/B test: all traffic goes to version 1"
    assert in_test(Action.ABORT, "b").announcement.startswith("taking variant b out of the A/B test")


@pytest.mark.parametrize(
    ("action", "variant", "words"),
    [
        (Action.PROMOTE, None, "name a variant that takes part with --variant: b, challenger-3"),
        (Action.PROMOTE, "d", "there is no variant d that takes part; found: b, challenger-3"),
        (Action.RETRY, "b", "there is no variant b that was taken out; found: d"),
        (Action.APPROVE, None, "an A/B test has no steps to approve"),
        (Action.UNDO, None, "abort it instead"),
    ],
)
def test_in_a_test_what_fits_no_variant_is_refused(action, variant, words):
    with pytest.raises(Refused, match=words):
        in_test(action, variant)


def test_without_a_test_there_is_no_variant():
    with pytest.raises(Refused, match="no A/B test is under way"):
        order(Action.PROMOTE, parse(samples.waiting()), None, "b")
