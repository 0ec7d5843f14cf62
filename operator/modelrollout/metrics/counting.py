"""A rate on its way along the grid: from what was seen of pods at two neighbouring points to the window between them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial, reduce
from operator import add, itemgetter
from typing import ClassVar, TypeVar

from modelrollout.analysis.window import ZERO, Answer, Counts, Window
from modelrollout.api.analysis import Metric

from .bounds import Bound
from .counters import NOTHING, Gap, Point, difference
from .sides import Side, side
from .subscription import Subscription
from .tracks import Pods, Track

Points = Mapping[str, Point]
"""What was seen of a version's pods at one time."""

T = TypeVar("T")
ByPod = tuple[tuple[str, T], ...]
"""Pods with what they have counted, by name."""

_UNSEEN: Points = {}
_PODS_UNKNOWN = 4


class CounterTrack(Track):
    """A rate: differences of counters of the pods of both versions."""

    series: ClassVar[int] = 2
    """About how many series of a pod one query answers."""

    def __init__(
        self,
        metric: Metric,
        subscription: Subscription,
        pods: Pods,
        *,
        everyone: bool = False,
        threshold: float | None = None,
    ) -> None:
        """`everyone`: all pods of a version count at all times (a comparer's do in any case). `threshold`: see `side`.

        Raises SpecError for a metric that the runtime of a version cannot answer.
        """
        super().__init__(metric, subscription)
        self.pods = pods
        paired = metric.disagreement is not None
        self.everyone = everyone or paired
        self.candidate = side(metric, subscription, subscription.candidate, threshold)
        stable = subscription.stable if not paired else None
        self.stable = side(metric, subscription, stable, threshold) if stable is not None else None
        self.bound: Bound | None = None
        """The bound of the histogram by which the points were counted."""
        self.targets = {one.target for one in (self.candidate, self.stable) if one is not None}
        self.carriers: frozenset[str] = frozenset()
        """Pods of neither version that carry the series of both, told apart by a label."""
        self._candidate: Points = _UNSEEN
        self._stable: Points = _UNSEEN

    @property
    def size(self) -> int:
        """About how many pods are read."""
        owners = {one.deployment for one in (self.candidate, self.stable) if one is not None}
        return sum(len(self.pods.by_deployment.get(owner, ())) for owner in owners) or _PODS_UNKNOWN

    def see(self, point: float, candidate: Points, stable: Points, *, obstacle: str = "") -> bool:
        """Take what was seen of all pods at the next point; tells whether a window came of it.

        `obstacle`: why the counters cannot be used.
        """
        before, self.at = self.at, point
        olds = self._candidate, self._stable
        self._candidate, self._stable = candidate, stable
        self._look(candidate, stable)
        self.sight.obstacle = obstacle
        if self.subscription.preflight:
            return self._looked()
        if before is None:
            return False
        if obstacle:
            return self._add(Window(before, point, Answer.NO_DATA, message=f"metric {self.metric.name}: {obstacle}"))
        window = self._window(before, point, olds, (candidate, stable))
        self._expect(window)
        return self._add(window)

    def _window(self, start: float, end: float, olds: tuple[Points, Points], news: tuple[Points, Points]) -> Window:
        span = (start, end)
        ours = self._version(olds[0], news[0], span, _counter(self.candidate))
        theirs: ByPod[Counts] | str = ()
        if self.stable is not None:
            theirs = self._version(olds[1], news[1], span, _counter(self.stable))
        if isinstance(ours, str) or (isinstance(theirs, str) and self._comparing):
            return self._nothing(start, end, ours, theirs)
        stable = () if isinstance(theirs, str) else theirs
        return Window(
            start,
            end,
            Answer.COUNTS,
            candidate=total(ours),
            stable=total(stable),
            effective_threshold=self.bound.text if self.bound is not None else None,
            candidate_pods=ours,
            stable_pods=stable,
        )

    @property
    def _comparing(self) -> bool:
        return self.metric.compare is not None and self.subscription.stable is not None

    def _nothing(self, start: float, end: float, ours: object, theirs: object) -> Window:
        """A window without data; one of the two is a text that says why there is none on that version."""
        who, why = ("the candidate", ours) if isinstance(ours, str) else ("stable", theirs)
        message = f"metric {self.metric.name} has no data on {who}: {why}"
        return Window(start, end, Answer.NO_DATA, message=message)

    def _version(
        self,
        olds: Points,
        news: Points,
        span: tuple[float, float],
        count: Callable[[Point, Point, float, float], T | Gap],
    ) -> ByPod[T] | str:
        """Counts by pod in a span of time, or why no pod has any."""
        found: list[tuple[str, T]] = []
        gaps: Counter[Gap] = Counter()
        waiting, example = 0, ""
        for pod, new in news.items():
            since = self._since(pod)
            if since is None:
                continue
            if since > span[0]:
                waiting += 1
                continue
            counted = count(olds.get(pod, NOTHING), new, *span)
            if isinstance(counted, Gap):
                gaps[counted] += 1
                example = pod
            else:
                found.append((pod, counted))
        if found:
            return tuple(sorted(found, key=itemgetter(0)))
        if gaps:
            others = f" (and {gaps.total() - 1} more)" if gaps.total() > 1 else ""
            return f"pod {example}{others} {gaps.most_common(1)[0][0]}"
        return "its pods are warming up" if waiting else "it has no pods that count yet"

    def _since(self, pod: str) -> float | None:
        """From when on the pod's counts are taken; None: never."""
        if self.everyone:
            return -math.inf
        known = self.pods.since.get(pod)
        return -math.inf if known is None and self.subscription.identify is not None else known

    def _look(self, candidate: Points, stable: Points) -> None:
        sight = self.sight
        sight.points += 1
        sight.candidate_up = any(point.targets for point in candidate.values())
        sight.stable_up = any(point.targets for point in stable.values())
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


def _counter(side: Side) -> Callable[[Point, Point, float, float], Counts | Gap]:
    """How the counters of a version are read between two points."""
    return partial(difference, good=side.question.good, within=side.question.within)


def total(pods: ByPod[Counts]) -> Counts:
    """All pods together."""
    return reduce(add, (counts for _, counts in pods), ZERO)
