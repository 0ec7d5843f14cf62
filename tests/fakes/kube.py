"""An API server in memory: deterministic, quick, and strict about what the real one is strict about.

It keeps resourceVersions in one row, refuses writes that are out of date, owns fields by manager as server-side apply does
(see fields.py), keeps spec and status apart, counts generations, and deletes what loses its owner. It has no defaults (but
one, replicas: 1), no validation and no webhooks: those are tested against a real server.

Faults are hooks. A `before` hook that raises stops the request; an `after` hook that raises loses the answer of a request
that was carried out. Hooks may be async, to delay. Watchers are called in order with each change; a test that wants them
late keeps them back itself. Objects handed in and out are shared with the store: nobody changes them in place, as `KubeApi`
demands.
"""

import copy
import inspect
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from modelrollout.kube.api import FIELD_MANAGER, Json, KubeApi, Page, Propagation, Version
from modelrollout.kube.errors import AlreadyExists, Conflict, Invalid, NotFound
from modelrollout.kube.kinds import DEPLOYMENT, KINDS, Kind, Ref, ref_of
from tests.fakes.fields import Path, fields_v1, leaves, merge, remove

Manager = tuple[str, str, str]
"""Name, operation (Apply, Update) and subresource."""

Hook = Callable[["Request"], Any]
Watcher = Callable[[Kind, Json, bool], None]

_SERVER_SIDE = ("managedFields", "resourceVersion", "generation")


@dataclass(frozen=True)
class Request:
    """One request, as the hooks and `requests` see it."""

    verb: str
    kind: Kind
    namespace: str
    name: str
    body: Json | None = None
    resource_version: str | None = None

    @property
    def write(self) -> bool:
        return self.verb not in {"GET", "LIST"}


class FakeKube(KubeApi):
    """The API server and its objects."""

    def __init__(
        self, now: Callable[[], float] = lambda: 1_700_000_000.0, kinds: Iterable[Kind] = KINDS.values()
    ) -> None:
        self.version = 1_000
        self.objects: dict[Ref, Json] = {}
        self.kinds = set(kinds)
        self.requests: list[Request] = []
        self.before: list[Hook] = []
        self.after: list[Hook] = []
        self.watchers: list[Watcher] = []
        self._now = now
        self._owned: dict[Ref, dict[Manager, frozenset[Path]]] = {}
        self._created = 0

    # What tests do behind the operator's back: no hooks, not counted as requests.

    def peek(self, ref: Ref) -> Json | None:
        return self.objects.get(ref)

    def of(self, kind: Kind, namespace: str = "") -> list[Json]:
        """All objects of a kind, in the order of their names."""
        found = [ref for ref in self.objects if ref.kind == kind and namespace in {"", ref.namespace}]
        return [self.objects[ref] for ref in sorted(found, key=lambda ref: (ref.namespace, ref.name))]

    def edit(
        self,
        ref: Ref,
        change: Callable[[dict[str, Any]], None],
        *,
        manager: str = "kubectl-edit",
        subresource: str = "",
    ) -> Json:
        """Change an object as somebody else: `change` gets a copy to work on. What it changes belongs to `manager` then."""
        new = copy.deepcopy(dict(self._existing(ref)))
        change(new)
        return self._update(ref, new, (manager, "Update", subresource))

    def put(self, manifest: Json, *, manager: str = "kubectl-create") -> Json:
        """Create an object, or replace its spec and metadata, as somebody else."""
        ref = ref_of(dict(manifest))
        new = copy.deepcopy(dict(manifest))
        if ref not in self.objects:
            return self._create(ref, new, (manager, "Update", ""))
        live = self.objects[ref]
        new["metadata"] = {**live["metadata"], **new["metadata"]}
        if "status" in live:
            new["status"] = live["status"]
        return self._update(ref, new, (manager, "Update", ""))

    def set_status(self, ref: Ref, status: Json) -> Json:
        """Set an object's status as its controller does."""
        return self._set_status(ref, status, "kube-controller-manager")

    def remove(self, ref: Ref) -> None:
        """Delete an object and all that it owns, as somebody else."""
        self._delete(ref)
        self.collect()

    def collect(self) -> None:
        """Delete the objects whose owners are all gone."""
        alive = {raw["metadata"]["uid"] for raw in self.objects.values()}
        for ref in sorted(self.objects, key=str):
            if (raw := self.objects.get(ref)) is None:
                continue
            owners = raw["metadata"].get("ownerReferences") or ()
            if owners and not any(owner["uid"] in alive for owner in owners):
                self._delete(ref)
                self.collect()
                return

    def writes(self) -> Counter[tuple[str, str]]:
        """How many writes were asked for, by verb and kind."""
        return Counter((request.verb, request.kind.kind) for request in self.requests if request.write)

    # KubeApi

    async def get(self, ref: Ref) -> Json:
        return await self._serve(Request("GET", ref.kind, ref.namespace, ref.name), lambda: self._existing(ref))

    async def pages(
        self,
        kind: Kind,
        *,
        namespace: str = "",
        labels: str = "",
        resource_version: str | None = None,
        limit: int = 500,
    ) -> AsyncIterator[Page]:
        yield await self.list(kind, namespace=namespace, labels=labels, resource_version=resource_version)

    async def list(
        self, kind: Kind, *, namespace: str = "", labels: str = "", resource_version: str | None = None
    ) -> Page:
        request = Request("LIST", kind, namespace, "", resource_version=resource_version)
        found = await self._serve(
            request,
            lambda: (tuple(raw for raw in self.of(kind, namespace) if _selected(raw, labels)), str(self.version)),
        )
        return Page(*found)

    async def apply(
        self, manifest: Json, *, force: bool = False, only_if: Version | None = None, dry_run: bool = False
    ) -> Json:
        ref = ref_of(dict(manifest))
        version = None if only_if is None else only_if.resource_version
        request = Request("APPLY", ref.kind, ref.namespace, ref.name, manifest, version)
        return await self._serve(request, lambda: self._apply(ref, manifest, force, only_if, dry_run))

    async def create(self, manifest: Json) -> Json:
        body = copy.deepcopy(dict(manifest))
        if "name" not in body["metadata"]:
            body["metadata"]["name"] = f"{body['metadata']['generateName']}{self._created:05d}"
        ref = ref_of(body)
        request = Request("POST", ref.kind, ref.namespace, ref.name, manifest)
        return await self._serve(request, lambda: self._create(ref, body, (FIELD_MANAGER, "Update", "")))

    async def replace(self, manifest: Json) -> Json:
        ref, version = ref_of(dict(manifest)), manifest["metadata"].get("resourceVersion")
        request = Request("PUT", ref.kind, ref.namespace, ref.name, manifest, version)

        def act() -> Json:
            self._check(ref, version)
            return self._update(ref, copy.deepcopy(dict(manifest)), (FIELD_MANAGER, "Update", ""))

        return await self._serve(request, act)

    async def replace_status(self, ref: Ref, status: Json, *, resource_version: str) -> Json:
        request = Request("STATUS", ref.kind, ref.namespace, ref.name, status, resource_version)

        def act() -> Json:
            self._check(ref, resource_version)
            return self._set_status(ref, status, FIELD_MANAGER)

        return await self._serve(request, act)

    async def patch_metadata(
        self,
        ref: Ref,
        *,
        labels: Mapping[str, str | None] | None = None,
        annotations: Mapping[str, str | None] | None = None,
        resource_version: str | None = None,
    ) -> Json:
        patch = {"labels": labels or {}, "annotations": annotations or {}}
        request = Request("PATCH", ref.kind, ref.namespace, ref.name, {"metadata": patch}, resource_version)

        def act() -> Json:
            self._check(ref, resource_version)
            new = copy.deepcopy(dict(self.objects[ref]))
            for part, values in patch.items():
                merged = {**new["metadata"].get(part, {}), **values}
                new["metadata"][part] = {name: value for name, value in merged.items() if value is not None}
                if not new["metadata"][part]:
                    del new["metadata"][part]
            return self._update(ref, new, (FIELD_MANAGER, "Update", ""))

        return await self._serve(request, act)

    async def delete(
        self,
        ref: Ref,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
        propagation: Propagation = "Background",
    ) -> None:
        def act() -> None:
            self._check(ref, resource_version)
            if uid is not None and self.objects[ref]["metadata"]["uid"] != uid:
                raise Conflict("the uid in the precondition does not match", request=f"DELETE {ref}", code=409)
            self._delete(ref)
            if propagation != "Orphan":
                self.collect()

        request = Request("DELETE", ref.kind, ref.namespace, ref.name, resource_version=resource_version)
        await self._serve(request, act)

    async def serves(self, kind: Kind) -> bool:
        return await self._serve(Request("GET", kind, "", ""), lambda: kind in self.kinds)

    # Inside

    async def _serve(self, request: Request, act: Callable[[], Any]) -> Any:
        self.requests.append(request)
        await _call(self.before, request)
        answer = act()
        await _call(self.after, request)
        return answer

    def _existing(self, ref: Ref) -> Json:
        if ref not in self.objects:
            raise NotFound("not found", request=str(ref), code=404)
        return self.objects[ref]

    def _check(self, ref: Ref, version: str | None) -> None:
        live = self._existing(ref)
        if version is not None and live["metadata"]["resourceVersion"] != version:
            raise Conflict("the object has been modified", request=str(ref), code=409)

    def _create(self, ref: Ref, body: dict[str, Any], manager: Manager) -> Json:
        if ref in self.objects:
            raise AlreadyExists("already exists", request=str(ref), code=409)
        body.pop("status", None)
        owned = {manager: frozenset(leaves(body))}
        self._created += 1
        stamp = datetime.fromtimestamp(self._now(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        body["metadata"] = {
            **body["metadata"],
            "uid": f"uid-{self._created}",
            "creationTimestamp": stamp,
            "generation": 1,
        }
        return self._store(ref, body, owned)

    def _apply(self, ref: Ref, manifest: Json, force: bool, only_if: Version | None, dry_run: bool) -> Json:
        manager: Manager = (FIELD_MANAGER, "Apply", "")
        live = self.objects.get(ref)
        if live is None:
            if only_if is not None:
                raise Conflict("the object does not exist any more", request=f"APPLY {ref}", code=409)
            return manifest if dry_run else self._create(ref, dict(manifest), manager)
        if only_if is not None:
            self._check(ref, only_if.resource_version)
            if live["metadata"]["uid"] != only_if.uid:
                raise Conflict("another object of the same name", request=f"APPLY {ref}", code=409)
        applied, current = leaves(manifest), leaves(live)
        owned = dict(self._owned[ref])
        for other, paths in list(owned.items()):
            taken = {path for path in paths & applied.keys() if current.get(path) != applied[path]}
            if other != manager and taken:
                if not force:
                    raise Conflict(f"conflict with {other[0]}: {min(taken)}", request=f"APPLY {ref}", code=409)
                owned[other] = paths - taken
        dropped = owned.get(manager, frozenset()) - applied.keys()
        owned[manager] = frozenset(applied)
        body = merge(live, manifest)
        for path in sorted(dropped, key=len, reverse=True):
            if not _still_owned(path, owned):
                body = remove(body, path)
        body["metadata"] = {**body["metadata"], **{name: live["metadata"][name] for name in _SERVER_SIDE}}
        return live if dry_run else self._store(ref, body, owned)

    def _update(self, ref: Ref, body: dict[str, Any], manager: Manager) -> Json:
        live = self.objects[ref]
        old, new = leaves(live), leaves(body)
        changed = {path for path, value in new.items() if path not in old or old[path] != value}
        gone = old.keys() - new.keys()
        owned = {other: paths - changed - gone for other, paths in self._owned[ref].items()}
        if changed:
            owned[manager] = owned.get(manager, frozenset()) | changed
        fixed = {name: live["metadata"][name] for name in ("uid", "creationTimestamp", *_SERVER_SIDE)}
        body["metadata"] = {**body["metadata"], **fixed}
        if "status" in live:  # has an endpoint of its own
            body["status"] = live["status"]
        return self._store(ref, body, owned)

    def _set_status(self, ref: Ref, status: Json, manager: str) -> Json:
        body = {**self._existing(ref), "status": status}
        owned = {**self._owned[ref], (manager, "Update", "status"): frozenset({("f:status",)})}
        return self._store(ref, body, owned)

    def _store(self, ref: Ref, body: dict[str, Any], owned: dict[Manager, frozenset[Path]]) -> Json:
        if ref.kind not in self.kinds:
            raise NotFound("the server could not find the requested resource", request=str(ref), code=404)
        if ref.kind == DEPLOYMENT and "replicas" not in body["spec"]:
            body["spec"] = {**body["spec"], "replicas": 1}
        controllers = [owner for owner in body["metadata"].get("ownerReferences") or () if owner.get("controller")]
        if len(controllers) > 1:
            raise Invalid("only one reference can have Controller set to true", request=str(ref), code=422)
        owned = {manager: paths for manager, paths in owned.items() if paths}
        live = self.objects.get(ref)
        if live is not None:
            if self._owned[ref] == owned and _content(live) == _content(body):
                return live
            changed = live.get("spec") != body.get("spec")
            body["metadata"] = {**body["metadata"], "generation": live["metadata"]["generation"] + changed}
        self.version += 1
        body["metadata"] = {
            **body["metadata"],
            "resourceVersion": str(self.version),
            "managedFields": [_entry(manager, paths) for manager, paths in owned.items()],
        }
        self.objects[ref], self._owned[ref] = body, owned
        self._tell(ref.kind, body, False)
        return body

    def _delete(self, ref: Ref) -> None:
        raw = self.objects.pop(ref)
        del self._owned[ref]
        self.version += 1
        self._tell(ref.kind, {**raw, "metadata": {**raw["metadata"], "resourceVersion": str(self.version)}}, True)

    def _tell(self, kind: Kind, raw: Json, deleted: bool) -> None:
        for watcher in self.watchers:
            watcher(kind, raw, deleted)


async def _call(hooks: list[Hook], request: Request) -> None:
    for hook in tuple(hooks):
        waits = hook(request)
        if inspect.isawaitable(waits):
            await waits


def _entry(manager: Manager, paths: frozenset[Path]) -> dict[str, Any]:
    name, operation, subresource = manager
    entry = {"manager": name, "operation": operation, "fieldsType": "FieldsV1", "fieldsV1": fields_v1(paths)}
    return {**entry, "subresource": subresource} if subresource else entry


def _content(raw: Json) -> dict[str, Any]:
    metadata = {name: value for name, value in raw["metadata"].items() if name not in _SERVER_SIDE}
    return {**raw, "metadata": metadata}


def _still_owned(path: Path, owned: Mapping[Manager, frozenset[Path]]) -> bool:
    """Whether anybody owns the field or, for an element of a list, anything in it."""
    stem = path[:-1] if path[-1] == "." else path
    return any(other[: len(stem)] == stem for paths in owned.values() for other in paths)


def _selected(raw: Json, labels: str) -> bool:
    """Equality and existence terms of a label selector: `a=b,c`."""
    have = raw["metadata"].get("labels") or {}
    for term in filter(None, labels.split(",")):
        name, equals, value = term.partition("=")
        if name not in have or (equals and have[name] != value.lstrip("=")):
            return False
    return True
