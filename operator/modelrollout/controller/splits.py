"""How the requests of the A/B test that is recorded meet its variants, for the router."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from modelrollout.api.experiment import CONTROL, AssignmentType
from modelrollout.api.reasons import Reason
from modelrollout.api.status import ModelDeploymentStatus, Role
from modelrollout.rollout.plan import Plan
from modelrollout.traffic.base import Split
from modelrollout.workload.identity import Owner

LONGEST = 30 * 24 * 3600
"""Seconds that a cookie lasts where the test names no duration."""
_TOKEN_DIGITS = 12


@dataclass(frozen=True, slots=True)
class _Run:
    """One run of a test: what names it, its control, and its variants by revision."""

    id: str
    control: str
    arms: dict[str, str]


def split_of(owner: Owner, status: ModelDeploymentStatus, plan: Plan) -> Split | None:
    """The split by cookie or header; None where it is by weight alone.

    Only arms that have a share and were not taken out are in it, so that no cookie keeps a user on a version that was taken back.
    """
    test, run = plan.experiment, _run(status)
    if test is None or run is None or test.assignment.kind is AssignmentType.RANDOM:
        return None
    weighed = {entry.revision for entry in status.revisions if entry.weight}
    arms = {revision: name for revision, name in run.arms.items() if revision in weighed}
    if not arms or run.control not in weighed:
        return None
    if test.assignment.kind is AssignmentType.FLAG:
        return Split(run.control, arms, header=test.assignment.header or "")
    return Split(
        control=run.control,
        arms=arms | {run.control: CONTROL},
        cookie=test.assignment.cookie or f"modelrollout-{owner.name}",
        token=_token(owner, run.id),
        seconds=int(test.duration or LONGEST),
    )


def _run(status: ModelDeploymentStatus) -> _Run | None:
    """The test under way, or one whose winner is about to take all traffic: until it has, users stay where they are."""
    if (test := status.experiment) is not None:
        arms = {arm.revision: arm.name for arm in test.variants if arm.out is None}
        return _Run(f"{test.id}:{test.started_at}", test.control, arms)
    rollout = status.rollout
    stable = next((entry.revision for entry in status.revisions if entry.role is Role.STABLE), None)
    if rollout is None or stable is None or rollout.cause != Reason.WINNER_CHOSEN:
        return None
    won = next((one for one in reversed(status.concluded) if one.revision == rollout.revision), None)
    return None if won is None else _Run(f"{won.id}:{won.started_at}", stable, {rollout.revision: won.winner or ""})


def _token(owner: Owner, run: str) -> str:
    """Of one test of one resource: a cookie of an earlier one, or of its earlier attempt, does not bind."""
    return hashlib.sha256(f"split:{owner.uid}:{run}".encode()).hexdigest()[:_TOKEN_DIGITS]
