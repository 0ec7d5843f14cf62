"""Several operators that share a namespace by labels: each looks after its own resources, and one can be handed over."""

import pytest

from tests.harness.specs import model


@pytest.fixture
def settings() -> dict:
    return {"selector": "shard=a"}


def labelled(life, shard: str) -> None:
    life.objects.patch("ModelDeployment", life.name, {"metadata": {"labels": {"shard": shard}}}, manager="alice")


def test_a_resource_with_another_label_is_left_alone_and_one_that_changes_it_is_handed_over(life):
    life.operator.start()
    life.apply("1")
    mine = model("1", name="mine")
    mine["metadata"]["labels"] = {"shard": "a"}
    life.objects.apply(mine)

    def served() -> bool:
        raw = life.observer.now("ModelDeployment", "mine") or {}
        return (raw.get("status") or {}).get("phase") == "Healthy"

    life.observer.until(served, "the resource with the label serves")
    assert not life.resource.get("status")
    assert not [one for one in life.observer.all("Deployment") if one["metadata"]["name"].startswith("fraud-")]

    labelled(life, "a")
    life.healthy("1")
    life.apply("2")
    life.waits("tenth")
    before = life.versions()
    labelled(life, "b")
    life.operator.stop()
    life.operator.settings["selector"] = "shard=b"
    life.operator.start()
    life.accepted("Approve", "tenth")
    life.waits("half")
    route = life.observer.history("HTTPRoute", "fraud")
    since = [sight for sight in route if sight.version > int(before["HTTPRoute", "fraud"])]
    assert since, "the weight moved with the approval"
    assert life.status["summary"]["stable"] == "1"
