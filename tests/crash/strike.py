"""A proxy that lets everything pass but one request, told by its number, and writes down what the operator asked for.

Renewals of the lease are alike and come by the clock; only the first few count.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from aiohttp import web

from tests.harness.apiserver import ApiServer, Json
from tests.harness.proxy import Fate, Proxy, is_watch

RENEWALS = 3


class Kind(Enum):
    """What is done to the operator at one request."""

    BEFORE = "killed before"
    AFTER = "killed after"
    LOST = "answer lost"
    STALE_BEFORE = "watches 1 s late, killed before"
    STALE_AFTER = "watches 1 s late, killed after"

    @property
    def fate(self) -> Fate:
        if self is Kind.LOST:
            return Fate.LOST
        return Fate.KILL_BEFORE if self in (Kind.BEFORE, Kind.STALE_BEFORE) else Fate.KILL_AFTER

    @property
    def late(self) -> float:
        return 1.0 if self in (Kind.STALE_BEFORE, Kind.STALE_AFTER) else 0.0

    @property
    def writes_only(self) -> bool:
        """An answer that is lost matters to a write, and so does what was seen too late."""
        return self not in (Kind.BEFORE, Kind.AFTER)


@dataclass(frozen=True)
class Asked:
    """One request, in words that are the same in every run. `chapter`: how far the story was."""

    words: str
    write: bool
    chapter: int


class Counting(Proxy):
    """Meets request `number` (from 0; None: no request) of `chapter` with a fate, and lets all others pass."""

    def __init__(
        self, server: ApiServer, kind: Kind | None, chapter: int, number: int | None, kill: Callable[[], None]
    ) -> None:
        super().__init__(server, kill=kill)
        self._kind, self._chapter, self._number = kind, chapter, number
        self.late = kind.late if kind else 0.0
        self.chapter = 0
        """Where the story is; the one who tells it sets this."""
        self.asked: list[Asked] = []
        self.hit: Asked | None = None
        self._renewals = self._count = 0

    def _meet(self, request: web.Request, body: bytes) -> Fate:
        if request.path.endswith("/leases/matrix") and request.method == "PUT":
            self._renewals += 1
            if self._renewals > RENEWALS:
                return Fate.PASS
        asked = Asked(_words(request, body), request.method not in ("GET", "HEAD"), self.chapter)
        self.asked.append(asked)
        if self._kind is None or asked.chapter != self._chapter or (self._kind.writes_only and not asked.write):
            return Fate.PASS
        self._count += 1
        if self._count - 1 != self._number:
            return Fate.PASS
        self.hit = asked
        return self._kind.fate


def _words(request: web.Request, body: bytes) -> str:
    """Such as `PUT modeldeployments/fraud/status Progressing 1=90 2=10`."""
    verb = "WATCH" if is_watch(request) else request.method
    _, _, rest = request.path.partition("/namespaces/")
    path = rest.partition("/")[2] if rest else request.path
    if path.startswith("events/"):
        path = "events"  # their names are random
    found: Json = json.loads(body) if body else {}
    return " ".join([verb, path, *_state(found)])


def _state(body: Json) -> list[str]:
    status, spec = body.get("status") or {}, body.get("spec") or {}
    words = [str(status[name]) for name in ("phase",) if name in status]
    if step := (status.get("step") or {}).get("name"):
        words.append(str(step))
    words += [f"{_version(one['revision'])}={one['weight']}" for one in status.get("revisions", ())]
    for rule in (spec.get("rules") or ())[-1:]:
        words += [f"{_version(one['name'].partition('-')[2])}={one['weight']}" for one in rule["backendRefs"]]
    if "template" in spec and "replicas" in spec:
        words.append(f"replicas={spec['replicas']}")
    if "reason" in body and "note" in body:
        words.append(str(body["reason"]))
    return words


def _version(revision: str) -> str:
    return str(revision).rsplit("-", 1)[0]
