"""`render`: the objects that a ModelDeployment makes, before it is applied anywhere.

It goes through the same gate as in the operator (`workload.render`), so a spec that is refused there is refused here, in the
same words, and exit code 1 can hold a pull request back. No cluster is asked: what only a cluster knows (a Gateway that does not
exist, a quota) shows later.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from modelrollout.api.errors import SpecError
from modelrollout.workload.render import render as objects_of

from .failures import ExitCode
from .manifests import manifests, settings
from .out import say, yaml_text


def render(file: Path, settings_file: Path | None, namespace: str | None) -> ExitCode:
    """Print the objects of every ModelDeployment in the file. Raises Refused for the first one that is refused."""
    given = settings(settings_file)
    found: list[Any] = []
    for manifest in manifests(file, namespace):
        try:
            found += objects_of(manifest.name, manifest.namespace, manifest.spec, manifest.settings(given))
        except SpecError as error:
            raise manifest.refused(error) from error
    say(yaml_text(found))
    return ExitCode.DONE
