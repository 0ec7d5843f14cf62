"""How far one metric of one rollout has been read, and the windows that came of it.

A track moves along its grid: each time it is given what was seen at the *next* point, it makes the window between the point it
stands at and that one. It never skips a point and never goes over one twice, so what a live process makes and what is read
back after an outage are the same windows. While an answer is awaited, one ERROR window stands at the end for all that is
missing; it vanishes when the track moves on.

Times here are times of events: a metric whose data come late (`delay`) is sampled that much later than the window it makes.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from modelrollout.analysis.window import Answer, Window
from modelrollout.api.analysis import Metric

from .pod_names import owners
from .questions import grid
from .subscription import Subscription


@dataclass(slots=True)
class Pods:
    """Since when the pods of one rollout count (seconds since 1970). Pods that are gone stay while windows of theirs are awaited."""

    since: dict[str, float] = field(default_factory=dict)
    present: frozenset[str] = frozenset()
    by_deployment: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def learn(self, counts_from: Mapping[str, float]) -> None:
        """Take the pods that there are now."""
        self.since.update(counts_from)
        self.present = frozenset(counts_from)
        self._sort()

    def forget_gone(self) -> None:
        """Nothing is awaited any more."""
        if len(self.since) > len(self.present):
            self.since = {pod: at for pod, at in self.since.items() if pod in self.present}
            self._sort()

    def _sort(self) -> None:
        found: dict[str, list[str]] = {}
        for pod in self.since:
            for deployment in owners(pod):
                found.setdefault(deployment, []).append(pod)
        self.by_deployment = {deployment: tuple(pods) for deployment, pods in found.items()}


@dataclass(slots=True)
class Sight:
    """What was seen of the metric, for finding out that it is missing.

    `points`: how often it was looked for. Of the last look: `candidate_up` and `stable_up` (a pod's target is up), `obstacle` (why
    what is there cannot be used). Of all looks: `candidate_target` (it ever had one), `candidate` and `stable` (it existed).
    `expected`: requests that the candidate should have had without showing any; `unmet`, `untargeted`: windows since then, and
    windows in which stable had a target and the candidate none.
    """

    points: int = 0
    candidate_up: bool = False
    stable_up: bool = False
    obstacle: str = ""
    candidate_target: bool = False
    candidate: bool = False
    stable: bool = False
    expected: float = 0.0
    unmet: int = 0
    untargeted: int = 0


class Track:
    """What counters and queries have in common: the place on the grid and the windows."""

    def __init__(self, metric: Metric, subscription: Subscription) -> None:
        self.metric = metric
        self.subscription = subscription
        self.step = grid(metric, subscription.interval)
        late = metric.delay.seconds if metric.delay is not None else 0.0
        self.shift = math.ceil(late / self.step) * self.step
        self.sight = Sight()
        self.done: deque[Window] = deque()
        self.awaited: Window | None = None
        self.generation = 0
        self.at: float | None = None
        self.first = self._first()

    def _first(self) -> float:
        begin = max(self.subscription.since, self.subscription.keep_from)
        return math.ceil(begin / self.step) * self.step

    def resubscribe(self, subscription: Subscription) -> None:
        """Take over a subscription for the same versions: a later `since` or `keep_from` drops windows, an earlier one starts over."""
        looked_only, self.subscription = self.subscription.preflight, subscription
        first = self._first()
        if first < self.first or looked_only != subscription.preflight:
            self.restart(first)
        while self.done and (self.done[0].start < subscription.since or self.done[0].start < subscription.keep_from):
            self.done.popleft()
        if self.awaited is not None and self.awaited.end <= first:
            self.awaited = None
        if self.at is not None and self.at < first:
            self.restart(first)
        self.first = max(self.first, first)

    def restart(self, first: float) -> None:
        """Read again from this grid point on."""
        self.generation += 1
        self.first = first
        self.at = None
        self.done.clear()
        self.awaited = None

    def look(self, point: float) -> None:
        """Before the first weight nothing is made up for: the next point is this one."""
        if self.subscription.preflight and self.next_point() < point:
            self.generation += 1
            self.first, self.at = point, None

    def rebase(self) -> None:
        """Counters mean something else from here on: take the point where it stands anew."""
        if self.at is not None:
            self.generation += 1
            self.first, self.at = self.at, None

    def rewind(self, point: float) -> None:
        """The clock was set back: what lies after `point` cannot have been seen."""
        if self.at is None or self.at <= point:
            return
        self.generation += 1
        self.at = None
        self.awaited = None
        while self.done and self.done[-1].end > point:
            self.done.pop()
        self.first = self.done[-1].end if self.done else min(self.first, point)

    def next_point(self) -> float:
        """The next point to be seen: the first one, or the one after that where the track stands."""
        return self.first if self.at is None else self.at + self.step

    def fail(self, point: float, message: str) -> bool:
        """Nothing was learnt up to `point`; tells whether that is news."""
        start = self.first if self.at is None else self.at
        if point <= start and not self.subscription.preflight:
            return False
        news = self.awaited is None or self.awaited.message != message
        self.awaited = Window(start, point, Answer.ERROR, message=message)
        return news

    def windows(self) -> tuple[Window, ...]:
        """All windows that are kept, oldest first."""
        if self.subscription.preflight:
            return ()
        return (*self.done, self.awaited) if self.awaited is not None else tuple(self.done)

    def _looked(self) -> bool:
        """Before the first weight: what was seen is news, and no window comes of it."""
        self.awaited = None
        return True

    def _add(self, window: Window) -> bool:
        self.awaited = None
        if window.start < self.subscription.since or window.start < self.subscription.keep_from:
            return False
        self.done.append(window)
        return True


class NumberTrack(Track):
    """A user's query: one number for each version at the end of each window."""

    def see(self, point: float, candidate: float | None, stable: float | None) -> bool:
        """Take the numbers at the next point; tells whether a window came of it."""
        before, self.at = self.at, point
        sight = self.sight
        sight.points += 1
        sight.candidate |= candidate is not None
        sight.stable |= stable is not None
        if self.subscription.preflight:
            return self._looked()
        if before is None:
            return False
        if candidate is None:
            message = f"metric {self.metric.name}: the query has no number for the candidate"
            return self._add(Window(before, point, Answer.NO_DATA, message=message))
        return self._add(Window(before, point, Answer.VALUES, candidate_value=candidate, stable_value=stable))
