"""From a spec as written to what the operator works with: accepted or refused, recorded, rendered.

`accept` is the one gate that every spec goes through, in the operator as in `kubectl modelrollout render`: a spec that it takes
can be carried out as far as can be known without the cluster, and one that it refuses is refused with the field as it stands in
the YAML, the value found, and what to do. It changes nothing and remembers nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from modelrollout.api.depth import DEEPEST, too_deep
from modelrollout.api.errors import SpecError
from modelrollout.api.scalars import FULL_WEIGHT
from modelrollout.api.settings import RuntimePreset, Settings
from modelrollout.api.spec import ModelDeploymentSpec
from modelrollout.rollout.plan import Plan
from modelrollout.rollout.revision import RevisionId, check_name, identify, inputs
from modelrollout.rollout.situation import Target
from modelrollout.traffic.base import RouteIntent, beyond
from modelrollout.traffic.routers import router_for

from . import objects, presets
from .allowed import validate
from .checks import (
    check_autoscaling,
    check_comparison,
    check_goal,
    check_metrics,
    check_provider,
    check_router,
    check_service,
    check_size,
    check_times,
    check_variants,
)
from .explain import explain
from .identity import Owner
from .plans import PlanFields, accepted_plan
from .pod import render_template
from .records import Packed, PlanRecord, RevisionRecord
from .variants import AcceptedVariant, accept_variants, experiment_id

Json = Mapping[str, Any]

NAMELESS = "model"
"""Stands for the resource's name where only the spec is looked at."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """What comes of a spec that can be carried out. `record`: what its revision would be."""

    plan: Plan
    revision: RevisionId
    preset: RuntimePreset
    record: RevisionRecord = field(repr=False)
    variants: tuple[AcceptedVariant, ...] = ()
    """Of an A/B test, for which `revision` is the control."""

    @property
    def target(self) -> Target:
        """What decisions know of it."""
        test = experiment_id(self.revision, self.variants)
        arms = tuple(variant.arm for variant in self.variants)
        return Target(self.revision.revision, self.revision.version, test, arms)

    @property
    def records(self) -> tuple[RevisionRecord, ...]:
        """What the records of all revisions that it asks for would be."""
        return (self.record, *(variant.record for variant in self.variants))


def accept(raw_spec: Json, settings: Settings, name: str = "") -> Accepted:
    """Take or refuse a spec as written. Raises SpecError.

    `name`: of the resource; empty where only the spec is of interest (then `record` bears a name that nobody has).
    Take `record` only for a revision that has none yet: a recorded one is never made again.
    """
    if name:
        check_name(name)
    if too_deep(raw_spec):
        raise SpecError("spec", f"is nested more than {DEEPEST} levels deep; no field of a pod needs so many")
    try:
        spec = ModelDeploymentSpec.model_validate(raw_spec)
    except ValidationError as error:
        raise explain(error) from error
    revision = identify(raw_spec)
    preset = presets.find(spec.server.runtime if spec.server else None, settings)
    written = inputs(raw_spec)
    check_size(written)
    validate(written, settings)
    plan = accepted_plan(spec, preset, settings)
    check_times(spec)
    check_service(spec, name)
    check_router(spec, plan, settings)
    record = _record(written, revision, name or NAMELESS, preset, settings)
    check_autoscaling(spec, record.template)
    check_provider(spec, plan, settings)
    check_metrics(spec, plan, preset)
    check_comparison(plan, settings)
    check_variants(plan)
    check_goal(spec, plan)
    router = router_for(spec.traffic)
    if (refusal := beyond(router, plan) or router.check(plan)) is not None:
        raise refusal

    def recorded(fields: dict[str, Any], identity: RevisionId) -> RevisionRecord:
        check_size(fields)
        validate(fields, settings)
        runtime = presets.find((fields.get("server") or {}).get("runtime"), settings)
        made = _record(fields, identity, name or NAMELESS, runtime, settings)
        check_autoscaling(spec, made.template)
        return made

    return Accepted(plan, revision, preset, record, accept_variants(raw_spec, revision, recorded))


def render(name: str, namespace: str, raw_spec: Json, settings: Settings) -> list[dict[str, Any]]:
    """All objects that a spec makes for a first version that carries all traffic. Raises SpecError.

    They bear no owner reference, for want of an owner's uid, and are meant to be read, not to be applied.
    """
    accepted = accept(raw_spec, settings, name)
    owner, plan, record = Owner(namespace, name, ""), accepted.plan, accepted.record
    fields = PlanFields.model_validate(plan.written)
    found: list[dict[str, Any] | None] = [
        record.manifest(owner),
        PlanRecord.of(plan).manifest(owner),
        objects.deployment(owner, record, plan.replicas, load_deadline=plan.load_deadline),
        objects.revision_service(owner, record),
        objects.entry_service(owner, fields.service, [record]),
        objects.preview_service(owner, fields.service, None),
        objects.pod_monitor(owner, [record]),
    ]
    if fields.autoscaling:
        found.append(objects.hpa(owner, record, fields.autoscaling, plan.replicas))
    intent = RouteIntent(
        owner=owner,
        weights={record.revision: FULL_WEIGHT},
        records={record.revision: record},
        traffic=fields.traffic,
        service=fields.service,
    )
    known = {(manifest["kind"], manifest["metadata"]["name"]) for manifest in found if manifest}
    routed = router_for(fields.traffic).build(intent)
    found += [manifest for manifest in routed if (manifest["kind"], manifest["metadata"]["name"]) not in known]
    return [manifest for manifest in found if manifest]


def _record(
    written: dict[str, Any], revision: RevisionId, name: str, preset: RuntimePreset, settings: Settings
) -> RevisionRecord:
    rendered = render_template(written, revision, name, settings)
    return RevisionRecord(
        revision=revision.revision,
        version=revision.version,
        sha256=revision.sha256,
        runtime=preset.name,
        port=rendered.port,
        port_name=rendered.port_name,
        metrics_port=rendered.metrics_port,
        metrics_port_name=rendered.metrics_port_name,
        metrics_path=rendered.metrics_path,
        packed_template=Packed.of(rendered.template),
        packed_inputs=Packed.of(written),
    )
