"""Warms pods: sends them their golden requests, remembers what came, and wakes whoever waits for it.

The controller says at each look at a rollout which pods there are (`want`) and reads what is known (`results`); neither waits. A pod
is asked until it has answered all requests as expected, or one of them wrongly or too slowly; one that gives no answer is asked
again, ever more seldom. All of it may be forgotten: what has been found stands in status, and the requests may be repeated.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from modelrollout.api.warmup import GoldenRequest, WarmUp
from modelrollout.runtime.clock import Clock
from modelrollout.runtime.queue import Key

from .answers import complaint
from .wire import Answer, Unanswered

log = logging.getLogger(__name__)

AT_ONCE = 64
"""Requests that this process has under way, over all rollouts."""
SOONEST, LATEST = 1.0, 15.0
"""Seconds until a pod that gave no answer is asked again: at first, and at most."""
TRIES = 3


@dataclass(frozen=True, slots=True)
class PodToWarm:
    """A ready pod of ours. `identity` changes when its containers restart."""

    identity: str
    name: str
    address: str
    port: int


@dataclass(frozen=True, slots=True)
class Errand:
    """What a rollout wants: the requests, and the pods that have not answered them. `definition` names requests and rollout."""

    definition: str
    golden: WarmUp = field(repr=False)
    pods: tuple[PodToWarm, ...]


@dataclass(slots=True)
class Results:
    """What is known of an errand. `warm`: by pod, seconds of the slowest answer that was to be fast, 0 where none was."""

    warm: dict[str, float] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    troubles: dict[str, str] = field(default_factory=dict)


class Sender(Protocol):
    """How requests are sent."""

    async def send(self, request: GoldenRequest, address: str, port: int, within: float) -> Answer:
        """Ask a pod once. Raises Unanswered."""


class WarmUpSource(Protocol):
    """What the controller holds. Every method returns at once."""

    def want(self, key: Key, errand: Errand) -> None:
        """Warm these pods from now on, and no others; idempotent."""

    def drop(self, key: Key) -> None:
        """Forget the rollout; unknown keys are fine."""

    def results(self, key: Key, definition: str) -> Results:
        """What has been found out for this errand; nothing for another."""


class WrongAnswer(Exception):  # noqa: N818  a verdict on the model, not an error of ours
    """A pod answered wrongly or too slowly; says what and how."""


@dataclass(slots=True)
class _Job:
    definition: str
    results: Results = field(default_factory=Results)
    tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    def end(self, pods: Mapping[str, object]) -> None:
        """Stop asking pods that are not among these."""
        for identity in [one for one in self.tasks if one not in pods]:
            self.tasks.pop(identity).cancel()
            self.results.troubles.pop(identity, None)


class Warmer:
    """Warms the pods of all rollouts under way."""

    def __init__(self, sender: Sender, clock: Clock, wake: Callable[[Key], None]) -> None:
        self._sender, self._clock, self._wake = sender, clock, wake
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._jobs: dict[Key, _Job] = {}

    def want(self, key: Key, errand: Errand) -> None:
        """Warm these pods from now on, and no others; idempotent."""
        job = self._jobs.get(key)
        if job is None or job.definition != errand.definition:
            self.drop(key)
            job = self._jobs[key] = _Job(errand.definition)
        job.end({pod.identity: pod for pod in errand.pods})
        for pod in errand.pods:
            known = pod.identity in job.results.warm or pod.identity in job.results.failures
            if not known and pod.identity not in job.tasks:
                job.tasks[pod.identity] = asyncio.create_task(self._warm(key, job, errand.golden, pod))

    def drop(self, key: Key) -> None:
        """Forget the rollout; unknown keys are fine."""
        if (job := self._jobs.pop(key, None)) is not None:
            job.end({})

    def results(self, key: Key, definition: str) -> Results:
        """What has been found out for this errand; nothing for another."""
        job = self._jobs.get(key)
        return job.results if job is not None and job.definition == definition else Results()

    async def close(self) -> None:
        """End all conversations."""
        tasks = [task for job in self._jobs.values() for task in job.tasks.values()]
        for key in list(self._jobs):
            self.drop(key)
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _warm(self, key: Key, job: _Job, golden: WarmUp, pod: PodToWarm) -> None:
        pause = SOONEST
        while True:
            try:
                job.results.warm[pod.identity] = await self._slowest(golden, pod)
            except WrongAnswer as wrong:
                job.results.failures[pod.identity] = str(wrong)
            except Exception as error:
                if not isinstance(error, Unanswered):
                    log.exception("asking pod %s", pod.name)
                trouble = f"pod {pod.name}: {error if isinstance(error, Unanswered) else type(error).__name__}"
                if job.results.troubles.get(pod.identity) != trouble:
                    job.results.troubles[pod.identity] = trouble
                    self._wake(key)
                await self._clock.sleep_until(self._clock.monotonic() + pause)
                pause = min(LATEST, 2 * pause)
                continue
            job.results.troubles.pop(pod.identity, None)
            job.tasks.pop(pod.identity, None)
            self._wake(key)
            return

    async def _slowest(self, golden: WarmUp, pod: PodToWarm) -> float:
        """Seconds of the slowest answer of those that `latency` asks about. Raises WrongAnswer and Unanswered."""
        return max([await self._one(golden, request, pod) for request in golden.requests])

    async def _one(self, golden: WarmUp, request: GoldenRequest, pod: PodToWarm) -> float:
        seconds = 0.0
        for _ in range(golden.repeats or 1):
            seconds = await self._ask(golden, request, pod)
        if golden.latency is None:
            return 0.0
        bound, tries = golden.latency.seconds, golden.tries or TRIES
        fastest = seconds
        for _ in range(tries - 1):
            if seconds <= bound:
                return seconds
            seconds = await self._ask(golden, request, pod)
            fastest = min(fastest, seconds)
        if seconds <= bound:
            return seconds
        times = "once" if tries == 1 else f"{tries} times"
        text = f"asked {times}, it took {1000 * fastest:.0f}ms or more, expected {golden.latency}"
        raise WrongAnswer(f"Golden request {request.name} to pod {pod.name}: {text}")

    async def _ask(self, golden: WarmUp, request: GoldenRequest, pod: PodToWarm) -> float:
        """Seconds until a right answer; the whole timeout where a bound is asked and none came. Raises WrongAnswer and Unanswered."""
        async with self._slots:
            try:
                answer = await self._sender.send(request, pod.address, pod.port, golden.answer_within)
            except Unanswered as silent:
                if silent.late and golden.latency is not None:
                    return golden.answer_within
                raise Unanswered(f"{request.name}: {silent}") from None
        wrong = complaint(request, answer.status, answer.body) if answer.whole else "the answer has more than 1 MiB"
        if wrong:
            raise WrongAnswer(f"Golden request {request.name} to pod {pod.name}: {wrong}")
        return answer.seconds
