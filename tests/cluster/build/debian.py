"""Packages of the host's own distribution.

They are the only thing that is installed on the machine itself, they are installed only when a file of theirs is missing,
and they stay when the cluster goes.
"""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from tests.cluster.commands import CommandError, run
from tests.cluster.contract import ClusterError
from tests.cluster.locks import exclusive
from tests.cluster.places import cache_home
from tests.cluster.progress import Steps


def missing(packages: Mapping[str, str]) -> list[str]:
    """The packages (values) whose file (key) is neither there nor elsewhere on PATH."""
    return sorted({package for file, package in packages.items() if not _present(file)})


def _present(file: str) -> bool:
    return Path(file).exists() or (("/bin/" in file or "/sbin/" in file) and shutil.which(Path(file).name) is not None)


def ensure(packages: Mapping[str, str], steps: Steps) -> None:
    """Install what is missing with apt-get; raises ClusterError where that is not possible."""
    wanted = missing(packages)
    if not wanted:
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise ClusterError(f"please install: {' '.join(wanted)} (done here only as root on Debian or Ubuntu)")
    log = cache_home() / "logs" / "apt.log"
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    options = ["-y", "-q", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300"]
    with (
        exclusive(cache_home() / "locks" / "apt"),
        steps.step(f"Install {' '.join(wanted)}", expected=40, log=log),
    ):
        try:
            run(["apt-get", "update", "-q"], log=log, env=env)
        except CommandError as error:
            # One unreachable source of several makes `update` fail while the needed one is fresh.
            with log.open("a") as sink:
                sink.write(f"continuing although the update failed: {error}\n")
        run(["apt-get", "install", *options, *wanted], log=log, env=env)
    still = missing(packages)
    if still:
        raise ClusterError(f"apt-get installed {' '.join(still)} without the expected files; log: {log}")
