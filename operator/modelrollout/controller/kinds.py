"""Small memories of the acting side: which optional kinds this cluster serves, and what was written last."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from modelrollout.kube.api import KubeApi
from modelrollout.kube.errors import ApiError
from modelrollout.kube.kinds import Kind
from modelrollout.kube.projection import desired_digest
from modelrollout.runtime.clock import Clock

ASK_AGAIN = 60.0
"""Seconds for which an answer is taken as true: CRDs come and go."""
_REMEMBERED = 20_000


class Remembered(OrderedDict[str, str]):
    """A bounded map; what was set longest ago goes first."""

    def __setitem__(self, key: str, value: str) -> None:
        super().__setitem__(key, value)
        self.move_to_end(key)
        if len(self) > _REMEMBERED:
            self.popitem(last=False)


@dataclass(slots=True)
class ServedKinds:
    """Optional kinds: HTTPRoute, PodMonitor."""

    api: KubeApi
    clock: Clock
    _answers: dict[str, tuple[bool, float]] = field(default_factory=dict)
    _written: Remembered = field(default_factory=Remembered)

    async def has(self, kind: Kind) -> bool:
        """Whether the server knows the kind. Raises `ApiError`."""
        now, found = self.clock.monotonic(), self._answers.get(kind.kind)
        if found is not None and now - found[1] <= ASK_AGAIN:
            return found[0]
        if found is not None:
            self._answers[kind.kind] = (found[0], now)  # one worker asks; the others go on by the old answer
        try:
            served = await self.api.serves(kind)
        except ApiError:
            if found is not None:
                self._answers[kind.kind] = found
            raise
        self._answers[kind.kind] = (served, now)
        return served

    def forget(self, manifest: Mapping[str, Any]) -> None:
        """An unwatched object was removed: the next time it is news again."""
        metadata = manifest["metadata"]
        self._written.pop(f"{manifest['kind']} {metadata['namespace']}/{metadata['name']}", None)

    def news(self, manifest: Mapping[str, Any]) -> bool:
        """Whether this process has not handed out this manifest of an unwatched object before; remembers that it has."""
        metadata = manifest["metadata"]
        key, digest = f"{manifest['kind']} {metadata['namespace']}/{metadata['name']}", desired_digest(manifest)
        if self._written.get(key) == digest:
            return False
        self._written[key] = digest
        return True
