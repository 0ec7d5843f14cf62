"""Run it: `python -m bench.judge --rate-candidate 0.02 --rollouts 1000 --json`. Progress goes to standard error, figures to
standard output. With any option that describes the traffic or the plan that one setting is played; without, all scenes are.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

from bench.judge import scenes
from bench.judge.figures import Figures, measure
from bench.judge.peers import Checks
from bench.judge.report import Report, Result, setup, write_docs
from bench.judge.scenes import Scene
from bench.judge.setting import MINUTE, Setting

FEWEST = 20
"""Rollouts of a scene at least, whatever its part."""


def main() -> None:
    arguments = _arguments()
    try:
        setting = _setting(arguments)
    except ValueError as error:
        sys.exit(f"bench.judge: {error}")
    if setting is not None:
        _one(setting, arguments)
        return
    around = setup(_command(arguments))  # now: what is committed meanwhile is not what runs
    report = _all(arguments.rollouts, arguments.seed)
    if arguments.write_docs:
        write_docs(report, around)
    print(json.dumps({"setup": around, **report.to_dict()}, indent=2) if arguments.json else report.text())
    if report.strays:
        sys.exit("not near what an independent simulation found:\n" + "\n".join(report.strays))


def _one(setting: Setting, arguments: argparse.Namespace) -> None:
    found = measure(setting, arguments.rollouts, arguments.seed)
    print(json.dumps(found.to_dict()) if arguments.json else _text(found))


def _text(found: Figures) -> str:
    told = found.to_dict()
    return "\n".join(f"{name}: {value}" for name, value in told.items() if name != "setting")


def _all(rollouts: int, seed: int) -> Report:
    return Report(
        table=tuple(_with_others(scene, rollouts, seed) for scene in scenes.TABLE),
        late=_each(scenes.LATE, rollouts, seed),
        latencies=_each(scenes.LATENCIES, rollouts, seed),
        certificates=_each(scenes.CERTIFICATES, rollouts, seed),
        innocent=_each(scenes.INNOCENT, rollouts, seed),
        approximate=_each(scenes.APPROXIMATE, rollouts, seed),
    )


def _each(played: Sequence[Scene], rollouts: int, seed: int) -> tuple[Result, ...]:
    return tuple(Result(scene, _measured(scene, rollouts, seed)) for scene in played)


_MEASURED: dict[tuple[Setting, int, int], Figures] = {}
"""Several tables have rows of the same setting."""


def _measured(scene: Scene, rollouts: int, seed: int) -> Figures:
    count = max(FEWEST, round(rollouts * scene.part))
    key = (scene.setting, count, seed)
    if key not in _MEASURED:
        _MEASURED[key] = measure(scene.setting, count, seed)
    found = _MEASURED[key]
    rate = found.cpu_seconds / found.rollouts
    print(
        f"{scene.name}: {found.rolled_back} of {found.rollouts} taken back, median {found.median_seconds} s, "
        f"{found.certified} certified; {found.cpu_seconds:.0f} s, {1000 * rate:.1f} ms each",
        file=sys.stderr,
        flush=True,
    )
    return found


def _with_others(scene: Scene, rollouts: int, seed: int) -> Result:
    """The same situation judged by the two other methods too."""
    by_checks = replace(scene.setting, method="threshold", window=MINUTE)
    return Result(
        scene,
        _measured(scene, rollouts, seed),
        measure(by_checks, rollouts, seed),
        measure(by_checks, rollouts, seed, Checks(by_checks, seed).play),
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.judge", description="How often the judge is wrong.")
    given: dict[str, Any] = {"default": argparse.SUPPRESS}
    parser.add_argument("--rollouts", type=int, default=10_000, help="how many are played (default 10000)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--write-docs", action="store_true", help="put the figures of all scenes into docs/benchmarks.md"
    )
    one = parser.add_argument_group("one setting")
    one.add_argument("--rps", type=float, **given, help="requests a second, both versions together (default 50)")
    one.add_argument("--rate-stable", type=float, **given, help="stable's share of errors (default 0.005)")
    one.add_argument("--rate-candidate", type=float, **given, help="the candidate's (default 0.005)")
    one.add_argument("--weights", type=_numbers, **given, help="in percent, with commas between (default 5,10,25,50)")
    one.add_argument("--step-minutes", type=float, **given, help="hold of each step (default 15)")
    one.add_argument("--window", type=float, **given, help="seconds (default 15; 60 with --method threshold)")
    one.add_argument("--onset", type=float, **given, help="seconds after which the candidate goes bad (default 0)")
    one.add_argument("--idle", type=float, **given, help="seconds that the last step waits past the plan before that")
    one.add_argument("--bursts", choices=("none", "shared", "pod"), **given, help="how errors hang together")
    one.add_argument("--burst-length", type=float, **given, help="mean seconds of a burst (default 300)")
    one.add_argument("--pods", type=int, **given, help="pods of stable (default 3)")
    one.add_argument("--spread", type=float, **given, help="lasting spread between pods, such as 0.1")
    one.add_argument("--diurnal", type=float, **given, help="swing of load and rates over a day, such as 0.8")
    one.add_argument("--incident", type=float, **given, help="rate of both versions from the middle of the plan on")
    one.add_argument("--method", choices=("sequential", "threshold"), **given, help="how it is judged")
    one.add_argument(
        "--latency-factor", type=float, **given, help="judge slowness: the candidate is so many times as slow"
    )
    one.add_argument("--metrics", type=int, **given, help="so many metrics at once (default 1)")
    one.add_argument("--alpha", type=float, **given, help="false-rollback probability (default 0.01)")
    one.add_argument("--beta", type=float, **given, help="bad-promotion probability (default 0.05)")
    one.add_argument("--margin", type=float, **given, help="compare.margin")
    one.add_argument("--ignore-below", type=float, **given, help="compare.ignoreBelow, a share")
    one.add_argument("--non-inferiority", type=float, **given, help="compare.nonInferiorityMargin")
    one.add_argument("--limit", type=float, **given, help="limit, a share")
    one.add_argument("--overdispersion", type=float, **given, help="the stated design effect")
    return parser.parse_args()


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(float(part) for part in text.split(","))


def _setting(arguments: argparse.Namespace) -> Setting | None:
    """The setting that was asked for; None where none was."""
    names = {field.name for field in fields(Setting)}
    given = {name: value for name, value in vars(arguments).items() if name in names}
    if not given:
        return None
    if given.get("method") == "threshold":
        given.setdefault("window", MINUTE)
    return Setting(**given)


def _command(arguments: argparse.Namespace) -> str:
    return f"python -m bench.judge --rollouts {arguments.rollouts} --seed {arguments.seed} --write-docs"


if __name__ == "__main__":
    main()
