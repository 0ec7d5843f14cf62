"""The parts of an accepted plan that builders of objects read: traffic, entry Service, autoscaling."""

from __future__ import annotations

from functools import lru_cache

from modelrollout.rollout.plan import Plan
from modelrollout.workload.plans import PlanFields


def plan_fields(plan: Plan) -> PlanFields:
    """The written fields of a plan, parsed. A plan was validated before it was recorded."""
    return _parsed(plan.text)


@lru_cache(maxsize=4096)
def _parsed(text: str) -> PlanFields:
    return PlanFields.model_validate_json(text)
