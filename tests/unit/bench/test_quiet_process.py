"""What keeps a process with a thousand rollouts quiet: it notices what it need not do, and nothing that it must do."""

import asyncio

from modelrollout.api.settings import Settings
from modelrollout.controller.kinds import ASK_AGAIN, ServedKinds
from modelrollout.controller.prime import MANY, remember_pods
from modelrollout.controller.views import watched
from modelrollout.kube.errors import Unreachable
from modelrollout.kube.kinds import DEPLOYMENT, HTTP_ROUTE, MODEL_DEPLOYMENT, POD
from modelrollout.operator import NoEssence
from modelrollout.runtime.store import Store, Watched
from tests.fakes.clock import VirtualClock
from tests.fakes.kube import FakeKube

KEY = ("ml", "fraud")


def thing(version: int, *, name: str = "fraud-1", owner: str = "fraud", **spec: object) -> dict:
    metadata = {"namespace": "ml", "name": name, "uid": name, "resourceVersion": str(version)}
    return {"metadata": metadata | {"labels": {"modelrollout.dev/deployment": owner}}, "spec": spec}


def store() -> Store:
    return Store({"Thing": Watched(lambda raw: raw["spec"])}, lambda _: None)


def test_the_stamp_of_an_owner_changes_with_every_version_even_of_the_same_view():
    seen, stamps = store(), set()
    for version in (1, 2, 3):
        seen.took("Thing", thing(version, same=True))
        stamps.add(seen.stamp(KEY))
    assert len(stamps) == 3


def test_the_stamp_stays_when_nothing_new_or_something_of_others_is_seen():
    seen = store()
    seen.took("Thing", thing(5))
    stamp = seen.stamp(KEY)
    seen.took("Thing", thing(5))
    seen.observe("Thing", thing(4))
    seen.took("Thing", thing(6, name="other-1", owner="other"))
    assert seen.stamp(KEY) == stamp


def test_the_stamp_changes_with_a_deletion_and_is_not_used_again():
    seen = store()
    seen.took("Thing", thing(5))
    seen.took("Thing", thing(6, name="fraud-2"))
    stamps = [seen.stamp(KEY)]
    seen.observe("Thing", thing(7, name="fraud-2"), deleted=True)
    stamps.append(seen.stamp(KEY))
    seen.observe("Thing", thing(8), deleted=True)
    seen.took("Thing", thing(9))
    stamps.append(seen.stamp(KEY))
    assert len(set(stamps)) == 3


def test_an_object_that_changes_hands_changes_both_stamps():
    seen = store()
    seen.took("Thing", thing(1))
    seen.took("Thing", thing(2, name="fraud-2"))
    before = seen.stamp(KEY)
    seen.took("Thing", thing(3, owner="other"))
    assert seen.stamp(KEY) != before
    assert seen.stamp(("ml", "other"))


def test_when_the_answer_whether_a_kind_is_served_gets_old_one_worker_asks_for_all():
    async def life() -> list[int]:
        clock, api = VirtualClock(), FakeKube()
        asked = []

        async def serves(kind) -> bool:
            asked.append(kind)
            await asyncio.sleep(0)
            return True

        api.serves = serves
        served, counts = ServedKinds(api, clock), []
        for seconds in (0, ASK_AGAIN / 2, ASK_AGAIN + 1):
            await clock.advance(seconds)
            assert all(await asyncio.gather(*(served.has(HTTP_ROUTE) for _ in range(8))))
            counts.append(len(asked))
        return counts

    first, later, renewed = asyncio.run(life())
    assert first == later == renewed - 1


def test_kopf_copies_no_object_to_find_differences_that_nobody_looks_at():
    essence = NoEssence()
    assert essence.build(body={"spec": {"large": 1}}) == {}
    assert essence.fetch(body={}) is None


def fleet(count: int) -> tuple[FakeKube, Store]:
    """So many rollouts under way, each with a Deployment and a pod of a candidate."""
    api, seen = FakeKube(), Store(watched(Settings()), lambda _: None)
    for index in range(count):
        name = f"model-{index}"
        labels = {"modelrollout.dev/deployment": name, "modelrollout.dev/revision": "2-bbbb"}
        metadata = {"namespace": "ml", "resourceVersion": str(100 + index)}
        rollout = {"revision": "2-bbbb", "startedAt": "2026-01-01T00:00:00Z", "replicas": 1}
        resource = {"metadata": metadata | {"name": name, "uid": name}, "status": {"rollout": rollout}}
        seen.took(MODEL_DEPLOYMENT.kind, resource)
        owner = {"uid": name, "controller": True, "kind": "ModelDeployment", "name": name}
        child = metadata | {"name": f"{name}-2-bbbb", "uid": f"{name}-d", "labels": labels, "ownerReferences": [owner]}
        seen.took(DEPLOYMENT.kind, {"metadata": child})
        pod = {"namespace": "ml", "name": f"{name}-2-bbbb-x-y", "labels": labels}
        api.put({"apiVersion": "v1", "kind": "Pod", "metadata": pod, "spec": {}})
    return api, seen


def test_a_process_that_starts_in_mid_fleet_reads_the_pods_of_all_in_one_list():
    api, seen = fleet(MANY)
    memories = asyncio.run(remember_pods(api, seen, VirtualClock(), ()))
    assert [request.kind for request in api.requests] == [POD]
    for index in range(MANY):
        key = ("ml", f"model-{index}")
        [(revision, found)] = memories[key].pods.items()
        assert revision == "2-bbbb"
        assert [pod.name for pod in found.pods] == [f"model-{index}-2-bbbb-x-y"]
        deployment = seen.get(DEPLOYMENT.kind, ("ml", f"model-{index}-2-bbbb"))
        assert found.of == deployment.view


def test_a_few_rollouts_read_their_pods_by_themselves():
    api, seen = fleet(MANY - 1)
    assert asyncio.run(remember_pods(api, seen, VirtualClock(), ())) == {}
    assert not api.requests


def test_a_list_of_pods_that_fails_is_no_obstacle():
    api, seen = fleet(MANY)

    def refuse(_) -> None:
        raise Unreachable("refused", request="LIST pods")

    api.before.append(refuse)
    assert asyncio.run(remember_pods(api, seen, VirtualClock(), ())) == {}
