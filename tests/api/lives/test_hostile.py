"""Hundreds of hostile resources beside a good one: refused or harmless, and none stops the good one or the process."""

import socket
import sys

import pytest

from modelrollout.operator import READABLE
from tests.harness.apiserver import RefusedError
from tests.harness.specs import SWIFT, model
from tests.property.hostile import SOUND, hostile, nested

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


def _taken(life, name: str, spec) -> bool:
    try:
        life.objects.create(model(name=name) | {"spec": spec})
    except RefusedError as refusal:
        if refusal.code not in (400, 422):
            raise
        return False
    return True


def _told(life, name: str):
    status = (life.observer.now("ModelDeployment", name) or {}).get("status") or {}
    return status if status.get("message") else None
