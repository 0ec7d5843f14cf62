"""The one edge to the API server, as a protocol.

Everything above talks to `KubeApi`; the real client (client.py), the leader's guard (guard.py) and the in-memory fake
of the tests are the three things behind it. Objects cross it as plain JSON dictionaries that nobody changes after they
were handed over. What a request may do is decided by its caller and written into the call: no method reads before it
writes, sends anything twice, or falls back to another verb.

Each method raises an `ApiError` (errors.py). Writes that carry a `resource_version` fail with `Conflict` when the
object has moved on; the only cure is to observe and decide again.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from modelrollout.kube.kinds import Kind, Ref

Json = Mapping[str, Any]
Propagation = Literal["Background", "Foreground", "Orphan"]

FIELD_MANAGER = "modelrollout"


@dataclass(frozen=True, slots=True)
class Page:
    """Some objects of a list, and the resourceVersion at which the whole list was true.

    The API server leaves `apiVersion` and `kind` out of the items; so do we.
    """

    items: tuple[Json, ...]
    resource_version: str


@dataclass(frozen=True, slots=True)
class Selection:
    """Some objects of a kind: in one namespace or (empty) in all, with labels, or the one of a name."""

    kind: Kind
    namespace: str = ""
    labels: str = ""
    name: str = ""

    @property
    def selectors(self) -> dict[str, str]:
        """As parameters of a request."""
        found = {"labelSelector": self.labels, "fieldSelector": f"metadata.name={self.name}" if self.name else ""}
        return {key: text for key, text in found.items() if text}

    def __str__(self) -> str:
        return f"{self.kind.plural} {self.namespace or '(all)'}{f'/{self.name}' if self.name else ''}"


@dataclass(frozen=True, slots=True)
class Told:
    """One event of a watch: `type` is ADDED, MODIFIED, DELETED, or BOOKMARK, which carries nothing but a version."""

    type: str
    raw: Json

    @property
    def resource_version(self) -> str:
        """The version from which on a watch may be taken up again."""
        return str(self.raw["metadata"]["resourceVersion"])


@dataclass(frozen=True, slots=True)
class Version:
    """One object at one point of its life.

    Both are needed: an apply that names a resourceVersion alone makes a deleted object anew instead of failing.
    """

    uid: str
    resource_version: str


class KubeApi(Protocol):
    """Requests to the API server."""

    async def get(self, ref: Ref) -> Json:
        """Read one object from the source of truth (a quorum read, not a cache)."""

    def pages(
        self,
        kind: Kind,
        *,
        namespace: str = "",
        labels: str = "",
        resource_version: str | None = None,
        limit: int = 500,
    ) -> AsyncIterator[Page]:
        """List a kind piece by piece, in one namespace or (empty) in all.

        `resource_version` "0" takes what the server has at hand, maybe a little old and in one piece; None is a
        consistent list. All pages of one list are of the same resourceVersion. Raises `Gone` when the server dropped
        that version between two pages: the caller starts again.
        """

    async def list(
        self, kind: Kind, *, namespace: str = "", labels: str = "", resource_version: str | None = None
    ) -> Page:
        """List a kind in one piece; only for what is known to be short."""

    async def apply(
        self, manifest: Json, *, force: bool = False, only_if: Version | None = None, dry_run: bool = False
    ) -> Json:
        """Apply on the server's side as manager `modelrollout`; answers the object as stored.

        Without `force` a field of another manager is a `Conflict`. With `only_if` it is one, too, when the object has
        moved on, is gone or is another one of the same name; without, it is created if it does not exist.
        """

    async def create(self, manifest: Json) -> Json:
        """Create an object. Raises `AlreadyExists`."""

    async def replace_status(self, ref: Ref, status: Json, *, resource_version: str) -> Json:
        """Make `status` the whole status of the object, if it is still of this version. Touches nothing else."""

    async def replace(self, manifest: Json) -> Json:
        """Replace an object whole. The manifest carries the resourceVersion that must still be current."""

    async def patch_metadata(
        self,
        ref: Ref,
        *,
        labels: Mapping[str, str | None] | None = None,
        annotations: Mapping[str, str | None] | None = None,
        resource_version: str | None = None,
    ) -> Json:
        """Set single labels and annotations (None removes one) and leave all others."""

    async def delete(
        self,
        ref: Ref,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
        propagation: Propagation = "Background",
    ) -> None:
        """Delete an object, if it is still the one with this uid and this version. Raises `NotFound`, `Conflict`."""

    async def serves(self, kind: Kind) -> bool:
        """Tell whether the server knows this kind in this version (a CRD may be missing)."""
