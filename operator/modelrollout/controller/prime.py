"""What a new process wants to know at once of all rollouts under way: their pods.

Pods are read on demand, two lists for each rollout. A process that starts in the middle of a thousand canaries would send two
thousand small requests before it has seen them all; a few long pages say the same. Only memory is filled here: what changes
after the list makes a fresh read, and where the list fails, everything is read on demand as ever.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Collection

from modelrollout.kube.api import KubeApi
from modelrollout.kube.errors import ApiError
from modelrollout.kube.kinds import MODEL_DEPLOYMENT, OWNER_LABEL, POD
from modelrollout.kube.pods import PodFacts, pod_facts
from modelrollout.runtime.clock import Clock
from modelrollout.runtime.queue import Key
from modelrollout.runtime.store import Store
from modelrollout.workload.identity import DEPLOYMENT_LABEL, REVISION_LABEL

from .children import Children
from .memory import Memory, PodsSeen

log = logging.getLogger(__name__)

MANY = 10
"""Rollouts under way from which on one list is less than many."""
PAGE = 250
"""Pods in one answer: a page is held whole, and pods are large."""

Revisions = dict[tuple[Key, str], list[PodFacts]]


async def remember_pods(api: KubeApi, store: Store, clock: Clock, namespaces: Collection[str]) -> dict[Key, Memory]:
    """Memories of the rollouts under way with their pods in them; empty where there are few. Never raises for the API."""
    # Views first: a Deployment that changes while pods are listed no longer has the view that the pods were read for.
    under_way: dict[Key, tuple[str, Children]] = {}
    for key in store.keys(MODEL_DEPLOYMENT.kind):
        entry = store.get(MODEL_DEPLOYMENT.kind, key)
        if entry is not None and entry.view.status.under_way:
            under_way[key] = (entry.uid, Children.of(store, key, entry.uid))
    if len(under_way) < MANY:
        return {}
    try:
        found = await _pods(api, namespaces)
    except ApiError as error:
        log.info("pods are read one revision after the other: %s", error)
        return {}
    now = clock.monotonic()
    memories = {key: Memory(uid=uid, saved_at=now) for key, (uid, _) in under_way.items()}
    for key, (_, children) in under_way.items():
        for revision, deployment in children.deployments.items():
            pods = tuple(sorted(found.get((key, revision), ()), key=lambda pod: pod.name))
            memories[key].pods[revision] = PodsSeen(pods, deployment.view, now)
    return memories


async def _pods(api: KubeApi, namespaces: Collection[str]) -> Revisions:
    found: Revisions = defaultdict(list)
    for namespace in namespaces or ("",):
        async for page in api.pages(POD, namespace=namespace, labels=OWNER_LABEL, limit=PAGE):
            for raw in page.items:
                metadata = raw["metadata"]
                labels = metadata.get("labels") or {}
                key = (metadata["namespace"], labels.get(DEPLOYMENT_LABEL, ""))
                found[key, labels.get(REVISION_LABEL, "")].append(pod_facts(raw))
            await asyncio.sleep(0)
    return found
