"""What others do to our objects: values are put back, additions stay, and what is not ours is not touched."""

import pytest

from tests.harness.life import conditions, steadily
from tests.harness.specs import image, model

MINE = {"metadata": {"name": "fraud"}}


def foreign(kind: str, name: str) -> dict:
    """An object of somebody else under a name that we need."""
    bodies = {
        "Service": {"apiVersion": "v1", "spec": {"selector": {"app": "theirs"}, "ports": [{"port": 80}]}},
        "HTTPRoute": {"apiVersion": "gateway.networking.k8s.io/v1", "spec": {"parentRefs": [{"name": "theirs"}]}},
        "ControllerRevision": {"apiVersion": "apps/v1", "revision": 7, "data": {"theirs": True}},
        "Deployment": {
            "apiVersion": "apps/v1",
            "spec": {
                "selector": {"matchLabels": {"app": "theirs"}},
                "template": {
                    "metadata": {"labels": {"app": "theirs"}},
                    "spec": {"containers": [{"name": "theirs", "image": "theirs:1"}]},
                },
            },
        },
    }
    return {"kind": kind, "metadata": {"name": name}} | bodies[kind]


def without_status(raw: dict) -> dict:
    kept = {name: value for name, value in raw["metadata"].items() if name in ("uid", "labels", "ownerReferences")}
    return {"spec": raw.get("spec"), "data": raw.get("data"), "metadata": kept}


@pytest.mark.parametrize("kind", ["Service", "HTTPRoute", "ControllerRevision", "Deployment"])
def test_a_foreign_object_of_a_needed_name_is_named_left_alone_and_awaited(life, kind):
    revision = "fraud-1-2de91397"
    name = "fraud" if kind in ("Service", "HTTPRoute") else revision
    life.objects.create(foreign(kind, name), manager="theirs")
    theirs = without_status(life.objects.get(kind, name))
    life.apply("1")
    life.operator.start(wait=False)
    status = life.reason("ForeignObject")
    assert f"{kind} {name} exists and is not ours" in life.message
    assert conditions(status)["Ready"]["status"] == "False"
    assert conditions(status)["Stalled"]["status"] == "True"
    life.sentinel()
    assert without_status(life.objects.get(kind, name)) == theirs
    written = len(life.observer.history("ModelDeployment", "fraud"))
    steadily(life, lambda: len(life.observer.history("ModelDeployment", "fraud")) == written, 6, "nothing new is told")
    life.objects.delete(kind, name)
    life.healthy("1", seconds=100)
    assert life.role("Stable")["revision"] == revision.removeprefix("fraud-"), "the name above is the right one"


def test_a_foreign_object_in_the_way_of_a_candidate_leaves_stable_alone(life):
    life.begin("1")
    pods = life.pods("1").keys()
    name = "fraud-2-981b4742"
    life.objects.create(foreign("Deployment", name), manager="theirs")
    life.apply("2")
    life.reason("ForeignObject")
    life.carries(v1=100)
    assert life.pods("1").keys() == pods
    life.apply("1")
    life.healthy("1")
    assert life.objects.get("Deployment", name)["spec"]["template"]["spec"]["containers"][0]["name"] == "theirs"


def test_a_replica_count_set_by_another_manager_is_put_right(life):
    life.begin("1")
    kept = life.pods("1").keys()
    name = life.deployment("1")
    life.kubectl.ok("scale", f"deployment/{name}", "--replicas=4")
    life.observer.until(
        lambda: [
            sight.raw["spec"]["replicas"]
            for sight in life.observer.history("Deployment", name)
            if sight.raw["spec"]["replicas"] == 4
        ],
        "it was scaled",
    )
    life.observer.until(lambda: life.observer.now("Deployment", name)["spec"]["replicas"] == 2, "it is put right")
    assert len(kept) == 2


def test_an_image_edited_in_a_child_is_put_right(life):
    life.excused.add("pod_templates_never_change")
    life.begin("1")
    name = life.deployment("1")

    def edit(raw: dict) -> None:
        raw["spec"]["template"]["spec"]["containers"][0]["image"] = image("evil")

    def stands() -> str:
        return life.observer.now("Deployment", name)["spec"]["template"]["spec"]["containers"][0]["image"]

    version = int(life.objects.change("Deployment", name, edit, manager="kubectl-edit")["metadata"]["resourceVersion"])
    life.observer.until(
        lambda: life.observer.history("Deployment", name)[-1].version > version and stands() == image("1"),
        "the image is put right",
    )
    life.healthy("1")
    assert life.outcomes() == [("1", "Promoted")]


def test_weights_edited_in_the_route_are_put_right_in_mid_step(life):
    life.begin("1")
    life.apply("2")
    life.waits("tenth")

    def edit(raw: dict) -> None:
        for backend in raw["spec"]["rules"][-1]["backendRefs"]:
            backend["weight"] = 5000

    life.objects.change("HTTPRoute", "fraud", edit, manager="kubectl-edit")
    life.carries(v1=90, v2=10)
    life.waits("tenth")
    assert life.timeline() == [("1", 100), ("2", 10)]


@pytest.mark.parametrize("kind", ["HTTPRoute", "Service", "Deployment", "preview"])
def test_a_deleted_child_is_made_again_as_it_was(life, kind):
    life.begin("1")
    kind, name = {
        "Deployment": ("Deployment", life.deployment("1")),
        "preview": ("Service", "fraud-preview"),
    }.get(kind, (kind, "fraud"))
    before = life.observer.now(kind, name)
    life.objects.delete(kind, name, propagationPolicy="Background")

    def again():
        found = life.observer.now(kind, name)
        return found and found["metadata"]["uid"] != before["metadata"]["uid"] and found

    found = life.observer.until(again, f"{kind} {name} is made again")
    if kind == "Deployment":
        assert found["spec"]["template"] == before["spec"]["template"]
        life.pods_are("1", 2)
    life.healthy("1")
    life.carries(v1=100)


def test_a_selector_edited_in_the_entry_service_is_put_right(life):
    life.begin("1")
    life.objects.patch("Service", "fraud", {"spec": {"selector": {"modelrollout.dev/revision": "other"}}})
    revision = life.revision("1")
    life.observer.until(
        lambda: life.observer.now("Service", "fraud")["spec"]["selector"]["modelrollout.dev/revision"] == revision,
        "the selector is put right",
    )


def test_additions_of_others_stay_and_start_no_quarrel(life):
    life.excused.add("pod_templates_never_change")
    life.begin("1")
    name = life.deployment("1")
    sidecar = {"name": "proxy", "image": "registry.example.com/proxy:1"}
    template = {"metadata": {"annotations": {"injected": "yes"}}, "spec": {"containers": [sidecar]}}
    manifest = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "annotations": {"team": "risk"}, "labels": {"cost": "42"}},
        "spec": {"template": template},
    }
    life.objects.apply(manifest, manager="injector", force=False)
    life.objects.patch("Service", "fraud", {"metadata": {"annotations": {"lb": "fast"}}})
    life.objects.patch("HTTPRoute", "fraud", {"metadata": {"labels": {"cost": "42"}}})
    life.observer.until(
        lambda: all(len(pod["spec"]["containers"]) == 2 for pod in life.pods("1").values()), "pods follow"
    )
    life.pods_are("1", 2)
    life.healthy("1")
    life.sentinel()
    before = life.operator.writes()
    life.sentinel()
    assert set(_more(before, life.operator.writes())) <= {("PUT", "modeldeployments")}
    found = life.observer.now("Deployment", name)
    assert [one["name"] for one in found["spec"]["template"]["spec"]["containers"]] == ["server", "proxy"]
    assert found["metadata"]["annotations"]["team"] == "risk"
    assert life.observer.now("Service", "fraud")["metadata"]["annotations"] == {"lb": "fast"}
    available = conditions(life.status)["Available"]["message"]
    assert "injector" in available
    assert "proxy" in available


def test_a_steady_resource_costs_no_request_and_an_apply_that_changes_nothing_no_write(life):
    """Full lists are left out of account: the start and a slow timer make them."""
    document = life.kubectl.apply
    life.operator.start(wait=False)

    for options in ((), ("--server-side", "--force-conflicts")):
        assert document(model("1"), options=options).code == 0
        life.healthy("1")
        life.sentinel()
        stored, sent = life.versions(), life.operator.requests()
        assert document(model("1"), options=options).code == 0
        life.sentinel()
        more = _more(sent, life.operator.requests())
        assert set(more) <= {("PUT", "modeldeployments"), ("APPLY", "events")}, more
        changed = {key for key, version in life.versions().items() if stored.get(key) != version}
        assert changed <= {("ModelDeployment", "fraud")}, changed
        ours = [one for one in life.resource["metadata"]["managedFields"] if one["manager"] == "modelrollout"]
        assert life.versions()["ModelDeployment", "fraud"] >= stored["ModelDeployment", "fraud"]
        assert len(ours) == 1


def _more(before: dict, after: dict) -> dict:
    more = {key: count - before.get(key, 0) for key, count in after.items() if count != before.get(key, 0)}
    return {key: count for key, count in more.items() if key[0] != "LIST"}
