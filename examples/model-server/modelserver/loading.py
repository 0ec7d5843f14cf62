"""Loading in the background, so that being alive and being ready are two answers.

The web server starts at once; the model comes later, from a thread of its own. That thread is a daemon: a SIGTERM in the
middle of a long load must not wait for the load. Readiness is the presence of the model, nothing else. A load that fails
ends the process, because a server that will never be ready should be seen as crashing, with the reason as its last words.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable

from modelserver.model import Model, load
from modelserver.settings import Settings

log = logging.getLogger(__name__)


class ModelSlot:
    """Holds the model once there is one. `on_failure` gets one sentence and is expected to end the process."""

    def __init__(self, settings: Settings, on_failure: Callable[[str], None]) -> None:
        self._settings = settings
        self._on_failure = on_failure
        self.model: Model | None = None

    @property
    def version(self) -> str | None:
        """The version served, or the one that was asked for while it still loads; None when nobody has named one."""
        return self.model.version if self.model else self._settings.version

    async def fill(self) -> None:
        """Load, then set `model`; returns without one when the load failed. Cancelling it abandons the thread."""
        began = time.monotonic()
        try:
            await asyncio.sleep(self._settings.faults.load_seconds)
            self.model = await _in_daemon_thread(lambda: load(self._settings))
        except Exception as error:
            log.exception("the model could not be loaded")
            self._on_failure(f"{type(error).__name__}: {error}")
            return
        log.info(
            "model loaded",
            extra={"fields": {"model": self.model.name, "seconds": round(time.monotonic() - began, 3)}},
        )


async def _in_daemon_thread(work: Callable[[], Model]) -> Model:
    loop = asyncio.get_running_loop()
    result: asyncio.Future[Model] = loop.create_future()

    def deliver(model: Model | None, error: BaseException | None) -> None:
        if result.done():  # cancelled meanwhile
            return
        if error is not None:
            result.set_exception(error)
        elif model is not None:
            result.set_result(model)

    def run() -> None:
        model, failure = None, None
        try:
            model = work()
        except BaseException as error:  # noqa: BLE001 - handed to the waiting task, which decides
            failure = error
        try:
            loop.call_soon_threadsafe(deliver, model, failure)
        except RuntimeError:  # the loop was closed while the load went on: the process is ending
            log.info("load finished after shutdown")

    threading.Thread(target=run, name="load", daemon=True).start()
    return await result
