"""Makes one object of the cluster equal to what is wanted, and sends nothing when it is.

A steady object costs a comparison of two short texts. One that differs is applied with force, because the fields we apply
are ours, and only if it still is the very object that the decision was made on, because a decision holds for what it
saw: a `Conflict` goes to the caller, who observes and decides again. A new object is looked for first, so that one of the
same name that belongs to somebody else is found and left alone. Nothing is ever sent a second time from here.

Some servers store what we send in another way (a webhook that rewrites images). The answer to our own apply shows it, and
that form is then accepted for this object and this manifest; else we would write at every look, for ever.
"""

import logging
from collections import OrderedDict
from dataclasses import dataclass

from modelrollout.kube.api import Json, KubeApi, Version
from modelrollout.kube.errors import NotFound
from modelrollout.kube.kinds import Ref, ref_of
from modelrollout.kube.projection import desired_digest, observed_digest

log = logging.getLogger(__name__)

_ACCEPTED_REMEMBERED = 20_000


@dataclass(frozen=True, slots=True)
class Seen:
    """What has to be known of an object to decide about a write: made by `seen`, kept in its view in the Store.

    `digest` is of the fields that are ours, empty if none is; `controller` the uid of the owner that controls it, or empty.
    """

    uid: str
    resource_version: str
    digest: str
    controller: str


def seen(raw: Json) -> Seen:
    metadata = raw["metadata"]
    return Seen(metadata["uid"], metadata["resourceVersion"], observed_digest(raw), controller_of(raw))


def controller_of(raw: Json) -> str:
    """The uid of the owner that controls the object, or empty."""
    for owner in raw["metadata"].get("ownerReferences") or ():
        if owner.get("controller"):
            return str(owner["uid"])
    return ""


@dataclass(frozen=True, slots=True)
class Unchanged:
    """It was as wanted; nothing was sent."""


@dataclass(frozen=True, slots=True)
class Applied:
    """The object as the server has it now, for the Store. `written` is False when a fresh read found it as wanted."""

    raw: Json
    created: bool = False
    written: bool = True


@dataclass(frozen=True, slots=True)
class Foreign:
    """Something of this name is there that is not ours. It was not touched. `who` says whose it is, for people."""

    ref: Ref
    who: str


Outcome = Unchanged | Applied | Foreign


class Applier:
    """Applies manifests for owners; remembers what the server made of them."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api
        self._accepted: OrderedDict[tuple[str, str], str] = OrderedDict()  # (uid, desired) to the digest it got

    async def ensure(self, desired: Json, known: Seen | None, *, owner: str) -> Outcome:
        """Make the object as `desired` (in canonical spelling, with its controlling owner reference to uid `owner`).

        `known` is what the Store shows, None if nothing. Raises `Conflict` when that is out of date, and any other
        `ApiError`; then nothing is known about the object until it is read again.
        """
        wanted = desired_digest(desired)
        if known is not None:
            return await self._update(desired, known, wanted, owner)
        ref = ref_of(dict(desired))
        try:
            found = await self._api.get(ref)
        except NotFound:
            return self._learn(await self._api.apply(desired), wanted, created=True)
        outcome = await self._update(desired, seen(found), wanted, owner, found)
        return Applied(found, written=False) if isinstance(outcome, Unchanged) else outcome

    def as_wanted(self, desired: Json, known: Seen) -> bool:
        """Tell whether `ensure` would send nothing."""
        return self._matches(known, desired_digest(desired))

    async def _update(self, desired: Json, known: Seen, wanted: str, owner: str, found: Json | None = None) -> Outcome:
        if known.controller != owner:
            return Foreign(ref_of(dict(desired)), _whose(known, found))
        if self._matches(known, wanted):
            return Unchanged()
        raw = await self._api.apply(desired, force=True, only_if=Version(known.uid, known.resource_version))
        return self._learn(raw, wanted)

    def _matches(self, known: Seen, wanted: str) -> bool:
        return known.digest == wanted or known.digest == self._accepted.get((known.uid, wanted))

    def _learn(self, raw: Json, wanted: str, *, created: bool = False) -> Applied:
        got = observed_digest(raw)
        if got != wanted:
            metadata = raw["metadata"]
            self._accepted[metadata["uid"], wanted] = got
            if len(self._accepted) > _ACCEPTED_REMEMBERED:
                self._accepted.popitem(last=False)
            log.info("the API server stores %s otherwise than it was sent; accepted", metadata["name"])
        return Applied(raw, created=created)


def _whose(known: Seen, found: Json | None) -> str:
    if found is None:
        return f"controlled by the owner with uid {known.controller}" if known.controller else "without a controller"
    for owner in found["metadata"].get("ownerReferences") or ():
        if owner.get("controller"):
            return f"controlled by {owner.get('kind')} {owner.get('name')}"
    managers = sorted({str(entry.get("manager")) for entry in found["metadata"].get("managedFields") or ()})
    return f"without a controller, written by {', '.join(managers)}" if managers else "without a controller"
