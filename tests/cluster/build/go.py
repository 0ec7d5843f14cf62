"""Programs built from Go modules, without their source being checked out anywhere.

Each family of programs has a generated go.mod of its own, so that the wishes of one (the pinned libraries of Kubernetes)
never meet those of another. The build itself fills in the rest from the modules' own requirements (`-mod=mod`), for the
packages that are really compiled; `go get`, which a family may ask for beforehand, also wants the modules of those that
build tags leave out. Go checks every module against its checksum database as configured on the machine.
"""

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.cluster.build.artifact import Artifact
from tests.cluster.commands import run
from tests.cluster.contract import ClusterError
from tests.cluster.versions import GO


@dataclass(frozen=True)
class GoFamily:
    """Programs that are built together.

    `programs` maps the name of each binary to its package; `module` and `version` pin them; `replace` maps further
    modules to the version they are pinned to; `variables` are set by the linker. With `resolve` all requirements are worked
    out before the build.
    """

    name: str
    title: str
    module: str
    version: str
    programs: Mapping[str, str]
    expected: float
    replace: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    resolve: bool = False

    def go_mod(self) -> str:
        """The text of the family's go.mod before Go completes it."""
        lines = [f"module modelrollout.test/{self.name}", "", f"go {GO[0]}.{GO[1]}", ""]
        lines += [f"require {self.module} {self.version}", ""]
        if self.replace:
            lines += ["replace (", *(f"\t{name} => {name} {at}" for name, at in self.replace.items()), ")", ""]
        return "\n".join(lines)

    def build_argv(self, out: Path) -> list[str]:
        linker = ["-s", "-w", *(f"-X {name}={value}" for name, value in self.variables.items())]
        argv = ["go", "build", "-mod=mod", "-trimpath", f"-ldflags={' '.join(linker)}"]
        if self.tags:
            argv.append(f"-tags={','.join(self.tags)}")
        # One package may need another file name than Go would choose (…/server/v3 would become `server`).
        target = out / next(iter(self.programs)) if len(self.programs) == 1 else f"{out}/"
        return [*argv, "-o", str(target), *self.programs.values()]

    def artifact(self) -> Artifact:
        return Artifact(
            name=self.name,
            title=self.title,
            inputs={"go.mod": self.go_mod(), "argv": self.build_argv(Path("bin"))},
            files=tuple(f"bin/{program}" for program in self.programs),
            make=self._make,
            expected=self.expected,
        )

    def _make(self, folder: Path, log: Path) -> None:
        require_go()
        env = {**os.environ, "CGO_ENABLED": "0", "GOWORK": "off"}
        work = folder / "module"
        work.mkdir()
        (work / "go.mod").write_text(self.go_mod())
        (folder / "bin").mkdir()
        if self.resolve:
            # Without a version `go get` would move to the newest one, whatever go.mod says.
            packages = [f"{package}@{self.version}" for package in self.programs.values()]
            run(["go", "get", "-tool", *packages], log=log, env=env, cwd=work)
        run(["nice", "-n", "10", *self.build_argv(folder / "bin")], log=log, env=env, cwd=work)


def module_folder(module: str, version: str, log: Path) -> Path:
    """The unpacked source of a module in Go's own cache (read-only there)."""
    require_go()
    env = {**os.environ, "GOWORK": "off", "GOFLAGS": "-mod=mod"}
    run(["go", "mod", "download", f"{module}@{version}"], log=log, env=env, cwd=Path("/"))
    cache = run(["go", "env", "GOMODCACHE"], env=env, cwd=Path("/")).strip()
    return Path(cache) / f"{module}@{version}"


def require_go() -> None:
    """Raises ClusterError with the cure when the machine has no Go, or an old one that may not fetch a newer."""
    wanted = f"{GO[0]}.{GO[1]}"
    if not shutil.which("go"):
        raise ClusterError(f"the cluster's programs are built with Go {wanted} or newer, and there is no `go` on PATH")
    said = run(["go", "env", "GOVERSION", "GOTOOLCHAIN"], cwd=Path("/")).split()
    found = re.match(r"go(\d+)\.(\d+)", said[0])
    new_enough = found is not None and (int(found[1]), int(found[2])) >= GO
    if not new_enough and said[-1] == "local":
        raise ClusterError(f"Go {wanted} or newer is needed; `go` on PATH is {said[0]} and GOTOOLCHAIN=local")
