"""Which pods are asked, how often, and what is made of their answers, in virtual time."""

import asyncio
from dataclasses import dataclass, field

from modelrollout.api.warmup import WarmUp
from modelrollout.warmup.warmer import AT_ONCE, Errand, PodToWarm, Warmer
from modelrollout.warmup.wire import Answer, Unanswered
from tests.fakes.clock import VirtualClock, settle
from tests.fakes.loop import in_loop

KEY = ("ml", "fraud")
GOLDEN = {"requests": [{"name": "cat", "path": "/predict", "expect": {"body": "cat"}}]}


@dataclass
class Pods:
    """Answers by address: a text, seconds, an error, or a row of them of which the last one stays."""

    answers: dict = field(default_factory=dict)
    asked: list = field(default_factory=list)
    most: int = 0
    gate: asyncio.Event | None = None
    _now: int = 0

    async def send(self, request, address, port, within):
        self.asked.append((request.name, address, port, within))
        self._now += 1
        self.most = max(self.most, self._now)
        if self.gate:
            await self.gate.wait()
        self._now -= 1
        row = self.answers.get(address, ["cat"])
        found = row.pop(0) if len(row) > 1 else row[0]
        if isinstance(found, Exception):
            raise found
        return Answer(
            200, b"cat" if isinstance(found, float) else found.encode(), found if isinstance(found, float) else 0.01
        )


def pod(number, restarts=0):
    return PodToWarm(f"{number}.{restarts}", f"fraud-2-{number}", f"10.0.0.{number}", 8000)


def errand(*pods, definition="d", **fields):
    return Errand(definition, WarmUp.model_validate(GOLDEN | fields), pods)


def made(**answers):
    pods = Pods({f"10.0.0.{name.removeprefix('p')}": row for name, row in answers.items()})
    clock, woken = VirtualClock(), []
    return Warmer(pods, clock, woken.append), pods, clock, woken


@in_loop
async def test_each_pod_is_asked_once_and_the_rollout_is_woken():
    warmer, pods, _, woken = made()
    for _ in range(3):
        warmer.want(KEY, errand(pod(1), pod(2)))
        await settle()
    assert sorted(pods.asked) == [("cat", "10.0.0.1", 8000, 10.0), ("cat", "10.0.0.2", 8000, 10.0)]
    assert warmer.results(KEY, "d").warm.keys() == {"1.0", "2.0"}
    assert woken == [KEY, KEY]
    assert not warmer.results(KEY, "another").warm


@in_loop
async def test_repeats_are_sent_and_each_must_be_right():
    warmer, pods, _, _ = made(p2=["cat", "dog"])
    warmer.want(KEY, errand(pod(1), pod(2), repeats=5))
    await settle()
    asked = [address for _, address, _, _ in pods.asked]
    assert (asked.count("10.0.0.1"), asked.count("10.0.0.2")) == (5, 2)
    assert warmer.results(KEY, "d").failures == {"2.0": "Golden request cat to pod fraud-2-2: expected cat, got dog"}


@in_loop
async def test_a_pod_that_gives_no_answer_is_asked_again_ever_more_seldom():
    warmer, pods, clock, woken = made(
        p1=[Unanswered("no connection"), Unanswered("no connection"), Unanswered("gone"), "cat"]
    )
    warmer.want(KEY, errand(pod(1)))
    await settle()
    assert warmer.results(KEY, "d").troubles == {"1.0": "pod fraud-2-1: cat: no connection"}
    await clock.advance(1.0)
    assert len(pods.asked) == 2
    assert len(woken) == 1, "the same trouble is no news"
    await clock.advance(2.0)
    assert warmer.results(KEY, "d").troubles == {"1.0": "pod fraud-2-1: cat: gone"}
    await clock.advance(4.0)
    assert warmer.results(KEY, "d").warm.keys() == {"1.0"}
    assert not warmer.results(KEY, "d").troubles
    assert len(woken) == 3


@in_loop
async def test_the_first_answers_may_be_slow_and_the_last_must_be_fast():
    warmer, pods, _, _ = made(p1=[2.0, 1.0, 0.3, 0.1], p2=[2.0, 0.9, 0.9, 0.3], p3=[Unanswered("late", late=True), 0.1])
    warmer.want(KEY, errand(pod(1), pod(2), pod(3), latency="200ms", repeats=2, tries=3))
    await settle()
    found = warmer.results(KEY, "d")
    assert found.warm == {"1.0": 0.1, "3.0": 0.1}
    text = "Golden request cat to pod fraud-2-2: asked 3 times, it took 300ms or more, expected 200ms"
    assert found.failures == {"2.0": text}
    assert len(pods.asked) == 4 + 4 + 2


@in_loop
async def test_no_answer_in_time_is_slow_only_where_a_time_is_asked():
    warmer, _, _, _ = made(p1=[Unanswered("no answer within 10s", late=True)])
    warmer.want(KEY, errand(pod(1)))
    await settle()
    assert warmer.results(KEY, "d").troubles
    warmer.want(KEY, errand(pod(1), definition="e", latency="1s", tries=1))
    await settle()
    assert "asked once, it took 10000ms or more" in warmer.results(KEY, "e").failures["1.0"]


@in_loop
async def test_pods_that_went_and_rollouts_that_ended_are_asked_no_more():
    warmer, pods, clock, _ = made(p1=[Unanswered("no connection")], p2=[Unanswered("no connection")])
    warmer.want(KEY, errand(pod(1), pod(2)))
    await settle()
    warmer.want(KEY, errand(pod(2), pod(1, restarts=1)))
    await settle()
    assert warmer.results(KEY, "d").troubles.keys() == {"2.0", "1.1"}
    warmer.drop(KEY)
    before = len(pods.asked)
    await clock.advance(60.0)
    assert len(pods.asked) == before


@in_loop
async def test_only_so_many_requests_are_under_way_in_one_process():
    warmer, pods, _, _ = made()
    pods.gate = asyncio.Event()
    for number in range(3):
        warmer.want(("ml", f"m{number}"), errand(*(pod(one) for one in range(AT_ONCE))))
    await settle()
    assert pods.most == AT_ONCE
    pods.gate.set()
    await settle()
    assert len(pods.asked) == 3 * AT_ONCE
    await warmer.close()


@in_loop
async def test_a_fault_of_ours_is_told_and_tried_again():
    warmer, _, clock, _ = made(p1=[RuntimeError("x"), "cat"])
    warmer.want(KEY, errand(pod(1)))
    await settle()
    assert warmer.results(KEY, "d").troubles == {"1.0": "pod fraud-2-1: RuntimeError"}
    await clock.advance(1.0)
    assert warmer.results(KEY, "d").warm
