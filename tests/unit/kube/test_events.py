import asyncio

import pytest

from modelrollout.kube.errors import Forbidden, Unreachable
from modelrollout.kube.events import Events, Regarding
from modelrollout.kube.kinds import EVENT
from tests.fakes.clock import VirtualClock, settle
from tests.fakes.kube import FakeKube
from tests.fakes.loop import in_loop

ABOUT = Regarding("modelrollout.dev/v1alpha1", "ModelDeployment", "ml", "fraud", "u1")


class Recorder:
    def __init__(self, **options) -> None:
        self.api, self.clock, self.dropped = FakeKube(), VirtualClock(), 0
        self.events = Events(self.api, self.clock, "pod-1", on_drop=self.drop, **options)

    def drop(self) -> None:
        self.dropped += 1

    def say(self, note="0 % → 5 %", reason="WeightChanged") -> None:
        self.events.record(ABOUT, "Normal", reason, "Step", note)

    async def __aenter__(self):
        self.task = asyncio.create_task(self.events.run())
        return self

    async def __aexit__(self, *exc) -> None:
        self.task.cancel()
        await asyncio.wait({self.task})

    def written(self):
        return self.api.of(EVENT, "ml")


@in_loop
async def test_an_event_says_what_happened_to_what_when_and_who_says_so():
    async with Recorder() as r:
        r.say()
        await settle()
    (event,) = r.written()
    assert event["regarding"] == {
        "apiVersion": "modelrollout.dev/v1alpha1",
        "kind": "ModelDeployment",
        "namespace": "ml",
        "name": "fraud",
        "uid": "u1",
    }
    assert event["reason"] == "WeightChanged"
    assert event["note"] == "0 % → 5 %"
    assert event["type"] == "Normal"
    assert event["eventTime"].startswith("2023-11-14T22:13:20")
    assert event["reportingInstance"] == "pod-1"
    assert "series" not in event


@in_loop
async def test_the_same_again_makes_a_series_that_is_written_at_most_once_a_minute():
    async with Recorder() as r:
        for _ in range(60):
            r.say()
            await r.clock.advance(2)
    (event,) = r.written()
    assert event["series"]["count"] > 30
    assert len(r.api.requests) == 3


@in_loop
async def test_another_note_or_a_long_silence_makes_another_event():
    async with Recorder() as r:
        r.say("0 % → 5 %")
        r.say("5 % → 25 %")
        await r.clock.advance(400)
        r.say("0 % → 5 %")
        await settle()
    assert len(r.written()) == 3


@pytest.mark.parametrize("error", [Unreachable("refused"), Forbidden("no")])
@in_loop
async def test_what_the_server_does_not_take_is_dropped_and_counted_and_the_rest_goes_on(error):
    async with Recorder() as r:

        def refuse(request):
            raise error

        r.api.before.append(refuse)
        r.say("lost")
        await settle()
        r.api.before.clear()
        r.say("told")
        r.say("lost")
        await settle()
    assert r.dropped == 1
    assert sorted(event["note"] for event in r.written()) == ["lost", "told"]


@in_loop
async def test_recording_never_waits_and_drops_when_the_queue_is_full():
    r = Recorder(capacity=3)
    for n in range(5):
        r.say(str(n))
    assert r.dropped == 2
    async with r:
        await settle()
    assert len(r.written()) == 3


@in_loop
async def test_a_long_note_is_cut_to_what_the_server_takes():
    async with Recorder() as r:
        r.say("ä" * 2_000)
        await settle()
    (event,) = r.written()
    assert len(event["note"].encode()) <= 1_000
    assert event["note"].endswith("…")
