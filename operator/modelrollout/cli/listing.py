"""`get`: the table that `kubectl get modeldeployments` shows, and the objects for machines.

It reads the ready-made texts of `status.summary` and no more, so that one odd object never hides the others.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from modelrollout.api.scalars import Timestamp
from modelrollout.kube.errors import NotFound
from modelrollout.kube.kinds import MODEL_DEPLOYMENT

from .choices import Format, Listing
from .cluster import Cluster, Json
from .deployment import address, missing, not_installed
from .failures import ExitCode
from .out import complain, document, say
from .words import age, spaced

_COLUMNS = ("NAME", "STABLE", "CANDIDATE", "WEIGHT", "STEP", "STATUS", "READY", "REASON", "AGE")
_NOTHING = "-"


async def get(
    cluster: Cluster, names: Sequence[str], *, everywhere: bool, labels: str, output: Listing | None
) -> ExitCode:
    """Print the named objects, or all of the namespace or of all namespaces."""
    items = (
        await _named(cluster, names) if names else await _all(cluster, "" if everywhere else cluster.namespace, labels)
    )
    match output:
        case Listing.JSON | Listing.YAML:
            single = len(names) == 1
            body = items[0] if single else {"apiVersion": "v1", "kind": "List", "items": items}
            say(document(body, Format(output)))
        case Listing.NAME:
            for item in items:
                say(f"modeldeployment.{MODEL_DEPLOYMENT.group}/{item['metadata']['name']}")
        case _ if not items:
            where = "any namespace" if everywhere else f'namespace "{cluster.namespace}"'
            complain(f"There are no ModelDeployments in {where}.")
        case _:
            for line in table(items, time.time(), namespaces=everywhere, wide=output is Listing.WIDE):
                say(line)
    return ExitCode.DONE


async def _named(cluster: Cluster, names: Sequence[str]) -> list[Json]:
    found = []
    for name in names:
        ref = address(cluster, name)
        try:
            found.append(await cluster.get(ref))
        except NotFound as error:
            raise missing(ref, error) from error
    return found


async def _all(cluster: Cluster, namespace: str, labels: str) -> list[Json]:
    try:
        items = await cluster.items(MODEL_DEPLOYMENT, namespace, labels)
    except NotFound as error:
        raise not_installed() from error
    # The server leaves both out of the items of a list.
    kind = {"apiVersion": MODEL_DEPLOYMENT.api_version, "kind": MODEL_DEPLOYMENT.kind}
    return [{**kind, **item} for item in items]


def table(items: Sequence[Json], now: float, *, namespaces: bool = False, wide: bool = False) -> list[str]:
    """The lines of the table, laid out like kubectl's; `wide` adds the message."""
    head = (("NAMESPACE",) if namespaces else ()) + _COLUMNS + (("MESSAGE",) if wide else ())
    return aligned([head, *(_row(item, now, namespaces=namespaces, wide=wide) for item in items)])


def aligned(rows: Sequence[Sequence[str]], gap: int = 3) -> list[str]:
    """Columns as wide as their widest cell; nothing is cut, the last one ends where it ends."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["".join(cell.ljust(width + gap) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _row(item: Json, now: float, *, namespaces: bool, wide: bool) -> tuple[str, ...]:
    metadata, status = item["metadata"], item.get("status") or {}
    summary: Mapping[str, Any] = status.get("summary") or {}
    texts = [str(summary.get(name) or _NOTHING) for name in ("stable", "candidate", "weight", "step")]
    created = metadata.get("creationTimestamp")
    cells = (
        str(metadata["name"]),
        *texts,
        str(status.get("phase") or _NOTHING),
        str(summary.get("ready") or _NOTHING),
        str(summary.get("reason") or _NOTHING),
        age(now - Timestamp.parse(created)) if created else _NOTHING,
    )
    before = (str(metadata.get("namespace", "")),) if namespaces else ()
    return before + cells + ((spaced(str(status.get("message") or _NOTHING)),) if wide else ())
