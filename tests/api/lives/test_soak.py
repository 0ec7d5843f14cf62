"""A short soak; `make soak` is the long one. MODELROLLOUT_SOAK_SEED has a failure again."""

import os
import random

import pytest

from tests.soak.play import GROWTH, Length, soak

MINUTES = 2.0
ROLLOUTS = 6


@pytest.mark.timeout(900)
def test_under_random_faults_every_rollout_ends_as_its_model_deserves(server, cluster):
    seed = int(os.environ.get("MODELROLLOUT_SOAK_SEED") or random.SystemRandom().randrange(10**6))
    told: list[str] = []
    found = soak(server, cluster.kubectl, Length(MINUTES, ROLLOUTS, seed), told.append)
    print("\n".join([*told, found.words()]))  # noqa: T201  pytest shows it if the test fails
    assert not found.wrong, found.wrong
    assert found.growth <= GROWTH
    assert sum(found.faults.values()) >= 5
    assert sum(found.ended.values()) >= ROLLOUTS
