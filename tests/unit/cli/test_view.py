import json
import re
from pathlib import Path

import pytest

from modelrollout.cli.deployment import parse
from modelrollout.cli.plans import planned
from modelrollout.cli.view import DOCUMENT_VERSION, document, look
from tests.unit.cli import samples
from tests.unit.cli.pictures import view

PAGE = Path(__file__).parents[3] / "docs" / "cli.md"


def test_the_document_for_machines_keeps_its_shape():
    body = document(view("waiting"), samples.NOW)

    assert body["apiVersion"] == DOCUMENT_VERSION
    assert body["kind"] == "RolloutStatus"
    assert body["at"] == "2026-07-26T14:20:00Z"
    assert body["phase"] == "Paused"
    assert body["reason"] == "ApprovalRequired"
    assert body["desiredState"] == "Running"
    assert body["revisions"][1] == {
        "role": "Candidate",
        "version": "2",
        "revision": "2-7c9f4a1b",
        "deployment": "fraud-2-7c9f4a1b",
        "weight": "25",
        "share": 0.25,
        "readyReplicas": 1,
        "replicas": 1,
        "note": "",
    }
    assert body["step"] == "weight-25"
    assert [step["state"] for step in body["steps"]] == ["Done", "Current", "Next", "Next"]
    assert body["steps"][1] == {
        "name": "weight-25",
        "weight": "25",
        "holdSeconds": 1800.0,
        "coveredSeconds": 1800.0,
        "approval": True,
        "preview": False,
        "bake": False,
        "state": "Current",
    }
    assert body["metrics"][0]["checks"] == "..F.."
    assert body["advice"] == "kubectl modelrollout approve fraud"
    assert json.loads(json.dumps(body)) == body


def test_the_document_of_a_preview_tells_testers_the_way():
    body = document(view("preview"), samples.NOW)
    assert body["previewUrl"] == "http://fraud-preview.ml.svc"
    assert body["testerHeader"] == "x-modelrollout-version: 5d41402abc4b-candidate"
    assert [(step["name"], step["preview"], step["bake"]) for step in body["steps"]] == [
        ("preview", True, False),
        ("bake", False, True),
    ]


@pytest.mark.parametrize("state", samples.STATES)
def test_every_field_of_the_document_is_explained_in_the_reference(state):
    explained = set(re.findall(r"`([A-Za-z]+)`", PAGE.read_text()))
    body = document(view(state), samples.NOW)
    parts = [body, *body["revisions"], *body["steps"]]
    assert {field for part in parts for field in part} <= explained


def test_a_plan_that_the_status_does_not_speak_of_is_not_shown():
    item = samples.waiting()
    item["status"]["step"]["name"] = "a-step-of-an-earlier-plan"
    deployment = parse(item)
    assert look(deployment, planned(deployment), samples.NOW).steps == ()


def test_a_status_of_a_newer_operator_is_reported_by_its_field():
    item = samples.healthy()
    item["status"]["phase"] = "Teleporting"
    with pytest.raises(Exception, match=r"fraud: status.phase is 'Teleporting'.*update kubectl-modelrollout"):
        parse(item)
