"""What Go is asked, with a stand-in for the program `go` that notes it and makes the files it is asked for."""

from pathlib import Path

import pytest

from tests.cluster.build.go import GoFamily
from tests.cluster.contract import ClusterError
from tests.cluster.progress import Silent

GO = """#!/bin/sh
echo "$*" >> "$NOTES"
case "$1" in
env) echo "$GO_SAYS" ;;
build) while [ "$1" != -o ]; do shift; done; mkdir -p "$(dirname "$2")"; touch "$2" ;;
esac
"""


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    program = tmp_path / "bin" / "go"
    program.parent.mkdir()
    program.write_text(GO)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.setenv("NOTES", str(tmp_path / "notes"))
    monkeypatch.setenv("GO_SAYS", "go1.26.8 local")
    return tmp_path / "notes"


def family(**more) -> GoFamily:
    return GoFamily(
        "tool", "the tool", "example.com/m", "v1.2.3", {"tool": "example.com/m/cmd/tool"}, expected=1, **more
    )


def verbs(notes: Path) -> list[str]:
    return [line for line in notes.read_text().splitlines() if not line.startswith("env")]


def test_a_family_is_built_at_its_pinned_version(notes):
    folder = family().artifact().provide(Silent())
    assert (folder / "bin" / "tool").exists()
    assert "require example.com/m v1.2.3" in (folder / "module" / "go.mod").read_text()
    assert [line.split()[0] for line in verbs(notes)] == ["build"]


def test_requirements_are_worked_out_at_the_pinned_version_where_that_is_asked(notes):
    family(resolve=True).artifact().provide(Silent())
    assert verbs(notes)[0] == "get -tool example.com/m/cmd/tool@v1.2.3"


def test_an_old_go_that_may_not_fetch_a_newer_is_refused_with_the_wanted_version(notes, monkeypatch):
    monkeypatch.setenv("GO_SAYS", "go1.24.1 local")
    with pytest.raises(ClusterError, match=r"Go 1\.26 or newer is needed; `go` on PATH is go1\.24\.1"):
        family().artifact().provide(Silent())


def test_without_go_the_cure_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ClusterError, match=r"built with Go 1\.26 or newer, and there is no `go` on PATH"):
        family().artifact().provide(Silent())
