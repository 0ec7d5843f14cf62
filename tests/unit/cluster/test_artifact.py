"""Builds are done once, completely or not at all."""

import threading

import pytest

from tests.cluster.build.artifact import Artifact, key_of
from tests.cluster.build.programs import etcd, kubernetes
from tests.cluster.contract import ClusterError
from tests.cluster.places import cache_home
from tests.cluster.progress import Silent


def artifact(make, version="1", **more):
    return Artifact("thing", "the thing", {"version": version}, ("file",), make, **more)


def write(folder, _log):
    (folder / "file").write_text("done")


def test_a_complete_build_is_used_again():
    made = []

    def make(folder, log):
        made.append(folder)
        write(folder, log)

    first = artifact(make).provide(Silent())
    assert artifact(make).provide(Silent()) == first
    assert len(made) == 1
    assert (first / "file").read_text() == "done"


def test_a_missing_file_is_built_again():
    folder = artifact(write).provide(Silent())
    (folder / "file").unlink()
    artifact(write).provide(Silent())
    assert (folder / "file").exists()


def test_another_version_lies_beside_the_old_one():
    old, new = artifact(write).provide(Silent()), artifact(write, "2").provide(Silent())
    assert old != new
    assert old.exists()


def test_old_results_go_where_they_are_not_kept_and_others_stay():
    other = Artifact("thing-else", "another", {}, ("file",), write).provide(Silent())
    old, new = artifact(write).provide(Silent()), artifact(write, "2", keep_old=False).provide(Silent())
    assert not old.exists()
    assert new.exists()
    assert other.exists()


@pytest.mark.parametrize("failure", [RuntimeError("broken"), KeyboardInterrupt()])
def test_an_interrupted_build_leaves_nothing(failure):
    def make(folder, log):
        write(folder, log)
        raise failure

    with pytest.raises(type(failure)):
        artifact(make).provide(Silent())
    assert not artifact(make).path.exists()
    assert list((cache_home() / "scratch").iterdir()) == []


def test_what_a_killed_build_left_is_cleared_by_the_next():
    dead = cache_home() / "scratch" / "thing-dead"
    dead.mkdir(parents=True)
    (dead / "half").write_text("")
    artifact(write).provide(Silent())
    assert not dead.exists()


def test_a_build_that_lacks_a_file_is_an_error_that_names_it():
    with pytest.raises(ClusterError, match="did not make file"):
        artifact(lambda folder, log: None).provide(Silent())


def test_two_at_once_build_once():
    made, gate = [], threading.Barrier(2)

    def make(folder, log):
        made.append(folder)
        write(folder, log)

    def provide():
        gate.wait()
        artifact(make).provide(Silent())

    threads = [threading.Thread(target=provide) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1


def test_the_key_follows_the_inputs_and_not_their_order():
    assert key_of({"a": 1, "b": 2}) == key_of({"b": 2, "a": 1})
    assert key_of({"a": 1}) != key_of({"a": 2})


def test_programs_pin_their_modules():
    text = kubernetes().inputs["go.mod"]
    assert "require k8s.io/kubernetes v1.36.4" in text
    assert "k8s.io/api => k8s.io/api v0.36.4" in text
    assert etcd().files == ("bin/etcd",)
