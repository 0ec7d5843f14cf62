"""The health check for Argo CD, in the version of Lua that Argo CD speaks (5.1), with the object as `obj`."""

from typing import Any

import pytest
from lupa.lua51 import LuaRuntime

from tools.chart import ROOT

SCRIPT = (ROOT / "manifests" / "argocd" / "modeldeployment-health.lua").read_text()


def health(status: dict[str, Any] | None, generation: int = 2) -> tuple[str, str]:
    lua = LuaRuntime(unpack_returned_tuples=True)
    found = {"metadata": {"generation": generation}, **({} if status is None else {"status": status})}
    lua.globals().obj = lua.table_from(found, recursive=True)
    answer = lua.execute(SCRIPT)
    return answer["status"], answer["message"]


def status(phase: str, **conditions: str) -> dict[str, Any]:
    return {
        "observedGeneration": 2,
        "phase": phase,
        "message": "a sentence",
        "conditions": [{"type": kind, "status": value} for kind, value in conditions.items()],
    }


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (status("Healthy", Ready="True", Stalled="False"), "Healthy"),
        (status("Progressing", Ready="False", Reconciling="True"), "Progressing"),
        (status("Paused", Ready="False", Reconciling="True"), "Suspended"),
        (status("RolledBack", Ready="False", Stalled="True"), "Degraded"),
        (status("Paused", Ready="False", Stalled="True"), "Degraded"),
        (status("Loading"), "Progressing"),
    ],
    ids=str,
)
def test_health_follows_the_conditions(found: dict[str, Any], expected: str):
    assert health(found) == (expected, "a sentence")


@pytest.mark.parametrize("found", [None, {}], ids=["no status", "empty status"])
def test_what_the_operator_has_not_seen_is_progressing(found: dict[str, Any] | None):
    assert health(found) == ("Progressing", "Waiting for the operator")


def test_a_status_of_an_older_spec_is_progressing():
    assert health(status("Healthy", Ready="True"), generation=3)[0] == "Progressing"
