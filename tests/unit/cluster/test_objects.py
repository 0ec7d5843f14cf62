"""A condition counts when every object has it."""

from pathlib import Path

import pytest

from tests.cluster.local.objects import Kubectl


@pytest.mark.parametrize(
    ("said", "ready"),
    [("True,True,", True), ("True,", True), ("True,,", False), (",True,", False), ("True,False,", False), ("", False)],
)
def test_a_condition_is_true_when_every_one_of_at_least_one_object_has_it(tmp_path: Path, said, ready):
    program = tmp_path / "kubectl"
    program.write_text(f"#!/bin/sh\nprintf '%s' '{said}'\n")
    program.chmod(0o755)
    reason = Kubectl(program, tmp_path / "kubeconfig").condition("nodes", "Ready")
    assert (reason == "") is ready
