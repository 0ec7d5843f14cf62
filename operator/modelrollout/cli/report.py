"""`report`: the record of one rollout, for people on a terminal, for a browser or paper, and for machines.

It reads the object's status and, where that is allowed, the commands, the plan and the revisions' records. With the address of a
Prometheus it also reads back what that still knows of the time.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import Any

from modelrollout.api.errors import RecordError, SpecError
from modelrollout.api.scalars import Timestamp
from modelrollout.api.settings import RuntimePreset, Settings, TargetLabels
from modelrollout.kube.errors import Forbidden, NotFound
from modelrollout.kube.kinds import CONTROLLER_REVISION, OWNER_LABEL, ROLLOUT_COMMAND, Ref
from modelrollout.metrics.subscription import VersionSelector
from modelrollout.rollout.plan import Plan
from modelrollout.rollout.revision import child_name
from modelrollout.workload import presets
from modelrollout.workload.records import RevisionRecord

from .choices import Format, Report
from .cluster import Cluster, Json
from .curves import Curve
from .curves import document as as_curve
from .deployment import Deployment, read
from .failures import ExitCode, Failure
from .out import columns, document, say, show
from .plans import Plans
from .readback import Versions, provider, read_back
from .record import Record, pick, record
from .record import document as as_record
from .report_html import html
from .report_text import text
from .view import DOCUMENT_VERSION


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rollout (None: the one under way, else the last), in which form, and where curves come from (None: nowhere)."""

    revision: str | None
    form: Report
    prometheus: str | None
    settings: Settings | None


async def report(cluster: Cluster, name: str, wanted: Wanted) -> ExitCode:
    """Print the record of one rollout."""
    now = time.time()
    deployment = await read(cluster, name)
    found = record(deployment, pick(deployment, wanted.revision), await _commands(cluster, deployment))
    curves: tuple[Curve, ...] = ()
    if wanted.prometheus is not None:
        curves = await _curves(cluster, deployment, found, wanted, now)
    match wanted.form:
        case Report.TEXT:
            show(text(found, curves, now, columns()))
        case Report.HTML:
            say(html(found, curves, now).rstrip("\n"))
        case Report.JSON:
            say(document(as_document(found, curves, now), Format.JSON))
    return ExitCode.DONE


def as_document(found: Record, curves: tuple[Curve, ...], now: float) -> dict[str, Any]:
    """The document for machines, `at` the time of reading."""
    body = {"apiVersion": DOCUMENT_VERSION, "kind": "RolloutReport", "at": str(Timestamp(now)), **as_record(found)}
    return body | ({"curves": [as_curve(one) for one in curves]} if curves else {})


async def _commands(cluster: Cluster, deployment: Deployment) -> list[Json]:
    """The RolloutCommands that are still there; none for whom they are not to be read."""
    try:
        return await cluster.items(ROLLOUT_COMMAND, deployment.namespace, f"{OWNER_LABEL}={deployment.name}")
    except (NotFound, Forbidden):
        return []


async def _curves(
    cluster: Cluster, deployment: Deployment, found: Record, wanted: Wanted, now: float
) -> tuple[Curve, ...]:
    plan = await Plans(cluster).of(deployment)
    if plan is None:
        raise Failure(f"{deployment.name}: the plan is not known, so it is not known either what to ask Prometheus")
    settings = wanted.settings or Settings()
    named = settings.provider(plan.provider)
    where = provider(wanted.prometheus or "", named.labels if named else TargetLabels())

    async def selector(revision: str, version: str) -> VersionSelector:
        child = child_name(deployment.name, revision)
        return VersionSelector(revision, version, child, await _preset(cluster, deployment, child, plan, settings))

    candidate = await selector(found.revision, found.version)
    stable = await selector(found.against_revision, found.against) if found.against_revision else None
    return await read_back(found, plan, Versions(candidate, stable), where, now)


async def _preset(
    cluster: Cluster, deployment: Deployment, child: str, plan: Plan, settings: Settings
) -> RuntimePreset:
    """What the revision runs on, as its record says, else as the plan does."""
    runtime = (plan.written.get("server") or deployment.spec.get("server") or {}).get("runtime")
    with contextlib.suppress(NotFound, Forbidden, RecordError):
        runtime = RevisionRecord.parse(await cluster.get(Ref(CONTROLLER_REVISION, deployment.namespace, child))).runtime
    try:
        return presets.find(runtime, settings)
    except SpecError as error:
        raise Failure(f"{error}; name the operator's settings with --settings") from error
