"""What a person sees: progress, status, errors, exit codes."""

import io
import json
import time

import pytest
from rich.console import Console

from tests.cluster import ClusterError, ClusterStatus, ComponentStatus, State
from tests.cluster import __main__ as command_line
from tests.cluster.commands import CommandError, run
from tests.cluster.progress import Steps, spoken


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (12, "12 s"), (60, "1 min 0 s"), (285.2, "4 min 45 s")],
)
def test_durations_are_spoken(seconds, text):
    assert spoken(seconds) == text


def test_without_a_terminal_steps_are_numbered_lines_and_long_ones_name_time_and_log(tmp_path):
    out = io.StringIO()
    steps = Steps(Console(file=out, width=200))
    with steps.step("Short"):
        pass
    with steps.step("Long", expected=300, log=tmp_path / "x.log"):
        pass
    lines = out.getvalue().splitlines()
    assert lines[0] == "[1] Short: done in 0.0 s"
    assert lines[1] == f"[2] Long … (about 5 min 0 s; log: {tmp_path / 'x.log'})"
    assert lines[2].startswith("[2] Long: done in ")


def test_on_a_terminal_a_step_is_one_line_with_a_bar():
    out = io.StringIO()
    with Steps(Console(file=out, width=100, force_terminal=True, color_system=None)).step(
        "Build Kubernetes", expected=300
    ):
        pass
    assert "1. Build Kubernetes" in out.getvalue()
    assert "✓" in out.getvalue()


class Broken:
    name = "broken"

    def up(self):
        raise ClusterError("etcd did not become ready: not running")

    def status(self):
        return ClusterStatus("broken", State.DEGRADED, (ComponentStatus("etcd", False, "not running"),))

    def build(self):
        raise KeyboardInterrupt


@pytest.fixture
def broken(monkeypatch):
    monkeypatch.setattr(command_line, "make_cluster", lambda *_: Broken())


def test_an_error_is_one_line_and_exit_code_1(broken, capsys):
    assert command_line.main(["up"]) == 1
    assert capsys.readouterr().err == "error: etcd did not become ready: not running\n"


@pytest.mark.parametrize("verb", ["up", "build"])
def test_envoy_gateway_is_brought_up_only_where_it_is_asked_for(verb, monkeypatch):
    asked = []

    def make(*words):
        asked.append(words[-1].envoy)
        raise ClusterError("enough")

    monkeypatch.setattr(command_line, "make_cluster", make)
    command_line.main([verb])
    command_line.main([verb, "--gateway", "envoy"])
    assert asked == [False, True]


def test_an_interrupt_is_no_traceback_and_exit_code_130(broken, capsys):
    assert command_line.main(["build"]) == 130
    assert "stopped" in capsys.readouterr().err


def test_status_shows_the_parts_and_exits_with_3_when_not_running(broken, capsys):
    assert command_line.main(["status"]) == 3
    assert "etcd  not running" in capsys.readouterr().out
    assert command_line.main(["status", "--output=json"]) == 3
    assert json.loads(capsys.readouterr().out)["components"][0]["reason"] == "not running"


def test_a_failed_command_shows_the_end_of_its_log_and_names_it(tmp_path):
    log = tmp_path / "build.log"
    with pytest.raises(CommandError, match=r"exit code 7:\n(.|\n)*line 99\nfull log: ") as caught:
        run(["/bin/sh", "-c", "for i in $(seq 99); do echo line $i; done; exit 7"], log=log)
    assert str(log) in str(caught.value)
    assert "line 50\n" not in str(caught.value)
    assert "line 50\n" in log.read_text()


def test_a_command_that_hangs_is_ended_with_what_it_started(tmp_path):
    began = time.monotonic()
    with pytest.raises(CommandError, match="did not end within"):
        run(["/bin/sh", "-c", "sleep 60 & sleep 60"], timeout=0.3)
    assert time.monotonic() - began < 10


def test_a_missing_program_is_named():
    with pytest.raises(CommandError, match="cannot start no-such-program: No such file"):
        run(["no-such-program"])
