"""What a Prometheus still knows of a rollout: its windows, read back.

It goes the operator's own way: one subscription for each weight that was set, and windows of counter differences wholly within it.
The person who asks names the address, with their own rights; it is never taken from an object of the cluster.
"""

from __future__ import annotations

import base64
import math
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit, urlunsplit

from pydantic import ValidationError

from modelrollout.analysis.window import Window
from modelrollout.api.analysis import Metric, StepKind
from modelrollout.api.errors import SpecError
from modelrollout.api.settings import Provider, TargetLabels
from modelrollout.metrics.asking import Inquiry
from modelrollout.metrics.counting import CounterTrack
from modelrollout.metrics.ladders import LadderTrack
from modelrollout.metrics.provider import PrometheusSource
from modelrollout.metrics.reading import Reader
from modelrollout.metrics.rounds import Round
from modelrollout.metrics.subscription import Subscription, VersionSelector
from modelrollout.metrics.tracks import NumberTrack, Pods, Track
from modelrollout.rollout.plan import Plan
from modelrollout.workload.plans import PlanFields

from .curves import Curve, Stretch, Windows, curves, stretches
from .failures import ExitCode, Failure
from .record import Record

WINDOWS = 1500
"""Where there would be more windows than this, they are longer."""
LATE = 5.0
"""Seconds after which an answer of Prometheus is final."""


@dataclass(frozen=True, slots=True)
class Versions:
    """How the series of both versions are told apart. `stable` is None where nobody knows what the candidate ran against."""

    candidate: VersionSelector
    stable: VersionSelector | None


def provider(url: str, labels: TargetLabels) -> Provider:
    """The address as somebody typed it; a user and a password in it are sent as such. Raises Failure."""
    parts = urlsplit(url)
    headers = {}
    if parts.username is not None:
        secret = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Authorization"] = f"Basic {base64.b64encode(secret.encode()).decode()}"
        url = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    try:
        return Provider.model_validate({"name": url, "url": url, "headers": headers, "labels": labels})
    except ValidationError:
        raise Failure(f"--prometheus {url}: write an address such as http://localhost:9090", ExitCode.USAGE) from None


async def read_back(found: Record, plan: Plan, versions: Versions, where: Provider, now: float) -> tuple[Curve, ...]:
    """Everything that can still be known, by metric. Raises Failure when the Prometheus does not answer."""
    end = found.until(now) - LATE
    step = plan.interval * max(1, math.ceil((end - found.started_at) / plan.interval / WINDOWS))
    parts: list[tuple[Stretch, Windows]] = []
    problems: dict[str, str] = {}
    source = PrometheusSource(where)
    try:
        for stretch in stretches(found, end):
            told: dict[str, tuple[Window, ...]] = {}
            tracks = _tracks(_subscription(found, plan, versions, stretch, step), problems)
            for length in {track.step for track in tracks}:
                inquiry = Inquiry(where, source, lambda: now, lambda *_: None)
                await _read(inquiry, [track for track in tracks if track.step == length], stretch.end)
            for track in tracks:
                if track.awaited is not None:
                    problems[track.metric.name] = track.awaited.message
                told[track.metric.name] = tuple(track.done)
            parts.append((stretch, told))
    finally:
        source.close()
    return curves(found, plan, parts, problems, step)


def _subscription(found: Record, plan: Plan, versions: Versions, stretch: Stretch, step: float) -> Subscription:
    written = PlanFields.model_validate(plan.written).analysis
    return Subscription(
        key=(found.namespace, found.name),
        provider=plan.provider,
        interval=step,
        since=stretch.start,
        keep_from=stretch.start,
        namespace=found.namespace,
        candidate=versions.candidate,
        stable=versions.stable if stretch.kind is not StepKind.BAKE else None,
        metrics=plan.metrics,
        share=stretch.share,
        identify=written.identify if written else None,
    )


def _tracks(subscription: Subscription, problems: dict[str, str]) -> list[Track]:
    """One for each metric that the versions' runtimes can answer; the others are noted with the reason."""
    tracks = []
    for metric in subscription.metrics:
        try:
            tracks.append(_track(metric, subscription))
        except SpecError as error:
            problems[metric.name] = str(error)
    return tracks


def _track(metric: Metric, subscription: Subscription) -> Track:
    if metric.query is not None:
        return NumberTrack(metric, subscription)
    boundless = metric.latency is not None and metric.latency.threshold is None
    return (LadderTrack if boundless else CounterTrack)(metric, subscription, Pods(), everyone=True)


async def _read(inquiry: Inquiry, tracks: list[Track], end: float) -> None:
    """Bring tracks of one grid up to the end of a stretch."""
    step = tracks[0].step
    entries = [(track.subscription.key, track) for track in tracks]
    await Round(inquiry, Reader(inquiry), math.floor(end / step) * step, step, lambda: False).run(entries)
    if inquiry.failure is not None:
        raise Failure(f"{inquiry.provider.url}: {inquiry.failure.brief}")
