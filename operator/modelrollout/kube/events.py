"""Kubernetes Events: what happened, for people who type `kubectl describe`. Best effort, and never in the way.

`record` only puts a note into a bounded queue. A task of its own writes them (events.k8s.io/v1), drops what the API server
does not take, and counts what was dropped. Whatever must not be lost is in status, not here. The same thing said again
about the same object within a few minutes makes a series of the first Event instead of another one, and is written at
most once a minute.
"""

import asyncio
import hashlib
import logging
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from modelrollout.kube.api import Json, KubeApi
from modelrollout.kube.errors import ApiError
from modelrollout.kube.kinds import EVENT
from modelrollout.runtime.clock import Clock

log = logging.getLogger(__name__)

EventType = Literal["Normal", "Warning"]

_NOTE_LIMIT = 1000  # the server takes 1,024 bytes
_SERIES_ENDS = 360.0  # seconds without a repetition
_SERIES_EVERY = 60.0
_SERIES_REMEMBERED = 2_000
_REPORTER = "modelrollout.dev/operator"


@dataclass(frozen=True, slots=True)
class Regarding:
    """The object that an Event is about."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str

    @classmethod
    def of(cls, raw: Json) -> "Regarding":
        metadata = raw["metadata"]
        return cls(raw["apiVersion"], raw["kind"], metadata["namespace"], metadata["name"], metadata["uid"])


@dataclass(slots=True)
class _Series:
    """An Event that was written: how often it was said, and when it was said and written last (monotonic)."""

    name: str
    first: float  # wall time
    count: int
    said_at: float
    written_at: float


_Key = tuple[Regarding, EventType, str, str, str]


class Events:
    """Takes notes from anywhere and writes them in the background."""

    def __init__(
        self,
        api: KubeApi,
        clock: Clock,
        instance: str,
        *,
        capacity: int = 1_000,
        on_drop: Callable[[], None] = lambda: None,
    ) -> None:
        self._api, self._clock, self._instance = api, clock, instance
        self._capacity, self._on_drop = capacity, on_drop
        self._waiting: deque[tuple[_Key, float]] = deque()
        self._news = asyncio.Event()
        self._series: OrderedDict[_Key, _Series] = OrderedDict()

    def record(self, about: Regarding, kind: EventType, reason: str, action: str, note: str) -> None:
        """Say that something happened, now. `reason` and `action` are CamelCase words, `note` a sentence."""
        if len(self._waiting) >= self._capacity:
            self._on_drop()
            return
        self._waiting.append(((about, kind, reason, action, _cut(note)), self._clock.now()))
        self._news.set()

    async def run(self) -> None:
        """Write what was recorded, one after the other, for ever."""
        while True:
            await self._news.wait()
            self._news.clear()
            while self._waiting:
                key, said = self._waiting.popleft()
                await self._write(key, said)

    async def _write(self, key: _Key, said: float) -> None:
        manifest = self._next(key, said)
        if manifest is None:
            return
        try:
            await self._api.apply(manifest, force=True)
        except ApiError as error:
            # The first of a series that is missing has to be written before the rest.
            self._series.pop(key, None)
            self._on_drop()
            log.debug("an Event was dropped: %s", error)

    def _next(self, key: _Key, said: float) -> dict[str, Any] | None:
        now = self._clock.monotonic()
        series = self._series.get(key)
        if series is None or now - series.said_at > _SERIES_ENDS:
            series = self._series[key] = _Series(_name(key, said), said, 1, now, now)
            self._series.move_to_end(key)
            if len(self._series) > _SERIES_REMEMBERED:
                self._series.popitem(last=False)
            return self._manifest(key, series, said)
        series.count += 1
        series.said_at = now
        # The first repetition is told at once, so that a person sees that it goes on.
        if series.count > 2 and now - series.written_at < _SERIES_EVERY:  # noqa: PLR2004
            return None
        series.written_at = now
        return self._manifest(key, series, said)

    def _manifest(self, key: _Key, series: _Series, said: float) -> dict[str, Any]:
        about, kind, reason, action, note = key
        manifest: dict[str, Any] = {
            "apiVersion": EVENT.api_version,
            "kind": EVENT.kind,
            "metadata": {"namespace": about.namespace, "name": series.name},
            "eventTime": _micro_time(series.first),
            "reportingController": _REPORTER,
            "reportingInstance": self._instance[:128],
            "action": action,
            "reason": reason,
            "type": kind,
            "note": note,
            "regarding": {
                "apiVersion": about.api_version,
                "kind": about.kind,
                "namespace": about.namespace,
                "name": about.name,
                "uid": about.uid,
            },
        }
        if series.count > 1:
            manifest["series"] = {"count": series.count, "lastObservedTime": _micro_time(said)}
        return manifest


def _name(key: _Key, said: float) -> str:
    """Unique for what is said and when; begins with the object's name, as is the custom."""
    text = "\0".join((key[0].uid, *key[1:], repr(said)))
    return f"{key[0].name}.{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _cut(note: str) -> str:
    raw = note.encode()
    if len(raw) <= _NOTE_LIMIT:
        return note
    return raw[: _NOTE_LIMIT - 3].decode(errors="ignore") + "…"


def _micro_time(epoch: float) -> str:
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
