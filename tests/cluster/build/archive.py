"""Making a container image out of any folder: one layer, a config and a manifest in a docker-archive.

Format: the "Docker image specification v1.2", combined image JSON and filesystem changeset (what `docker save` writes and
`docker load`, `ctr images import` and `buildah pull docker-archive:` read).
"""

import hashlib
import json
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.cluster.commands import run

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
# Filled by the kernel when a container starts; their content in a build root is an accident.
EMPTY = ("./proc/*", "./sys/*", "./dev/*")


def pack(root: Path, tag: str, config: Mapping[str, Any], archive: Path, log: Path) -> Path:
    """Write `root` as image `tag`; `config` holds Env, Entrypoint, Cmd. Same content, same bytes. Raises CommandError."""
    layer = archive.with_name("layer.tar")
    exclude = [f"--exclude={pattern}" for pattern in EMPTY]
    stable = ["--sort=name", "--mtime=@0", "--numeric-owner"]
    run(["tar", *stable, *exclude, "-C", root, "-cf", layer, "."], log=log)
    document = {
        "created": "1970-01-01T00:00:00Z",
        "architecture": architecture(),
        "os": "linux",
        "config": dict(config),
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{_digest(layer)}"]},
    }
    image = archive.with_name("config.json")
    image.write_text(json.dumps(document))
    manifest = archive.with_name("manifest.json")
    manifest.write_text(json.dumps([{"Config": image.name, "RepoTags": [tag], "Layers": [layer.name]}]))
    with tarfile.open(archive, "w") as sink:
        for part in (manifest, image, layer):
            sink.add(part, part.name)
            part.unlink()
    return archive


def architecture() -> str:
    """The machine's architecture as image configs and Go spell it."""
    machine = os.uname().machine
    return ARCHITECTURES.get(machine, machine)


def tags(archive: Path) -> list[str]:
    """The tags of the images in a docker-archive; raises KeyError or OSError for another file."""
    with tarfile.open(archive) as source:
        member = source.extractfile("manifest.json")
        assert member is not None
        return [tag for image in json.load(member) for tag in image["RepoTags"] or []]


def _digest(path: Path) -> str:
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()
