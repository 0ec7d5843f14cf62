"""The variants of an A/B test: each a spec of its own, made of the spec's fields with the variant's laid over them.

What a variant is, is told by what was written, as for any revision: who later writes the winner's fields into the spec itself gets the
very same revision, and no pod restarts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from modelrollout.api.base import canonical_json
from modelrollout.api.errors import SpecError
from modelrollout.rollout.revision import POD_FIELDS, RevisionId, identify, inputs
from modelrollout.rollout.situation import Arm

from .merge import merge
from .records import RevisionRecord

Json = Mapping[str, Any]

DIGITS = 12
SHOWN = 500


@dataclass(frozen=True, slots=True)
class AcceptedVariant:
    """A variant that can be carried out. `own`: its own fields, as text. `record`: what its revision would be."""

    name: str
    revision: RevisionId
    own: str
    record: RevisionRecord = field(repr=False)

    @property
    def arm(self) -> Arm:
        """As decisions know it."""
        return Arm(self.name, self.revision.revision, self.revision.version, self.own)


def merged(raw_spec: Json, raw_variant: Json) -> dict[str, Any]:
    """The pod-shaping fields of a variant, as if they had been written into the spec."""
    base, own = inputs(raw_spec), inputs(raw_variant)
    return {name: merge(base.get(name), own.get(name), name) for name in POD_FIELDS if name in base or name in own}


def accept_variants(
    raw_spec: Json, control: RevisionId, record: Callable[[dict[str, Any], RevisionId], RevisionRecord]
) -> tuple[AcceptedVariant, ...]:
    """The variants of a spec that is valid field by field; none without an A/B test. Raises SpecError for one that cannot be had.

    `record` checks the fields of one version and makes its record.
    """
    found: list[AcceptedVariant] = []
    for index, raw in _written(raw_spec):
        where = f"spec.rollout.variants[{index}]"
        fields = merged(raw_spec, raw)
        try:
            revision = identify(fields)
            made = record(fields, revision)
        except SpecError as error:
            text = f"variant {raw['name']}, merged over the spec: {error}"
            raise SpecError(where, text, reason=error.reason) from error
        same = next((one.name for one in found if one.revision.revision == revision.revision), None)
        if same is not None or revision.revision == control.revision:
            other = f"variant {same}" if same is not None else "the control"
            text = f"variant {raw['name']} is the same as {other}; it must differ in version, model, server or template"
            raise SpecError(where, text)
        own = canonical_json(inputs(raw))
        found.append(AcceptedVariant(raw["name"], revision, own if len(own) <= SHOWN else f"{own[:SHOWN]}…", made))
    return tuple(found)


def _written(raw_spec: Json) -> Iterator[tuple[int, Json]]:
    yield from enumerate((raw_spec.get("rollout") or {}).get("variants") or ())


def experiment_id(control: RevisionId, variants: tuple[AcceptedVariant, ...]) -> str:
    """Names a test by its control and its variants, whatever their order and shares; empty without variants."""
    if not variants:
        return ""
    arms = sorted((variant.name, variant.revision.sha256) for variant in variants)
    return hashlib.sha256(canonical_json([control.sha256, arms]).encode()).hexdigest()[:DIGITS]
