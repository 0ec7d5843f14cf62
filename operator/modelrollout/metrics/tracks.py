"""How far one metric of one rollout has been read, and the windows that came of it.

A track moves along its grid: each time it is given what was seen at the *next* point, it makes the window between the point it
stands at and that one. It never skips a point and never goes over one twice, so what a live process makes and what is read
back after an outage are the same windows. While an answer is awaited, one ERROR window stands at the end for all that is
missing; it vanishes when the track moves on.

Times here are times of events: a metric whose data come late (`delay`) is sampled that much later than the window it makes.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from modelrollout.analysis.window import ZERO, Answer, Counts, Window
from modelrollout.api.analysis import Metric

from .bounds import Bound
from .counters import NOTHING, Gap, Point, difference
from .questions import grid
from .sides import side
from .subscription import Subscription

Points = Mapping[str, Point]
"""What was seen of a version's pods at one time."""

_UNSEEN: Points = {}


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
            found.setdefault(pod.rsplit("-", 2)[0], []).append(pod)
        self.by_deployment = {deployment: tuple(pods) for deployment, pods in found.items()}


@dataclass(slots=True)
class Sight:
    """What was ever seen of the metric, for finding out that it is missing."""

    points: int = 0
    candidate_up: bool = False
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
        self.subscription = subscription
        first = self._first()
        if first < self.first:
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
        if point <= start:
            return False
        news = self.awaited is None or self.awaited.message != message
        self.awaited = Window(start, point, Answer.ERROR, message=message)
        return news

    def windows(self) -> tuple[Window, ...]:
        """All windows that are kept, oldest first."""
        return (*self.done, self.awaited) if self.awaited is not None else tuple(self.done)

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
        if before is None:
            return False
        if candidate is None:
            message = f"metric {self.metric.name}: the query has no number for the candidate"
            return self._add(Window(before, point, Answer.NO_DATA, message=message))
        return self._add(Window(before, point, Answer.VALUES, candidate_value=candidate, stable_value=stable))


class CounterTrack(Track):
    """A rate: differences of counters of the pods of both versions."""

    def __init__(self, metric: Metric, subscription: Subscription, pods: Pods) -> None:
        """Raises SpecError for a metric that the runtime of a version cannot answer."""
        super().__init__(metric, subscription)
        self.pods = pods
        self.candidate = side(metric, subscription, subscription.candidate)
        self.stable = side(metric, subscription, subscription.stable) if subscription.stable is not None else None
        self.bound: Bound | None = None
        """The bound of the histogram by which the points were counted."""
        self.targets = {one.target for one in (self.candidate, self.stable) if one is not None}
        self._candidate: Points = _UNSEEN
        self._stable: Points = _UNSEEN

    def see(self, point: float, candidate: Points, stable: Points, *, obstacle: str = "") -> bool:
        """Take what was seen of all pods at the next point; tells whether a window came of it.

        `obstacle`: why the counters cannot be used.
        """
        before, self.at = self.at, point
        olds = self._candidate, self._stable
        self._candidate, self._stable = candidate, stable
        self._look(candidate, stable)
        if before is None:
            return False
        if obstacle:
            return self._add(Window(before, point, Answer.NO_DATA, message=f"metric {self.metric.name}: {obstacle}"))
        window = self._window(before, point, olds, (candidate, stable))
        self._expect(window)
        return self._add(window)

    def _window(self, start: float, end: float, olds: tuple[Points, Points], news: tuple[Points, Points]) -> Window:
        ours = self._version(olds[0], news[0], start, end, good=self.candidate.question.good)
        theirs: tuple[tuple[str, Counts], ...] | str = ()
        if self.stable is not None:
            theirs = self._version(olds[1], news[1], start, end, good=self.stable.question.good)
        comparing = self.metric.compare is not None and self.subscription.stable is not None
        missing = next(
            (
                f"{who}: {found}"
                for who, found in (("the candidate", ours), ("stable", theirs))
                if isinstance(found, str)
            ),
            None,
        )
        if isinstance(ours, str) or (comparing and isinstance(theirs, str)):
            return Window(start, end, Answer.NO_DATA, message=f"metric {self.metric.name} has no data on {missing}")
        stable = () if isinstance(theirs, str) else theirs
        return Window(
            start,
            end,
            Answer.COUNTS,
            candidate=_sum(ours),
            stable=_sum(stable),
            effective_threshold=self.bound.text if self.bound is not None else None,
            candidate_pods=ours,
            stable_pods=stable,
        )

    def _version(
        self, olds: Points, news: Points, start: float, end: float, *, good: bool
    ) -> tuple[tuple[str, Counts], ...] | str:
        """Counts by pod, or why no pod has any."""
        found: list[tuple[str, Counts]] = []
        gaps: Counter[Gap] = Counter()
        waiting, example = 0, ""
        for pod, new in news.items():
            since = self.pods.since.get(pod)
            if since is None and self.subscription.identify is None:
                continue
            if since is not None and since > start:
                waiting += 1
                continue
            counted = difference(olds.get(pod, NOTHING), new, start, end, good=good)
            if isinstance(counted, Gap):
                gaps[counted] += 1
                example = pod
            else:
                found.append((pod, counted))
        if found:
            return tuple(sorted(found))
        if gaps:
            others = f" (and {gaps.total() - 1} more)" if gaps.total() > 1 else ""
            return f"pod {example}{others} {gaps.most_common(1)[0][0]}"
        return "its pods are warming up" if waiting else "it has no pods that count yet"

    def _look(self, candidate: Points, stable: Points) -> None:
        sight = self.sight
        sight.points += 1
        sight.candidate_up = any(point.targets for point in candidate.values())
        sight.candidate_target |= any(point.targets is not None for point in candidate.values())
        sight.candidate = sight.candidate or any(point.total is not None for point in candidate.values())
        sight.stable = sight.stable or any(point.total is not None for point in stable.values())

    def _expect(self, window: Window) -> None:
        """Keep count of requests that the candidate should have had, and of windows in which they should have shown."""
        sight, share = self.sight, self.subscription.share
        if sight.candidate:
            sight.expected, sight.unmet, sight.untargeted = 0.0, 0, 0
            return
        # A Prometheus that knows nothing of stable either has lost its data or does not see this namespace: that is no news
        # about the candidate, and no answer must not move a weight.
        if (
            not sight.candidate_target
            and any(point.targets for point in self._stable.values())
            and any(self.pods.since.get(pod, math.inf) <= window.start for pod in self._candidate)
        ):
            sight.untargeted += 1
        if sight.expected >= ENOUGH:
            sight.unmet += 1
        if share < 1:
            sight.expected += window.stable.requests * share / (1 - share)


ENOUGH = 10.0
"""Requests after which a candidate's series ought to exist, whatever chance does to small shares."""


def _sum(pods: Iterable[tuple[str, Counts]]) -> Counts:
    total = ZERO
    for _, counts in pods:
        total += counts
    return total
