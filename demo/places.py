"""Names of the demo, and the few files that it leaves on the machine (`down` removes them)."""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.cluster.places import state_home

ROOT = Path(__file__).resolve().parents[1]
MANIFESTS = Path(__file__).resolve().parent
CHART = ROOT / "charts" / "modelrollout"
CRDS = ROOT / "crds"

MODEL = "iris"
HOST = "iris.demo.example.com"
NAMESPACE = "modelrollout-demo"
OPERATOR_NAMESPACE = "modelrollout-demo-system"
RELEASE = "modelrollout-demo"
REQUESTS_PER_SECOND = 50


@dataclass(frozen=True)
class Memory:
    """What `down` has to know: where the demo ran, and whether it made that cluster."""

    provider: str
    made_cluster: bool


def folder() -> Path:
    """The demo's own files; made here."""
    found = state_home() / "demo"
    found.mkdir(parents=True, exist_ok=True)
    return found


def log_file() -> Path:
    """Output of the programs that the demo runs."""
    return folder() / "demo.log"


def remember(memory: Memory) -> None:
    """Write it before anything is made, so that `down` finds what a killed `up` has left."""
    (folder() / "memory.json").write_text(json.dumps(asdict(memory)))


def remembered() -> Memory | None:
    """What the last `up` wrote; None when there was none since the last `down`."""
    try:
        return Memory(**json.loads((state_home() / "demo" / "memory.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None


def forget() -> None:
    """Remove the demo's own files."""
    shutil.rmtree(state_home() / "demo", ignore_errors=True)
