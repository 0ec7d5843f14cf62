"""From the Store, the sampler and the clock to one frozen Situation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from modelrollout.analysis.dispersion import Effect
from modelrollout.api.errors import RecordError, SpecError
from modelrollout.api.scalars import FULL_WEIGHT
from modelrollout.api.settings import Settings
from modelrollout.api.status import ModelDeploymentStatus, Role
from modelrollout.kube.kinds import SERVICE
from modelrollout.metrics.subscription import MetricsSource, slot_of
from modelrollout.rollout.capacity import shares
from modelrollout.rollout.evidence import carry
from modelrollout.rollout.mirroring import mirrors_next
from modelrollout.rollout.plan import Plan
from modelrollout.rollout.situation import (
    ArmFacts,
    CommandFacts,
    MirrorFacts,
    PreflightFacts,
    Problem,
    RevisionFacts,
    RouteFacts,
    Situation,
    Target,
    Timing,
    WarmUpFacts,
)
from modelrollout.runtime.clock import Clock
from modelrollout.runtime.queue import Key
from modelrollout.runtime.store import Entry
from modelrollout.traffic.base import RouteView
from modelrollout.traffic.gateway_api import preview_url
from modelrollout.traffic.mirroring import COMPARER
from modelrollout.traffic.ratio import effective
from modelrollout.traffic.routers import OBJECT_ROUTERS
from modelrollout.workload.identity import NO_REVISION, Owner
from modelrollout.workload.objects import entry_service_name, preview_service_name
from modelrollout.workload.records import plan_name

from .children import Children
from .comparing import is_compared
from .fields import plan_fields
from .measure import of_test
from .memory import Memory, Now
from .troubles import restarts, trouble
from .views import ResourceView
from .warming import Warming


@dataclass(frozen=True, slots=True)
class _Look:
    """What one look at a rollout has at hand."""

    status: ModelDeploymentStatus
    children: Children
    memory: Memory
    now: Now


@dataclass(frozen=True, slots=True)
class Observer:
    """Fills Situations. Reads only what is at hand; never waits."""

    settings: Settings
    clock: Clock
    metrics: MetricsSource
    warming: Warming

    def situation(self, key: Key, entry: Entry[ResourceView], children: Children, memory: Memory) -> Situation:
        """Everything a decision about this resource may look at."""
        view, now = entry.view, Now(self.clock.now(), self.clock.monotonic())
        status = carry(memory.status_of(view.stored_status, view.status), memory.unwritten)
        look = _Look(status, children, memory, now)
        plan, plan_record, problem = self._plan(key, view, look)
        revisions = self._revisions(look)
        owner = Owner(*key, entry.uid)
        lag = router.capabilities.lag if plan and (router := OBJECT_ROUTERS.get(plan.router)) else 0.0
        return Situation(
            now=now.wall,
            name=key[1],
            generation=view.generation,
            status=status,
            target=problem or _target(view),
            plan=plan,
            plan_name=plan_record,
            elapsed=None if memory.decided_at is None else now.monotonic - memory.decided_at,
            revisions=revisions,
            route=self._route(look, plan, revisions),
            commands=_commands(children),
            windows=self.metrics.windows(key),
            problems=memory.problems,
            metrics_problem=self.metrics.problem(key),
            preflight=self._preflight(key, status, plan),
            mirror=_mirror(look, plan),
            warm_up=self.warming.facts(key, status, plan, memory),
            arms=self._arms(key, status, plan, memory),
            timing=Timing(
                settle=max(self.settings.settle.seconds, lag),
                drain=self.settings.drain.seconds + lag,
                ready_for=self.settings.ready_for.seconds,
            ),
            deleting=view.deleting,
            tester_header=_tester_header(owner, plan) if plan else "",
            preview_url=_preview_url(owner, plan) if plan else "",
            preview_problem=_preview_problem(children),
        )

    def _preflight(self, key: Key, status: ModelDeploymentStatus, plan: Plan | None) -> PreflightFacts:
        before = status.step is not None and status.step.index == 0 and status.rollout is not None
        if not before or plan is None or not plan.judged or not plan.metrics:
            return PreflightFacts()
        return self._found_before(key)

    def _found_before(self, slot: Key) -> PreflightFacts:
        """What the metrics layer has found out before the first weight."""
        found = self.metrics.preflight(slot)
        effects = {name: _effect(effect) for name, effect in found.effects.items()}
        return PreflightFacts(found.ready, found.problem, effects, found.traffic)

    def _arms(
        self, key: Key, status: ModelDeploymentStatus, plan: Plan | None, memory: Memory
    ) -> Mapping[str, ArmFacts]:
        """What is known of the variants of an A/B test, by revision."""
        test = status.experiment
        if test is None or plan is None:
            return {}
        warm, found, measured = self.warming.variants(key, status, plan, memory), {}, bool(of_test(plan))
        for arm in test.variants:
            warmed = warm.get(arm.revision, WarmUpFacts())
            if not measured:
                found[arm.revision] = ArmFacts(warm_up=warmed)
                continue
            slot = slot_of(key, arm.revision)
            before = test.begun_at is None and arm.out is None
            preflight = self._found_before(slot) if before else PreflightFacts()
            found[arm.revision] = ArmFacts(self.metrics.windows(slot), self.metrics.problem(slot), preflight, warmed)
        return found

    def _plan(self, key: Key, view: ResourceView, look: _Look) -> tuple[Plan | None, str, Problem | None]:
        if isinstance(view.accepted, SpecError):
            problem = Problem(view.accepted.reason, f"{view.accepted}.")
        elif look.memory.lacking is not None:
            problem = look.memory.lacking
        else:
            plan = view.accepted.plan
            return plan, plan_name(key[1], plan.digest), None
        name = look.status.plan or ""
        record = look.children.plans.get(name)
        if record is None:
            return None, "", problem
        try:
            return record.plan(self.settings), name, problem
        except RecordError as error:
            text = f"{problem.message} The last accepted plan cannot be read: {error}."
            return None, "", Problem(problem.reason, text)

    def _revisions(self, look: _Look) -> Mapping[str, RevisionFacts]:
        recorded = {entry.revision for entry in look.status.revisions}
        names = recorded | set(look.children.deployments) | set(look.children.records)
        look.memory.forget_revisions(frozenset(names))
        return {name: _facts(name, look) for name in sorted(names)}

    def _route(self, look: _Look, plan: Plan | None, revisions: Mapping[str, RevisionFacts]) -> RouteFacts:
        if plan is not None and plan.router == "Service":
            weights = _ratio(plan, look.status, look.children, revisions)
            there = weights is not None
            since = look.memory.note_route(weights, there, look.now)
            return RouteFacts(exists=there, weights=weights, accepted=there, since=since)
        route = _routed(plan, look.children)
        mirrors = _mirrors(route.mirrors, look.status)
        since = look.memory.note_route(route.weights, route.accepted, look.now, mirrors)
        return RouteFacts(
            exists=route.exists,
            weights=route.weights,
            accepted=route.accepted,
            since=since,
            problem=route.problem,
            mirrors=mirrors,
        )


def _mirrors(shares: Mapping[str, int], status: ModelDeploymentStatus) -> Mapping[str, int]:
    """By revision: copies that go to the comparer are the candidate's, to whom it hands them on."""
    candidate = next((entry.revision for entry in status.revisions if entry.role is Role.CANDIDATE), COMPARER)
    return {candidate if name == COMPARER else name: share for name, share in shares.items()}


def _mirror(look: _Look, plan: Plan | None) -> MirrorFacts:
    """What is known of mirroring; asked of the gateways where a step wants it (`reconcile`)."""
    if plan is None or not mirrors_next(plan, look.status):
        return MirrorFacts()
    found = look.memory.mirror or MirrorFacts(known=False)
    candidate = next(entry.revision for entry in look.status.revisions if entry.role is Role.CANDIDATE)
    return replace(found, compared=is_compared(look.children, candidate))


def _facts(revision: str, look: _Look) -> RevisionFacts:
    record = revision in look.children.records
    entry = look.children.deployments.get(revision)
    if entry is None:
        look.memory.note_ready(revision, 0, look.now)
        return RevisionFacts(exists=False, record=record)
    seen = look.memory.pods.get(revision)
    pods = seen.pods if seen else ()
    view = entry.view
    return RevisionFacts(
        exists=True,
        replicas=view.replicas,
        pods=view.pods,
        ending=sum(pod.deleted for pod in pods),
        ready=view.ready,
        ready_since=look.memory.note_ready(revision, view.ready, look.now),
        restarts=restarts(pods),
        trouble=trouble(pods, view.trouble),
        unschedulable=any(pod.unschedulable and not pod.deleted for pod in pods),
        record=record,
        order=view.created,
        version=view.version,
        additions=view.additions,
    )


def _effect(effect: Effect) -> str:
    """As status records it: the number, and how it came about where that is worth a word."""
    return f"{effect.value:.4g}" if effect.value == 1.0 else f"{effect.value:.4g} ({effect.note})"


def _preview_url(owner: Owner, plan: Plan) -> str:
    fields = plan_fields(plan)
    return preview_url(owner, fields.service, fields.traffic.gateway if fields.traffic else None)


def _tester_header(owner: Owner, plan: Plan) -> str:
    router, traffic = OBJECT_ROUTERS.get(plan.router), plan_fields(plan).traffic
    return router.tester_header(owner, traffic) if router and traffic else ""


def _routed(plan: Plan | None, children: Children) -> RouteView:
    """What the router's objects say; without a plan those of whichever router there is."""
    routers = OBJECT_ROUTERS.values() if plan is None else (OBJECT_ROUTERS[plan.router],)
    views = [router.observe(children.name, children.parts) for router in routers]
    return next((view for view in views if view.exists), views[0])


def _preview_problem(children: Children) -> str:
    """Why the route of the preview host names, if there is one, is not taken."""
    name = preview_service_name(children.name)
    return next((entry.view.route.refusal for (_, found), entry in children.routes.items() if found == name), "")


def _target(view: ResourceView) -> Target:
    assert not isinstance(view.accepted, SpecError)
    return view.accepted.target


def _commands(children: Children) -> tuple[CommandFacts, ...]:
    return tuple(
        CommandFacts(
            uid=entry.view.uid,
            name=name,
            action=entry.view.spec.action,
            revision=entry.view.spec.revision,
            step=entry.view.spec.step,
            by=entry.view.spec.by or "",
            reason=entry.view.spec.reason or "",
            created=entry.view.created,
        )
        for name, entry in children.commands
        if entry.view.spec is not None and not entry.view.taken
    )


def _ratio(
    plan: Plan, status: ModelDeploymentStatus, children: Children, revisions: Mapping[str, RevisionFacts]
) -> Mapping[str, int] | None:
    """What the entry Service's selector and the ready pods make of the traffic; None where it does not exist."""
    service = plan_fields(plan).service
    entry = children.entry(SERVICE, entry_service_name(children.name, service))
    if entry is None:
        return None
    if entry.view.revision:
        return {} if entry.view.revision == NO_REVISION else {entry.view.revision: FULL_WEIGHT}
    ready = {name: facts.ready for name, facts in revisions.items() if facts.ready}
    stable = next((one for one in status.revisions if one.role is Role.STABLE), None)
    candidate = next((one for one in status.revisions if one.role is Role.CANDIDATE), None)
    if stable is not None and candidate is not None and 0 < candidate.weight < FULL_WEIGHT:
        full = status.rollout.replicas if plan.autoscaled and status.rollout else plan.replicas
        wanted = shares(candidate.weight, full)
        if ready == {stable.revision: wanted[0], candidate.revision: wanted[1]}:
            # As near as so many pods can come: that is what was asked for.
            return {stable.revision: FULL_WEIGHT - candidate.weight, candidate.revision: int(candidate.weight)}
    return effective(ready)
