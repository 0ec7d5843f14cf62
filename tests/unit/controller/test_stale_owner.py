"""What an earlier resource of the same name has left in the Store, though it is gone."""

from types import SimpleNamespace

import pytest

from modelrollout.api.settings import Settings
from modelrollout.controller.act import Actor, Moved
from modelrollout.controller.kinds import ServedKinds
from modelrollout.controller.views import watched
from modelrollout.kube.apply import Applier
from modelrollout.kube.kinds import SERVICE, Ref
from modelrollout.runtime.store import Store
from modelrollout.workload.identity import Owner
from tests.fakes.clock import VirtualClock
from tests.fakes.kube import FakeKube
from tests.fakes.loop import in_loop

REF = Ref(SERVICE, "ml", "fraud")
OWNER = Owner("ml", "fraud", "the-new-one")


def service(uid):
    owner = {"apiVersion": "modelrollout.dev/v1alpha1", "kind": "ModelDeployment", "name": "fraud", "uid": uid}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"namespace": "ml", "name": "fraud", "ownerReferences": [owner | {"controller": True}]},
        "spec": {"ports": [{"port": 80, "protocol": "TCP"}], "selector": {"app": "fraud"}},
    }


@in_loop
async def test_an_object_of_an_earlier_owner_that_vanished_unseen_is_no_obstacle():
    api = FakeKube()
    store = Store(watched(Settings()), lambda _: None)
    store.took(SERVICE.kind, api.put(service("the-old-one")))
    api.remove(REF)
    actor = Actor(api, Applier(api), store, ServedKinds(api, VirtualClock()))
    work = SimpleNamespace(owner=OWNER, problems=[], wrote=False)
    with pytest.raises(Moved):
        await actor._ensure(work, service(OWNER.uid))
    await actor._ensure(work, service(OWNER.uid))
    assert not work.problems
    assert api.peek(REF)["metadata"]["ownerReferences"][0]["uid"] == OWNER.uid


@in_loop
async def test_an_object_of_somebody_else_that_is_still_there_is_reported_and_left():
    api = FakeKube()
    store = Store(watched(Settings()), lambda _: None)
    store.took(SERVICE.kind, api.put(service("somebody-else")))
    actor = Actor(api, Applier(api), store, ServedKinds(api, VirtualClock()))
    work = SimpleNamespace(owner=OWNER, problems=[], wrote=False)
    await actor._ensure(work, service(OWNER.uid))
    assert [problem.reason for problem in work.problems] == ["ForeignObject"]
    assert api.peek(REF)["metadata"]["ownerReferences"][0]["uid"] == "somebody-else"
