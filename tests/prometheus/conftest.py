"""A real Prometheus on loopback, and pods that it scrapes: pages of one HTTP server, one for each pod."""

import json
import os
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.cluster.build.programs import prometheus as prometheus_program
from tests.cluster.progress import Steps

SCRAPE = 1.0


class Page:
    """What one pod exposes. `failing`: its scrapes fail, and `failed` counts them. Counters are text lines without values → value.

    `past`: lines with a time of their own, exposed instead.
    """

    def __init__(self, namespace: str, name: str) -> None:
        self.namespace, self.name = namespace, name
        self.lines: dict[str, float] = {}
        self.failing = False
        self.failed = 0
        self.past: list[str] = []
        self.lock = threading.Lock()

    def count(self, line: str, by: float = 1) -> None:
        with self.lock:
            self.lines[line] = self.lines.get(line, 0) + by

    def serve(self, status: int = 200, seconds: float = 0.05, bounds: tuple[str, ...] = ("0.1", "0.25", "1.0")) -> None:
        """One request."""
        with self.lock:
            found = [f'http_requests_total{{handler="/predict",method="POST",status="{status}"}}']
            for bound in (*bounds, "+Inf"):
                line = f'http_request_duration_seconds_bucket{{handler="/predict",le="{bound}"}}'
                self.lines.setdefault(line, 0)
                if seconds <= float(bound):
                    found.append(line)
            for line in found:
                self.lines[line] = self.lines.get(line, 0) + 1

    def restart(self) -> None:
        with self.lock:
            self.lines.clear()

    def text(self) -> str:
        with self.lock:
            if self.past:
                return "\n".join((*self.past, ""))
            return "".join(f"{line} {value}\n" for line, value in self.lines.items())


class Pages:
    """The HTTP server of all pods."""

    def __init__(self) -> None:
        self.pods: dict[str, Page] = {}
        pages = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                page = pages.pods.get(self.path.strip("/"))
                well = page is not None and not page.failing
                body = page.text().encode() if well else b""
                if page is not None:
                    page.failed += page.failing
                self.send_response(200 if well else 503)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def add(self, name: str, namespace: str = "ml") -> Page:
        self.pods[name] = Page(namespace, name)
        return self.pods[name]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class RealPrometheus:
    """The program, its data, and the targets that it was told of."""

    def __init__(self, program: Path, folder: Path, pages: Pages) -> None:
        self._program, self._folder, self._pages = program, folder, pages
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._write()
        command = [
            str(self._program),
            f"--config.file={self._folder / 'prometheus.json'}",
            f"--storage.tsdb.path={self._folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--web.enable-lifecycle",
        ]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "GOMAXPROCS": "1"})
        until(lambda: self._get("/-/ready") is not None, 60, "Prometheus is ready")

    def kill(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def targets(self, jobs: tuple[str, ...] = ("pods",)) -> None:
        """Scrape all pods that there are now, once for each job; returns when each was scraped."""
        self._write(jobs)
        request = urllib.request.Request(f"{self.url}/-/reload", method="POST")
        with urllib.request.urlopen(request, timeout=10):
            pass
        wanted = dict.fromkeys(self._pages.pods, float(len(jobs)))
        until(lambda: self.value("sum by (pod) (up)").items() >= wanted.items(), 30, "all pods are scraped")

    def value(self, query: str, at: float | None = None) -> dict[str, float]:
        """Pod → value, asked in the simplest way."""
        found = self._get(f"/api/v1/query?{urlencode({'query': query} | ({'time': at} if at else {}))}")
        assert found is not None
        rows = json.loads(found)["data"]["result"]
        return {row["metric"].get("pod", ""): float(row["value"][1]) for row in rows}

    def _get(self, path: str) -> bytes | None:
        try:
            with urllib.request.urlopen(self.url + path, timeout=5) as answer:
                return answer.read()
        except (urllib.error.URLError, OSError):
            return None

    def _write(self, jobs: tuple[str, ...] = ("pods",)) -> None:
        address = f"127.0.0.1:{self._pages.server.server_port}"
        static = [
            {
                "targets": [address],
                "labels": {
                    "namespace": page.namespace,
                    "pod": page.name,
                    "instance": page.name,
                    "__metrics_path__": f"/{page.name}",
                },
            }
            for page in self._pages.pods.values()
        ]
        config = {
            "global": {"scrape_interval": f"{SCRAPE:g}s", "scrape_timeout": "900ms"},
            "storage": {"tsdb": {"out_of_order_time_window": "7h"}},
            "scrape_configs": [{"job_name": job, "static_configs": static} for job in jobs],
        }
        (self._folder / "prometheus.json").write_text(json.dumps(config))  # JSON is YAML

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


def until(true: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait for a condition. AssertionError names it when time is over."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"within {seconds} s: {what}"
        threading.Event().wait(0.05)


@pytest.fixture(scope="session")
def program():
    return prometheus_program().provide(Steps()) / "bin" / "prometheus"


@pytest.fixture
def pages():
    made = Pages()
    yield made
    made.close()


@pytest.fixture
def prometheus(program, pages, tmp_path):
    made = RealPrometheus(program, tmp_path, pages)
    made.start()
    yield made
    made.close()
