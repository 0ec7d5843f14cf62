"""Replace: a version that cannot run beside the one before it, as on the only GPU.

Stop, start, watch, return. Stable is stopped by an order that stands in status (`down`) from the write that gives it until something
answers again; the candidate gets its pods when the last one of everything else is gone, all traffic when they are ready, and is
watched. Taken back, it goes first and stable comes after. Until then weight that nobody carries belongs to stable.
"""

from __future__ import annotations

from modelrollout.api.scalars import FULL_WEIGHT, Timestamp
from modelrollout.api.status import Downtime, ModelDeploymentStatus, RevisionStatus, Role

from .book import Book


def stopped(book: Book) -> bool:
    """Whether stable has no pods because the candidate has, or is to have, their place."""
    return book.plan.in_place and book.stable is not None and not book.stable.replicas


def pods_in_place(book: Book) -> dict[str, int]:
    """The pod counts that stable and candidate should have now, one after the other."""
    stable, candidate, pods = book.stable, book.candidate, dict[str, int]()
    if candidate is None:
        if stable is not None:
            returns = not _another_follows(book) and not in_the_place(book, stable.revision)
            pods[stable.revision] = book.plan.replicas if stable.replicas or returns else 0
        return pods
    if stable is not None:
        replaced = book.status.down is not None or (candidate.weight == FULL_WEIGHT and book.drained)
        pods[stable.revision] = book.full if stable.replicas and not replaced else 0
    free = bool(candidate.replicas) or not in_the_place(book, candidate.revision)
    pods[candidate.revision] = book.full if free else candidate.replicas
    return pods


def in_the_place(book: Book, newcomer: str) -> tuple[RevisionStatus, ...]:
    """The versions whose pods must be gone before the start of a newcomer (a revision); one that is kept warm has a place of its own."""

    def there(entry: RevisionStatus) -> bool:
        warm = entry.warm_until is not None and entry.warm_until > book.now
        facts = book.facts(entry.revision)
        return not warm and bool(entry.replicas or facts.replicas or facts.pods or facts.ending)

    return tuple(entry for entry in book.status.revisions if entry.revision != newcomer and there(entry))


def left_behind(book: Book) -> tuple[RevisionStatus, ...]:
    """What is in the place beside stable: it goes before stable is stopped, or the gap would be the longer."""
    assert book.candidate is not None
    return tuple(entry for entry in in_the_place(book, book.candidate.revision) if entry.role is Role.FORMER)


def _another_follows(book: Book) -> bool:
    """Whether the spec asks for a version that is about to take the place: stable is not started in between."""
    target, stable = book.target, book.stable
    if book.status.down is None or target is None or stable is None or target.revision == stable.revision:
        return False
    return book.rejection(target.revision) is None


def with_order(book: Book, status: ModelDeploymentStatus) -> ModelDeploymentStatus:
    """The status with the order that stable is down, from now on unless it was already."""
    if status.down is not None or not book.full:
        return status
    return status.model_copy(update={"down": Downtime(since=Timestamp(book.now))})


def expected_back(book: Book) -> float | None:
    """About when something answers again, by how long the version took to load; None where nobody knows."""
    coming = book.candidate or book.stable
    down, other = book.status.down, book.stable
    if coming is None or down is None:
        return None
    measured = coming.load or (other.load if other is not None else None)
    if measured is None:
        return None
    begun = down.started_at or down.since
    return begun + measured.seconds
