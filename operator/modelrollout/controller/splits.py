"""How the requests of the A/B test that is recorded meet its variants, for the router."""

from __future__ import annotations

import hashlib

from modelrollout.api.experiment import CONTROL, AssignmentType
from modelrollout.api.status import ModelDeploymentStatus
from modelrollout.rollout.plan import Plan
from modelrollout.traffic.base import Split
from modelrollout.workload.identity import Owner

LONGEST = 30 * 24 * 3600
"""Seconds that a cookie lasts where the test names no duration."""
_TOKEN_DIGITS = 12


def split_of(owner: Owner, status: ModelDeploymentStatus, plan: Plan) -> Split | None:
    """The split by cookie or header; None where it is by weight alone.

    Only arms that have a share and were not taken out are in it, so that no cookie keeps a user on a version that was taken back.
    """
    test, experiment = plan.experiment, status.experiment
    if test is None or experiment is None or test.assignment.kind is AssignmentType.RANDOM:
        return None
    weighed = {entry.revision for entry in status.revisions if entry.weight}
    arms = {arm.revision: arm.name for arm in experiment.variants if arm.out is None and arm.revision in weighed}
    if not arms:
        return None
    if test.assignment.kind is AssignmentType.FLAG:
        return Split(experiment.control, arms, header=test.assignment.header or "")
    if experiment.control in weighed:
        arms[experiment.control] = CONTROL
    return Split(
        control=experiment.control,
        arms=arms,
        cookie=test.assignment.cookie or f"modelrollout-{owner.name}",
        token=_token(owner, f"{experiment.id}:{experiment.started_at}"),
        seconds=int(test.duration or LONGEST),
    )


def _token(owner: Owner, test: str) -> str:
    """Of one test of one resource: a cookie of an earlier one, or of its earlier attempt, does not bind."""
    return hashlib.sha256(f"split:{owner.uid}:{test}".encode()).hexdigest()[:_TOKEN_DIGITS]
