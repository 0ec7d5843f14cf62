"""What the demo prints, and what it chooses, without a cluster."""

import io
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from demo import __main__ as program
from demo import stage, story
from demo.kube import NotAsPromisedError, Sight
from demo.places import HOST, MANIFESTS, MODEL, Memory, remember, remembered
from demo.screen import INDENT, Screen
from demo.table import Table, columns
from demo.traffic import Tally
from modelrollout.api.spec import ModelDeploymentSpec
from tests.cluster import ClusterError, Provider


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.delenv("MODELROLLOUT_CLUSTER", raising=False)
    return tmp_path


def manifest(number: int) -> dict:
    return yaml.safe_load((MANIFESTS / f"version-{number}.yaml").read_text())


def seen(**status) -> dict:
    return {"metadata": {"name": "iris", "creationTimestamp": "2026-01-01T00:00:00Z"}, "status": status}


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_each_manifest_is_a_valid_spec_of_its_version(number: int):
    document = manifest(number)
    spec = ModelDeploymentSpec.model_validate(document["spec"])
    assert (document["metadata"]["name"], spec.version) == (MODEL, str(number))
    assert spec.traffic is not None
    assert spec.traffic.gateway is not None
    assert spec.traffic.gateway.hostnames == [HOST]


def test_bad_versions_differ_from_the_good_one_in_their_fault_alone():
    good = manifest(2)["spec"]
    for number, fault in ((3, "FAULT_ERROR_SHARE"), (4, "FAULT_LATENCY")):
        bad = manifest(number)["spec"]
        assert [one["name"] for one in bad["server"].pop("env")] == [fault]
        assert bad | {"version": "2"} == good


def test_the_table_has_kubectls_columns_and_leaves_out_lines_that_differ_in_age_alone():
    lines: list[str] = []
    table = Table(lines.append)
    running = {"phase": "Progressing", "summary": {"stable": "1", "candidate": "2", "weight": "10", "step": "1/3"}}
    table(seen(**running))
    table(seen(**running))
    table(seen(phase="Healthy", summary={"stable": "2", "reason": "Serving"}))
    assert len(lines) == 3
    assert lines[0].split() == ["NAME", *(name.upper() for name, _ in columns())]
    assert lines[1].index("Progressing") == lines[0].index("STATUS") == lines[2].index("Healthy")


def test_a_table_fits_beside_its_indentation_into_a_hundred_columns():
    lines: list[str] = []
    summary = {"stable": "1", "candidate": "2", "weight": "100", "step": "3/3", "ready": "2/2"}
    Table(lines.append)(seen(phase="Progressing", summary=summary | {"reason": "MetricsUnavailable"}))
    assert max(map(len, lines)) + len(INDENT) <= 100


def test_tallies_are_told_in_words():
    assert str(Tally(1200, 0)) == "1,200 requests, none failed"
    assert str(Tally(1200, 30) - Tally(200, 10)) == "1,000 requests, 20 failed (2.0 %)"


def test_lines_on_a_narrow_terminal_are_folded_below_their_indentation():
    out = io.StringIO()
    screen = Screen(Console(file=out, force_terminal=True, color_system=None, width=40))
    screen.line("Warning  RolledBack  " + "many words " * 6)
    lines = out.getvalue().splitlines()
    assert len(lines) > 1
    assert all(line.startswith(INDENT) and len(line) <= 40 for line in lines)


def test_a_command_is_never_folded():
    out = io.StringIO()
    Screen(Console(file=out, force_terminal=True, color_system=None, width=40)).command("kubectl " + "x" * 80)
    assert out.getvalue().splitlines() == [INDENT + "kubectl " + "x" * 80]


def test_a_picture_has_all_lasting_lines(tmp_path: Path):
    screen = Screen(Console(file=io.StringIO()), picture=True)
    with screen.act("Version 2", expected=1, live=lambda: ""):
        screen.line("iris promoted")
    screen.save(tmp_path / "images" / "demo.svg", "make demo")
    picture = (tmp_path / "images" / "demo.svg").read_text()
    assert "promoted" in picture
    assert "make&#160;demo" in picture
    assert "@font-face" not in picture


def test_kind_is_chosen_where_docker_answers(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(stage.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(stage, "_docker_answers", lambda: True)
    assert stage.choose(None) is Provider.KIND
    assert stage.choose("local") is Provider.LOCAL


def test_without_docker_and_root_it_says_the_ways_to_a_cluster(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(stage, "_docker_answers", lambda: False)
    monkeypatch.setattr(stage.os, "geteuid", lambda: 1000)
    with pytest.raises(ClusterError, match=r"(?s)kind.*sudo make demo.*CLUSTER=existing"):
        stage.choose(None)


def test_an_existing_cluster_needs_a_registry_and_the_builds_are_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(stage.REGISTRY_VARIABLE, raising=False)
    with pytest.raises(ClusterError, match=r"docker build -t REGISTRY/model-server:2 --build-arg MODEL_VERSION=2"):
        stage._registry(Provider.EXISTING)


def test_an_end_other_than_promised_is_noticed_at_once():
    act = story.Act(traffic=type("Nobody", (), {"so_far": staticmethod(Tally)})(), version="2")
    taken_back = seen(message="It was slow.", history=[{"version": "2", "outcome": "RolledBack"}], revisions=[])
    act.sight._latest = taken_back
    with pytest.raises(NotAsPromisedError, match=r"version 2 is promoted.*It was slow"):
        act.until(lambda _: False, "version 2 is promoted", 5)


def test_a_watch_is_cut_into_objects_at_their_last_line():
    sight = Sight()
    for line in ["{", '    "status": {', '        "message": "one"', "    }", "}", "{", '    "status": {}', "}"]:
        sight._take(line)
    assert sight.until(lambda found: found["status"] == {}, "the second object", 1) == {"status": {}}


def test_down_without_a_demo_removes_nothing(capsys: pytest.CaptureFixture[str]):
    assert program.main(["down"]) == 0
    assert "no demo" in capsys.readouterr().out


def test_what_down_needs_is_remembered_before_anything_is_made():
    assert remembered() is None
    remember(Memory("local", made_cluster=True))
    assert remembered() == Memory("local", made_cluster=True)


def test_a_demo_elsewhere_is_not_forgotten():
    remember(Memory("local", made_cluster=True))
    with pytest.raises(ClusterError, match="on the local cluster already"):
        stage.take(Provider.KIND, Screen(Console(file=io.StringIO())))
    assert remembered() == Memory("local", made_cluster=True)


def test_problems_are_told_in_words_and_end_with_1(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(program, "up", lambda *_: (_ for _ in ()).throw(ClusterError("no gateway")))
    assert program.main(["up"]) == 1
    assert "✗ no gateway" in capsys.readouterr().out


def test_the_makefile_calls_it_so():
    makefile = (MANIFESTS.parent / "Makefile").read_text()
    assert "-m demo up $(if $(CLUSTER),--cluster $(CLUSTER))" in makefile
    assert "-m demo down" in makefile
