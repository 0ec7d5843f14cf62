"""The usual configuration elsewhere, for comparison: so many failed checks in the whole rollout, and it is taken back.

This is not the operator's Threshold method, which begins anew with each step and wants a sample first.
"""

from __future__ import annotations

from bench.judge.play import Played
from bench.judge.setting import Setting
from bench.judge.traffic import Traffic
from modelrollout.rollout.capacity import need

OBJECTIVE = 0.01
FAILURES = 3
CHECK = 60.0


class Checks:
    """Error rate of the last minute above 1 %, asked every minute; three failed checks take the candidate back."""

    def __init__(self, setting: Setting, seed: int) -> None:
        self._setting, self._seed = setting, seed

    def play(self, number: int) -> Played:
        """Rollout `number`."""
        setting = self._setting
        traffic = Traffic(setting, self._seed, number)
        in_a_check, in_a_step = round(CHECK / setting.window), round(setting.step_minutes * 60 / setting.window)
        failed = requests = 0
        for index, weight in enumerate(setting.weights):
            first = index * in_a_step
            pods = max(1, need(setting.pods, round(weight * 100)))
            windows = traffic.windows(weight / 100, pods, first, in_a_step, first * setting.window)
            for at in range(0, in_a_step, in_a_check):
                check = windows[at : at + in_a_check]
                asked = sum(window.candidate.requests for window in check)
                bad = sum(window.candidate.bad for window in check)
                ended = check[-1].end
                requests += asked if ended > setting.bad_from else 0
                failed += bad > OBJECTIVE * asked
                if failed == FAILURES:
                    return Played(True, "RolledBack", ended, requests, None, 0)
        return Played(False, "Promoted", setting.planned, requests, None, 0)
