"""Envoy Gateway in the place of Traefik, where the cluster was brought up with it (`make test-envoy`)."""

from dataclasses import replace

import pytest

from tests.e2e.conftest import Desk


@pytest.fixture(scope="session")
def desk(desk: Desk) -> Desk:
    """The desk of all tests, whose models have routes of Envoy Gateway."""
    if desk.info.envoy is None:
        pytest.skip("Envoy Gateway is not there: python -m tests.cluster up --gateway envoy")
    return replace(desk, info=replace(desk.info, gateway=desk.info.envoy))
