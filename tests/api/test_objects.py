"""What we build is what the API server stores, field by field, so that a second look finds nothing to do."""

import asyncio
from pathlib import Path

import pytest
import yaml

from modelrollout.api.server import Autoscaling, EntryService
from modelrollout.api.settings import RouterName, Settings
from modelrollout.api.traffic import Traffic
from modelrollout.kube.kinds import KINDS
from modelrollout.kube.projection import desired_digest, observed_digest
from modelrollout.traffic.base import RouteIntent
from modelrollout.traffic.routers import OBJECT_ROUTERS, router_for
from modelrollout.workload import objects
from modelrollout.workload.identity import Owner
from modelrollout.workload.records import PlanRecord, RevisionRecord
from modelrollout.workload.render import accept, render
from tests.api.routers import define_routers
from tests.unit.traffic.specs import SPECS

pytestmark = pytest.mark.cluster

GOLDEN = Path(__file__).parents[1] / "golden"
SETTINGS = Settings.model_validate({"providers": [{"url": "http://prometheus:9090"}], "routers": list(RouterName)})
ABSENT = "(absent)"
UID = "4b2ac1a1-7d6f-4c1e-9b1e-3a5a7a9d2f10"


def differences(sent, stored, path=""):
    """Where the stored object says something else than what was sent.

    What only the server says is no difference, and neither is a zero that it does not store.
    """
    if isinstance(sent, dict) and isinstance(stored, dict):
        return [
            found
            for name, value in sent.items()
            for found in differences(value, stored.get(name, ABSENT), f"{path}.{name}")
        ]
    if isinstance(sent, list) and isinstance(stored, list) and len(sent) == len(stored):
        return [
            found
            for index, (one, other) in enumerate(zip(sent, stored, strict=True))
            for found in differences(one, other, f"{path}[{index}]")
        ]
    return [] if sent == stored or (stored == ABSENT and not sent) else [f"{path}: sent {sent!r}, stored {stored!r}"]


def answers(cluster, manifests):
    """What the server would store of each manifest; kinds that it does not know are left out."""

    async def ask():
        async with cluster.client() as client:
            known = [made for made in manifests if await client.serves(KINDS[made["apiVersion"], made["kind"]])]
            return [(made, await client.apply(made, dry_run=True)) for made in known]

    return asyncio.run(ask())


def hold(cluster, manifests, *, kinds):
    found = answers(cluster, manifests)
    assert {made["kind"] for made, _ in found} >= kinds
    for sent, stored in found:
        where = f"{sent['kind']} {sent['metadata']['name']}"
        assert differences(sent, stored) == [], where
        assert observed_digest(stored) == desired_digest(sent), where


@pytest.mark.parametrize("name", sorted(path.name for path in GOLDEN.glob("*.in.yaml")))
def test_all_objects_of_a_spec_come_back_as_they_were_sent(cluster, space, name):
    resource = yaml.safe_load((GOLDEN / name).read_text())
    made = render(resource["metadata"]["name"], space.namespace, resource["spec"], SETTINGS)
    hold(cluster, made, kinds={"Deployment", "Service", "ControllerRevision"})


@pytest.mark.parametrize("name", sorted(SPECS))
def test_the_objects_of_every_router_come_back_as_they_were_sent(cluster, space, name):
    define_routers(cluster.kubectl)
    records = [accept(spec | {"traffic": SPECS[name]}, SETTINGS, "fraud").record for spec in TWO]
    weights = dict(zip((record.revision for record in records), (9_950, 50), strict=True))
    intent = RouteIntent(
        Owner(space.namespace, "fraud", UID),
        weights,
        {record.revision: record for record in records},
        Traffic.model_validate(SPECS[name]),
        candidate=records[1].revision,
    )
    made = OBJECT_ROUTERS[name].build(intent)
    hold(cluster, made, kinds={kind for _, kind in OBJECT_ROUTERS[name].kinds})


TWO = [{"server": {"image": f"fraud:{tag}"}, "analysis": {"mode": "None"}} for tag in "12"]
WIDE = {
    "version": "1.2.3+cu121",
    "model": {"name": "fraud", "uri": "s3://models/fraud", "format": "onnx"},
    "server": {
        "image": "fraud:1",
        "port": 9000,
        "command": ["serve"],
        "args": ["--fast"],
        "env": [
            {"name": "EMPTY", "value": ""},
            {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k", "optional": True}}},
            {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "requests.cpu", "divisor": "1m"}}},
        ],
        "resources": {"requests": {"cpu": 0.25, "memory": "1.5Gi"}, "limits": {"cpu": "1000m", "nvidia.com/gpu": 1}},
    },
    "template": {
        "metadata": {"labels": {"team": "risk"}, "annotations": {"a": ""}},
        "spec": {
            "containers": [
                {
                    "name": "server",
                    "imagePullPolicy": "IfNotPresent",
                    "livenessProbe": {"grpc": {"port": 9001}, "initialDelaySeconds": 0},
                    "startupProbe": {"periodSeconds": 1},
                    "ports": [{"name": "grpc", "containerPort": 9001}],
                    "volumeMounts": [{"name": "cache", "mountPath": "/cache", "readOnly": False}],
                    "lifecycle": {"postStart": {"exec": {"command": ["true"]}}},
                },
                {"name": "log", "image": "log:1", "securityContext": {"readOnlyRootFilesystem": True}},
            ],
            "initContainers": [{"name": "fetch", "image": "fetch:1", "restartPolicy": "Always"}],
            "volumes": [
                {"name": "cache", "emptyDir": {"medium": "Memory", "sizeLimit": "0.5Gi"}},
                {"name": "conf", "configMap": {"name": "c", "items": [{"key": "a", "path": "b"}]}},
                {"name": "all", "projected": {"sources": [{"secret": {"name": "s"}}]}},
            ],
            "imagePullSecrets": [{"name": "registry"}],
            "nodeSelector": {"pool": "models"},
            "serviceAccountName": "fraud",
            "terminationGracePeriodSeconds": 90,
            "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
            "topologySpreadConstraints": [
                {
                    "maxSkew": 1,
                    "topologyKey": "kubernetes.io/hostname",
                    "whenUnsatisfiable": "ScheduleAnyway",
                    "labelSelector": {"matchLabels": {"team": "risk"}},
                }
            ],
            "affinity": {"podAntiAffinity": {}},
            "securityContext": {"runAsNonRoot": True, "fsGroup": 1000},
        },
    },
    "analysis": {"mode": "None"},
    "rollout": {"loadDeadline": "24h"},
}
WIDE_TRAFFIC = {
    "gateway": {
        "parentRefs": [
            {"name": "public", "namespace": "gateways", "sectionName": "https"},
            {"name": "inner", "port": 80},
        ],
        "hostnames": ["fraud.example.com", "*.fraud.example.com"],
        "previewHostnames": ["next.example.com"],
        "pathPrefix": "/v1/fraud",
        "rewritePrefix": "/",
        "timeout": "1d1m30s",
    }
}


@pytest.fixture
def owner(space):
    return Owner(space.namespace, "f" * 36, UID)


@pytest.fixture
def records(owner):
    versions = ("1.2.3+cu121", "a-long-name-of-a-version.rc-17")
    return [accept(WIDE | {"version": version}, SETTINGS, owner.name).record for version in versions]


def test_every_field_that_we_can_write_comes_back_as_it_was_sent(cluster, owner, records):
    first, second = records
    service = EntryService.model_validate(
        {
            "type": "NodePort",
            "annotations": {"a": "b"},
            "ports": [{"name": "http", "port": 80}, {"name": "grpc", "port": 81, "targetPort": 9001}],
        }
    )
    scaling = Autoscaling.model_validate(
        {"minReplicas": 1, "maxReplicas": 4, "behavior": {"scaleDown": {"stabilizationWindowSeconds": 60}}}
    )
    weights = {first.revision: 9999, second.revision: 1}
    intent = RouteIntent(
        owner,
        weights,
        {found.revision: found for found in records},
        Traffic.model_validate(WIDE_TRAFFIC),
        service,
        candidate=second.revision,
    )
    plan = accept(WIDE | {"traffic": WIDE_TRAFFIC}, SETTINGS, owner.name).plan
    made = [
        PlanRecord.of(plan).manifest(owner),
        objects.entry_service(owner, service, records),
        objects.preview_service(owner, service, second),
        objects.hpa(owner, first, scaling, 1),
        objects.revision_service(owner, second, app_protocol="kubernetes.io/h2c"),
        *router_for(intent.traffic).build(intent),
    ]
    for record in records:
        made += [record.manifest(owner), objects.deployment(owner, record, 0, load_deadline=86_400)]
    kinds = {"Deployment", "Service", "ControllerRevision", "HTTPRoute", "HorizontalPodAutoscaler"}
    assert [one["metadata"]["name"] for one in made if one["kind"] == "HTTPRoute"] == ["f" * 36, "f" * 36 + "-preview"]
    hold(cluster, made, kinds=kinds)


def test_records_survive_the_api_server(cluster, owner, records):
    plan = accept(WIDE, SETTINGS, owner.name).plan
    (_, revision), (_, kept) = answers(cluster, [records[0].manifest(owner), PlanRecord.of(plan).manifest(owner)])
    assert RevisionRecord.parse(revision) == records[0]
    assert PlanRecord.parse(kept).plan(SETTINGS) == plan


def test_the_longest_names_still_begin_the_names_of_pods(cluster, space):
    owner = Owner(space.namespace, "f" * 36, "")
    raw = {"version": "a-long-name-of-a-version", "server": {"image": "a:1"}, "analysis": {"mode": "None"}}
    record = accept(raw, SETTINGS, owner.name).record
    made = objects.deployment(owner, record, 1, load_deadline=60)
    assert len(made["metadata"]["name"]) == 57

    async def create_and_wait():
        async with cluster.client() as client:
            await client.apply(made)
            pods = KINDS["v1", "Pod"]
            async with asyncio.timeout(60):
                while not (page := await client.list(pods, namespace=space.namespace)).items:  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
            return [pod["metadata"]["name"] for pod in page.items]

    names = asyncio.run(create_and_wait())
    assert names
    assert all(name.startswith(f"{made['metadata']['name']}-") for name in names)
