"""`render`: the objects that a ModelDeployment makes, before it is applied anywhere.

It goes through the same gate as in the operator (`workload.render`), so a spec that is refused there is refused here, in the
same words, and exit code 1 can hold a pull request back. No cluster is asked: what only a cluster knows (a Gateway that does not
exist, a quota) shows later. Without a settings file the built-in runtimes are known, and any metrics provider is taken to be
set up.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from modelrollout.api.errors import SpecError
from modelrollout.api.settings import Provider, Settings
from modelrollout.kube.kinds import GROUP, MODEL_DEPLOYMENT
from modelrollout.workload.render import render as objects_of

from .failures import ExitCode, Failure, Refused
from .kubeconfig import DEFAULT_NAMESPACE
from .out import say, yaml_text

_STDIN = Path("-")


def render(file: Path, settings_file: Path | None, namespace: str | None) -> ExitCode:
    """Print the objects of every ModelDeployment in the file. Raises Refused for the first one that is refused."""
    settings = _settings(settings_file) if settings_file else None
    found: list[Any] = []
    for document in _deployments(file):
        name, where, spec = _parts(document, file, namespace)
        try:
            found += objects_of(name, where, spec, settings or _assumed(spec))
        except SpecError as error:
            raise Refused(f'{file}: the ModelDeployment "{name}" is invalid: {error}') from error
    if not found:
        raise Failure(f"{file}: there is no ModelDeployment in it", ExitCode.NO)
    say(yaml_text(found))
    return ExitCode.DONE


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


def _parts(document: Mapping[str, Any], file: Path, namespace: str | None) -> tuple[str, str, Mapping[str, Any]]:
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
    return name, namespace or str(metadata.get("namespace") or DEFAULT_NAMESPACE), spec


def _settings(file: Path) -> Settings:
    """The administrator's settings, as the operator reads them from its file."""
    documents = _documents(file)
    try:
        return Settings.model_validate(dict(documents[0]) if documents else {})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise Refused(f"{file}: {field}: found {first['input']!r}: {first['msg']}") from error


def _assumed(spec: Mapping[str, Any]) -> Settings:
    """Settings of a cluster that has the metrics provider which the spec names."""
    analysis = spec.get("analysis")
    named = analysis.get("provider") if isinstance(analysis, Mapping) else None
    provider = {"name": named if isinstance(named, str) else "default", "url": "http://prometheus.invalid"}
    return Settings(providers=(Provider.model_validate(provider),))


def _where(error: yaml.YAMLError) -> str:
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    return f"line {mark.line + 1}: {problem}" if mark is not None and problem else "it cannot be parsed"
