"""Prometheus as a host process that finds pods through the API server."""

import json
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.contract import PrometheusInfo
from tests.cluster.local.component import Component
from tests.cluster.local.control_plane import ControlPlane
from tests.cluster.local.daemon import Daemon
from tests.cluster.local.plan import BRIDGE_ADDRESS, POD_CIDR
from tests.cluster.local.probes import page
from tests.cluster.stack import prometheus_config


@dataclass(frozen=True)
class Monitoring:
    """Makes the component; `program` is prometheus, `gateway` host:port of the data plane's metrics."""

    plane: ControlPlane
    program: Path
    gateway: str

    def info(self) -> PrometheusInfo:
        port = self.plane.plan.ports["prometheus"]
        return PrometheusInfo(url=f"http://127.0.0.1:{port}", pod_url=f"http://{BRIDGE_ADDRESS}:{port}")

    def prometheus(self) -> Component:
        places, port = self.plane.places, self.plane.plan.ports["prometheus"]
        config = places.config / "prometheus.json"
        argv: list[str | Path] = [
            self.program,
            f"--config.file={config}",
            f"--storage.tsdb.path={places.data / 'prometheus'}",
            "--storage.tsdb.retention.time=2d",
            f"--web.listen-address=127.0.0.1:{port}",
            f"--web.listen-address={BRIDGE_ADDRESS}:{port}",
            "--log.level=warn",
        ]
        document = prometheus_config(self.plane.plan.options.scrape_interval, self.gateway, str(places.kubeconfig))
        probe = page(f"http://127.0.0.1:{port}/-/ready")
        return Daemon(
            "prometheus", argv, places.root, probe, {config: json.dumps(document, indent=2)}, no_proxy=(POD_CIDR,)
        )
