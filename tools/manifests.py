"""Writes the kustomize install from the chart: `python -m tools.manifests [--helm PROGRAM] [--check]`.

One source, two ways to install. What the chart makes of its default values is split into the CRDs, the settings (the file that
people replace) and the rest; marks that only Helm understands are left out.
"""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from modelrollout.api import crd
from tests.cluster.build import programs
from tests.cluster.progress import Steps
from tools.chart import CHART, ROOT

INSTALL = ROOT / "manifests" / "install"
NAMESPACE = "modelrollout-system"
HEADER = "# Made from charts/modelrollout by `make generate`; edit the chart instead.\n"
SETTINGS = "# The operator's settings, as in docs/reference/settings.md. Made from charts/modelrollout; overlays replace it whole.\n"
LEFT_OUT = ("app.kubernetes.io/managed-by", "checksum/settings")
"""Helm's own label, and what restarts pods on new settings: kustomize does that by the hash in the ConfigMap's name."""


def rendered(helm: Path) -> list[dict[str, Any]]:
    """All objects of the chart with its default values, without the CRDs. Raises CalledProcessError."""
    command = [helm, "template", "modelrollout", CHART, "--namespace", NAMESPACE, "--set", "crds.install=false"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [_plain(found) for found in yaml.safe_load_all(text) if found]


def _plain(found: Any) -> Any:
    if isinstance(found, dict):
        kept = {key: _plain(value) for key, value in found.items() if key not in LEFT_OUT}
        return {key: value for key, value in kept.items() if key != "annotations" or value}
    return [_plain(value) for value in found] if isinstance(found, list) else found


def files(helm: Path) -> dict[str, str]:
    """All written files, by name."""
    objects = rendered(helm)
    [settings] = [found["data"]["settings.yaml"] for found in objects if found["kind"] == "ConfigMap"]
    rest = [found for found in objects if found["kind"] != "ConfigMap"]
    return {
        "crds.yaml": HEADER + "---\n".join(crd.files().values()),
        "settings.yaml": f"{SETTINGS}{settings.strip()}\n",
        "operator.yaml": HEADER + _dump(rest),
    }


def _dump(objects: list[dict[str, Any]]) -> str:
    return yaml.dump_all(objects, Dumper=crd.Dumper, sort_keys=False, allow_unicode=True, width=120)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the files, or with `--check` say which differ; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.manifests", description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    parser.add_argument(
        "--helm", type=Path, help="the helm program; default: that of the test clusters, built if need be"
    )
    options = parser.parse_args(arguments)
    helm = options.helm or programs.helm().provide(Steps()) / "bin" / "helm"
    return crd.synchronise(INSTALL, files(helm), check=options.check)


if __name__ == "__main__":
    sys.exit(main())
