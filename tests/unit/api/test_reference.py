from modelrollout.api import crd
from modelrollout.api.reasons import EXPLANATIONS, Reason
from modelrollout.workload import allowed
from tests.unit.api.schemas import nodes, schema
from tools import reference
from tools.chart import ROOT


def test_pages_are_equal_to_their_sources():
    for name, content in reference.files().items():
        assert (ROOT / "docs" / name).read_text() == content, f"{name}: run `python -m tools.reference`"


def test_check_fails_on_a_page_that_differs(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(reference, "ROOT", tmp_path)
    assert reference.main(["--check"]) == 1
    assert "reference/settings.md differs" in capsys.readouterr().err
    assert reference.main([]) == 0
    assert reference.main(["--check"]) == 0


def test_every_field_has_a_line():
    for resource, page in (
        (crd.MODEL_DEPLOYMENT, "reference/modeldeployment.md"),
        (crd.ROLLOUT_COMMAND, "reference/rolloutcommand.md"),
    ):
        lines = reference.files()[page]
        for part in ("spec", "status"):
            for path, node in nodes(schema(resource)["properties"][part], part):
                for name in node.get("properties", {}):
                    section = lines.partition(f"\n### `{path}`\n")[2].partition("\n### ")[0]
                    assert f"\n| `{name}`" in section, f"{path}.{name}"


def test_every_reason_and_every_allowed_pod_field_is_named():
    assert set(EXPLANATIONS) == set(Reason)
    assert all(f"| `{reason}` |" in reference.reasons_page() for reason in Reason)
    page = reference.files()["reference/modeldeployment.md"]
    assert all(f"`{name}`" in page for name in allowed.POD_FIELDS | allowed.CONTAINER_FIELDS | allowed.VOLUME_SOURCES)


def test_no_reason_is_explained_that_nothing_gives():
    sources = [file.read_text() for file in (ROOT / "operator").rglob("*.py") if file.name != "reasons.py"]
    given = "\n".join(sources)
    unused = [one for one in Reason if f"Reason.{one.name}" not in given and f'"{one.value}"' not in given]
    assert unused == []


def test_words_of_types_say_what_may_be_written():
    spec = schema(crd.MODEL_DEPLOYMENT)["properties"]["spec"]["properties"]
    step = spec["rollout"]["properties"]["steps"]["items"]["properties"]
    assert reference.kind_of(step["weight"]) == "integer or text"
    assert reference.kind_of(step["hold"]) == "text such as 90s, 15m or 1h30m"
    assert reference.kind_of(step["advance"]) == "`Automatic` \\| `Approval`"
    assert reference.kind_of(spec["replicas"]) == "integer 0–10000"
