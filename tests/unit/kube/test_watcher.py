"""Watches of children: nothing is lost when they end, break, or come too late for what the server remembers."""

import asyncio
import random
from collections import deque
from contextlib import asynccontextmanager

import pytest

from modelrollout.kube.api import Page, Told
from modelrollout.kube.errors import Forbidden, Gone, NotFound, Unreachable
from modelrollout.kube.kinds import SERVICE
from modelrollout.kube.lister import Listed, Lister
from modelrollout.kube.watcher import LONGEST_PAUSE, Watcher
from modelrollout.runtime.store import Store, Watched
from tests.fakes.clock import VirtualClock
from tests.fakes.loop import in_loop


def service(name, version, value=1):
    labels = {"modelrollout.dev/deployment": "fraud"}
    metadata = {"namespace": "ml", "name": name, "uid": f"u-{name}", "resourceVersion": str(version), "labels": labels}
    return {"metadata": metadata, "value": value}


def told(kind, name, version, value=1):
    return Told(kind, service(name, version, value))


def bookmark(version):
    return Told("BOOKMARK", {"metadata": {"resourceVersion": str(version)}})


class Server:
    """Lists what it is given and plays one script for each watch: events and errors, and then it stays open unless `ENDS`."""

    def __init__(self):
        self.listed = Page((service("a", 5),), "10")
        self.scripts = deque()
        self.watched, self.lists, self.open = [], 0, 0

    async def pages(self, _kind, **_options):
        self.lists += 1
        if isinstance(self.listed, Exception):
            raise self.listed
        yield self.listed

    async def watch(self, what, resource_version, seconds=300):
        self.watched.append((str(what), resource_version))
        self.open += 1
        try:
            for step in self.scripts.popleft() if self.scripts else ():
                if step is ENDS:
                    return
                if isinstance(step, Exception):
                    raise step
                yield step
            await asyncio.get_running_loop().create_future()
        finally:
            self.open -= 1


ENDS = object()


class World:
    def __init__(self, namespaces=()):
        self.clock, self.server, self.woken = VirtualClock(), Server(), []
        self.store = Store({"Service": Watched(lambda raw: raw["value"])}, self.woken.append)
        listed = Listed(SERVICE, "modelrollout.dev/deployment")
        self.lister = Lister(self.server, self.store, self.clock, [listed], namespaces)
        self.watcher = Watcher(
            self.server, self.store, self.lister, self.clock, listed, *namespaces[:1], rng=random.Random(1)
        )

    @asynccontextmanager
    async def running(self):
        await self.lister.list_all()
        task = asyncio.create_task(self.watcher.run())
        await self.clock.advance(0)
        try:
            yield self
            assert not task.done(), task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def seen(self):
        return {name: self.store.get("Service", ("ml", name)).view for _, name in self.store.keys("Service")}


@in_loop
async def test_it_takes_up_where_the_list_ended_and_tells_the_store_what_happens():
    world = World()
    world.server.scripts.append([told("ADDED", "b", 11), told("MODIFIED", "a", 12, 2), told("DELETED", "b", 13)])
    async with world.running():
        assert world.server.watched == [("services (all)", "10")]
        assert world.seen() == {"a": 2}
        assert world.woken == [("ml", "fraud")] * 4
    assert world.server.open == 0


@in_loop
async def test_a_watch_that_ends_or_breaks_goes_on_from_the_last_version_it_has_heard_of():
    world = World()
    world.server.scripts += [
        [told("MODIFIED", "a", 12, 2), bookmark(40), ENDS],
        [told("MODIFIED", "a", 41, 3), Unreachable("reset")],
        [told("MODIFIED", "a", 42, 4)],
    ]
    async with world.running():
        await world.clock.advance(5)
        assert [version for _, version in world.server.watched] == ["10", "40", "41"]
        assert world.seen() == {"a": 4}
        assert world.server.lists == 1


@in_loop
@pytest.mark.parametrize("forgotten", [Gone("too old"), NotFound("no such kind")])
async def test_where_the_server_has_forgotten_the_version_it_lists_and_drops_what_vanished(forgotten):
    world = World()
    world.server.scripts += [[told("ADDED", "b", 12), forgotten], [told("ADDED", "d", 31)]]
    async with world.running():
        world.server.listed = Page((service("c", 25),), "30")
        await world.clock.advance(5)
        assert [version for _, version in world.server.watched] == ["10", "30"]
        assert world.seen() == {"c": 1, "d": 1}


@in_loop
async def test_a_list_that_fails_too_is_tried_again_in_its_time_and_nothing_is_dropped_before():
    world = World()
    world.server.scripts.append([Gone("too old")])
    async with world.running():
        world.server.listed = Forbidden("no")
        await world.clock.advance(120)
        assert world.seen() == {"a": 1}
        assert len(world.server.watched) == 1
        assert 120 / LONGEST_PAUSE <= world.server.lists <= 30
        world.server.listed = Page((), "90")
        await world.clock.advance(2 * LONGEST_PAUSE)
        assert world.seen() == {}
        assert world.server.watched[-1] == ("services (all)", "90")


@in_loop
async def test_a_server_that_is_away_is_asked_less_and_less_often_and_soon_again_once_it_was_there():
    world = World()
    world.server.scripts += [[Unreachable("refused")] for _ in range(40)]
    async with world.running():
        await world.clock.advance(300)
        asked = len(world.server.watched)
        assert 300 / LONGEST_PAUSE <= asked <= 41
        await world.clock.advance(100)
        assert len(world.server.watched) == asked or world.server.open
        await world.clock.advance(600)
        assert world.server.open == 1


@in_loop
async def test_one_namespace_is_asked_for_where_only_that_may_be_seen():
    world = World(("ml",))
    async with world.running():
        assert world.server.watched == [("services ml", "10")]
