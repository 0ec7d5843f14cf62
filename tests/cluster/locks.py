"""Locks between processes, so that two test runs do not build or start the same thing at once.

The kernel drops a lock with its process, so a killed run never leaves one behind. The files stay; deleting a lock file
would let two holders lock two different files of the same name.
"""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def exclusive(path: Path, on_wait: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold the lock file for the block; `on_wait` is called once when another process has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Python marks its descriptors close-on-exec, so daemons started inside the block do not inherit the lock.
    with path.open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if on_wait:
                on_wait()
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
