"""The CustomResourceDefinitions, made from the models.

`python -m modelrollout.api.crd crds` writes one file per kind; `--check` compares instead and is what the tests run. The text
is a function of the models alone (no clock, no version), so a difference in review is a difference in the API. What the
schema of a field says stands at the model; here stands only what belongs to the resource as a whole: names, columns,
subresources and the one rule about `metadata.name`.

Each file stays far below the 256 kB that `kubectl apply` can remember in an annotation.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from .base import Model, rule
from .command import RolloutCommandSpec, RolloutCommandStatus
from .schema import RULES, Schema, structural
from .server import NAME_LIMIT
from .spec import ModelDeploymentSpec
from .status import ModelDeploymentStatus

GROUP = "modelrollout.dev"
VERSION = "v1alpha1"
HEADER = "# Made from the models in operator/modelrollout/api by `make generate`; edit those instead.\n"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of `kubectl get`. `wide` columns appear with `-o wide`."""

    name: str
    path: str
    description: str
    type: str = "string"
    wide: bool = False

    def written(self) -> dict[str, Any]:
        found = {"name": self.name, "type": self.type, "description": self.description, "jsonPath": self.path}
        return found | {"priority": 1} if self.wide else found


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind, with the models of its spec and status."""

    kind: str
    plural: str
    description: str
    spec: type[Model]
    status: type[Model]
    columns: tuple[Column, ...]
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    scale: dict[str, str] | None = None
    rules: tuple[dict[str, str], ...] = field(default=())

    @property
    def name(self) -> str:
        """Name of the CRD."""
        return f"{self.plural}.{GROUP}"

    @property
    def file(self) -> str:
        """Name of its file below `crds/`."""
        return f"{GROUP}_{self.plural}.yaml"


_AGE = Column("Age", ".metadata.creationTimestamp", "Time since it was created.", "date")


MODEL_DEPLOYMENT = Resource(
    kind="ModelDeployment",
    plural="modeldeployments",
    description="A machine-learning model in production. A new version gets its traffic step by step, judged by metrics.",
    spec=ModelDeploymentSpec,
    status=ModelDeploymentStatus,
    columns=(
        Column("Stable", ".status.summary.stable", "Version that is known to be good."),
        Column("Candidate", ".status.summary.candidate", "Version that is being tried."),
        Column(
            "Weight",
            ".status.summary.weight",
            "The candidate's share of traffic in percent; while requests are mirrored to it, of how many.",
        ),
        Column("Step", ".status.summary.step", "Step of the rollout."),
        Column("Status", ".status.phase", "Where it stands."),
        Column("Ready", ".status.summary.ready", "Ready pods of the version that carries the traffic."),
        Column("Reason", ".status.summary.reason", "Why; docs/reasons.md tells what to do."),
        _AGE,
        Column("Message", ".status.message", "What is, why, and what comes next.", wide=True),
    ),
    short_names=("mdep",),
    categories=("all",),
    scale={
        "specReplicasPath": ".spec.replicas",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    },
    rules=(
        rule(
            f"size(self.metadata.name) <= {NAME_LIMIT}",
            f"the name must have at most {NAME_LIMIT} characters, because names of pods begin with it",
            field_path=".metadata.name",
        ),
        rule(
            "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
            "the name must consist of a-z, 0-9 and -, begin with a letter and end with a letter or digit,"
            " because Services are named after it",
            field_path=".metadata.name",
        ),
    ),
)

ROLLOUT_COMMAND = Resource(
    kind="RolloutCommand",
    plural="rolloutcommands",
    description="Asks once for something that is not desired state: to approve, pause, resume, abort, retry, promote or undo.",
    spec=RolloutCommandSpec,
    status=RolloutCommandStatus,
    columns=(
        Column("Target", ".spec.target", "The ModelDeployment."),
        Column("Action", ".spec.action", "What was asked for."),
        Column("Step", ".spec.step", "The step that was approved."),
        Column("By", ".spec.by", "Who asked."),
        Column("Outcome", ".status.outcome", "Accepted or Refused; empty until it was taken."),
        _AGE,
        Column("Message", ".status.message", "What it did, or why it was refused.", wide=True),
    ),
)

RESOURCES = (MODEL_DEPLOYMENT, ROLLOUT_COMMAND)


def crd(resource: Resource) -> dict[str, Any]:
    """The CustomResourceDefinition as plain JSON data."""
    names: dict[str, Any] = {
        "kind": resource.kind,
        "listKind": f"{resource.kind}List",
        "plural": resource.plural,
        "singular": resource.kind.lower(),
    }
    if resource.short_names:
        names["shortNames"] = list(resource.short_names)
    if resource.categories:
        names["categories"] = list(resource.categories)
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": resource.name},
        "spec": {"group": GROUP, "names": names, "scope": "Namespaced", "versions": [_version(resource)]},
    }


def _version(resource: Resource) -> dict[str, Any]:
    subresources: dict[str, Any] = {"status": {}}
    if resource.scale:
        subresources["scale"] = dict(resource.scale)
    return {
        "name": VERSION,
        "served": True,
        "storage": True,
        "additionalPrinterColumns": [column.written() for column in resource.columns],
        "subresources": subresources,
        "schema": {"openAPIV3Schema": _root(resource)},
    }


def _root(resource: Resource) -> Schema:
    root: Schema = {"description": resource.description, "type": "object"}
    if resource.rules:
        root[RULES] = [dict(found) for found in resource.rules]
    root["required"] = ["spec"]
    root["properties"] = {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"type": "object", "properties": {"name": {"type": "string"}}},
        "spec": structural(resource.spec),
        "status": structural(resource.status),
    }
    return root


class Dumper(yaml.SafeDumper):
    """Block style, lists indented, no anchors: one change of a field is one change of a line."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002  PyYAML's signature
        super().increase_indent(flow, indentless=False)

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  PyYAML's signature
        return True


def text(resource: Resource) -> str:
    """The file of a CRD."""
    return HEADER + yaml.dump(crd(resource), Dumper=Dumper, sort_keys=False, allow_unicode=True, width=120)


def files() -> dict[str, str]:
    """All files, by name."""
    return {resource.file: text(resource) for resource in RESOURCES}


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the files, or with `--check` say which differ; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m modelrollout.api.crd", description=main.__doc__)
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    parser.add_argument("directory", type=Path)
    options = parser.parse_args(arguments)
    return synchronise(options.directory, files(), check=options.check)


def synchronise(directory: Path, wanted: dict[str, str], *, check: bool) -> int:
    """Make the files in a directory equal to `wanted`, or with `check` report those that are not; 1 if any was not."""
    stale = [name for name, content in wanted.items() if _read(directory / name) != content]
    if check:
        for name in stale:
            sys.stderr.write(f"{directory / name} differs from its source: run `make generate`\n")
        return 1 if stale else 0
    for name in stale:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(wanted[name])
    return 0


def _read(path: Path) -> str | None:
    return path.read_text() if path.is_file() else None


if __name__ == "__main__":
    sys.exit(main())
