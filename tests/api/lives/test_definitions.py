"""CRDs that are older than the operator, or are deleted and come back. On a cluster of its own, for all others share theirs."""

import json
import os
from pathlib import Path

import pytest
import yaml

from tests.api.kubectl import CRDS, Kubectl, connect, fresh_namespace, install_crds, until
from tests.api.lives.conftest import lived
from tests.cluster import Flavor, make_cluster
from tests.harness import laws
from tests.harness.apiserver import ApiServer, RefusedError
from tests.harness.specs import SWIFT, model

NAME = "modeldeployments.modelrollout.dev"
ALL = [("1", 100), ("2", 10), ("2", 50), ("2", 100)]


@pytest.fixture(scope="module")
def own() -> Kubectl:
    name = f"definitions-{os.getpid()}"
    try:
        yield connect(name)
    finally:
        make_cluster("local", Flavor.KWOK, name).down()


@pytest.fixture(scope="module")
def own_server(own, background):
    found = ApiServer(background, Path(own.environment["KUBECONFIG"]))
    yield found
    found.close()


@pytest.fixture
def alone(own, own_server, tmp_path):
    """A life on the cluster of its own; its CRDs are those of this checkout again afterwards."""
    with lived(own, own_server, tmp_path, {}) as life:
        yield life
    own.ok("apply", "--server-side", "--force-conflicts", "-f", str(CRDS))


def older(field: tuple[str, ...]) -> dict:
    """The CRD of an earlier release, which did not know this field of a status; a probe tells when the server goes by it."""
    found = yaml.safe_load((CRDS / "modelrollout.dev_modeldeployments.yaml").read_text())
    at = found["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]
    at["properties"][probe(field)] = {"type": "string"}
    for name in field[:-1]:
        at = at["properties"][name]
    del at["properties"][field[-1]]
    if field[-1] in at.get("required", ()):
        at["required"].remove(field[-1])
    return found


def probe(field: tuple[str, ...]) -> str:
    return "without" + "".join(field)


def with_older(kubectl: Kubectl, server: ApiServer, field: tuple[str, ...]) -> None:
    """Install it, and wait until the server goes by it."""
    kubectl.ok("apply", "-f", "-", stdin=json.dumps(older(field)))
    with fresh_namespace(kubectl, "older") as space:
        objects = server.of(space.namespace)

        def known() -> bool:
            try:
                objects.apply(model(name="probe"))
                raw = objects.patch("ModelDeployment", "probe", {"status": {probe(field): "x"}}, "status")
            except RefusedError as refusal:
                if refusal.code == 503:  # the server is just changing over
                    return False
                raise
            return probe(field) in raw.get("status", {})

        until(known, "the server goes by the older CRD", seconds=120)


@pytest.fixture
def outdated(own, own_server, tmp_path, field):
    """A life on a server that goes by an older CRD.

    It begins after the change: a watch from before may stay silent for minutes, that of the life's observer like any other.
    """
    with_older(own, own_server, field)
    with lived(own, own_server, tmp_path, {}) as life:
        yield life
    own.ok("apply", "--server-side", "--force-conflicts", "-f", str(CRDS))


@pytest.mark.parametrize("field", [("traffic", "testerHeader"), ("step", "appliedAt")], ids=".".join)
def test_an_operator_newer_than_the_crds_writes_no_status_twice_and_says_what_helps(outdated, field):
    outdated.begin("1", steps=SWIFT)
    outdated.apply("2", steps=SWIFT)
    outdated.healthy("2")
    assert outdated.timeline() == ALL
    outdated.sentinel()
    stored = outdated.observer.history("ModelDeployment")
    written = outdated.operator.writes()["PUT", "modeldeployments"]
    # Each write is news to the server, but for the first with that field and those that met a conflict.
    assert written <= len(stored) + 3, f"{written} writes, {len(stored)} states"

    outdated.sentinel()
    assert outdated.operator.writes()["PUT", "modeldeployments"] - written <= 2, "nothing but the sentinel is written"
    told = [
        line["message"] for line in outdated.operator.lines() if "CRDs of this cluster are older" in line["message"]
    ]
    assert told
    assert len(told) == len(set(told))
    assert ".".join(field) in told[0]
    assert "kubectl apply --server-side --force-conflicts -f crds/" in told[0]
    assert outdated.events()["OutdatedCRDs"] == "Warning"
    assert not any(_has(sight.raw, field) for sight in stored)
    laws.judge(outdated)
    outdated.kubectl.ok("apply", "--server-side", "--force-conflicts", "-f", str(CRDS))
    outdated.observer.until(lambda: _applied(outdated, "3"), "version 3 is applied")

    # Read, not watched: the server drops the watches of a kind whose CRD changes, in its own time.
    def now() -> dict:
        return outdated.objects.get("ModelDeployment", "fraud")

    outdated.observer.until(lambda: _has(now(), field), "the field is stored")
    outdated.observer.until(lambda: now()["status"]["summary"]["stable"] == "3", "version 3 is promoted")


def collected(life) -> None:
    """Wait until the garbage collector watches the kind, which it finds out by itself: only it ends a deletion in the foreground."""
    life.objects.create(model(name="probe"))
    life.kubectl.ok("delete", "modeldeployment", "probe", "--cascade=foreground", "--wait=true", "--timeout=100s")


def _has(raw: dict, field: tuple[str, ...]) -> bool:
    at = raw.get("status") or {}
    for name in field[:-1]:
        at = at.get(name) or {}
    return field[-1] in at


def test_crds_that_are_deleted_take_their_models_along_and_when_they_are_back_so_are_the_models(alone):
    collected(alone)
    alone.begin("1", steps=SWIFT)
    alone.apply("2")
    alone.waits("tenth")
    alone.sentinel()
    before = alone.operator.writes()
    alone.kubectl.ok("delete", "crd", NAME, "--wait=true")
    for kind in ("Deployment", "HTTPRoute"):
        alone.observer.until(
            lambda kind=kind: not alone.observer.all(kind), f"the garbage collector has taken each {kind}"
        )
    assert alone.operator.running
    assert alone.operator.writes() == before, "the operator deletes nothing itself"
    install_crds(alone.kubectl)

    def revived() -> bool:
        if not alone.operator.running:
            alone.operator.start(wait=False)
        return (alone.observer.now("ModelDeployment", "fraud") or {}).get("status", {}).get("phase") == "Healthy"

    alone.observer.until(lambda: _applied(alone, "2"), "the kind is served again")
    alone.observer.until(revived, "the model serves again")
    alone.healthy("2")
    assert alone.timeline() == [("2", 100)]


def _applied(life, version: str) -> bool:
    try:
        life.apply(version, steps=SWIFT)
    except RefusedError:
        return False
    return True
