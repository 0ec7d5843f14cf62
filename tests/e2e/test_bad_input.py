"""Versions that never come to serve: what is said of them, and that nobody's traffic moves."""

from dataclasses import dataclass, field

import pytest

from tests.e2e.conftest import Desk
from tests.e2e.served import Served

DEADLINE = "25s"


@dataclass(frozen=True)
class Bad:
    """A version 2 that cannot serve, and what status has to say about it."""

    said: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict)
    image: str = ""


BAD = {
    "image": Bad(
        (f"Not ready within {DEADLINE}", "127.0.0.1:1/no-such-image:2", "No traffic was moved."),
        image="127.0.0.1:1/no-such-image:2",  # a registry that refuses at once, and is asked by nobody else
    ),
    "crash": Bad(
        ('container "server" exits with 1', "FileNotFoundError: /models/model.pkl", "No traffic was moved."),
        env={"FAULT_LOAD": "crash"},
    ),
    "slow": Bad(
        (f"Not ready within {DEADLINE}", "No traffic was moved."),
        env={"FAULT_LOAD_SECONDS": "3600"},
    ),
}


@pytest.fixture(scope="module")
def failed(desk: Desk):
    """All bad versions at once, each against a stable version of its own."""
    models = {name: desk.model(f"bad-{name}") for name in BAD}
    rollout = {"steps": [{"weight": 50, "hold": "5s"}], "loadDeadline": DEADLINE, "keepFailed": "30s"}
    for served in models.values():
        served.apply("1", replicas=1, rollout=rollout)
    for served in models.values():
        served.healthy("1", seconds=180)
    for name, served in models.items():
        served.apply("2", replicas=1, rollout=rollout, env=BAD[name].env, image=BAD[name].image)
    for served in models.values():
        served.taken_back("2", phase="Failed")
    yield models
    for served in models.values():
        served.delete()


@pytest.mark.parametrize("name", BAD)
def test_a_version_that_cannot_serve_fails_and_says_why(name: str, failed: dict[str, Served], desk: Desk):
    served = failed[name]
    desk.measured(f"message of a bad version ({name})", served.message)
    for words in BAD[name].said:
        assert words in served.message, served.message
    row = served.kubectl.ok("get", "modeldeployment", served.name, "--no-headers").split()
    assert row[:2] == [served.name, "1"]
    assert "Failed" in row
    assert "ModelLoadFailed" in row


@pytest.mark.parametrize("name", BAD)
def test_no_traffic_is_moved_to_a_version_that_cannot_serve(name: str, failed: dict[str, Served]):
    served = failed[name]
    assert [shares for _, shares in served.routed()] == [{"1": 100.0}]
    assert served.ask()[0] == "1"
