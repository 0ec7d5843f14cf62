"""Lists of all kinds in named namespaces: each namespace for itself, and none decided upon before it was read whole."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from modelrollout.api.settings import Settings
from modelrollout.controller.views import watched
from modelrollout.kube.errors import Forbidden, Unavailable
from modelrollout.kube.kinds import DEPLOYMENT, MODEL_DEPLOYMENT, Ref
from modelrollout.kube.lister import PATIENCE, SETTLE, Listed, Lister
from modelrollout.runtime.store import Store
from tests.fakes.clock import VirtualClock, settle
from tests.fakes.kube import FakeKube
from tests.fakes.loop import in_loop


@asynccontextmanager
async def running(work):
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


KINDS = [Listed(MODEL_DEPLOYMENT), Listed(DEPLOYMENT)]


class World:
    """An API server with one ModelDeployment in each of two namespaces; `closed` are (kind, namespace) that may not be listed."""

    def __init__(self, namespaces=("a", "b"), error=Forbidden):
        self.api, self.clock, self.woken = FakeKube(), VirtualClock(), []
        self.closed, self.error = set(), error
        self.store = Store(watched(Settings()), self.woken.append)
        self.lister = Lister(self.api, self.store, self.clock, KINDS, namespaces)
        self.api.before.append(self._refuse)
        for namespace in ("a", "b"):
            metadata = {"namespace": namespace, "name": "fraud"}
            self.api.put({"apiVersion": "modelrollout.dev/v1alpha1", "kind": "ModelDeployment", "metadata": metadata})

    def _refuse(self, request):
        if request.verb == "LIST" and (request.kind, request.namespace) in self.closed:
            raise self.error("no", request=f"LIST {request.kind}")

    def known(self):
        return {key[0] for key in self.store.keys(MODEL_DEPLOYMENT.kind)}


@in_loop
async def test_a_namespace_that_may_not_be_read_holds_up_no_other():
    world = World()
    world.closed = {(MODEL_DEPLOYMENT, "b"), (DEPLOYMENT, "b")}
    await world.lister.list_all()
    assert world.known() == {"a"}
    assert not world.lister.unread("a")
    assert world.lister.unread("b")


@in_loop
async def test_a_namespace_of_which_one_kind_may_not_be_read_is_not_decided_upon_until_it_may():
    world = World()
    world.closed = {(DEPLOYMENT, "b")}
    await world.lister.list_all()
    assert world.known() == {"a", "b"}
    assert world.lister.unread("b")
    world.woken.clear()
    async with running(world.lister.run(600.0)):
        await world.clock.advance(2 * SETTLE)
        assert world.woken == []
        world.closed.clear()
        await world.clock.advance(2 * SETTLE)
    assert not world.lister.unread("b")
    assert world.woken == [("b", "fraud")]


@in_loop
async def test_what_vanished_in_one_namespace_is_noticed_although_another_one_is_closed():
    world = World()
    await world.lister.list_all()
    world.closed = {(MODEL_DEPLOYMENT, "b")}
    world.api.remove(Ref(MODEL_DEPLOYMENT, "a", "fraud"))
    async with running(world.lister.run(4 * SETTLE)):
        await world.clock.advance(5 * SETTLE)
    assert world.known() == {"b"}, "what is known of the closed one stays, what is gone from the other one goes"
    assert not world.lister.unread("b")


@in_loop
@pytest.mark.parametrize(("namespaces", "error"), [((), Forbidden), (("a", "b"), Unavailable)], ids=["all", "server"])
async def test_nothing_is_decided_while_a_whole_cluster_is_closed_or_the_server_fails(namespaces, error):
    world = World(namespaces, error)
    world.closed = {(DEPLOYMENT, namespaces[-1] if namespaces else "")}
    async with running(world.lister.list_all()) as listing:
        await world.clock.advance(3 * PATIENCE)
        assert not listing.done()
        world.closed.clear()
        await world.clock.advance(PATIENCE)
        await settle()
        assert listing.done()
