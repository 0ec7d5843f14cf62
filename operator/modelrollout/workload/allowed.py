"""What a pod template may say.

Who may write a ModelDeployment need not be allowed to make pods as they like, and the operator has rights that they lack. So
a template is read against an allow-list, field by field, before anything is made of it: what is not named here is refused with
its path. Host namespaces, hostPath and privileged are opened by the administrator's settings alone. What a field's value must
look like beyond that is the API server's to say.

Three kinds of refusals are about us, not about safety: labels that are our selectors, a restart policy that a Deployment
cannot have, and annotations that stand for an act (a restart) and would become part of the version's identity.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from modelrollout.api.errors import SpecError
from modelrollout.api.settings import PodSecurity, Settings

from .identity import GROUP

Json = Mapping[str, Any]

TEMPLATE = "spec.template"
SERVER_ENV = "spec.server.env"
ENV_PREFIX = "MODELROLLOUT_"
RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"

METADATA_FIELDS = frozenset({"labels", "annotations"})
POD_FIELDS = frozenset(
    {
        *("affinity", "automountServiceAccountToken", "containers", "dnsConfig", "dnsPolicy", "enableServiceLinks"),
        *("hostAliases", "hostUsers", "imagePullSecrets", "initContainers", "nodeSelector", "os", "preemptionPolicy"),
        *("priorityClassName", "readinessGates", "resourceClaims", "resources", "restartPolicy", "runtimeClassName"),
        *("schedulerName", "securityContext", "serviceAccountName", "shareProcessNamespace"),
        *("terminationGracePeriodSeconds", "tolerations", "topologySpreadConstraints", "volumes"),
    }
)
CONTAINER_FIELDS = frozenset(
    {
        *("args", "command", "env", "envFrom", "image", "imagePullPolicy", "lifecycle", "livenessProbe", "name"),
        *("ports", "readinessProbe", "resizePolicy", "resources", "restartPolicy", "securityContext", "startupProbe"),
        *("terminationMessagePath", "terminationMessagePolicy", "volumeDevices", "volumeMounts", "workingDir"),
    }
)
VOLUME_SOURCES = frozenset(
    {
        *("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "nfs", "persistentVolumeClaim"),
        *("projected", "secret"),
    }
)
HOST_NAMESPACES = frozenset({"hostPID", "hostIPC"})
CAPABILITIES = frozenset(
    {
        *("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP"),
        *("SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"),
    }
)
"""Those that the Baseline pod security standard allows to add."""

_ADMIN = "ask the administrator to set podSecurity.{setting}, or remove it"


def validate(inputs: Json, settings: Settings) -> None:
    """Raise SpecError for the first thing in `server` or `template` (as written, without nulls) that is refused."""
    server = _map(inputs.get("server", {}), "spec.server")
    _check_env(server.get("env", []), SERVER_ENV)
    template = _map(inputs.get("template", {}), TEMPLATE)
    _check_metadata(_map(template.get("metadata", {}), f"{TEMPLATE}.metadata"), f"{TEMPLATE}.metadata")
    _check_pod(_map(template.get("spec", {}), f"{TEMPLATE}.spec"), f"{TEMPLATE}.spec", settings.pod_security)


def _check_metadata(metadata: Json, path: str) -> None:
    _only(metadata, METADATA_FIELDS, path)
    for kind in sorted(METADATA_FIELDS & set(metadata)):
        for name, value in _map(metadata[kind], f"{path}.{kind}").items():
            where = f"{path}.{kind}[{name}]"
            if name.startswith(f"{GROUP}/") or name == "pod-template-hash":
                raise SpecError(where, "is set by the operator, which finds pods by it; remove it")
            if name == RESTARTED_AT:
                raise SpecError(
                    where, "would make a new version of it; remove it and use `kubectl modelrollout restart`"
                )
            if not isinstance(value, str):
                raise SpecError(where, f"found {value!r}; write it as a text, in quotes")


def _check_pod(pod: Json, path: str, security: PodSecurity) -> None:
    _check_host(pod, path, security)
    _only(pod, POD_FIELDS | HOST_NAMESPACES | {"hostNetwork"}, path)
    if (policy := pod.get("restartPolicy", "Always")) != "Always":
        raise SpecError(
            f"{path}.restartPolicy", f"found {policy}; a server is always restarted, so remove it or write Always"
        )
    volumes = list(_maps(pod.get("volumes", []), f"{path}.volumes"))
    _check_names(volumes, f"{path}.volumes")
    for index, volume in enumerate(volumes):
        _check_volume(volume, f"{path}.volumes[{index}]", security)
    for kind in ("initContainers", "containers"):
        containers = list(_maps(pod.get(kind, []), f"{path}.{kind}"))
        _check_names(containers, f"{path}.{kind}")
        for container in containers:
            _check_container(container, f"{path}.{kind}[{container['name']}]", security)


def _check_host(pod: Json, path: str, security: PodSecurity) -> None:
    if pod.get("hostNetwork") and not security.allow_host_network:
        raise SpecError(f"{path}.hostNetwork", f"is not allowed here; {_ADMIN.format(setting='allowHostNetwork')}")
    for field in sorted(HOST_NAMESPACES):
        if pod.get(field) and not security.allow_host_namespaces:
            raise SpecError(f"{path}.{field}", f"is not allowed here; {_ADMIN.format(setting='allowHostNamespaces')}")
    options = _map(pod.get("securityContext", {}), f"{path}.securityContext")
    _check_windows(options, f"{path}.securityContext", security)


def _check_volume(volume: Json, path: str, security: PodSecurity) -> None:
    for source in sorted(set(volume) - {"name"}):
        if source == "hostPath":
            if not security.allow_host_path:
                raise SpecError(f"{path}.hostPath", f"is not allowed here; {_ADMIN.format(setting='allowHostPath')}")
        elif source not in VOLUME_SOURCES:
            raise SpecError(f"{path}.{source}", f"is not allowed; volumes may be {', '.join(sorted(VOLUME_SOURCES))}")


def _check_container(container: Json, path: str, security: PodSecurity) -> None:
    _only(container, CONTAINER_FIELDS, path)
    _check_env(container.get("env", []), f"{path}.env")
    for index, port in enumerate(_maps(container.get("ports", []), f"{path}.ports")):
        if port.get("hostPort") and not security.allow_host_network:
            raise SpecError(
                f"{path}.ports[{index}].hostPort", f"is not allowed here; {_ADMIN.format(setting='allowHostNetwork')}"
            )
    for index, mount in enumerate(_maps(container.get("volumeMounts", []), f"{path}.volumeMounts")):
        if "mountPath" not in mount:
            raise SpecError(f"{path}.volumeMounts[{index}].mountPath", "is missing")
    for field in ("lifecycle", "livenessProbe", "readinessProbe", "startupProbe", "resources"):
        _map(container.get(field, {}), f"{path}.{field}")
    _check_privileges(_map(container.get("securityContext", {}), f"{path}.securityContext"), path, security)


def _check_privileges(context: Json, path: str, security: PodSecurity) -> None:
    where = f"{path}.securityContext"
    _check_windows(context, where, security)
    if security.allow_privileged:
        return
    cure = _ADMIN.format(setting="allowPrivileged")
    if context.get("privileged"):
        raise SpecError(f"{where}.privileged", f"is not allowed here; {cure}")
    if context.get("procMount", "Default") != "Default":
        raise SpecError(f"{where}.procMount", f"found {context['procMount']}, which is not allowed here; {cure}")
    capabilities = _map(context.get("capabilities", {}), f"{where}.capabilities")
    for name in _list(capabilities.get("add", []), f"{where}.capabilities.add"):
        if name not in CAPABILITIES:
            raise SpecError(f"{where}.capabilities.add", f"found {name}, which is not allowed here; {cure}")


def _check_windows(context: Json, path: str, security: PodSecurity) -> None:
    options = _map(context.get("windowsOptions", {}), f"{path}.windowsOptions")
    if options.get("hostProcess") and not security.allow_privileged:
        raise SpecError(
            f"{path}.windowsOptions.hostProcess", f"is not allowed here; {_ADMIN.format(setting='allowPrivileged')}"
        )


def _check_env(env: object, path: str) -> None:
    variables = list(_maps(env, path))
    _check_names(variables, path)
    for variable in variables:
        where = f"{path}[{variable['name']}]"
        if str(variable["name"]).startswith(ENV_PREFIX):
            raise SpecError(where, f"names that begin with {ENV_PREFIX} are kept for the operator; choose another one")
        if not isinstance(variable.get("value", ""), str):
            raise SpecError(f"{where}.value", f"found {variable['value']!r}; write it as a text, in quotes")


def _check_names(items: Sequence[Json], path: str) -> None:
    seen = set()
    for index, item in enumerate(items):
        name = item.get("name")
        if not name or not isinstance(name, str):
            raise SpecError(f"{path}[{index}].name", "is missing; items are merged by it")
        if name in seen:
            raise SpecError(f"{path}[{index}].name", f'"{name}" stands twice; keep one')
        seen.add(name)


def _only(found: Json, allowed: frozenset[str], path: str) -> None:
    for field in found:
        if field not in allowed:
            raise SpecError(
                f"{path}.{field}", f"is not among the fields that a template may have: {', '.join(sorted(allowed))}"
            )


def _map(value: object, path: str) -> Json:
    if not isinstance(value, Mapping):
        raise SpecError(path, f"found {value!r}; a map of fields is expected")
    return value


def _list(value: object, path: str) -> list[Any]:
    if not isinstance(value, list):
        raise SpecError(path, f"found {value!r}; a list is expected")
    return value


def _maps(value: object, path: str) -> Iterator[Json]:
    for index, item in enumerate(_list(value, path)):
        yield _map(item, f"{path}[{index}]")
