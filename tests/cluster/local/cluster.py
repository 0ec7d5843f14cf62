"""A cluster of host processes: `Cluster` for one Linux machine.

`up` leaves three kinds of results: builds in the cache (kept), the cluster's folder (removed by `down`) and processes. The
plan is written before anything starts and ClusterInfo only when everything is ready, so whoever comes after a killed `up`
sees a plan without an info, and clears away first. On a cluster that was up, `up` starts only what is missing.
"""

import os
import shutil
from pathlib import Path

from tests.cluster.build import debian
from tests.cluster.build.artifact import remove_tree
from tests.cluster.contract import ClusterError, ClusterInfo, ClusterStatus, Flavor, Provider, State, read_info
from tests.cluster.local.component import Component, all_ready, start_waves, statuses, stop_waves
from tests.cluster.local.daemon import end, orphans, write_atomically
from tests.cluster.local.flavors import Parts, artifacts, control_plane, packages, parts
from tests.cluster.local.plan import PREFERRED, Options, Plan
from tests.cluster.locks import exclusive
from tests.cluster.places import ClusterPlaces, cache_home, starts_lock
from tests.cluster.progress import Steps, default_steps

PATIENCE = 90.0  # seconds for one part to become ready, on a slow disk
DEFAULT_NAMES = {Flavor.PODS: "local", Flavor.KWOK: "kwok"}


class LocalCluster:
    """See `Cluster`. `options` count only when `up` makes the cluster."""

    def __init__(
        self,
        flavor: Flavor = Flavor.PODS,
        name: str | None = None,
        options: Options | None = None,
        steps: Steps | None = None,
    ) -> None:
        self.name = name or DEFAULT_NAMES[flavor]
        self.places = ClusterPlaces.of(self.name)
        self._asked_flavor = flavor
        self._options = options or Options()
        self._steps = steps or default_steps()

    @property
    def plan(self) -> Plan | None:
        """The plan of the cluster that is there, None when there is none."""
        return Plan.load(self.places.plan)

    @property
    def flavor(self) -> Flavor:
        """The flavor of the cluster that is there, else the one asked for."""
        plan = self.plan
        return plan.flavor if plan else self._asked_flavor

    @property
    def _with_envoy(self) -> bool:
        plan = self.plan
        return self._options.envoy or (plan is not None and plan.options.envoy)

    def build(self) -> None:
        debian.ensure(packages(self.flavor), self._steps)
        for artifact in artifacts(self.flavor, self._with_envoy):
            artifact.provide(self._steps)

    def up(self) -> ClusterInfo:
        self._check_user()
        with exclusive(self.places.lock, on_wait=self._say_waiting):
            plan, info = self.plan, read_info(self.places.info)
            if plan and plan.flavor is not self._asked_flavor:
                raise ClusterError(f"cluster {self.name} is there with flavor {plan.flavor}; take it down first")
            if plan and info:
                if self._options.envoy and not plan.options.envoy:
                    raise ClusterError(f"cluster {self.name} is there without Envoy Gateway; take it down first")
                return self._mend(plan, info)
            self._clear()
            self.build()
            with exclusive(starts_lock(), on_wait=lambda: self._steps.say("another cluster starts; waiting for it")):
                return self._make()

    def down(self) -> None:
        with exclusive(self.places.lock, on_wait=self._say_waiting):
            if self.places.root.exists() or orphans(self.places.root):
                with self._steps.step(f"Take cluster {self.name} down", expected=5):
                    self._clear()

    def status(self) -> ClusterStatus:
        plan = self.plan
        if plan is None:
            return ClusterStatus(self.name, State.DOWN)
        info = read_info(self.places.info)
        components = statuses(self._parts(plan).waves())
        healthy = info is not None and all(part.ready for part in components)
        return ClusterStatus(self.name, State.RUNNING if healthy else State.DEGRADED, components, info)

    def component(self, name: str) -> Component:
        """One part of the cluster that is there, for tests that take it away for a while; raises ClusterError."""
        components = {part.name: part for wave in self._parts(self._need_plan()).waves() for part in wave}
        if name not in components:
            raise ClusterError(f"cluster {self.name} has no part {name!r}; it has {', '.join(components)}")
        return components[name]

    def load_image(self, image: str | Path) -> None:
        self._parts(self._need_plan()).load_image(image)

    def _make(self) -> ClusterInfo:
        plan = Plan.fresh(self._asked_flavor, self._options)
        made = self._parts(plan)
        made.check_machine()
        self.places.make()
        plan.save(self.places.plan)
        try:
            made.remember()
            control_plane(plan, self.places, self._built(plan)).prepare()
            start_waves(made.waves(), PATIENCE, self._steps)
        except BaseException as error:
            kept = self._keep_logs()
            self._clear()
            if isinstance(error, ClusterError):
                raise ClusterError(str(error).replace(str(self.places.logs), str(kept))) from error
            raise
        info = made.describe(self._info(plan))
        write_atomically(self.places.info, info.to_json())
        return info

    def _mend(self, plan: Plan, info: ClusterInfo) -> ClusterInfo:
        """Start what is missing of a cluster that was up; nothing when all is well."""
        waves = self._parts(plan).waves()
        if not all_ready(waves):
            self.build()
            start_waves(waves, PATIENCE, self._steps)
        return info

    def _clear(self) -> None:
        """Remove everything that is left of the cluster, however its `up` ended."""
        # A folder without a readable plan: `up` was killed right at its start, or the file was damaged.
        plan = self.plan or Plan(self._asked_flavor, PREFERRED[self._asked_flavor])
        known = self._parts(plan)
        there = self.places.root.exists()
        # All processes at once: nobody needs the state that an orderly end would save.
        end(orphans(self.places.root), patience=1.0)
        if there:
            stop_waves(known.waves())
            known.clear()
            remove_tree(self.places.root)

    def _built(self, plan: Plan) -> dict[str, Path]:
        return {artifact.name: artifact.path for artifact in artifacts(plan.flavor, plan.options.envoy)}

    def _parts(self, plan: Plan) -> Parts:
        return parts(plan, self.places, self._built(plan))

    def _need_plan(self) -> Plan:
        plan = self.plan
        if plan is None:
            raise ClusterError(f"cluster {self.name} is not up")
        return plan

    def _info(self, plan: Plan) -> ClusterInfo:
        built = self._built(plan)
        return ClusterInfo(
            name=self.name,
            provider=Provider.LOCAL,
            flavor=plan.flavor,
            server=plan.server,
            kubeconfig=self.places.kubeconfig,
            kubectl=built["kubernetes"] / "bin" / "kubectl",
            helm=built["helm"] / "bin" / "helm",
        )

    def _keep_logs(self) -> Path:
        kept = cache_home() / "logs" / f"failed-{self.name}"
        remove_tree(kept)
        if self.places.logs.exists():
            shutil.copytree(self.places.logs, kept)
        return kept

    def _check_user(self) -> None:
        if os.uname().sysname != "Linux":
            raise ClusterError("the local cluster needs Linux; use --cluster kind or --cluster existing")
        if self._asked_flavor is Flavor.PODS and os.geteuid() != 0:
            raise ClusterError("the local cluster runs real pods as root; use sudo, --cluster kind, or --flavor kwok")

    def _say_waiting(self) -> None:
        self._steps.say(f"another process works on cluster {self.name}; waiting for it")
