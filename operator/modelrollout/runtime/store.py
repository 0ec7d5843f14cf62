"""The latest known view of every object, by kind and name.

Events of the watch, answers to our own writes and full lists all come in here, in any order and each maybe late. Only
one thing is kept of an object: the small view that a kind's projector makes of it. The raw object is never kept, so that
thousands of objects fit into a small process.

What is newer is decided by resourceVersion alone. The API server counts all writes of its store upwards in one number
(a later object of the same name has a larger one, a deletion has one of its own), so the Store never goes back: an event
older than our own last write is ignored, and so is a deletion older than the object that took the name since. Deletions
are remembered for a while, so that a late answer or an old list does not bring the dead back to life.

The owner's key is woken only if the view changed. A write of ours wakes it too: its answer may carry what others changed,
and the watch will not tell of that again.
"""

import sys
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from modelrollout.runtime.queue import Key

V = TypeVar("V")
Json = Mapping[str, Any]

OWNER_LABEL = "modelrollout.dev/deployment"

_TOMBSTONES = 10_000


def everything(raw: Json) -> bool:
    """For a kind of which all objects are ours to see."""
    del raw
    return True


class WentBackError(Exception):
    """A consistent list is older than what was seen before: the cluster's store was restored from a backup.

    Nothing remembered can be compared any more; the process has to start afresh.
    """


def owner_by_label(raw: Json) -> str | None:
    """The name of the ModelDeployment that a child belongs to, from its label."""
    return ((raw.get("metadata") or {}).get("labels") or {}).get(OWNER_LABEL)


def owner_by_name(raw: Json) -> str | None:
    """For the ModelDeployment itself: its own name."""
    name: str = raw["metadata"]["name"]
    return name


@dataclass(frozen=True, slots=True)
class Watched:
    """How one kind is kept: `project` makes its view (comparable by ==), `owner` names the ModelDeployment it belongs to.

    An object without an owner is kept, but wakes nobody. One that is not `ours` (any more) is as good as deleted: the watch tells
    of it once and then no longer, so an answer to a request of our own must not bring it back.
    """

    project: Callable[[Json], Any]
    owner: Callable[[Json], str | None] = owner_by_label
    ours: Callable[[Json], bool] = everything


class Entry(NamedTuple, Generic[V]):
    """One object as last seen. `version` is its resourceVersion; `owner` the key it belongs to."""

    uid: str
    version: int
    owner: Key | None
    view: V

    @property
    def resource_version(self) -> str:
        return str(self.version)


class Store:
    """All objects of the watched kinds. Everything here is synchronous and does no I/O."""

    def __init__(self, kinds: Mapping[str, Watched], wake: Callable[[Key], None]) -> None:
        self._kinds = dict(kinds)
        self._wake = wake
        self._entries: dict[str, dict[Key, Entry[Any]]] = {kind: {} for kind in kinds}
        self._owned: dict[Key, set[tuple[str, str]]] = {}  # owner to (kind, name)
        self._buried: OrderedDict[tuple[str, Key], int] = OrderedDict()  # to the version at which it was gone
        self._relists: dict[str, int] = {}  # how many listed events came in, and how many of them a full list covered
        self._settled: dict[str, int] = {}
        self._newest = 0
        self._stamps: dict[Key, int] = {}
        self._stamped = 0

    def get(self, kind: str, key: Key) -> Entry[Any] | None:
        return self._entries[kind].get(key)

    def keys(self, kind: str) -> tuple[Key, ...]:
        return tuple(self._entries[kind])

    def count(self, kind: str) -> int:
        return len(self._entries[kind])

    def stamp(self, owner: Key) -> int:
        """A number that is another one after anything that belongs to the owner was seen anew, even if its view is the same."""
        return self._stamps.get(owner, 0)

    def children(self, owner: Key, kind: str) -> list[tuple[str, Entry[Any]]]:
        """Objects of a kind that belong to the owner, with their names, in the order of the names."""
        entries, namespace = self._entries[kind], owner[0]
        names = sorted(name for of, name in self._owned.get(owner, ()) if of == kind)
        return [(name, entries[namespace, name]) for name in names]

    def observe(self, kind: str, raw: Json, *, deleted: bool = False, listed: bool = False) -> bool:
        """Take an event of the watch; tells whether anything changed. `listed`: it came from a list, not from a change."""
        if listed:
            self._relists[kind] = self._relists.get(kind, 0) + 1
        return self._bury(kind, raw) if deleted else self._keep(kind, raw)

    def took(self, kind: str, raw: Json) -> bool:
        """Take the answer to a write or a read of our own, at once; tells whether anything changed."""
        return self._keep(kind, raw)

    def missing(self, kind: str, key: Key, seen: int) -> None:
        """A fresh read found nothing where version `seen` was known: drop it, unless it was replaced since."""
        entry = self._entries[kind].get(key)
        if entry is not None and entry.version <= seen:
            self._drop(kind, key, entry.version)

    def wake_all(self, kind: str, namespace: str) -> None:
        """Wake the owners of all objects of a kind in a namespace."""
        self._tell(*[entry.owner for key, entry in self._entries.get(kind, {}).items() if key[0] == namespace])

    def listing(self, kind: str) -> "Listing":
        """Begin a full list of a kind; call this before the list is asked for."""
        return Listing(self, kind, self._newest, self._relists.get(kind, 0))

    def replace(self, kind: str, items: Iterable[Json], list_version: str) -> None:
        """Take a full list of a kind that is at hand in one piece."""
        listing = self.listing(kind)
        for raw in items:
            listing.add(raw)
        listing.end(list_version)

    def relisted(self) -> frozenset[str]:
        """The kinds whose watch began anew since their last full list: something may have vanished unseen."""
        return frozenset(kind for kind, count in self._relists.items() if count > self._settled.get(kind, 0))

    def __iter__(self) -> Iterator[tuple[str, Key, Entry[Any]]]:
        for kind, entries in self._entries.items():
            for key, entry in entries.items():
                yield kind, key, entry

    def _settle(self, kind: str, present: set[Key], version: int, relists: int, lacking: frozenset[str]) -> None:
        for key, entry in list(self._entries[kind].items()):
            if key not in present and key[0] not in lacking and entry.version <= version:
                self._drop(kind, key, version)
        if not lacking:
            self._settled[kind] = max(relists, self._settled.get(kind, 0))

    def _keep(self, kind: str, raw: Json) -> bool:
        if not self._kinds[kind].ours(raw):
            return self._bury(kind, raw)
        key, version = _key(raw), _version(raw)
        self._newest = max(self._newest, version)
        former = self._entries[kind].get(key)
        if former is not None and version <= former.version:
            return False
        if version <= self._buried.get((kind, key), -1):
            return False
        watched, uid = self._kinds[kind], raw["metadata"]["uid"]
        name = watched.owner(raw)
        owner = (key[0], sys.intern(name)) if name else None
        view = watched.project(raw)
        if former is not None and former.uid == uid:
            uid = former.uid
            if former.view == view:
                view = former.view  # one copy, and the old one is shared already
        self._entries[kind][key] = Entry(uid, version, owner, view)
        if former is not None and former.owner != owner:
            self._disown(kind, key, former.owner)
        if owner is not None:
            self._owned.setdefault(owner, set()).add((kind, key[1]))
            self._mark(owner)
        changed = former is None or former.uid != uid or former.owner != owner or former.view is not view
        if changed:
            self._tell(former.owner if former is not None else None, owner)
        return changed

    def _bury(self, kind: str, raw: Json) -> bool:
        key, version = _key(raw), _version(raw)
        self._newest = max(self._newest, version)
        former = self._entries[kind].get(key)
        if former is not None and former.version > version:
            return False
        self._remember(kind, key, version)
        if former is None:
            return False
        self._drop(kind, key, version)
        return True

    def _drop(self, kind: str, key: Key, version: int) -> None:
        entry = self._entries[kind].pop(key)
        self._remember(kind, key, version)
        self._disown(kind, key, entry.owner)
        self._tell(entry.owner)

    def _remember(self, kind: str, key: Key, version: int) -> None:
        self._buried[kind, key] = max(version, self._buried.pop((kind, key), -1))
        if len(self._buried) > _TOMBSTONES:
            self._buried.popitem(last=False)

    def _disown(self, kind: str, key: Key, owner: Key | None) -> None:
        if owner is not None and (owned := self._owned.get(owner)) is not None:
            owned.discard((kind, key[1]))
            self._mark(owner)
            if not owned:
                del self._owned[owner], self._stamps[owner]

    def _mark(self, owner: Key) -> None:
        self._stamped += (
            1  # never the same number again, so that an owner who is forgotten and comes back has a new one
        )
        self._stamps[owner] = self._stamped

    def _tell(self, *owners: Key | None) -> None:
        for owner in dict.fromkeys(owners):
            if owner is not None:
                self._wake(owner)


class Listing:
    """A full list on its way into the Store, page by page: each object is projected and let go.

    What the list lacks is dropped at its `end`, unless it is newer than the list. A list that is never ended drops nothing,
    and the kind still counts as relisted; so it does when its watch began anew after the list was asked for.
    """

    def __init__(self, store: Store, kind: str, mark: int, relists: int) -> None:
        self._store, self._kind, self._mark, self._relists = store, kind, mark, relists
        self._present: set[Key] = set()

    def add(self, raw: Json) -> None:
        self._present.add(_key(raw))
        self._store.took(self._kind, raw)

    def end(self, list_version: str, *, consistent: bool = False, lacking: frozenset[str] = frozenset()) -> None:
        """All pages are in. `consistent`: it was not served from a cache (asked for without a resourceVersion).

        `lacking`: namespaces that could not be read. Nothing in them is dropped, and the kind still counts as relisted.

        Raises `WentBackError` if a consistent list is older than what had been seen when it began.
        """
        version = int(list_version)
        if consistent and version < self._mark:
            raise WentBackError(f"the list of {self._kind} is of version {version}, but {self._mark} was seen before")
        self._store._settle(self._kind, self._present, version, self._relists, lacking)  # noqa: SLF001 its other half


def _key(raw: Json) -> Key:
    metadata = raw["metadata"]
    return sys.intern(metadata.get("namespace", "")), sys.intern(metadata["name"])


def _version(raw: Json) -> int:
    return int(raw["metadata"]["resourceVersion"])
