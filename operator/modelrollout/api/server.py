"""What runs: the model, its server or pod template, how many of it, and the entry Service."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from .base import Enum, Model, Whole, rule, unique, validations

DnsLabel = Annotated[str, Field(pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$", max_length=63)]
Opaque = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
Port = Annotated[Whole, Field(ge=1, le=65535)]
NAME_LIMIT = 36
VERSION_PATTERN = r"^[A-Za-z0-9]([-A-Za-z0-9._+]*[A-Za-z0-9])?$"
LIST_MAP = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}


class ModelInfo(Model):
    """Which model is served; given to the server as MODEL_NAME, MODEL_URI and MODEL_FORMAT."""

    name: Annotated[str, Field(max_length=63, min_length=1)] | None = None
    """Name of the model. Default: the resource's name."""
    uri: Annotated[str, Field(max_length=1024, min_length=1)] | None = None
    """Where the server finds the model."""
    format: Annotated[str, Field(max_length=63, min_length=1)] | None = None
    """Such as sklearn or onnx."""


class Server(Model):
    """Short form of the container `server`."""

    runtime: Annotated[str, Field(pattern=r"^[A-Z][A-Za-z0-9]*$", max_length=63)] | None = None
    """Preset of ports, probes and metric series. Default: FastAPI. Custom assumes nothing."""
    image: Annotated[str, Field(max_length=512, min_length=1)] | None = None
    """Image of the model server."""
    port: Port | None = None
    """Port on which it serves. Default: the preset's."""
    command: Annotated[list[Annotated[str, Field(max_length=4096)]], Field(max_length=64)] | None = None
    """Replaces the image's entry point."""
    args: Annotated[list[Annotated[str, Field(max_length=4096)]], Field(max_length=128)] | None = None
    """Arguments."""
    env: Annotated[list[Annotated[dict[str, Any], Field(json_schema_extra=Opaque)]], Field(max_length=200)] | None = (
        None
    )
    """Environment, as in a container."""
    resources: Annotated[dict[str, Any], Field(json_schema_extra=Opaque)] | None = None
    """Requests and limits, as in a container."""


class Template(Model):
    """An ordinary pod template, merged by container name over the short form."""

    metadata: Annotated[dict[str, Any], Field(json_schema_extra=Opaque)] | None = None
    """Labels and annotations of the pods."""
    spec: Annotated[dict[str, Any], Field(json_schema_extra=Opaque)] | None = None
    """Pod fields; which ones are allowed is listed in the reference."""


class Autoscaling(
    Model,
    json_schema_extra=validations(
        rule("self.minReplicas <= self.maxReplicas", "minReplicas must not exceed maxReplicas")
    ),
):
    """A HorizontalPodAutoscaler for each serving revision."""

    min_replicas: Annotated[Whole, Field(ge=1, le=10_000)]
    """Fewest pods of stable."""
    max_replicas: Annotated[Whole, Field(ge=1, le=10_000)]
    """Most pods."""
    metrics: (
        Annotated[list[Annotated[dict[str, Any], Field(json_schema_extra=Opaque)]], Field(max_length=10)] | None
    ) = None
    """As in a HorizontalPodAutoscaler v2. Default: 80 % of the CPU requests."""
    behavior: Annotated[dict[str, Any], Field(json_schema_extra=Opaque)] | None = None
    """As in a HorizontalPodAutoscaler v2."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min_replicas > self.max_replicas:
            raise ValueError("minReplicas must not exceed maxReplicas")
        return self


class ServiceType(Enum):
    """Type of the entry Service."""

    CLUSTER_IP = "ClusterIP"
    NODE_PORT = "NodePort"
    LOAD_BALANCER = "LoadBalancer"


class ServicePort(Model):
    """A port of the entry Service."""

    name: DnsLabel
    """Name of the port."""
    port: Port
    """Port of the Service."""
    target_port: Port | None = None
    """Port of the pods. Default: the server's."""
    app_protocol: Annotated[str, Field(max_length=63)] | None = None
    """Such as kubernetes.io/h2c."""


class EntryService(Model):
    """The Service that in-cluster callers use; its address never changes."""

    name: DnsLabel | None = None
    """Default: the resource's name."""
    type: ServiceType | None = None
    """Default: ClusterIP."""
    ports: Annotated[list[ServicePort], Field(max_length=10, min_length=1, json_schema_extra=LIST_MAP)] | None = None
    """Default: port 80, named http, to the server's port."""
    annotations: Annotated[dict[str, Annotated[str, Field(max_length=1024)]], Field(max_length=50)] | None = None
    """Annotations of the Service, for load balancers."""

    @model_validator(mode="after")
    def _unique(self) -> Self:
        unique((port.name for port in self.ports or ()), "names of ports")
        return self
