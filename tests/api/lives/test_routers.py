"""Lives with the routers that are not a Gateway, on a real API server with their real CRDs: what they show is what was decided."""

import json

import pytest

from modelrollout.controller.kinds import ROUTED
from modelrollout.traffic.routers import OBJECT_ROUTERS
from tests.api.routers import define_routers
from tests.harness.specs import APPROVED
from tests.unit.traffic.specs import SPECS

OTHERS = sorted(set(OBJECT_ROUTERS) - {"Gateway"})


@pytest.fixture(scope="module", autouse=True)
def _defined(cluster):
    define_routers(cluster.kubectl)


@pytest.fixture
def settings():
    return {"routers": sorted(OBJECT_ROUTERS)}


def objects(life, name):
    kinds = [kind for kind in ROUTED.values() if (kind.api_version, kind.kind) in OBJECT_ROUTERS[name].kinds]
    plurals = ",".join(f"{kind.plural}.{kind.group}" for kind in kinds)
    return json.loads(life.kubectl.ok("get", plurals, "-o", "json"))["items"]


def routed(life, name):
    """The share of each version in the router's objects."""
    router = OBJECT_ROUTERS[name]
    parts = {(raw["kind"], raw["metadata"]["name"]): router.read(raw) for raw in objects(life, name)}
    weights = router.observe(life.name, parts).weights or {}
    return {revision.rsplit("-", 1)[0]: weight for revision, weight in weights.items() if weight}


def carries(life, name, **shares):
    wanted = {version.removeprefix("v"): 100 * share for version, share in shares.items()}
    life.observer.until(lambda: routed(life, name) == wanted, f"{name} carries {wanted}")


@pytest.mark.parametrize("name", OTHERS)
def test_a_rollback_a_repair_and_a_promotion(life, name):
    asked = {"traffic": SPECS[name], "steps": APPROVED}
    life.begin("1", **asked)
    carries(life, name, v1=100)
    life.apply("2", **asked)
    life.waits("tenth")
    carries(life, name, v1=90, v2=10)
    life.accepted("Abort")
    life.taken_back("2")
    carries(life, name, v1=100)
    life.apply("3", **asked)
    life.waits("tenth")
    carries(life, name, v1=90, v3=10)
    for raw in objects(life, name):
        ref = f"{raw['kind'].lower()}.{raw['apiVersion'].partition('/')[0]}/{raw['metadata']['name']}"
        life.kubectl.ok("delete", ref, "--wait=false")
    carries(life, name, v1=90, v3=10)
    for step in ("tenth", "half"):
        life.waits(step)
        life.accepted("Approve", step)
    life.healthy("3")
    carries(life, name, v3=100)


@pytest.mark.parametrize("name", OTHERS)
def test_from_pods_to_a_router_in_mid_rollout(life, name):
    life.begin("1", traffic={"service": {"coarse": "Accept"}}, steps=APPROVED)
    life.apply("2", traffic={"service": {"coarse": "Accept"}}, steps=APPROVED)
    life.waits("tenth")
    life.apply("2", traffic=SPECS[name], steps=APPROVED)
    carries(life, name, v1=90, v2=10)
    life.until(lambda status: status["traffic"]["router"] == name, f"status names {name}")
    for step in ("tenth", "half"):
        life.waits(step)
        life.accepted("Approve", step)
    life.healthy("2")
    carries(life, name, v2=100)
