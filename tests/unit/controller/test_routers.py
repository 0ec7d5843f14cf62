"""Lives with each router: promotion, rollback, drift, and a change of router in mid-rollout."""

import copy

import pytest

from modelrollout.controller.kinds import ROUTED
from modelrollout.kube.kinds import DEPLOYMENT, SERVICE, Kind, Ref
from modelrollout.traffic.routers import OBJECT_ROUTERS
from tests.fakes.loop import in_loop
from tests.fakes.stage import KEY, Live
from tests.harness.specs import APPROVED, SWIFT, model
from tests.unit.traffic.specs import SPECS

EACH = pytest.mark.parametrize("name", sorted(OBJECT_ROUTERS))
SWITCHES = [("Service", name) for name in sorted(OBJECT_ROUTERS)]
SWITCHES += [(name, "Service") for name in sorted(OBJECT_ROUTERS)]
SWITCHES += [(one, other) for one in sorted(OBJECT_ROUTERS) for other in sorted(OBJECT_ROUTERS) if one != other]


def ask(stage, name, number, **fields):
    router = SPECS.get(name, {"service": {"coarse": "Accept"}})
    manifest = model(number, traffic=router, replicas=4, **fields)
    stage.api.put({**manifest, "metadata": {"namespace": KEY[0], **manifest["metadata"]}})


def routed(stage, name):
    """What the router's objects say now, by version; checks on the way that no share leads to a version without ready pods."""
    router = OBJECT_ROUTERS[name]
    parts = {
        (kind.kind, raw["metadata"]["name"]): router.read(raw)
        for kind in ROUTED.values()
        if (kind.api_version, kind.kind) in router.kinds
        for raw in stage.api.of(kind)
    }
    view = router.observe(KEY[1], parts)
    found = {revision.split("-")[0]: weight for revision, weight in (view.weights or {}).items() if weight}
    for version in found:
        [ready] = [
            raw["status"]["readyReplicas"]
            for raw in stage.api.of(DEPLOYMENT)
            if raw["metadata"]["labels"]["app.kubernetes.io/version"] == version
        ]
        assert ready
    return found


async def at_tenth(stage, name):
    """Version 1 serves, and version 2 waits at 10 %."""
    ask(stage, name, "1")
    await stage.comes(lambda: stage.status.phase == "Healthy")
    ask(stage, name, "2", steps=APPROVED)
    await stage.comes(lambda: routed(stage, name) == {"1": 9_000, "2": 1_000})


class Followed:
    """Every split that the router's objects ever carried, in order."""

    def __init__(self, stage, name):
        self.seen = []
        stage.api.watchers.append(lambda kind, *_: self._look(stage, name) if kind in ROUTED.values() else None)

    def _look(self, stage, name):
        found = routed(stage, name)
        if not self.seen or found != self.seen[-1]:
            self.seen.append(found)


def objects(stage):
    return {raw["kind"] for kind in ROUTED.values() for raw in stage.api.of(kind)}


@EACH
@in_loop
async def test_a_promotion_goes_through_each_weight_and_nothing_else(name):
    async with Live().running() as stage:
        followed = Followed(stage, name)
        ask(stage, name, "1", steps=SWIFT)
        await stage.comes(lambda: stage.status.phase == "Healthy")
        ask(stage, name, "2", steps=SWIFT)
        await stage.comes(lambda: stage.status.phase == "Healthy" and stage.weights() == {"2": 10_000})
        assert [seen for seen in followed.seen if seen] == [
            {"1": 10_000},
            {"1": 9_000, "2": 1_000},
            {"1": 5_000, "2": 5_000},
            {"2": 10_000},
        ]
        assert stage.status.traffic.router == name
        entry = stage.api.peek(Ref(SERVICE, *KEY))
        assert entry["spec"]["selector"]["modelrollout.dev/revision"].startswith("2-")
        steady = len(stage.api.requests)
        await stage.clock.advance(3600.0)
        writes = [request for request in stage.api.requests[steady:] if request.write]
        assert len(writes) < 10, "a steady fleet sends nothing but what ends the warm time"


@EACH
@in_loop
async def test_a_rollback_takes_all_traffic_back_at_once(name):
    async with Live().running() as stage:
        await at_tenth(stage, name)
        stage.command("Abort")
        await stage.within(3, lambda: routed(stage, name) == {"1": 10_000})
        await stage.comes(lambda: stage.status.phase == "RolledBack")


@EACH
@in_loop
async def test_what_somebody_changes_in_the_objects_is_put_back(name):
    async with Live().running() as stage:
        await at_tenth(stage, name)
        for kind in [
            found for found in ROUTED.values() if (found.api_version, found.kind) in OBJECT_ROUTERS[name].kinds
        ]:
            for raw in stage.api.of(kind):
                wanted = (copy.deepcopy(raw["spec"]), raw["metadata"].get("annotations"))
                await drift(stage, kind, raw["metadata"]["name"])
                now = stage.api.peek(Ref(kind, "ml", raw["metadata"]["name"]))
                assert (now["spec"], now["metadata"].get("annotations")) == wanted
        assert routed(stage, name) == {"1": 9_000, "2": 1_000}
        assert stage.status.phase in ("Progressing", "Paused")


@EACH
@in_loop
async def test_what_somebody_deletes_of_the_objects_is_made_again(name):
    async with Live().running() as stage:
        await at_tenth(stage, name)
        for ref in [Ref(kind, "ml", raw["metadata"]["name"]) for kind in ROUTED.values() for raw in stage.api.of(kind)]:
            stage.api.remove(ref)
            await stage.clock.advance(1.0)
            assert stage.api.peek(ref)
            assert routed(stage, name) == {"1": 9_000, "2": 1_000}


async def drift(stage: Live, kind: Kind, name: str) -> None:
    def turn(raw):
        """Every whole number, and every text of one, becomes another."""
        raw["spec"] = turned(raw["spec"])
        if "annotations" in raw["metadata"]:
            raw["metadata"]["annotations"] = turned(raw["metadata"]["annotations"])

    stage.api.edit(Ref(kind, "ml", name), turn)
    await stage.clock.advance(1.0)


def turned(value):
    match value:
        case dict():
            return {key: turned(item) for key, item in value.items()}
        case list():
            return [turned(item) for item in value]
        case int():
            return value + 1
        case str() if value.isdecimal():
            return str(int(value) + 1)
    return value


@pytest.mark.parametrize(("before", "after"), SWITCHES)
@in_loop
async def test_a_change_of_router_in_mid_rollout_leaves_no_version_without_a_route(before, after):
    async with Live().running() as stage:
        ask(stage, before, "1")
        await stage.comes(lambda: stage.status.phase == "Healthy")
        ask(stage, before, "2", steps=APPROVED)
        await stage.comes(lambda: stage.weights().get("2") == 1_000)
        await stage.clock.advance(60.0)
        kinds_before = {kind for _, kind in OBJECT_ROUTERS[before].kinds} if before in OBJECT_ROUTERS else set()
        ask(stage, after, "2", steps=APPROVED)
        if after in OBJECT_ROUTERS:
            await stage.within(5, lambda: routed(stage, after) == {"1": 9_000, "2": 1_000})
            # The former way in stays until the new one carries the traffic.
            assert objects(stage) >= kinds_before
        await stage.within(120, lambda: not objects(stage) & kinds_before)
        assert stage.status.traffic.router == after
        assert stage.weights() == {"1": 9_000, "2": 1_000}
        ask(stage, after, "2", steps=SWIFT)
        await stage.comes(lambda: stage.status.phase == "Healthy" and stage.weights() == {"2": 10_000})
        if after in OBJECT_ROUTERS:
            assert routed(stage, after) == {"2": 10_000}


@EACH
@in_loop
async def test_a_missing_router_is_a_condition_and_the_former_one_still_takes_a_bad_version_back(name):
    before = "Traefik" if name != "Traefik" else "Istio"
    stage = Live()
    stage.api.kinds -= {kind for kind in ROUTED.values() if (kind.api_version, kind.kind) in OBJECT_ROUTERS[name].kinds}
    async with stage.running():
        await at_tenth(stage, before)
        ask(stage, name, "2", steps=APPROVED)
        await stage.comes(lambda: "does not serve" in stage.status.message)
        assert routed(stage, before) == {"1": 9_000, "2": 1_000}
        stage.command("Abort")
        await stage.within(5, lambda: routed(stage, before) == {"1": 10_000})
        [stalled] = [one for one in stage.status.conditions if one.type == "Stalled"]
        assert stalled.status == "True"


@EACH
@in_loop
async def test_a_router_that_appears_is_taken_up(name):
    stage = Live()
    missing = {kind for kind in ROUTED.values() if (kind.api_version, kind.kind) in OBJECT_ROUTERS[name].kinds}
    stage.api.kinds -= missing
    async with stage.running():
        ask(stage, name, "1")
        await stage.comes(lambda: "does not serve" in stage.status.message)
        [stalled] = [one for one in stage.status.conditions if one.type == "Stalled"]
        assert (stalled.status, stalled.reason) == ("True", "RouterMissing")
        stage.api.kinds |= missing
        await stage.within(120, lambda: stage.status.phase == "Healthy")
        assert routed(stage, name) == {"1": 10_000}


@pytest.mark.parametrize(("before", "after"), SWITCHES)
@in_loop
async def test_a_rollback_right_after_a_change_of_router_takes_traffic_back_on_both_ways_in(before, after):
    async with Live().running() as stage:
        half = [{"name": "half", "weight": 50, "advance": "Approval"}]
        ask(stage, before, "1")
        await stage.comes(lambda: stage.status.phase == "Healthy")
        ask(stage, before, "2", steps=half)
        await stage.comes(lambda: stage.weights().get("2") == 5_000)
        await stage.clock.advance(60.0)
        ask(stage, after, "2", steps=half)
        await stage.clock.advance(1.0)
        stage.command("Abort")
        if after in OBJECT_ROUTERS:
            await stage.within(5, lambda: routed(stage, after) == {"1": 10_000})
        mine = {kind for _, kind in OBJECT_ROUTERS[after].kinds} if after in OBJECT_ROUTERS else set()
        await stage.within(60, lambda: objects(stage) == mine)
        await stage.comes(lambda: stage.status.phase == "RolledBack")
        await stage.within(1_200, lambda: [one.version for one in stage.status.revisions if one.replicas] == ["1"])
