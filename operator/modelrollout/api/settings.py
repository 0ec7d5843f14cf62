"""What an administrator sets: providers, runtime presets, limits, leadership.

A ModelDeployment can only *name* a provider or a preset; addresses and credentials stand here alone, so nobody who may write a
ModelDeployment can make the operator send a request to an address of their choosing.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import Field, HttpUrl, field_validator

from .analysis import Metric, Selector
from .base import Enum, Model, unique
from .labels import LabelSelector
from .scalars import Duration

_NAMESPACE = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"


class Scheme(Enum):
    """How a provider is asked to authenticate us."""

    NONE = "None"
    BEARER = "Bearer"
    BASIC = "Basic"


class Auth(Model):
    """Credentials, always from mounted files, so that rotation needs no restart and no Secret is read through the API."""

    scheme: Scheme = Scheme.NONE
    """None, Bearer or Basic."""
    token_file: str | None = None
    """Bearer: file with the token."""
    username_file: str | None = None
    """Basic: file with the user name."""
    password_file: str | None = None
    """Basic: file with the password."""


class Tls(Model):
    """Transport security towards a provider."""

    ca_file: str | None = None
    """CA bundle; default: the system's."""
    insecure_skip_verify: bool = False
    """Accept any certificate. For tests only."""


class TargetLabels(Model):
    """Names of the target labels that tell pods apart in this Prometheus."""

    namespace: str = "namespace"
    """Label with the namespace."""
    pod: str = "pod"
    """Label with the name of the pod."""


class Provider(Model):
    """A Prometheus, or something that speaks its query API."""

    name: str = "default"
    """What a ModelDeployment calls it."""
    url: HttpUrl
    """Base address."""
    auth: Auth = Auth()
    """Credentials."""
    tls: Tls = Tls()
    """Transport security."""
    headers: dict[str, str] = Field(default_factory=dict)
    """Extra headers, such as X-Scope-OrgID."""
    timeout: Duration = Duration("10s")
    """For one query."""
    labels: TargetLabels = TargetLabels()
    """Target labels, where they have other names."""
    max_url_length: Annotated[int, Field(ge=500, le=100_000)] = 6000
    """Longer queries are split."""


class Probe(Model):
    """Defaults of a probe."""

    path: str = "/health"
    """Path that is asked by HTTP."""
    initial_delay_seconds: int = 0
    """Before the first one."""
    period_seconds: int = 10
    """Between two."""
    failure_threshold: int = 3
    """So many in a row count."""
    timeout_seconds: int = 2
    """For one answer."""


class RequestSeries(Model):
    """The series of a runtime that count requests and their latency."""

    requests: Selector
    """Counter of requests."""
    status_label: str = "status"
    """Label with the HTTP status code, in full (`503`) or as a class (`5xx`)."""
    path_label: str | None = None
    """Label with the path or handler, if there is one; needed for `excludePaths`."""
    exclude_paths: tuple[str, ...] = ()
    """Paths of probes and scrapes: never counted."""
    latency: Selector | None = None
    """Histogram of latency, without the suffix `_bucket`."""
    latency_unit: Annotated[float, Field(gt=0)] = 1.0
    """Seconds per unit of the histogram (0.001 for milliseconds)."""


class RuntimePreset(Model):
    """Ports, probes and metric series of a kind of model server."""

    name: Annotated[str, Field(pattern=r"^[A-Z][A-Za-z0-9]*$", max_length=63)]
    """What `server.runtime` calls it."""
    port: int | None = None
    """Port on which it serves."""
    metrics_port: int | None = None
    """Port of /metrics; default: the serving port."""
    metrics_path: str | None = "/metrics"
    """Path of the metrics; absent: none."""
    startup: Probe | None = None
    """For slow loads: until it succeeds once, the other probes rest."""
    readiness: Probe | None = None
    """Whether a pod gets requests."""
    liveness: Probe | None = None
    """Whether a container is restarted."""
    series: RequestSeries | None = None
    """What it counts; absent: metrics must be named as `ratio` or `query`."""
    env: dict[str, str] = Field(default_factory=dict)
    """Environment that it needs."""
    metrics: tuple[Metric, ...] = ()
    """What is judged when a ModelDeployment names no metrics; as in its `spec.analysis.metrics`."""


class PodSecurity(Model):
    """What pod templates may ask for beyond the allow-list."""

    allow_host_network: bool = False
    """`hostNetwork`."""
    allow_host_namespaces: bool = False
    """`hostPID` and `hostIPC`."""
    allow_host_path: bool = False
    """Volumes of type `hostPath`."""
    allow_privileged: bool = False
    """Privileged containers and capabilities beyond the list."""
    default_security_context: bool = True
    """Give pods that name none a restricted security context where it cannot hurt (seccomp RuntimeDefault, no privilege escalation)."""


class ComparerSettings(Model):
    """The server that compares answers while a step with `shadow.compare` mirrors requests."""

    image: Annotated[str, Field(max_length=512, min_length=1)] | None = None
    """Its image; without one, steps with `shadow.compare` are refused."""
    image_pull_policy: Annotated[str, Field(pattern="^(Always|IfNotPresent|Never)$")] | None = None
    """Always, IfNotPresent or Never; default: the cluster's."""
    image_pull_secrets: tuple[str, ...] = ()
    """Names of Secrets for pulling it; they must exist in the namespaces of the ModelDeployments."""
    resources: dict[str, Any] = Field(
        default_factory=lambda: {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}}
    )
    """Requests and limits of its container."""


class Leadership(Model):
    """The Lease by which one operator leads."""

    enabled: bool = True
    """Off only for a single process, such as in tests."""
    name: str = "modelrollout"
    """Name of the Lease."""
    namespace: str | None = None
    """Default: the namespace of the pod."""
    duration: Duration = Duration("15s")
    """A leader that has not renewed for so long has lost it."""
    renew_deadline: Duration = Duration("10s")
    """A leader that could not renew for so long ends itself."""
    retry_period: Duration = Duration("2s")
    """Between two tries."""


class Logging(Model):
    """How the operator logs."""

    format: Annotated[str, Field(pattern="^(json|text|auto)$")] = "auto"
    """json, text, or auto: text on a terminal, else json."""
    level: Annotated[str, Field(pattern="^(debug|info|warning|error)$")] = "info"
    """debug, info, warning or error."""


class RouterName(Enum):
    """A router that has kinds of its own."""

    GATEWAY = "Gateway"
    """Gateway API."""
    TRAEFIK = "Traefik"
    """TraefikService and IngressRoute."""
    ISTIO = "Istio"
    """VirtualService."""
    NGINX = "Nginx"
    """Ingress for ingress-nginx."""


class Settings(Model):
    """All settings of the operator. File (YAML), then environment, then flags; the later wins."""

    providers: tuple[Provider, ...] = ()
    """Where metrics are asked."""
    runtimes: tuple[RuntimePreset, ...] = ()
    """Presets beside the built-in ones; one of the same name replaces it."""
    routers: tuple[RouterName, ...] = (RouterName.GATEWAY,)
    """Routers that a ModelDeployment may name, beside Service; the operator watches their kinds and needs the right to write them."""
    pod_security: PodSecurity = PodSecurity()
    """What pod templates may ask for."""
    comparer: ComparerSettings = ComparerSettings()
    """What compares answers in steps that mirror requests."""
    leadership: Leadership = Leadership()
    """Who leads, where several processes run."""
    logging: Logging = Logging()
    """How it logs."""
    namespaces: tuple[str, ...] = ()
    """Watch these only; empty: all."""
    selector: str | None = None
    """Watch only ModelDeployments with these labels, as in `shard=a` or `team in (risk, fraud)`; absent: all."""
    workers: Annotated[int, Field(ge=1, le=64)] = 8
    """Rollouts that are reconciled side by side."""
    evaluation_delay: Duration = Duration("5s")
    """Prometheus is asked for a time this far in the past, so that an answer is final."""
    default_interval: Duration = Duration("15s")
    """Window length where a ModelDeployment names none."""
    minimum_interval: Duration = Duration("1s")
    """Shorter intervals are raised to this."""
    settle: Duration = Duration("2s")
    """A weight counts as applied this long after the router accepted it."""
    drain: Duration = Duration("5s")
    """From the weight going away to the first pod going away."""
    pre_stop: Duration = Duration("5s")
    """A pod that ends goes on serving for so long."""
    ready_for: Duration = Duration("5s")
    """A revision counts as ready after so long without a break."""
    checkpoints_per_second: Annotated[float, Field(gt=0)] = 5.0
    """Status writes that only save progress, over all rollouts."""
    checkpoint_every: Duration = Duration("5m")
    """Each rollout's progress is saved at least so often."""
    relist_every: Duration = Duration("10m")
    """Full lists that find what a broken watch lost."""
    request_timeout: Duration = Duration("10s")
    """For one request to the API server."""
    health_port: Annotated[int, Field(ge=0, le=65535)] = 8080
    """Liveness; 0 is off."""
    metrics_port: Annotated[int, Field(ge=0, le=65535)] = 9090
    """The operator's own metrics; 0 is off."""
    metrics_address: str = "0.0.0.0"  # noqa: S104  scraped from other pods; a NetworkPolicy of the chart narrows it
    """Address on which health and metrics listen."""

    @field_validator("namespaces")
    @classmethod
    def _each_is_one(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        """A list in one text or a pattern would be the name of a namespace in which there is never anything."""
        for name in names:
            if not re.fullmatch(_NAMESPACE, name):
                raise ValueError(f"{name!r} is not the name of a namespace; each stands for itself, without patterns")
        unique(names, "namespaces")
        return names

    @field_validator("selector")
    @classmethod
    def _can_be_read(cls, text: str | None) -> str | None:
        LabelSelector.parse(text or "")
        return text

    @property
    def selected(self) -> LabelSelector:
        """`selector`, read."""
        return LabelSelector.parse(self.selector or "")

    def provider(self, name: str) -> Provider | None:
        """The provider of that name."""
        return next((provider for provider in self.providers if provider.name == name), None)


def settings_schema() -> dict[str, Any]:
    """JSON schema of the settings file, for the chart and the reference."""
    return Settings.model_json_schema(by_alias=True)
