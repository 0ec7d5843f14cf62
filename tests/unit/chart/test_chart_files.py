"""What the chart holds of other sources; needs no helm."""

import json
import re
from typing import Any

import pytest
import yaml

from modelrollout.api.settings import Settings
from tools import chart
from tools.values_schema import values_schema

VALUES: dict[str, Any] = yaml.safe_load((chart.CHART / "values.yaml").read_text())


def test_written_files_are_equal_to_their_sources():
    for name, content in chart.files().items():
        assert (chart.CHART / name).read_text() == content, f"{name}: run `python -m tools.chart`"


def test_check_fails_on_a_file_that_differs(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(chart, "files", lambda: {"README.md": "other"})
    monkeypatch.setattr(chart, "CHART", tmp_path)
    assert chart.main(["--check"]) == 1
    assert "README.md differs" in capsys.readouterr().err
    assert chart.main([]) == 0
    assert chart.main(["--check"]) == 0


def test_default_settings_are_valid_settings():
    Settings.model_validate(VALUES["settings"])


def test_every_value_is_explained():
    explained = dict(chart.comments((chart.CHART / "values.yaml").read_text()))
    for path in leaves(VALUES):
        parts = path.split(".")
        assert any(".".join(parts[:count]) in explained for count in range(1, len(parts) + 1)), path


def test_versions_of_chart_and_program_are_one():
    from modelrollout import __version__  # noqa: PLC0415  what is compared

    found = yaml.safe_load((chart.CHART / "Chart.yaml").read_text())
    assert (found["version"], found["appVersion"]) == (__version__, __version__)


def test_the_schema_knows_every_setting_under_its_name_in_yaml():
    schema = json.loads((chart.CHART / "values.schema.json").read_text())
    known = {field.alias or name for name, field in Settings.model_fields.items()}
    assert set(schema["properties"]["settings"]["properties"]) == known
    assert schema["properties"]["settings"]["additionalProperties"] is False


def test_the_schema_is_plain_json_schema():
    text = (chart.CHART / "values.schema.json").read_text()
    assert not re.search(r'"x-', text)
    references = set(re.findall(r'"#/\$defs/(\w+)"', text))
    assert references == set(json.loads(text)["$defs"])


def test_a_list_must_be_described_by_hand():
    with pytest.raises(TypeError, match="somewhere: say in FACTS what it may hold"):
        values_schema({"somewhere": []}, {})


def leaves(values: dict[str, Any], path: str = "") -> list[str]:
    found = []
    for key, value in values.items():
        here = f"{path}.{key}".lstrip(".")
        found += leaves(value, here) if isinstance(value, dict) and value else [here]
    return found
