"""`spec.traffic.traefik`: traffic by Traefik's own resources (traefik.io/v1alpha1, Traefik 3)."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from .base import Model
from .routing import Hostname, PathPrefix

ObjectName = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253)]
Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$", max_length=63)]


class MiddlewareRef(Model):
    """A Middleware of Traefik."""

    name: ObjectName
    """Name of the Middleware."""
    namespace: ObjectName | None = None
    """Its namespace. Default: the resource's; others need Traefik's allowCrossNamespace."""


class IngressRouteTls(Model):
    """TLS as in an IngressRoute; `tls: {}` takes Traefik's default certificate."""

    secret_name: ObjectName | None = None
    """Secret with the certificate, in the resource's namespace."""
    cert_resolver: Word | None = None
    """A certificate resolver of Traefik's static configuration."""


class IngressRoute(Model):
    """An IngressRoute that the operator owns: what it answers, and at which entry points."""

    entry_points: Annotated[list[Word], Field(max_length=8, min_length=1)] | None = None
    """Entry points, such as websecure. Default: as Traefik has it, all."""
    hostnames: Annotated[list[Hostname], Field(max_length=16, min_length=1)] | None = None
    """Host names that it answers. Default: all."""
    path_prefix: PathPrefix | None = None
    """Requests below this path, by whole elements: /v1 takes /v1 and /v1/a, not /v10. Default: `/`."""
    middlewares: Annotated[list[MiddlewareRef], Field(max_length=16)] | None = None
    """Middlewares that requests pass, in this order."""
    tls: IngressRouteTls | None = None
    """TLS at these entry points. Default: none but what the entry points have."""
    ingress_class: Word | None = None
    """For one of several Traefiks: the value of the annotation kubernetes.io/ingress.class."""


class Traefik(Model):
    """Traffic by a weighted TraefikService, which the operator owns and which has the resource's name.

    An IngressRoute of yours names it as a service of kind TraefikService, or the operator makes one.
    """

    ingress_route: IngressRoute | None = None
    """Have the operator make the IngressRoute, with header rules for testers. Default: yours names the TraefikService."""
