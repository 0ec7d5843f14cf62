"""The process: kopf watches what people write, everything else is started and stopped around it.

This is the only module that imports kopf, and kopf is used as an informer and a shell: `on.event` handlers that hand an object
to the Store and return, a start-up hook and a clean-up hook. No handler that keeps state on objects, no timer, no daemon, no
finalizer, no Events of kopf's own. Who leads is decided by a Lease before the first watch begins, so a standby costs the API
server one small read every two seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import random
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import kopf
from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, Info, ProcessCollector

from modelrollout import __version__
from modelrollout.api.errors import SettingsError
from modelrollout.api.settings import Settings
from modelrollout.controller.kinds import kinds_of
from modelrollout.controller.reconcile import Controller
from modelrollout.controller.views import watched
from modelrollout.kube.client import Client, load_configuration
from modelrollout.kube.errors import ApiError
from modelrollout.kube.events import Events
from modelrollout.kube.guard import Guarded
from modelrollout.kube.kinds import (
    AUTOSCALER,
    CONTROLLER_REVISION,
    DEPLOYMENT,
    LEASE,
    MODEL_DEPLOYMENT,
    OWNER_LABEL,
    ROLLOUT_COMMAND,
    SERVICE,
    Kind,
    Ref,
)
from modelrollout.kube.lease import Lease, LeaseTimes
from modelrollout.kube.lister import Listed, Lister
from modelrollout.kube.watcher import Watcher
from modelrollout.metrics.sampler import Sampler
from modelrollout.metrics.subscription import resource_of
from modelrollout.runtime.budget import Budget
from modelrollout.runtime.clock import Clock, SystemClock
from modelrollout.runtime.configuration import load_settings, namespace_of_this_pod
from modelrollout.runtime.endpoints import serve
from modelrollout.runtime.queue import Key, Queue, Tuning
from modelrollout.runtime.store import Store
from modelrollout.runtime.supervisor import EXIT_FAILED, Heartbeat, Supervisor, end_process, watch_lag
from modelrollout.runtime.telemetry import QueryMetrics, QueueMetrics, RequestMetrics, loop_lag, set_up_logging
from modelrollout.warmup.warmer import Warmer
from modelrollout.warmup.wire import Wire

log = logging.getLogger(__name__)

WATCHED = (MODEL_DEPLOYMENT, ROLLOUT_COMMAND)
"""What people write; kopf watches it."""
CHILDREN = (DEPLOYMENT, SERVICE, CONTROLLER_REVISION, AUTOSCALER)
"""What is made of it, with our label; ten times as many, which is too many for kopf's memory. And `routes`."""

EXIT_USAGE = 2
EXIT_LOST_LEASE = 3
READABLE = 30_000
"""Calls within calls that reading JSON may take. The API server stores objects of up to 10,000 levels, and one that could not be
read would end every watch and every list that it is in. Depth is measured before anything else is done with an object."""
QUEUE_HANGS = 60.0
"""Seconds without a turn of the queue after which the process counts as hung."""


def routes(settings: Settings) -> tuple[Kind, ...]:
    """The kinds of the routers that the administrator has enabled; they may be missing."""
    return tuple(kind for router in settings.routers for kind in kinds_of(router))


class Optional:
    """Asks now and then whether a kind that was missing at the start is served, and ends the process to watch it."""

    def __init__(self, api: Client, kind: Kind, clock: Clock) -> None:
        self._api, self._kind, self._clock = api, kind, clock

    async def run(self) -> None:
        while True:
            await self._clock.sleep_until(self._clock.monotonic() + 30.0)
            try:
                if await self._api.serves(self._kind):
                    log.warning("%s is served now; restarting to watch it", self._kind)
                    end_process(0)
            except ApiError as error:
                log.debug("cannot ask for %s: %s", self._kind, error)


@dataclass(slots=True)
class Operator:
    """All parts of the process and the order in which they start."""

    settings: Settings
    kubeconfig: str | None
    clock: Clock = field(default_factory=SystemClock)
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    supervisor: Supervisor = field(default_factory=Supervisor)
    store: Store = field(init=False)
    queue: Queue = field(init=False)
    _clients: list[Client] = field(default_factory=list)
    _closing: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    _lease: Lease | None = None
    _runners: list[web.AppRunner] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.queue = Queue(
            self.clock,
            rng=random.Random(),  # noqa: S311  jitter
            metrics=QueueMetrics(self.registry),
            tuning=Tuning(workers=self.settings.workers),
        )
        self.store = Store(watched(self.settings), self._woken)
        ProcessCollector(registry=self.registry)
        Info("modelrollout_build", "Version of the operator", registry=self.registry).info({"version": __version__})
        for kind in WATCHED + CHILDREN + routes(self.settings):
            gauge = Gauge(f"modelrollout_{kind.plural}", f"{kind.kind}s in view", registry=self.registry)
            gauge.set_function(partial(self.store.count, kind.kind))

    def _woken(self, key: Key) -> None:
        self.queue.wake(key, urgent=self._asked_to_abort(key))

    def _asked_to_abort(self, key: Key) -> bool:
        commands = self.store.children(key, ROLLOUT_COMMAND.kind)
        return any(
            entry.view.spec and not entry.view.taken and entry.view.spec.action == "Abort" for _, entry in commands
        )

    async def start(self) -> None:
        """Lead, list, then decide. Returns when watches may begin."""
        configuration = await load_configuration(self.kubeconfig)
        metrics = RequestMetrics(self.registry)
        api = Client(configuration, timeout=self.settings.request_timeout.seconds, observer=metrics.observe)
        leader = Client(await load_configuration(self.kubeconfig), timeout=5.0, concurrency=2, observer=metrics.observe)
        self._clients += [api, leader]
        heartbeat = Heartbeat(self.clock.monotonic)
        await self._listen(heartbeat)
        if not await api.serves(MODEL_DEPLOYMENT):
            sys.exit(f"{MODEL_DEPLOYMENT.api_version} {MODEL_DEPLOYMENT.kind} is not served: install the CRDs first")
        guarded = await self._lead(api, leader)
        heartbeat.watch("queue", lambda: self.queue.last_turn, QUEUE_HANGS)
        sampler = Sampler(
            self.settings,
            self.clock,
            self._wake_owner,
            observer=QueryMetrics(self.registry),
        )
        dropped = Counter("modelrollout_events_dropped", "Events that were not written", registry=self.registry)
        events = Events(guarded, self.clock, os.environ.get("HOSTNAME", "modelrollout"), on_drop=dropped.inc)
        rate = self.settings.checkpoints_per_second
        listed = await self._listed(api)
        lister = Lister(api, self.store, self.clock, listed, self.settings.namespaces)
        controller = Controller(
            api=guarded,
            store=self.store,
            queue=self.queue,
            metrics=sampler,
            settings=self.settings,
            clock=self.clock,
            events=events,
            checkpoints=Budget(self.clock.monotonic, rate=rate, burst=max(1.0, rate)),
            warmer=self._warmer(),
            unread=lister.unread,
        )
        await lister.list_all()
        await controller.prime()
        self._watch(api, lister, listed)
        self.supervisor.start("lister", lister.run(self.settings.relist_every.seconds))
        self.supervisor.start("events", events.run())
        self.supervisor.start("sampler", sampler.run())
        self.supervisor.start("lag", watch_lag(self.clock, loop_lag(self.registry)))
        self.supervisor.start("queue", self.queue.run(controller.reconcile))
        log.info("ready: %d ModelDeployments", self.store.count(MODEL_DEPLOYMENT.kind))

    def _wake_owner(self, slot: Key) -> None:
        """Something is known of a resource, or of a variant of its A/B test."""
        self.queue.wake(resource_of(slot))

    def _warmer(self) -> Warmer:
        wire = Wire(self.clock)
        warmer = Warmer(wire, self.clock, self._wake_owner)
        self._closing += [warmer.close, wire.close]
        return warmer

    async def _listen(self, heartbeat: Heartbeat) -> None:
        health, metrics, address = self.settings.health_port, self.settings.metrics_port, self.settings.metrics_address
        if health:
            self._runners.append(await serve(address, health, heartbeat=heartbeat, registry=None))
        if metrics:
            self._runners.append(await serve(address, metrics, heartbeat=None, registry=self.registry))

    async def _lead(self, api: Client, leader: Client) -> Guarded | Client:
        wanted = self.settings.leadership
        if not wanted.enabled:
            return api
        identity = f"{os.environ.get('HOSTNAME', 'local')}-{random.SystemRandom().getrandbits(40):010x}"
        times = LeaseTimes(wanted.duration.seconds, wanted.renew_deadline.seconds, wanted.retry_period.seconds)
        ref = Ref(LEASE, wanted.namespace or namespace_of_this_pod(), wanted.name)
        lease = Lease(leader, ref, identity, self.clock, rng=random.Random(), times=times)  # noqa: S311  jitter
        self._lease = lease
        self.supervisor.start("lease", lease.run(lambda: end_process(EXIT_LOST_LEASE)))
        await lease.acquired.wait()
        return Guarded(api, lease)

    def _watch(self, api: Client, lister: Lister, listed: Sequence[Listed]) -> None:
        for one in listed:
            for namespace in () if one.kind in WATCHED else lister.namespaces:
                watcher = Watcher(api, self.store, lister, self.clock, one, namespace)
                self.supervisor.start(f"watch {one.kind.plural} {namespace}", watcher.run())

    async def _listed(self, api: Client) -> list[Listed]:
        listed = [Listed(MODEL_DEPLOYMENT, self.settings.selector or ""), Listed(ROLLOUT_COMMAND)]
        listed += [Listed(kind, OWNER_LABEL) for kind in CHILDREN]
        for kind in routes(self.settings):
            if await api.serves(kind):
                listed.append(Listed(kind, OWNER_LABEL))
                continue
            log.info("no %s here; asking for it now and then", kind)
            self.supervisor.start(f"optional {kind.plural}", Optional(api, kind, self.clock).run())
        return listed

    async def stop(self) -> None:
        """End in order: no new work, running work finished, the lease given back."""
        await self.supervisor.stop()
        if self._lease is not None:
            await self._lease.release()
        for runner in self._runners:
            await runner.cleanup()
        for close in self._closing:
            await close()
        for client in self._clients:
            await client.close()


def kopf_registry(operator: Operator) -> kopf.OperatorRegistry:
    """Handlers that do nothing but pass objects on."""
    registry = kopf.OperatorRegistry()

    @kopf.on.startup(registry=registry)
    async def start(**_: Any) -> None:
        # kopf would try again in this process, a minute later, on what the first try has left half made.
        try:
            await operator.start()
        except Exception as error:
            log.critical("cannot start: %s", error, exc_info=not isinstance(error, ApiError))
            end_process(EXIT_FAILED)

    @kopf.on.cleanup(registry=registry)
    async def stop(**_: Any) -> None:
        await operator.stop()

    @kopf.on.login(registry=registry)
    def login(**arguments: Any) -> Any:
        if operator.kubeconfig is not None:
            return kopf.login_with_kubeconfig(**arguments)
        found = kopf.login_with_service_account(**arguments)
        return found and replace(found, server=_server_of_this_pod())

    for kind in WATCHED:
        _watch(registry, operator, kind)
    return registry


def _server_of_this_pod() -> str:
    """The API server's address as every container is told it. kopf asks DNS, which may be down or not there at all."""
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


def _watch(registry: kopf.OperatorRegistry, operator: Operator, kind: Kind) -> None:
    @kopf.on.event(kind.group, kind.version, kind.plural, registry=registry, id=kind.plural)
    async def seen(event: Any, **_: Any) -> None:
        operator.store.observe(
            kind.kind, event["object"], deleted=event["type"] == "DELETED", listed=event["type"] is None
        )


class NoEssence(kopf.DiffBaseStorage):
    """Keeps kopf from copying each object of each event deeply, for a difference that only handlers with state would look at."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        return kopf.BodyEssence()

    def fetch(self, **_: Any) -> kopf.BodyEssence | None:
        return None

    def store(self, **_: Any) -> None:
        """Nothing is ever written to an object."""


class Patiently:
    """Seconds between tries of a watch that fails, without an end.

    Of a number of tries the last one would end the process, and with it the rollouts that the failure has nothing to do with: a
    namespace whose permission was withdrawn, one kind that the API server cannot serve. What a watch misses meanwhile it is
    told when it begins anew.
    """

    def __iter__(self) -> Iterator[float]:
        return chain((0.5, 1.0, 2.0), repeat(5.0))


def kopf_settings(settings: Settings) -> kopf.OperatorSettings:
    """Kopf as an informer: nothing written to objects, prompt reconnection, selectors on the server."""
    wanted = kopf.OperatorSettings()
    wanted.posting.enabled = False
    wanted.peering.standalone = True
    wanted.scanning.disabled = True
    wanted.persistence.diffbase_storage = NoEssence()
    wanted.persistence.finalizer = "modelrollout.dev/unused"
    wanted.networking.request_timeout = settings.request_timeout.seconds
    wanted.networking.connect_timeout = 5.0
    wanted.networking.error_backoffs = Patiently()
    wanted.watching.server_timeout = 300  # an int, or kopf asks for "300.0"
    wanted.watching.client_timeout = 330.0
    wanted.watching.connect_timeout = 10.0
    wanted.queueing.idle_timeout = 1.0
    if settings.selector:
        model = MODEL_DEPLOYMENT
        wanted.watching.label_selectors[model.group, model.version, model.plural] = settings.selector
    return wanted


async def run(settings: Settings, kubeconfig: str | None) -> None:
    """Run until a signal ends it."""
    operator = Operator(settings, kubeconfig)
    await kopf.operator(
        registry=kopf_registry(operator),
        settings=kopf_settings(settings),
        # Only peering would use it. Left out, kopf asks for the user's name, and a user without one cannot start.
        identity="modelrollout",  # type: ignore[arg-type] # its NewType is not public
        standalone=True,
        clusterwide=not settings.namespaces,
        namespaces=settings.namespaces,
    )


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="modelrollout", description="Run the ModelRollout operator.")
    parser.add_argument("--settings", type=Path, help="YAML file with settings")
    parser.add_argument("--kubeconfig", help="outside a cluster: which kubeconfig (default: KUBECONFIG)")
    parser.add_argument("--namespace", action="append", help="watch this namespace only; may be repeated")
    parser.add_argument("--selector", help="watch only ModelDeployments with these labels")
    parser.add_argument("--log-format", choices=("auto", "json", "text"))
    parser.add_argument("--log-level", choices=("debug", "info", "warning", "error"))
    parser.add_argument("--no-leader-election", action="store_true", help="for a single process, such as in tests")
    parser.add_argument("--version", action="version", version=__version__)
    return parser.parse_args(argv)


def _flags(arguments: argparse.Namespace) -> dict[str, Any]:
    flags: dict[str, Any] = {}
    if arguments.namespace:
        flags["namespaces"] = arguments.namespace
    if arguments.selector:
        flags["selector"] = arguments.selector
    chosen = {"format": arguments.log_format, "level": arguments.log_level}
    if logging_flags := {name: value for name, value in chosen.items() if value}:
        flags["logging"] = logging_flags
    if arguments.no_leader_election:
        flags["leadership"] = {"enabled": False}
    return flags


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point of `modelrollout`."""
    arguments = _arguments(sys.argv[1:] if argv is None else argv)
    sys.setrecursionlimit(READABLE)
    try:
        settings = load_settings(arguments.settings, os.environ, _flags(arguments))
    except SettingsError as error:
        sys.stderr.write(f"modelrollout: {error}\n")
        sys.exit(EXIT_USAGE)
    style = {"text": "human"}.get(settings.logging.format, settings.logging.format)
    set_up_logging(settings.logging.level.upper(), style=style)
    if settings.logging.level != "debug":
        # kopf tells of each event that a handler took; that is what debug is for.
        for name in ("kopf.objects", "kopf.activities", "kopf._core"):
            logging.getLogger(name).setLevel(logging.WARNING)
    kubeconfig = arguments.kubeconfig or os.environ.get("KUBECONFIG")
    if arguments.kubeconfig:
        os.environ["KUBECONFIG"] = arguments.kubeconfig  # kopf reads it from there
    asyncio.run(run(settings, kubeconfig))


if __name__ == "__main__":
    main()
