"""Capacity: both versions together have at most so many pods above R, for clusters where each pod is a GPU.

The weight climbs to a step's share in parts: the candidate gets the pods for which there is room, the weight follows those that are
ready, stable gives up what its smaller share no longer needs, and that is the room for the next. No weight is ever more than the
ready pods carry, and stable never has fewer than its recorded weight needs, save on the way back: then its pods
come as the candidate's go.
"""

from __future__ import annotations

from modelrollout.api.scalars import FULL_WEIGHT
from modelrollout.api.status import RevisionStatus

from .book import Book
from .capacity import need, remaining


def within_reach(book: Book, goal: int) -> int:
    """The weight up to `goal` that the candidate's ready pods carry; never less than it has."""
    candidate, full = book.candidate, book.full
    if book.plan.surge is None or candidate is None or book.stable is None or not full:
        return goal
    ready = min(book.usable(candidate), candidate.replicas)
    reached = goal if ready >= need(full, goal) else ready * FULL_WEIGHT // full
    return max(min(reached, goal), min(int(candidate.weight), goal))


def room(book: Book, newcomer: str) -> int:
    """How many pods a version may have beside all that others have, those on their way out counted."""
    assert book.plan.surge is not None
    taken = 0
    for entry in book.status.revisions:
        facts = book.facts(entry.revision)
        if entry.revision != newcomer:
            taken += max(entry.replicas, facts.replicas, facts.pods + facts.ending)
    return max(0, book.full + book.plan.surge - taken)


def pods_within(book: Book) -> dict[str, int]:
    """The pod counts that stable and candidate keep while nothing climbs."""
    stable, candidate, full, surge = book.stable, book.candidate, book.full, book.plan.surge
    assert surge is not None
    if candidate is None:
        return {stable.revision: _grown(book, stable, full)} if stable is not None else {}
    if stable is None:
        return {candidate.revision: full}
    least = remaining(full, FULL_WEIGHT - int(candidate.weight))
    most = max(need(full, candidate.weight), full + surge - least)
    grown = min(max(stable.replicas, _grown(book, stable, max(least, 1))), full)
    left = room(book, candidate.revision) - max(0, grown - stable.replicas)
    needed = min(need(full, candidate.weight), left)  # more than it has only where replicas were raised meanwhile
    kept = max(candidate.replicas, needed, min(1, left))
    return {
        candidate.revision: min(kept, max(1, min(most, full))) if book.drained else kept,
        stable.revision: grown,
    }


def _grown(book: Book, stable: RevisionStatus, wanted: int) -> int:
    """As many pods as wanted, as far as there is room; those that run already need none, whatever was recorded of them."""
    running = book.facts(stable.revision).replicas
    return min(wanted, max(stable.replicas, running, room(book, stable.revision)))


def way_back(book: Book) -> tuple[int, float | None] | None:
    """What a return to stable would meet now: the pods that it would be short of, and for about how long (seconds), as far as that is known.

    None where stable has all its pods, or all its traffic. They would start as the candidate's end, and load side by side.
    """
    stable, candidate = book.stable, book.candidate
    if book.plan.surge is None or stable is None or candidate is None or not candidate.weight:
        return None
    lacking = book.full - min(stable.replicas, book.ready(stable))
    load = stable.load or candidate.load
    return (lacking, load.seconds if load is not None else None) if lacking > 0 else None


def next_pods(book: Book, goal: int) -> dict[str, int]:
    """What the climb to a weight needs next: pods of the candidate that there is room for, or less of stable; else nothing."""
    stable, candidate, full, surge = book.stable, book.candidate, book.full, book.plan.surge
    assert surge is not None
    if candidate is None or stable is None:
        return {}
    wanted = max(min(1, full), need(full, goal))
    least = remaining(full, FULL_WEIGHT - int(candidate.weight))
    possible = min(wanted, room(book, candidate.revision), full + surge - least)
    if possible > candidate.replicas:
        return {candidate.revision: possible}
    kept = max(least, full + surge - wanted)
    ready = book.usable(candidate) >= candidate.replicas  # nothing is given up for pods that do not come
    if candidate.replicas < wanted and kept < stable.replicas and ready and book.drained:
        return {stable.revision: kept}
    return {}
