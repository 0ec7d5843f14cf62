"""What the API server cannot check about a spec, because it takes knowledge of settings, presets or several fields at once.

Each function states one fact about a spec that is valid field by field, and raises the SpecError for the first offence. What
stands in a template is `allowed.py`'s; what the traffic router cannot do is the router's own to say.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from modelrollout.analysis.step import speaks
from modelrollout.api.analysis import BOUNDLESS_LIMIT, Analysis, Metric
from modelrollout.api.errors import SpecError
from modelrollout.api.rollout import Rollout
from modelrollout.api.routing import ROUTERS
from modelrollout.api.settings import RuntimePreset, Settings
from modelrollout.api.spec import ModelDeploymentSpec
from modelrollout.rollout.arm_evidence import GOAL, SQUARES
from modelrollout.rollout.plan import Plan
from modelrollout.rollout.revision import SERVER_CONTAINER

from .explain import shown
from .presets import LONGEST_LOAD

METRICS = "spec.analysis.metrics"
LARGEST = 256 << 10
"""Characters of JSON of the fields that make a revision; people write a hundredth of that."""
MOST_EVIDENCE = 12
"""Metrics of all variants of an A/B test together."""
_WAYS_ON = "name ratio or query metrics, or set spec.analysis.mode: None"


def check_provider(spec: ModelDeploymentSpec, plan: Plan, settings: Settings) -> None:
    """Judging needs a provider that the administrator set up."""
    if not plan.judged or settings.provider(plan.provider) is not None:
        return
    named = spec.analysis is not None and spec.analysis.provider is not None
    known = ", ".join(sorted(provider.name for provider in settings.providers))
    found = f'no metrics provider "{plan.provider}" is set up; '
    choice = f"{'name' if not named else 'use'} one of {known}" if known else "ask the administrator for one"
    raise SpecError(
        "spec.analysis.provider",
        f"{found}{choice}, or set spec.analysis.mode: None to go by time alone",
        reason="NoMetricsProvider",
    )


def check_router(spec: ModelDeploymentSpec, plan: Plan, settings: Settings) -> None:
    """The router is one that the administrator has enabled; Service needs none of the administrator's doing."""
    if spec.traffic is None or not spec.traffic.named or plan.router in ("Service", *settings.routers):
        return
    enabled = " or ".join(("service", *(field for field, name in ROUTERS.items() if name in settings.routers)))
    raise SpecError(
        f"spec.traffic.{spec.traffic.named[0]}",
        f"this operator is not set up for it; use {enabled}, or ask the administrator to add {plan.router} to the setting routers",
        reason="RouterMissing",
    )


def check_metrics(spec: ModelDeploymentSpec, plan: Plan, preset: RuntimePreset) -> None:
    """Every metric can be answered by the runtime's series, and there is at least one if metrics are to judge."""
    if not plan.judged:
        return
    if not plan.metrics:
        raise SpecError(METRICS, f"there are none, and runtime {preset.name} brings none; {_WAYS_ON}")
    written = (spec.analysis or Analysis()).metrics is not None
    for index, metric in enumerate(plan.metrics):
        field = f"{METRICS}[{index}]" if written else f"{METRICS} (of runtime {preset.name}: {metric.name})"
        _check_series(metric, field, preset)
        _check_latency(metric, field, preset)
        _check_paths(metric, field, preset)


def check_comparison(plan: Plan, settings: Settings) -> None:
    """Answers are compared by a server that the administrator has set up, and disagreement is counted by nobody else."""
    for index, step in enumerate(plan.steps):
        if step.shadow is not None and step.shadow.compare is not None and settings.comparer.image is None:
            raise SpecError(
                f"spec.rollout.steps[{index}].shadow.compare",
                "the administrator has set up no comparer (comparer.image in the operator's settings); have one set up, or leave compare out",
                reason="ComparerUnready",
            )
    for index, metric in enumerate(plan.metrics if plan.judged else ()):
        if metric.disagreement is not None and not plan.comparisons:
            raise SpecError(
                f"{METRICS}[{index}].disagreement",
                f"{metric.name} counts answers that differ, and no step compares any; give a step shadow.compare",
            )
        if metric.disagreement is None or not metric.gates:
            continue
        for number, step in enumerate(plan.steps):
            if step.shadow is not None and step.shadow.compare is None and speaks(metric, step.kind):
                raise SpecError(
                    f"spec.rollout.steps[{number}].shadow",
                    f"{metric.name} would wait in this step for answers that nobody compares; give it shadow.compare",
                )


def check_variants(plan: Plan) -> None:
    """Status keeps the evidence of each metric for each variant, and has to stay below 16 kB."""
    variants = len(plan.experiment.shares) if plan.experiment else 0
    boundless = sum(metric.latency is not None and metric.latency.threshold is None for metric in plan.metrics)
    if variants * boundless > BOUNDLESS_LIMIT:
        raise SpecError(
            METRICS,
            f"found {_counted(boundless, 'latency', 'latencies')} without a threshold for {_counted(variants, 'variant')}, of which status"
            f" can keep {BOUNDLESS_LIMIT} in all; name latency.threshold, such as 250ms, or test fewer variants",
        )
    if variants * len(plan.metrics) > MOST_EVIDENCE:
        raise SpecError(
            METRICS,
            f"found {_counted(len(plan.metrics), 'metric')} for {_counted(variants, 'variant')}, of which status can keep {MOST_EVIDENCE} in all;"
            " leave some out, or test fewer variants",
        )


def _counted(count: int, one: str, several: str = "") -> str:
    return f"{count} {one if count == 1 else several or f'{one}s'}"


def check_goal(spec: ModelDeploymentSpec, plan: Plan) -> None:
    """The goal of an A/B test is measured beside the metrics, under a name of its own."""
    if plan.experiment is None or plan.experiment.goal is None:
        return
    if not plan.judged:
        raise SpecError("spec.rollout.goal", "a goal is measured by a provider; leave out spec.analysis.mode: None")
    for index, metric in enumerate((spec.analysis or Analysis()).metrics or ()):
        if metric.name in (GOAL, SQUARES):
            text = f'"{metric.name}" is what rollout.goal is measured as; choose another name'
            raise SpecError(f"{METRICS}[{index}].name", text)


def check_size(written: Mapping[str, Any]) -> None:
    """The record of a revision holds what was written and the template made of it; the API server stores 1.5 MB."""
    size = len(json.dumps(written))
    if size > LARGEST:
        raise SpecError(
            "spec", f"server and template have {size >> 10} kB of JSON; at most {LARGEST >> 10} kB can be recorded"
        )


def check_times(spec: ModelDeploymentSpec) -> None:
    """Deadlines leave time, and no longer than a startup probe waits."""
    rollout = spec.rollout or Rollout()
    deadlines = {
        "loadDeadline": rollout.load_deadline,
        "unavailableDeadline": rollout.unavailable_deadline,
    }
    for name, deadline in deadlines.items():
        if deadline is not None and deadline.seconds <= 0:
            raise SpecError(f"spec.rollout.{name}", f"found {shown(deadline)}; it must be more than 0s")
    if rollout.load_deadline is not None and rollout.load_deadline.seconds > LONGEST_LOAD:
        raise SpecError(
            "spec.rollout.loadDeadline", f"found {shown(rollout.load_deadline)}; a startup probe waits for 24h at most"
        )
    interval = spec.analysis.interval if spec.analysis else None
    if interval is not None and interval.seconds <= 0:
        raise SpecError("spec.analysis.interval", f"found {shown(interval)}; it must be more than 0s")


def check_service(spec: ModelDeploymentSpec, name: str) -> None:
    """The entry Service takes no name that another child has, and no port twice."""
    if spec.service is None:
        return
    for other in ("preview", "comparer"):
        if name and spec.service.name == f"{name}-{other}":
            raise SpecError("spec.service.name", f'"{spec.service.name}" is the {other} Service; choose another name')
    seen: dict[int, int] = {}
    for index, port in enumerate(spec.service.ports or ()):
        if port.port in seen:
            raise SpecError(
                f"spec.service.ports[{index}].port", f"found {port.port}, which ports[{seen[port.port]}] has too"
            )
        seen[port.port] = index


def check_autoscaling(spec: ModelDeploymentSpec, template: Mapping[str, Any]) -> None:
    """The default metric is a share of the CPU requests, so every container needs one."""
    if spec.autoscaling is None or spec.autoscaling.metrics:
        return
    for container in template["spec"]["containers"]:
        resources = container.get("resources", {})
        amounts = [resources.get(kind) for kind in ("requests", "limits")]
        if any(isinstance(amount, Mapping) and "cpu" in amount for amount in amounts):
            continue
        own = container["name"] == SERVER_CONTAINER
        path = "spec.server" if own else f"spec.template.spec.containers[{container['name']}]"
        raise SpecError(
            f"{path}.resources.requests.cpu",
            "is missing, and autoscaling goes by the share of it that is used; set it, or name spec.autoscaling.metrics",
        )


def _check_series(metric: Metric, field: str, preset: RuntimePreset) -> None:
    if (metric.error_rate or metric.latency) is not None and preset.series is None:
        raise SpecError(f"{field}.{metric.kind}", f"runtime {preset.name} names no series for it; {_WAYS_ON}")


def _check_latency(metric: Metric, field: str, preset: RuntimePreset) -> None:
    if metric.latency is not None and preset.series is not None and preset.series.latency is None:
        raise SpecError(f"{field}.latency", f"runtime {preset.name} names no latency histogram; {_WAYS_ON}")


def _check_paths(metric: Metric, field: str, preset: RuntimePreset) -> None:
    rate = metric.error_rate
    if rate is None or not rate.exclude_paths or preset.series is None:
        return
    if preset.series.path_label is None:
        raise SpecError(
            f"{field}.errorRate.excludePaths", f"the series of runtime {preset.name} do not tell paths apart"
        )
