"""The cluster that the demo runs on, and the images that it needs there.

On the local cluster images are built without Docker and loaded as files; with kind Docker builds them; on a cluster that
somebody else made they have to be in a registry already, because nothing can be brought to its nodes from here.
"""

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from demo.places import ROOT, Memory, log_file, remember, remembered
from tests.cluster import Cluster, ClusterError, ClusterInfo, Flavor, Provider, State, images, make_cluster
from tests.cluster.commands import run
from tests.cluster.factory import PROVIDER_VARIABLE
from tests.cluster.progress import Steps

OPERATOR_IMAGE = "modelrollout/modelrollout:demo"
COMPARER_IMAGE = "modelrollout/comparer:demo"
COMPARER_FILE = "Dockerfile.comparer"
MODEL_SERVER = ROOT / "examples" / "model-server"
MODEL_IMAGES = {
    "modelrollout/model-server:1": {"MODEL_VERSION": "1", "ESTIMATOR": "logistic"},
    "modelrollout/model-server:2": {"MODEL_VERSION": "2", "ESTIMATOR": "forest"},
}
REGISTRY_VARIABLE = "MODELROLLOUT_DEMO_REGISTRY"


@dataclass(frozen=True)
class Stage:
    """A running cluster with a gateway and a Prometheus. `registry` is what image names begin with, empty for loaded ones."""

    cluster: Cluster
    info: ClusterInfo
    registry: str = ""

    def image(self, name: str) -> str:
        """The name by which the cluster's nodes know an image of this project."""
        return f"{self.registry}/{name.partition('/')[2]}" if self.registry else name


def choose(asked: str | None) -> Provider:
    """The provider that was asked for, else kind where Docker answers, else local. Raises ClusterError in clear words."""
    named = asked or os.environ.get(PROVIDER_VARIABLE)
    if named:
        return Provider(named)
    if shutil.which("kind") and _docker_answers():
        return Provider.KIND
    if sys.platform == "linux" and os.geteuid() == 0:
        return Provider.LOCAL
    raise ClusterError(
        "There is no way to make a cluster here. Do one of these:\n"
        "  - start Docker and install kind (https://kind.sigs.k8s.io), then: make demo\n"
        "  - on Linux, as root (the cluster is made of processes of this machine): sudo make demo\n"
        "  - use a cluster that you have: make demo CLUSTER=existing"
    )


def take(provider: Provider, steps: Steps) -> Stage:
    """Use the cluster if it runs, else make it; either way remember which it was. Raises ClusterError."""
    cluster = make_cluster(provider, Flavor.PODS, steps=steps)
    before = remembered()
    if before is not None and before.provider != provider:
        raise ClusterError(f"there is a demo on the {before.provider} cluster already; remove it first: make demo-down")
    made = (before is not None and before.made_cluster) or (
        provider is not Provider.EXISTING and cluster.status().state is State.DOWN
    )
    remember(Memory(provider, made))
    info = cluster.up()
    if info.gateway is None or info.prometheus is None:
        raise ClusterError(
            "The demo needs a gateway and a Prometheus. Name those of your cluster with MODELROLLOUT_GATEWAY, "
            "MODELROLLOUT_GATEWAY_URL and MODELROLLOUT_PROMETHEUS_URL, as tests/cluster/existing.py says."
        )
    return Stage(cluster, info, _registry(provider))


def provide_images(stage: Stage, steps: Steps, *, comparer: bool = False) -> str:
    """Build what is missing and bring it to the cluster. Returns what changes when the operator's image does.

    The comparer's image comes with it where that is asked; the demo compares no answers.
    """
    if stage.registry:
        return ""
    build = _with_docker if stage.info.provider is Provider.KIND else _without_docker
    operator, others = build(steps, comparer)
    with steps.step("Load the images into the cluster", expected=15):
        for image in (operator, *others):
            stage.cluster.load_image(image)
    return operator.parent.name if isinstance(operator, Path) else _docker_id(operator)


def operator_image(steps: Steps) -> Path:
    """The operator's image as a docker-archive, built without Docker."""
    base = images.base_image(steps)
    wheels = images.wheelhouse(python=base.python, project=ROOT, steps=steps)
    return images.build(ROOT, OPERATOR_IMAGE, base=base, wheels=wheels, steps=steps)


def comparer_image(steps: Steps) -> Path:
    """The comparer's image as a docker-archive, built without Docker. What it needs is among what the operator needs."""
    base = images.base_image(steps)
    wheels = images.wheelhouse(python=base.python, project=ROOT, steps=steps)
    return images.build(ROOT, COMPARER_IMAGE, base=base, wheels=wheels, dockerfile=COMPARER_FILE, steps=steps)


def model_images(steps: Steps) -> list[Path]:
    """The model server's images as docker-archives, built without Docker."""
    base = images.base_image(steps)
    wheels = images.wheelhouse(python=base.python, requirements=MODEL_SERVER / "requirements.lock", steps=steps)
    return [
        images.build(MODEL_SERVER, tag, base=base, wheels=wheels, build_args=arguments, steps=steps)
        for tag, arguments in MODEL_IMAGES.items()
    ]


def _without_docker(steps: Steps, comparer: bool) -> tuple[Path, list[Path]]:
    return operator_image(steps), [*model_images(steps), *([comparer_image(steps)] if comparer else [])]


def _with_docker(steps: Steps, comparer: bool) -> tuple[str, list[str]]:
    def build(tag: str, context: Path, *options: str) -> None:
        with steps.step(f"Build image {tag}", expected=90, log=log_file()):
            run(["docker", "build", *options, f"--tag={tag}", context], log=log_file())

    build(OPERATOR_IMAGE, ROOT)
    for tag, arguments in MODEL_IMAGES.items():
        build(tag, MODEL_SERVER, *(f"--build-arg={name}={value}" for name, value in arguments.items()))
    if not comparer:
        return OPERATOR_IMAGE, list(MODEL_IMAGES)
    build(COMPARER_IMAGE, ROOT, f"--file={ROOT / COMPARER_FILE}")
    return OPERATOR_IMAGE, [*MODEL_IMAGES, COMPARER_IMAGE]


def _docker_id(tag: str) -> str:
    return run(["docker", "image", "inspect", "--format={{.Id}}", tag]).strip()


def _docker_answers() -> bool:
    try:
        run(["docker", "version", "--format={{.Server.Version}}"], timeout=10)
    except ClusterError:
        return False
    return True


def _registry(provider: Provider) -> str:
    if provider is not Provider.EXISTING:
        return ""
    registry = os.environ.get(REGISTRY_VARIABLE, "").rstrip("/")
    if registry:
        return registry
    builds = [f"docker build -t REGISTRY/{OPERATOR_IMAGE.partition('/')[2]} ."]
    for tag, arguments in MODEL_IMAGES.items():
        given = " ".join(f"--build-arg {name}={value}" for name, value in arguments.items())
        builds.append(f"docker build -t REGISTRY/{tag.partition('/')[2]} {given} examples/model-server")
    lines = "\n  ".join(builds)
    raise ClusterError(
        f"The nodes of your cluster have to pull the images from a registry. Build and push these, then say "
        f"{REGISTRY_VARIABLE}=REGISTRY:\n  {lines}"
    )
