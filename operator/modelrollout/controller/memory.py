"""What this process remembers of a rollout between two looks, and could forget at any time.

Since when something has been seen (readiness, an applied route), progress that is not written yet, facts about pods that were
read on demand, and what stood in the way of the last act. A restart begins with none of it: then times start later, never
earlier.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from modelrollout.api.status import ModelDeploymentStatus
from modelrollout.kube.pods import PodFacts
from modelrollout.rollout.situation import MirrorFacts, Problem
from modelrollout.workload.records import PlanRecord, RevisionRecord

from .children import Children

Record = RevisionRecord | PlanRecord


@dataclass(frozen=True, slots=True)
class PodsSeen:
    """The pods of a revision as read at `read_at` (monotonic), when its Deployment's view was `of`."""

    pods: tuple[PodFacts, ...]
    of: object
    read_at: float


@dataclass(frozen=True, slots=True)
class Settled:
    """The Store's stamp before an act, and which optional kinds were served."""

    stamp: int
    grounds: tuple[bool, ...]


class Now(NamedTuple):
    """One moment on both clocks, in seconds."""

    wall: float
    monotonic: float

    def wall_of(self, monotonic: float) -> float:
        """An earlier monotonic reading as wall time: what has been lived through since, counted back from now."""
        return self.wall - (self.monotonic - monotonic)


@dataclass(slots=True)
class Memory:
    """One rollout's memory. Times are monotonic, so that a wall clock that is set makes nothing older or younger."""

    uid: str = ""
    decided_at: float | None = None
    """Monotonic time of the last decision."""
    unwritten: ModelDeploymentStatus | None = None
    """Of the status as last decided, the progress that may not be written yet."""
    recorded: tuple[str, ModelDeploymentStatus] | None = None
    """What the server has stored of the last status (its fingerprint), and that status, where it did not take all of it."""
    lacking: Problem | None = None
    """Why the router that the spec names cannot be used in this cluster."""
    saved_at: float = 0.0
    """Monotonic time of the last status write."""
    ready_since: dict[str, float] = field(default_factory=dict)
    route: tuple[tuple[tuple[str, int], ...], tuple[tuple[str, int], ...], bool] | None = None
    """Weights, mirrored shares and acceptance of the route as last seen."""
    route_since: float | None = None
    pods: dict[str, PodsSeen] = field(default_factory=dict)
    slots: frozenset[tuple[str, str]] = frozenset()
    """Where variants of an A/B test are measured."""
    warming: frozenset[tuple[str, str]] = frozenset()
    """Where pods of variants are warmed."""
    problems: tuple[Problem, ...] = ()
    """What stood in the way of the last act."""
    records: dict[str, Record] = field(default_factory=dict)
    """By name, the records that status refers to, as last seen: one that somebody deletes is made again."""
    refused: bool = False
    """Whether a record that status names could not be made: it is tried again although nothing else is to be written."""
    mirror: MirrorFacts | None = None
    """What the gateways said to mirroring; None: they were not asked, or it is no longer asked for."""
    mirror_at: float = 0.0
    """Monotonic time of that answer."""
    gathered: tuple[int, Children] | None = None
    """The children, and the Store's stamp when they were gathered."""
    settled: Settled | None = None
    """What the last act went by, if nothing stood in its way: as long as that is so, acting again would send nothing."""

    def status_of(self, stored: str, read: ModelDeploymentStatus) -> ModelDeploymentStatus:
        """The recorded status: as read, unless the server is known to have dropped fields of it."""
        return self.recorded[1] if self.recorded is not None and self.recorded[0] == stored else read

    def note_ready(self, revision: str, ready: int, now: Now) -> float | None:
        """Since when (wall time) the revision has had a ready pod without a break that was seen."""
        if not ready:
            self.ready_since.pop(revision, None)
            return None
        return now.wall_of(self.ready_since.setdefault(revision, now.monotonic))

    def note_route(
        self, weights: Mapping[str, int] | None, accepted: bool, now: Now, mirrors: Mapping[str, int] | None = None
    ) -> float | None:
        """Since when (wall time) the route has carried these weights, mirrored these shares and been accepted."""
        carried = (tuple(sorted((weights or {}).items())), tuple(sorted((mirrors or {}).items())), accepted)
        if self.route != carried:
            self.route, self.route_since = carried, now.monotonic
        return now.wall_of(self.route_since) if accepted and self.route_since is not None else None

    def forget_revisions(self, known: frozenset[str]) -> None:
        """Drop what is remembered of revisions that are gone."""
        for gone in [revision for revision in self.pods if revision not in known]:
            del self.pods[gone]
        for gone in [revision for revision in self.ready_since if revision not in known]:
            del self.ready_since[gone]
