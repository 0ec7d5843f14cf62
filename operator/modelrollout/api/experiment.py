"""`spec.rollout` of an A/B test: who meets which variant, what decides, and how the test ends.

The variants themselves stand in `rollout.py`, because they take the fields of a spec.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from .analysis import Metric, Probability, Ratio, Selector
from .base import Enum, Model, Whole, rule, validations
from .routing import ROUTERS

CONTROL = "control"
"""Name of the arm that is the spec's own version; no variant may have it."""
HEADER_PATTERN = r"^[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?$"
_RESERVED = ("cookie", "host", "x-modelrollout-version", "x-model-revision")


class AssignmentType(Enum):
    """How it is decided which variant a request meets."""

    RANDOM = "Random"
    """Each request by itself."""
    STICKY = "Sticky"
    """A user stays with the variant of the first request, by a cookie."""
    FLAG = "Flag"
    """The caller says so, by a header."""


_NO_HEADER = "(has(self.type) && self.type == 'Flag') == has(self.header)"
_NO_HEADER_TEXT = "type Flag needs header, such as x-experiment-arm, and no other type takes one"
_NO_COOKIE = "!has(self.cookie) || (has(self.type) && self.type == 'Sticky')"
_NO_COOKIE_TEXT = "cookie belongs to type Sticky"
_FREE_HEADER = f"!has(self.header) || !(self.header.lowerAscii() in {list(_RESERVED)})"
_FREE_HEADER_TEXT = f"header must be one of your own, not {', '.join(_RESERVED)}"


class Assignment(
    Model,
    json_schema_extra=validations(
        rule(_NO_HEADER, _NO_HEADER_TEXT), rule(_NO_COOKIE, _NO_COOKIE_TEXT), rule(_FREE_HEADER, _FREE_HEADER_TEXT)
    ),
):
    """Which requests meet which variant."""

    type: AssignmentType | None = None
    """Random (the default): each request by itself. Sticky: a user stays with a variant. Flag: a header of the request names the variant."""
    cookie: Annotated[str, Field(pattern=r"^[A-Za-z0-9][-A-Za-z0-9_]*$", max_length=64)] | None = None
    """Sticky: name of the cookie that the gateway sets. Default: `modelrollout-<name of the resource>`."""
    header: Annotated[str, Field(pattern=HEADER_PATTERN, max_length=64)] | None = None
    """Flag: a request whose header of this name is the name of a variant meets that variant; all others meet the control."""

    @property
    def kind(self) -> AssignmentType:
        """The type, resolved."""
        return self.type or AssignmentType.RANDOM

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        if (self.kind is AssignmentType.FLAG) != (self.header is not None):
            raise ValueError(_NO_HEADER_TEXT)
        if self.cookie is not None and self.kind is not AssignmentType.STICKY:
            raise ValueError(_NO_COOKIE_TEXT)
        if self.header is not None and self.header.lower() in _RESERVED:
            raise ValueError(_FREE_HEADER_TEXT)
        return self


class GoalUnit(Enum):
    """What the counters of a goal count."""

    REQUEST = "Request"
    """Requests, several of one user among them."""
    USER = "User"
    """Users, each once."""


class Better(Enum):
    """Which means are better."""

    HIGHER = "Higher"
    LOWER = "Lower"


class Mean(Model):
    """An amount for each user or request, such as revenue, from three counters that a model server adds up."""

    sum: Selector
    """Adds up the amounts."""
    squares: Selector
    """Adds up the squares of the amounts."""
    count: Selector
    """Counts the users or requests, those with an amount of 0 too."""
    better: Better | None = None
    """Higher (the default), or Lower, such as for a waiting time."""


class Outcome(Metric):
    """What a goal counts, as it is measured: a conversion may come later than the exposure, and an amount is no count."""

    part_of_total: ClassVar[bool] = False


_ONE_GOAL = "has(self.ratio) != has(self.mean)"
_ONE_GOAL_TEXT = "name either ratio or mean"


class Goal(Model, json_schema_extra=validations(rule(_ONE_GOAL, _ONE_GOAL_TEXT))):
    """What the test is about: a rate or a mean that a variant is to improve."""

    ratio: Ratio | None = None
    """A rate from two counters of the model server. With `good` more is better (users who converted of users exposed), with `bad` less."""
    mean: Mean | None = None
    """A mean of amounts. Its evidence rests on a large sample and is approximate."""
    unit: GoalUnit | None = None
    """What is counted: Request (the default), or User. Requests of one user depend on each other, so the error probability of Request is approximate with a Sticky assignment."""
    false_winner_probability: Probability | None = None
    """No variant that is not better than the control is called the winner with more than this probability, shared by all variants. Default 5%."""
    minimum_sample_size: Annotated[Whole, Field(ge=0, le=1_000_000_000)] | None = None
    """Count of each arm below which there is no winner. Default 100, for a mean 1000."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.ratio is None) == (self.mean is None):
            raise ValueError(_ONE_GOAL_TEXT)
        return self


class End(Enum):
    """What happens when the test is over."""

    MANUAL = "Manual"
    """It goes on until somebody promotes a variant or aborts the test."""
    KEEP_STABLE = "KeepStable"
    """The control gets all traffic again."""
    PROMOTE_WINNER = "PromoteWinner"
    """The variant that has been shown to be better becomes stable; without one the control is kept."""


_TEST = "has(self.rollout) && has(self.rollout.strategy) && self.rollout.strategy == 'ABTest'"
_OBJECTS = tuple(field for field, router in ROUTERS.items() if router != "Service")
_EXACT = f"!({_TEST}) || (has(self.traffic) && ({' || '.join(f'has(self.traffic.{field})' for field in _OBJECTS)}))"
_EXACT_TEXT = f"strategy ABTest needs exact shares, which a ratio of pods does not give: name one of {', '.join(_OBJECTS)} under spec.traffic"
_ASSIGNED = (
    f"!({_TEST}) || !has(self.rollout.assignment) || !has(self.rollout.assignment.type)"
    " || self.rollout.assignment.type == 'Random' || !has(self.traffic) || has(self.traffic.gateway)"
)
_ASSIGNED_TEXT = "assignment Sticky and Flag need rules by header, which only the route of a Gateway has: name traffic.gateway, or use assignment Random"
_PAIR = f"!({_TEST}) || !has(self.rollout.variants) || size(self.rollout.variants) < 2 || !has(self.traffic) || !has(self.traffic.nginx)"
_PAIR_TEXT = "Nginx divides traffic between 2 versions: test one variant, or name another router under spec.traffic"
ROUTER_RULES = (
    rule(_EXACT, _EXACT_TEXT, field_path=".traffic"),
    rule(_ASSIGNED, _ASSIGNED_TEXT, field_path=".rollout.assignment"),
    rule(_PAIR, _PAIR_TEXT, field_path=".rollout.variants"),
)
"""What each router can do for a test, as rules of the whole spec. What a router's own word is stands in its capabilities."""


def check_router(router: str, variants: int, assignment: Assignment | None) -> None:
    """The same of a spec that names this router. Raises ValueError."""
    if router == "Service":
        raise ValueError(f"traffic: {_EXACT_TEXT}")
    if router != "Gateway" and assignment is not None and assignment.kind is not AssignmentType.RANDOM:
        raise ValueError(f"rollout.assignment: {_ASSIGNED_TEXT}")
    if router == "Nginx" and variants > 1:
        raise ValueError(f"rollout.variants: {_PAIR_TEXT}")
