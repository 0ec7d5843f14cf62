"""A small world for the Sampler: pods that count requests, a Prometheus in memory that scrapes them, virtual time.

Every second the pods count what `traffic` says, targets are scraped when their turn comes, and the clock moves on. So a test
says what happened to pods, and looks at the windows.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from modelrollout.api.analysis import Metric
from modelrollout.api.settings import RuntimePreset, Settings
from modelrollout.metrics.sampler import Sampler
from modelrollout.metrics.subscription import Key, Subscription, VersionSelector
from tests.fakes.clock import VirtualClock
from tests.fakes.prometheus import MemoryPrometheus

START = 1_700_000_010.0
"""A grid point of 15 s and of 30 s."""

BOUNDS = ("0.1", "0.25", "1.0")

PRESET = RuntimePreset.model_validate(
    {
        "name": "FastAPI",
        "series": {
            "requests": {"series": "http_requests_total"},
            "statusLabel": "status",
            "pathLabel": "handler",
            "excludePaths": ["/health", "/metrics"],
            "latency": {"series": "http_request_duration_seconds"},
        },
    }
)

ERRORS = Metric.model_validate({"name": "errors", "errorRate": {}, "method": "Threshold", "compare": {"margin": "1.5"}})
LATENCY = Metric.model_validate(
    {"name": "latency", "latency": {"threshold": "250ms"}, "method": "Threshold", "compare": {"margin": "1.5"}}
)
KEY: Key = ("ml", "fraud")
CANDIDATE = VersionSelector("2-bbbb2222", "2", "fraud-2-bbbb2222", PRESET)
STABLE = VersionSelector("1-aaaa1111", "1", "fraud-1-aaaa1111", PRESET)


def pod_name(version: VersionSelector, index: int = 0) -> str:
    return f"{version.deployment}-5d8c7b20-pod{index:02d}"


@dataclass
class Pod:
    """A server: what it has counted since its process began. `up`: it can be scraped; `jobs`: who scrapes it."""

    namespace: str
    name: str
    counted: dict[tuple[str, str], int] = field(default_factory=dict)
    slow: dict[str, int] = field(default_factory=dict)
    up: bool = True
    jobs: tuple[str, ...] = ("pods",)
    bounds: tuple[str, ...] = BOUNDS

    def serve(self, good: int, bad: int = 0, seconds: float = 0.05, handler: str = "/predict") -> None:
        for status, count in (("200", good), ("500", bad)):
            if count:
                self.counted[handler, status] = self.counted.get((handler, status), 0) + count
        for bound in (*self.bounds, "+Inf"):
            self.slow[bound] = self.slow.get(bound, 0) + (good + bad if seconds <= float(bound) else 0)

    def restart(self) -> None:
        self.counted.clear()
        self.slow.clear()

    def exposed(self) -> dict[str, object] | None:
        if not self.up:
            return None
        found: dict[str, object] = {}
        if self.counted:
            found["http_requests_total"] = [
                ({"handler": handler, "status": status, "method": "POST"}, count)
                for (handler, status), count in self.counted.items()
            ]
            found["http_request_duration_seconds_bucket"] = [
                ({"handler": "/predict", "le": bound}, count) for bound, count in self.slow.items()
            ]
        return found


class World:
    """Pods, Prometheus, clock and Sampler. `seconds` between scrapes; `traffic` is called once a second."""

    def __init__(self, seconds: float = 5.0, **settings: object) -> None:
        self.clock = VirtualClock(now=START)
        self.prometheus = MemoryPrometheus()
        self.pods: dict[str, Pod] = {}
        self.seconds = seconds
        self.scraping = True
        self.traffic: Callable[[], None] = lambda: None
        self.woken: list[Key] = []
        self.settings = Settings.model_validate({"providers": [{"url": "http://127.0.0.1:9"}]} | settings)
        self.sampler = self.new_sampler()
        self._gone: list[Pod] = []

    def new_sampler(self) -> Sampler:
        return Sampler(self.settings, self.clock, self.woken.append, source=lambda _: self.prometheus)

    def add(self, version: VersionSelector, index: int = 0, namespace: str = "ml") -> Pod:
        pod = Pod(namespace, pod_name(version, index))
        self.pods[pod.name] = pod
        return pod

    def remove(self, pod: Pod) -> None:
        self._gone.append(self.pods.pop(pod.name))

    def subscription(self, **fields: object) -> Subscription:
        since = self.clock.now()
        base = Subscription(
            KEY, "default", 15.0, since, since, "ml", CANDIDATE, STABLE, (ERRORS,), dict.fromkeys(self.pods, since)
        )
        return replace(base, **fields)

    def subscribe(self, **fields: object) -> Subscription:
        subscription = self.subscription(**fields)
        self.sampler.subscribe(subscription.key, subscription)
        return subscription

    @asynccontextmanager
    async def running(self):
        """Run the Sampler inside; its end is awaited."""
        task = asyncio.create_task(self.sampler.run())
        try:
            yield
            assert not task.done(), task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def live(self, seconds: float) -> None:
        """Let time pass, second by second."""
        for _ in range(round(seconds)):
            self.second()
            await self.clock.advance(1.0)

    def second(self) -> None:
        """What happens in one second before the clock moves."""
        now = self.clock.now()
        self.traffic()
        if self.scraping and now % self.seconds == 0:
            for pod in self.pods.values():
                for job in pod.jobs:
                    self.prometheus.scraper.scrape(now, self._target(pod, job), pod.exposed())
            for pod in (pod for pod in self._gone if pod.name not in self.pods):
                for job in pod.jobs:
                    self.prometheus.scraper.forget(now, self._target(pod, job))
            self._gone.clear()

    @staticmethod
    def _target(pod: Pod, job: str) -> Mapping[str, str]:
        return {"namespace": pod.namespace, "pod": pod.name, "instance": f"{pod.name}:8000", "job": job}

    def windows(self, name: str = "errors", key: Key = KEY):
        return self.sampler.windows(key)[name]
