"""What is the same wherever a cluster runs: Traefik's arguments, the Gateway, Prometheus' configuration.

Prometheus scrapes pods that ask for it by the usual annotations (`prometheus.io/scrape`, `port`, `path`, `scheme`) and gives
their series the labels `namespace` and `pod`, as common set-ups do, and nothing more: what works here needs no special
relabelling elsewhere. It scrapes the data plane as well.
"""

from typing import Any

GATEWAY_CLASS = "traefik"
CONTROLLER = "traefik.io/gateway-controller"
GATEWAY_NAMESPACE = "gateways"
GATEWAY_NAME = "public"
# Seconds; dense where a model's latency limits usually lie.
BUCKETS = "0.005,0.01,0.02,0.03,0.05,0.075,0.1,0.15,0.2,0.25,0.3,0.4,0.5,0.75,1,1.5,2,3,5,10"
ANNOTATION = "__meta_kubernetes_pod_annotation_prometheus_io"


def traefik_arguments(web: str, internal: str) -> list[str]:
    """Arguments for the addresses of the traffic and of ping and metrics.

    A listener of a Gateway is served by the entry point with the same port.
    """
    return [
        f"--entryPoints.web.address={web}",
        f"--entryPoints.internal.address={internal}",
        "--providers.kubernetesGateway",
        "--ping",
        "--ping.entryPoint=internal",
        "--metrics.prometheus",
        "--metrics.prometheus.entryPoint=internal",
        "--metrics.prometheus.addServicesLabels",
        f"--metrics.prometheus.buckets={BUCKETS}",
        "--global.checkNewVersion=false",
        "--global.sendAnonymousUsage=false",
        "--log.level=INFO",
    ]


def gateway_objects(port: int) -> list[dict[str, Any]]:
    """Traefik's class and its Gateway; the namespace has to be there."""
    return gateway_of(GATEWAY_CLASS, CONTROLLER, GATEWAY_NAME, port)


def gateway_of(
    class_name: str, controller: str, name: str, port: int, parameters: dict[str, Any] | None = None
) -> list[dict[str, Any]]:
    """A class and a Gateway that takes routes from all namespaces. `parameters` refers to what the class's controller reads."""
    group = "gateway.networking.k8s.io/v1"
    routes = {"namespaces": {"from": "All"}}
    listener = {"name": "http", "protocol": "HTTP", "port": port, "allowedRoutes": routes}
    return [
        {
            "apiVersion": group,
            "kind": "GatewayClass",
            "metadata": {"name": class_name},
            "spec": {"controllerName": controller, **({"parametersRef": parameters} if parameters else {})},
        },
        {
            "apiVersion": group,
            "kind": "Gateway",
            "metadata": {"name": name, "namespace": GATEWAY_NAMESPACE},
            "spec": {"gatewayClassName": class_name, "listeners": [listener]},
        },
    ]


def namespace(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def prometheus_config(interval: str, gateway: str, kubeconfig: str | None = None) -> dict[str, Any]:
    """The configuration file (JSON is YAML); `gateway` is host:port of the data plane's metrics.

    Without a kubeconfig Prometheus uses the account of its own pod.
    """
    access = {"kubeconfig_file": kubeconfig} if kubeconfig else {}
    return {
        "global": {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval},
        "scrape_configs": [
            {
                "job_name": "pods",
                "kubernetes_sd_configs": [{"role": "pod", **access}],
                "relabel_configs": _pod_rules(),
            },
            {"job_name": "gateway", "static_configs": [{"targets": [gateway]}]},
        ],
    }


def _pod_rules() -> list[dict[str, Any]]:
    def rule(source: list[str], **more: Any) -> dict[str, Any]:
        return {"source_labels": source, **more}

    return [
        rule([f"{ANNOTATION}_scrape"], action="keep", regex="true"),
        rule(["__meta_kubernetes_pod_phase"], action="drop", regex="Pending|Succeeded|Failed"),
        rule(["__meta_kubernetes_pod_container_init"], action="drop", regex="true"),
        rule([f"{ANNOTATION}_scheme"], target_label="__scheme__", regex="(https?)"),
        rule([f"{ANNOTATION}_path"], target_label="__metrics_path__", regex="(.+)"),
        # Targets of one pod that differ only in the container's own port become one target here.
        rule(
            ["__meta_kubernetes_pod_ip", f"{ANNOTATION}_port"],
            target_label="__address__",
            separator=":",
            regex=r"(.+):(\d+)",
            replacement="$1:$2",
        ),
        rule(["__meta_kubernetes_namespace"], target_label="namespace"),
        rule(["__meta_kubernetes_pod_name"], target_label="pod"),
    ]
