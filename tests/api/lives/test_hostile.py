"""Hundreds of hostile resources beside a good one: refused or harmless, and none stops the good one or the process."""

import socket
import sys
from dataclasses import replace

import pytest

from modelrollout.controller.commands import KEPT
from modelrollout.operator import READABLE
from tests.harness.apiserver import RefusedError
from tests.harness.specs import SWIFT, model
from tests.property.hostile import SOUND, hostile, hostile_command, nested

SPECS = 240
MISTYPED = SOUND | {"template": {"spec": {"nodeSelector": ["pool"]}}}
DEEP = SOUND | {"template": {"spec": nested(5_000, dict)}}


@pytest.fixture
def deep_json():
    """The test reads and writes what the operator must be able to read."""
    former = sys.getrecursionlimit()
    sys.setrecursionlimit(READABLE)
    yield
    sys.setrecursionlimit(former)


def test_among_hostile_resources_a_good_one_is_promoted(life, traffic, deep_json):
    life.excused.add("conditions_are_consistent")  # its words are the scheduler's, about selectors that no node has
    with socket.create_server(("127.0.0.1", 0)) as trap:
        trap.settimeout(0)
        life.begin("1", steps=SWIFT)
        address = f"http://127.0.0.1:{trap.getsockname()[1]}"
        specs = {"deep": DEEP, "mistyped": MISTYPED} | {
            f"bad-{number}": hostile(number, address) for number in range(SPECS)
        }
        taken = [name for name, spec in specs.items() if _taken(life, name, spec)]
        assert "deep" in taken, "the API server takes what is as deep as that"
        assert 20 <= len(taken) <= SPECS - 50, "hostile specs that are all taken, or all refused, show nothing"
        life.apply("2", steps=SWIFT)
        life.healthy("2")
        told = {name: life.observer.until(lambda name=name: _told(life, name), f"{name} is told") for name in taken}
        assert "levels deep" in told["deep"]["message"]
        assert told["deep"]["summary"]["reason"] == "InvalidSpec"
        life.observer.until(
            lambda: "nodeSelector" in _told(life, "mistyped")["message"], "a field of a wrong type is named"
        )
        life.operator.kill()
        life.operator.start()
        life.apply("3", steps=SWIFT)
        life.healthy("3")
        with pytest.raises(BlockingIOError):
            trap.accept()


COMMANDS = 300
CROWD = 400


def command(name: str, spec) -> dict:
    return {
        "apiVersion": "modelrollout.dev/v1alpha1",
        "kind": "RolloutCommand",
        "metadata": {"name": name},
        "spec": spec,
    }


def test_hostile_commands_move_no_weight_and_stop_no_rollout(life, deep_json):
    life.excused.add("conditions_are_consistent")  # a refusal cites what was asked for, dots and blanks and all
    life.begin("1")
    life.apply("2")
    life.waits("tenth")
    revision = life.revision("2")
    all_of_them = {f"bad-{number}": hostile_command(number, revision) for number in range(COMMANDS)}
    there = [name for name, spec in all_of_them.items() if _created(life, command(name, spec))]
    assert 20 <= len(there) <= COMMANDS - 50, "commands that are all taken, or all refused, show nothing"
    life.accepted("Approve", "tenth")
    life.waits("half")
    for name in there:
        found = life.observer.now("RolloutCommand", name)  # the oldest are pruned
        assert ((found or {}).get("status") or {}).get("outcome", "Refused") == "Refused", found
    assert life.timeline() == [("1", 100), ("2", 10), ("2", 50)]
    assert not life.status.get("paused")


def test_a_crowd_of_commands_holds_up_neither_an_abort_nor_another_rollout(life):
    life.begin("1")
    life.apply("2")
    life.waits("tenth")
    other = replace(life, name="other")
    crowd = {"target": "fraud", "action": "Approve", "revision": "nothing", "step": "tenth", "by": "bot"}
    life.objects.create_all([command(f"crowd-{number}", crowd) for number in range(CROWD)], manager="bot")
    other.apply("1", steps=SWIFT)
    life.accepted("Abort")
    life.taken_back("2")
    other.healthy("1")
    life.observer.until(lambda: not _untaken(life), "each command has its answer")
    left = [one for one in life.observer.all("RolloutCommand") if one["spec"]["by"] == "bot"]
    assert {one["status"]["outcome"] for one in left} <= {"Refused"}
    life.observer.until(lambda: len(life.observer.all("RolloutCommand")) <= KEPT, "old ones are pruned")
    life.apply("3", steps=SWIFT)
    life.healthy("3")


def _untaken(life) -> list[str]:
    found = life.observer.all("RolloutCommand")
    return [one["metadata"]["name"] for one in found if not (one.get("status") or {}).get("outcome")]


def test_commands_for_a_resource_that_is_refused_are_answered_and_it_can_be_mended(life):
    life.apply("1", server={"runtime": "Unknown"})
    life.operator.start(wait=False)
    life.reason("InvalidSpec")
    crowd = {"target": "fraud", "action": "Abort", "revision": "nothing", "by": "bot"}
    life.objects.create_all([command(f"crowd-{number}", crowd) for number in range(60)], manager="bot")
    life.sentinel()
    life.apply("1")
    life.healthy("1")
    life.observer.until(lambda: not _untaken(life), "each command has its answer")


def _taken(life, name: str, spec) -> bool:
    return _created(life, model(name=name) | {"spec": spec})


def _created(life, manifest) -> bool:
    try:
        life.objects.create(manifest)
    except RefusedError as refusal:
        if refusal.code not in (400, 422):
            raise
        return False
    return True


def _told(life, name: str):
    status = (life.observer.now("ModelDeployment", name) or {}).get("status") or {}
    return status if status.get("message") else None
