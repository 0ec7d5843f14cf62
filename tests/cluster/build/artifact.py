"""One thing that is built once and kept: a folder in the cache, named by what it was built from.

A build works in a scratch folder and is renamed into place when it is complete, so an interrupted build leaves nothing
half done. A lock per name keeps two processes from building the same thing twice. An artifact with a missing file is
built again; one with another key (another version, other flags) lies beside the old one.
"""

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster.contract import ClusterError
from tests.cluster.locks import exclusive
from tests.cluster.places import cache_home
from tests.cluster.progress import Steps


def key_of(inputs: Mapping[str, Any]) -> str:
    """Short hash of plain JSON data; the machine's architecture is always part of it."""
    text = json.dumps({"machine": os.uname().machine, **inputs}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Artifact:
    """What to build and how.

    `inputs` decide the key; `files` (relative) must exist afterwards; `make(folder, log)` fills the folder;
    `expected` is the time in seconds that it takes on two cores with cold caches. Without `keep_old` results of other
    inputs are deleted once the new one is there (images, which change with every line of source).
    """

    name: str
    title: str
    inputs: Mapping[str, Any]
    files: tuple[str, ...]
    make: Callable[[Path, Path], None]
    expected: float = 5.0
    keep_old: bool = True

    @property
    def path(self) -> Path:
        return cache_home() / "built" / f"{self.name}-{key_of(self.inputs)}"

    @property
    def log(self) -> Path:
        return cache_home() / "logs" / f"{self.name}.log"

    @property
    def complete(self) -> bool:
        return all((self.path / file).exists() for file in self.files)

    def provide(self, steps: Steps) -> Path:
        """The folder with all files in it, built if need be. Raises ClusterError when that fails."""
        if self.complete:
            return self.path
        waiting = f"another process builds {self.title}; waiting for it"
        with exclusive(cache_home() / "locks" / self.name, on_wait=lambda: steps.say(waiting)):
            if not self.complete:
                self.log.parent.mkdir(parents=True, exist_ok=True)
                self.log.write_text("")
                with steps.step(f"Build {self.title}", expected=self.expected, log=self.log):
                    self._build()
        return self.path

    def _build(self) -> None:
        home = cache_home() / "scratch"
        home.mkdir(parents=True, exist_ok=True)
        prefix = f"{self.name}-"
        for dead in home.glob(f"{prefix}*"):  # we hold the lock of this name: whoever made these was killed
            remove_tree(dead)
        scratch = Path(tempfile.mkdtemp(prefix=prefix, dir=home))
        try:
            scratch.chmod(0o755)
            self.make(scratch, self.log)
            missing = [file for file in self.files if not (scratch / file).exists()]
            if missing:
                raise ClusterError(f"the build of {self.title} did not make {', '.join(missing)}; log: {self.log}")
            self.path.parent.mkdir(parents=True, exist_ok=True)
            remove_tree(self.path)
            scratch.rename(self.path)
            if not self.keep_old:
                self._remove_old()
        finally:
            remove_tree(scratch)

    def _remove_old(self) -> None:
        same_name = re.compile(rf"{re.escape(self.name)}-[0-9a-f]{{12}}")
        for folder in self.path.parent.iterdir():
            if same_name.fullmatch(folder.name) and folder != self.path:
                remove_tree(folder)


def remove_tree(path: Path) -> None:
    """Delete a folder, also one whose files lost their write permission (Go's module cache, an image's root)."""

    def unlock(function: Callable[[str], object], name: str, _error: object) -> None:
        for place in (Path(name).parent, Path(name)):
            if place.exists():
                place.chmod(0o755)
        function(name)

    if path.exists():
        shutil.rmtree(path, onerror=unlock)
