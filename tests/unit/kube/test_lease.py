import asyncio
import random

import pytest

from modelrollout.kube.errors import NotLeader, OutcomeUnknown, Unreachable
from modelrollout.kube.guard import Guarded
from modelrollout.kube.kinds import LEASE, SERVICE, Ref
from modelrollout.kube.lease import Lease, LeaseTimes
from tests.fakes.clock import VirtualClock, settle
from tests.fakes.kube import FakeKube
from tests.fakes.loop import in_loop

REF = Ref(LEASE, "modelrollout", "modelrollout-leader")


class Candidate:
    def __init__(self, api, clock, name) -> None:
        self.lease = Lease(api, REF, name, clock, rng=random.Random(name))
        self.lost = []
        self.task = asyncio.create_task(self.lease.run(lambda: self.lost.append(clock.monotonic())))

    async def die(self) -> None:
        self.task.cancel()
        await asyncio.wait({self.task})


@pytest.fixture
def api():
    return FakeKube()


@in_loop
async def test_the_first_candidate_leads_and_renews_and_the_second_waits(api):
    clock = VirtualClock()
    one, two = Candidate(api, clock, "one"), Candidate(api, clock, "two")
    await clock.advance(300)
    assert one.lease.held()
    assert one.lease.acquired.is_set()
    assert not two.lease.held()
    assert two.lease.holder() == "one"
    spec = api.peek(REF)["spec"]
    assert spec["holderIdentity"] == "one"
    assert spec["leaseTransitions"] == 0
    assert spec["acquireTime"] < spec["renewTime"]
    await one.die()
    await two.die()


@in_loop
async def test_a_dead_leader_is_followed_after_the_duration_and_not_before(api):
    clock = VirtualClock()
    one, two = Candidate(api, clock, "one"), Candidate(api, clock, "two")
    await clock.advance(60)
    await one.die()
    await clock.advance(12)
    assert not two.lease.held()
    await clock.advance(8)
    assert two.lease.held()
    assert api.peek(REF)["spec"]["leaseTransitions"] == 1
    assert not one.lease.held()
    await two.die()


@in_loop
async def test_two_never_lead_at_once_whatever_the_network_does_to_them(api):
    for seed in range(40):
        rng = random.Random(seed)
        api.objects.clear()
        clock = VirtualClock()
        candidates = [Candidate(api, clock, name) for name in ("one", "two", "three")]
        away = set()

        def fault(request, away=away):
            identity = ((request.body or {}).get("spec") or {}).get("holderIdentity")
            if identity in away:
                raise Unreachable("cut off")

        def lose(request, away=away, rng=rng):
            if request.write and rng.random() < 0.2:
                raise OutcomeUnknown("the answer was lost")

        api.before, api.after = [fault], [lose]
        led = 0
        for _ in range(80):
            away.clear()
            away.update(name for name in ("one", "two", "three") if rng.random() < 0.4)
            await clock.advance(rng.uniform(0, 6))
            holders = [candidate.lease.holder() for candidate in candidates if candidate.lease.held()]
            assert len(holders) <= 1, f"seed {seed}: {holders}"
            led += len(holders)
            for at, candidate in enumerate(candidates):
                if candidate.lost:  # its process has ended, and another one is started
                    assert not candidate.lease.held()
                    await candidate.die()
                    candidates[at] = Candidate(api, clock, ("one", "two", "three")[at])
        assert led > 0
        for candidate in candidates:
            await candidate.die()


@in_loop
async def test_a_leader_that_cannot_renew_stops_believing_at_the_deadline_and_the_process_is_told(api):
    clock = VirtualClock()
    one = Candidate(api, clock, "one")
    await clock.advance(30)

    def away(request):
        raise Unreachable("connection refused")

    api.before.append(away)
    began = clock.monotonic()
    await clock.advance(7)
    assert one.lease.held()
    await clock.advance(3.1)
    assert not one.lease.held()
    assert 7 < one.lost[0] - began <= 10
    assert one.task.done()


@in_loop
async def test_a_renewal_that_hangs_does_not_hide_the_loss(api):
    clock = VirtualClock()
    one = Candidate(api, clock, "one")
    await clock.advance(30)
    api.before.append(lambda request: asyncio.Event().wait())
    await clock.advance(11)
    assert len(one.lost) == 1
    assert not one.lease.held()


@in_loop
async def test_a_lease_that_somebody_took_by_hand_is_lost_at_the_next_renewal(api):
    clock = VirtualClock()
    one = Candidate(api, clock, "one")
    await clock.advance(30)
    api.edit(REF, lambda raw: raw["spec"].update(holderIdentity="admin"))
    await clock.advance(5)
    assert len(one.lost) == 1
    assert api.peek(REF)["spec"]["holderIdentity"] == "admin"


@in_loop
async def test_a_renewal_whose_answer_was_lost_is_found_to_have_happened(api):
    clock = VirtualClock()
    one = Candidate(api, clock, "one")
    await clock.advance(5)

    def lose_once(request):
        if request.write:
            api.after.remove(lose_once)
            raise OutcomeUnknown("the answer was lost")

    api.after.append(lose_once)
    await clock.advance(60)
    assert one.lost == []
    assert one.lease.held()
    await one.die()


@in_loop
async def test_wrong_wall_clocks_make_no_difference(api):
    one_clock, two_clock = VirtualClock(), VirtualClock(now=1_600_000_000)
    one, two = Candidate(api, one_clock, "one"), Candidate(api, two_clock, "two")
    for _ in range(60):
        await one_clock.advance(1)
        await two_clock.advance(1)
        one_clock.jump(-86_400)
    assert one.lease.held()
    assert not two.lease.held()
    await one.die()
    await two.die()


@in_loop
async def test_a_lease_given_back_is_taken_at_once(api):
    clock = VirtualClock()
    one, two = Candidate(api, clock, "one"), Candidate(api, clock, "two")
    await clock.advance(30)
    await one.die()
    await one.lease.release()
    assert not one.lease.held()
    await clock.advance(2.3)
    assert two.lease.held()
    await one.lease.release()  # it is not ours any more
    assert api.peek(REF)["spec"]["holderIdentity"] == "two"
    await two.die()


@in_loop
async def test_a_lease_is_given_back_even_if_a_renewal_was_cut_off_on_its_way(api):
    clock = VirtualClock()
    one = Candidate(api, clock, "one")
    await clock.advance(30)
    api.after.append(lambda request: asyncio.Event().wait() if request.write else None)  # it arrives, we hear nothing
    await clock.advance(2.3)
    await one.die()
    api.after.clear()

    def arrives_late(request):
        if request.write:
            api.before.remove(arrives_late)
            api.edit(
                REF, lambda raw: raw["spec"].update(renewTime="2030-01-01T00:00:00.000000Z"), manager="modelrollout"
            )

    api.before.append(arrives_late)
    await one.lease.release()
    assert api.peek(REF)["spec"]["holderIdentity"] == ""


@in_loop
async def test_writes_are_refused_unsent_without_the_lease_and_reads_are_not(api):
    clock = VirtualClock()
    lease = Lease(api, REF, "one", clock, rng=random.Random(1))
    guarded = Guarded(api, lease)
    manifest = {"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "ml", "name": "s"}, "spec": {}}
    ref = Ref(SERVICE, "ml", "s")
    api.put(manifest)
    writes = [
        lambda: guarded.apply(manifest),
        lambda: guarded.create(manifest),
        lambda: guarded.replace(manifest),
        lambda: guarded.replace_status(ref, {}, resource_version="1"),
        lambda: guarded.patch_metadata(ref, labels={"a": "b"}),
        lambda: guarded.delete(ref),
    ]
    for write in writes:
        with pytest.raises(NotLeader):
            await write()
    assert api.requests == []
    assert (await guarded.get(ref))["metadata"]["name"] == "s"
    assert len((await guarded.list(SERVICE)).items) == 1
    assert [len(page.items) async for page in guarded.pages(SERVICE)] == [1]
    assert await guarded.serves(SERVICE)
    task = asyncio.create_task(lease.run(lambda: None))
    await settle()
    await guarded.patch_metadata(ref, labels={"a": "b"})
    await guarded.delete(ref)
    task.cancel()
    await asyncio.wait({task})


@pytest.mark.parametrize("times", [(10, 10, 2), (15, 4, 2), (15, 10, 0)])
def test_times_that_could_let_two_lead_are_refused(times):
    with pytest.raises(ValueError, match="duration > deadline"):
        LeaseTimes(*times)
