"""One leader at a time, by a Lease of coordination.k8s.io.

Clocks of machines differ, so nobody's wall clock is believed. A candidate remembers when, by its own monotonic clock, it
last saw the Lease change, and takes it over only when it has stood still for its whole duration since. The leader
believes in its lease for a shorter time than that (the renew deadline), counted from the moment before it **sent** the
last renewal that succeeded. So, at equal speed of monotonic clocks, the leader has stopped before another begins.

Losing the lease ends the process: there is no state in which a former leader goes on. The renewal has an API client of
its own, and the deadline a task of its own, so that neither slow requests nor a hanging renewal can hide the loss.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from modelrollout.kube.api import Json, KubeApi
from modelrollout.kube.errors import AlreadyExists, ApiError, Conflict, NotFound
from modelrollout.kube.kinds import Ref
from modelrollout.runtime.clock import Clock

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LeaseTimes:
    """In seconds. `duration` is how long others wait; `deadline` how long the leader believes in its last renewal."""

    duration: float = 15.0
    deadline: float = 10.0
    retry: float = 2.0

    def __post_init__(self) -> None:
        if not self.duration > self.deadline > 2 * self.retry > 0:
            raise ValueError(
                f"a lease needs duration > deadline > 2 x retry > 0, not {self.duration}, {self.deadline}, {self.retry}"
            )


class Lease:
    """The lease at `ref`, wanted by `identity` (unique for each process: the pod's name and a random part)."""

    def __init__(  # noqa: PLR0913 each is another thing to work with
        self,
        api: KubeApi,
        ref: Ref,
        identity: str,
        clock: Clock,
        *,
        rng: random.Random,
        times: LeaseTimes | None = None,
    ) -> None:
        self._api, self._ref, self._identity, self._clock = api, ref, identity, clock
        self._rng = rng
        self._times = times or LeaseTimes()
        self._observed: Json | None = None  # the Lease as last read or written
        self._changed_at = clock.monotonic()  # when it was last seen to change
        self._renewed_at: float | None = None  # the reading before our last successful renewal was sent
        self._stale = True  # what was observed last is not what is there
        self.acquired = asyncio.Event()

    def held(self) -> bool:
        """Whether we lead, by our own clock, now."""
        return self._renewed_at is not None and self._clock.monotonic() < self._renewed_at + self._times.deadline

    def holder(self) -> str:
        """Who leads as far as we know; empty if nobody."""
        return str(_spec(self._observed).get("holderIdentity") or "")

    async def run(self, on_lost: Callable[[], None]) -> None:
        """Wait for the lease, then renew it until it is lost (then `on_lost` is called) or the task is cancelled."""
        while not await self._try():
            await self._pause()
        log.info("leading as %s", self._identity)
        self.acquired.set()
        renewals = asyncio.ensure_future(self._renew())
        deadline = asyncio.ensure_future(self._watch_deadline())
        try:
            await asyncio.wait({renewals, deadline}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            renewals.cancel()
            deadline.cancel()
        self._renewed_at = None
        if self.holder() == self._identity:
            log.critical("the lease is lost: it was not renewed within %g s", self._times.deadline)
        else:
            log.critical("the lease is lost to %s", self.holder() or "nobody we know")
        on_lost()

    async def release(self) -> None:
        """Give the lease back, so that another need not wait. Call it when nothing is being written any more."""
        if not self.held():
            return
        self._renewed_at = None
        for _ in range(2):  # a renewal that was cut off when we stopped may still arrive in between
            try:
                current = await self._api.get(self._ref)
                if _spec(current).get("holderIdentity") != self._identity:
                    return
                free = {"holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": self._stamp()}
                await self._api.replace({**current, "spec": {**_spec(current), **free}})
            except Conflict:
                continue
            except ApiError as error:
                log.warning("the lease could not be given back and runs out by itself: %s", error)
            return

    async def _renew(self) -> None:
        while True:
            await self._pause()
            if not await self._try() and self.holder() != self._identity:
                return

    async def _watch_deadline(self) -> None:
        while self._renewed_at is not None and self.held():
            await self._clock.sleep_until(self._renewed_at + self._times.deadline)

    async def _pause(self) -> None:
        # Candidates that were started together should not all ask together.
        pause = self._times.retry * self._rng.uniform(0.9, 1.1)
        await self._clock.sleep_until(self._clock.monotonic() + pause)

    async def _try(self) -> bool:
        """Acquire or renew; tells whether we hold it now. Errors are logged and mean no."""
        began = self._clock.monotonic()
        try:
            written = await self._write_if_free()
        except (Conflict, AlreadyExists):
            # Somebody wrote meanwhile, or our own earlier write arrived after all: look again the next time.
            self._stale = True
            return False
        except ApiError as error:
            log.warning("no answer about the lease: %s", error)
            self._stale = True
            return False
        if written is None:
            return False
        self._see(written)
        self._renewed_at, self._stale = began, False
        return True

    async def _write_if_free(self) -> Json | None:
        """Write our name into the Lease if we may; None if another holds it."""
        if self._stale or self._observed is None or not self.held():
            try:
                self._see(await self._api.get(self._ref))
            except NotFound:
                return await self._api.create(self._manifest({}, transitions=0))
        assert self._observed is not None
        spec = _spec(self._observed)
        holder = str(spec.get("holderIdentity") or "")
        duration = float(spec.get("leaseDurationSeconds") or self._times.duration)
        if holder not in {"", self._identity} and self._clock.monotonic() < self._changed_at + duration:
            return None
        transitions = int(spec.get("leaseTransitions") or 0) + (holder != self._identity)
        return await self._api.replace(self._manifest(self._observed, transitions=transitions))

    def _see(self, raw: Json) -> None:
        if self._observed is None or _spec(raw) != _spec(self._observed):
            self._changed_at = self._clock.monotonic()
        self._observed = raw

    def _manifest(self, former: Json, *, transitions: int) -> dict[str, Any]:
        now = self._stamp()
        spec = _spec(former)
        ours = spec.get("holderIdentity") == self._identity
        metadata = former.get("metadata") or {"namespace": self._ref.namespace, "name": self._ref.name}
        return {
            "apiVersion": self._ref.kind.api_version,
            "kind": self._ref.kind.kind,
            "metadata": metadata,
            "spec": {
                "holderIdentity": self._identity,
                "leaseDurationSeconds": round(self._times.duration),
                "acquireTime": spec.get("acquireTime") or now if ours else now,
                "renewTime": now,
                "leaseTransitions": transitions,
            },
        }

    def _stamp(self) -> str:
        return datetime.fromtimestamp(self._clock.now(), UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _spec(raw: Json | None) -> Mapping[str, Any]:
    spec: Mapping[str, Any] = (raw or {}).get("spec") or {}
    return spec
