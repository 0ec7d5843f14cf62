"""The operator as a process of its own: started, ended by a signal, killed, and asked for its own metrics."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.harness.nursery import Forked, Nursery

ROOT = Path(__file__).parents[2]
WRITES = frozenset({"POST", "PUT", "PATCH", "APPLY", "DELETE"})
QUICK: dict[str, Any] = {
    "settle": "1s",
    "drain": "1s",
    "readyFor": "1s",
    "evaluationDelay": "0s",
    "metricsAddress": "127.0.0.1",
    "healthPort": 0,
}
"""Short times, so that lives are short; no shorter than a second, so that they are still times."""


class Operator:
    """One operator for one namespace (or, with an empty one, for all). `module` is what python runs; `settings` go over QUICK.

    With a nursery it is forked there instead of being started afresh.
    """

    def __init__(
        self,
        folder: Path,
        kubeconfig: Path,
        namespace: str,
        settings: dict[str, Any] | None = None,
        *,
        lease: bool = False,
        nursery: Nursery | None = None,
    ) -> None:
        self._folder, self._kubeconfig, self._namespace, self._lease = folder, kubeconfig, namespace, lease
        self._nursery = nursery
        self.port = _free_port()
        self.settings = QUICK | {"metricsPort": self.port} | (settings or {})
        self._process: subprocess.Popen[bytes] | Forked | None = None
        self._starts = 0

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def starts(self) -> int:
        """How often it was started."""
        return self._starts

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, module: str = "modelrollout.operator", *, wait: bool = True) -> None:
        """Start it; with `wait`, until it has listed everything and begins to decide."""
        assert not self.running
        self._starts += 1
        file = self._folder / f"settings-{self._starts}.yaml"
        file.write_text(json.dumps(self.settings))
        environment = {name: text for name, text in os.environ.items() if not name.startswith("MODELROLLOUT_")}
        environment |= {
            "KUBECONFIG": str(self._kubeconfig),
            "PYTHONPATH": os.pathsep.join([str(ROOT / "operator"), str(ROOT)]),
        }
        leadership = [] if self._lease else ["--no-leader-election"]
        scope = ["--namespace", self._namespace] if self._namespace else []
        words = [*scope, "--settings", str(file), "--log-format", "json", *leadership]
        with self.log.open("ab") as log:
            if self._nursery is not None:
                self._process = self._nursery.start(words, {"KUBECONFIG": str(self._kubeconfig)}, self.log)
            else:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", module, *words], env=environment, cwd=ROOT, stdout=log, stderr=log
                )
        if wait:
            self.ready()

    @property
    def log(self) -> Path:
        """Of the latest start."""
        return self._folder / f"operator-{self._starts}.log"

    def ready(self, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while '"ready: ' not in self.log.read_text():
            assert self.running, f"the operator ended:\n{self.log.read_text()}"
            assert time.monotonic() < deadline, f"the operator did not start:\n{self.log.read_text()}"
            time.sleep(0.05)

    def wait(self) -> int:
        """Wait for its end, which has come by itself; returns the exit code."""
        assert self._process is not None
        return self._process.wait(30)

    def kill(self) -> None:
        """At once, as a node that loses power does."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """As Kubernetes ends a pod; returns the exit code."""
        return self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> int:
        assert self._process is not None
        self._process.send_signal(how)
        return self._process.wait(30)

    def lines(self) -> list[dict[str, Any]]:
        """All that its starts have logged."""
        found = []
        for start in range(1, self._starts + 1):
            for line in (self._folder / f"operator-{start}.log").read_text().splitlines():
                try:
                    found.append(json.loads(line))
                except ValueError:
                    found.append({"level": "error", "message": line})  # not from the logger: a crash
        return found

    def page(self) -> str:
        """Its own metrics, as Prometheus would get them."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=30) as answer:
            text: str = answer.read().decode()
        return text

    def idle(self) -> bool:
        """Whether no key is queued or being worked on."""
        samples = [one for family in text_string_to_metric_families(self.page()) for one in family.samples]
        busy = ("workqueue_depth", "workqueue_longest_running_processor_seconds")
        return not any(sample.value for sample in samples if sample.name in busy)

    def requests(self, *, code: str = "") -> dict[tuple[str, str], int]:
        """Requests to the API server since its start, by verb and resource."""
        found: dict[tuple[str, str], int] = {}
        for family in text_string_to_metric_families(self.page()):
            for sample in family.samples:
                if sample.name != "modelrollout_api_requests_total" or code not in ("", sample.labels["code"]):
                    continue
                key = sample.labels["verb"], sample.labels["resource"]
                found[key] = found.get(key, 0) + int(sample.value)
        return found

    def writes(self) -> dict[tuple[str, str], int]:
        """Of the requests, those that write; Events are no state and are left out."""
        return {key: count for key, count in self.requests().items() if key[0] in WRITES and key[1] != "events"}


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
