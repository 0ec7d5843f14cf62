"""What the API server keeps of a status, where its CRDs are older than this operator.

A field that the CRD does not know is dropped without a word. The answer to a write lacks it, so the next decision would write it
again, for ever. So each answer is compared with what was sent: fields that were not taken do not count as a difference from then
on, and the status as decided stays in memory in place of what was stored of it. That memory ends with the process, as all of it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from modelrollout.api.base import fingerprint
from modelrollout.api.reasons import Reason
from modelrollout.api.status import ModelDeploymentStatus
from modelrollout.kube.errors import Invalid
from modelrollout.rollout.situation import EventNote
from modelrollout.runtime.clock import Clock

from .memory import Memory

log = logging.getLogger(__name__)

Json = Mapping[str, Any]
Path = tuple[str, ...]
"""Field names from the status downwards; an element of any list is `[]`."""

CURE = "kubectl apply --server-side --force-conflicts -f crds/"
AGAIN = 600.0
"""Seconds after which a field that was not taken is sent again: CRDs are brought up to date under a running operator."""
_ELEMENT = "[]"


@dataclass(slots=True)
class Untaken:
    """The fields of a status that this cluster's API server does not take. One for all resources."""

    clock: Clock
    _fields: frozenset[Path] = frozenset()
    _learnt: float = 0.0
    _told: set[Path] = field(default_factory=set)

    def same(self, memory: Memory, status: ModelDeploymentStatus, written: Json, stored: str) -> bool:
        """Whether what is stored (by its fingerprint) is all that the server would take of a status."""
        if fingerprint(written) == stored:
            return True
        if self._fields and self.clock.monotonic() - self._learnt >= AGAIN:
            self._fields = frozenset()
        if not self._fields or fingerprint(without(written, self._fields)) != stored:
            return False
        memory.recorded = (stored, status)
        return True

    def learn(
        self, memory: Memory, status: ModelDeploymentStatus, written: Json, stored: Json
    ) -> tuple[EventNote, ...]:
        """Compare a write with its answer; what to tell a person about it, once for each field."""
        found = frozenset(lacking(written, stored))
        self._fields = frozenset(one for one in self._fields if not present(written, one)) | found
        memory.recorded = (fingerprint(stored), status) if found else None
        if not found:
            return ()
        self._learnt = self.clock.monotonic()
        names = ", ".join(sorted({".".join(path).replace(f".{_ELEMENT}", _ELEMENT) for path in found}))
        return self._tell(found, f"status fields are not stored ({names[:400]})")

    def refused(self, refusal: Invalid) -> tuple[EventNote, ...]:
        """The server takes nothing of a status: one of its values is not among those that the CRD knows."""
        return self._tell(frozenset({("refused",)}), f"a status was refused ({str(refusal)[:400]})")

    def _tell(self, news: frozenset[Path], what: str) -> tuple[EventNote, ...]:
        if news <= self._told:
            return ()
        self._told |= news
        text = f"The CRDs of this cluster are older than this operator: {what}. Update them: {CURE}"
        log.warning("%s", text)
        return (EventNote(Reason.OUTDATED_CRDS, text, warning=True),)


def lacking(written: Any, stored: Any, at: Path = ()) -> Iterator[Path]:
    """The fields of `written` that `stored` does not have, the outermost ones."""
    if isinstance(written, Mapping) and isinstance(stored, Mapping):
        for name, value in written.items():
            if name not in stored:
                yield (*at, name)
            else:
                yield from lacking(value, stored[name], (*at, name))
    elif isinstance(written, list) and isinstance(stored, list):
        for mine, theirs in zip(written, stored, strict=False):
            yield from lacking(mine, theirs, (*at, _ELEMENT))


def without(value: Any, fields: frozenset[Path]) -> Any:
    """The value without some of its fields."""
    if not fields:
        return value
    if isinstance(value, Mapping):
        return {name: without(one, _below(fields, name)) for name, one in value.items() if (name,) not in fields}
    if isinstance(value, list):
        below = _below(fields, _ELEMENT)
        return [without(one, below) for one in value]
    return value


def present(value: Any, path: Path) -> bool:
    """Whether a field is there, in any element of the lists on the way."""
    if not path:
        return True
    if path[0] == _ELEMENT:
        return isinstance(value, list) and any(present(one, path[1:]) for one in value)
    return isinstance(value, Mapping) and path[0] in value and present(value[path[0]], path[1:])


def _below(fields: frozenset[Path], name: str) -> frozenset[Path]:
    return frozenset(path[1:] for path in fields if len(path) > 1 and path[0] == name)
