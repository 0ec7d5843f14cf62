"""A valid spec made into the plan that the decision core reads, the same way when it is accepted and when it is read back.

Two things are added to `rollout.plan.resolve`: the runtime is recorded with the written fields, because what a metric reads and
what is judged by default depend on it; and of the default steps those stay that the router can carry out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from modelrollout.api.analysis import Analysis, Metric
from modelrollout.api.base import Model, Whole, canonical_json
from modelrollout.api.rollout import Rollout
from modelrollout.api.server import Autoscaling, EntryService, Server
from modelrollout.api.settings import RuntimePreset, Settings
from modelrollout.api.spec import ModelDeploymentSpec
from modelrollout.api.traffic import Traffic
from modelrollout.rollout.plan import Plan, resolve
from modelrollout.traffic.ratio import reachable


class PlanFields(Model):
    """The fields of a spec that a plan is made from, as a record keeps them; `server` has the runtime alone."""

    server: Server | None = None
    replicas: Whole | None = None
    autoscaling: Autoscaling | None = None
    service: EntryService | None = None
    traffic: Traffic | None = None
    rollout: Rollout | None = None
    analysis: Analysis | None = None


def accepted_plan(spec: ModelDeploymentSpec, preset: RuntimePreset, settings: Settings) -> Plan:
    """The plan of a valid spec; its `text` is what a record keeps."""
    plan = resolve(spec, settings, preset.metrics)
    return reachable(replace(plan, text=canonical_json(plan.written | {"server": {"runtime": preset.name}})))


def recorded_plan(written: Mapping[str, Any], metrics: tuple[Metric, ...], settings: Settings) -> Plan:
    """The plan that a record keeps, resolved again. Raises pydantic's ValidationError when it is no plan any more."""
    fields = PlanFields.model_validate(written)
    # Not validated as a whole: a plan has no image, and its parts were just validated.
    spec = ModelDeploymentSpec.model_construct(**dict(fields))
    plan = resolve(spec, settings, metrics)
    return reachable(replace(plan, text=canonical_json(written)))
