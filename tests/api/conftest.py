"""A real API server for tests: one cluster with kwok pods for all of them, a namespace for each.

The cluster is found or brought up under a lock between processes, so that parallel workers share it; the CRDs are applied
by each session, which changes nothing when they are there. A test that runs in an event loop asks for `cluster.client()`
inside it, because a client belongs to its loop.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from modelrollout.kube.client import Client, load_configuration
from tests.api.kubectl import Kubectl, connect, fresh_namespace
from tests.crash.matrix import SHARE_VARIABLE, SHARES, share_of_today


def pytest_report_header() -> str:
    return f"crash matrix: {share_of_today()} ({SHARE_VARIABLE}=1 to {SHARES} chooses another)"


@dataclass(frozen=True)
class RealCluster:
    """A running cluster, and kubectl for what a person or another controller does to it."""

    kubectl: Kubectl

    @asynccontextmanager
    async def client(self, **options: Any) -> AsyncIterator[Client]:
        client = Client(await load_configuration(self.kubectl.environment["KUBECONFIG"]), **options)
        try:
            yield client
        finally:
            await client.close()


@pytest.fixture(scope="session")
def cluster() -> RealCluster:
    return RealCluster(connect())


@pytest.fixture
def space(cluster: RealCluster) -> Iterator[Kubectl]:
    """kubectl in a namespace of the test's own; `space.namespace` is its name."""
    with fresh_namespace(cluster.kubectl, "kube") as kubectl:
        yield kubectl
