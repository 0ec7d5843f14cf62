"""Argo Rollouts and Flagger on the same work, for comparison.

Measured on 2 cores of the same kind with one metric at 15 s, 500 canaries, not by this bench: there is no command here that would
repeat it. Argo Rollouts 1.9.1, Flagger 1.44.
"""

from collections.abc import Sequence

from bench.fleet.result import Breach, Result

WHAT = (
    "memory",
    "API requests per rollout and minute",
    "Prometheus queries per minute",
    "500 turn bad at once: back on stable after, median / last",
    "restart: back at work after",
)
ARGO_ROLLOUTS = ("178–275 MB", "4.3", "2,000", "132 / 173 s", "more than 2 min")
FLAGGER = ("93–108 MB", "68–74", "–", "268 / 286 s", "–")
SIZE = 500


def compared(results: Sequence[Result]) -> list[str]:
    """Lines of the page: the two beside a fleet of that size, and one in which as many turn bad."""
    size = next((one for one in results if one.rollouts == SIZE), None)
    breach = next((one.breach for one in results if abs(one.breach.count - SIZE) < SIZE / 10), None)
    missing = "not measured"
    own = (*(_steady(size) if size else (missing,) * 3), _back(breach) if breach else missing, _again(size, missing))
    return [
        f"{SIZE} rollouts. The figures of Argo Rollouts 1.9.1 and Flagger 1.44 were measured apart from this bench, on a machine of the",
        f"same kind with one metric at 15 s, not two, and all of them turning bad; here {SIZE} of twice as many do.",
        "",
        "| | ModelRollout | Argo Rollouts | Flagger |",
        "| --- | ---: | ---: | ---: |",
        *(
            f"| {what} | {ours} | {argo} | {flagger} |"
            for what, ours, argo, flagger in zip(WHAT, own, ARGO_ROLLOUTS, FLAGGER, strict=True)
        ),
    ]


def _steady(one: Result) -> tuple[str, str, str]:
    steady = one.steady
    per_minute = 60 / steady.seconds
    requests = (steady.reads + steady.writes) * per_minute / one.rollouts
    megabytes = steady.memory * (1 << 20) / 1e6
    return f"{megabytes:.0f} MB", f"{requests:.2f}", f"{steady.queries * per_minute:.0f}"


def _back(breach: Breach) -> str:
    return f"{breach.median:.0f} / {breach.last:.0f} s"


def _again(one: Result | None, missing: str) -> str:
    return f"{one.restart.observed:.0f} s" if one else missing
