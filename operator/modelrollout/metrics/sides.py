"""One version of one metric: which series of which pods are its own.

Ordinarily a version is told by its pods, whose names begin with the name of its Deployment. With `identify` a label of the series
says it, and then any pod of the namespace may carry it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from modelrollout.api.analysis import IdentifyBy, Metric
from modelrollout.workload.comparer import comparer_name

from .asking import Channel
from .batches import Target
from .questions import Counters, Gauge, Histogram, question
from .subscription import Subscription, VersionSelector


@dataclass(frozen=True, slots=True)
class Side:
    """What is asked (`question`) of which version (`target`); `deployment` owns the pods that are known to be its own."""

    target: Target
    deployment: str
    question: Counters
    channels: tuple[Channel, ...]


def side(metric: Metric, subscription: Subscription, version: VersionSelector, threshold: float | None = None) -> Side:
    """One side of a rate; `threshold` (seconds) stands in for one that a latency leaves open.

    Raises SpecError for what the version's runtime cannot answer.
    """
    asked = question(metric, version.preset)
    assert not isinstance(asked, Gauge)
    if isinstance(asked, Histogram) and asked.threshold is None:
        asked = replace(asked, threshold=threshold)
    deployment = version.deployment
    if metric.disagreement is not None:
        deployment = comparer_name(subscription.key[1])  # it counts pairs, for both versions
    target = Target(subscription.namespace, deployment)
    if subscription.identify is not None and metric.disagreement is None:
        by_revision = subscription.identify.by is IdentifyBy.REVISION
        name = version.revision if by_revision else version.version
        target = Target(subscription.namespace, name, subscription.identify.label)
    every = isinstance(asked, Histogram) and asked.threshold is None
    channels = tuple(Channel(family, target.label, every) for family in asked.families)
    return Side(target, deployment, asked, channels)
