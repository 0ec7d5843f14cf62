"""A resource whose label changes goes to another operator; the former one must not hold on to it."""

import random

import pytest

from modelrollout.api.settings import Settings
from modelrollout.controller.reconcile import Controller
from modelrollout.controller.views import watched
from modelrollout.kube.events import Events
from modelrollout.kube.kinds import CONTROLLER_REVISION, DEPLOYMENT, MODEL_DEPLOYMENT, SERVICE, Ref
from modelrollout.metrics.subscription import Preflight
from modelrollout.runtime.budget import Budget
from modelrollout.runtime.queue import Queue
from modelrollout.runtime.store import Store
from modelrollout.warmup.warmer import Results
from tests.fakes.clock import VirtualClock
from tests.fakes.kube import FakeKube
from tests.fakes.loop import in_loop

KEY = ("ml", "fraud")
REF = Ref(MODEL_DEPLOYMENT, *KEY)
MODEL = {
    "apiVersion": MODEL_DEPLOYMENT.api_version,
    "kind": MODEL_DEPLOYMENT.kind,
    "metadata": {"namespace": "ml", "name": "fraud", "labels": {"shard": "a"}},
    "spec": {
        "version": "1",
        "server": {"image": "registry.example.com/fraud:1"},
        "analysis": {"mode": "None"},
    },
}


class NoMetrics:
    """Nothing is judged here; who is subscribed is remembered."""

    def __init__(self):
        self.subscribed = set()

    def subscribe(self, key, subscription):
        del subscription
        self.subscribed.add(key)

    def unsubscribe(self, key):
        self.subscribed.discard(key)

    def windows(self, key):
        del key
        return {}

    def problem(self, key):
        del key

    def preflight(self, key):
        del key
        return Preflight()


class NoGoldenRequests:
    """Warms nothing."""

    def want(self, key, errand):
        del key, errand

    def drop(self, key):
        del key

    def results(self, key, definition):
        del key, definition
        return Results()


class Shard:
    """One operator on the API server that others use, too."""

    def __init__(self, api: FakeKube, selector: str) -> None:
        self.settings = Settings(selector=selector)
        clock = VirtualClock()
        self.queue = Queue(clock, rng=random.Random(1))
        self.store = Store(watched(self.settings), self.queue.wake)
        self.controller = Controller(
            api=api,
            store=self.store,
            queue=self.queue,
            metrics=NoMetrics(),
            warmer=NoGoldenRequests(),
            settings=self.settings,
            clock=clock,
            events=Events(api, clock, "test"),
            checkpoints=Budget(clock.monotonic, rate=1, burst=1),
        )

    @property
    def known(self):
        return self.store.get(MODEL_DEPLOYMENT.kind, KEY)


def relabel(api: FakeKube):
    def change(raw):
        raw["metadata"]["labels"]["shard"] = "b"

    return api.edit(REF, change, manager="alice")


@pytest.mark.parametrize("told_first", [True, False], ids=["the watch tells at once", "the watch tells late"])
@in_loop
async def test_a_label_that_changes_while_a_status_is_written_ends_all_that_the_former_operator_does(told_first):
    api = FakeKube()
    former = Shard(api, "shard=a")
    former.store.observe(MODEL_DEPLOYMENT.kind, api.put(MODEL))
    late = []

    def in_between(request):
        if request.verb != "STATUS" or late:
            return
        relabelled = relabel(api)
        late.append(relabelled)
        if told_first:
            former.store.observe(MODEL_DEPLOYMENT.kind, relabelled, deleted=True)
        api.set_status(REF, {"phase": "Deploying"})  # the new operator has begun

    api.before.append(in_between)
    await former.controller.reconcile(KEY)
    assert late, "a status was about to be written"
    if not told_first:
        former.store.observe(MODEL_DEPLOYMENT.kind, late[0], deleted=True)
    assert former.known is None
    assert KEY not in former.controller.memories
    sent = len(api.requests)
    await former.controller.reconcile(KEY)
    assert len(api.requests) == sent
    assert api.peek(REF)["status"] == {"phase": "Deploying"}
    assert not api.of(DEPLOYMENT)


@in_loop
async def test_the_new_operator_goes_on_from_what_the_former_one_recorded_and_makes_nothing_anew():
    api = FakeKube()
    former, new = Shard(api, "shard=a"), Shard(api, "shard=b")

    def told(kind, raw, deleted):
        for shard in (former, new):
            if kind != MODEL_DEPLOYMENT or shard.settings.selected.matches(raw["metadata"]["labels"]):
                shard.store.observe(kind.kind, raw, deleted=deleted)
            elif shard.known is not None:
                shard.store.observe(kind.kind, raw, deleted=True)

    api.watchers.append(lambda kind, raw, deleted: told(kind, raw, deleted) if kind.kind in KINDS else None)
    api.put(MODEL)
    await former.controller.reconcile(KEY)
    made = [raw["metadata"]["uid"] for kind in (DEPLOYMENT, SERVICE, CONTROLLER_REVISION) for raw in api.of(kind)]
    assert len(api.of(DEPLOYMENT)) == 1
    recorded = api.peek(REF)["status"]["revisions"]
    relabel(api)
    assert (former.known, new.known is None) == (None, False)
    await former.controller.reconcile(KEY)
    await new.controller.reconcile(KEY)
    assert [
        raw["metadata"]["uid"] for kind in (DEPLOYMENT, SERVICE, CONTROLLER_REVISION) for raw in api.of(kind)
    ] == made
    assert api.peek(REF)["status"]["revisions"] == recorded


KINDS = frozenset(watched(Settings()))
