"""Random histories of the queue and of the Store, against the simplest model of what they promise."""

import asyncio
import logging
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelrollout.runtime.queue import Queue, Tuning
from modelrollout.runtime.store import OWNER_LABEL, Store, Watched, owner_by_label
from tests.fakes.clock import VirtualClock, settle

KEYS = [("ml", f"k{n}") for n in range(4)]
RECHECK = 10.0

keys = st.sampled_from(KEYS)
queue_steps = st.one_of(
    st.tuples(st.just("wake"), keys, st.booleans()),
    st.tuples(st.just("wake_at"), keys, st.floats(-5, 100)),
    st.tuples(st.just("wake_after"), keys, st.floats(0, 50)),
    st.tuples(st.just("finish"), keys, st.booleans()),
    st.tuples(st.just("advance"), st.none(), st.floats(0, 30)),
    st.tuples(st.just("jump"), st.none(), st.floats(-500, 500)),
)


@pytest.fixture(autouse=True, scope="module")
def _quiet():
    """Thousands of planned failures and clock jumps are no news."""
    logger = logging.getLogger("modelrollout.runtime.queue")
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(logging.NOTSET)


class World:
    """A queue whose handler ends, well or badly, only when the history says so."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        tuning = Tuning(workers=2, urgent_workers=1, recheck=RECHECK, backoff_base=1.0, backoff_cap=4.0)
        self.queue = Queue(self.clock, rng=random.Random(7), tuning=tuning)
        self.running: dict = {}
        self.unseen: set = set()
        self.due: dict = {}  # the wall time asked for last

    async def handle(self, key) -> None:
        assert key not in self.running, "two workers on one key"
        assert len(self.running) < 3
        self.unseen.discard(key)
        if (due := self.due.get(key)) is not None:
            # As the controller does: what is still to come is decided, and asked for, anew.
            if due <= self.clock.now():
                del self.due[key]
            else:
                self.queue.wake_at(key, due)
        done = self.running[key] = asyncio.get_running_loop().create_future()
        try:
            await done
        finally:
            del self.running[key]

    def step(self, what, key, value) -> None:
        if what == "wake":
            self.unseen.add(key)
            self.queue.wake(key, urgent=value)
        elif what == "wake_at":
            self.due[key] = self.clock.now() + value
            self.queue.wake_at(key, self.due[key])
        elif what == "wake_after":
            self.queue.wake_after(key, value)
        elif what == "finish" and key in self.running:
            if value:
                self.running[key].set_exception(RuntimeError("planned"))
            else:
                self.running[key].set_result(None)
        elif what == "jump":
            self.clock.jump(value)

    async def finish_all(self) -> None:
        while self.running:
            for done in list(self.running.values()):
                if not done.done():
                    done.set_result(None)
            await settle()


@settings(max_examples=300, deadline=None)
@given(st.lists(queue_steps, max_size=60))
def test_no_wake_is_lost_no_key_has_two_workers_and_no_due_time_is_passed_over(steps):
    async def history():
        world = World()
        task = asyncio.create_task(world.queue.run(world.handle))
        await settle()
        for what, key, value in steps:
            if what == "advance":
                await world.clock.advance(value)
            else:
                world.step(what, key, value)
                await settle()
            assert not task.done()
        # Whatever happened: once workers end and time passes, each wake has had its look, and each due time too.
        for _ in range(20):
            await world.finish_all()
            await world.clock.advance(RECHECK)
        await world.finish_all()
        assert world.unseen == set()
        assert {key: due for key, due in world.due.items() if due <= world.clock.now()} == {}
        assert len(world.queue) == 0
        task.cancel()
        await asyncio.wait({task})

    asyncio.run(history())


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(keys, st.floats(0, 1_000), min_size=1))
def test_due_times_are_met_to_the_moment_when_the_clock_runs_true(dues):
    async def history():
        clock = VirtualClock()
        queue = Queue(clock, rng=random.Random(1))
        began, seen = clock.now(), {}

        async def handle(key):
            seen[key] = clock.now()

        task = asyncio.create_task(queue.run(handle))
        await settle()  # it rests already, and has to be told of each earlier due time
        for key, after in dues.items():
            queue.wake_at(key, began + after)
            await settle()
        await clock.advance(1_001)
        assert seen.keys() == dues.keys()
        for key, after in dues.items():
            assert abs(seen[key] - began - after) < 0.001
        task.cancel()
        await asyncio.wait({task})

    asyncio.run(history())


# ---------------------------------------------------------------------------------------------------------------------

NAMES = ["x", "y"]
OWNERS = ["a", "b", None]
names = st.sampled_from(NAMES)

store_steps = st.one_of(
    st.tuples(st.just("write"), names, st.tuples(st.sampled_from(OWNERS), st.integers(0, 2))),
    st.tuples(st.just("delete"), names, st.none()),
    st.tuples(st.just("recreate"), names, st.tuples(st.sampled_from(OWNERS), st.integers(0, 2))),
    st.tuples(st.just("deliver"), st.none(), st.sampled_from([1, 1, 3])),
    st.tuples(st.just("answer"), st.none(), st.integers(0, 3)),
    st.tuples(st.just("list"), st.none(), st.none()),
    st.tuples(st.just("listed"), st.none(), st.integers(0, 3)),
)


class Cluster:
    """A server's objects, its watch (in order, any time later), answers to writes and lists (in any order, ever so late)."""

    def __init__(self) -> None:
        self.version = 100
        self.objects: dict[str, dict] = {}
        self.watch: list[tuple[dict, bool]] = []
        self.answers: list[dict] = []
        self.lists: list = []
        self.woken: set = set()
        self.store = Store({"Thing": Watched(lambda raw: raw["spec"], owner_by_label)}, self.woken.add)

    def write(self, name, owner, value) -> None:
        self.version += 1
        former = self.objects.get(name)
        raw = {
            "metadata": {
                "namespace": "ml",
                "name": name,
                "uid": former["metadata"]["uid"] if former else f"uid-{self.version}",
                "resourceVersion": str(self.version),
                "labels": {OWNER_LABEL: owner} if owner else {},
            },
            "spec": value,
        }
        self.objects[name] = raw
        self.watch.append((raw, False))
        self.answers.append(raw)

    def delete(self, name) -> None:
        if (raw := self.objects.pop(name, None)) is None:
            return
        self.version += 1
        gone = {**raw, "metadata": {**raw["metadata"], "resourceVersion": str(self.version)}}
        self.watch.append((gone, True))

    def ask_for_list(self) -> None:
        self.lists.append((self.store.listing("Thing"), list(self.objects.values()), str(self.version)))

    def step(self, what, name, value) -> None:
        if what == "write":
            self.write(name, *value)
        elif what == "delete":
            self.delete(name)
        elif what == "recreate":
            self.delete(name)
            self.write(name, *value)
        elif what == "deliver":
            for raw, deleted in self.watch[:value]:
                self.store.observe("Thing", raw, deleted=deleted)
            del self.watch[:value]
        elif what == "answer" and value < len(self.answers):
            self.store.took("Thing", self.answers.pop(-1 - value))  # mostly fresh ones, as in life
        elif what == "list":
            self.ask_for_list()
        elif what == "listed" and value < len(self.lists):
            listing, items, version = self.lists.pop(value)
            for raw in items:
                listing.add(raw)
            listing.end(version)

    def known(self) -> dict:
        return {key[1]: entry for _, key, entry in self.store}


@settings(max_examples=500, deadline=None)
@given(st.lists(store_steps, max_size=80))
def test_the_store_never_goes_back_and_ends_up_with_exactly_what_lives(steps):
    cluster = Cluster()
    newest: dict = {}
    for what, name, value in steps:
        before = cluster.known()
        cluster.woken.clear()
        cluster.step(what, name, value)
        after = cluster.known()
        for at in NAMES:
            if at in after:
                assert after[at].version >= newest.get(at, 0)
                newest[at] = after[at].version
            old, new = before.get(at), after.get(at)
            touched = {entry.owner for entry in (old, new) if entry is not None and entry.owner}
            if (old and (old.uid, old.view, old.owner)) != (new and (new.uid, new.view, new.owner)):
                assert touched <= cluster.woken
            if at in before and at not in after:
                assert (
                    at not in cluster.objects
                    or int(cluster.objects[at]["metadata"]["resourceVersion"]) > before[at].version
                )
    while cluster.lists:
        cluster.step("listed", None, 0)
    cluster.step("deliver", None, len(cluster.watch))
    while cluster.answers:
        cluster.step("answer", None, 0)
    assert {name: str(entry.version) for name, entry in cluster.known().items()} == {
        name: raw["metadata"]["resourceVersion"] for name, raw in cluster.objects.items()
    }
    for owner in ("a", "b"):
        children = cluster.store.children(("ml", owner), "Thing")
        assert [name for name, _ in children] == sorted(
            name for name, raw in cluster.objects.items() if raw["metadata"]["labels"].get(OWNER_LABEL) == owner
        )


@settings(max_examples=300, deadline=None)
@given(st.lists(store_steps, max_size=60), st.data())
def test_one_full_list_makes_up_for_any_events_that_were_never_delivered(steps, data):
    cluster = Cluster()
    for what, name, value in steps:
        if what == "deliver":  # some of these are lost instead
            kept = [event for event in cluster.watch[:value] if data.draw(st.booleans())]
            cluster.watch[:value] = []
            for raw, deleted in kept:
                cluster.store.observe("Thing", raw, deleted=deleted)
        else:
            cluster.step(what, name, value)
    cluster.watch.clear()
    cluster.ask_for_list()
    cluster.step("listed", None, len(cluster.lists) - 1)
    assert {name: entry.view for name, entry in cluster.known().items()} == {
        name: raw["spec"] for name, raw in cluster.objects.items()
    }
