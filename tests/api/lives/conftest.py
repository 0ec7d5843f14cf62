"""A life for each test: a namespace, an operator process, a gateway that moves nothing, and an observer of everything.

After a test that passed, the laws of `tests.harness.laws` are held against all that was seen.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.api.kubectl import Kubectl, fresh_namespace
from tests.harness import laws
from tests.harness.apiserver import ApiServer
from tests.harness.background import Background
from tests.harness.gateway import Gateway
from tests.harness.life import Life
from tests.harness.process import Operator
from tests.harness.traffic import Traffic
from tests.harness.watching import Observer

_PASSED = pytest.StashKey[bool]()


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.cluster)
            item.add_marker(pytest.mark.timeout(420))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.when == "call":
        item.stash[_PASSED] = report.passed
    life = getattr(item, "funcargs", {}).get("life")
    if report.failed and life is not None and life.operator.log.exists():
        report.sections.append(("operator", "\n".join(life.operator.log.read_text().splitlines()[-40:])))
    return report


@pytest.fixture(scope="session")
def background() -> Iterator[Background]:
    found = Background()
    yield found
    found.close()


@pytest.fixture(scope="session")
def server(cluster, background) -> Iterator[ApiServer]:
    found = ApiServer(background, Path(cluster.kubectl.environment["KUBECONFIG"]))
    yield found
    found.close()


@pytest.fixture
def settings() -> dict:
    """The operator's settings over the quick ones; a test module may have its own."""
    return {}


@contextmanager
def lived(kubectl: Kubectl, server: ApiServer, folder: Path, settings: dict) -> Iterator[Life]:
    """A life in a fresh namespace. Nothing is judged."""
    with fresh_namespace(kubectl, "life") as own:
        observer = Observer(server, own.namespace)
        gateway = Gateway(server, observer, own.namespace)
        operator = Operator(folder, Path(own.environment["KUBECONFIG"]), own.namespace, settings)
        found = Life(own, server.of(own.namespace), observer, gateway, operator)
        try:
            yield found
        finally:
            if found.operator.running:
                found.operator.kill()
            gateway.close()
            observer.close()


@pytest.fixture
def life(request, cluster, server, tmp_path, settings) -> Iterator[Life]:
    with lived(cluster.kubectl, server, tmp_path, settings) as found:
        yield found
        if request.node.stash.get(_PASSED, False):
            laws.judge(found)


@pytest.fixture
def traffic(life) -> Iterator[Traffic]:
    """Requests and a Prometheus that counts them, which the operator of the life is told to ask."""
    with Traffic(life) as found:
        life.operator.settings["providers"] = [{"name": "default", "url": found.url, "timeout": "2s"}]
        life.operator.settings["evaluationDelay"] = "1s"
        yield found
