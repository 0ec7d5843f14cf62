"""Records: what is written is read back, and what is no record is said to be none."""

import json

import pytest

from modelrollout.api.errors import RecordError
from modelrollout.api.settings import Settings
from modelrollout.workload.identity import Owner
from modelrollout.workload.records import Packed, PlanRecord, RevisionRecord
from modelrollout.workload.render import accept

OWNER = Owner("ml", "fraud", "6a3c")


@pytest.fixture
def accepted(spec, settings):
    return accept(spec, settings, "fraud")


def through_json(manifest):
    return json.loads(json.dumps(manifest))


def test_a_revision_is_read_back_as_it_was_written(accepted):
    manifest = accepted.record.manifest(OWNER)
    assert manifest["metadata"]["name"] == f"fraud-{accepted.revision.revision}"
    assert RevisionRecord.parse(through_json(manifest)) == accepted.record


def test_a_runtime_without_metrics_is_read_back_too(settings):
    raw = {"server": {"runtime": "Custom", "image": "a:1", "port": 7}, "analysis": {"mode": "None"}, "replicas": 3}
    record = accept(raw, settings, "fraud").record
    assert RevisionRecord.parse(through_json(record.manifest(OWNER))) == record


def test_a_record_belongs_to_its_resource(accepted):
    metadata = accepted.record.manifest(OWNER)["metadata"]
    assert metadata["ownerReferences"] == [
        {
            "apiVersion": "modelrollout.dev/v1alpha1",
            "kind": "ModelDeployment",
            "name": "fraud",
            "uid": "6a3c",
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]
    assert metadata["labels"]["modelrollout.dev/deployment"] == "fraud"
    assert metadata["labels"]["modelrollout.dev/record"] == "revision"


def test_a_plan_is_resolved_again_from_its_record(accepted, settings):
    record = PlanRecord.of(accepted.plan)
    manifest = record.manifest(OWNER)
    assert manifest["metadata"]["name"] == f"fraud-plan-{accepted.plan.digest}"
    restored = PlanRecord.parse(through_json(manifest)).plan(settings)
    assert restored == accepted.plan
    assert restored.digest == accepted.plan.digest


def test_a_recorded_plan_keeps_its_metrics_when_the_preset_changes(accepted):
    manifest = through_json(PlanRecord.of(accepted.plan).manifest(OWNER))
    metric = {"name": "other", "query": "x", "range": {"max": "1"}}
    newer = Settings.model_validate({"runtimes": [{"name": "FastAPI", "port": 8000, "metrics": [metric]}]})
    assert PlanRecord.parse(manifest).plan(newer).metrics == accepted.plan.metrics


def test_another_runtime_is_another_plan_because_it_judges_by_other_series(spec, settings):
    settings = settings.model_copy(
        update={"runtimes": Settings.model_validate({"runtimes": [{"name": "Own", "port": 1}]}).runtimes}
    )
    spec["analysis"] = {"metrics": [{"name": "q", "query": "x", "range": {"max": "1"}}]}
    one = accept(spec, settings, "fraud").plan.digest
    spec["server"]["runtime"] = "Own"
    assert accept(spec, settings, "fraud").plan.digest != one


@pytest.mark.parametrize("record_type", [RevisionRecord, PlanRecord])
def test_what_is_no_record_is_a_record_error(accepted, record_type):
    record = accepted.record if record_type is RevisionRecord else PlanRecord.of(accepted.plan)
    whole = record.manifest(OWNER)
    for field in whole["data"]:
        if field == "metricsPath":
            continue
        broken = through_json(whole)
        del broken["data"][field]
        with pytest.raises(RecordError, match=f"ControllerRevision {whole['metadata']['name']}: "):
            record_type.parse(broken)
        broken["data"][field] = object()
        with pytest.raises(RecordError):
            record_type.parse(broken)
    for broken in ({}, {"metadata": {"name": "x"}}, whole | {"data": None}, whole | {"data": {}}):
        with pytest.raises(RecordError):
            record_type.parse(broken)


def test_one_kind_of_record_is_not_read_as_the_other(accepted):
    with pytest.raises(RecordError, match="is no record of a plan"):
        PlanRecord.parse(accepted.record.manifest(OWNER))


def test_a_layout_of_another_operator_is_refused(accepted):
    manifest = through_json(accepted.record.manifest(OWNER))
    manifest["data"]["format"] = 2
    with pytest.raises(RecordError, match="has the layout 2; this operator reads 1"):
        RevisionRecord.parse(manifest)


def test_a_plan_that_todays_rules_do_not_take_is_a_record_error(settings):
    record = PlanRecord("00000000", Packed.of({"rollout": {"steps": [{"weight": 50}, {"weight": 5}]}}))
    with pytest.raises(RecordError, match="weights must not fall"):
        record.plan(settings)
