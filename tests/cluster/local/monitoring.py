"""Prometheus as a host process that finds pods through the API server.

It scrapes pods that ask for it by the usual annotations (`prometheus.io/scrape`, `port`, `path`, `scheme`) and gives their
series the labels `namespace` and `pod`, as common set-ups do, and nothing more: what works here needs no special relabelling
elsewhere. It scrapes the data plane as well.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.cluster.contract import GatewayInfo, PrometheusInfo
from tests.cluster.local.component import Component
from tests.cluster.local.control_plane import ControlPlane
from tests.cluster.local.daemon import Daemon
from tests.cluster.local.plan import BRIDGE_ADDRESS, POD_CIDR
from tests.cluster.local.probes import page

ANNOTATION = "__meta_kubernetes_pod_annotation_prometheus_io"


@dataclass(frozen=True)
class Monitoring:
    """Makes the component; `program` is prometheus."""

    plane: ControlPlane
    program: Path
    gateway: GatewayInfo

    def info(self) -> PrometheusInfo:
        port = self.plane.plan.ports["prometheus"]
        return PrometheusInfo(url=f"http://127.0.0.1:{port}", pod_url=f"http://{BRIDGE_ADDRESS}:{port}")

    def prometheus(self) -> Component:
        places, port = self.plane.places, self.plane.plan.ports["prometheus"]
        config = places.config / "prometheus.json"
        argv = [
            self.program,
            f"--config.file={config}",
            f"--storage.tsdb.path={places.data / 'prometheus'}",
            "--storage.tsdb.retention.time=2d",
            f"--web.listen-address=127.0.0.1:{port}",
            f"--web.listen-address={BRIDGE_ADDRESS}:{port}",
            "--log.level=warn",
        ]
        files = {config: json.dumps(self.config(), indent=2)}
        probe = page(f"http://127.0.0.1:{port}/-/ready")
        return Daemon("prometheus", argv, places.root, probe, files, no_proxy=(POD_CIDR,))

    def config(self) -> dict[str, Any]:
        """The configuration; JSON is YAML."""
        interval = self.plane.plan.options.scrape_interval
        metrics = urlsplit(self.gateway.metrics_url)
        return {
            "global": {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval},
            "scrape_configs": [
                {
                    "job_name": "pods",
                    "kubernetes_sd_configs": [{"role": "pod", "kubeconfig_file": str(self.plane.places.kubeconfig)}],
                    "relabel_configs": _pod_rules(),
                },
                {
                    "job_name": "gateway",
                    "metrics_path": metrics.path,
                    "static_configs": [{"targets": [metrics.netloc]}],
                },
            ],
        }


def _pod_rules() -> list[dict[str, Any]]:
    def rule(source: list[str], **more: Any) -> dict[str, Any]:
        return {"source_labels": source, **more}

    return [
        rule([f"{ANNOTATION}_scrape"], action="keep", regex="true"),
        rule(["__meta_kubernetes_pod_phase"], action="drop", regex="Pending|Succeeded|Failed|Completed"),
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
