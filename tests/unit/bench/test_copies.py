"""The quick copy of a status must be pydantic's copy in everything that can be seen."""

from pydantic import BaseModel

from modelrollout.api.scalars import Span, Timestamp, Weight
from modelrollout.api.status import ModelDeploymentStatus, Phase, RevisionStatus, Role, StepStatus

STABLE = RevisionStatus(revision="1-aaaa", version="1", role=Role.STABLE, weight=Weight(10_000), replicas=2)
STATUS = ModelDeploymentStatus(phase=Phase.HEALTHY, revisions=(STABLE,))
STEP = StepStatus(name="tenth", index=1, total=2, started_at=Timestamp(5.0), covered=Span("3s"))


def test_a_quick_copy_is_what_pydantic_makes():
    for model, update in (
        (STATUS, {"phase": Phase.PAUSED, "step": STEP}),
        (STABLE, {"weight": Weight(100), "unready": None}),
        (STEP, None),
        (STEP, {}),
    ):
        quick, slow = model.model_copy(update=update), BaseModel.model_copy(model, update=update)
        assert quick == slow
        assert type(quick) is type(slow)
        assert quick.model_fields_set == set()
        assert quick.written() == slow.written()
        assert repr(quick) == repr(slow)


def test_a_quick_copy_shares_nothing_that_a_change_could_reach():
    before = STATUS.written()
    copied = STATUS.model_copy(update={"message": "other"})
    assert STATUS.written() == before
    assert STATUS.model_fields_set == set(), "one empty set is shared by all statuses"
    assert copied.model_copy(update={"message": ""}) == STATUS


def test_a_quick_copy_can_be_copied_deeply_and_parsed_again():
    copied = STATUS.model_copy(update={"step": STEP})
    assert copied.model_copy(deep=True) == copied
    assert ModelDeploymentStatus.model_validate(copied.written()) == copied
