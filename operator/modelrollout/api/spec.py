"""`ModelDeployment.spec`: what a team asks for.

Fields are optional wherever a default depends on another field; the resolved values stand in the plan (`rollout/plan.py`) and
are shown in status. Rules that the API server can check at `kubectl apply` are CEL; the same are checked here, because a spec
may have been admitted under an older CRD.
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from .analysis import Analysis
from .base import Model, Whole, rule, validations
from .experiment import ROUTER_RULES, check_router
from .rollout import Rollout, Strategy
from .routing import ROUTERS
from .server import VERSION_PATTERN, Autoscaling, EntryService, ModelInfo, Server, Template
from .traffic import Traffic

_ROUTED = (
    "!has(self.rollout) || (has(self.traffic) && has(self.traffic.gateway)) || (has(self.rollout.steps) "
    "? !self.rollout.steps.exists(s, has(s.shadow)) : !has(self.rollout.strategy) || self.rollout.strategy != 'Shadow')"
)
_ROUTED_TEXT = "only a Gateway can mirror requests: name traffic.gateway, or use steps without shadow"
_FIXED = (
    "!has(self.autoscaling) || !has(self.rollout) || !has(self.rollout.strategy) || self.rollout.strategy != 'Replace'"
)
_FIXED_TEXT = "Replace runs a fixed number of pods: name replicas instead of autoscaling"
_DIVIDING = [f"traffic.{field}" for field, router in ROUTERS.items() if router != "Service"]
_BOUNDED = (
    "!has(self.rollout) || !has(self.rollout.capacity) || "
    f"(!has(self.autoscaling) && has(self.traffic) && ({' || '.join(f'has(self.{field})' for field in _DIVIDING)}))"
)
_BOUNDED_TEXT = (
    "capacity needs a fixed number of pods (replicas) and a router that divides traffic whatever their number: "
    f"{', '.join(_DIVIDING[:-1])} or {_DIVIDING[-1]}"
)
# CEL cannot look into the opaque pod template, so an image that stands only there is checked by the operator.
_IMAGE = "(has(self.server) && has(self.server.image)) || has(self.template)"


class ModelDeploymentSpec(
    Model,
    json_schema_extra=validations(
        rule("!(has(self.replicas) && has(self.autoscaling))", "name either replicas or autoscaling, not both"),
        rule(_FIXED, _FIXED_TEXT, field_path=".autoscaling"),
        rule(_BOUNDED, _BOUNDED_TEXT, field_path=".rollout.capacity"),
        rule(_IMAGE, "an image is needed, such as registry.example.com/fraud:2", field_path=".server.image"),
        rule(_ROUTED, _ROUTED_TEXT, field_path=".rollout"),
        *ROUTER_RULES,
    ),
):
    """What a team asks for: which version of a model, how it runs, how it gets traffic and how it is judged."""

    version: Annotated[str, Field(pattern=VERSION_PATTERN, max_length=63)] | None = None
    """Name of the version. Default: the image's tag, else its digest's first 8 characters."""
    model: ModelInfo | None = None
    """Which model is served."""
    server: Server | None = None
    """The model server, in short form."""
    template: Template | None = None
    """An ordinary pod template, merged over the short form."""
    replicas: Annotated[Whole, Field(ge=0, le=10_000)] | None = None
    """Pods of the version that carries the traffic. Default 1."""
    autoscaling: Autoscaling | None = None
    """Scale by metrics instead."""
    service: EntryService | None = None
    """The entry Service."""
    traffic: Traffic | None = None
    """How traffic reaches the versions."""
    rollout: Rollout | None = None
    """How a new version gets its traffic."""
    analysis: Analysis | None = None
    """How a candidate is judged."""

    @model_validator(mode="after")
    def _replicas_or_autoscaling(self) -> Self:
        if self.replicas is not None and self.autoscaling is not None:
            raise ValueError("name either replicas or autoscaling, not both")
        if self.autoscaling is not None and self.rollout is not None and self.rollout.strategy is Strategy.REPLACE:
            raise ValueError(_FIXED_TEXT)
        bounded = self.rollout is not None and self.rollout.capacity is not None
        if bounded and (self.autoscaling is not None or self.traffic is None or self.traffic.router == "Service"):
            raise ValueError(_BOUNDED_TEXT)
        return self

    @model_validator(mode="after")
    def _mirrors_by_a_gateway(self) -> Self:
        routed = self.traffic is not None and self.traffic.gateway is not None
        if self.rollout is not None and self.rollout.mirrors and not routed:
            raise ValueError(_ROUTED_TEXT)
        return self

    @model_validator(mode="after")
    def _image(self) -> Self:
        if self.template is None and (self.server is None or self.server.image is None):
            raise ValueError("server.image: an image is needed, such as registry.example.com/fraud:2")
        return self

    @model_validator(mode="after")
    def _tested_by_a_router_that_can(self) -> Self:
        if self.rollout is not None and self.rollout.strategy is Strategy.AB_TEST:
            router = self.traffic.router if self.traffic is not None else "Service"
            check_router(router, len(self.rollout.variants or ()), self.rollout.assignment)
        return self
