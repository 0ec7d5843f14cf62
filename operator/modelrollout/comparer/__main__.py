"""`python -m modelrollout.comparer`, in its own image `python -m comparer`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys

from .configuration import VARIABLE, Configuration
from .server import serve

PORT, METRICS_PORT = 8080, 9090


def main() -> int:
    """Serve until told to end; 2 where the configuration cannot be read."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    try:
        configuration = Configuration.parse(os.environ[VARIABLE])
    except (KeyError, ValueError, TypeError) as error:
        sys.stderr.write(f"{VARIABLE} cannot be read: {type(error).__name__}: {error}\n")
        return 2
    asyncio.run(_until_told(configuration))
    return 0


async def _until_told(configuration: Configuration) -> None:
    host = "0.0.0.0"  # noqa: S104  requests come from the gateway's pods
    task = asyncio.create_task(serve(configuration, host, PORT, METRICS_PORT))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task


if __name__ == "__main__":
    sys.exit(main())
