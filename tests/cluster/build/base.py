"""The two images that are not built from a Dockerfile: `pause`, and a Debian with Python to build all others on.

Where no image registry is to be had, debootstrap takes the place of `FROM python:…-slim`: it makes a root directory from
the very package source that the machine itself is installed from. The image offers what the official Python image offers
to a Dockerfile: `python`, `python3` and a `pip` that may install.
"""

import os
import shutil
from pathlib import Path

from tests.cluster.build.archive import architecture, pack
from tests.cluster.build.artifact import Artifact, remove_tree
from tests.cluster.build.go import require_go
from tests.cluster.commands import run
from tests.cluster.contract import ClusterError

PAUSE_TAG = "modelrollout.test/pause:1"
BASE_REPOSITORY = "localhost/modelrollout-base"
INCLUDE = ("ca-certificates", "python3", "python3-pip", "python3-venv")
PATH_VARIABLE = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Never read in a container, half of the size.
NEEDLESS = (
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "usr/share/info",
    "var/cache/apt",
    "var/lib/apt/lists",
)


def pause() -> Artifact:
    """A docker-archive `image.tar` of PAUSE_TAG."""
    source = Path(__file__).parent / "pause" / "main.go"

    def make(folder: Path, log: Path) -> None:
        require_go()
        root = folder / "root"
        root.mkdir()
        env = {**os.environ, "CGO_ENABLED": "0", "GOWORK": "off", "GO111MODULE": "off"}
        run(["go", "build", "-trimpath", "-ldflags=-s -w", "-o", root / "pause", source], log=log, env=env, cwd=folder)
        config = {"Entrypoint": ["/pause"], "User": "65535:65535"}
        pack(root, PAUSE_TAG, config, folder / "image.tar", log)
        remove_tree(root)

    inputs = {"source": source.read_text(), "tag": PAUSE_TAG}
    return Artifact("pause-image", "the pause image", inputs, ("image.tar",), make, expected=5)


def base(site: str, release: str) -> Artifact:
    """A docker-archive `image.tar` of the base image, and `python` with the version of its Python (`3.11`)."""
    inputs = {"release": release, "include": INCLUDE, "needless": NEEDLESS}

    def make(folder: Path, log: Path) -> None:
        root = folder / "root"
        options = ["--variant=minbase", f"--include={','.join(INCLUDE)}", f"--arch={architecture()}"]
        run(
            ["debootstrap", *options, release, root, site],
            log=log,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        )
        _like_the_official_image(root)
        version = "import sys; print('%d.%d' % sys.version_info[:2])"
        (folder / "python").write_text(run(["chroot", root, "/usr/bin/python3", "-c", version]).strip())
        config = {"Env": [PATH_VARIABLE, "LANG=C.UTF-8"], "Cmd": ["python3"]}
        pack(root, f"{BASE_REPOSITORY}:{release}", config, folder / "image.tar", log)
        remove_tree(root)

    return Artifact(
        f"base-{release}", f"the base image ({release})", inputs, ("image.tar", "python"), make, expected=90
    )


def host_release() -> tuple[str, str]:
    """Package source and release that this machine is installed from, as apt knows them; raises ClusterError."""
    words = "$(SITE) $(CODENAME) $(COMPONENT) $(ORIGIN)"
    said = run(["apt-get", "indextargets", "--format", words, "Created-By: Packages"])
    return choose_release(said, _os_release().get("VERSION_CODENAME", ""))


def choose_release(targets: str, codename: str) -> tuple[str, str]:
    """The first of apt's sources (lines `site codename component origin`) that holds this release itself."""
    for line in targets.splitlines():
        site, release, component, origin = [*line.split(), "", "", "", ""][:4]
        if release == codename and component == "main" and origin in {"Debian", "Ubuntu"}:
            return site, release
    raise ClusterError(f"apt has no Debian or Ubuntu source for {codename or 'this system'}; `apt-get update` may help")


def _os_release() -> dict[str, str]:
    lines = Path("/etc/os-release").read_text().splitlines()
    return {key: value.strip('"') for key, _, value in (line.partition("=") for line in lines)}


def _like_the_official_image(root: Path) -> None:
    for name, target in {"python": "python3", "pip": "pip3"}.items():
        link = root / "usr" / "local" / "bin" / name
        link.symlink_to(f"/usr/bin/{target}")
    for marker in root.glob("usr/lib/python3*/EXTERNALLY-MANAGED"):
        marker.unlink()
    for folder in NEEDLESS:
        shutil.rmtree(root / folder, ignore_errors=True)
        (root / folder).mkdir(parents=True)
