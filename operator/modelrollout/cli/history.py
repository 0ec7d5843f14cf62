"""`history`: rollouts that have ended, the weights that were set, and the commands that were taken.

All of it stands in the object's status, newest last; the lists are bounded there, so this is the recent past. The Events and
the RolloutCommands of the namespace tell more.
"""

from __future__ import annotations

from typing import Any

from modelrollout.rollout.words import carries

from .choices import Format
from .cluster import Cluster
from .deployment import Deployment, read
from .failures import ExitCode
from .listing import aligned
from .out import document, say
from .view import DOCUMENT_VERSION
from .words import second, spaced, span


async def history(cluster: Cluster, name: str, output: Format | None) -> ExitCode:
    """Print the past of one ModelDeployment."""
    deployment = await read(cluster, name)
    if output is not None:
        say(document(as_document(deployment), output))
        return ExitCode.DONE
    for line in lines(deployment):
        say(line)
    return ExitCode.DONE


def lines(deployment: Deployment) -> list[str]:
    """Three tables for people, oldest first; an empty one is left out."""
    tables = [found for found in (_rollouts(deployment), _weights(deployment), _commands(deployment)) if len(found) > 1]
    if not tables:
        return [f"{deployment.name}: nothing has been rolled out yet"]
    found: list[str] = []
    for rows in tables:
        found += [*([""] if found else []), *aligned(rows)]
    return found


def _rollouts(deployment: Deployment) -> list[tuple[str, ...]]:
    head = ("ENDED", "VERSION", "REVISION", "OUTCOME", "TOOK", "REASON", "MESSAGE")
    return [
        head,
        *(
            (
                second(entry.ended_at),
                entry.version,
                entry.revision,
                str(entry.outcome),
                span(entry.ended_at - entry.started_at),
                entry.reason or "-",
                spaced(entry.message) or "-",
            )
            for entry in deployment.status.history
        ),
    ]


def _weights(deployment: Deployment) -> list[tuple[str, ...]]:
    head = ("WEIGHT SET", "REVISION", "WEIGHT", "REASON")
    rows = (
        (second(entry.at), entry.revision, carries(entry.weight, entry.mirror), entry.reason)
        for entry in deployment.status.timeline
    )
    return [head, *rows]


def _commands(deployment: Deployment) -> list[tuple[str, ...]]:
    head = ("COMMAND TAKEN", "ACTION", "BY", "OUTCOME", "MESSAGE")
    taken = deployment.status.commands
    rows = ((second(c.at), str(c.action), c.by or "-", str(c.outcome), spaced(c.message) or "-") for c in taken)
    return [head, *rows]


def as_document(deployment: Deployment) -> dict[str, Any]:
    """The same for machines: the lists as they stand in status."""
    status = deployment.status.written()
    body = {name: status.get(name, []) for name in ("history", "timeline", "commands")}
    return {
        "apiVersion": DOCUMENT_VERSION,
        "kind": "RolloutHistory",
        "name": deployment.name,
        "namespace": deployment.namespace,
        **body,
    }
