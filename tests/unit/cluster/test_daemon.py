"""Daemons are started once, found again, and stopped with all they left."""

import json
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cluster.contract import ClusterError
from tests.cluster.local.component import Task, start_waves, stop_waves, wait_ready
from tests.cluster.local.daemon import MARK, Daemon, ProcessId, end, orphans
from tests.cluster.progress import Silent

SLEEP = ["/bin/sleep", "60"]


@pytest.fixture
def home(tmp_path: Path):
    folder = tmp_path / "cluster"
    folder.mkdir()
    yield folder
    end(orphans(folder), patience=1)


def until(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_second_start_changes_nothing_and_a_stop_ends_the_process(home):
    daemon = Daemon("sleeper", SLEEP, home)
    daemon.start()
    first = daemon.process()
    daemon.start()
    assert first is not None
    assert Daemon("sleeper", SLEEP, home).process() == first, "another process finds it by its record"
    daemon.stop()
    daemon.stop()
    assert not first.alive
    assert daemon.reason() == "not running"


def test_a_process_that_only_has_the_same_number_is_not_ours(home):
    daemon = Daemon("sleeper", SLEEP, home)
    daemon.start()
    record = json.loads(daemon.record.read_text())
    daemon.record.write_text(json.dumps({**record, "start": record["start"] - 1}))
    assert daemon.process() is None
    daemon.record.write_text(json.dumps({**record, "boot": "another"}))
    assert daemon.process() is None


def test_processes_without_a_record_are_found_by_their_mark_with_their_children(home):
    daemon = Daemon("shell", ["/bin/sh", "-c", "sleep 60 & sleep 60; true"], home)
    daemon.start()
    daemon.record.unlink()
    until(lambda: len(orphans(home)) == 3)
    end(orphans(home), patience=2)
    assert orphans(home) == []


def test_the_mark_of_another_cluster_is_left_alone(home, tmp_path):
    with subprocess.Popen(SLEEP, env={MARK: str(tmp_path / "cluster-2")}) as stranger:
        assert orphans(home) == []
        assert ProcessId.of(stranger.pid) is not None
        stranger.kill()


def test_files_are_written_before_the_start_and_output_goes_to_the_log(home):
    config = home / "config" / "text"
    daemon = Daemon("reader", ["/bin/cat", config], home, files={config: "from the file\n"})
    daemon.start()
    until(lambda: daemon.log.read_text() == "from the file\n")
    until(lambda: daemon.reason() == "not running")


def test_a_daemon_that_dies_fails_the_start_at_once_with_the_end_of_its_log(home):
    daemon = Daemon("broken", [sys.executable, "-c", "print('the cause', flush=True); raise SystemExit(3)"], home)
    began = time.monotonic()
    with pytest.raises(ClusterError, match=r"broken did not become ready: not running\n(.|\n)*the cause"):
        start_waves([[Daemon("sleeper", SLEEP, home)], [_slow_probe(daemon)]], 30, Silent())
    assert time.monotonic() - began < 10


def _slow_probe(daemon: Daemon) -> Daemon:
    return Daemon(daemon.name, daemon.argv, daemon.home, probe=lambda: "starting")


def test_a_part_that_never_gets_ready_is_given_up_with_its_reason():
    with pytest.raises(ClusterError, match="node did not become ready: no network"):
        wait_ready(Task("node", check=lambda: "no network"), patience=0.2)


def test_waves_start_in_order_and_stop_in_reverse():
    seen = []

    def part(name):
        return Task(name, do=lambda: seen.append(f"+{name}"), undo=lambda: seen.append(f"-{name}"))

    waves = [[part("a")], [part("b"), part("c")]]
    start_waves(waves, 1, Silent())
    stop_waves(waves)
    assert seen == ["+a", "+b", "+c", "-c", "-b", "-a"]


def test_a_daemon_does_not_inherit_our_sockets(home):
    with socket.socket() as ours:
        daemon = Daemon("sleeper", SLEEP, home)
        daemon.start()
        process = daemon.process()
        assert process is not None
        inherited = {link.readlink() for link in Path(f"/proc/{process.pid}/fd").iterdir()}
        assert Path(f"/proc/self/fd/{ours.fileno()}").readlink() not in inherited
