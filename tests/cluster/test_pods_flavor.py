"""Pods of the local cluster run, reach the API, are reached through the gateway and are scraped."""

import json
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import ClusterInfo, Flavor, find_info, images, make_cluster
from tests.cluster.local.objects import Kubectl

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]

PROBE = Path(__file__).parent / "fixtures" / "probe"
TAG = "modelrollout.test/probe:1"
HOST = "probe.example.com"


@pytest.fixture(scope="module")
def info() -> ClusterInfo:
    cluster = make_cluster("local", Flavor.PODS)
    info = cluster.up()
    base = images.base_image()
    wheels = images.wheelhouse(python=base.python, extra=["prometheus-client"])
    cluster.load_image(images.build(PROBE, TAG, base=base, wheels=wheels, build_args={"GREETING": "hello"}))
    return info


@pytest.fixture(scope="module")
def kubectl(info: ClusterInfo) -> Kubectl:
    return Kubectl(info.kubectl, info.kubeconfig)


@pytest.fixture(scope="module")
def namespace(kubectl: Kubectl, info: ClusterInfo) -> Iterator[str]:
    name = f"probe-{time.time_ns():x}"
    kubectl("create", "namespace", name)
    kubectl(
        "create", "-n", name, "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": server(info)})
    )
    kubectl("rollout", "status", "deployment/probe", "-n", name, "--timeout=60s", timeout=70)
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


def server(info: ClusterInfo) -> list[dict[str, Any]]:
    labels = {"app": "probe"}
    scrape = {"prometheus.io/scrape": "true", "prometheus.io/port": "8000", "prometheus.io/path": "/numbers"}
    container = {
        "name": "probe",
        "image": TAG,
        "imagePullPolicy": "IfNotPresent",
        "ports": [{"containerPort": 8000}],
        "readinessProbe": {"httpGet": {"path": "/", "port": 8000}, "periodSeconds": 1},
    }
    pod = {"metadata": {"labels": labels, "annotations": scrape}, "spec": {"containers": [container]}}
    gateway = {"name": info.gateway.name, "namespace": info.gateway.namespace}
    rule = {"backendRefs": [{"name": "probe", "port": 80}]}
    return [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "probe"},
            "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": pod},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "probe"},
            "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": 8000}]},
        },
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": {"name": "probe"},
            "spec": {"parentRefs": [gateway], "hostnames": [HOST], "rules": [rule]},
        },
    ]


def through_gateway(info: ClusterInfo, path: str) -> str:
    request = urllib.request.Request(f"{info.gateway.url}{path}", headers={"Host": HOST})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read().decode()


def query(info: ClusterInfo, expression: str) -> list[dict[str, Any]]:
    asked = urllib.parse.urlencode({"query": expression})
    with urllib.request.urlopen(f"{info.prometheus.url}/api/v1/query?{asked}", timeout=10) as answer:
        return json.load(answer)["data"]["result"]


def eventually(look, seconds=20):
    """The first true answer; errors of the network count as no answer."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            answer = look()
        except OSError as error:
            answer, last = None, error
        else:
            last = answer
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not in {seconds} s; last: {last!r}"
        time.sleep(0.1)


def test_the_gateway_reaches_a_pod_of_a_built_image(info, namespace):
    assert eventually(lambda: through_gateway(info, "/")) == "hello"


def test_a_pod_reaches_the_api_server_with_its_account(info, namespace):
    said = eventually(lambda: through_gateway(info, "/api"))
    assert json.loads(said)["gitVersion"].startswith("v1.")


def test_a_pod_reaches_prometheus_at_the_address_for_pods(info, namespace):
    said = eventually(lambda: through_gateway(info, f"/fetch?{info.prometheus.pod_url}/-/ready"))
    assert "Ready" in said


def test_a_pod_reaches_other_pods_through_a_service_many_times(info, kubectl, namespace):
    address = kubectl("get", "service", "probe", "-n", namespace, "-o", "jsonpath={.spec.clusterIP}")
    assert {through_gateway(info, f"/fetch?http://{address}/") for _ in range(20)} == {"hello"}


def test_prometheus_scrapes_annotated_pods_under_namespace_and_pod(info, kubectl, namespace):
    names = set(kubectl("get", "pods", "-n", namespace, "-o", "jsonpath={.items[*].metadata.name}").split())
    assert len(names) == 2

    def scraped():
        return {
            series["metric"]["pod"] for series in query(info, f'probe_requests_total{{namespace="{namespace}"}}')
        } == names

    eventually(scraped)
    targets = query(info, f'up{{namespace="{namespace}"}} == 1')
    assert len(targets) == 2, "one target a pod"


def test_prometheus_sees_the_requests_of_the_gateway(info, namespace):
    eventually(lambda: through_gateway(info, "/"))
    pattern = f".*{namespace}-probe-.*"
    eventually(lambda: query(info, f'traefik_service_requests_total{{service=~"{pattern}"}} > 0'))
    assert query(info, f'traefik_service_request_duration_seconds_bucket{{service=~"{pattern}",le="0.25"}}')


def test_logs_and_exec_work(kubectl, namespace):
    assert "GET / " in kubectl("logs", "deployment/probe", "-n", namespace)
    assert kubectl("exec", "deployment/probe", "-n", namespace, "--", "printenv", "GREETING").strip() == "hello"


def test_building_again_gives_the_same_archive_at_once(info):
    base = images.base_image()
    wheels = images.wheelhouse(python=base.python, extra=["prometheus-client"])
    began = time.monotonic()
    archive = images.build(PROBE, TAG, base=base, wheels=wheels, build_args={"GREETING": "hello"})
    assert archive.is_file()
    assert time.monotonic() - began < 5


def test_a_second_process_finds_the_addresses(info):
    assert find_info(info.name) == info
