from pathlib import Path

import pytest
import yaml

from modelrollout.api import crd
from modelrollout.api.base import Model
from modelrollout.api.schema import structural
from tests.unit.api.schemas import nodes, schema

CRDS = Path(__file__).parents[3] / "crds"
KUBECTL_APPLY_LIMIT = 200_000
OPAQUE = {
    "spec.server.env[]",
    "spec.server.resources",
    "spec.template.metadata",
    "spec.template.spec",
    "spec.autoscaling.metrics[]",
    "spec.autoscaling.behavior",
    "spec.rollout.warmUp.requests[].json",
    "spec.rollout.warmUp.requests[].expect.json[].equals",
    "spec.rollout.variants[].server.env[]",
    "spec.rollout.variants[].server.resources",
    "spec.rollout.variants[].template.metadata",
    "spec.rollout.variants[].template.spec",
}


def test_the_files_are_those_that_the_models_make():
    assert {path.name: path.read_text() for path in CRDS.glob("*.yaml")} == crd.files()


def test_check_names_the_file_that_differs_and_writing_mends_it(tmp_path, capsys):
    assert crd.main([str(tmp_path)]) == 0
    assert crd.main(["--check", str(tmp_path)]) == 0
    stale = tmp_path / crd.ROLLOUT_COMMAND.file
    stale.write_text("kind: Other\n")
    assert crd.main(["--check", str(tmp_path)]) == 1
    assert stale.name in capsys.readouterr().err
    assert stale.read_text() == "kind: Other\n"
    assert crd.main([str(tmp_path)]) == 0
    assert crd.main(["--check", str(tmp_path)]) == 0


@pytest.mark.parametrize("resource", crd.RESOURCES, ids=lambda resource: resource.kind)
class TestEachResource:
    def test_is_small_enough_for_plain_kubectl_apply(self, resource):
        assert len(crd.text(resource).encode()) < KUBECTL_APPLY_LIMIT

    def test_is_structural(self, resource):
        for path, node in nodes(schema(resource)):
            assert not {"$ref", "anyOf", "allOf", "oneOf", "title", "default"} & set(node), path
            untyped = ("x-kubernetes-int-or-string", "x-kubernetes-preserve-unknown-fields")
            assert "type" in node or any(node.get(form) for form in untyped), path

    def test_bounds_every_text_list_and_map_of_the_spec(self, resource):
        # The API server multiplies these bounds to estimate what a rule may cost.
        for path, node in nodes(schema(resource)["properties"]["spec"], "spec"):
            if node.get("type") == "string" and "enum" not in node:
                assert "maxLength" in node, path
            if node.get("type") == "array":
                assert "maxItems" in node, path
            if "additionalProperties" in node:
                assert "maxProperties" in node, path

    def test_bounds_every_list_of_the_status(self, resource):
        for path, node in nodes(schema(resource)["properties"]["status"], "status"):
            if node.get("type") == "array":
                assert "maxItems" in node, path

    def test_explains_every_field_of_the_spec(self, resource):
        for path, node in nodes(schema(resource)["properties"]["spec"], "spec"):
            assert path.endswith(("[]", ".*")) or node.get("description"), path

    def test_leaves_only_parts_of_pods_autoscalers_and_golden_requests_open(self, resource):
        found = {path for path, node in nodes(schema(resource)) if node.get("x-kubernetes-preserve-unknown-fields")}
        assert found == (OPAQUE if resource is crd.MODEL_DEPLOYMENT else set())

    def test_every_key_of_a_list_map_is_required_in_its_items(self, resource):
        for path, node in nodes(schema(resource)):
            for key in node.get("x-kubernetes-list-map-keys", []):
                assert key in node["items"]["required"], path

    def test_every_rule_says_in_words_what_would_be_right(self, resource):
        for path, node in nodes(schema(resource)):
            for rule in node.get("x-kubernetes-validations", []):
                assert rule["message"], path


def test_columns_tell_the_story_in_order():
    assert columns(crd.MODEL_DEPLOYMENT) == [
        "Stable", "Candidate", "Weight", "Step", "Status", "Ready", "Reason", "Age",
    ]  # fmt: skip
    assert columns(crd.ROLLOUT_COMMAND) == ["Target", "Action", "Step", "By", "Outcome", "Age"]


def test_columns_read_fields_that_exist():
    for resource in crd.RESOURCES:
        for column in resource.columns:
            if column.path.startswith(".metadata"):
                continue
            node = schema(resource)
            for part in column.path.strip(".").split("."):
                node = node["properties"][part]
            assert node["type"] == column.type


def test_lists_that_people_merge_are_keyed_by_name():
    spec = schema(crd.MODEL_DEPLOYMENT)["properties"]["spec"]["properties"]
    for found in (spec["analysis"]["properties"]["metrics"], spec["service"]["properties"]["ports"]):
        assert (found["x-kubernetes-list-type"], found["x-kubernetes-list-map-keys"]) == ("map", ["name"])


def test_a_field_that_is_a_union_is_refused_by_name():
    class Union(Model):
        value: int | str

    with pytest.raises(TypeError, match=r"Union\.value: a structural schema knows no union, found 2 forms"):
        structural(Union)


def columns(resource: crd.Resource) -> list[str]:
    [version] = yaml.safe_load(crd.text(resource))["spec"]["versions"]
    return [column["name"] for column in version["additionalPrinterColumns"] if not column.get("priority")]
