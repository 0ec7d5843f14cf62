"""The operator killed before and after each request of a promotion and of a rollback: a fifth of all runs, another one each day."""

import pytest

from tests.crash.matrix import missed, play, share_of_today
from tests.crash.story import Theatre
from tests.harness.nursery import Nursery

SIDE_BY_SIDE = 12


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("story", ["promotion", "rollback"])
def test_a_kill_at_any_request_changes_neither_weights_nor_outcome_nor_holds(cluster, server, story):
    share = share_of_today()
    with Nursery() as nursery:
        undisturbed, runs = play(Theatre(server, cluster.kubectl, nursery), story, share, SIDE_BY_SIDE)
    wrong = [f"{run.case} at {run.hit and run.hit.words}: {run.wrong}" for run in runs if run.wrong]
    assert not wrong, "\n".join(wrong)
    assert undisturbed.starts == 1
    assert len(runs) >= 10
    assert len(missed(runs)) <= len(runs) // 5, "most runs ended before the request that was to be struck"
