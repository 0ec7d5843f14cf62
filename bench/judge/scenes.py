"""What is measured without a setting: the reference table, late onsets, certificates, and all that must not cause a rollback."""

from __future__ import annotations

from dataclasses import dataclass

from bench.judge.setting import Setting

REFERENCE = Setting()
DAY = 86_400.0
NEAR = 0.10
"""How near a figure must come to the one of the independent simulation."""


@dataclass(frozen=True)
class Expected:
    """What a simulation written independently of the product found; None: it says nothing about it."""

    seconds: float | None = None
    requests: float | None = None
    share: float | None = None
    """Of rollouts taken back; with `at_most` an upper bound."""
    at_most: bool = False
    certified_seconds: float | None = None
    certified_share: float | None = None


@dataclass(frozen=True)
class Scene:
    """One setting to be played. `part`: how many of the rollouts asked for, where each takes long."""

    name: str
    setting: Setting
    expected: Expected = Expected()
    part: float = 1.0
    approximate: bool = False
    """The bound on false rollbacks is approximate here, and said to be."""


def _reference(rate: float, expected: Expected) -> Scene:
    return Scene(f"{100 * rate:g} %", Setting(rate_candidate=rate), expected)


TABLE: tuple[Scene, ...] = (
    _reference(0.005, Expected(share=0.01, at_most=True)),
    _reference(0.01, Expected(1170, 3560, 1.0)),
    _reference(0.02, Expected(225, 550, 1.0)),
    _reference(0.05, Expected(45, 124, 1.0)),
    _reference(0.2, Expected(15, 38, 1.0)),
)
"""The candidate's error rate, stable having 0.5 %."""

LATE: tuple[Scene, ...] = (
    Scene("2 % from minute 35 on", Setting(rate_candidate=0.02, onset=2100), Expected(105), part=0.05),
    Scene("5 % from minute 35 on", Setting(rate_candidate=0.05, onset=2100), Expected(30), part=0.05),
    Scene("2 % after a day of waiting at 50 %", Setting(rate_candidate=0.02, idle=DAY), Expected(210), part=0.05),
    Scene("5 % after a day of waiting at 50 %", Setting(rate_candidate=0.05, idle=DAY), Expected(60), part=0.05),
    Scene("20 % after a day of waiting at 50 %", Setting(rate_candidate=0.2, idle=DAY), Expected(15), part=0.05),
)

LATENCIES: tuple[Scene, ...] = tuple(
    Scene(f"{factor:g} times as slow", Setting(latency_factor=factor), expected, part=0.02)
    for factor, expected in (
        (1.0, Expected(share=0.01, at_most=True)),
        (1.05, Expected()),
        (1.1, Expected()),
        (1.2, Expected()),
        (1.5, Expected()),
        (2.0, Expected()),
    )
)
"""Without a threshold: judged at all bounds of the histogram together."""

CERTIFICATES: tuple[Scene, ...] = (
    Scene(
        "as good as stable, certificate by ratio alone (beta 1 %)",
        Setting(ignore_below=0.0, beta=0.01),
        Expected(certified_seconds=1110),
        part=0.05,
    ),
    Scene(
        "twice as bad, certificate by ratio alone (beta 1 %)",
        Setting(ignore_below=0.0, beta=0.01, rate_candidate=0.01),
        Expected(certified_share=0.01, at_most=True),
        part=0.05,
    ),
    Scene("as good as stable", Setting(), part=0.05),
    Scene("without any error", Setting(rate_stable=0.0, rate_candidate=0.0), part=0.05),
    Scene("twice as bad", Setting(rate_candidate=0.01), Expected(certified_share=0.05, at_most=True), part=0.05),
)

_BOUND = Expected(share=0.01, at_most=True)

INNOCENT: tuple[Scene, ...] = (
    Scene("independent errors", Setting(), _BOUND, part=0.2),
    Scene("shared incidents of 5 min", Setting(bursts="shared"), _BOUND, part=0.05),
    Scene("1 request/s in all, 1 h a step", Setting(rps=1.0, step_minutes=60), _BOUND, part=0.05),
    Scene(
        "load and rates swing by 80 % over a day", Setting(diurnal=0.8, step_minutes=240, window=60), _BOUND, part=0.05
    ),
    Scene("weights of 1, 5, 10, 25, 50 %", Setting(weights=(1.0, 5.0, 10.0, 25.0, 50.0)), _BOUND, part=0.05),
    Scene("no errors at all", Setting(rate_stable=0.0, rate_candidate=0.0), _BOUND, part=0.05),
    Scene("0.01 % errors", Setting(rate_stable=0.0001, rate_candidate=0.0001), _BOUND, part=0.05),
    Scene("5 % errors", Setting(rate_stable=0.05, rate_candidate=0.05), _BOUND, part=0.05),
    Scene("40 % errors", Setting(rate_stable=0.4, rate_candidate=0.4), _BOUND, part=0.05),
    Scene("1.2 times stable's rate at a margin of 1.2", Setting(rate_candidate=0.006, margin=1.2), _BOUND, part=0.05),
    Scene(
        "0.09 % against 0.01 %, then 2 % on both",
        Setting(rate_stable=0.0001, rate_candidate=0.0009, incident=0.02),
        _BOUND,
        part=0.05,
    ),
    Scene("five metrics at once", Setting(metrics=5), _BOUND, part=0.05),
    Scene("exactly at a limit of 0.5 %, beside the comparison", Setting(limit=0.005, margin=1.0), _BOUND, part=0.05),
    Scene("a day of waiting at 50 %", Setting(idle=DAY), _BOUND, part=0.02),
)
"""The candidate is innocent: taking it back is wrong. The bound is 1 %."""

APPROXIMATE: tuple[Scene, ...] = (
    *(
        Scene(
            f"bursts of one pod, {length:g} {unit}, {pods} pods",
            Setting(bursts="pod", burst_length=length * seconds, pods=pods),
            part=0.02,
            approximate=True,
        )
        for pods in (3, 20)
        for length, unit, seconds in ((15, "s", 1), (5, "min", 60), (1, "h", 3600))
    ),
    Scene(
        "the same, 5 min, 20 pods, without the design effect",
        Setting(bursts="pod", pods=20, overdispersion=1.0),
        part=0.02,
        approximate=True,
    ),
    *(
        Scene(
            f"pods with a lasting spread of {100 * spread:g} % in their slow share, 3 pods, margin {margin:g}",
            Setting(slow=True, rate_stable=0.1, rate_candidate=0.1, spread=spread, pods=3, margin=margin),
            part=0.02,
            approximate=True,
        )
        for spread in (0.1, 0.2)
        for margin in (1.2, 1.0)
    ),
)
"""The bound is approximate: errors of one pod hang together."""
