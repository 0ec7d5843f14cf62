"""`plan`: what a manifest's steps will see at a given traffic, before anything is applied. Asks no cluster.

The spec goes through the operator's own gate first, so that what is planned is what would be carried out: with the default steps,
the runtime's metrics, and the shares that the router can do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from modelrollout.api.errors import SpecError
from modelrollout.api.scalars import Rate
from modelrollout.api.settings import Settings
from modelrollout.workload.render import accept

from .choices import Format
from .failures import ExitCode, Failure, Refused
from .forecast import Forecast, as_document, forecast
from .forecast_draw import draw
from .given import Given
from .manifests import Manifest
from .out import columns, document, say, show
from .remedies import Warned, warnings
from .view import DOCUMENT_VERSION, camel

BUSIEST = 1e7
"""Requests per second beyond which somebody has mistyped."""

Found = tuple[Forecast, tuple[Warned, ...]]


def given(rps: float, error_rate: str, slow_share: str | None) -> Given:
    """Read the options. Raises Failure that names the option, what was found, and what would be right."""
    if not 0 < rps <= BUSIEST:
        raise Failure(f"--rps {rps:g}: write requests per second of all versions together, such as 50", ExitCode.USAGE)
    slow = None if slow_share is None else _share("--slow-share", slow_share)
    return Given(rps, _share("--error-rate", error_rate), slow)


def plan(
    found: Sequence[Manifest], known: Settings | None, traffic: Given, output: Format | None, *, strict: bool
) -> ExitCode:
    """Print the forecast of every ModelDeployment; with `strict`, warnings make it a No. Raises Refused for a spec that is refused."""
    forecasts = [look(manifest, known, traffic) for manifest in found]
    if output is None:
        for number, (seen, warned) in enumerate(forecasts):
            if number:
                say("")
            show(draw(seen, warned, columns()))
    else:
        bodies = [as_body(seen, warned) for seen, warned in forecasts]
        several = {"apiVersion": DOCUMENT_VERSION, "kind": "RolloutForecastList", "items": bodies}
        say(document(bodies[0] if len(bodies) == 1 else several, output))
    return ExitCode.NO if strict and any(warned for _, warned in forecasts) else ExitCode.DONE


def look(manifest: Manifest, known: Settings | None, traffic: Given) -> Found:
    """One forecast and its warnings."""
    try:
        accepted = accept(manifest.spec, manifest.settings(known), manifest.name)
    except SpecError as error:
        raise manifest.refused(error) from error
    if accepted.plan.experiment is not None:
        raise Refused(
            f"{manifest.name}: an A/B test has no steps to plan; what a goal takes is told in docs/ab-test.md"
        )
    seen = forecast(manifest.name, manifest.namespace, accepted.plan, traffic)
    return seen, warnings(accepted.plan, traffic, seen)


def as_body(seen: Forecast, warned: Sequence[Warned]) -> dict[str, Any]:
    """The document for machines."""
    said = [{"step": one.step, "metric": one.metric, "text": one.text, "cure": one.cure} for one in warned]
    return {
        "apiVersion": DOCUMENT_VERSION,
        "kind": "RolloutForecast",
        **as_document(seen),
        "warnings": camel(said),
    }


def _share(option: str, text: str) -> float:
    try:
        found = Rate.parse(text.replace(" ", "")).fraction
    except ValueError:
        found = 1.0
    if found >= 1.0:
        raise Failure(f"{option} {text}: write a share of requests below 100%, such as 0.5%", ExitCode.USAGE)
    return found
