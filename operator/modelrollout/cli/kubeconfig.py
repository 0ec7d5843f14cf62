"""Which cluster, namespace and user a command is for, by kubectl's own rules.

`--kubeconfig` names one file; else `KUBECONFIG` may name several, which are merged; else `~/.kube/config`; inside a pod without
any, its service account. `--context` picks another context than the current one and `--namespace` another namespace than the
context's. Only names are read here; credentials are left to the client library, which knows certificates, tokens and
credential plug-ins.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .failures import Failure

DEFAULT_NAMESPACE = "default"
_POD_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


@dataclass(frozen=True, slots=True)
class Options:
    """What every command can be told on its command line."""

    namespace: str | None = None
    context: str | None = None
    kubeconfig: str | None = None
    debug: bool = False

    def over(self, other: Options) -> Options:
        """These options, and where they say nothing the `other` ones (given before the command's name)."""
        return Options(
            namespace=self.namespace or other.namespace,
            context=self.context or other.context,
            kubeconfig=self.kubeconfig or other.kubeconfig,
            debug=self.debug or other.debug,
        )


@dataclass(frozen=True, slots=True)
class Target:
    """What was found. `paths` is None inside a pod; `user` is the kubeconfig's name for the credentials."""

    paths: str | None
    context: str | None
    namespace: str
    user: str = ""


def locate(options: Options) -> Target:
    """Find the context by kubectl's rules. Raises Failure when there is none, naming what was looked at."""
    named = options.kubeconfig or os.environ.get("KUBECONFIG") or str(Path("~/.kube/config").expanduser())
    found = [path for path in named.split(os.pathsep) if path and Path(path).expanduser().is_file()]
    if options.kubeconfig and not found:
        raise Failure(f"--kubeconfig: there is no file {options.kubeconfig}")
    if not found:
        if _POD_NAMESPACE.is_file():
            return Target(None, None, options.namespace or _POD_NAMESPACE.read_text().strip())
        raise Failure(f"no cluster is configured: {named} does not exist; set KUBECONFIG or name a --kubeconfig")
    return _of_context(found, options)


def _of_context(paths: list[str], options: Options) -> Target:
    contexts, current = _contexts(paths)
    wanted = options.context or current
    where = os.pathsep.join(paths)
    if not wanted:
        raise Failure(f"{where} names no current context: name one with --context ({_known(contexts)})")
    if wanted not in contexts:
        raise Failure(f'there is no context "{wanted}" in {where}: name one with --context ({_known(contexts)})')
    context = contexts[wanted]
    namespace = options.namespace or str(context.get("namespace") or "") or DEFAULT_NAMESPACE
    return Target(where, wanted, namespace, str(context.get("user") or ""))


def _contexts(paths: list[str]) -> tuple[dict[str, dict[str, Any]], str]:
    """All contexts by name and the current one; of several files the first one that says something wins, as in kubectl."""
    import yaml  # noqa: PLC0415  not for --help

    contexts: dict[str, dict[str, Any]] = {}
    current = ""
    for path in paths:
        try:
            config = yaml.safe_load(Path(path).expanduser().read_text()) or {}
            for entry in config.get("contexts") or ():
                contexts.setdefault(entry["name"], entry.get("context") or {})
            current = current or config.get("current-context") or ""
        except (OSError, yaml.YAMLError, AttributeError, KeyError, TypeError) as error:
            raise Failure(f"{path} is not a kubeconfig file that can be read: {type(error).__name__}") from error
    return contexts, current


def _known(contexts: dict[str, dict[str, Any]]) -> str:
    return "found " + ", ".join(sorted(contexts)) if contexts else "it has none"
