"""`spec.traffic.istio`: traffic by an Istio VirtualService (networking.istio.io/v1, Istio 1.22 and later)."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from .base import Model
from .routing import PathPrefix
from .scalars import Duration

Host = Annotated[
    str, Field(pattern=r"^(\*|(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*)$", max_length=253)
]
GatewayName = Annotated[
    str, Field(pattern=r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?/)?[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=317)
]


class Istio(Model):
    """Traffic by a VirtualService, which the operator owns; the versions' Services are its destinations."""

    hosts: Annotated[list[Host], Field(max_length=16, min_length=1)]
    """Hosts that it answers. For callers in the mesh the name of the entry Service is one, such as fraud or fraud.ml.svc.cluster.local."""
    gateways: Annotated[list[GatewayName], Field(max_length=8, min_length=1)] | None = None
    """Gateways as name or namespace/name, and `mesh` for sidecars. Default: as Istio has it, mesh."""
    path_prefix: PathPrefix | None = None
    """Requests below this path, by whole elements: /v1 takes /v1 and /v1/a, not /v10. Default: `/`."""
    timeout: Duration | None = None
    """Longest time for a request. Default, and 0s: none."""
