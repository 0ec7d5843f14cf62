"""Why pods are not ready, in words for a person."""

from __future__ import annotations

from collections.abc import Iterable

from modelrollout.kube.pods import PodFacts


def trouble(pods: Iterable[PodFacts], deployment_trouble: str) -> str:
    """The most telling thing about pods that are not ready, without a full stop; empty if there is nothing to say."""
    return _told(pods, deployment_trouble).rstrip(" .")


def _told(pods: Iterable[PodFacts], deployment_trouble: str) -> str:
    unready = [pod for pod in pods if pod.ready_since is None and not pod.deleted]
    for pod in unready:
        if pod.image_trouble:
            return pod.image_trouble
    for pod in sorted(unready, key=lambda pod: -pod.restarts):
        if words := _crash(pod):
            return words
    for pod in unready:
        if pod.unschedulable:
            return f"pod {pod.name} cannot be scheduled: {pod.unschedulable}"
        if pod.waiting_reason not in ("", "PodInitializing", "ContainerCreating"):
            return f'container "{pod.container}" waits: {pod.waiting_reason} {pod.waiting_message}'.rstrip()
    return deployment_trouble


def _crash(pod: PodFacts) -> str:
    if pod.exit_code is None and not pod.terminated_reason:
        return ""
    how = f"exits with {pod.exit_code}" if pod.exit_code is not None else f"ended ({pod.terminated_reason})"
    if pod.terminated_reason == "OOMKilled":
        how = "was killed for using more memory than its limit (OOMKilled)"
    lines = [line.strip() for line in pod.terminated_message.splitlines() if line.strip()]
    said = f': "{lines[-1]}"' if lines else ""
    times = f" (restarted {pod.restarts} times)" if pod.restarts else ""
    return f'container "{pod.container}" {how}{said}{times}'


def restarts(pods: Iterable[PodFacts]) -> int:
    """Container restarts over the pods that live."""
    return sum(pod.restarts for pod in pods if not pod.deleted)
