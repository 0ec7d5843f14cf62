"""Container images for clusters that no registry reaches.

`base_image` is what `ARG BASE` of a Dockerfile gets, `wheelhouse` is what a build installs Python packages from, `build`
makes an ordinary Dockerfile into a docker-archive that `Cluster.load_image` takes. Each result is cached by its content:
building what was built before costs the time to read the context. Nothing inside of a build needs a network.
"""

import json
import os
import shutil
import sys
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tests.cluster.build import debian
from tests.cluster.build.artifact import Artifact
from tests.cluster.build.base import BASE_REPOSITORY, base, host_release
from tests.cluster.build.context import digest, stage
from tests.cluster.commands import run
from tests.cluster.progress import Steps, default_steps
from tests.cluster.versions import IMAGE_PACKAGES

WHEELS = "wheels"
ARCHIVE = "image.tar"
# What pip may choose from for an image of another Python than the one that runs pip.
GLIBC_PLATFORMS = (
    "manylinux_2_34",
    "manylinux_2_31",
    "manylinux_2_28",
    "manylinux_2_24",
    "manylinux_2_17",
    "manylinux2014",
)
POLICY = {"default": [{"type": "insecureAcceptAnything"}]}  # images come from our own files, none has a signature


@dataclass(frozen=True)
class BaseImage:
    """An image to build on: `archive` is a docker-archive, `tag` its name, `python` the version of its Python (`3.11`)."""

    tag: str
    archive: Path
    python: str


def base_image(steps: Steps | None = None) -> BaseImage:
    """Debian or Ubuntu as on this machine, with Python and pip. Raises ClusterError."""
    steps = steps or default_steps()
    debian.ensure(IMAGE_PACKAGES, steps)
    site, release = host_release()
    folder = base(site, release).provide(steps)
    python = (folder / "python").read_text().strip()
    return BaseImage(f"{BASE_REPOSITORY}:{release}", folder / ARCHIVE, python)


def wheelhouse(
    *,
    python: str,
    requirements: Path | None = None,
    project: Path | None = None,
    extra: Iterable[str] = (),
    steps: Steps | None = None,
) -> Path:
    """A folder of wheels with all their dependencies, for Python `python` on this machine's architecture.

    `requirements` is a requirements file (hashes in it hold), `project` a folder with a pyproject.toml: what it needs to be
    built and to run. pip runs on the host and so by its configuration. Raises ClusterError.
    """
    described = tomllib.loads((project / "pyproject.toml").read_text()) if project else {}
    wanted = [*_needs(described), *extra]
    text = requirements.read_text() if requirements else ""

    def make(folder: Path, log: Path) -> None:
        sources: list[str | Path] = [*wanted]
        if requirements:
            sources += ["--requirement", requirements]
        target = [f"--platform={platform}_{os.uname().machine}" for platform in GLIBC_PLATFORMS]
        abis = [f"--abi={abi}" for abi in (f"cp{python.replace('.', '')}", "abi3", "none")]
        target += [f"--python-version={python}", "--implementation=cp", "--only-binary=:all:", *abis]
        out = folder / WHEELS
        run([sys.executable, "-m", "pip", "download", "--dest", out, *target, *sources], log=log, env=dict(os.environ))

    inputs = {"python": python, "requirements": text, "wanted": wanted}
    folder = requirements.resolve().parent.name if requirements else "others"
    name = described["project"]["name"] if described else folder
    artifact = Artifact(f"wheels-{name}", f"Python packages of {name}", inputs, (WHEELS,), make, expected=30)
    return artifact.provide(steps or default_steps()) / WHEELS


def build(
    context: Path,
    tag: str,
    *,
    base: BaseImage | None = None,
    build_args: Mapping[str, str] | None = None,
    wheels: Path | None = None,
    dockerfile: str = "Dockerfile",
    steps: Steps | None = None,
) -> Path:
    """Build `dockerfile` in `context` as `tag` and return the docker-archive. Raises ClusterError.

    The context is what .dockerignore leaves of the folder; `wheels` are laid into its `wheels/`. The Dockerfile gets the
    base image as `ARG BASE`.
    """
    steps = steps or default_steps()
    base = base or base_image(steps)
    debian.ensure(IMAGE_PACKAGES, steps)
    arguments = {"BASE": base.tag, **(build_args or {})}
    folders = {WHEELS: wheels} if wheels else {}
    inputs = {
        "context": digest(context, folders, also=[dockerfile]),
        "base": base.archive.parent.name,
        "tag": tag,
        "arguments": arguments,
        "dockerfile": dockerfile,
    }

    def make(folder: Path, log: Path) -> None:
        staged = folder / "context"
        stage(context, staged, folders, also=[dockerfile])
        with _Buildah(folder / "storage", log) as buildah:
            buildah("pull", f"docker-archive:{base.archive}")
            given = [f"--build-arg={key}={value}" for key, value in arguments.items()]
            options = ["--isolation=chroot", "--format=docker", "--pull=never", "--timestamp=0"]
            buildah("bud", *options, *given, f"--tag={tag}", f"--file={staged / dockerfile}", staged)
            buildah("push", tag, f"docker-archive:{folder / ARCHIVE}:{tag}")
        shutil.rmtree(staged)

    name = "image-" + "".join(letter if letter.isalnum() or letter in ".-" else "-" for letter in tag)
    artifact = Artifact(name, f"image {tag}", inputs, (ARCHIVE,), make, expected=40, keep_old=False)
    return artifact.provide(steps) / ARCHIVE


class _Buildah:
    """buildah with a storage of its own that goes when the build is done, also when it failed."""

    def __init__(self, storage: Path, log: Path) -> None:
        self._storage = storage
        self._log = log

    def __enter__(self) -> Self:
        self._storage.mkdir()
        self._policy.write_text(json.dumps(POLICY))
        return self

    def __call__(self, verb: str, *words: str | Path) -> None:
        where = [f"--root={self._storage / 'root'}", f"--runroot={self._storage / 'run'}", "--storage-driver=vfs"]
        # `push` and `pull` take the policy; so does `bud`.
        run(["nice", "buildah", *where, verb, f"--signature-policy={self._policy}", *words], log=self._log)

    def __exit__(self, *_error: object) -> None:
        shutil.rmtree(self._storage, ignore_errors=True)

    @property
    def _policy(self) -> Path:
        return self._storage / "policy.json"


def _needs(described: Mapping[str, Any]) -> list[str]:
    """What the project of a pyproject.toml needs to be built and to run."""
    if not described:
        return []
    return [*described["build-system"]["requires"], *described["project"].get("dependencies", [])]
