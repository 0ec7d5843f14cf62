"""Writes the reference from its sources: `python -m tools.reference [--check]`.

`docs/reference/*.md` come from the models (the same schema that the API server enforces), `docs/reasons.md` from the table of
reasons, and the list of allowed pod fields from the code that refuses the others. So a field, a bound, a refusal or a reason
cannot exist without a line here.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from modelrollout.api import crd
from modelrollout.api.reasons import EXPLANATIONS
from modelrollout.api.schema import RULES, structural
from modelrollout.api.settings import Settings
from modelrollout.workload import allowed
from tools.chart import ROOT

Schema = dict[str, Any]

MADE = "<!-- Made from the models by `make generate`; edit those instead. -->\n"
FORM = "not of the form "

DEPLOYMENT = """\
A `ModelDeployment` (short name `mdep`, API `modelrollout.dev/v1alpha1`, namespaced) says which version of a model should serve,
how it runs, how a new version gets its traffic and how it is judged. [Examples](../../manifests/examples).

Its name has at most 36 characters: `a-z`, `0-9` and `-`, a letter first. An absent field is not the same as its default written
out: a revision is named by a hash of the fields *as written*, so that no upgrade of the operator changes it.

Weights are percentages: integers, or texts of at most two decimals (`5`, `"0.5%"`). Rates are texts (`"1%"`). Times are durations
(`90s`, `15m`, `1h30m`, `2d`). There are no floats.
"""

COMMAND = """\
A `RolloutCommand` (API `modelrollout.dev/v1alpha1`, namespaced) asks once for something that is not desired state. It cannot be
changed, is taken once, and is deleted some time after; `kubectl get rolloutcommands` is the audit log. `kubectl modelrollout`
writes them: `approve`, `pause`, `resume`, `abort`, `retry`, `promote`, `undo`.
"""

SETTINGS = """\
The administrator's settings: a YAML file (`modelrollout --settings FILE`; the chart makes it from its value `settings`), then the
environment, then flags; the later wins. In the environment a setting is its path in upper case behind `MODELROLLOUT_`, levels
divided by two underscores, its value YAML: `MODELROLLOUT_LOGGING__LEVEL=debug`. What is wrong ends the operator at its start with
the setting, the value and the cure.

A ModelDeployment can only *name* a provider or a runtime. Addresses and credentials stand here alone.
"""

PRESET_METRICS = "runtimes[].metrics[]"
"""The same as `spec.analysis.metrics` of a ModelDeployment, and explained there."""

REASONS = """\
# Reasons

<!-- Made from operator/modelrollout/api/reasons.py by `make generate`; edit that instead. -->

The column REASON of `kubectl get modeldeployments`, the `reason` of conditions, events and entries in `status.timeline`.
`status.message` says the same in a sentence, with the figures.

| reason | cause | what to do |
|---|---|---|
"""


def sections(node: Schema, path: str) -> Iterator[tuple[str, Schema]]:
    """Every object within a schema that has fields, outer ones first."""
    if "properties" in node:
        yield path, node
        for name, inner in node["properties"].items():
            yield from sections(inner, f"{path}.{name}".lstrip("."))
    elif "items" in node:
        yield from sections(node["items"], f"{path}[]")


def kind_of(node: Schema) -> str:
    """The type of a field, with its bounds, in few words."""
    if "enum" in node:
        return " \\| ".join(f"`{word}`" for word in node["enum"])
    if node.get("x-kubernetes-int-or-string"):
        return "integer or text"
    if "type" not in node:
        return "any value"
    if node["type"] == "array":
        return f"list of {kind_of(node['items'])}"
    if node["type"] == "string":
        return _text(node)
    words = {"boolean": "`true` or `false`", "object": "map of texts" if "additionalProperties" in node else "object"}
    return words.get(node["type"], node["type"]) + _bounds(node)


def _text(node: Schema) -> str:
    forms = [rule["message"].removeprefix(FORM) for rule in node.get(RULES, []) if rule["message"].startswith(FORM)]
    if forms:
        return f"text such as {forms[0]}"
    return "time" if node.get("format") == "date-time" else "text"


def _bounds(node: Schema) -> str:
    if "minimum" in node and "maximum" in node:
        return f" {node['minimum']}–{node['maximum']}"
    return ""


def _limits(node: Schema) -> str:
    words = []
    if "maxItems" in node:
        words.append(f"At most {node['maxItems']}.")
    if "x-kubernetes-list-map-keys" in node:
        words.append(f"Merged by {', '.join(f'`{key}`' for key in node['x-kubernetes-list-map-keys'])}.")
    if node.get("type") == "string" and "pattern" in node:
        words.append(f"Form: `{_cell(node['pattern'])}`.")
    default = node.get("default")
    if default is not None and not isinstance(default, (dict, list)):
        words.append(f"Default: `{json.dumps(default) if not isinstance(default, str) else default}`.")
    return " ".join(words)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def table(node: Schema) -> Iterator[str]:
    """The fields of one object."""
    yield "| field | type | meaning |"
    yield "|---|---|---|"
    required = node.get("required", [])
    for name, inner in node["properties"].items():
        mark = " **(required)**" if name in required else ""
        meaning = " ".join(part for part in (_cell(inner.get("description", "")), _limits(inner)) if part)
        yield f"| `{name}`{mark} | {kind_of(inner)} | {meaning} |"


def tree(node: Schema, path: str) -> Iterator[str]:
    """All objects below, each with its fields and with what is refused."""
    for where, inner in sections(node, path):
        yield f"\n### `{where}`\n"
        if inner.get("description"):
            yield f"{inner['description']}\n"
        yield from table(inner)
        yield from refusals(inner)


def refusals(node: Schema) -> Iterator[str]:
    """What the API server refuses at `kubectl apply`, beside types and bounds."""
    lists = [inner for inner in node["properties"].values() if inner.get("type") == "array"]
    messages = [rule["message"] for inner in (node, *lists) for rule in inner.get(RULES, [])]
    if messages:
        yield "\nRefused at `kubectl apply` otherwise:\n"
        yield from (f"- {message}" for message in messages)


def _schema(resource: crd.Resource, part: str) -> Schema:
    found: Schema = crd.crd(resource)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"][part]
    return found


def resource_page(resource: crd.Resource, introduction: str, *extra: str) -> str:
    """The reference of one kind."""
    columns = ", ".join(f"`{column.name.upper()}`" for column in resource.columns if not column.wide)
    lines = [f"# {resource.kind}\n", MADE, introduction, f"Columns of `kubectl get`: `NAME`, {columns}.\n", "## Spec"]
    lines += [*tree(_schema(resource, "spec"), "spec"), *extra]
    lines += [
        "\n## Status\n",
        "Written by the operator; lists are bounded and texts cut, so that it stays below 16 kB.",
    ]
    lines += tree(_schema(resource, "status"), "status")
    return "\n".join(lines) + "\n"


def pod_fields() -> str:
    """What `spec.template` may hold."""

    def words(found: Iterable[str]) -> str:
        return ", ".join(f"`{name}`" for name in sorted(found))

    return f"""
### Allowed pod fields

Other fields of `spec.template` are refused by the operator (`Stalled`, `InvalidSpec`) with their path.

- `metadata`: {words(allowed.METADATA_FIELDS)}
- `spec`: {words(allowed.POD_FIELDS)}
- containers: {words(allowed.CONTAINER_FIELDS)}
- sources of volumes: {words(allowed.VOLUME_SOURCES)}
- capabilities that may be added: {words(allowed.CAPABILITIES)}

`hostNetwork`, {words(allowed.HOST_NAMESPACES)}, volumes of type `hostPath` and privileged containers need the administrator's consent
([`podSecurity`](settings.md))."""


def settings_page() -> str:
    """The reference of the settings file."""
    lines = ["# Settings\n", MADE, SETTINGS]
    for where, inner in sections(structural(Settings, defaults=True), ""):
        if where.startswith(PRESET_METRICS):
            continue
        lines += [f"\n## `{where}`\n" if where else "## The file\n", f"{inner.get('description', '')}\n", *table(inner)]
    return "\n".join(lines) + "\n"


def reasons_page() -> str:
    """Every reason with its cause and its cure."""
    rows = (f"| `{reason}` | {_cell(why.cause)} | {_cell(why.cure)} |" for reason, why in EXPLANATIONS.items())
    return REASONS + "\n".join(rows) + "\n"


def files() -> dict[str, str]:
    """All pages, by their path within docs/."""
    return {
        "reference/modeldeployment.md": resource_page(crd.MODEL_DEPLOYMENT, DEPLOYMENT, pod_fields()),
        "reference/rolloutcommand.md": resource_page(crd.ROLLOUT_COMMAND, COMMAND),
        "reference/settings.md": settings_page(),
        "reasons.md": reasons_page(),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the pages, or with `--check` say which differ; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.reference", description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    return crd.synchronise(ROOT / "docs", files(), check=parser.parse_args(arguments).check)


if __name__ == "__main__":
    sys.exit(main())
