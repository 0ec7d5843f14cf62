"""The objects of routers against the schemas that the routers publish. What a server adds to that is seen in tests/api."""

from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelrollout.api.traffic import Traffic
from modelrollout.traffic.base import RouteIntent
from modelrollout.traffic.routers import OBJECT_ROUTERS
from modelrollout.workload.identity import Owner
from tests.cluster.build.programs import gateway_crds, router_crds
from tests.cluster.progress import Steps
from tests.harness.structural import faults, schema_of
from tests.strategies import traffic

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

BUILT_IN = {"Ingress"}


@pytest.fixture(scope="session")
def crds() -> list[dict[str, Any]]:
    files = [artifact.provide(Steps()) / "crds.yaml" for artifact in (gateway_crds(), router_crds())]
    return [one for file in files for one in yaml.safe_load_all(file.read_text()) if one]


@pytest.fixture(scope="session")
def schemas(crds) -> dict[str, Any]:
    kinds = [kind for router in OBJECT_ROUTERS.values() for kind in router.kinds if kind[1] not in BUILT_IN]
    return {kind: schema_of(crds, version, kind) for version, kind in kinds}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    spec=traffic().filter(lambda spec: spec and "service" not in spec), weight=st.sampled_from([0, 1, 2_500, 10_000])
)
def test_whatever_is_built_is_what_the_router_has_defined(schemas, spec, weight):
    asked = Traffic.model_validate(spec)
    weights = {"1-aaaaaaaa": 10_000 - weight, "2-bbbbbbbb": weight}
    intent = RouteIntent(Owner("ml", "fraud", "6a3c"), weights, {}, asked, candidate="2-bbbbbbbb")
    for raw in OBJECT_ROUTERS[asked.router].build(intent):
        if raw["kind"] not in BUILT_IN:
            assert faults(schemas[raw["kind"]], raw) == []


def test_what_is_not_in_a_schema_is_found():
    schema = {
        "properties": {
            "spec": {"type": "object", "required": ["a"], "properties": {"a": {"type": "integer", "maximum": 2}}}
        }
    }
    assert faults(schema, {"kind": "A", "spec": {"a": 1}}) == []
    assert faults(schema, {"spec": {"a": 3, "b": 1}}) == [
        ".spec.a: 3 is out of bounds",
        ".spec.b: no such field; the server would drop it",
    ]
    assert faults(schema, {"spec": {}}) == [".spec.a: is missing"]
    assert faults(schema, {"spec": {"a": "1"}}) == [".spec.a: '1' is no integer"]
