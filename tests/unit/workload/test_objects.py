"""The children of a ModelDeployment."""

import copy
from dataclasses import replace

import pytest

from modelrollout.api.server import Autoscaling, EntryService
from modelrollout.workload import objects
from modelrollout.workload.identity import Owner
from modelrollout.workload.render import accept

OWNER = Owner("ml", "fraud", "6a3c")


@pytest.fixture
def record(spec, settings):
    return accept(spec, settings, "fraud").record


@pytest.fixture
def other(spec, settings):
    return accept(spec | {"version": "3"}, settings, "fraud").record


def test_a_deployment_is_the_records_template_with_a_number_of_pods(record):
    built = objects.deployment(OWNER, record, 3, load_deadline=900)
    assert built["metadata"]["name"] == f"fraud-{record.revision}"
    assert built["spec"]["replicas"] == 3
    assert built["spec"]["template"] == record.template
    labels = built["spec"]["template"]["metadata"]["labels"]
    assert built["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert built["spec"]["progressDeadlineSeconds"] > 900


def test_a_restart_never_takes_a_pod_away_before_its_successor_is_ready(record):
    strategy = objects.deployment(OWNER, record, 1, load_deadline=1)["spec"]["strategy"]
    assert strategy == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}


def test_replicas_are_left_out_where_an_autoscaler_owns_them(record):
    assert "replicas" not in objects.deployment(OWNER, record, None, load_deadline=1)["spec"]


def test_no_pods_is_a_number_of_pods(record):
    assert objects.deployment(OWNER, record, 0, load_deadline=1)["spec"]["replicas"] == 0


def test_building_changes_no_record_and_is_repeatable(record):
    before = copy.deepcopy(record)
    one = objects.deployment(OWNER, record, 1, load_deadline=1)
    assert one == objects.deployment(OWNER, record, 1, load_deadline=1)
    assert record == before


def test_a_revisions_service_depends_on_its_record_alone(record):
    spec = objects.revision_service(OWNER, record)["spec"]
    assert spec["ports"] == [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8000}]
    assert spec["selector"]["modelrollout.dev/revision"] == record.revision


def test_the_entry_service_leads_to_one_revision_or_to_all_pods_or_to_none(record, other):
    def selector(*records):
        return objects.entry_service(OWNER, None, records)["spec"]["selector"]

    assert selector(record) == {"modelrollout.dev/deployment": "fraud", "modelrollout.dev/revision": record.revision}
    assert selector(record, other) == {"modelrollout.dev/deployment": "fraud"}
    assert selector() == {"modelrollout.dev/deployment": "fraud", "modelrollout.dev/revision": "none"}


def test_the_entry_service_is_as_the_spec_asks(record):
    asked = EntryService.model_validate(
        {
            "name": "api",
            "type": "LoadBalancer",
            "annotations": {"a": "b"},
            "ports": [
                {"name": "http", "port": 8080},
                {"name": "grpc", "port": 9000, "targetPort": 9001, "appProtocol": "kubernetes.io/h2c"},
            ],
        }
    )
    built = objects.entry_service(OWNER, asked, [record])
    assert built["metadata"]["name"] == "api"
    assert built["metadata"]["annotations"] == {"a": "b"}
    assert built["spec"]["type"] == "LoadBalancer"
    assert built["spec"]["ports"] == [
        {"name": "http", "port": 8080, "protocol": "TCP", "targetPort": 8000},
        {"name": "grpc", "port": 9000, "protocol": "TCP", "targetPort": 9001, "appProtocol": "kubernetes.io/h2c"},
    ]
    assert "clusterIP" not in built["spec"]


def test_versions_on_different_ports_are_reached_by_the_ports_name(record, other):
    moved = replace(other, port=9000)
    built = objects.entry_service(OWNER, None, [record, moved])
    assert built["spec"]["ports"][0]["targetPort"] == "http"


def test_the_preview_leads_to_the_candidate_and_without_one_to_nothing(record):
    built = objects.preview_service(OWNER, None, record)
    assert built["metadata"]["name"] == "fraud-preview"
    assert built["spec"]["selector"]["modelrollout.dev/revision"] == record.revision
    nobody = objects.preview_service(OWNER, None, None)["spec"]["selector"]
    assert nobody["modelrollout.dev/revision"] == "none"


def test_one_pod_monitor_finds_the_pods_of_all_revisions(record, other):
    built = objects.pod_monitor(OWNER, [record, replace(other, metrics_port=9100)])
    assert built["spec"]["selector"]["matchLabels"] == {"modelrollout.dev/deployment": "fraud"}
    assert built["spec"]["podMetricsEndpoints"] == [
        {"portNumber": 8000, "path": "/metrics"},
        {"portNumber": 9100, "path": "/metrics"},
    ]
    assert objects.pod_monitor(OWNER, [replace(record, metrics_path=None)]) is None


def test_an_autoscaler_never_goes_below_what_the_share_needs(record):
    asked = Autoscaling.model_validate({"minReplicas": 2, "maxReplicas": 5})
    built = objects.hpa(OWNER, record, asked, 4)["spec"]
    assert (built["minReplicas"], built["maxReplicas"]) == (4, 5)
    assert built["scaleTargetRef"] == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": f"fraud-{record.revision}",
    }
    assert built["metrics"][0]["resource"]["target"] == {"type": "Utilization", "averageUtilization": 80}
    assert objects.hpa(OWNER, record, asked, 9)["spec"]["maxReplicas"] == 9


def test_an_autoscalers_metrics_and_behavior_are_the_persons(record):
    metric = {
        "type": "Pods",
        "pods": {"metric": {"name": "rps"}, "target": {"type": "AverageValue", "averageValue": "10"}},
    }
    behavior = {"scaleDown": {"stabilizationWindowSeconds": 60}}
    asked = Autoscaling.model_validate({"minReplicas": 1, "maxReplicas": 5, "metrics": [metric], "behavior": behavior})
    built = objects.hpa(OWNER, record, asked, 1)["spec"]
    assert (built["metrics"], built["behavior"]) == ([metric], behavior)
