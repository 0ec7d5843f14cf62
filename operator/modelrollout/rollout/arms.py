"""The variants of an A/B test as rules ask about them.

A test has a control, which is stable, and up to four variants, each a revision with role Variant and a fixed share. `Lane` joins
what is recorded of a variant in three places with what is seen of it. Nothing here decides anything.
"""

from __future__ import annotations

from dataclasses import dataclass

from modelrollout.api.scalars import Weight
from modelrollout.api.status import ArmStatus, RevisionStatus, Role

from .book import NOTHING_MEASURED, Book
from .capacity import candidate_pods
from .situation import ArmFacts, RevisionFacts


@dataclass(frozen=True, slots=True)
class Lane:
    """One variant: `arm` is its record in the test, `entry` that among the revisions, `share` what the plan gives it."""

    arm: ArmStatus
    entry: RevisionStatus
    share: Weight
    facts: RevisionFacts
    measured: ArmFacts
    pods: int
    """That it needs ready for its share."""
    usable: int
    """Ready pods that count: where it is warmed up, the warm ones."""
    cold: str
    """What is known of ready pods that are not warm; empty where there are none."""

    @property
    def label(self) -> str:
        """For people: ``variant b (version 2)``."""
        return f"variant {self.arm.name} (version {self.entry.version})"


def lanes(book: Book) -> tuple[Lane, ...]:
    """All variants of the test under way, those that were taken out too."""
    experiment = book.experiment
    if experiment is None:
        return ()
    found = []
    for arm in experiment.variants:
        entry = book.entry(arm.revision)
        if entry is None:
            entry = RevisionStatus(revision=arm.revision, version=arm.revision.rsplit("-", 1)[0], role=Role.FORMER)
        share = share_of(book, arm)
        measured = book.situation.arms.get(arm.revision, NOTHING_MEASURED)
        pods = pods_for(book, share)
        lane = Lane(arm, entry, share, book.facts(arm.revision), measured, pods, book.usable(entry), book.cold(entry))
        found.append(lane)
    return tuple(found)


def running(book: Book) -> tuple[Lane, ...]:
    """The variants that have not been taken out."""
    return tuple(lane for lane in lanes(book) if lane.arm.out is None)


def share_of(book: Book, arm: ArmStatus) -> Weight:
    """The share of a variant: as the plan has it, in which alone it can be edited during the test."""
    return book.plan.experiment.share(arm.name) if book.plan.experiment else Weight(0)


def pods_for(book: Book, share: int) -> int:
    """Pods that a share needs; none where the resource is scaled to 0."""
    return candidate_pods(book.plan, book.full, share) if book.full else 0


def pods_of_variants(book: Book) -> dict[str, int]:
    """The pod counts that the variants should have now: up before a share rises, down after it has fallen and drained."""
    found = {}
    for lane in running(book):
        needed = max(lane.pods, pods_for(book, lane.entry.weight)) if book.full else 0
        found[lane.entry.revision] = needed if book.drained else max(needed, lane.entry.replicas)
    return found


def shares_now(book: Book) -> dict[str, int]:
    """The recorded weights of the variants, taken-out ones too while they keep theirs."""
    return {lane.entry.revision: int(lane.entry.weight) for lane in lanes(book) if lane.entry.role is Role.VARIANT}
