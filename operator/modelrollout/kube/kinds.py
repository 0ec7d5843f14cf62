"""The kinds of object that the operator reads or writes, and how their addresses are made.

A `Kind` is all that is needed to talk about a resource without a typed model of it: objects travel as plain JSON
dictionaries and stop being that at the edge of the pure layers. The table is closed on purpose: what is not in it
cannot be touched by a slip.
"""

from dataclasses import dataclass

GROUP = "modelrollout.dev"
OWNER_LABEL = f"{GROUP}/deployment"


@dataclass(frozen=True, slots=True)
class Kind:
    """One resource of the API server. `group` is empty for the core group."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def base(self) -> str:
        """The path of the API version: `/apis/apps/v1`, or `/api/v1` for the core group."""
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """The path of an object or, without a name, of a collection (of all namespaces without a namespace)."""
        parts = [self.base]
        if self.namespaced and namespace:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        parts += [part for part in (name, subresource) if part]
        return "/".join(parts)

    def __str__(self) -> str:
        return self.kind


@dataclass(frozen=True, slots=True)
class Ref:
    """The address of one object."""

    kind: Kind
    namespace: str
    name: str

    @property
    def path(self) -> str:
        return self.kind.path(self.namespace, self.name)

    def __str__(self) -> str:
        return (
            f"{self.kind.plural} {self.namespace}/{self.name}" if self.namespace else f"{self.kind.plural} {self.name}"
        )


MODEL_DEPLOYMENT = Kind(GROUP, "v1alpha1", "modeldeployments", "ModelDeployment")
ROLLOUT_COMMAND = Kind(GROUP, "v1alpha1", "rolloutcommands", "RolloutCommand")
DEPLOYMENT = Kind("apps", "v1", "deployments", "Deployment")
CONTROLLER_REVISION = Kind("apps", "v1", "controllerrevisions", "ControllerRevision")
SERVICE = Kind("", "v1", "services", "Service")
POD = Kind("", "v1", "pods", "Pod")
NAMESPACE = Kind("", "v1", "namespaces", "Namespace", namespaced=False)
EVENT = Kind("events.k8s.io", "v1", "events", "Event")
LEASE = Kind("coordination.k8s.io", "v1", "leases", "Lease")
HTTP_ROUTE = Kind("gateway.networking.k8s.io", "v1", "httproutes", "HTTPRoute")
TRAEFIK_SERVICE = Kind("traefik.io", "v1alpha1", "traefikservices", "TraefikService")
INGRESS_ROUTE = Kind("traefik.io", "v1alpha1", "ingressroutes", "IngressRoute")
VIRTUAL_SERVICE = Kind("networking.istio.io", "v1", "virtualservices", "VirtualService")
INGRESS = Kind("networking.k8s.io", "v1", "ingresses", "Ingress")
GATEWAY = Kind("gateway.networking.k8s.io", "v1", "gateways", "Gateway")
GATEWAY_CLASS = Kind("gateway.networking.k8s.io", "v1", "gatewayclasses", "GatewayClass", namespaced=False)
AUTOSCALER = Kind("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler")
POD_MONITOR = Kind("monitoring.coreos.com", "v1", "podmonitors", "PodMonitor")
CRD = Kind("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False)
SELF_REVIEW = Kind("authentication.k8s.io", "v1", "selfsubjectreviews", "SelfSubjectReview", namespaced=False)

KINDS: dict[tuple[str, str], Kind] = {
    (kind.api_version, kind.kind): kind
    for kind in (
        MODEL_DEPLOYMENT,
        ROLLOUT_COMMAND,
        DEPLOYMENT,
        CONTROLLER_REVISION,
        SERVICE,
        POD,
        NAMESPACE,
        EVENT,
        LEASE,
        HTTP_ROUTE,
        TRAEFIK_SERVICE,
        INGRESS_ROUTE,
        VIRTUAL_SERVICE,
        INGRESS,
        GATEWAY,
        GATEWAY_CLASS,
        AUTOSCALER,
        POD_MONITOR,
        CRD,
        SELF_REVIEW,
    )
}


def ref_of(manifest: dict[str, object]) -> Ref:
    """Read the address of an object from its own text. Raises KeyError for a kind that is not in the table."""
    kind = KINDS[str(manifest["apiVersion"]), str(manifest["kind"])]
    metadata = manifest["metadata"]
    if not isinstance(metadata, dict):
        raise TypeError(f"{kind}: metadata is {type(metadata).__name__}, not a map")
    return Ref(kind, str(metadata.get("namespace", "")), str(metadata["name"]))
