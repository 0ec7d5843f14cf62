"""A cluster whose admission rewrites our objects: a sidecar is put in, and images are taken from a mirror."""

import asyncio
import json
import time

import pytest

from modelrollout.kube.apply import Applied, Applier, Unchanged, seen
from modelrollout.kube.errors import Conflict
from modelrollout.kube.kinds import DEPLOYMENT, Ref
from modelrollout.kube.projection import desired_digest, observed_digest
from modelrollout.workload.canonical import canonical
from tests.fakes.loop import in_loop

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

MIRROR = "mirror.example.com/model:1"
SIDECAR = """Object{spec: Object.spec{template: Object.spec.template{spec: Object.spec.template.spec{
  containers: [Object.spec.template.spec.containers{name: "proxy", image: "proxy:1"}]}}}}"""
REWRITE = f"""[JSONPatch{{op: "replace", path: "/spec/template/spec/containers/0/image", value: "{MIRROR}"}}]"""


@pytest.fixture
def admission(cluster, space):
    """Changes every Deployment of the test's namespace as it comes in."""
    api, name = "admissionregistration.k8s.io/v1", f"rewrite-{space.namespace}"
    policy = {
        "apiVersion": api,
        "kind": "MutatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": {
            "failurePolicy": "Fail",
            "reinvocationPolicy": "Never",
            "matchConstraints": {
                "resourceRules": [
                    {
                        "apiGroups": ["apps"],
                        "apiVersions": ["v1"],
                        "resources": ["deployments"],
                        "operations": ["CREATE", "UPDATE"],
                    }
                ]
            },
            "mutations": [
                {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": SIDECAR}},
                {"patchType": "JSONPatch", "jsonPatch": {"expression": REWRITE}},
            ],
        },
    }
    here = {"matchLabels": {"kubernetes.io/metadata.name": space.namespace}}
    binding = {
        "apiVersion": api,
        "kind": "MutatingAdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": {"policyName": name, "matchResources": {"namespaceSelector": here}},
    }
    space.ok("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": [policy, binding]}))
    yield
    space.ok("delete", "mutatingadmissionpolicybinding,mutatingadmissionpolicy", name)


def deployment(namespace, replicas):
    labels = {"app": "d"}
    containers = [{"name": "server", "image": "registry.example.com/model:1"}]
    return canonical(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "d", "namespace": namespace},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}},
            },
        }
    )


def images(raw):
    return {container["name"]: container["image"] for container in raw["spec"]["template"]["spec"]["containers"]}


@in_loop
async def test_what_admission_rewrites_is_accepted_and_neither_fought_over_nor_restarted(cluster, space, admission):
    where, deadline = Ref(DEPLOYMENT, space.namespace, "d"), time.monotonic() + 60
    async with cluster.client() as api:
        desired = deployment(space.namespace, 0)
        while images(await api.apply(desired, dry_run=True)).get("proxy") is None:
            assert time.monotonic() < deadline, "the policy does not take effect"
            await asyncio.sleep(0.1)
        applier = Applier(api)
        first = await applier.ensure(desired, None, owner="")
        assert images(first.raw) == {"server": MIRROR, "proxy": "proxy:1"}
        assert observed_digest(first.raw) != desired_digest(desired)
        for _ in range(3):
            assert isinstance(await applier.ensure(desired, seen(await api.get(where)), owner=""), Unchanged)
        # A change of ours goes through and is settled by one write again; the template's generation does not move.
        wish = deployment(space.namespace, 2)
        done = await settled(api, applier, wish, where)
        assert done.raw["spec"]["replicas"] == 2
        assert images(done.raw) == images(first.raw)
        assert isinstance(await applier.ensure(wish, seen(await api.get(where)), owner=""), Unchanged)
        # A restarted operator has forgotten what it accepted: one write that changes nothing, then none.
        again = await settled(api, Applier(api), wish, where)
        assert again.raw["metadata"]["generation"] == done.raw["metadata"]["generation"]


async def settled(api, applier, desired, where):
    deadline = time.monotonic() + 20
    while True:
        try:
            outcome = await applier.ensure(desired, seen(await api.get(where)), owner="")
        except Conflict:  # the Deployment's controller wrote its status meanwhile
            assert time.monotonic() < deadline
        else:
            assert isinstance(outcome, Applied)
            return outcome
