"""Reads the administrator's settings: a file, then the environment, then flags; the later wins.

A setting in the environment is its path in upper case behind `MODELROLLOUT_`, levels divided by two underscores, its value
YAML: `MODELROLLOUT_WORKERS=4`, `MODELROLLOUT_LOGGING__LEVEL=debug`, `MODELROLLOUT_NAMESPACES='[ml, fraud]'`. What is wrong ends
the process at start-up with the setting, the value and the cure, before anything is touched.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic.alias_generators import to_camel

from modelrollout.api.errors import SettingsError
from modelrollout.api.settings import Settings

PREFIX = "MODELROLLOUT_"
SETTINGS_FILE = "MODELROLLOUT_SETTINGS"


def load_settings(
    file: Path | None = None, environment: Mapping[str, str] | None = None, flags: Mapping[str, Any] | None = None
) -> Settings:
    """Merge the three sources. `flags` have the shape of the file. Raises SettingsError."""
    environment = environment or {}
    if file is None and (named := environment.get(SETTINGS_FILE)):
        file = Path(named)
    merged = _file(file) if file else {}
    _merge(merged, _environment(environment))
    _merge(merged, dict(flags or {}))
    try:
        return Settings.model_validate(merged)
    except ValidationError as error:
        found = error.errors(include_url=False)[0]
        path = ".".join(str(part) for part in found["loc"])
        raise SettingsError(f"settings.{path}", f"found {found.get('input')!r}: {found['msg']}") from error


def _file(path: Path) -> dict[str, Any]:
    try:
        found = yaml.safe_load(path.read_text())
    except OSError as error:
        raise SettingsError(str(path), f"cannot be read: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise SettingsError(str(path), f"is not YAML: {' '.join(str(error).split())}") from error
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise SettingsError(str(path), f"must be a map of settings, found {type(found).__name__}")
    return found


def _environment(environment: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, text in environment.items():
        if not name.startswith(PREFIX) or name == SETTINGS_FILE:
            continue
        levels = [to_camel(level.lower()) for level in name.removeprefix(PREFIX).split("__")]
        if not _known(levels[0]):
            continue  # such as MODELROLLOUT_SERVICE_PORT, which Kubernetes sets for a Service of that name
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise SettingsError(name, f"is not YAML: {text!r}") from error
        place = found
        for level in levels[:-1]:
            place = place.setdefault(level, {})
        place[levels[-1]] = value
    return found


def _known(name: str) -> bool:
    return any(to_camel(field) == name for field in Settings.model_fields)


def _merge(into: dict[str, Any], over: Mapping[str, Any]) -> None:
    for name, value in over.items():
        if isinstance(value, Mapping) and isinstance(into.get(name), dict):
            _merge(into[name], value)
        else:
            into[name] = value


def namespace_of_this_pod(default: str = "default") -> str:
    """The namespace that this process runs in, from the mounted service account."""
    try:
        text = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace").read_text().strip()
    except OSError:
        return default
    return text if re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", text) else default
