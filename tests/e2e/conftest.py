"""Real pods, a real gateway, a real Prometheus, and the operator from the chart in a pod of its own.

One cluster, one operator and one namespace serve the whole session; every test has ModelDeployments of its own names and
hostnames. The tests run one after another, never under xdist, because some of them take parts of the cluster away. What they
measure goes into one JSON file, whose path stands at the end of the report.
"""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from demo.install import Release
from demo.places import MANIFESTS
from demo.stage import COMPARER_IMAGE, Stage, provide_images
from tests.api.kubectl import Kubectl
from tests.api.routers import define_routers
from tests.cluster import Cluster, ClusterInfo, Flavor, make_cluster
from tests.cluster.commands import run
from tests.cluster.locks import exclusive
from tests.cluster.places import state_home
from tests.cluster.progress import default_steps
from tests.e2e.provider import ProviderProxy
from tests.e2e.served import Served
from tests.harness.apiserver import ApiServer
from tests.harness.background import Background
from tests.harness.process import Operator
from tests.harness.watching import Observer

MODELS = "e2e"
OPERATORS = "e2e-system"
RELEASE = "modelrollout-e2e"
READ = ("gateways", "gatewayclasses")
DELAY = 2.0
"""evaluationDelay of every operator here, in seconds."""
REPORT_VARIABLE = "MODELROLLOUT_E2E_REPORT"

_FIGURES: dict[str, Any] = {}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/e2e/" in item.nodeid:
            item.add_marker(pytest.mark.e2e)
            item.add_marker(pytest.mark.timeout(600))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if not _FIGURES:
        return
    terminalreporter.section("measured")
    for name, value in sorted(_FIGURES.items()):
        terminalreporter.write_line(f"{name}: {value}")
    terminalreporter.write_line(f"also in {_report()}")


def _report() -> Path:
    return Path(os.environ.get(REPORT_VARIABLE) or state_home() / "e2e.json")


@dataclass
class Desk:
    """What a test works with."""

    cluster: Cluster
    info: ClusterInfo
    server: ApiServer
    observer: Observer
    kubectl: Kubectl
    figures: dict[str, Any] = field(repr=False)

    def measured(self, name: str, value: Any) -> None:
        """Note a figure for the report."""
        self.figures[name] = round(value, 3) if isinstance(value, float) else value
        _report().parent.mkdir(parents=True, exist_ok=True)
        _report().write_text(json.dumps(self.figures, indent=2, sort_keys=True) + "\n")

    @contextmanager
    def namespace(self, name: str) -> Iterator[Kubectl]:
        """kubectl in another namespace, made for a test."""
        self.kubectl.ok("create", "namespace", name)
        try:
            yield Kubectl(self.kubectl.program, self.kubectl.environment, name)
        finally:
            self.kubectl.ok("delete", "namespace", name, "--wait=false")

    def model(self, name: str) -> Served:
        """A ModelDeployment of this name, not yet applied."""
        return Served(
            self.kubectl,
            self.server.of(self.kubectl.namespace),
            self.observer,
            name=name,
            gateway_info=self.info.gateway,
        )


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Held by one session at a time: each installs its own operator, and takes it away at its end."""
    with exclusive(state_home() / "e2e.lock"):
        found = make_cluster(None, Flavor.PODS)
        found.up()
        yield found


@pytest.fixture(scope="session")
def installed(cluster: Cluster) -> Iterator[ClusterInfo]:
    """The images in the cluster and the operator of this very checkout, installed by the chart."""
    info = cluster.up()
    assert info.prometheus is not None
    settings = {
        "settings.providers[0].name": "default",
        "settings.providers[0].url": info.prometheus.pod_url,
        "watchNamespaces": f"{{{MODELS}}}",
        "settings.routers": "{Gateway,Traefik}",
        "settings.checkpointEvery": "2s",  # progress is read from status here, and nobody waits five minutes for it
        "podAnnotations.e2e/image": provide_images(Stage(cluster, info), default_steps(), comparer=True),
        "comparer.image.tag": COMPARER_IMAGE.partition(":")[2],
    }
    release = Release(info, RELEASE, OPERATORS, MODELS, [MANIFESTS / "operator.yaml"], settings)
    release.remove()
    kubectl = Kubectl(info.kubectl, info.environment(), MODELS)
    define_routers(kubectl)
    release.install()
    with _may_read_gateways(kubectl):
        yield info
    if not os.environ.get("MODELROLLOUT_E2E_KEEP"):
        release.remove()


@contextmanager
def _may_read_gateways(kubectl: Kubectl) -> Iterator[None]:
    """With `watchNamespaces` somebody has to grant it, as docs/shadow.md says."""
    name = f"{RELEASE}-gateways"
    rights = ["--verb=get", f"--resource={','.join(f'{kind}.gateway.networking.k8s.io' for kind in READ)}"]
    made: tuple[tuple[str, ...], ...] = (
        ("clusterrole", name, *rights),
        ("clusterrolebinding", name, f"--clusterrole={name}", f"--serviceaccount={OPERATORS}:{RELEASE}"),
    )
    for kind, *_ in made:
        kubectl.ok("delete", kind, name, "--ignore-not-found")  # what a killed session has left
    for words in made:
        kubectl.ok("create", *words)
    yield
    for kind, *_ in made:
        kubectl.ok("delete", kind, name, "--ignore-not-found")


@pytest.fixture(scope="session")
def background() -> Iterator[Background]:
    found = Background()
    yield found
    found.close()


@pytest.fixture(scope="session")
def installed_kubeconfig(installed: ClusterInfo, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The kubeconfig with everything in one file, as JSON."""
    words = [installed.kubectl, "config", "view", "--raw", "--flatten", "--minify", "--output=json"]
    file = tmp_path_factory.mktemp("kube") / "kubeconfig.json"
    file.touch(mode=0o600)
    file.write_text(run(words, env=installed.environment()))
    return file


@pytest.fixture(scope="session")
def server(installed_kubeconfig: Path, background: Background) -> Iterator[ApiServer]:
    found = ApiServer(background, installed_kubeconfig)
    yield found
    found.close()


@pytest.fixture(scope="session")
def desk(cluster: Cluster, installed: ClusterInfo, server: ApiServer) -> Iterator[Desk]:
    observer = Observer(server, MODELS)
    kubectl = Kubectl(installed.kubectl, installed.environment(), MODELS)
    yield Desk(cluster, installed, server, observer, kubectl, _FIGURES)
    observer.close()


@pytest.fixture
def model(desk: Desk, request: pytest.FixtureRequest) -> Iterator[Served]:
    """A ModelDeployment of the test's own, deleted after it. Its name is that of the test's file."""
    name = request.path.stem.removeprefix("test_").replace("_", "-")
    found = desk.model(f"{name}-{time.monotonic_ns() % 0xFFFF:04x}")
    yield found
    found.delete()


@dataclass
class Proxied:
    """A model with an operator that is a process of its own and asks Prometheus through a proxy."""

    proxy: ProviderProxy
    served: Served
    operator: Operator


@pytest.fixture
def proxied(
    desk: Desk, background: Background, tmp_path: Path, installed_kubeconfig: Path, request: pytest.FixtureRequest
) -> Iterator[Proxied]:
    """In a namespace of its own, because two operators must not watch the same one."""
    assert desk.info.prometheus is not None
    name = "e2e-" + request.path.stem.removeprefix("test_").replace("_", "-")
    with desk.namespace(name) as kubectl, ProviderProxy(background, desk.info.prometheus.url) as proxy:
        settings = {
            "providers": [{"name": "default", "url": proxy.url, "timeout": "2s"}],
            "evaluationDelay": f"{DELAY:g}s",
            "settle": "2s",
            "drain": "5s",
            "checkpointEvery": "2s",
        }
        operator = Operator(tmp_path, installed_kubeconfig, name, settings)
        observer = Observer(desk.server, name)
        operator.start()
        objects = desk.server.of(name)
        served = Served(kubectl, objects, observer, name="model", gateway_info=desk.info.gateway)
        yield Proxied(proxy, served, operator)
        if operator.running:
            operator.stop()
        observer.close()
