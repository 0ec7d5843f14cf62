"""Runtime presets: what is known of a kind of model server before anybody writes a word about it.

A preset gives ports, probes, the series that count requests, and what is judged when a spec names no metrics. `FastAPI` is
the service of the examples; `Custom` assumes nothing. Administrators add their own in the settings, and one of the same name
replaces a built-in one. A preset speaks only when a revision is made: its record keeps the result.

Why the startup probe never gives up within a day: it is part of the pod template, which never changes, while
`rollout.loadDeadline` may be raised later for the same revision ("raise the deadline" is the cure for ModelLoadFailed). A
probe that fitted the first deadline would kill a server that is still loading within the second. The deadline is kept by
the operator; the probe only keeps readiness and liveness quiet until the model is loaded.
"""

from __future__ import annotations

import math

from modelrollout.api.analysis import Compare, ErrorRate, Latency, Metric, Selector
from modelrollout.api.errors import SpecError
from modelrollout.api.scalars import LatencyBound, Rate
from modelrollout.api.settings import Probe, RequestSeries, RuntimePreset, Settings

DEFAULT_RUNTIME = "FastAPI"
LONGEST_LOAD = 86_400
"""Seconds that a startup probe waits at least, and the largest `rollout.loadDeadline`."""

FASTAPI = RuntimePreset(
    name="FastAPI",
    port=8000,
    metrics_path="/metrics",
    # Asked often, because it decides how soon a loaded model is seen. The other probes rest until it succeeds, so the
    # delays that they would need without it are not needed.
    startup=Probe(path="/health", period_seconds=2, failure_threshold=LONGEST_LOAD // 2),
    readiness=Probe(path="/health", period_seconds=5, failure_threshold=3, timeout_seconds=2),
    # A server under full load may answer late; restarting it would make that worse.
    liveness=Probe(path="/health", period_seconds=10, failure_threshold=6, timeout_seconds=5),
    series=RequestSeries(
        requests=Selector(series="http_requests_total"),
        status_label="status",
        path_label="handler",
        exclude_paths=("/health", "/livez", "/metrics"),
        latency=Selector(series="http_request_duration_seconds"),
    ),
    metrics=(
        Metric(name="errors", error_rate=ErrorRate(), compare=Compare()),
        # Nobody knows a threshold that suits every model: half a second is one that users notice.
        Metric(
            name="latency", latency=Latency(threshold=LatencyBound("500ms")), compare=Compare(ignore_below=Rate("1%"))
        ),
    ),
)

CUSTOM = RuntimePreset(name="Custom", metrics_path=None)

BUILT_IN = (FASTAPI, CUSTOM)


def known(settings: Settings) -> dict[str, RuntimePreset]:
    """All presets by name."""
    return {preset.name: preset for preset in (*BUILT_IN, *settings.runtimes)}


def find(name: str | None, settings: Settings) -> RuntimePreset:
    """The preset of that name, or the default one. Raises SpecError that lists the known ones."""
    wanted = name or DEFAULT_RUNTIME
    for preset in (*reversed(settings.runtimes), *BUILT_IN):
        if preset.name == wanted:
            return preset
    raise SpecError("spec.server.runtime", f'no runtime "{name}"; known here: {", ".join(sorted(known(settings)))}')


def patience(probe: Probe) -> int:
    """Failures that a startup probe lives through: a day's worth, or more if the preset says so."""
    return max(probe.failure_threshold, math.ceil(LONGEST_LOAD / max(1, probe.period_seconds)))
