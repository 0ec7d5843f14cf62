"""What writes may and may not do, on the real API server and, by the same words, on the fake."""

import time
from contextlib import asynccontextmanager

import pytest

from modelrollout.kube.api import Version
from modelrollout.kube.apply import Applied, Applier, Foreign, Unchanged, seen
from modelrollout.kube.errors import AlreadyExists, Conflict, NotFound
from modelrollout.kube.kinds import (
    CONTROLLER_REVISION,
    DEPLOYMENT,
    HTTP_ROUTE,
    KINDS,
    MODEL_DEPLOYMENT,
    POD_MONITOR,
    SERVICE,
    Kind,
    Ref,
)
from modelrollout.kube.projection import desired_digest, intruders, observed_digest, owners, project
from modelrollout.workload.canonical import canonical
from tests.api.servers import fake_server, real_server
from tests.fakes.loop import in_loop

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.cluster)])
def server(request):
    """An async context manager; the client inside belongs to the test's own event loop."""
    if request.param == "fake":
        return fake_server
    cluster, space = request.getfixturevalue("cluster"), request.getfixturevalue("space")

    @asynccontextmanager
    async def real():
        async with real_server(cluster, space) as found:
            yield found

    return real


def model(namespace):
    return {
        "apiVersion": MODEL_DEPLOYMENT.api_version,
        "kind": "ModelDeployment",
        "metadata": {"name": "fraud", "namespace": namespace},
        "spec": {"server": {"runtime": "FastAPI", "image": "registry.example.com/fraud:1"}},
    }


def owned_by(owner):
    return [
        {
            "apiVersion": owner["apiVersion"],
            "kind": owner["kind"],
            "name": owner["metadata"]["name"],
            "uid": owner["metadata"]["uid"],
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]


def deployment(owner, **spec):
    labels = {"app": "fraud"}
    return canonical(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {
                "name": "fraud-1-5d8c7b20",
                "namespace": owner["metadata"]["namespace"],
                "labels": {"modelrollout.dev/deployment": "fraud"},
                "ownerReferences": owned_by(owner),
            },
            "spec": {
                "replicas": 3,
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels, "annotations": {"prometheus.io/scrape": "true"}},
                    "spec": {
                        "terminationGracePeriodSeconds": 30,
                        "volumes": [{"name": "tmp", "emptyDir": {}}],
                        "containers": [
                            {
                                "name": "server",
                                "image": "registry.example.com/fraud:1",
                                "env": [{"name": "MODEL_NAME", "value": "fraud"}, {"name": "EMPTY", "value": ""}],
                                "ports": [{"name": "http", "containerPort": 8000}],
                                "resources": {"requests": {"cpu": "0.5", "memory": "1024Mi"}},
                                "volumeMounts": [{"name": "tmp", "mountPath": "/tmp", "readOnly": False}],
                            }
                        ],
                    },
                },
                **spec,
            },
        }
    )


def service(owner):
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "fraud",
            "namespace": owner["metadata"]["namespace"],
            "ownerReferences": owned_by(owner),
        },
        "spec": {
            "selector": {"app": "fraud"},
            "ports": [{"name": "http", "port": 80, "targetPort": 8000, "protocol": "TCP"}],
        },
    }


def route(owner, weight=5):
    def backend(name, share):
        return {"group": "", "kind": "Service", "name": name, "port": 80, "weight": share}

    match = {"path": {"type": "PathPrefix", "value": "/"}}
    return {
        "apiVersion": HTTP_ROUTE.api_version,
        "kind": "HTTPRoute",
        "metadata": {
            "name": "fraud",
            "namespace": owner["metadata"]["namespace"],
            "ownerReferences": owned_by(owner),
        },
        "spec": {
            "parentRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "public"}],
            "hostnames": ["fraud.example.com"],
            "rules": [
                {"matches": [match], "backendRefs": [backend("fraud-1", 100 - weight), backend("fraud-2", weight)]}
            ],
        },
    }


def revision(owner):
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {
            "name": "fraud-1-5d8c7b20",
            "namespace": owner["metadata"]["namespace"],
            "ownerReferences": owned_by(owner),
        },
        "revision": 1,
        "data": {"inputs": {"image": "x"}, "sha256": "ab", "none": None, "empty": {}},
    }


CHILDREN = {DEPLOYMENT: deployment, SERVICE: service, HTTP_ROUTE: route, CONTROLLER_REVISION: revision}


def ref(manifest):
    kind = KINDS[manifest["apiVersion"], manifest["kind"]]
    return Ref(kind, manifest["metadata"]["namespace"], manifest["metadata"]["name"])


async def ensure(s, desired, owner):
    """As the controller does it: observe and decide again while the object moves on."""
    applier, deadline = Applier(s.api), time.monotonic() + 20
    while True:
        try:
            return await applier.ensure(desired, seen(await s.api.get(ref(desired))), owner=owner)
        except Conflict:
            assert time.monotonic() < deadline


def uid(raw):
    return raw["metadata"]["uid"]


def version(raw):
    return raw["metadata"]["resourceVersion"]


@pytest.mark.parametrize("kind", CHILDREN, ids=str)
@in_loop
async def test_what_we_applied_and_nobody_touched_is_seen_as_wanted_and_costs_no_write(server, kind):
    async with server() as s:
        owner = await s.api.create(model(s.namespace))
        desired = CHILDREN[kind](owner)
        applier = Applier(s.api)
        first = await applier.ensure(desired, None, owner=uid(owner))
        assert isinstance(first, Applied)
        assert first.created
        assert observed_digest(first.raw) == desired_digest(desired)
        fresh = await s.api.get(ref(desired))
        assert isinstance(await applier.ensure(desired, seen(fresh), owner=uid(owner)), Unchanged)
        # A Store that has not seen it yet costs one read and no write.
        again = await applier.ensure(desired, None, owner=uid(owner))
        assert isinstance(again, Applied)
        assert not again.written
        # And applying it all the same changes nothing on the server.
        raw = await s.api.apply(desired, force=True)
        assert raw["metadata"].get("generation") == fresh["metadata"].get("generation")
        if kind is not DEPLOYMENT:  # which has a controller that writes its status meanwhile
            assert version(raw) == version(fresh)


@in_loop
async def test_a_value_changed_by_another_manager_is_seen_and_put_back(server):
    async with server() as s:
        owner = await s.api.create(model(s.namespace))
        desired = deployment(owner)
        await s.api.apply(desired)
        containers = [{"name": "server", "image": "registry.example.com/evil:1"}]
        edited = await s.patch(ref(desired), {"spec": {"template": {"spec": {"containers": containers}}}})
        assert observed_digest(edited) != desired_digest(desired)
        done = await ensure(s, desired, uid(owner))
        assert done.raw["spec"]["template"]["spec"]["containers"][0]["image"] == "registry.example.com/fraud:1"
        assert observed_digest(done.raw) == desired_digest(desired)


@in_loop
async def test_replicas_scaled_by_somebody_else_are_seen_with_their_owner_and_put_back(server):
    async with server() as s:
        owner = await s.api.create(model(s.namespace))
        desired = deployment(owner)
        await s.api.apply(desired)
        await s.scale(ref(desired), 9)
        scaled = await s.api.get(ref(desired))
        assert scaled["spec"]["replicas"] == 9
        assert owners(scaled, ("spec", "replicas")) == {"kubectl"}
        assert observed_digest(scaled) != desired_digest(desired)
        done = await ensure(s, desired, uid(owner))
        assert done.raw["spec"]["replicas"] == 3


@in_loop
async def test_replicas_zero_are_not_taken_for_replicas_that_somebody_else_set(server):
    async with server() as s:
        owner = await s.api.create(model(s.namespace))
        desired = deployment(owner, replicas=0)
        raw = await s.api.apply(desired)
        assert observed_digest(raw) == desired_digest(desired)
        await s.scale(ref(desired), 1)
        assert observed_digest(await s.api.get(ref(desired))) != desired_digest(desired)


@in_loop
async def test_a_field_that_we_no_longer_apply_goes_and_one_that_another_owns_stays(server):
    async with server() as s:
        owner = await s.api.create(model(s.namespace))
        first = deployment(owner)
        await s.api.apply(first)
        await s.scale(ref(first), 9)
        without = deployment(owner)
        del without["spec"]["replicas"]
        del without["spec"]["template"]["metadata"]["annotations"]
        raw = await s.api.apply(without, force=True)
        assert raw["spec"]["replicas"] == 9
        assert "annotations" not in raw["spec"]["template"]["metadata"]
        assert observed_digest(raw) == desired_digest(without)


@in_loop
async def test_replicas_that_only_we_owned_fall_back_to_one_when_we_stop_applying_them(server):
    async with server() as s:
        owner = await s.api.create(model(s.namespace))
        await s.api.apply(deployment(owner))
        without = deployment(owner)
        del without["spec"]["replicas"]
        assert (await s.api.apply(without, force=True))["spec"]["replicas"] == 1


@in_loop
async def test_additions_of_others_are_left_alone_and_named(server):
    async with server() as s:
        owner = await s.api.create(model(s.namespace))
        desired = deployment(owner)
        await s.api.apply(desired)
        sidecar = {"name": "proxy", "image": "registry.example.com/proxy:1"}
        restarted = {"kubectl.kubernetes.io/restartedAt": "2030-01-01T00:00:00Z"}
        template = {"metadata": {"annotations": restarted}, "spec": {"containers": [sidecar]}}
        edited = await s.patch(ref(desired), {"spec": {"template": template}})
        assert len(edited["spec"]["template"]["spec"]["containers"]) == 2
        assert observed_digest(edited) == desired_digest(desired)
        assert isinstance(await Applier(s.api).ensure(desired, seen(edited), owner=uid(owner)), Unchanged)
        (named,) = intruders(edited, ("spec", "template"))
        assert named.startswith("other: ")
        assert "metadata.annotations.kubectl.kubernetes.io/restartedAt" in named
        assert "spec.containers[proxy]" in named
        # What we change later leaves them in place too.
        changed = deployment(owner, replicas=4)
        done = await ensure(s, changed, uid(owner))
        assert done.raw["spec"]["replicas"] == 4
        assert restarted.items() <= done.raw["spec"]["template"]["metadata"]["annotations"].items()
        assert len(done.raw["spec"]["template"]["spec"]["containers"]) == 2


@in_loop
async def test_a_route_is_owned_whole_so_that_another_weight_is_seen_and_put_back(server):
    async with server() as s:
        owner = await s.api.create(model(s.namespace))
        desired = route(owner, weight=5)
        await s.api.apply(desired)
        other = route(owner, weight=50)["spec"]["rules"]
        edited = await s.api.get(ref(desired))
        body = {**edited, "spec": {**edited["spec"], "rules": other}}
        await s.api.replace(body)
        edited = await s.api.get(ref(desired))
        assert observed_digest(edited) != desired_digest(desired)
        done = await ensure(s, desired, uid(owner))
        assert done.raw["spec"]["rules"] == desired["spec"]["rules"]


@in_loop
async def test_an_apply_decided_on_an_old_version_is_a_conflict_and_changes_nothing(server):
    async with server() as s:
        owner = await s.api.create(model(s.namespace))
        old = await s.api.apply(deployment(owner))
        await s.patch(ref(old), {"metadata": {"annotations": {"touched": "yes"}}})
        with pytest.raises(Conflict):
            await Applier(s.api).ensure(deployment(owner, replicas=1), seen(old), owner=uid(owner))
        assert (await s.api.get(ref(old)))["spec"]["replicas"] == 3


@in_loop
async def test_an_apply_to_an_object_that_is_gone_does_not_make_it_anew(server):
    async with server() as s:
        owner = await s.api.create(model(s.namespace))
        old = await s.api.apply(service(owner))
        await s.api.delete(ref(old))
        with pytest.raises(Conflict):
            await s.api.apply(service(owner), force=True, only_if=Version(uid(old), version(old)))
        with pytest.raises(NotFound):
            await s.api.get(ref(old))


@in_loop
async def test_an_apply_meant_for_an_object_does_not_reach_another_one_of_its_name(server):
    async with server() as s:
        owner = await s.api.create(model(s.namespace))
        old = await s.api.apply(service(owner))
        await s.api.delete(ref(old))
        new = await s.create(service(owner))
        for at in (version(old), version(new)):
            with pytest.raises(Conflict):
                await s.api.apply(service(owner), force=True, only_if=Version(uid(old), at))
        assert version(await s.api.get(ref(new))) == version(new)


@in_loop
async def test_an_apply_without_force_does_not_take_a_field_from_another_manager(server):
    async with server() as s:
        owner = await s.api.create(model(s.namespace))
        await s.create(deployment(owner, replicas=7))
        with pytest.raises(Conflict, match="other"):
            await s.api.apply(deployment(owner, replicas=3))


@in_loop
async def test_a_dry_run_changes_nothing(server):
    async with server() as s:
        owner = await s.api.create(model(s.namespace))
        old = await s.api.apply(route(owner, weight=5))
        await s.api.apply(route(owner, weight=100), force=True, dry_run=True)
        assert version(await s.api.get(ref(old))) == version(old)


@pytest.mark.parametrize("controlled", [True, False])
@in_loop
async def test_an_object_of_the_same_name_that_is_not_ours_is_reported_and_never_touched(server, controlled):
    async with server() as s:
        owner = await s.api.create(model(s.namespace))
        other = {**model(s.namespace), "metadata": {"name": "other", "namespace": s.namespace}}
        foreign = service(await s.api.create(other) if controlled else owner)
        if not controlled:
            del foreign["metadata"]["ownerReferences"]
        there = await s.create(foreign)
        found = await Applier(s.api).ensure(service(owner), None, owner=uid(owner))
        assert isinstance(found, Foreign)
        assert ("ModelDeployment other" if controlled else "written by other") in found.who
        known = await Applier(s.api).ensure(service(owner), seen(there), owner=uid(owner))
        assert isinstance(known, Foreign)
        assert version(await s.api.get(ref(foreign))) == version(there)


@in_loop
async def test_status_is_replaced_whole_and_spec_metadata_and_generation_stay(server):
    async with server() as s:
        raw = await s.api.create(model(s.namespace))
        first = await s.api.replace_status(
            ref(raw), {"phase": "Loading", "message": "waits"}, resource_version=version(raw)
        )
        second = await s.api.replace_status(ref(raw), {"phase": "Healthy"}, resource_version=version(first))
        assert second["status"] == {"phase": "Healthy"}
        assert second["spec"] == raw["spec"]
        assert second["metadata"]["generation"] == raw["metadata"]["generation"]
        assert uid(second) == uid(raw)
        assert int(version(second)) > int(version(first)) > int(version(raw))


@in_loop
async def test_a_status_decided_on_an_old_version_is_a_conflict_even_if_only_the_spec_changed(server):
    async with server() as s:
        raw = await s.api.create(model(s.namespace))
        await s.api.patch_metadata(ref(raw), annotations={"a": "b"})
        with pytest.raises(Conflict):
            await s.api.replace_status(ref(raw), {"phase": "Healthy"}, resource_version=version(raw))
        raw = await s.api.get(ref(raw))
        changed = {**raw, "spec": {**raw["spec"], "version": "2"}}
        await s.api.replace(changed)
        with pytest.raises(Conflict):
            await s.api.replace_status(ref(raw), {"phase": "Healthy"}, resource_version=version(raw))
        assert "status" not in await s.api.get(ref(raw))


@in_loop
async def test_the_spec_endpoint_does_not_touch_status(server):
    async with server() as s:
        raw = await s.api.create({**model(s.namespace), "status": {"phase": "Healthy"}})
        assert "status" not in raw
        raw = await s.api.replace_status(ref(raw), {"phase": "Loading"}, resource_version=version(raw))
        raw = await s.api.replace({**raw, "status": {"phase": "Healthy"}})
        assert raw["status"] == {"phase": "Loading"}


@in_loop
async def test_metadata_is_patched_by_single_keys_and_none_removes_one(server):
    async with server() as s:
        raw = await s.api.create(model(s.namespace))
        raw = await s.api.patch_metadata(ref(raw), labels={"a": "1", "b": "2"}, annotations={"c": "3"})
        raw = await s.api.patch_metadata(ref(raw), labels={"a": None}, resource_version=version(raw))
        assert raw["metadata"]["labels"] == {"b": "2"}
        assert raw["metadata"]["annotations"] == {"c": "3"}
        with pytest.raises(Conflict):
            await s.api.patch_metadata(ref(raw), labels={"b": None}, resource_version="1")


@in_loop
async def test_deletion_is_held_to_its_preconditions_and_takes_what_is_owned_along(server):
    async with server() as s:
        owner = await s.api.create(model(s.namespace))
        child = await s.api.apply(service(owner))
        with pytest.raises(Conflict):
            await s.api.delete(ref(child), uid="another")
        with pytest.raises(Conflict):
            await s.api.delete(ref(child), uid=uid(child), resource_version="1")
        await s.api.delete(ref(child), uid=uid(child), resource_version=version(child))
        with pytest.raises(NotFound):
            await s.api.delete(ref(child))


@in_loop
async def test_what_is_there_cannot_be_created_again(server):
    async with server() as s:
        await s.api.create(model(s.namespace))
        with pytest.raises(AlreadyExists):
            await s.api.create(model(s.namespace))


@in_loop
async def test_lists_are_by_namespace_and_label_and_say_at_which_version_they_are_true(server):
    async with server() as s:
        owner = await s.api.create(model(s.namespace))
        raw = await s.api.apply(deployment(owner))
        await s.api.apply(service(owner))
        page = await s.api.list(DEPLOYMENT, namespace=s.namespace, labels="modelrollout.dev/deployment=fraud")
        assert [uid(item) for item in page.items] == [uid(raw)]
        assert int(page.resource_version) >= int(version(raw))
        assert (await s.api.list(DEPLOYMENT, namespace=s.namespace, labels="no=where")).items == ()
        pages = [page async for page in s.api.pages(SERVICE, namespace=s.namespace)]
        assert [item["metadata"]["name"] for page in pages for item in page.items] == ["fraud"]


@in_loop
async def test_it_is_known_which_kinds_are_served(server):
    async with server() as s:
        assert await s.api.serves(HTTP_ROUTE)
        assert not await s.api.serves(Kind("nothing.example.com", "v1", "things", "Thing"))
        assert not await s.api.serves(Kind("apps", "v1", "things", "Thing"))


@in_loop
async def test_a_projection_is_what_we_said_last_in_todays_values(server):
    async with server() as s:
        owner = await s.api.create(model(s.namespace))
        raw = await s.api.apply(deployment(owner))
        ours = project(raw)
        assert ours["spec"]["template"]["spec"]["containers"][0]["resources"] == {
            "requests": {"cpu": "500m", "memory": "1Gi"}
        }
        assert "imagePullPolicy" not in ours["spec"]["template"]["spec"]["containers"][0]
        assert "status" not in ours
        assert project(owner) is None
        assert POD_MONITOR.kind not in str(ours)
