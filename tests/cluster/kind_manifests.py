"""Traefik and Prometheus as Kubernetes objects, for clusters that pull images from registries."""

import json
from typing import Any

from tests.cluster.stack import GATEWAY_NAMESPACE, gateway_objects, namespace, prometheus_config, traefik_arguments
from tests.cluster.versions import PROMETHEUS, TRAEFIK

GATEWAY_NODE_PORT, METRICS_NODE_PORT, PROMETHEUS_NODE_PORT = 30080, 30081, 30090
WEB_PORT, INTERNAL_PORT, PROMETHEUS_PORT = 8080, 8081, 9090
MONITORING = "monitoring"
PROMETHEUS_POD_URL = f"http://prometheus.{MONITORING}.svc:{PROMETHEUS_PORT}"
CONFIG_FOLDER = "/etc/prometheus"

READ = ["get", "list", "watch"]
TRAEFIK_RULES = [
    {"apiGroups": [""], "resources": ["services", "secrets", "namespaces", "nodes", "configmaps"], "verbs": READ},
    {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": READ},
    {"apiGroups": ["gateway.networking.k8s.io"], "resources": ["*"], "verbs": READ},
    {
        "apiGroups": ["gateway.networking.k8s.io"],
        "resources": [
            f"{kind}/status" for kind in ("gatewayclasses", "gateways", "httproutes", "grpcroutes", "tlsroutes")
        ],
        "verbs": ["update", "patch"],
    },
]
PROMETHEUS_RULES = [{"apiGroups": [""], "resources": ["pods"], "verbs": READ}]


def prometheus_release() -> str:
    """The release that belongs to the Go module's version: module 0.316.0 is release 3.16.0."""
    _, minor, patch = PROMETHEUS.split(".")
    major, rest = divmod(int(minor), 100)
    return f"{major}.{rest}.{patch}"


def manifests(scrape_interval: str) -> list[list[dict[str, Any]]]:
    """Objects in the order in which they have to be applied."""
    return [
        [namespace(GATEWAY_NAMESPACE), namespace(MONITORING)],
        [*_traefik(), *gateway_objects(WEB_PORT), *_prometheus(scrape_interval)],
    ]


def _traefik() -> list[dict[str, Any]]:
    container = {
        "name": "traefik",
        "image": f"docker.io/traefik:v{TRAEFIK}",
        "args": traefik_arguments(f":{WEB_PORT}", f":{INTERNAL_PORT}"),
        "ports": [{"name": "web", "containerPort": WEB_PORT}, {"name": "internal", "containerPort": INTERNAL_PORT}],
        "readinessProbe": {"httpGet": {"path": "/ping", "port": "internal"}, "periodSeconds": 1},
    }
    ports = [
        {"name": "web", "port": WEB_PORT, "targetPort": "web", "nodePort": GATEWAY_NODE_PORT},
        {"name": "internal", "port": INTERNAL_PORT, "targetPort": "internal", "nodePort": METRICS_NODE_PORT},
    ]
    return [
        *_account("traefik", GATEWAY_NAMESPACE, TRAEFIK_RULES),
        _deployment("traefik", GATEWAY_NAMESPACE, container),
        _service("traefik", GATEWAY_NAMESPACE, ports),
    ]


def _prometheus(scrape_interval: str) -> list[dict[str, Any]]:
    config = prometheus_config(scrape_interval, f"traefik.{GATEWAY_NAMESPACE}.svc:{INTERNAL_PORT}")
    container = {
        "name": "prometheus",
        "image": f"docker.io/prom/prometheus:v{prometheus_release()}",
        "args": [f"--config.file={CONFIG_FOLDER}/prometheus.yml", "--storage.tsdb.path=/prometheus"],
        "ports": [{"name": "http", "containerPort": PROMETHEUS_PORT}],
        "readinessProbe": {"httpGet": {"path": "/-/ready", "port": "http"}, "periodSeconds": 1},
        "volumeMounts": [{"name": "config", "mountPath": CONFIG_FOLDER}],
    }
    volumes = [{"name": "config", "configMap": {"name": "prometheus"}}]
    ports = [{"name": "http", "port": PROMETHEUS_PORT, "targetPort": "http", "nodePort": PROMETHEUS_NODE_PORT}]
    return [
        *_account("prometheus", MONITORING, PROMETHEUS_RULES),
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "prometheus", "namespace": MONITORING},
            "data": {"prometheus.yml": json.dumps(config, indent=2)},
        },
        _deployment("prometheus", MONITORING, container, volumes),
        _service("prometheus", MONITORING, ports),
    ]


def _account(name: str, where: str, rules: list[dict[str, Any]]) -> list[dict[str, Any]]:
    group = "rbac.authorization.k8s.io"
    role = f"modelrollout-test-{name}"
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": where}},
        {"apiVersion": f"{group}/v1", "kind": "ClusterRole", "metadata": {"name": role}, "rules": rules},
        {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": role},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": where}],
        },
    ]


def _deployment(
    name: str,
    where: str,
    container: dict[str, Any],
    volumes: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    spec = {"serviceAccountName": name, "containers": [container], "volumes": volumes or []}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": where},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": spec},
        },
    }


def _service(name: str, where: str, ports: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": where},
        "spec": {"type": "NodePort", "selector": {"app": name}, "ports": ports},
    }
