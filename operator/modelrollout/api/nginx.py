"""`spec.traffic.nginx`: traffic by the canary annotations of ingress-nginx."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from .base import Model, rule, validations
from .routing import Hostname, PathPrefix

PREFIX = "nginx.ingress.kubernetes.io/"
ALLOWED = (
    "backend-protocol", "client-body-buffer-size", "cors-allow-credentials", "cors-allow-headers", "cors-allow-methods",
    "cors-allow-origin", "cors-expose-headers", "cors-max-age", "enable-cors", "force-ssl-redirect", "limit-connections",
    "limit-rpm", "limit-rps", "proxy-body-size", "proxy-buffer-size", "proxy-buffering", "proxy-connect-timeout",
    "proxy-http-version", "proxy-max-temp-file-size", "proxy-next-upstream", "proxy-next-upstream-timeout",
    "proxy-next-upstream-tries", "proxy-read-timeout", "proxy-request-buffering", "proxy-send-timeout", "ssl-redirect",
)  # fmt: skip
"""Settings of one location that can do no harm elsewhere. Snippets, foreign Secrets and what moves traffic are not among them."""

_NAMES = f"self.all(name, name in {[PREFIX + name for name in ALLOWED]})".replace('"', "'")
_NAMES_TEXT = f"only these annotations can be set, each after {PREFIX}: {', '.join(ALLOWED)}"


class IngressTls(Model):
    """TLS for all hosts."""

    secret_name: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253)] | None = None
    """Secret with the certificate, in the resource's namespace. Default: the controller's own certificate."""


class Nginx(Model):
    """Traffic by two Ingresses for ingress-nginx, which the operator owns: one for all requests, one for the candidate's share."""

    hosts: Annotated[list[Hostname], Field(max_length=16, min_length=1)]
    """Hosts that it answers. No other canary Ingress may have the same host and path."""
    ingress_class_name: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253)] | None = None
    """IngressClass of ingress-nginx. Default: the cluster's default class."""
    path_prefix: PathPrefix | None = None
    """Requests below this path, by whole elements: /v1 takes /v1 and /v1/a, not /v10. Default: `/`."""
    tls: IngressTls | None = None
    """TLS; `tls: {}` takes the controller's default certificate."""
    annotations: (
        Annotated[
            dict[str, Annotated[str, Field(pattern=r"^[-A-Za-z0-9 _./:,*]*$", max_length=256)]],
            Field(max_length=26, json_schema_extra=validations(rule(_NAMES, _NAMES_TEXT))),
        ]
        | None
    ) = None
    """Annotations such as nginx.ingress.kubernetes.io/proxy-body-size; which ones is listed in docs/routers.md."""

    @model_validator(mode="after")
    def _allowed(self) -> Self:
        for name in self.annotations or ():
            if name.removeprefix(PREFIX) not in ALLOWED or not name.startswith(PREFIX):
                raise ValueError(f"annotations: found {name}; {_NAMES_TEXT}")
        return self
