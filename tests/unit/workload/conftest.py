"""A spec as in the documentation, and an administrator's settings."""

import copy

import pytest

from modelrollout.api.settings import Settings
from modelrollout.rollout.revision import identify, inputs
from modelrollout.workload.pod import render_template

SPEC = {
    "version": "2",
    "model": {"name": "fraud", "uri": "s3://models/fraud/2", "format": "sklearn"},
    "server": {
        "runtime": "FastAPI",
        "image": "registry.example.com/fraud:2",
        "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"memory": "2Gi"}},
    },
    "template": {
        "metadata": {"labels": {"team": "risk"}},
        "spec": {
            "containers": [{"name": "server", "readinessProbe": {"httpGet": {"path": "/ready", "port": 8000}}}],
            "nodeSelector": {"pool": "models"},
        },
    },
    "replicas": 3,
    "service": {"name": "fraud", "type": "ClusterIP", "ports": [{"name": "http", "port": 80, "targetPort": 8000}]},
    "traffic": {
        "gateway": {
            "parentRefs": [{"name": "public", "namespace": "gateways"}],
            "hostnames": ["fraud.example.com"],
            "pathPrefix": "/",
        }
    },
    "rollout": {"strategy": "Canary", "steps": [{"weight": 5, "hold": "10m"}, {"weight": 25, "hold": "30m"}]},
}


@pytest.fixture
def spec():
    return copy.deepcopy(SPEC)


@pytest.fixture
def settings():
    return Settings.model_validate({"providers": [{"url": "http://prometheus:9090"}]})


@pytest.fixture
def render(settings):
    """Renders the pod template of a raw spec."""

    def render_raw(raw, settings=settings, name="fraud"):
        return render_template(inputs(raw), identify(raw), name, settings)

    return render_raw
