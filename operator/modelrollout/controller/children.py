"""The objects that belong to one ModelDeployment, as the Store shows them now.

Only what is controlled by the resource's uid is ours; an object of the same name that is not is looked at nowhere but in the
guard of the write that would touch it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from modelrollout.kube.kinds import (
    AUTOSCALER,
    CONTROLLER_REVISION,
    DEPLOYMENT,
    ROLLOUT_COMMAND,
    SERVICE,
    Kind,
)
from modelrollout.runtime.queue import Key
from modelrollout.runtime.store import Entry, Store
from modelrollout.traffic.base import Parts
from modelrollout.workload.comparer import comparer_name
from modelrollout.workload.records import PlanRecord, RevisionRecord

from .kinds import ROUTED
from .views import CommandView, DeploymentView, RoutedView


@dataclass(frozen=True, slots=True)
class Children:
    """By revision: deployments and records. By name: the rest, a comparer's Deployment among it."""

    name: str
    """Of the resource."""
    deployments: dict[str, Entry[DeploymentView]]
    records: dict[str, RevisionRecord]
    plans: dict[str, PlanRecord]
    routes: dict[tuple[str, str], Entry[RoutedView]]
    """The objects of routers, by (kind, name): of the one in force, and of one that the spec named before."""
    commands: tuple[tuple[str, Entry[CommandView]], ...]
    named: dict[tuple[str, str], Entry[Any]]
    """Everything of ours, by (kind, name)."""

    @classmethod
    def of(cls, store: Store, key: Key, uid: str) -> Children:
        """Gather what the resource with this uid owns."""
        named: dict[tuple[str, str], Entry[Any]] = {}
        for kind in (DEPLOYMENT, SERVICE, CONTROLLER_REVISION, AUTOSCALER, *ROUTED.values()):
            for name, entry in store.children(key, kind.kind):
                if entry.view.controller == uid:
                    named[kind.kind, name] = entry
        records: dict[str, RevisionRecord] = {}
        plans: dict[str, PlanRecord] = {}
        for (kind_name, name), entry in named.items():
            if kind_name != CONTROLLER_REVISION.kind:
                continue
            if isinstance(entry.view.record, RevisionRecord):
                records[entry.view.record.revision] = entry.view.record
            elif isinstance(entry.view.record, PlanRecord):
                plans[name] = entry.view.record
        return cls(
            name=key[1],
            deployments={
                entry.view.revision: entry
                for (kind_name, name), entry in named.items()
                if kind_name == DEPLOYMENT.kind and name != comparer_name(key[1])
            },
            records=records,
            plans=plans,
            routes={(kind_name, name): entry for (kind_name, name), entry in named.items() if kind_name in ROUTED},
            commands=tuple(store.children(key, ROLLOUT_COMMAND.kind)),
            named=named,
        )

    @property
    def parts(self) -> Parts:
        """What the objects of routers say, one by one."""
        return {ref: found.view.route for ref, found in self.routes.items()}

    def entry(self, kind: Kind, name: str) -> Entry[Any] | None:
        """One of ours by kind and name."""
        return self.named.get((kind.kind, name))
