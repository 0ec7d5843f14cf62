"""The kinds of routers, and small memories of the acting side: which optional kinds are served, and what was written last."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from modelrollout.api.reasons import Reason
from modelrollout.kube.api import KubeApi
from modelrollout.kube.errors import ApiError
from modelrollout.kube.kinds import KINDS, Kind
from modelrollout.kube.projection import desired_digest
from modelrollout.rollout.plan import Plan
from modelrollout.rollout.situation import Problem
from modelrollout.runtime.clock import Clock
from modelrollout.traffic.routers import OBJECT_ROUTERS, READERS

from .fields import plan_fields

ASK_AGAIN = 60.0
"""Seconds for which an answer is taken as true: CRDs come and go."""
_REMEMBERED = 20_000

ROUTED: Mapping[str, Kind] = {KINDS[kind].kind: KINDS[kind] for kind in READERS}
"""The kinds of all routers, by name."""


def kinds_of(router: str) -> tuple[Kind, ...]:
    """The kinds of a router's own objects; none where the shares are made of pods."""
    return tuple(KINDS[kind] for kind in OBJECT_ROUTERS[router].kinds) if router in OBJECT_ROUTERS else ()


class Remembered(OrderedDict[str, str]):
    """A bounded map; what was set longest ago goes first."""

    def __setitem__(self, key: str, value: str) -> None:
        super().__setitem__(key, value)
        self.move_to_end(key)
        if len(self) > _REMEMBERED:
            self.popitem(last=False)


@dataclass(slots=True)
class ServedKinds:
    """Optional kinds: those of routers, PodMonitor."""

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

    async def lacking(self, plan: Plan) -> Problem | None:
        """Why the router of a plan cannot be used in this cluster, if it cannot. Raises `ApiError`."""
        for kind in kinds_of(plan.router):
            if not await self.has(kind):
                traffic = plan_fields(plan).traffic
                field = ".".join(("spec.traffic", *(traffic.named if traffic else ())))
                text = f"The cluster does not serve {kind.api_version} {kind}. Install it, or name another router than {field}."
                return Problem(Reason.ROUTER_MISSING, text)
        return None

    def forget(self, manifest: Mapping[str, Any]) -> None:
        """An unwatched object was removed: the next time it is news again."""
        self._written.pop(_name_of(manifest), None)

    def news(self, manifest: Mapping[str, Any]) -> bool:
        """Whether this process has not handed out this manifest of an unwatched object before; remembers that it has."""
        key, digest = _name_of(manifest), desired_digest(manifest)
        if self._written.get(key) == digest:
            return False
        self._written[key] = digest
        return True


def _name_of(manifest: Mapping[str, Any]) -> str:
    metadata = manifest["metadata"]
    return f"{manifest['kind']} {metadata['namespace']}/{metadata['name']}"
