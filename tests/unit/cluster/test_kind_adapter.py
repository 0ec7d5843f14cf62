"""The kind adapter, with a stand-in for the program `kind` (there may be no Docker engine) that notes what it is asked."""

import json
from pathlib import Path

import pytest

from tests.cluster import ClusterError, State
from tests.cluster.contract import read_info
from tests.cluster.kind import KindCluster
from tests.cluster.local.plan import Options
from tests.cluster.progress import Silent

KIND = """#!/bin/sh
echo "kind $*" >> "$NOTES"
case "$1 $2" in
"get clusters") cat "$MADE" 2>/dev/null ;;
"create cluster") cat > "$NOTES.config"; echo "$4" > "$MADE" ;;
"delete cluster") rm -f "$MADE" ;;
esac
"""
KUBECTL = """#!/bin/sh
shift
echo "kubectl $*" >> "$NOTES"
case "$*" in
*"config view"*) echo "https://127.0.0.1:33333" ;;
get*) echo "True," ;;
*"-f -"*) cat >> "$NOTES.applied" ;;
esac
if [ "$1 $2" = "$BROKEN" ]; then echo "it is broken" >&2; exit 1; fi
"""


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in {"kind": KIND, "kubectl": KUBECTL, "helm": "#!/bin/sh\n", "docker": "#!/bin/sh\n"}.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setenv("NOTES", str(tmp_path / "notes"))
    monkeypatch.setenv("MADE", str(tmp_path / "made"))
    monkeypatch.setenv("BROKEN", "nothing")
    return tmp_path / "notes"


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> KindCluster:
    class Crds:
        def provide(self, steps):
            (tmp_path / "crds.yaml").write_text("")
            return tmp_path

    monkeypatch.setattr("tests.cluster.kind.gateway_crds", Crds)
    return KindCluster("test", Options("2s"), Silent())


def asked(notes: Path, what: str) -> list[str]:
    return [line for line in notes.read_text().splitlines() if line.startswith(what)]


def test_up_creates_once_and_tells_where_everything_is(cluster, notes):
    info = cluster.up()
    assert cluster.up() == info
    assert len(asked(notes, "kind create")) == 1
    assert info.server == "https://127.0.0.1:33333"
    assert info.prometheus.pod_url == "http://prometheus.monitoring.svc:9090"
    ports = json.loads(notes.with_name("notes.config").read_text())["nodes"][0]["extraPortMappings"]
    assert info.gateway.url in {f"http://127.0.0.1:{port['hostPort']}" for port in ports}
    assert "scrape_interval" in notes.with_name("notes.applied").read_text()
    assert cluster.status().state is State.RUNNING


def test_the_node_image_is_taken_from_the_environment(cluster, notes, monkeypatch):
    monkeypatch.setenv("MODELROLLOUT_KIND_IMAGE", "kindest/node:v1.35.0")
    cluster.up()
    assert asked(notes, "kind create")[0].endswith("--image kindest/node:v1.35.0")


def test_archives_and_tags_are_loaded_each_in_their_way(cluster, notes, tmp_path):
    archive = tmp_path / "image.tar"
    archive.write_text("")
    cluster.load_image(archive)
    cluster.load_image("modelrollout/operator:dev")
    assert asked(notes, "kind load") == [
        f"kind load image-archive {archive} --name test",
        "kind load docker-image modelrollout/operator:dev --name test",
    ]


def test_down_deletes_the_cluster_and_forgets_it(cluster, notes):
    cluster.up()
    cluster.down()
    cluster.down()
    assert len(asked(notes, "kind delete")) == 1
    assert read_info(cluster.places.info) is None
    assert cluster.status().state is State.DOWN


def test_a_failed_installation_leaves_no_cluster(cluster, notes, monkeypatch):
    monkeypatch.setenv("BROKEN", "rollout status")
    with pytest.raises(ClusterError, match="it is broken"):
        cluster.up()
    assert len(asked(notes, "kind delete")) == 1
    assert not cluster.places.root.exists()


def test_without_kind_the_cure_is_named(cluster, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with pytest.raises(ClusterError, match="no `kind` on PATH; install it, or use --cluster local"):
        cluster.up()
