"""Whole manifests, held as files, so that a change of what is sent to a cluster is seen in review.

`UPDATE_GOLDEN=1 pytest tests/unit/workload/test_golden.py` writes them anew. A change in a pod template reaches new
revisions only, since the others keep their records; a change in any other object is sent to every resource of every fleet.
"""

import os
from pathlib import Path

import pytest
import yaml

from modelrollout.api.settings import RouterName, Settings
from modelrollout.workload.render import render

GOLDEN = Path(__file__).parents[2] / "golden"
SETTINGS = Settings.model_validate({"providers": [{"url": "http://prometheus:9090"}], "routers": list(RouterName)})


class _Plain(yaml.SafeDumper):
    def ignore_aliases(self, data):
        return True


@pytest.mark.parametrize("name", sorted(path.stem for path in GOLDEN.glob("*.in.yaml")))
def test_the_objects_of_a_spec_are_as_they_were(name):
    name = name.removesuffix(".in")
    resource = yaml.safe_load((GOLDEN / f"{name}.in.yaml").read_text())
    metadata = resource["metadata"]
    made = render(metadata["name"], metadata["namespace"], resource["spec"], SETTINGS)
    text = yaml.dump_all(made, Dumper=_Plain, sort_keys=False)
    expected = GOLDEN / f"{name}.out.yaml"
    if os.environ.get("UPDATE_GOLDEN"):
        expected.write_text(text)
    assert text == expected.read_text()


def test_there_are_golden_files():
    assert len(list(GOLDEN.glob("*.in.yaml"))) == len(list(GOLDEN.glob("*.out.yaml"))) >= 3
