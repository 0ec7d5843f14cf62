"""kubectl, as a person at a terminal uses it: commands that end, and watches that go on."""

import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster.commands import run
from tests.cluster.contract import ClusterInfo

Json = dict[str, Any]


class NotAsPromisedError(Exception):
    """The demo went on, but not as it says it does."""


@dataclass(frozen=True)
class Kube:
    """kubectl of a cluster in one namespace."""

    info: ClusterInfo
    namespace: str

    def __call__(self, *words: str | Path, stdin: str | None = None, timeout: float = 120) -> str:
        """Run to the end and return standard output; raises ClusterError."""
        return run([*self._program, *words], env=self.info.environment(), stdin=stdin, timeout=timeout)

    def read(self, *words: str) -> Json:
        """The answer of a `get` as data."""
        found: Json = json.loads(self("get", *words, "-o", "json"))
        return found

    def apply(self, file: Path) -> Json:
        """Apply a file with one object, and return the object."""
        found: Json = json.loads(self("apply", "--filename", file, "--output=json"))
        return found

    @contextmanager
    def following(self, *words: str, on_line: Callable[[str], None]) -> Iterator[None]:
        """Run `kubectl get … --watch` beside the caller and hand on what it prints, line by line, from a thread."""
        process = subprocess.Popen(  # noqa: S603 - our own kubectl
            [*self._program, "get", *words, "--watch"],
            env=self.info.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

        def read() -> None:
            assert process.stdout is not None
            for line in process.stdout:
                on_line(line.rstrip("\n"))

        reader = threading.Thread(target=read, name="kubectl", daemon=True)
        reader.start()
        try:
            yield
        finally:
            process.terminate()
            process.wait()
            reader.join(timeout=5)

    @property
    def _program(self) -> list[str | Path]:
        return [self.info.kubectl, "--namespace", self.namespace]


class Sight:
    """The newest version of one object, kept up to date by a watch."""

    def __init__(self) -> None:
        self._news = threading.Condition()
        self._lines: list[str] = []
        self._latest: Json | None = None
        self._listener: Callable[[Json], None] | None = None

    @contextmanager
    def of(
        self, kube: Kube, resource: str, name: str, *, on_news: Callable[[Json], None] | None = None
    ) -> Iterator["Sight"]:
        """Watch until the end of the block, and tell each version of the object, from a thread."""
        self._listener = on_news
        with kube.following(resource, name, "-o", "json", on_line=self._take):
            yield self

    def _take(self, line: str) -> None:
        self._lines.append(line)
        if line != "}":  # kubectl indents everything inside of an object
            return
        text, self._lines = "\n".join(self._lines), []
        found: Json = json.loads(text)
        if self._listener is not None:
            self._listener(found)
        with self._news:
            self._latest = found
            self._news.notify_all()

    def until(self, condition: Callable[[Json], bool], what: str, seconds: float) -> Json:
        """Wait for an object that satisfies the condition. Raises NotAsPromisedError when the time is up."""
        deadline = time.monotonic() + seconds
        with self._news:
            while self._latest is None or not condition(self._latest):
                left = deadline - time.monotonic()
                if left <= 0:
                    raise NotAsPromisedError(f"not within {seconds:.0f} s: {what}. {_told(self._latest)}")
                self._news.wait(left)
            return self._latest


def _told(found: Json | None) -> str:
    if found is None:
        return "The object was never seen."
    return f"Its status says: {found.get('status', {}).get('message') or 'nothing'}"
