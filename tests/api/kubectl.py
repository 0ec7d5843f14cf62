"""kubectl as a person uses it, against the cluster with kwok pods: exit code and every word of the answer."""

import json
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.cluster import Flavor, make_cluster
from tests.cluster.locks import exclusive

CRDS = Path(__file__).parents[2] / "crds"


class Answer(NamedTuple):
    code: int
    out: str
    err: str


class Kubectl:
    """Runs kubectl in one namespace."""

    def __init__(self, program: Path, environment: dict[str, str], namespace: str = "default") -> None:
        self.program, self.environment, self.namespace = program, environment, namespace

    def __call__(self, *words: str, stdin: str | None = None) -> Answer:
        found = subprocess.run(
            [self.program, "-n", self.namespace, *words],
            input=stdin,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return Answer(found.returncode, found.stdout, found.stderr)

    def ok(self, *words: str, stdin: str | None = None) -> str:
        """Run and return standard output; a failure fails the test."""
        answer = self(*words, stdin=stdin)
        assert answer.code == 0, f"kubectl {' '.join(words)}: {answer.err}"
        return answer.out

    def apply(self, *objects: dict[str, Any], options: tuple[str, ...] = ()) -> Answer:
        return self("apply", *options, "-f", "-", stdin=document(*objects))


def document(*objects: dict[str, Any]) -> str:
    """The objects as kubectl reads them. JSON, because a bare `y` of PyYAML is true to kubectl."""
    if len(objects) == 1:
        return json.dumps(objects[0])
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})


def connect(name: str | None = None) -> Kubectl:
    """Bring the cluster up (the one that all tests share, or one by that name) and install the CRDs with plain `kubectl apply`."""
    info = make_cluster("local", Flavor.KWOK, name).up()
    kubectl = Kubectl(info.kubectl, info.environment())
    install_crds(kubectl)
    return kubectl


def install_crds(kubectl: Kubectl) -> None:
    """Apply the project's CRDs and wait until their kinds are served."""
    define(kubectl, CRDS)


def define(kubectl: Kubectl, crds: Path, *options: str) -> None:
    """Apply CRDs (a file, or a folder of them) with `kubectl apply`, and wait until their kinds are served.

    One process at a time: of two that apply a new object at once, one is told that it exists.
    """
    with exclusive(Path(kubectl.environment["KUBECONFIG"]).with_name("crds.lock")):
        kubectl.ok("apply", *options, "-f", str(crds))
        # A CRD that was made just now has no condition to wait for yet.
        wait = ("wait", "--for=condition=Established", "--timeout=5s", "-f", str(crds))
        until(lambda: kubectl(*wait).code == 0, f"the CRDs of {crds.name} are established", seconds=60)


@contextmanager
def fresh_namespace(kubectl: Kubectl, prefix: str) -> Iterator[Kubectl]:
    """A kubectl that works in a namespace of its own."""
    name = f"{prefix}-{uuid.uuid4().hex[:8]}"
    kubectl.ok("create", "namespace", name)
    try:
        yield Kubectl(kubectl.program, kubectl.environment, name)
    finally:
        kubectl("delete", "namespace", name, "--wait=false")


def until(condition: Any, what: str, seconds: float = 20) -> Any:
    """Wait until the condition is truthy, and return what it said."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.1)
    return found


def deployment(spec: dict[str, Any], name: str = "fraud") -> dict[str, Any]:
    return {
        "apiVersion": "modelrollout.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": name},
        "spec": spec,
    }


def command(spec: dict[str, Any], name: str = "fraud-1") -> dict[str, Any]:
    return {
        "apiVersion": "modelrollout.dev/v1alpha1",
        "kind": "RolloutCommand",
        "metadata": {"name": name},
        "spec": spec,
    }
