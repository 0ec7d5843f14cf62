import asyncio

import pytest

from modelrollout.runtime.budget import Budget
from tests.fakes.clock import VirtualClock


def test_a_burst_is_spent_at_once_and_comes_back_at_the_rate():
    clock = VirtualClock()
    budget = Budget(clock.monotonic, rate=2, burst=3)
    assert [budget.take() for _ in range(4)] == [True, True, True, False]
    assert budget.wait() == pytest.approx(0.5)
    asyncio.run(clock.advance(0.5))
    assert budget.wait() == 0
    assert [budget.take() for _ in range(2)] == [True, False]


def test_an_idle_hour_saves_up_no_more_than_the_burst():
    clock = VirtualClock()
    budget = Budget(clock.monotonic, rate=2, burst=3)
    asyncio.run(clock.advance(3_600))
    assert sum(budget.take() for _ in range(100)) == 3


def test_a_jump_of_the_wall_clock_gives_nothing():
    clock = VirtualClock()
    budget = Budget(clock.monotonic, rate=1, burst=1)
    assert budget.take()
    clock.jump(3_600)
    assert not budget.take()


@pytest.mark.parametrize(("rate", "burst"), [(0, 1), (1, 0.5)])
def test_a_budget_that_could_never_be_spent_is_refused(rate, burst):
    with pytest.raises(ValueError, match="budget"):
        Budget(lambda: 0.0, rate=rate, burst=burst)
