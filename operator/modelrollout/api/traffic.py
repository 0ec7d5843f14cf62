"""`spec.traffic`: how traffic reaches the versions. The fields of Traefik, Istio and NGINX are in modules of their names."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from .base import Enum, Model, rule, validations
from .istio import Istio
from .nginx import Nginx
from .routing import ROUTERS, Hostname, PathPrefix, found_too_many, one_router
from .scalars import Duration
from .server import Port
from .traefik import Traefik


class ParentRef(Model):
    """The Gateway (or, in a mesh, Service) that the route attaches to."""

    name: Annotated[str, Field(max_length=253, min_length=1)]
    """Name of the Gateway."""
    namespace: Annotated[str, Field(max_length=63, min_length=1)] | None = None
    """Its namespace. Default: the resource's."""
    section_name: Annotated[str, Field(max_length=253, min_length=1)] | None = None
    """One listener of it."""
    port: Port | None = None
    """One port of it."""
    kind: Annotated[str, Field(pattern=r"^(Gateway|Service)$", max_length=16)] | None = None
    """Gateway (the default), or Service in a mesh."""


_OWN_HOSTS = "!has(self.previewHostnames) || !has(self.hostnames) || self.previewHostnames.all(h, !self.hostnames.exists(o, o == h))"
_OWN_HOSTS_TEXT = "a preview host name must not be one of hostnames: users would be split between two routes"
_HOSTS_COUNT = "!has(self.previewHostnames) || self.parentRefs.all(p, !has(p.kind) || p.kind == 'Gateway')"
_HOSTS_COUNT_TEXT = "previewHostnames need a Gateway: a mesh (a parentRef of kind Service) does not look at host names"


class Gateway(
    Model,
    json_schema_extra=validations(rule(_OWN_HOSTS, _OWN_HOSTS_TEXT), rule(_HOSTS_COUNT, _HOSTS_COUNT_TEXT)),
):
    """Traffic by a Gateway API HTTPRoute, which the operator owns."""

    parent_refs: Annotated[list[ParentRef], Field(max_length=8, min_length=1)]
    """The Gateways that the route attaches to."""
    hostnames: Annotated[list[Hostname], Field(max_length=16)] | None = None
    """Host names that it answers."""
    preview_hostnames: Annotated[list[Hostname], Field(max_length=16, min_length=1)] | None = None
    """Host names at which the candidate alone answers, whatever its weight. Whoever reaches the Gateway reaches it there."""
    path_prefix: PathPrefix | None = None
    """Requests below this path. Default: `/`."""
    rewrite_prefix: PathPrefix | None = None
    """What replaces the prefix before the server sees it."""
    timeout: Duration | None = None
    """Longest time for a request."""

    @model_validator(mode="after")
    def _preview_apart(self) -> Self:
        if set(self.preview_hostnames or ()) & set(self.hostnames or ()):
            raise ValueError(_OWN_HOSTS_TEXT)
        if self.preview_hostnames and any(parent.kind == "Service" for parent in self.parent_refs):
            raise ValueError(_HOSTS_COUNT_TEXT)
        return self


class Coarse(Enum):
    """Whether steps finer than the replica ratio are accepted."""

    REFUSE = "Refuse"
    ACCEPT = "Accept"


class ServiceRouter(Model):
    """Traffic by the ratio of pods behind the entry Service."""

    coarse: Coarse | None = None
    """Accept: steps finer than the pods allow are carried out as near as possible and shown as effectiveWeight. Default: Refuse."""


class Traffic(Model, json_schema_extra=validations(one_router())):
    """How traffic reaches the versions; without it, by the ratio of pods behind the entry Service."""

    gateway: Gateway | None = None
    """Gateway API."""
    service: ServiceRouter | None = None
    """Replica ratio behind the entry Service, on any cluster."""
    traefik: Traefik | None = None
    """Traefik's own TraefikService and IngressRoute."""
    istio: Istio | None = None
    """Istio's VirtualService."""
    nginx: Nginx | None = None
    """Ingresses with the canary annotations of ingress-nginx."""

    @property
    def named(self) -> tuple[str, ...]:
        """The fields of the routers that are set."""
        return tuple(field for field in ROUTERS if getattr(self, field) is not None)

    @property
    def router(self) -> str:
        """The router by name; where none is named, Service."""
        return ROUTERS[next(iter(self.named), "service")]

    @model_validator(mode="after")
    def _one_router(self) -> Self:
        if len(self.named) > 1:
            raise ValueError(found_too_many(self.named))
        return self
