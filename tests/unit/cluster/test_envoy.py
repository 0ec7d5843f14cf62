"""What Envoy Gateway is installed from, and the objects that make it run here."""

import json
import shutil
import tarfile
from pathlib import Path

import pytest

from tests.cluster.build import envoy
from tests.cluster.build.artifact import Artifact
from tests.cluster.contract import ClusterError
from tests.cluster.local.envoy import ADDRESS, gateway_objects
from tests.cluster.progress import Silent
from tests.cluster.stack import gateway_objects as traefik_objects


def test_the_names_of_the_images_are_filled_into_the_chart():
    text = "image: ${GatewayImage}\nimagePullPolicy: ${GatewayImagePullPolicy}\n"
    assert envoy.filled_in(text, envoy.VALUES) == f"image: {envoy.CONTROLLER_TAG}\nimagePullPolicy: IfNotPresent\n"


def test_a_chart_that_asks_for_something_else_is_not_filled_in_by_halves():
    with pytest.raises(ClusterError, match="unknown values: Sidecar"):
        envoy.filled_in("${GatewayImage} ${Sidecar}", envoy.VALUES)


def test_an_image_holds_the_program_with_the_libraries_that_it_is_linked_with(tmp_path: Path):
    def make(folder: Path, _log: Path) -> None:
        (folder / "bin").mkdir()
        shutil.copy2("/bin/ls", folder / "bin" / "tool")

    source = Artifact("tool", "the tool", {"version": "1"}, ("bin/tool",), make)
    source.provide(Silent())
    archive = envoy._image("tool-image", "modelrollout.test/tool:1", source, "tool").provide(Silent()) / "image.tar"
    with tarfile.open(archive) as image:
        config = json.load(image.extractfile("config.json"))  # type: ignore[arg-type]
        image.extract("layer.tar", tmp_path, filter="data")
    with tarfile.open(tmp_path / "layer.tar") as layer:
        names = {Path(name).name for name in layer.getnames()}
    assert {"tool", "libc.so.6"} <= names
    assert config["config"]["Entrypoint"] == ["/usr/local/bin/tool"]
    assert config["config"]["User"] == envoy.USER


def test_envoys_gateway_takes_routes_of_all_namespaces_as_that_of_traefik_does():
    proxy, class_of_it, gateway = gateway_objects()
    [traefiks_class, traefiks_gateway] = traefik_objects(18080)
    assert class_of_it["spec"]["parametersRef"]["name"] == proxy["metadata"]["name"]
    assert "parametersRef" not in traefiks_class["spec"]
    rules = [one["spec"]["listeners"][0]["allowedRoutes"] for one in (gateway, traefiks_gateway)]
    assert rules[0] == rules[1]
    kubernetes = proxy["spec"]["provider"]["kubernetes"]
    assert kubernetes["envoyService"]["patch"]["value"]["spec"]["clusterIP"] == ADDRESS
    assert kubernetes["envoyDeployment"]["container"]["image"] == envoy.PROXY_TAG
