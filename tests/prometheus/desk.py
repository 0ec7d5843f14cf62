"""A Sampler on real time with the pods of one rollout, and what a real Prometheus recorded of them."""

import asyncio
import math
import time
from contextlib import asynccontextmanager
from dataclasses import replace

from modelrollout.analysis.window import Answer
from modelrollout.api.settings import Settings
from modelrollout.metrics.sampler import Sampler
from modelrollout.metrics.subscription import Subscription
from modelrollout.runtime.clock import SystemClock
from tests.fakes.sampling import CANDIDATE, ERRORS, KEY, LATENCY, STABLE, pod_name

INTERVAL = 5.0


def next_point():
    """The next point of the grid."""
    return math.ceil(time.time() / INTERVAL) * INTERVAL


class Desk:
    """Pods of both versions, a Sampler, and Prometheus between them."""

    def __init__(self, prometheus, pages):
        self.prometheus, self.pages = prometheus, pages
        self.candidate, self.stable = pages.add(pod_name(CANDIDATE)), pages.add(pod_name(STABLE))
        self.settings = Settings.model_validate(
            {"providers": [{"url": prometheus.url, "timeout": "5s"}], "evaluationDelay": "2s"}
        )
        self.sampler = self.new()
        self.served: list[tuple[float, object]] = []

    def new(self):
        return Sampler(self.settings, SystemClock(), lambda _: None)

    def subscription(self, **fields):
        since = next_point()
        base = Subscription(
            KEY,
            "default",
            INTERVAL,
            since,
            since,
            "ml",
            CANDIDATE,
            STABLE,
            (ERRORS, LATENCY),
            dict.fromkeys(self.pages.pods, 0.0),
        )
        return replace(base, **fields)

    @asynccontextmanager
    async def sampling(self, traffic=None):
        """The Sampler runs, and `traffic` is called 20 times a second."""
        tasks = [asyncio.create_task(self.sampler.run())]
        if traffic is not None:
            tasks.append(asyncio.create_task(self._traffic(traffic)))
        try:
            yield
            assert not any(task.done() for task in tasks), tasks
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    @staticmethod
    async def _traffic(traffic):
        while True:
            traffic()
            await asyncio.sleep(0.05)

    def windows(self, name="errors"):
        return self.sampler.windows(KEY)[name]

    async def until(self, true, seconds=60.0):
        async with asyncio.timeout(seconds):
            while not true():  # noqa: ASYNC110 what is waited for happens in another process
                await asyncio.sleep(0.05)

    async def seen(self, count, name="errors"):
        await self.until(lambda: len([w for w in self.windows(name) if w.answer is not Answer.ERROR]) >= count)

    def told(self, window, pod, query):
        """What a window should say of a pod, from what Prometheus has at its two ends; None: nothing.

        A pod whose target is not up at either end is not known; a counter that has fallen was reset.
        """
        up = [self.prometheus.value("max by (pod) (up)", at).get(pod) for at in (window.start, window.end)]
        before, after = (self.prometheus.value(query, at).get(pod, 0.0) for at in (window.start, window.end))
        if up != [1.0, 1.0]:
            return None
        return round(after if after < before else after - before)

    def recorded(self, window, pod, query):
        """What Prometheus itself has for the window, asked in the simplest way."""
        before, after = (self.prometheus.value(query, at).get(pod, 0.0) for at in (window.start, window.end))
        return after - before
