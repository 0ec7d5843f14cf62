"""What Envoy Gateway is installed from: two images made of programs alone, and its own chart with its own definitions.

The images bear names that no registry has. The chart of a Go module is a template of a chart: a release fills in the names of
the images, and so do we.
"""

import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from tests.cluster.build.archive import pack
from tests.cluster.build.artifact import Artifact, remove_tree
from tests.cluster.build.base import PATH_VARIABLE
from tests.cluster.build.go import module_folder
from tests.cluster.build.programs import ENVOY_GATEWAY_MODULE, envoy, envoy_gateway
from tests.cluster.commands import run
from tests.cluster.contract import ClusterError
from tests.cluster.versions import ENVOY, ENVOY_GATEWAY

CONTROLLER_TAG = f"modelrollout.test/envoy-gateway:{ENVOY_GATEWAY}"
PROXY_TAG = f"modelrollout.test/envoy:{ENVOY}"
USER = "65532:65532"


def artifacts() -> list[Artifact]:
    """All of it, in the order in which one is built from the other."""
    controller, proxy = envoy_gateway(), envoy()
    return [
        controller,
        proxy,
        _image("envoy-gateway-image", CONTROLLER_TAG, controller, "envoy-gateway"),
        _image("envoy-image", PROXY_TAG, proxy, "envoy"),
        _chart(),
    ]


def _image(name: str, tag: str, source: Artifact, program: str) -> Artifact:
    """A docker-archive `image.tar` of one program and the libraries that it is linked with. The program must have been built."""

    def make(folder: Path, log: Path) -> None:
        root = folder / "root"
        target = root / "usr" / "local" / "bin" / program
        target.parent.mkdir(parents=True)
        shutil.copy2(source.path / "bin" / program, target)
        (root / "tmp").mkdir()
        (root / "tmp").chmod(0o1777)
        for library in _libraries(target):
            place = root / library.relative_to("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(library, place)
        config = {"Env": [PATH_VARIABLE], "Entrypoint": [f"/usr/local/bin/{program}"], "User": USER}
        pack(root, tag, config, folder / "image.tar", log)
        remove_tree(root)

    inputs = {"source": source.path.name, "tag": tag}
    return Artifact(name, f"the image of {source.title}", inputs, ("image.tar",), make, expected=10)


def _libraries(program: Path) -> list[Path]:
    """This machine's own files that a program is linked with; none for a static one."""
    try:
        said = run(["ldd", program])
    except ClusterError as error:
        if "not a dynamic executable" in str(error):
            return []
        raise
    return [Path(found) for found in re.findall(r"(?:=> |^\s*)(/\S+) \(0x", said, re.MULTILINE)]


def _chart() -> Artifact:
    """The folder `chart`, and `crds.yaml` with the kinds of Envoy Gateway itself; those of the Gateway API are the cluster's."""

    def make(folder: Path, log: Path) -> None:
        charts = module_folder(ENVOY_GATEWAY_MODULE, f"v{ENVOY_GATEWAY}", log) / "charts"
        # Files of Go's cache are read-only, and stay so when copied with their modes.
        shutil.copytree(charts / "gateway-helm", folder / "chart", copy_function=shutil.copyfile)
        for place in (folder / "chart").rglob("*"):
            place.chmod(0o755 if place.is_dir() else 0o644)
        template = folder / "chart" / "values.tmpl.yaml"
        (folder / "chart" / "values.yaml").write_text(filled_in(template.read_text(), VALUES))
        template.unlink()
        definitions = sorted((folder / "chart" / "charts" / "crds" / "crds" / "generated").glob("*.yaml"))
        (folder / "crds.yaml").write_text("\n---\n".join(part.read_text() for part in definitions))

    inputs = {"version": ENVOY_GATEWAY, "values": VALUES}
    files = ("chart/values.yaml", "crds.yaml")
    return Artifact("envoy-gateway-chart", "the chart of Envoy Gateway", inputs, files, make, expected=5)


VALUES = {"GatewayImage": CONTROLLER_TAG, "GatewayImagePullPolicy": "IfNotPresent"}


def filled_in(template: str, values: Mapping[str, str]) -> str:
    """A text with `${Name}` replaced; raises ClusterError for a name that is not known."""
    unknown = set(re.findall(r"\$\{(\w+)\}", template)) - set(values)
    if unknown:
        raise ClusterError(f"the chart of Envoy Gateway asks for unknown values: {', '.join(sorted(unknown))}")
    return re.sub(r"\$\{(\w+)\}", lambda match: values[match[1]], template)
