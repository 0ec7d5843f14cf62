"""The things around the operator: pods of a Deployment, a route with its data plane, a Prometheus, two clocks.

They are as small as the twelve rules allow: a pod is ready or not and changes at a known moment, a route is what was written
and what the data plane carries, Prometheus is a row of windows with the counts that the traffic made. Everything is driven by
monotonic time that the world hands in; nothing here is random, so a history is its list of operations.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from modelrollout.analysis.window import Answer, Counts, Window
from modelrollout.api.analysis import Metric
from modelrollout.api.scalars import FULL_WEIGHT

NEVER = math.inf
INTERVAL = 15.0
EVALUATION_DELAY = 5.0
LOAD_CRASH = 40.0
ENDING = 3.0
"""Seconds from the end of a pod's service until what it ran on is free."""
COPIES = "~"


def copies(revision: str) -> str:
    """What a route and a data plane call the requests that are copied to a revision."""
    return f"{revision}{COPIES}"


@dataclass(slots=True)
class Fate:
    """What a build does once its pods are started. Times in seconds, shares from 0 to 1."""

    load: float = 4.0
    loads: bool = True
    lives: float = NEVER
    bad: float = 0.0
    golden: str = "right"
    """What it answers to golden requests: right, wrong or nothing (silent)."""
    better: bool = False
    """Users like what it answers."""

    @property
    def sound(self) -> bool:
        """Whether it deserves to be promoted."""
        return self.loads and self.lives == NEVER and self.bad == 0.0 and self.golden == "right"


_NUMBERS = itertools.count()


class Pod:
    """One pod: ready or not, and when that changes by itself."""

    __slots__ = ("change_at", "number", "ready", "ready_at", "restarts")

    def __init__(self, now: float, fate: Fate) -> None:
        self.number = next(_NUMBERS)
        self.ready_at = now
        self.ready = False
        self.restarts = 0
        self.change_at = now + (fate.load if fate.loads else LOAD_CRASH)

    def advance(self, now: float, fate: Fate) -> None:
        while self.change_at <= now:
            if not fate.loads:
                self.restarts += 1
                self.change_at += LOAD_CRASH
            elif self.ready:
                self.ready = False
                self.restarts += 1
                self.change_at += fate.load + 3.0
            else:
                self.ready, self.ready_at = True, self.change_at
                self.change_at += fate.lives


class DeploymentView(NamedTuple):
    """What an API server shows of a Deployment and its pods."""

    exists: bool = False
    replicas: int = 0
    pods: int = 0
    ready: int = 0
    restarts: int = 0
    version: int = 0
    order: float = 0.0
    ending: int = 0


class Deployment:
    """A Deployment with its pods. Every change of its spec counts `version` up."""

    def __init__(self, fate: Fate) -> None:
        self.fate = fate
        self.exists = False
        self.replicas = 0
        self.pods: list[Pod] = []
        self.ends: list[float] = []
        """When pods on their way out are gone."""
        self.version = 0
        self.order = 0.0

    def scale(self, now: float, replicas: int) -> int:
        """Set the pod count; unready pods go first. Returns how many ready pods were ended."""
        self.exists, self.replicas, self.version = True, replicas, self.version + 1
        ended = 0
        if len(self.pods) > replicas:
            self.pods.sort(key=lambda pod: not pod.ready)
            ended = sum(pod.ready for pod in self.pods[replicas:])
            self.ends += [now + ENDING] * (len(self.pods) - replicas)
            del self.pods[replicas:]
        while len(self.pods) < replicas:
            self.pods.append(Pod(now, self.fate))
        return ended

    def delete(self) -> int:
        """Remove it with its pods. Returns how many ready pods were ended."""
        ended = self.ready
        self.exists, self.replicas, self.pods, self.version = False, 0, [], self.version + 1
        return ended

    def advance(self, now: float) -> None:
        self.ends = [moment for moment in self.ends if moment > now]
        for pod in self.pods:
            if pod.change_at <= now:
                pod.advance(now, self.fate)

    def next_change(self) -> float:
        return min((*(pod.change_at for pod in self.pods), *self.ends), default=NEVER)

    def identities(self) -> dict[str, Pod]:
        """The pods, each by a name that changes when it restarts."""
        return {f"{pod.number}.{pod.restarts}": pod for pod in self.pods}

    @property
    def ready(self) -> int:
        return sum(pod.ready for pod in self.pods)

    def view(self) -> DeploymentView:
        restarts = sum(pod.restarts for pod in self.pods)
        return DeploymentView(
            self.exists, self.replicas, len(self.pods), self.ready, restarts, self.version, self.order, len(self.ends)
        )


class RouteView(NamedTuple):
    """What an API server shows of the route."""

    exists: bool = False
    weights: tuple[tuple[str, int], ...] = ()
    accepted: bool = False
    version: int = 0


@dataclass(slots=True)
class Route:
    """The route object and the data plane behind it. `serving` is what requests really meet."""

    exists: bool = False
    weights: dict[str, int] = field(default_factory=dict)
    version: int = 0
    accepted: bool = False
    refused: bool = False
    delay: float = 0.4
    accept_at: float = NEVER
    serving: dict[str, int] = field(default_factory=dict)
    serving_since: float = 0.0

    def write(self, now: float, weights: Mapping[str, int]) -> None:
        """Weights in basis points by revision, and under `copies` of a revision the share that is mirrored to it."""
        self.exists, self.version, self.accepted = True, self.version + 1, False
        self.weights = {revision: weight for revision, weight in weights.items() if weight}
        self.accept_at = now + self.delay

    def remove(self, now: float) -> None:
        self.exists, self.weights, self.accepted, self.accept_at = False, {}, False, NEVER
        self.version, self.serving, self.serving_since = self.version + 1, {}, now

    def refuse(self, now: float, refused: bool) -> None:
        self.refused = refused
        if refused:
            self.accepted = False
        elif self.exists:
            self.accept_at = now + self.delay

    def advance(self, now: float) -> None:
        if self.accept_at <= now:
            self.accept_at = NEVER
            if self.exists and not self.refused:
                self.accepted = True
                if self.serving != self.weights:
                    self.serving, self.serving_since = dict(self.weights), now

    def view(self) -> RouteView:
        return RouteView(self.exists, tuple(sorted(self.weights.items())), self.accepted, self.version)


class Recorded(NamedTuple):
    """What Prometheus has of one window: requests and bad ones by revision, and what really passed."""

    start: float
    end: float
    began: float
    ended: float
    requests: Mapping[str, int]
    bad: Mapping[str, int]
    answered: bool
    serving: Mapping[str, int] | None
    """What the data plane carried, if it was one thing all the while."""


class Prometheus:
    """Windows on a grid of the wall clock. It takes no sample for a time that it has already seen."""

    def __init__(self) -> None:
        self.windows: list[Recorded] = []
        self.by_end: dict[float, Recorded] = {}
        self.passed: dict[int, float] = {}
        self.lost: set[float] = set()
        self.given: set[float] = set()
        self.newest = 0.0
        self.recording = True
        self.answer = Answer.COUNTS
        self.rate = 20.0
        self.testers = 5.0
        """Requests a second that reach a version without a share, by its own Service or the tester header."""
        self.incident = 0.0
        self.better: frozenset[str] = frozenset()
        self._changed_at = 0.0
        self._serving: dict[str, int] = {}
        self._bad: dict[str, float] = {}
        self._alive: frozenset[str] = frozenset()

    def watch(self, now: float, serving: Mapping[str, int], bad: Mapping[str, float], alive: frozenset[str]) -> None:
        """Note what requests meet from now on. Requests to a revision without a ready pod are counted nowhere."""
        self._bad, self._alive = dict(bad), alive
        if serving != self._serving:
            self._serving, self._changed_at = dict(serving), now

    def point(self, grid: int, now: float) -> None:
        """The wall clock runs over a grid point: close the window that ends there."""
        start = (grid - 1) * INTERVAL
        began = self.passed.get(grid - 1)
        self.passed[grid] = now
        self.newest = grid * INTERVAL
        requests: dict[str, int] = {}
        bad: dict[str, int] = {}
        total = self.rate * INTERVAL
        served = {name.removesuffix(COPIES) for name in self._serving}
        for revision in (*sorted(served), *sorted(self._alive - served)):
            share = self._serving.get(revision, 0) + self._serving.get(copies(revision), 0)
            asked = total * share / FULL_WEIGHT or self.testers * INTERVAL
            requests[revision] = int(asked) if revision in self._alive else 0
            bad[revision] = round(requests[revision] * max(self._bad.get(revision, 0.0), self.incident))
        steady = began is not None and self._changed_at <= began
        window = Recorded(
            start,
            grid * INTERVAL,
            now if began is None else began,
            now,
            requests,
            bad,
            self.recording and began is not None,
            self._serving if steady else None,
        )
        self.windows.append(window)
        self.by_end[window.end] = window
        if len(self.windows) > 400:
            del self.windows[:200]

    def ask(self, metric: Metric, candidate: str, stable: str, since: float, until: float) -> Iterable[Window]:
        """What it answers for one metric between two wall-clock times. An empty answer is final, an error is not."""
        for window in self.windows:
            if window.end > until or window.end <= since:
                continue
            if self.answer is Answer.NO_DATA and window.end not in self.given:
                self.lost.add(window.end)
            elif self.answer is Answer.COUNTS:
                self.given.add(window.end)
            yield self._window(metric, window, candidate, stable)

    def _window(self, metric: Metric, window: Recorded, candidate: str, stable: str) -> Window:
        if self.answer is Answer.ERROR and window.end not in self.given:
            return Window(window.start, window.end, Answer.ERROR, message="connection refused")
        if window.end in self.lost or not window.answered:
            return Window(window.start, window.end, Answer.NO_DATA, message="the answer was empty")
        if metric.query is not None:
            return Window(
                window.start,
                window.end,
                Answer.VALUES,
                candidate_value=_share(window, candidate),
                stable_value=_share(window, stable),
            )
        if metric.name in ("goal", "goal-squares"):  # an amount of 1 is its own square
            counted = [
                Counts(requests, requests - round(requests * (0.4 if revision in self.better else 0.2)))
                for revision in (candidate, stable)
                for requests in (window.requests.get(revision, 0),)
            ]
            return Window(window.start, window.end, Answer.COUNTS, candidate=counted[0], stable=counted[1])
        return Window(
            window.start,
            window.end,
            Answer.COUNTS,
            candidate=Counts(window.requests.get(candidate, 0), window.bad.get(candidate, 0)),
            stable=Counts(window.requests.get(stable, 0), window.bad.get(stable, 0)),
        )


def _share(window: Recorded, revision: str) -> float | None:
    requests = window.requests.get(revision, 0)
    return window.bad.get(revision, 0) / requests if requests else None
