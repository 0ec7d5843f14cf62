"""What every traffic router is: a builder of objects and a reader of what they show.

A router is handed shares by revision, over any number of revisions, and answers with manifests; later it is handed what the
cluster shows and answers with the shares that those objects carry. It does no I/O and remembers nothing. What it cannot do, it
says (`Capabilities`) and refuses by name (`check`).

A route's word is never proof that traffic moved: `accepted` says that the router has read this very generation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from modelrollout.api.errors import SpecError
from modelrollout.api.spec import EntryService, Traffic
from modelrollout.rollout.plan import Plan
from modelrollout.workload.identity import Owner
from modelrollout.workload.records import RevisionRecord


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a router can do. `smallest_weight`: in basis points; None: it depends on the number of pods."""

    smallest_weight: int | None
    header_match: bool
    mirror: bool = False
    sticky: bool = False


@dataclass(frozen=True, slots=True)
class Split:
    """How requests of an A/B test meet a version otherwise than by chance.

    `arms`: by revision the name of each arm that has a share, the control among them. `cookie`, `token`: a user stays with an arm by a
    cookie of that name with `<token>.<arm>` in it, for `seconds`. `header`: a request whose header of that name is the name of an
    arm meets it, and every other one meets `control`.
    """

    control: str
    arms: Mapping[str, str]
    cookie: str = ""
    token: str = ""
    seconds: int = 0
    header: str = ""


@dataclass(frozen=True, slots=True)
class RouteIntent:
    """Which revision gets which share.

    `weights`: basis points by revision, adding up to 10,000, of **every** revision that is live (its Service exists), those at 0
    too: they are kept warm and testers reach them. `records`: of those revisions. `traffic`, `service`: as in the spec.
    """

    owner: Owner
    weights: Mapping[str, int]
    records: Mapping[str, RevisionRecord] = field(repr=False)
    traffic: Traffic | None = None
    service: EntryService | None = None
    candidate: str | None = None
    """The revision that testers mean who name none."""
    split: Split | None = None
    """None: by weight alone."""


@dataclass(frozen=True, slots=True)
class RouteView:
    """What the routed objects say.

    `weights`: basis points by revision, revisions without a share included where the object names them; None: they are not
    of our making. `accepted`: the router has taken this generation. `problem`: why not, in words.
    """

    exists: bool
    weights: Mapping[str, int] | None = None
    accepted: bool = False
    problem: str = ""
    generation: int = 0


ABSENT = RouteView(exists=False, problem="the route does not exist yet")


class Router(Protocol):
    """One way to divide traffic."""

    name: str
    capabilities: Capabilities

    def build(self, intent: RouteIntent) -> tuple[dict[str, Any], ...]:
        """The objects that carry the intent; equal intents make equal objects."""

    def observe(self, raw: Mapping[str, Any] | None, pods: Mapping[str, int]) -> RouteView:
        """What the routed object says as it is stored (None: absent), given the ready pods by revision.

        Never raises: what cannot be read is a problem in words.
        """

    def check(self, plan: Plan) -> SpecError | None:
        """Name the first thing in a plan that the router cannot do."""
