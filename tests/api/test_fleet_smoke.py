"""A small fleet at once in one process: it finishes, it costs few requests, and while nothing happens it reads nothing."""

from pathlib import Path

import pytest

from bench.fleet.stage import Stage
from bench.fleet.story import Result, run
from bench.fleet.workload import Workload
from tests.api.kubectl import fresh_namespace

ROLLOUTS = 24
HOUSEKEEPING = 8
"""Reads a minute of the whole process, however many rollouts: which optional kinds are served."""


@pytest.fixture(scope="module")
def result(cluster, tmp_path_factory) -> Result:
    with fresh_namespace(cluster.kubectl, "fleet") as space:
        workload = Workload(ROLLOUTS, (space.namespace,), interval=5, warm_up="1s", short_hold="5s")
        kubeconfig = Path(space.environment["KUBECONFIG"])
        with Stage(kubeconfig, tmp_path_factory.mktemp("fleet"), workload, alone=False) as stage:
            found = run(stage, minutes=0.5)
            assert not [line for line in stage.operator.lines() if line["level"] in ("error", "critical")]
            return found


pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]


def test_a_steady_fleet_writes_next_to_nothing(result):
    """None on a machine with time to spare; where a scrape comes late a canary may say so, and that is a write."""
    assert result.steady.writes / ROLLOUTS <= 0.5 * result.steady.seconds / 60, result.steady.requests


def test_a_steady_fleet_reads_nothing_but_what_the_process_needs_for_itself(result):
    reads = {key: count for key, count in result.steady.requests.items() if key[0] in ("GET", "LIST")}
    assert sum(reads.values()) <= HOUSEKEEPING, reads
    assert {what for _, what in reads} <= {"httproutes", "podmonitors"}, reads


def test_a_steady_fleet_asks_prometheus_a_handful_of_queries_for_all(result):
    windows = result.steady.seconds / result.interval
    assert 1 <= result.steady.queries / windows <= 10


def test_every_rollout_is_looked_at_once_a_window(result):
    windows = result.steady.seconds / result.interval
    assert 0.5 <= result.steady.looks / windows / ROLLOUTS <= 1.5


def test_a_restart_in_mid_fleet_changes_nothing(result):
    assert result.restart.writes == 0
    assert result.restart.changed == 0
    assert result.restart.weights_moved == 0


def test_requests_of_a_whole_canary_are_bounded(result):
    """The figures are what a canary of two steps costs, with room for a turn or two more on a slow machine."""
    for phase, most_writes, most_reads in ((result.first, 16, 24), (result.ramp, 14, 16), (result.finish, 20, 24)):
        assert phase.writes <= most_writes * ROLLOUTS, phase.requests
        assert phase.reads <= most_reads * ROLLOUTS, phase.requests
