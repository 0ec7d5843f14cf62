"""Whether the Gateways of a route can mirror requests: asked of their GatewayClass before the first copy.

Some gateways take a mirror filter, call the route accepted, and answer every request of the rule with an error (measured). Such
classes name their features and leave mirroring out, so a class that names features must name this one, too. A class that names none
says nothing, and is tried. What may not be read is not guessed: nothing is mirrored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from modelrollout.api.reasons import Reason
from modelrollout.api.traffic import Gateway, ParentRef
from modelrollout.kube.api import KubeApi
from modelrollout.kube.errors import ApiError, Forbidden, NotFound
from modelrollout.kube.kinds import GATEWAY, GATEWAY_CLASS, Kind, Ref
from modelrollout.rollout.mirroring import mirrors_next
from modelrollout.rollout.situation import MirrorFacts, Problem, Situation
from modelrollout.runtime.clock import Clock
from modelrollout.traffic.mirroring import lacking

from .fields import plan_fields
from .memory import Memory

ASK_AGAIN = 60.0
"""Seconds for which an answer is taken as true."""
STILL_AGAIN = 600.0
"""Seconds after which gateways that can mirror are asked again, while they do."""
_REMEMBERED = 1000


class _Unreadable(Exception):  # noqa: N818  told to people as a Problem
    """What stands in the way of an answer, in words."""


@dataclass(slots=True)
class Gateways:
    """Reads Gateways and their classes, each at most once a minute."""

    api: KubeApi
    clock: Clock
    _answers: dict[tuple[str, str], tuple[str, frozenset[str], float]] = field(default_factory=dict)
    """By Gateway: its class, the features that it names, and when that was read."""

    async def ask(self, namespace: str, situation: Situation, memory: Memory) -> bool:
        """Find out whether the copies that a step wants can be made, and now and then whether they still can.

        The answer goes into `memory`; tells whether there is a new one. Where no step wants copies nothing is asked.
        """
        plan, now = situation.plan, self.clock.monotonic()
        shadows = mirrors_next(plan, situation.status) if plan is not None else ()
        traffic = plan_fields(plan).traffic if plan is not None and shadows else None
        if traffic is None or traffic.gateway is None:
            memory.mirror = None
            return False
        can = memory.mirror is not None and memory.mirror.known and memory.mirror.problem is None
        if memory.mirror is not None and now - memory.mirror_at < (STILL_AGAIN if can else ASK_AGAIN / 2):
            return False
        memory.mirror = await self.mirroring(namespace, traffic.gateway, min(shadow.percent for shadow in shadows))
        memory.mirror_at = now
        return True

    async def mirroring(self, namespace: str, gateway: Gateway, share: int) -> MirrorFacts:
        """Whether all parents of a route in `namespace` can mirror a share (basis points) of its requests. Never raises for the API."""
        for parent in gateway.parent_refs:
            if parent.kind == "Service":
                continue  # a mesh has no class that could be asked
            where = parent.namespace or namespace
            try:
                name, features = await self._features(where, parent)
            except _Unreadable as why:
                return MirrorFacts(
                    problem=_problem(f"Whether Gateway {where}/{parent.name} can mirror is not known: {why}")
                )
            except ApiError:
                return MirrorFacts(known=False)
            if feature := lacking(features, share):
                text = f"Gateway {where}/{parent.name} cannot mirror requests: its class {name} does not name the feature {feature}"
                return MirrorFacts(problem=_problem(text))
        return MirrorFacts()

    async def _features(self, namespace: str, parent: ParentRef) -> tuple[str, frozenset[str]]:
        key, now = (namespace, parent.name), self.clock.monotonic()
        found = self._answers.get(key)
        if found is not None and now - found[2] <= ASK_AGAIN:
            return found[0], found[1]
        read = await self._get(GATEWAY, namespace, parent.name)
        name = str((read.get("spec") or {}).get("gatewayClassName") or "")
        status = (await self._get(GATEWAY_CLASS, "", name)).get("status") or {}
        features = frozenset(_name(feature) for feature in status.get("supportedFeatures") or ())
        if len(self._answers) >= _REMEMBERED:
            self._answers.clear()
        self._answers[key] = (name, features, now)
        return name, features

    async def _get(self, kind: Kind, namespace: str, name: str) -> Mapping[str, Any]:
        try:
            return await self.api.get(Ref(kind, namespace, name))
        except Forbidden:
            raise _Unreadable(f"the operator may not read {kind} {name}; grant it get on {kind.plural}") from None
        except NotFound:
            raise _Unreadable(f"there is no {kind} {name}") from None


def _name(feature: object) -> str:
    """Features were plain texts before Gateway API 1.1."""
    return str(feature.get("name", "")) if isinstance(feature, Mapping) else str(feature)


def _problem(text: str) -> Problem:
    more = "Nothing is mirrored and the running versions serve on. Use another gateway, or steps without shadow."
    return Problem(Reason.MIRROR_UNSUPPORTED, f"{text}. {more}")
