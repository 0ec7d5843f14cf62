"""Replace: when stable stops, what is awaited until then, and when the gap is over. The pods are counted by `in_place.py`.

Rules of `rules.RULES`, asked there before a candidate takes its share.
"""

from __future__ import annotations

from modelrollout.api.reasons import Reason
from modelrollout.api.scalars import FULL_WEIGHT
from modelrollout.api.status import Phase, RevisionStatus

from .book import Book
from .in_place import left_behind
from .moves import (
    Move,
    Wait,
    give_back,
    stop,
)
from .situation import EventNote
from .step_rules import hindered
from .waits import (
    paused,
    place_is_awaited,
    stable_is_unavailable,
)
from .words import span


def one_version_at_a_time(book: Book) -> Move | Wait | None:
    """Replace: stable is stopped when nothing else is in the way, and the candidate starts in its place once that is free."""
    candidate, stable = book.candidate, book.stable
    if not book.plan.in_place or candidate is None or not book.full:
        return None
    if candidate.weight == FULL_WEIGHT or book.confirmed(candidate, book.full):
        return None  # what is ready in full beside stable needs no place
    if stable is not None and stable.replicas:
        return _before_the_stop(book, candidate, stable) or stop(book)
    if not candidate.replicas:
        return place_is_awaited(book)
    return None


def _before_the_stop(book: Book, candidate: RevisionStatus, stable: RevisionStatus) -> Move | Wait | None:
    """What has to be so while something still serves: from the order on, waiting means that nothing does."""
    if (obstacle := hindered(book)) is not None:
        return obstacle
    if candidate.share:  # of another strategy, which was edited into this one
        if candidate.weight and not book.ready(stable):
            return stable_is_unavailable(book, "to take traffic back")
        return give_back(
            book, Reason.HOLDING, "The strategy was edited: the version before serves until it is replaced."
        )
    if left_behind(book):
        return place_is_awaited(book)
    return paused(book)


def something_answers_again(book: Book) -> Move | None:
    """The end of a gap that was ordered: what has all traffic has a ready pod, or nothing is to run."""
    down = book.status.down
    serving = next((entry for entry in book.status.revisions if entry.weight == FULL_WEIGHT), None)
    answers = serving is not None and serving.replicas and book.ready(serving) and book.applied
    if down is None or (book.full and not answers):
        return None  # pods that were just ordered away may still be ready
    status = book.status.model_copy(update={"down": None})
    phase = book.status.phase or Phase.PROGRESSING
    if serving is None or not book.full:
        return Move(status, phase, Reason.SCALED_TO_ZERO, "Scaled to 0.")
    text = f"Version {serving.version} answers; nothing did for {span(book.now - down.since)}"
    return Move(status, phase, Reason.SERVING_AGAIN, f"{text}.", (EventNote(Reason.SERVING_AGAIN, text),))
