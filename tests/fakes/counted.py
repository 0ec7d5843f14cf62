"""A metrics layer that makes windows of what it is told."""

from collections.abc import Mapping

from modelrollout.analysis.window import Answer, Counts, Window
from modelrollout.metrics.subscription import Preflight, Subscription
from modelrollout.rollout.situation import Problem
from tests.fakes.clock import VirtualClock

INTERVAL = 15.0
DELAY = 5.0
USUAL = (Counts(100, 0), Counts(100, 0))


class Counted:
    """`counts`: by the candidate's version and the metric, what both count in each window; without, a hundred and none bad."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.subscriptions: dict[tuple[str, str], Subscription] = {}
        self.counts: dict[tuple[str, str], tuple[Counts, Counts]] = {}

    def subscribe(self, key: tuple[str, str], subscription: Subscription) -> None:
        self.subscriptions[key] = subscription

    def unsubscribe(self, key: tuple[str, str]) -> None:
        self.subscriptions.pop(key, None)

    def windows(self, key: tuple[str, str]) -> Mapping[str, tuple[Window, ...]]:
        one = self.subscriptions.get(key)
        if one is None or one.preflight:
            return {}
        first = -(-one.since // INTERVAL) * INTERVAL
        ends = [first + INTERVAL * (index + 1) for index in range(int((self.clock.now() - DELAY - first) // INTERVAL))]
        return {
            metric.name: tuple(
                Window(
                    end - INTERVAL, end, Answer.COUNTS, *self.counts.get((one.candidate.version, metric.name), USUAL)
                )
                for end in ends
            )
            for metric in one.metrics
        }

    def problem(self, key: tuple[str, str]) -> Problem | None:
        del key
        return None

    def preflight(self, key: tuple[str, str]) -> Preflight:
        return Preflight(ready=key in self.subscriptions)
