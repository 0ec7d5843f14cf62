"""What only the real API server can tell: how it stores things, who leads, what it makes of Events and pods."""

import asyncio
import random
import time

import pytest

from modelrollout.kube.apply import Applier, Unchanged, seen
from modelrollout.kube.errors import Invalid, NotFound, Unavailable
from modelrollout.kube.events import Events, Regarding
from modelrollout.kube.guard import Guarded
from modelrollout.kube.kinds import AUTOSCALER, DEPLOYMENT, EVENT, LEASE, SERVICE, Ref
from modelrollout.kube.lease import Lease, LeaseTimes
from modelrollout.kube.pods import read_pods
from modelrollout.kube.projection import desired_digest, observed_digest
from modelrollout.runtime.clock import SystemClock
from modelrollout.workload.canonical import canonical, quantity
from tests.api.kubectl import until
from tests.fakes.loop import in_loop

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

# fmt: off
QUANTITIES = (
    "0.5", "500m", "1000m", "1500m", "100m", "0.1", "1.", ".5", "+2", "0", "0m", "0Gi", "1024Mi", "1536Mi",
    "1.5Gi", "0.5Gi", "0.1Gi", "1024", "1000", "1000000", "1500k", "2000M", "1023Ki", "0.5Ki", "1e3",
    "12e4", "1.5e3", "1E", "1E3", "100n", "0.1n", "1u", "3.25", "7", "64Ki", "2.5Ti", "999999999",
    "1048576", "1048576Ki", "123456789m", "0.001", "1e-3", "1.250", "2.125",
)
# fmt: on


async def eventually(condition, what, seconds=30):
    deadline = time.monotonic() + seconds
    while not (found := await condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        await asyncio.sleep(0.05)
    return found


def pod_template(labels, **container):
    return {
        "metadata": {"labels": labels},
        "spec": {"containers": [{"name": "server", "image": "registry.example.com/m:1", **container}]},
    }


def deployment(namespace, name, replicas=1, annotations=None, **container):
    labels = {"app": name}
    template = pod_template(labels, **container)
    if annotations:
        template["metadata"]["annotations"] = annotations
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template},
    }


@in_loop
async def test_the_server_means_the_same_by_each_quantity_and_leaves_our_spelling_alone(cluster, space):
    async def stored(api, texts):
        manifest = deployment(space.namespace, "quantities", replicas=0)
        sizes = [{"name": f"v{n}", "emptyDir": {"sizeLimit": text}} for n, text in enumerate(texts)]
        manifest["spec"]["template"]["spec"]["volumes"] = sizes
        raw = await api.apply(manifest, dry_run=True)
        return [volume["emptyDir"]["sizeLimit"] for volume in raw["spec"]["template"]["spec"]["volumes"]]

    ours = [quantity(text) for text in QUANTITIES]
    async with cluster.client() as api:
        assert await stored(api, ours) == ours
        # It keeps a few spellings that are not the canonical one, such as 1.250 and +2.
        assert [quantity(text) for text in await stored(api, QUANTITIES)] == ours


FULL_CONTAINER = {
    "imagePullPolicy": "",
    "command": [],
    "args": ["--port", "8000"],
    "workingDir": "",
    "env": [
        {"name": "EMPTY", "value": ""},
        {"name": "LIMIT", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1024Ki"}}},
        {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "requests.cpu", "containerName": ""}}},
        {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name", "apiVersion": ""}}},
        {"name": "ZONE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['zone']"}}},
        {"name": "CM", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}},
        {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k", "optional": False}}},
    ],
    "envFrom": [{"prefix": "", "configMapRef": {"name": "c"}}],
    "ports": [{"name": "http", "containerPort": 8000, "hostPort": 0}, {"containerPort": 8000, "protocol": "UDP"}],
    "resources": {
        "requests": {"cpu": 0.5, "memory": "1024Mi", "example.com/gpu": 1},
        "limits": {"memory": "2048Mi", "cpu": "1500m", "example.com/gpu": "1"},
    },
    "volumeMounts": [{"name": "tmp", "mountPath": "/tmp", "readOnly": False, "subPath": ""}],
    "readinessProbe": {
        "httpGet": {"path": "/health", "port": 8000, "scheme": ""},
        "initialDelaySeconds": 0,
        "failureThreshold": 0,
        "timeoutSeconds": 2,
    },
    "startupProbe": {"httpGet": {"path": "/health", "port": "http"}, "periodSeconds": 5, "failureThreshold": 180},
    "lifecycle": {"preStop": {"sleep": {"seconds": 5}}},
    "securityContext": {"runAsNonRoot": True, "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    "terminationMessagePolicy": "FallbackToLogsOnError",
    "stdin": False,
    "tty": False,
}


@in_loop
async def test_a_pod_template_with_zeros_defaults_and_odd_spellings_is_seen_as_wanted(cluster, space):
    manifest = deployment(space.namespace, "full", replicas=0, **FULL_CONTAINER)
    manifest["metadata"]["annotations"] = {"empty": ""}
    manifest["spec"] |= {"paused": False, "minReadySeconds": 0, "progressDeadlineSeconds": 900}
    manifest["spec"]["strategy"] = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 0}}
    manifest["spec"]["template"]["spec"] |= {
        "hostNetwork": False,
        "nodeSelector": {},
        "securityContext": {},
        "tolerations": [{"key": "gpu", "operator": "Exists", "value": "", "effect": ""}, {"key": "a", "value": "b"}],
        "affinity": {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}]
                }
            }
        },
        "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["a"]}],
        "terminationGracePeriodSeconds": 30,
        "imagePullSecrets": [{"name": "regcred"}],
        "serviceAccountName": "",
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "zone",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": {"app": "full"}},
            }
        ],
        "volumes": [
            {"name": "tmp", "emptyDir": {}},
            {
                "name": "all",
                "projected": {
                    "sources": [
                        {"serviceAccountToken": {"path": "token", "audience": ""}},
                        {"configMap": {"name": "c", "items": [{"key": "a", "path": "b"}]}},
                        {"downwardAPI": {"items": [{"path": "l", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
                    ]
                },
            },
            {"name": "down", "downwardAPI": {"items": [{"path": "l", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
            {"name": "secret", "secret": {"secretName": "s", "items": [{"key": "a", "path": "b", "mode": 256}]}},
            {"name": "cm", "configMap": {"name": "c", "optional": False, "defaultMode": 420}},
            {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "1024Mi"}},
        ],
        "initContainers": [{"name": "fetch", "image": "f:1", "resources": {"limits": {"cpu": "0.10"}}}],
    }
    desired = canonical(manifest)
    async with cluster.client() as api:
        raw = await api.apply(desired)
        assert observed_digest(raw) == desired_digest(desired)


@in_loop
async def test_services_and_autoscalers_are_seen_as_wanted(cluster, space):
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "s", "namespace": space.namespace, "labels": {"a": "b"}},
        "spec": {
            "type": "ClusterIP",
            "publishNotReadyAddresses": False,
            "selector": {"app": "x"},
            "ports": [
                {"name": "http", "port": 80, "targetPort": 8000},
                {"name": "metrics", "port": 9, "targetPort": "m", "protocol": ""},
            ],
        },
    }
    target = {"type": "AverageValue", "averageValue": "1000m"}
    cpu = {"type": "Utilization", "averageUtilization": 70}
    scaler = {
        "apiVersion": AUTOSCALER.api_version,
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "h", "namespace": space.namespace},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"},
            "minReplicas": 1,
            "maxReplicas": 5,
            "metrics": [
                {"type": "Resource", "resource": {"name": "cpu", "target": cpu}},
                {"type": "Pods", "pods": {"metric": {"name": "rps"}, "target": target}},
            ],
        },
    }
    async with cluster.client() as api:
        for manifest in (service, scaler):
            desired = canonical(manifest)
            raw = await api.apply(desired)
            assert observed_digest(raw) == desired_digest(desired), manifest["kind"]


@in_loop
async def test_kubectl_edits_scales_and_restarts_are_told_apart(cluster, space):
    desired = canonical(deployment(space.namespace, "d", replicas=1))
    where = Ref(DEPLOYMENT, space.namespace, "d")
    async with cluster.client() as api:
        await api.apply(desired)
        space.ok("rollout", "restart", "deployment/d")
        space.ok("annotate", "deployment/d", "note=mine")
        raw = await api.get(where)
        assert isinstance(await Applier(api).ensure(desired, seen(raw), owner=""), Unchanged)
        space.ok("set", "image", "deployment/d", "server=registry.example.com/m:2")
        assert observed_digest(await api.get(where)) != desired_digest(desired)
        await api.apply(desired, force=True)
        space.ok("scale", "deployment/d", "--replicas=2")
        assert observed_digest(await api.get(where)) != desired_digest(desired)
        raw = await api.apply(desired, force=True)
        assert observed_digest(raw) == desired_digest(desired)
        assert "kubectl.kubernetes.io/restartedAt" in raw["spec"]["template"]["metadata"]["annotations"]


@in_loop
async def test_a_field_that_the_server_does_not_know_is_refused_by_name(cluster, space):
    manifest = deployment(space.namespace, "d", readinesProbe={"httpGet": {"port": 80}})
    async with cluster.client() as api:
        with pytest.raises((Invalid, Unavailable), match="readinesProbe"):
            await api.apply(manifest)


@in_loop
async def test_a_list_comes_in_pages_of_one_version(cluster, space):
    async with cluster.client() as api:
        for n in range(5):
            spec = {"selector": {"a": "b"}, "ports": [{"port": 80}]}
            metadata = {"name": f"s{n}", "namespace": space.namespace}
            await api.apply({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})
        pages = [page async for page in api.pages(SERVICE, namespace=space.namespace, limit=2)]
        assert [len(page.items) for page in pages] == [2, 2, 1]
        assert len({page.resource_version for page in pages}) == 1
        at_hand = await api.list(SERVICE, namespace=space.namespace, resource_version="0")
        assert len(at_hand.items) == 5


@in_loop
async def test_two_processes_share_a_lease_and_the_second_leads_when_it_is_given_back(cluster, space):
    clock, where = SystemClock(), Ref(LEASE, space.namespace, "leader")
    times = LeaseTimes(duration=3, deadline=2, retry=0.3)
    async with cluster.client(timeout=1.5) as first, cluster.client(timeout=1.5) as second:
        lost = []
        one = Lease(first, where, "one", clock, rng=random.Random(1), times=times)
        two = Lease(second, where, "two", clock, rng=random.Random(2), times=times)
        leading = asyncio.create_task(one.run(lambda: lost.append("one")))
        await asyncio.wait_for(one.acquired.wait(), 20)
        waiting = asyncio.create_task(two.run(lambda: lost.append("two")))
        renewed = (await first.get(where))["spec"]["renewTime"]

        async def renewed_again():
            assert not (one.held() and two.held())
            return (await first.get(where))["spec"]["renewTime"] > renewed

        await eventually(renewed_again, "the leader renews")
        leading.cancel()
        await asyncio.wait({leading})
        await one.release()
        await asyncio.wait_for(two.acquired.wait(), 2)
        assert two.held()
        assert not one.held()
        assert (await first.get(where))["spec"]["leaseTransitions"] == 1
        # The second loses it by force, and its writes stop.
        space.ok("patch", "lease/leader", "--type=merge", '-p={"spec":{"holderIdentity":"admin"}}')
        await asyncio.wait_for(waiting, 10)
        assert lost == ["two"]
        with pytest.raises(Exception, match="does not hold the lease"):
            await Guarded(second, two).delete(where)


@in_loop
async def test_events_are_taken_by_the_server_and_shown_by_kubectl(cluster, space):
    clock = SystemClock()
    async with cluster.client() as api:
        raw = await api.apply(deployment(space.namespace, "d", replicas=0))
        dropped = []
        events = Events(api, clock, "test", on_drop=lambda: dropped.append(1))
        task = asyncio.create_task(events.run())
        for note in ("0 % → 5 % (step 1 of 4)", "again", "again", "x" * 5_000):
            events.record(Regarding.of(raw), "Warning", "RolledBack", "Rollback", note)

        async def written():
            found = (await api.list(EVENT, namespace=space.namespace)).items
            return [event for event in found if event["reason"] == "RolledBack"] if len(found) >= 3 else []

        found = await eventually(written, "three Events")
        counts = {event["note"][:5]: event.get("series", {}).get("count") for event in found}
        await eventually(lambda: series_of_two(api, space.namespace), "the series")
        task.cancel()
        assert dropped == []
        assert set(counts) == {"0 % →", "again", "xxxxx"}
    described = space.ok("describe", "deployment", "d")
    assert "RolledBack" in described
    assert "0 % → 5 % (step 1 of 4)" in described


async def series_of_two(api, namespace):
    found = (await api.list(EVENT, namespace=namespace)).items
    return [event for event in found if (event.get("series") or {}).get("count") == 2]


@pytest.mark.parametrize(
    ("behavior", "told"),
    [
        ("ready", lambda pod: pod.ready_since is not None and pod.phase == "Running" and not pod.waiting_reason),
        ("never-ready", lambda pod: pod.ready_since is None and pod.phase == "Running"),
        ("crash-loop", lambda pod: pod.restarts >= 1 and pod.container == "server" and pod.exit_code == 1),
        ("image-pull-error", lambda pod: "registry.example.com/m:1" in pod.image_trouble),
    ],
)
@in_loop
async def test_pods_tell_why_they_are_not_ready(cluster, space, behavior, told):
    manifest = deployment(space.namespace, "d", annotations={"modelrollout.dev/kwok-behavior": behavior})
    async with cluster.client() as api:
        await api.apply(manifest)

        async def seen_so():
            pods = await read_pods(api, space.namespace, "app=d")
            return len(pods) == 1 and told(pods[0])

        await eventually(seen_so, behavior, seconds=60)
        (pod,) = await read_pods(api, space.namespace, "app=d")
        assert pod.name.startswith("d-")
        assert abs(pod.created - time.time()) < 120


def test_a_missing_namespace_and_a_missing_kind_are_both_not_found(cluster, space):
    async def run():
        async with cluster.client() as api:
            with pytest.raises(NotFound):
                await api.get(Ref(DEPLOYMENT, "no-such-namespace", "d"))

    asyncio.run(run())
    until(lambda: space("get", "namespace", space.namespace).code == 0, "the namespace is there")
