"""What every traffic router is: a builder of objects and a reader of what they show.

A router is handed shares by revision, over any number of revisions, and answers with manifests; later it is handed what the
cluster shows and answers with the shares that those objects carry. It does no I/O and remembers nothing. What it cannot do, it
says (`Capabilities`) and refuses by name (`check`).

Where shares are made by objects of the router's own (`ObjectRouter`), each of them is read when it is seen, and what the split is
follows from these readings together. A route's word is never proof that traffic moved. Some routers say that they have read
this very generation; of those that say nothing a weight is taken as applied `lag` seconds after the object has it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from modelrollout.api.errors import SpecError
from modelrollout.api.experiment import AssignmentType
from modelrollout.api.scalars import FULL_WEIGHT
from modelrollout.api.server import EntryService
from modelrollout.api.shadow import Shadow
from modelrollout.api.traffic import Traffic
from modelrollout.rollout.plan import Plan
from modelrollout.workload.identity import Owner
from modelrollout.workload.records import RevisionRecord


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a router can do.

    `smallest_weight`: in basis points; None: it depends on the number of pods. `sharing`: between how many revisions traffic
    can be divided; None: any number. `header_match`: testers reach a revision by a header. `reports`: the router says in a status
    that it has taken a generation. `lag`: seconds that it may take to act upon an object, where it does not say so. `mirror`: requests
    can be copied. `sticky`: a request can be led to a revision by a cookie or a header of the user's.
    """

    smallest_weight: int | None
    header_match: bool
    sharing: int | None = None
    reports: bool = False
    lag: float = 0.0
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
    mirror: tuple[str, Shadow] | None = None
    """The revision to which requests are copied, and which requests; None: none are."""
    split: Split | None = None
    """How requests meet the arms of an A/B test; None: by weight alone. A test has no steps, so nothing is mirrored beside it."""


@dataclass(frozen=True, slots=True)
class RouteView:
    """What the routed objects say, or one of them.

    `weights`: basis points by revision, revisions without a share included where the object names them; None: they are not
    of our making. `accepted`: the router has taken this generation. `problem`: why not, in words. `refusal`: that part of it which
    is the router's own word. `mirrors`: shares of requests that are copied, in basis points, by revision or, where they go through
    it, under the comparer's name.
    """

    exists: bool
    weights: Mapping[str, int] | None = None
    accepted: bool = False
    problem: str = ""
    generation: int = 0
    refusal: str = ""
    mirrors: Mapping[str, int] = field(default_factory=dict)


ABSENT = RouteView(exists=False, problem="the route does not exist yet")
NOT_OURS = "its rules are not as the operator made them"


def shares(owner_name: str, backends: Iterable[tuple[str, Any]]) -> dict[str, int] | None:
    """Basis points by revision, from names of Services and their weights (None: 1); None where not all are of this resource."""
    prefix, weights = f"{owner_name}-", dict[str, int]()
    for name, weight in backends:
        if not name.startswith(prefix) or not isinstance(weight, int | None):
            return None
        revision = name.removeprefix(prefix)
        weights[revision] = weights.get(revision, 0) + (1 if weight is None else weight)
    total = sum(weights.values())
    if not total:
        return None
    if total == FULL_WEIGHT:
        return weights
    return {revision: weight * FULL_WEIGHT // total for revision, weight in weights.items()}


def silent(raw: Mapping[str, Any], weights: Mapping[str, int] | None) -> RouteView:
    """The reading of an object on which its router says nothing: what it has is in force, if it is of our making."""
    generation = int(raw["metadata"].get("generation") or 0)
    problem = NOT_OURS if weights is None else ""
    return RouteView(True, weights, accepted=not problem, problem=problem, generation=generation)


Parts = Mapping[tuple[str, str], RouteView]
"""Readings of the objects of one resource, by kind and name."""


class Router(Protocol):
    """One way to divide traffic."""

    name: str
    capabilities: Capabilities

    def build(self, intent: RouteIntent) -> tuple[dict[str, Any], ...]:
        """The objects that carry the intent; equal intents make equal objects.

        They are written in this order, and what the router no longer builds is removed after that.
        """

    def check(self, plan: Plan) -> SpecError | None:
        """Name the first thing in a plan that the router cannot do."""


def beyond(router: Router, plan: Plan) -> SpecError | None:
    """Name the first thing in a plan that the router's capabilities do not have."""
    return _beyond_mirrors(router, plan) or _beyond_tests(router, plan)


def _beyond_mirrors(router: Router, plan: Plan) -> SpecError | None:
    mirroring = next((index for index, step in enumerate(plan.steps) if step.shadow is not None), None)
    if mirroring is None or router.capabilities.mirror:
        return None
    return SpecError(
        f"spec.rollout.steps[{mirroring}].shadow",
        f"the router {router.name} cannot mirror requests; name a gateway under spec.traffic, or leave the step out",
    )


def _beyond_tests(router: Router, plan: Plan) -> SpecError | None:
    able, test = router.capabilities, plan.experiment
    if test is None:
        return None
    if able.smallest_weight is None:
        text = (
            f"the router {router.name} has no exact shares, which an A/B test needs; name a gateway under spec.traffic"
        )
        return SpecError("spec.traffic", text)
    if not able.sticky and test.assignment.kind is not AssignmentType.RANDOM:
        text = f"the router {router.name} cannot tell users by cookie or header, as {test.assignment.kind} asks; name a gateway under spec.traffic, or use Random"
        return SpecError("spec.rollout.assignment.type", text)
    versions = 1 + len(test.shares)
    if able.sharing is not None and versions > able.sharing:
        text = f"the router {router.name} divides traffic between {able.sharing} versions, and the control with these variants are {versions}; test fewer variants, or name a gateway under spec.traffic"
        return SpecError("spec.rollout.variants", text)
    return None


class ObjectRouter(Router, Protocol):
    """A router whose shares stand in objects that are owned whole. `kinds`: theirs, as (apiVersion, kind)."""

    kinds: tuple[tuple[str, str], ...]

    def read(self, raw: Mapping[str, Any]) -> RouteView:
        """What one object of `kinds` says as it is stored. Never raises: what cannot be read is a problem in words."""

    def observe(self, name: str, parts: Parts) -> RouteView:
        """What the objects of the resource of this name say together; those of other routers are left out of account."""

    def tester_header(self, owner: Owner, traffic: Traffic) -> str:
        """`<name>: <value>` by which testers reach a revision; empty where this spec's route has no such way."""
