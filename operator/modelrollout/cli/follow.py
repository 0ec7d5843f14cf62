"""One object over time: its state now, then each change, however long that takes and whatever the connection does.

A watch ends for many reasons that are nobody's business (time limits, restarts of the API server, versions that are too old);
each time the object is read afresh and watched from there, so no change is lost that still matters. Reads that fail for a
passing reason are repeated with growing pauses for as long as the caller cares; everything else is raised.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from modelrollout.kube.errors import (
    ApiError,
    Conflict,
    Gone,
    NotFound,
    OutcomeUnknown,
    TooManyRequests,
    Unauthorized,
    Unavailable,
    Unreachable,
)
from modelrollout.kube.kinds import Ref

from .cluster import Cluster, Json

PASSING = (Unreachable, Unavailable, OutcomeUnknown, TooManyRequests, Gone, Conflict)
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 5.0


def _silent(error: ApiError | None) -> None:
    pass


async def follow(
    cluster: Cluster, ref: Ref, trouble: Callable[[ApiError | None], None] = _silent
) -> AsyncIterator[Json]:
    """Yield the object as it is and then after each change; ends when it was deleted.

    `trouble` is told of passing errors, and None when they have passed. Raises NotFound when the object is not there at first, and what does not pass:
    Forbidden, or Unauthorized with credentials that were just renewed.
    """
    pause, renewed, seen = FIRST_PAUSE, False, ""
    while True:
        try:
            item = await cluster.get(ref)
            renewed = False
            trouble(None)
            if _version(item) != seen:
                seen = _version(item)
                yield item
            async for change in cluster.watch(ref, seen):
                if change.deleted:
                    return
                seen = _version(change.item)
                yield change.item
            pause = FIRST_PAUSE
            await asyncio.sleep(pause)  # a server that ends every watch at once is not asked without end
        except NotFound:
            if not seen:
                raise
            return  # deleted while nobody watched
        except Unauthorized:
            if renewed:
                raise
            renewed = True
            await cluster.renew()
        except PASSING as error:
            trouble(error)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)


def _version(item: Json) -> str:
    return str((item.get("metadata") or {}).get("resourceVersion", ""))
