"""The golden pictures of `plan`: manifests at three widths. `python -m tests.unit.cli.forecasts` draws them anew."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from modelrollout.cli.forecast_draw import draw
from modelrollout.cli.given import Given
from modelrollout.cli.manifests import Manifest
from modelrollout.cli.planning import Found, look

WIDTHS = (60, 80, 120)
GOLDEN = Path(__file__).parent / "golden"

ERRORS = {"name": "errors", "method": "Sequential", "errorRate": {}, "compare": {}}
LATENCY = {"name": "latency", "method": "Sequential", "latency": {"threshold": "250ms"}, "compare": {}}
STEPS = [
    {"weight": 5, "hold": "10m"},
    {"weight": 25, "hold": "30m", "advance": "Approval"},
    {"name": "half", "weight": 50, "hold": "1h"},
    {"name": "bake", "weight": 100, "hold": "1h"},
]


def spec(steps: list[dict[str, Any]] | None, *metrics: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A valid spec; the default steps for None."""
    return {
        "version": "2",
        "server": {"image": "registry.example.com/fraud:2"},
        "replicas": 3,
        "traffic": {"gateway": {"parentRefs": [{"name": "public"}]}},
        "rollout": {"steps": steps} if steps else {},
        "analysis": {"metrics": list(metrics)},
    } | fields


SITUATIONS: dict[str, tuple[dict[str, Any], Given]] = {
    "the-default-steps": (spec(None, ERRORS), Given(50, 0.005)),
    "low-traffic": (spec(None, ERRORS), Given(1, 0.005)),
    "two-metrics-and-a-bake": (spec(STEPS, ERRORS | {"limit": "3%"}, LATENCY), Given(20, 0.01, 0.02)),
    "hardly-any-traffic": (spec(STEPS, ERRORS, LATENCY), Given(0.2, 0.02, 0.001)),
    "stable-breaches-the-limit": (spec(STEPS, ERRORS | {"limit": "0.5%"}), Given(100, 0.01)),
    "no-errors-so-far": (spec(STEPS, ERRORS), Given(100, 0.0)),
    "rare-errors-in-short-windows": (spec([{"weight": 10, "hold": "2h20m"}], ERRORS), Given(2, 0.0005)),
    "what-cannot-be-planned": (
        spec(
            STEPS,
            LATENCY,
            {"name": "drift", "query": "max(drift)", "range": {"max": "3"}},
            {"name": "strict", "method": "Threshold", "errorRate": {}, "limit": "1%"},
        ),
        Given(20, 0.01),
    ),
    "unjudged": (spec(STEPS, analysis={"mode": "None"}), Given(20, 0.01)),
    "by-replicas": (
        spec([{"weight": 10, "hold": "2h"}], ERRORS, traffic={"service": {"coarse": "Accept"}}),
        Given(2, 0.01),
    ),
    "as-in-the-docs": (
        spec(
            [
                {"weight": 1, "hold": "1h"},
                {"weight": 5, "hold": "3h"},
                {"weight": 25, "hold": "6h", "advance": "Approval"},
                {"weight": 50, "hold": "12h"},
            ],
            ERRORS,
        ),
        Given(5, 0.005),
    ),
    "no-hold": (spec([{"weight": 10}, {"weight": 50, "hold": "1h"}], ERRORS), Given(50, 0.01)),
}


def manifest(situation: str) -> Manifest:
    return Manifest(Path("fraud.yaml"), "fraud", "ml", SITUATIONS[situation][0])


@cache
def seen(situation: str) -> Found:
    return look(manifest(situation), None, SITUATIONS[situation][1])


def picture(width: int) -> str:
    """All situations at one width, each under its name."""
    parts = []
    for situation in SITUATIONS:
        parts.append(f"==== {situation} ".ljust(width, "="))
        parts += [line.plain for line in draw(*seen(situation), width)]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    for width in WIDTHS:
        (GOLDEN / f"plan-{width}.txt").write_text(picture(width))
