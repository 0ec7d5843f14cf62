"""Makes the cluster equal to what status says, and sends nothing where it already is.

The status that comes in here **is recorded**: it is the intent, and everything below can be done again after a crash. The order
matters within one pass: what routes stand on (Services), the route, then pods, then the rest, so that traffic leaves before
anything else is tried. What the server refuses becomes a `Problem` in words; a write that met a newer object ends the pass with
`Moved`, after a fresh read, so that the decision is made again on what there is now. Nothing is sent twice from here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from modelrollout.api.reasons import Reason
from modelrollout.api.settings import ComparerSettings
from modelrollout.api.status import ModelDeploymentStatus, RevisionStatus, Role
from modelrollout.kube.api import KubeApi
from modelrollout.kube.apply import Applied, Applier, Foreign
from modelrollout.kube.errors import Conflict, Forbidden, Invalid, NotFound
from modelrollout.kube.kinds import (
    AUTOSCALER,
    DEPLOYMENT,
    KINDS,
    POD_MONITOR,
    SERVICE,
    Kind,
    Ref,
)
from modelrollout.kube.projection import desired_digest
from modelrollout.rollout.book import full_of
from modelrollout.rollout.capacity import need, remaining
from modelrollout.rollout.mirroring import mirrored
from modelrollout.rollout.plan import Plan
from modelrollout.rollout.revision import child_name
from modelrollout.rollout.situation import Problem
from modelrollout.runtime.store import Entry, Store
from modelrollout.traffic.base import RouteIntent
from modelrollout.traffic.routers import OBJECT_ROUTERS, router_for
from modelrollout.workload import objects
from modelrollout.workload.comparer import comparer_name
from modelrollout.workload.identity import Owner
from modelrollout.workload.records import RevisionRecord

from .children import Children
from .comparing import Comparer, unmonitor
from .fields import plan_fields
from .kinds import ROUTED, Remembered, ServedKinds, kinds_of
from .splits import split_of
from .views import DeploymentView, seen

Json = Mapping[str, Any]


class Moved(Exception):  # noqa: N818  not an error: the world went on, look again
    """An object was not as the decision had seen it; the Store has it afresh now."""


@dataclass(slots=True)
class Pass:
    """One pass over one resource: what is to be, what is there, and what stood in the way."""

    owner: Owner
    status: ModelDeploymentStatus
    plan: Plan
    children: Children
    drained: bool = True
    """Whether pods without weight may go now; otherwise they are `left` for a later pass."""
    left: bool = False
    routed: set[tuple[str, str]] | None = None
    """What the router is made of now, by (kind, name); None where it was not built, so that what there is stays."""
    problems: list[Problem] = field(default_factory=list)
    drifts: list[str] = field(default_factory=list)
    """Values of ours that somebody else had changed and that were put back, in words."""

    def records(self) -> Iterator[tuple[RevisionStatus, RevisionRecord]]:
        """The recorded revisions whose record can be read."""
        for entry in self.status.revisions:
            if (record := self.children.records.get(entry.revision)) is not None:
                yield entry, record

    def record_of(self, role: Role) -> RevisionRecord | None:
        """The record of the revision with this role."""
        return next((record for entry, record in self.records() if entry.role is role), None)


@dataclass(frozen=True, slots=True)
class Actor:
    """Acts on what is recorded."""

    api: KubeApi
    applier: Applier
    store: Store
    served: ServedKinds
    comparer: ComparerSettings = field(default_factory=ComparerSettings)
    """How a comparer is run."""
    wanted: Remembered = field(default_factory=Remembered)
    """By uid, the digest that an object was last made to have: what differs from it now was changed by somebody else."""

    async def grounds(self, plan: Plan) -> tuple[bool, ...]:
        """Which optional kinds there are; an act stands on these, the plan, the recorded status and the children."""
        return tuple([await self.served.has(kind) for kind in (*kinds_of(plan.router), POD_MONITOR)])

    async def act(self, work: Pass) -> None:
        """One pass. Raises `Moved` to have it decided again, and `ApiError` for what passes by itself."""
        await self._services(work)
        await self._comparer(work)
        await self._route(work)
        await self._unroute(work)
        await self._pods(work)
        await self._entries(work)
        await self._monitor(work)
        await self._remove(work)

    async def steer(self, work: Pass) -> None:
        """The route alone, where traffic must leave a version at once; the rest follows with the next `act`. Raises as that does."""
        await self._route(work)

    async def _services(self, work: Pass) -> None:
        for _, record in work.records():
            await self._ensure(work, objects.revision_service(work.owner, record))

    async def _comparer(self, work: Pass) -> None:
        wanted = Comparer.of(work.owner, self.comparer, work.plan, work.status)
        if wanted is None:
            return
        if wanted.problem is not None:
            work.problems.append(wanted.problem)
            return
        for manifest in wanted.manifests():
            await self._ensure(work, manifest)
        if await self.served.has(POD_MONITOR) and self.served.news(monitor := wanted.monitor()):
            await self._ensure(work, monitor)

    async def _route(self, work: Pass) -> None:
        fields = plan_fields(work.plan)
        live = {entry.revision: (entry, record) for entry, record in work.records() if entry.replicas or entry.weight}
        weights = {revision: int(entry.weight) for revision, (entry, _) in live.items()}
        mirror = mirrored(work.plan, work.status)
        if not any(weights.values()):
            return
        if (
            lost := next((one for one in work.status.revisions if one.weight and one.revision not in live), None)
        ) is not None:
            # A route without it would give its share to the others.
            text = f"ControllerRevision {child_name(work.owner.name, lost.revision)} is gone or cannot be read; the route stays as it is. Restore it from a backup, or promote the other version."
            work.problems.append(Problem(Reason.RECORD_MISSING, text))
            return
        if (lacking := await self.served.lacking(work.plan)) is not None:
            work.problems.append(lacking)
            return
        intent = RouteIntent(
            owner=work.owner,
            weights=weights,
            records={revision: record for revision, (_, record) in live.items()},
            traffic=fields.traffic,
            service=fields.service,
            candidate=_tried(entry for entry, _ in live.values()),
            mirror=mirror if mirror is not None and mirror[0] in live else None,
            split=split_of(work.owner, work.status, work.plan),
        )
        built = router_for(fields.traffic).build(intent)
        work.routed = {(manifest["kind"], manifest["metadata"]["name"]) for manifest in built}
        for manifest in built:
            await self._ensure(work, manifest)

    async def _unroute(self, work: Pass) -> None:
        """Remove what the router is no longer made of, and what another was made of once this one carries the traffic."""
        mine = {kind.kind for kind in kinds_of(work.plan.router)}
        for (kind, name), entry in work.children.routes.items():
            if kind not in mine and not work.drained:
                work.left = True
            elif kind not in mine or (work.routed is not None and (kind, name) not in work.routed):
                await self._delete(Ref(ROUTED[kind], work.owner.namespace, name), entry)

    async def _pods(self, work: Pass) -> None:
        for entry, record in work.records():
            found = work.children.deployments.get(entry.revision)
            known = found.view if found else None
            replicas = self._replicas(work, entry, record, known)
            if replicas is not None and known is not None and not entry.share and not work.drained:
                work.left = work.left or replicas < known.replicas
                replicas = max(replicas, known.replicas)
            if replicas is not None and known is not None and replicas < known.replicas:
                await self._may_shrink(work, entry, replicas)
            await self._ensure(
                work, objects.deployment(work.owner, record, replicas, load_deadline=work.plan.load_deadline)
            )
            await self._autoscaler(work, entry, record)

    def _replicas(
        self, work: Pass, entry: RevisionStatus, record: RevisionRecord, known: DeploymentView | None
    ) -> int | None:
        """What to apply as `replicas`; None leaves them to the autoscaler that has taken them over."""
        scaled = work.plan.autoscaled and _serves(entry)
        if not scaled or work.children.entry(AUTOSCALER, record.name(work.owner)) is None or known is None:
            return entry.replicas
        # While they are still ours, leaving them out would set them to 1.
        return max(entry.replicas, known.replicas) if known.owns_replicas else None

    async def _may_shrink(self, work: Pass, entry: RevisionStatus, replicas: int) -> None:
        """Pods go only after a fresh look at the route shows that it needs no more of them."""
        if work.plan.in_place and work.status.down is not None and entry.role is Role.STABLE:
            return  # by order: there is nowhere else for its traffic to go
        for kind, name in work.children.routes:
            if await self._refresh(Ref(ROUTED[kind], work.owner.namespace, name)):
                raise Moved(f"{kind} {name} changed before a scale-down")
        views = [router.observe(work.owner.name, work.children.parts) for router in OBJECT_ROUTERS.values()]
        carried = max((found or {}).get(entry.revision, 0) for view in views for found in (view.weights, view.mirrors))
        full = full_of(work.plan, work.status)
        floor = need(full, carried) if work.plan.surge is None else remaining(full, carried)
        if replicas < floor:
            raise Moved(f"the route still sends {carried} basis points to {entry.revision}")

    async def _autoscaler(self, work: Pass, entry: RevisionStatus, record: RevisionRecord) -> None:
        autoscaling = plan_fields(work.plan).autoscaling
        if autoscaling is None or not _serves(entry) or not entry.replicas:
            return
        await self._ensure(work, objects.hpa(work.owner, record, autoscaling, entry.replicas))

    async def _entries(self, work: Pass) -> None:
        fields = plan_fields(work.plan)
        candidate = work.record_of(Role.CANDIDATE)
        serving = work.record_of(Role.STABLE)
        if work.plan.router != "Service":
            if serving is not None or not any(entry.role is Role.STABLE for entry in work.status.revisions):
                made = objects.entry_service(work.owner, fields.service, [serving] if serving else [])
                await self._ensure(work, made)
        elif not any(entry.weight for entry in work.status.revisions):
            # The router makes the entry Service once a version has traffic; before that it leads nowhere.
            await self._ensure(work, objects.entry_service(work.owner, fields.service, []))
        await self._ensure(work, objects.preview_service(work.owner, fields.service, candidate))

    async def _monitor(self, work: Pass) -> None:
        if not await self.served.has(POD_MONITOR):
            return
        manifest = objects.pod_monitor(work.owner, [record for _, record in work.records()])
        if manifest is not None and self.served.news(manifest):
            await self._ensure(work, manifest)

    async def _remove(self, work: Pass) -> None:
        """Delete what belonged to revisions that status no longer knows, and what the plan no longer has."""
        if not work.status.revisions:
            return
        wanted = _wanted(work) | _routed(work) | self._compared(work)
        for (kind, name), entry in work.children.named.items():
            if kind not in _REMOVABLE or (kind, name) in wanted:
                continue
            if (kind, name) == (DEPLOYMENT.kind, comparer_name(work.owner.name)):
                # First: while the Deployment is there this is tried again.
                await unmonitor(self.api, self.served, work.owner)
            await self._delete(Ref(_REMOVABLE[kind], work.owner.namespace, name), entry)

    async def _delete(self, ref: Ref, entry: Entry[Any]) -> None:
        try:
            await self.api.delete(ref, uid=entry.uid, resource_version=entry.resource_version)
        except NotFound:
            self.store.missing(ref.kind.kind, (ref.namespace, ref.name), entry.version)
        except Conflict:
            await self._refresh(ref)
            raise Moved(f"{ref} changed before it was deleted") from None

    def _compared(self, work: Pass) -> set[tuple[str, str]]:
        """The comparer, while it is needed and, with the last copies under way, for a drain afterwards."""
        name = comparer_name(work.owner.name)
        if Comparer.of(work.owner, self.comparer, work.plan, work.status) is None:
            if work.drained:
                return set()
            work.left = work.left or (DEPLOYMENT.kind, name) in work.children.named
        return {(DEPLOYMENT.kind, name), (SERVICE.kind, name)}

    async def _ensure(self, work: Pass, manifest: dict[str, Any]) -> None:
        kind = KINDS[manifest["apiVersion"], manifest["kind"]]
        name = manifest["metadata"]["name"]
        key = (work.owner.namespace, name)
        entry = self.store.get(kind.kind, key) if kind is not POD_MONITOR else None
        try:
            outcome = await self.applier.ensure(manifest, seen(entry) if entry else None, owner=work.owner.uid)
        except Conflict:
            await self._refresh(Ref(kind, *key))
            raise Moved(f"{kind} {name} changed meanwhile") from None
        except (Invalid, Forbidden) as error:
            text = f"The API server refused {kind} {name}: {error.message}"
            work.problems.append(Problem(Reason.REFUSED_BY_SERVER, text))
            return
        if isinstance(outcome, Foreign):
            # It may be that of an earlier owner, gone while nobody watched: nothing tells of what vanished then.
            if entry is not None and await self._refresh(Ref(kind, *key)):
                raise Moved(f"{kind} {name} was another one")
            text = f"{kind} {name} exists and is not ours ({outcome.who}); it was left alone. Delete or rename it, or use another name."
            work.problems.append(Problem(Reason.FOREIGN_OBJECT, text))
            return
        if isinstance(outcome, Applied):
            if kind is not POD_MONITOR:
                self.store.took(kind.kind, outcome.raw)
            if outcome.written and entry is not None and self.wanted.get(entry.uid) == desired_digest(manifest):
                work.drifts.append(f"{kind} {name} was changed ({entry.view.others or 'by whom is not known'})")
        uid = outcome.raw["metadata"]["uid"] if isinstance(outcome, Applied) else entry.uid if entry else ""
        self.wanted[uid] = desired_digest(manifest)

    async def _refresh(self, ref: Ref) -> bool:
        """Read an object afresh into the Store; tells whether that changed its view."""
        entry = self.store.get(ref.kind.kind, (ref.namespace, ref.name))
        try:
            return self.store.took(ref.kind.kind, await self.api.get(ref))
        except NotFound:
            self.store.missing(ref.kind.kind, (ref.namespace, ref.name), entry.version if entry else 0)
            return entry is not None


def _tried(live: Iterable[RevisionStatus]) -> str | None:
    """The revision that testers mean who name none: the candidate, or the only variant of an A/B test."""
    roles = {entry.revision: entry.role for entry in live}
    candidate = next((revision for revision, role in roles.items() if role is Role.CANDIDATE), None)
    variants = [revision for revision, role in roles.items() if role is Role.VARIANT]
    return candidate or (variants[0] if len(variants) == 1 else None)


def _serves(entry: RevisionStatus) -> bool:
    return entry.role in (Role.STABLE, Role.CANDIDATE, Role.VARIANT)


_REMOVABLE: dict[str, Kind] = {kind.kind: kind for kind in (AUTOSCALER, SERVICE, DEPLOYMENT)}


def _routed(work: Pass) -> set[tuple[str, str]]:
    """What requests are sent to right now although status knows nothing of it: a status may come back from an old backup."""
    known = {entry.revision for entry in work.status.revisions}
    names = [
        child_name(work.owner.name, revision)
        for found in work.children.routes.values()
        for revision, weight in (found.view.route.weights or {}).items()
        if weight and revision not in known
    ]
    return {(kind.kind, name) for name in names for kind in (DEPLOYMENT, SERVICE, AUTOSCALER)}


def _wanted(work: Pass) -> set[tuple[str, str]]:
    """What may stay, by (kind, name)."""
    owner, fields = work.owner, plan_fields(work.plan)
    wanted = {
        (SERVICE.kind, objects.entry_service_name(owner.name, fields.service)),
        (SERVICE.kind, objects.preview_service_name(owner.name)),
    }
    for entry in work.status.revisions:
        name = child_name(owner.name, entry.revision)
        wanted |= {(DEPLOYMENT.kind, name), (SERVICE.kind, name)}
        if work.plan.autoscaled and _serves(entry) and entry.replicas:
            wanted.add((AUTOSCALER.kind, name))
    return wanted
