"""reconcile(key): observe, decide, record, act.

**observe** gathers one frozen Situation from the Store, the sampler and the clock. **decide** is pure. **record** writes the
status, guarded by the resourceVersion that was observed, before anything is done about it; a write that only saves progress
waits for its budget. **act** makes the cluster equal to what is recorded. A pass ends when nothing is left to decide: what is
awaited wakes the key again.

Every write may fail, take effect unseen, or meet a newer object. None is repeated from memory: the next turn observes again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from modelrollout.api.errors import SpecError
from modelrollout.api.reasons import Reason
from modelrollout.api.settings import Settings
from modelrollout.kube.api import KubeApi
from modelrollout.kube.apply import Applier
from modelrollout.kube.errors import Conflict, Invalid, NotFound
from modelrollout.kube.events import Events, Regarding
from modelrollout.kube.kinds import DEPLOYMENT, MODEL_DEPLOYMENT, Ref
from modelrollout.kube.pods import PodFacts, read_pods
from modelrollout.metrics.subscription import MetricsSource
from modelrollout.rollout.book import Book, shares
from modelrollout.rollout.decide import decide
from modelrollout.rollout.evidence import progress
from modelrollout.rollout.plan import Plan
from modelrollout.rollout.revision import child_name
from modelrollout.rollout.situation import Decision, EventNote, Problem, Situation
from modelrollout.runtime.budget import Budget
from modelrollout.runtime.clock import Clock
from modelrollout.runtime.queue import Key, Queue
from modelrollout.runtime.store import Entry, Store
from modelrollout.warmup.warmer import WarmUpSource
from modelrollout.workload.identity import Owner, selector
from modelrollout.workload.render import Accepted

from .act import Actor, Moved, Pass
from .children import Children
from .commands import Answers
from .gateways import Gateways
from .kinds import ServedKinds
from .measure import Measured
from .memory import Memory, PodsSeen, Settled
from .observe import Observer
from .prime import remember_pods
from .records import Records
from .stored import Untaken
from .views import ResourceView
from .warming import Warming

log = logging.getLogger(__name__)

TURNS = 12
"""Decisions in one pass; more means that something writes against us, and the queue's back-off takes over."""
PROBLEMS_AGAIN = 30.0
"""Seconds after which something that stood in the way is tried again."""
ENDING_AGAIN = 1.0
"""Seconds after which pods on their way out are looked for again, where another version waits for their place."""
PODS_AGAIN = 10.0
"""Seconds after which the pods of a revision that stays unready are read again."""


class Contended(Exception):  # noqa: N818  the queue backs off
    """The objects of one rollout kept changing under our hands."""

    retry_after = None


def _end(pods: Iterable[PodFacts]) -> bool:
    """Whether any is on its way out."""
    return any(pod.deleted for pod in pods)


def _nothing_is_unread(namespace: str) -> bool:
    del namespace
    return False


@dataclass(slots=True)
class Controller:
    """Reconciles one key at a time; the queue sees to it that no key is in two hands."""

    api: KubeApi
    store: Store
    queue: Queue
    metrics: MetricsSource
    settings: Settings
    clock: Clock
    events: Events
    checkpoints: Budget
    warmer: WarmUpSource
    unread: Callable[[str], bool] = _nothing_is_unread
    """Whether a namespace has not been read whole yet; nothing is decided there."""
    memories: dict[Key, Memory] = field(default_factory=dict)
    _observer: Observer = field(init=False)
    _actor: Actor = field(init=False)
    _records: Records = field(init=False)
    _measured: Measured = field(init=False)
    _answers: Answers = field(init=False)
    _untaken: Untaken = field(init=False)
    _warming: Warming = field(init=False)
    _gateways: Gateways = field(init=False)

    def __post_init__(self) -> None:
        self._warming = Warming(self.warmer)
        self._observer = Observer(self.settings, self.clock, self.metrics, self._warming)
        served = ServedKinds(self.api, self.clock)
        self._actor = Actor(self.api, Applier(self.api), self.store, served, self.settings.comparer)
        self._gateways = Gateways(self.api, self.clock)
        self._records = Records(self.api, self.store)
        self._measured = Measured(self.settings)
        self._answers = Answers(self.api, self.store)
        self._untaken = Untaken(self.clock)

    async def prime(self) -> None:
        """Learn in a few requests what each rollout under way would ask for by itself. To be awaited before the first `reconcile`."""
        self.memories = await remember_pods(self.api, self.store, self.clock, self.settings.namespaces)

    async def reconcile(self, key: Key) -> None:
        """Bring one resource as far as it can go now. Raises `ApiError` and `Contended` for the queue's back-off."""
        if self.unread(key[0]):
            return  # woken when it was read
        entry: Entry[ResourceView] | None = self.store.get(MODEL_DEPLOYMENT.kind, key)
        taken = entry.view.status.commands if entry is not None else ()
        for _ in range(TURNS):
            entry = self.store.get(MODEL_DEPLOYMENT.kind, key)
            if entry is None:
                self._forget(key)
                return
            memory = self._memory(key, entry.uid)
            try:
                if not await self._turn(key, entry, memory):
                    return
            except Moved as moved:
                log.debug("observing again: %s", moved)
        if entry is None or entry.view.status.commands == taken:
            raise Contended(f"still undecided after {TURNS} turns")
        self.queue.wake(key)  # so many commands: the others get their turn in between

    def _memory(self, key: Key, uid: str) -> Memory:
        memory = self.memories.get(key)
        if memory is None or memory.uid != uid:
            # What a former process has written last is not known. It counts as just now, or a restart would write everything.
            before, memory = memory, Memory(uid=uid, saved_at=self.clock.monotonic())
            if before is not None:
                memory.slots, memory.warming = before.slots, before.warming
            self.memories[key] = memory
        return memory

    def _children(self, key: Key, memory: Memory) -> Children:
        stamp = self.store.stamp(key)
        if memory.gathered is None or memory.gathered[0] != stamp:
            memory.gathered = (stamp, Children.of(self.store, key, memory.uid))
        return memory.gathered[1]

    def _forget(self, key: Key) -> None:
        memory = self.memories.pop(key, None)
        self.metrics.unsubscribe(key)
        self._warming.forget(key, memory)
        for slot in memory.slots if memory else ():
            self.metrics.unsubscribe(slot)
        self.queue.forget(key)

    async def _turn(self, key: Key, entry: Entry[ResourceView], memory: Memory) -> bool:
        """One observe, decide, record, act; tells whether another is needed at once."""
        await self._read_pods(key, entry, memory)
        await self._read_router(key, entry, memory)
        children = self._children(key, memory)
        situation = self._observer.situation(key, entry, children, memory)
        if await self._gateways.ask(key[0], situation, memory):
            situation = self._observer.situation(key, entry, self._children(key, memory), memory)
        decided_at = self.clock.monotonic()
        decision = decide(situation)
        if situation.deleting:
            self._forget(key)
            return False
        if await self._moved_on(key, situation, decision):
            return True
        problems_before = memory.problems
        refused = await self._record(key, entry, memory, decision, children)
        # Only now: a decision that could not be recorded must not take the time since the last one with it.
        memory.decided_at, memory.unwritten = decided_at, progress(decision.status)
        if decision.urgent:
            await self._steer(key, situation, decision, memory)
            # Where a whole fleet turns bad, traffic leaves all bad versions before anything is tidied up after one.
            self.queue.wake(key)
            return False
        await self._act(key, situation, decision, memory, refused)
        self._measure(key, decision, situation, memory)
        self._warming.ask(key, situation, decision.status, memory, self._children(key, memory))
        self.queue.wake_at(key, decision.wake_at)
        if memory.problems or situation.mirror.problem or not situation.mirror.known:
            self.queue.wake_after(key, PROBLEMS_AGAIN)  # what stands in the way is often not ours to watch
        return decision.again or memory.problems != problems_before

    async def _read_pods(self, key: Key, entry: Entry[ResourceView], memory: Memory) -> None:
        """Pods of revisions in a rollout, read when their Deployment's view changed or they stay unready."""
        status = entry.view.status
        served = all(one.ready_replicas for one in status.revisions if one.replicas)
        ended = not any(_end(seen.pods) for seen in memory.pods.values())
        if not status.under_way and status.down is None and served and ended:
            return
        children, accepted = self._children(key, memory), entry.view.accepted
        plan = accepted.plan if isinstance(accepted, Accepted) else None
        bounded = plan is not None and (plan.in_place or plan.surge is not None)
        exact = plan is None or plan.golden is not None or bounded
        for revision, found in children.deployments.items():
            seen, now = memory.pods.get(revision), self.clock.monotonic()
            lacking = found.view.ready < found.view.replicas
            if lacking and status.loading:
                # A Deployment says nothing when its pods begin to crash or cannot pull their image; the load deadline bounds this.
                self.queue.wake_after(key, PODS_AGAIN)
            # A Deployment does not count its pods that are on their way out, and says nothing when the last one is gone.
            ending = bounded and seen is not None and _end(seen.pods)
            due = PODS_AGAIN if not ending else ENDING_AGAIN
            if seen is not None and seen.of == found.view and not ((lacking or ending) and now - seen.read_at >= due):
                continue
            labels = ",".join(f"{name}={value}" for name, value in selector(key[1], revision).items())
            # Pods that are counted as warm must be those that the Deployment counts as ready, and pods that are gone really gone.
            pods = await read_pods(self.api, key[0], labels, fresh=exact)
            memory.pods[revision] = PodsSeen(pods, found.view, now)
        if bounded and any(_end(seen.pods) for seen in memory.pods.values()):
            self.queue.wake_after(key, ENDING_AGAIN)

    async def _read_router(self, key: Key, entry: Entry[ResourceView], memory: Memory) -> None:
        """Whether the router that the spec names is there: without it the former plan, and its route, stay in force."""
        accepted = entry.view.accepted
        memory.lacking = None if isinstance(accepted, SpecError) else await self._actor.served.lacking(accepted.plan)
        if memory.lacking is not None:
            self.queue.wake_after(key, PROBLEMS_AGAIN)

    async def _moved_on(self, key: Key, situation: Situation, decision: Decision) -> bool:
        """Before a weight rises or pods go: one fresh read of the Deployments concerned. True if that changed what we know."""
        if not decision.again:
            return False
        before, after = shares(situation.status), shares(decision.status)
        pods = {one.revision: one.replicas for one in situation.status.revisions}
        concerned = {revision for revision, weight in after.items() if weight > before.get(revision, 0)}
        concerned |= {one.revision for one in decision.status.revisions if one.replicas < pods.get(one.revision, 0)}
        changed = False
        for revision in sorted(concerned):
            name = child_name(key[1], revision)
            known = self.store.get(DEPLOYMENT.kind, (key[0], name))
            try:
                raw = await self.api.get(Ref(DEPLOYMENT, key[0], name))
                changed = self.store.took(DEPLOYMENT.kind, raw) or changed
            except NotFound:
                self.store.missing(DEPLOYMENT.kind, (key[0], name), known.version if known else 0)
                changed = changed or known is not None
        return changed

    async def _record(
        self, key: Key, entry: Entry[ResourceView], memory: Memory, decision: Decision, children: Children
    ) -> Problem | None:
        status, owner = decision.status, Owner(*key, entry.uid)
        written = status.written() if self._worth_writing(entry, memory, decision) else None
        if written is not None and self._untaken.same(memory, status, written, entry.view.stored_status):
            written = None
        if written is None and not memory.refused:
            return None
        problem = await self._records.provide(owner, entry.view, status, children)
        memory.refused = problem is not None
        if written is None:
            return problem
        ref = Ref(MODEL_DEPLOYMENT, *key)
        try:
            raw = await self.api.replace_status(ref, written, resource_version=entry.resource_version)
        except Conflict:
            await self._again(ref, entry)
            raise Moved(f"{ref} changed before its status was written") from None
        except NotFound:
            self.store.missing(MODEL_DEPLOYMENT.kind, key, entry.version)
            raise Moved(f"{ref} is gone") from None
        except Invalid as refusal:
            for note in self._untaken.refused(refusal):
                self._tell(owner, note)
            raise
        self.store.took(MODEL_DEPLOYMENT.kind, raw)
        memory.saved_at = self.clock.monotonic()
        outdated = self._untaken.learn(memory, status, written, raw.get("status") or {})
        for note in (*decision.events, *outdated):
            self._tell(owner, note)
        return problem

    def _tell(self, owner: Owner, note: EventNote) -> None:
        log.info("%s: %s", note.reason, note.message)
        about = Regarding(MODEL_DEPLOYMENT.api_version, MODEL_DEPLOYMENT.kind, owner.namespace, owner.name, owner.uid)
        self.events.record(about, "Warning" if note.warning else "Normal", note.reason, note.reason, note.message)

    def _tell_of_drift(self, work: Pass) -> None:
        for drift in work.drifts:
            text = f"{drift}; it was put back. Change the ModelDeployment instead."
            self._tell(work.owner, EventNote(Reason.DRIFT_CORRECTED, text, warning=True))

    def _worth_writing(self, entry: Entry[ResourceView], memory: Memory, decision: Decision) -> bool:
        if not decision.checkpoint:
            return True
        if not decision.status.under_way or not entry.view.status.revisions:
            return False
        due = self.clock.monotonic() - memory.saved_at >= self.settings.checkpoint_every.seconds
        return due and self.checkpoints.take()

    async def _again(self, ref: Ref, entry: Entry[ResourceView]) -> None:
        try:
            self.store.took(ref.kind.kind, await self.api.get(ref))
        except NotFound:
            self.store.missing(ref.kind.kind, (ref.namespace, ref.name), entry.version)

    async def _steer(self, key: Key, situation: Situation, decision: Decision, memory: Memory) -> None:
        memory.settled = None
        if situation.plan is not None:
            work = Pass(Owner(*key, memory.uid), decision.status, situation.plan, self._children(key, memory))
            await self._actor.steer(work)
            self._tell_of_drift(work)

    async def _act(
        self, key: Key, situation: Situation, decision: Decision, memory: Memory, refused: Problem | None
    ) -> None:
        if situation.plan is None:
            await self._answers.give(Owner(*key, memory.uid), decision.status, self._children(key, memory))
            return
        if decision.checkpoint and refused is None and await self._is_settled(key, situation.plan, memory):
            return
        # The stamp comes first: whatever is seen from here on has it acted upon again.
        stamp, memory.settled = self.store.stamp(key), None
        owner = Owner(*key, memory.uid)
        lost = await self._records.restore(owner, decision.status, self._children(key, memory), memory)
        work = Pass(owner, decision.status, situation.plan, self._children(key, memory))
        work.drained = Book(situation, decision.status).drained
        work.problems += [*lost, refused] if refused is not None else lost
        await self._actor.act(work)
        await self._answers.give(work.owner, work.status, work.children)
        await self._records.prune(work.owner, work.status, work.children)
        memory.problems = tuple(work.problems)
        if work.left:
            self.queue.wake_after(key, self.settings.drain.seconds)
        elif not work.problems:
            memory.settled = Settled(stamp, await self._actor.grounds(situation.plan))
        self._tell_of_drift(work)

    async def _is_settled(self, key: Key, plan: Plan, memory: Memory) -> bool:
        """Whether all is as at the end of an act that met no problem, so that nobody need make the manifests to find that out."""
        settled = memory.settled
        if settled is None or settled.stamp != self.store.stamp(key):
            return False
        return settled.grounds == await self._actor.grounds(plan)

    def _measure(self, key: Key, decision: Decision, situation: Situation, memory: Memory) -> None:
        subscription = None
        if situation.plan is not None:
            children = self._children(key, memory)
            subscription = self._measured.subscription(key, decision.status, situation.plan, children, memory)
        if subscription is None:
            self.metrics.unsubscribe(key)
        else:
            self.metrics.subscribe(key, subscription)
        self._measure_variants(key, decision, situation, memory)

    def _measure_variants(self, key: Key, decision: Decision, situation: Situation, memory: Memory) -> None:
        wanted = {}
        if situation.plan is not None and decision.status.experiment is not None:
            children = self._children(key, memory)
            wanted = self._measured.variants(key, decision.status, situation.plan, children, memory)
        for slot in memory.slots - wanted.keys():
            self.metrics.unsubscribe(slot)
        for slot, subscription in wanted.items():
            self.metrics.subscribe(slot, subscription)
        memory.slots = frozenset(wanted)
