"""ModelDeployments in a file, for commands that need no cluster.

A file may hold other objects and Lists besides; `-` is standard input. What a person has written is read here and judged by the
operator's own gate, so that a refusal has the same words everywhere. Without a settings file the built-in runtimes are known, and
any metrics provider is taken to be set up.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from modelrollout.api.errors import SpecError
from modelrollout.api.settings import Provider, RouterName, Settings
from modelrollout.kube.kinds import GROUP, MODEL_DEPLOYMENT

from .failures import ExitCode, Failure, Refused
from .kubeconfig import DEFAULT_NAMESPACE

_STDIN = Path("-")


@dataclass(frozen=True, slots=True)
class Manifest:
    """One ModelDeployment of a file; `spec` as written."""

    file: Path
    name: str
    namespace: str
    spec: Mapping[str, Any]

    def settings(self, given: Settings | None) -> Settings:
        """The settings given, else those of a cluster that has the metrics provider and the router which the spec names."""
        if given is not None:
            return given
        analysis = self.spec.get("analysis")
        named = analysis.get("provider") if isinstance(analysis, Mapping) else None
        provider = {"name": named if isinstance(named, str) else "default", "url": "http://prometheus.invalid"}
        return Settings(providers=(Provider.model_validate(provider),), routers=tuple(RouterName))

    def refused(self, error: SpecError) -> Refused:
        """The words for a spec that cannot be carried out."""
        return Refused(f'{self.file}: the ModelDeployment "{self.name}" is invalid: {error}')


def manifests(file: Path, namespace: str | None) -> list[Manifest]:
    """All ModelDeployments of the file, in its order; `namespace` goes before theirs. Raises Failure, also when there is none."""
    found = [_manifest(document, file, namespace) for document in _deployments(file)]
    if not found:
        raise Failure(f"{file}: there is no ModelDeployment in it", ExitCode.NO)
    return found


def settings(file: Path | None) -> Settings | None:
    """The administrator's settings, as the operator reads them from its file. Raises Refused, naming the field."""
    if file is None:
        return None
    documents = _documents(file)
    try:
        return Settings.model_validate(dict(documents[0]) if documents else {})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise Refused(f"{file}: {field}: found {first['input']!r}: {first['msg']}") from error


def _deployments(file: Path) -> Iterator[Mapping[str, Any]]:
    for document in _documents(file):
        items = document.get("items") if document.get("kind") == "List" else [document]
        for item in items if isinstance(items, list) else ():
            group = str(item.get("apiVersion", "")).partition("/")[0] if isinstance(item, Mapping) else ""
            if group == GROUP and item.get("kind") == MODEL_DEPLOYMENT.kind:
                yield item


def _documents(file: Path) -> list[Mapping[str, Any]]:
    try:
        text = sys.stdin.read() if file == _STDIN else file.read_text()
        loaded = list(yaml.safe_load_all(text))
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"{file}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    except yaml.YAMLError as error:
        raise Failure(f"{file}: is no YAML: {_where(error)}", ExitCode.NO) from error
    return [document for document in loaded if isinstance(document, Mapping)]


def _manifest(document: Mapping[str, Any], file: Path, namespace: str | None) -> Manifest:
    metadata, spec = document.get("metadata"), document.get("spec")
    name = metadata.get("name") if isinstance(metadata, Mapping) else None
    if not isinstance(metadata, Mapping) or not isinstance(name, str):
        raise Refused(f"{file}: a ModelDeployment has no metadata.name")
    if document.get("apiVersion") != MODEL_DEPLOYMENT.api_version:
        raise Refused(
            f'{file}: the ModelDeployment "{name}" is of apiVersion {document.get("apiVersion")}; '
            f"use {MODEL_DEPLOYMENT.api_version}"
        )
    if not isinstance(spec, Mapping):
        raise Refused(f'{file}: the ModelDeployment "{name}" has no spec')
    return Manifest(file, name, namespace or str(metadata.get("namespace") or DEFAULT_NAMESPACE), spec)


def _where(error: yaml.YAMLError) -> str:
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    return f"line {mark.line + 1}: {problem}" if mark is not None and problem else "it cannot be parsed"
