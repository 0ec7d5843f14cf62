"""What people copy: every example is a spec that the operator would carry out."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from modelrollout.api.settings import RouterName, Settings
from modelrollout.workload.render import accept
from tools.chart import ROOT

EXAMPLES = sorted((ROOT / "manifests" / "examples").glob("*.yaml"))
PROVIDER = {"name": "default", "url": "http://prometheus:9090"}
SETTINGS = Settings.model_validate(
    {"providers": [PROVIDER], "routers": list(RouterName), "comparer": {"image": "comparer:1"}}
)


def load(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text())


def test_there_is_one_for_each_thing_that_people_start_with():
    assert [path.stem for path in EXAMPLES] == [
        "ab-test", "approval", "autoscaling", "blue-green", "canary-gateway", "capacity", "custom-metrics", "istio", "minimal", "nginx", "replace",
        "service-router", "shadow", "template-overlay", "traefik", "warm-up",
    ]  # fmt: skip


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_operator_would_carry_it_out(path: Path):
    found = load(path)
    assert (found["apiVersion"], found["kind"]) == ("modelrollout.dev/v1alpha1", "ModelDeployment")
    accepted = accept(found["spec"], SETTINGS, found["metadata"]["name"])
    assert accepted.plan.steps[-1].weight.percent == "100"


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_it_says_first_what_it_is_for(path: Path):
    assert path.read_text().startswith("# ")


def test_minimal_is_judged_by_the_metrics_of_its_preset():
    found = load(ROOT / "manifests" / "examples" / "minimal.yaml")
    assert [metric.name for metric in accept(found["spec"], SETTINGS, "fraud").plan.metrics]


def test_settings_in_the_install_page_are_valid():
    page = (ROOT / "docs" / "install.md").read_text()
    blocks = [yaml.safe_load(block.partition("```")[0]) for block in page.split("```yaml\n")[1:]]
    found = [block["settings"] for block in blocks if "settings" in block]
    assert len(found) == 2
    for settings in found:
        Settings.model_validate(settings)
