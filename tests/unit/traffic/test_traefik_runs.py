"""A real Traefik takes the rules, priorities and weights of what is built. Its Kubernetes provider is left to tests/e2e.

The objects are handed over as Traefik's own file configuration, with a server on loopback for each Service.
"""

import http.server
import json
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from contextlib import ExitStack, contextmanager

import pytest

from modelrollout.api.traffic import Traffic
from modelrollout.traffic import testers
from modelrollout.traffic.base import RouteIntent
from modelrollout.traffic.traefik import TraefikRouter
from modelrollout.workload.identity import Owner
from tests.cluster.build.programs import traefik
from tests.cluster.progress import Steps

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]

OWNER = Owner("ml", "fraud", "6a3c")
STABLE, CANDIDATE = "1-aaaaaaaa", "2-bbbbbbbb"
ASKED = {
    "ingressRoute": {"entryPoints": ["web"], "hostnames": ["a.example.com", "*.b.example.com"], "pathPrefix": "/v1"}
}


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@contextmanager
def version(name):
    """A server that answers with its name; yields its address."""

    class Answer(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            body = name.encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def configuration(made, servers):
    """The objects as Traefik's dynamic configuration: what its Kubernetes provider makes of them."""
    service, route = made
    weighted = [{"name": one["name"], "weight": one["weight"]} for one in service["spec"]["weighted"]["services"]]
    services = {name: {"loadBalancer": {"servers": [{"url": url}]}} for name, url in servers.items()}
    routers = {
        f"r{index}": {
            "rule": one["match"],
            "service": one["services"][0]["name"],
            "entryPoints": route["spec"]["entryPoints"],
        }
        for index, one in enumerate(route["spec"]["routes"])
    }
    return {"http": {"routers": routers, "services": services | {"fraud": {"weighted": {"services": weighted}}}}}


@pytest.fixture(scope="module")
def ask(tmp_path_factory):
    """Sends a request to a Traefik with 80 % on stable and 20 % on the candidate; returns who answered."""
    with ExitStack() as stack:
        names = [f"fraud-{revision}" for revision in (STABLE, CANDIDATE)]
        servers = {name: stack.enter_context(version(name)) for name in names}
        weights, asked = {STABLE: 8_000, CANDIDATE: 2_000}, Traffic.model_validate({"traefik": ASKED})
        made = TraefikRouter().build(RouteIntent(OWNER, weights, {}, asked, candidate=CANDIDATE))
        folder, port = tmp_path_factory.mktemp("traefik"), free_port()
        (folder / "dynamic.yml").write_text(json.dumps(configuration(made, servers)))
        program = traefik().provide(Steps()) / "bin" / "traefik"
        words = [
            program,
            f"--entryPoints.web.address=127.0.0.1:{port}",
            f"--providers.file.filename={folder / 'dynamic.yml'}",
            "--global.checkNewVersion=false",
            "--global.sendAnonymousUsage=false",
        ]
        log = stack.enter_context((folder / "log").open("w"))
        process = subprocess.Popen(words, stdout=log, stderr=log, cwd=folder)
        stack.callback(process.wait)
        stack.callback(process.terminate)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

        def send(host="a.example.com", path="/v1/predict", **headers):
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Host": host} | named)
            try:
                with opener.open(request, timeout=10) as answer:
                    return answer.read().decode()
            except urllib.error.HTTPError as error:
                return error.code

        def ready():
            try:
                return send() in names
            except OSError:
                return False

        end = time.monotonic() + 60
        while not ready():
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < end, (folder / "log").read_text()
        yield send


def test_requests_are_divided_by_the_weights(ask):
    counts = Counter(ask() for _ in range(200))
    assert counts == {f"fraud-{STABLE}": 160, f"fraud-{CANDIDATE}": 40}, (
        "round robin by weight is exact over whole rounds"
    )


@pytest.mark.parametrize(("name", "met"), [(STABLE, STABLE), (CANDIDATE, CANDIDATE), ("candidate", CANDIDATE)])
def test_testers_meet_whom_they_name(ask, name, met):
    value = f"{testers.tester_token(OWNER)}-{name}"
    assert {ask(x_modelrollout_version=value) for _ in range(20)} == {f"fraud-{met}"}


def test_a_header_that_somebody_guesses_is_none(ask):
    assert len({ask(x_modelrollout_version="000000000000-candidate") for _ in range(20)}) == 2


@pytest.mark.parametrize(
    ("host", "path"), [("a.example.com", "/v1"), ("a.example.com", "/v1/"), ("x.y.b.example.com", "/v1/a")]
)
def test_what_is_meant_is_answered(ask, host, path):
    assert str(ask(host, path)).startswith("fraud-")


@pytest.mark.parametrize(
    ("host", "path"),
    [
        ("a.example.com", "/v10"),
        ("a.example.com", "/"),
        ("c.example.com", "/v1"),
        ("b.example.com", "/v1"),
        ("xb.example.com", "/v1"),
    ],
)
def test_what_is_not_meant_is_not(ask, host, path):
    assert ask(host, path) == 404
