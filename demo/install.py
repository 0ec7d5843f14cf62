"""The operator from the chart: installed with helm, with the chart's own rights, and taken away again.

Definitions of resources (CRDs) belong to the whole cluster. Where they are there already and are not this release's, they
are somebody else's: those of a test cluster are brought up to date, those of an existing cluster are left alone.
"""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from demo.kube import Kube
from demo.places import CHART, CRDS
from tests.cluster.commands import run
from tests.cluster.contract import ClusterError, ClusterInfo, Provider

CRD_NAMES = ("modeldeployments.modelrollout.dev", "rolloutcommands.modelrollout.dev")
OWNER_PATH = r"jsonpath={.metadata.annotations.meta\.helm\.sh/release-namespace}"


@dataclass(frozen=True)
class Release:
    """One installation. `values` are files, `settings` single values (`--set`); `models` is the namespace it watches."""

    info: ClusterInfo
    name: str
    namespace: str
    models: str
    values: Sequence[Path]
    settings: Mapping[str, str] = field(default_factory=dict)
    log: Path | None = None

    def install(self) -> None:
        """Install or upgrade, and wait until it is ready. Raises ClusterError."""
        kube = Kube(self.info, self.namespace)
        for namespace in (self.namespace, self.models):
            _provide_namespace(kube, namespace)
        foreign = self._definitions() == "foreign"
        if foreign and self.info.provider is not Provider.EXISTING:
            kube("apply", "--server-side", "--force-conflicts", "--filename", CRDS)
        settings = {**self.settings, "crds.install": str(not foreign).lower()}
        given = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
        files = [word for file in self.values for word in ("--values", file)]
        try:
            self._helm("upgrade", "--install", self.name, CHART, *files, *given, "--wait", "--timeout=180s")
        except ClusterError as error:
            raise ClusterError(f"{error}\nThe operator said last:\n{self.said()}") from error

    def said(self) -> str:
        """The end of the operator's log, in this life of its container and in the one before."""
        kube, lines = Kube(self.info, self.namespace), []
        for options in (["--previous"], []):
            with contextlib.suppress(ClusterError):
                lines.append(kube("logs", f"deployment/{self.name}", "--tail=5", *options))
        return "".join(lines).strip() or "nothing"

    def remove(self) -> None:
        """Take everything away, models first, so that nothing goes without its operator; nothing there is no error."""
        kube = Kube(self.info, self.namespace)
        kube("delete", "namespace", self.models, "--ignore-not-found", timeout=240)
        ours = self._definitions() == "ours"
        self._helm("uninstall", self.name, "--ignore-not-found", "--wait", "--timeout=120s")
        kube("delete", "namespace", self.namespace, "--ignore-not-found", timeout=240)
        if ours and not kube("get", CRD_NAMES[0], "--all-namespaces", "--output=name").strip():
            kube("delete", "customresourcedefinition", *CRD_NAMES, "--ignore-not-found")

    def _definitions(self) -> str:
        """`absent`, `ours`, or `foreign`."""
        kube = Kube(self.info, self.namespace)
        found = kube("get", "customresourcedefinition", "--output=name")
        if not any(name in found for name in CRD_NAMES):
            return "absent"
        owner = kube("get", "customresourcedefinition", CRD_NAMES[0], "--output", OWNER_PATH)
        return "ours" if owner.strip() == self.namespace else "foreign"

    def _helm(self, *words: str | Path) -> None:
        environment = self.info.environment()
        run([self.info.helm, "--namespace", self.namespace, *words], env=environment, log=self.log, timeout=300)


def _provide_namespace(kube: Kube, name: str) -> None:
    try:
        kube("create", "namespace", name)
    except ClusterError as error:
        if "AlreadyExists" not in str(error):
            raise
