"""Run the server: `python -m modelserver`, one process, one worker, port 8000.

In a container this is process 1, whose SIGTERM the kernel drops while no handler is set; so one is set before the slow
imports. uvicorn then takes over: it stops accepting, lets requests in flight finish, and the process ends with 0.
A fatal fault ends it with 1, its reason being the last line on stderr and, in a pod, the container's termination message.
"""

import argparse
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import NoReturn

TERMINATION_LOG = Path("/dev/termination-log")
GRACE_SECONDS = 25  # below the 30 s that Kubernetes grants by default
# Longer than the load balancers in front keep an idle connection: whoever closes first must be the one that sends, or a
# POST now and then meets a connection that is just being closed and is lost as a 502.
KEEP_ALIVE_SECONDS = 620


def die(message: str, code: int = 1) -> NoReturn:
    """End now, without waiting for anybody, leaving `message` where a person will look."""
    sys.stdout.flush()
    sys.stderr.write(f"{message}\n")
    sys.stderr.flush()
    try:
        # Without O_CREAT: outside a pod there is no such file, and none should appear.
        descriptor = os.open(TERMINATION_LOG, os.O_WRONLY | os.O_TRUNC)
        os.write(descriptor, message.encode())
    except OSError:
        pass
    os._exit(code)


def _leave(_signal: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(0)


def main() -> None:
    parser = argparse.ArgumentParser(prog="modelserver", description="Serve one scikit-learn model over HTTP.")
    parser.add_argument("--host", default="0.0.0.0", help="address to listen on")  # noqa: S104 - a pod serves its network
    parser.add_argument("--port", type=int, default=8000)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, _leave)

    import uvicorn  # noqa: PLC0415 - slow imports come after the signal handler

    from modelserver.app import create_app  # noqa: PLC0415
    from modelserver.faults import SettingError  # noqa: PLC0415
    from modelserver.settings import Settings  # noqa: PLC0415
    from modelserver.telemetry import log_as_json  # noqa: PLC0415

    log_as_json()
    try:
        settings = Settings.from_environment(os.environ)
    except SettingError as error:
        die(str(error), 2)
    uvicorn.run(
        create_app(settings, die),
        host=options.host,
        port=options.port,
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=GRACE_SECONDS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        server_header=False,
    )


if __name__ == "__main__":
    main()
