import pytest
import yaml

GOOD = {
    "apiVersion": "modelrollout.dev/v1alpha1",
    "kind": "ModelDeployment",
    "metadata": {"name": "fraud", "namespace": "ml"},
    "spec": {
        "version": "2",
        "server": {"runtime": "FastAPI", "image": "registry.example.com/fraud:2"},
        "replicas": 3,
        "traffic": {"gateway": {"parentRefs": [{"name": "public"}]}},
    },
}
OTHER = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}}


def written(tmp_path, *documents):
    file = tmp_path / "fraud.yaml"
    file.write_text(yaml.safe_dump_all(documents))
    return str(file)


def edited(**spec):
    return {**GOOD, "spec": {**GOOD["spec"], **spec}}


def test_the_objects_of_a_spec_are_printed_as_yaml(run, tmp_path):
    said = run(None, "render", "-f", written(tmp_path, OTHER, GOOD))
    assert (said.code, said.err) == (0, "")
    objects = list(yaml.safe_load_all(said.out))
    kinds = {found["kind"] for found in objects}
    assert {"Deployment", "Service", "HTTPRoute"} <= kinds
    assert {found["metadata"]["namespace"] for found in objects} == {"ml"}


def test_standard_input_and_lists_are_read(run):
    listed = yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": [GOOD, OTHER]})
    said = run(None, "render", "-f", "-", stdin=listed)
    assert "Deployment" in {found["kind"] for found in yaml.safe_load_all(said.out)}


def test_a_namespace_can_be_given(run, tmp_path):
    said = run(None, "render", "-n", "risk", "-f", written(tmp_path, GOOD))
    assert {found["metadata"]["namespace"] for found in yaml.safe_load_all(said.out)} == {"risk"}


def test_a_refusal_names_file_object_field_and_cure(run, tmp_path):
    steps = {"steps": [{"weight": 25}, {"weight": 10}]}
    said = run(None, "render", "-f", written(tmp_path, edited(rollout=steps)))
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith(
        f'error: {tmp_path}/fraud.yaml: the ModelDeployment "fraud" is invalid: spec.rollout.steps'
    )
    assert "weights must not fall" in said.err
    assert said.err.count("\n") == 1


def test_a_provider_is_taken_to_be_set_up_unless_settings_are_given(run, tmp_path):
    file = written(tmp_path, edited(analysis={"provider": "team-prometheus"}))
    assert run(None, "render", "-f", file).code == 0

    settings = tmp_path / "settings.yaml"
    settings.write_text(yaml.safe_dump({"providers": [{"name": "default", "url": "http://prometheus:9090"}]}))
    said = run(None, "render", "-f", file, "--settings", str(settings))
    assert said.code == 1
    assert 'no metrics provider "team-prometheus"' in said.err


def test_settings_that_cannot_be_used_name_the_field(run, tmp_path):
    settings = tmp_path / "settings.yaml"
    settings.write_text(yaml.safe_dump({"workerz": 3}))
    said = run(None, "render", "-f", written(tmp_path, GOOD), "--settings", str(settings))
    assert said.code == 1
    assert said.err.startswith(f"error: {settings}: workerz: ")


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("a: [b", 1, "is no YAML: line 1"),
        ("kind: ConfigMap\napiVersion: v1", 1, "there is no ModelDeployment in it"),
        ("kind: ModelDeployment\napiVersion: modelrollout.dev/v1alpha1", 1, "has no metadata.name"),
        (
            "kind: ModelDeployment\napiVersion: modelrollout.dev/v9\nmetadata: {name: x}",
            1,
            "use modelrollout.dev/v1alpha1",
        ),
        ("kind: ModelDeployment\napiVersion: modelrollout.dev/v1alpha1\nmetadata: {name: x}", 1, '"x" has no spec'),
    ],
)
def test_a_file_that_makes_nothing_says_why(run, tmp_path, text, code, words):
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    said = run(None, "render", "-f", str(file))
    assert said.code == code
    assert words in said.err


def test_a_missing_file_is_named(run):
    said = run(None, "render", "-f", "/nowhere.yaml")
    assert (said.code, said.err) == (4, "error: /nowhere.yaml: cannot be read: No such file or directory\n")
