"""Kubernetes objects that belong to the cluster itself, applied with the cluster's own kubectl."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster.commands import CommandError, run
from tests.cluster.contract import without_proxy
from tests.cluster.local.component import Task

MANAGER = "--field-manager=modelrollout-test-cluster"


@dataclass(frozen=True)
class Kubectl:
    """kubectl with a cluster's administrator kubeconfig."""

    program: Path
    kubeconfig: Path

    def __call__(self, *words: str | Path, stdin: str | None = None, timeout: float = 60) -> str:
        """Run to the end and return standard output less the last line end; raises CommandError."""
        argv = [self.program, f"--kubeconfig={self.kubeconfig}", *words]
        return run(argv, stdin=stdin, timeout=timeout, env=without_proxy(dict(os.environ))).removesuffix("\n")

    def apply(self, objects: Sequence[dict[str, Any]] | Path) -> None:
        """Server-side apply of a file or of objects, also over what another manager of this project wrote."""
        options = ["apply", "--server-side", "--force-conflicts", MANAGER]
        if isinstance(objects, Path):
            self(*options, "-f", objects)
        else:
            document = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
            self(*options, "-f", "-", stdin=json.dumps(document))

    def condition(self, resource: str, kind: str, *options: str) -> str:
        """Why a condition is not True on all objects found, empty when it is True on each of at least one."""
        path = f'{{range .items[*]}}{{.status.conditions[?(@.type=="{kind}")].status}},{{end}}'
        try:
            said = self("get", resource, *options, "-o", f"jsonpath={path}", timeout=10)
        except CommandError as error:
            return str(error)
        states = said.split(",")[:-1]  # an object without the condition leaves an empty word
        return "" if states and all(state == "True" for state in states) else f"{resource} not yet {kind}"

    def programmed(self, namespace: str, gateway: str) -> str:
        """Why a Gateway is not Programmed, empty when it is."""
        return self.condition(
            "gateways", "Programmed", f"--namespace={namespace}", f"--field-selector=metadata.name={gateway}"
        )


def definitions(kubectl: Kubectl, file: Path, name: str = "gateway-crds") -> Task:
    """Definitions from a file, by default the Gateway API's, ready when the API server serves them."""
    return Task(
        name,
        do=lambda: kubectl.apply(file),
        check=lambda: kubectl.condition("customresourcedefinitions", "Established"),
    )


def default_account(kubectl: Kubectl) -> Task:
    """Without it no pod can be made in the namespace `default`, so a cluster is not up before it is there."""

    def check() -> str:
        names = kubectl("get", "serviceaccounts", "--namespace=default", "-o", "name").split()
        return "" if "serviceaccount/default" in names else "no service account `default` yet"

    return Task("default-account", check=check)
