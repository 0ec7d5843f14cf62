"""Due times by key: one per key, on a heap, with lazy deletion.

Setting a key's time again only makes its former entry on the heap stale; stale entries are skipped when they come up,
and the heap is rebuilt when most of it is stale, so that a key set anew a million times costs no memory.
"""

import heapq
from collections.abc import Iterator
from typing import Generic, TypeVar

K = TypeVar("K")

_STALE_ALLOWED = 64


class Timers(Generic[K]):
    """The next due time of each key, on whatever clock the caller reads."""

    __slots__ = ("_due", "_heap", "_turn")

    def __init__(self) -> None:
        self._due: dict[K, float] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._turn = 0

    def __len__(self) -> int:
        return len(self._due)

    def __iter__(self) -> Iterator[K]:
        return iter(tuple(self._due))

    def get(self, key: K) -> float | None:
        return self._due.get(key)

    def set(self, key: K, due: float) -> None:
        """Make this the key's only due time."""
        if self._due.get(key) == due:
            return
        self._due[key] = due
        self._turn += 1  # keys are never compared, and equal times come up in the order they were set
        heapq.heappush(self._heap, (due, self._turn, key))
        if len(self._heap) > 2 * len(self._due) + _STALE_ALLOWED:
            self._heap = [entry for entry in self._heap if self._due.get(entry[2]) == entry[0]]
            heapq.heapify(self._heap)

    def drop(self, key: K) -> None:
        self._due.pop(key, None)

    def next(self) -> float | None:
        """The earliest due time, or None."""
        while self._heap and self._due.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def take_due(self, now: float) -> list[K]:
        """Remove and answer the keys that are due at `now`, earliest first."""
        taken = []
        while (due := self.next()) is not None and due <= now:
            key = heapq.heappop(self._heap)[2]
            del self._due[key]
            taken.append(key)
        return taken
