"""A token bucket: how many writes of one sort the whole process may make.

Writes that only save work after a restart (checkpoints of evidence) must not add up to a load when thousands of rollouts
are under way. They ask here first and come back later when the answer is no. Writes that state an intent never ask.
"""

from collections.abc import Callable


class Budget:
    """At most `rate` a second in the long run, and at most `burst` at once. Measured on the monotonic clock given."""

    def __init__(self, monotonic: Callable[[], float], *, rate: float, burst: float) -> None:
        if rate <= 0 or burst < 1:
            raise ValueError(f"a budget needs a rate above 0 and a burst of at least 1, not {rate} and {burst}")
        self._monotonic = monotonic
        self._rate, self._burst = rate, burst
        self._tokens, self._read_at = burst, monotonic()

    def take(self) -> bool:
        """Spend one if there is one."""
        self._fill()
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def wait(self) -> float:
        """Seconds until there is one to spend; 0 if there is."""
        self._fill()
        return max(0.0, (1 - self._tokens) / self._rate)

    def _fill(self) -> None:
        now = self._monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._read_at) * self._rate)
        self._read_at = now
