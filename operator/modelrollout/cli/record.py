"""The record of one rollout: which version against which, how it went, who had a hand in it.

`pick` finds the rollout in an object's status, `record` puts together what is known of it: the weights that were set, what the metrics
have said, the commands that were taken while it lasted. Pure: objects of the API server in, a frozen `Record` out. Status keeps the
recent past only, and what is missing is said in `gaps`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from modelrollout.api.scalars import Timestamp
from modelrollout.api.status import (
    TIMELINE_LIMIT,
    HistoryEntry,
    MetricStatus,
    Outcome,
    TakenCommand,
    TimelineEntry,
)

from .deployment import Deployment
from .failures import Refused
from .view import camel
from .words import spaced

UNDER_WAY = "InProgress"

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Weighed:
    """A weight that was set: percent as text, share from 0 to 1, why, and for how many seconds (None: it still is).

    `mirror`: the share of requests, from 0 to 1, of which the candidate got copies instead; None: of none.
    """

    at: float
    weight: str
    share: float
    reason: str
    seconds: float | None
    mirror: float | None = None

    @property
    def told(self) -> str:
        """For people: ``25 %``, or ``0 % (10 % mirrored)``."""
        copies = f" ({100 * self.mirror:g} % mirrored)" if self.mirror else ""
        return f"{self.weight} %{copies}"


@dataclass(frozen=True, slots=True)
class Ordered:
    """A command that was taken: who asked for what and why, and what became of it."""

    at: float
    action: str
    by: str
    step: str
    reason: str
    outcome: str
    message: str


@dataclass(frozen=True, slots=True)
class Record:
    """One rollout; times in seconds since 1970, `ended_at` None while it is under way.

    `outcome`: InProgress, or how it ended. `against`: the version that was stable, and its revision; empty where there was none or
    it is not known any more. `attempt` is known while it is under way only.
    """

    name: str
    namespace: str
    revision: str
    version: str
    against: str
    against_revision: str
    outcome: str
    reason: str
    message: str
    started_at: float
    ended_at: float | None
    attempt: int
    weights: tuple[Weighed, ...]
    metrics: tuple[MetricStatus, ...]
    commands: tuple[Ordered, ...]
    gaps: tuple[str, ...]

    def until(self, now: float) -> float:
        """Its end, or now."""
        return now if self.ended_at is None else self.ended_at


@dataclass(frozen=True, slots=True)
class Picked:
    """A rollout in an object's status: the one under way (`entry` None), or one that has ended."""

    revision: str
    version: str
    started_at: float
    entry: HistoryEntry | None


def pick(deployment: Deployment, wanted: str | None) -> Picked:
    """The newest rollout of that revision or version; by default the one under way, else the last one. Raises Refused."""
    known = _known(deployment)
    if not known:
        raise Refused(f"{deployment.name}: nothing has been rolled out yet")
    fitting = [one for one in known if wanted in (None, one.revision, one.version)]
    if not fitting:
        names = ", ".join(dict.fromkeys(one.revision for one in reversed(known)))
        raise Refused(f'{deployment.name}: no rollout of "{wanted}" is on record; there are {names}')
    return fitting[-1]


def record(deployment: Deployment, picked: Picked, commands: Sequence[Json] = ()) -> Record:
    """Put together what is known. `commands`: RolloutCommands of the namespace, as far as they may be read."""
    status, entry = deployment.status, picked.entry
    end = float("inf") if entry is None else float(entry.ended_at)
    timeline = [
        one for one in status.timeline if one.revision == picked.revision and picked.started_at <= one.at <= end
    ]
    against = _against(deployment, picked)
    return Record(
        name=deployment.name,
        namespace=deployment.namespace,
        revision=picked.revision,
        version=picked.version,
        against=_version(deployment, against),
        against_revision=against,
        outcome=UNDER_WAY if entry is None else str(entry.outcome),
        reason=deployment.reason if entry is None else entry.reason,
        message=spaced(status.message if entry is None else entry.message),
        started_at=picked.started_at,
        ended_at=None if entry is None else float(entry.ended_at),
        attempt=status.rollout.attempt if entry is None and status.rollout else 0,
        weights=_weights(timeline, entry),
        metrics=status.metrics if entry is None else entry.metrics,
        commands=_commands(status.commands, commands, picked, end),
        gaps=tuple(_gaps(deployment, picked, timeline)),
    )


def _known(deployment: Deployment) -> list[Picked]:
    """All rollouts on record, the one under way last."""
    status = deployment.status
    known = [Picked(one.revision, one.version, float(one.started_at), one) for one in status.history]
    if status.rollout is not None:
        revision = status.rollout.revision
        known.append(Picked(revision, _version(deployment, revision), float(status.rollout.started_at), None))
    return known


def _version(deployment: Deployment, revision: str) -> str:
    """The version of a revision, from wherever it is still written; else as it stands in the revision's name."""
    status = deployment.status
    written = {one.revision: one.version for one in status.history}
    written |= {one.revision: one.version for one in status.rejected}
    found = deployment.revision(revision)
    return found.version if found else written.get(revision, revision.rpartition("-")[0])


def _against(deployment: Deployment, picked: Picked) -> str:
    """The revision that was stable meanwhile. Entries of older operators do not say; then it is what was promoted last before."""
    if picked.entry is None:
        return deployment.stable.revision if deployment.stable else ""
    if picked.entry.against:
        return picked.entry.against
    before = (
        one.revision
        for one in reversed(deployment.status.history)
        if one.outcome is Outcome.PROMOTED and one.ended_at <= picked.started_at
    )
    return next(before, "")


def _weights(timeline: Sequence[TimelineEntry], entry: HistoryEntry | None) -> tuple[Weighed, ...]:
    ends: list[float | None] = [float(one.at) for one in timeline[1:]]
    ends.append(None if entry is None else float(entry.ended_at))
    return tuple(
        Weighed(
            at=float(one.at),
            weight=one.weight.percent,
            share=one.weight.fraction,
            reason=one.reason,
            seconds=None if end is None or not (one.weight or one.mirror) else end - float(one.at),
            mirror=one.mirror.fraction if one.mirror else None,
        )
        for one, end in zip(timeline, ends, strict=False)
    )


def _commands(
    taken: Sequence[TakenCommand], objects: Sequence[Json], picked: Picked, end: float
) -> tuple[Ordered, ...]:
    """Those that were taken while it lasted, with the step and the reason that their objects tell."""
    specs = {str(one["metadata"].get("uid")): one.get("spec") or {} for one in objects}
    found = []
    for one in taken:
        spec = specs.get(one.uid, {})
        if picked.started_at <= one.at <= end and spec.get("revision", picked.revision) == picked.revision:
            found.append(
                Ordered(
                    at=float(one.at),
                    action=str(one.action),
                    by=one.by,
                    step=str(spec.get("step") or ""),
                    reason=str(spec.get("reason") or ""),
                    outcome=str(one.outcome),
                    message=spaced(one.message),
                )
            )
    return tuple(found)


def _gaps(deployment: Deployment, picked: Picked, timeline: Sequence[TimelineEntry]) -> list[str]:
    status = deployment.status
    found = []
    oldest = status.timeline[0].at if status.timeline else None
    full = len(status.timeline) >= TIMELINE_LIMIT
    if full and oldest is not None and oldest > picked.started_at:
        found.append(
            f"status keeps the last {TIMELINE_LIMIT} weights only; earlier ones of this rollout are not known any more"
        )
    if picked.entry is not None and not timeline and not full and picked.entry.outcome is not Outcome.PROMOTED:
        found.append("no traffic was moved")
    if picked.entry is not None and not picked.entry.metrics and picked.entry is not status.history[-1]:
        found.append("what its metrics said is kept until the next rollout ends")
    return found


def document(found: Record) -> dict[str, Any]:
    """The fields of `--output json`, camelCase, absent values omitted, times as texts."""
    body = {name: value for name, value in asdict(found).items() if name != "metrics"}
    for name in ("started_at", "ended_at"):
        body[name] = None if body[name] is None else str(Timestamp(body[name]))
    for one in (*body["weights"], *body["commands"]):
        one["at"] = str(Timestamp(one["at"]))
    metrics = [{name: value for name, value in one.written().items() if name != "state"} for one in found.metrics]
    return {**camel(body), "metrics": metrics}


def steps_of(found: Record, end: float) -> list[tuple[float, float]]:
    """The weight over time as corners of a stair: (seconds since 1970, share), from the start to the end."""
    corners = [(found.started_at, 0.0)]
    for one in found.weights:
        corners += [(one.at, corners[-1][1]), (one.at, one.share)]
    return [*corners, (end, corners[-1][1])]
