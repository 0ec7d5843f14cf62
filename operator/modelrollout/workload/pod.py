"""The pod template of a revision, made once and then kept in its record.

Three layers, the later over the earlier: what the preset and the operator know (ports, probes, environment, preStop), the
short form `server`, and the person's own template. The result is never made again for a revision that exists: a newer
operator or preset would make another one, and that would restart serving pods.

Going away is made slow on purpose: endpoints and gateways learn of a terminating pod some time after the kubelet does, so the
server goes on serving during a preStop sleep, and the grace period has room for it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modelrollout.api.errors import SpecError
from modelrollout.api.settings import Probe, RuntimePreset, Settings
from modelrollout.rollout.revision import SERVER_CONTAINER, RevisionId

from .canonical import canonical
from .identity import revision_labels
from .merge import merge
from .presets import find, patience

Json = Mapping[str, Any]

SERVING_PORT_NAME = "http"
METRICS_PORT_NAME = "metrics"
SHUTDOWN_SECONDS = 30
"""What a server has for its last requests after the preStop sleep, where nobody names a grace period."""

_CONTAINERS = "spec.template.spec.containers"
_GRACE = "terminationGracePeriodSeconds"
_HANDLERS = frozenset({"httpGet", "tcpSocket", "exec", "grpc"})


@dataclass(frozen=True, slots=True)
class Rendered:
    """A pod template and where in it requests and scrapes go. `metrics_path` None: nothing to scrape."""

    template: dict[str, Any]
    port: int
    port_name: str
    metrics_port: int
    metrics_port_name: str
    metrics_path: str | None


def render_template(inputs: Json, revision: RevisionId, name: str, settings: Settings) -> Rendered:
    """Make the pod template of a revision.

    `inputs`: the pod-shaping fields as written (`revision.inputs`), already validated (`allowed.validate`). `name`: of the
    resource. Raises SpecError where the layers together make no pod: no image, no port, a grace period that is too short.
    """
    server, written = inputs.get("server", {}), inputs.get("template", {})
    preset = find(server.get("runtime"), settings)
    pod = merge({"containers": [_short_form(server, preset)]}, written.get("spec"))
    _check_images(pod)
    containers = [_with_protocols(container) for container in pod["containers"]]
    container = next(container for container in containers if container["name"] == SERVER_CONTAINER)
    serving = _serving_port(container, known=bool(server.get("port") or preset.port))
    metrics = _metrics_port(container, serving, preset)
    _add_environment(container, inputs, revision, name, preset)
    _add_probes(container, serving["containerPort"], preset)
    pod = pod | {"containers": containers}
    _add_shutdown(pod, container, math.ceil(settings.pre_stop.seconds))
    pod.setdefault("automountServiceAccountToken", False)
    if settings.pod_security.default_security_context:
        _add_security(pod)
    template = {"metadata": _metadata(written, revision, name, metrics["containerPort"], preset), "spec": pod}
    return Rendered(
        template=canonical(template),
        port=serving["containerPort"],
        port_name=serving.get("name", ""),
        metrics_port=metrics["containerPort"],
        metrics_port_name=metrics.get("name", ""),
        metrics_path=preset.metrics_path,
    )


def _short_form(server: Json, preset: RuntimePreset) -> dict[str, Any]:
    container: dict[str, Any] = {"name": SERVER_CONTAINER}
    container |= {name: server[name] for name in ("image", "command", "args", "env", "resources") if name in server}
    if port := server.get("port") or preset.port:
        container["ports"] = [{"name": SERVING_PORT_NAME, "containerPort": port, "protocol": "TCP"}]
    return container


def _check_images(pod: Json) -> None:
    others = [container["name"] for container in pod["containers"] if container["name"] != SERVER_CONTAINER]
    for kind in ("initContainers", "containers"):
        for container in pod.get(kind, []):
            if container.get("image"):
                continue
            if container["name"] != SERVER_CONTAINER:
                raise SpecError(f"spec.template.spec.{kind}[{container['name']}].image", "is missing")
            found = f'; the template names {", ".join(others)}, but the one that serves is "server"' if others else ""
            raise SpecError("spec.server.image", f"an image is needed: set server.image{found}")


def _with_protocols(container: Json) -> dict[str, Any]:
    """The protocol is part of a port's identity in server-side apply, so it must never be left to the default."""
    if "ports" not in container:
        return dict(container)
    for index, port in enumerate(container["ports"]):
        if not isinstance(port.get("containerPort"), int):
            path = f"{_CONTAINERS}[{container['name']}].ports[{index}].containerPort"
            raise SpecError(path, f"found {port.get('containerPort')!r}; a number from 1 to 65535 is needed")
    return {**container, "ports": [{"protocol": "TCP", **port} for port in container["ports"]]}


def _serving_port(container: dict[str, Any], *, known: bool) -> dict[str, Any]:
    """The short form's or preset's port stands first; where neither names one, the template's `http`, else its first."""
    ports: list[dict[str, Any]] = container.get("ports", [])
    if not ports:
        raise SpecError("spec.server.port", "is needed: the runtime names no port and neither does the template")
    named = [] if known else [port for port in ports if port.get("name") == SERVING_PORT_NAME]
    return (named or ports)[0]


def _metrics_port(container: dict[str, Any], serving: dict[str, Any], preset: RuntimePreset) -> dict[str, Any]:
    if preset.metrics_path is None or preset.metrics_port in (None, serving["containerPort"]):
        return serving
    for port in container["ports"]:
        if port["containerPort"] == preset.metrics_port:
            return dict(port)
    found = {"name": METRICS_PORT_NAME, "containerPort": preset.metrics_port, "protocol": "TCP"}
    if any(port.get("name") == METRICS_PORT_NAME for port in container["ports"]):
        del found["name"]
    container["ports"] = [*container["ports"], found]
    return found


def _add_environment(
    container: dict[str, Any], inputs: Json, revision: RevisionId, name: str, preset: RuntimePreset
) -> None:
    model = inputs.get("model", {})
    values = {
        "MODEL_NAME": model.get("name") or name,
        "MODEL_VERSION": revision.version,
        "MODEL_URI": model.get("uri"),
        "MODEL_FORMAT": model.get("format"),
        **preset.env,
    }
    own = container.get("env", [])
    taken = {variable["name"] for variable in own}
    ours = [{"name": key, "value": value} for key, value in values.items() if value is not None and key not in taken]
    # Ours first: a person's own variables may refer to them as $(MODEL_URI).
    container["env"] = ours + own


def _add_probes(container: dict[str, Any], port: int, preset: RuntimePreset) -> None:
    readiness = container.get("readinessProbe", {})
    for kind, probe in (("startup", preset.startup), ("readiness", preset.readiness), ("liveness", preset.liveness)):
        field, own = f"{kind}Probe", container.get(f"{kind}Probe", {})
        if probe is None or _HANDLERS & set(own):
            continue
        found = _probe(probe, port) | own
        if kind == "startup":
            found.setdefault("failureThreshold", patience(probe))
            if handlers := {name: readiness[name] for name in _HANDLERS & set(readiness)}:
                # Whoever says how readiness is asked has told where a loaded model shows.
                del found["httpGet"]
                found |= handlers
        else:
            found.setdefault("failureThreshold", probe.failure_threshold)
        container[field] = found


def _probe(probe: Probe, port: int) -> dict[str, Any]:
    found: dict[str, Any] = {"httpGet": {"path": probe.path, "port": port, "scheme": "HTTP"}}
    if probe.initial_delay_seconds:
        found["initialDelaySeconds"] = probe.initial_delay_seconds
    return found | {
        "periodSeconds": probe.period_seconds,
        "timeoutSeconds": probe.timeout_seconds,
        "successThreshold": 1,
    }


def _add_shutdown(pod: dict[str, Any], container: dict[str, Any], pre_stop: int) -> None:
    grace = pod.setdefault(_GRACE, pre_stop + SHUTDOWN_SECONDS)
    lifecycle = container.get("lifecycle", {})
    if pre_stop == 0 or "preStop" in lifecycle:
        return
    if not isinstance(grace, int) or grace <= pre_stop:
        raise SpecError(
            f"spec.template.spec.{_GRACE}",
            f"found {grace}; a pod goes on serving for {pre_stop} s before it ends, so write at least {pre_stop + 1}, "
            "or give the container a preStop hook of its own",
        )
    container["lifecycle"] = {**lifecycle, "preStop": {"sleep": {"seconds": pre_stop}}}


def _add_security(pod: dict[str, Any]) -> None:
    """Only where nobody said anything: half of a person's security context beside half of ours would be neither."""
    if "securityContext" not in pod:
        pod["securityContext"] = {"seccompProfile": {"type": "RuntimeDefault"}}
    for kind in ("initContainers", "containers"):
        if kind in pod:
            pod[kind] = [
                container
                if "securityContext" in container
                else {**container, "securityContext": {"allowPrivilegeEscalation": False}}
                for container in pod[kind]
            ]


def _metadata(
    written: Json, revision: RevisionId, name: str, metrics_port: int, preset: RuntimePreset
) -> dict[str, Any]:
    own = written.get("metadata", {})
    labels = revision_labels(name, revision.revision, revision.version) | own.get("labels", {})
    annotations = dict(own.get("annotations", {}))
    if preset.metrics_path is not None:
        scrape = {"scrape": "true", "port": str(metrics_port), "path": preset.metrics_path}
        annotations = {f"prometheus.io/{key}": value for key, value in scrape.items()} | annotations
    return {"labels": labels} | ({"annotations": annotations} if annotations else {})
