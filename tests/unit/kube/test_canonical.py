import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelrollout.workload.canonical import canonical, quantity


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("0.5", "500m"),
        (0.5, "500m"),
        (1, "1"),
        ("1", "1"),
        ("1000m", "1"),
        ("1500m", "1500m"),
        ("100m", "100m"),
        ("0.1", "100m"),
        ("1.", "1"),
        (".5", "500m"),
        ("+2", "2"),
        ("-0.5", "-500m"),
        ("0", "0"),
        ("0m", "0"),
        ("0Gi", "0"),
        ("1024Mi", "1Gi"),
        ("1536Mi", "1536Mi"),
        ("1.5Gi", "1536Mi"),
        ("0.5Gi", "512Mi"),
        ("0.1Gi", "107374182400m"),
        ("1024", "1024"),
        ("1000", "1k"),
        ("1000000", "1M"),
        ("1500k", "1500k"),
        ("2000M", "2G"),
        ("1023Ki", "1023Ki"),
        ("0.5Ki", "512"),
        ("1e3", "1e3"),
        ("12e4", "120e3"),
        ("1.5e3", "1500"),
        ("1E", "1E"),
        ("1E3", "1e3"),
        ("100n", "100n"),
        ("0.1n", "1n"),
        ("1u", "1u"),
        ("much", "much"),
        ("1GiB", "1GiB"),
        ("", ""),
    ],
)
def test_a_quantity_is_written_as_the_server_stores_it(written, stored):
    assert quantity(written) == stored


@given(st.from_regex(r"\A[0-9]{1,6}(\.[0-9]{1,4})?([numkMGTPE]|[KMGTPE]i|[eE][0-9])?\Z"))
def test_a_canonical_quantity_stays_as_it_is(text):
    assert quantity(quantity(text)) == quantity(text)


def test_quantities_are_found_where_they_are_and_names_that_people_chose_are_let_alone():
    manifest = {
        "metadata": {"labels": {"sizeLimit": "1024Mi"}, "annotations": {"divisor": "1000m"}},
        "spec": {
            "selector": {"matchLabels": {"limits": "1024Mi"}},
            "template": {
                "spec": {
                    "nodeSelector": {"averageValue": "1000m"},
                    "volumes": [{"emptyDir": {"sizeLimit": "1024Mi"}}],
                    "containers": [
                        {
                            "resources": {"limits": {"memory": "1024Mi", "gpu": 1}, "requests": {"cpu": 0.25}},
                            "env": [{"name": "limits", "value": "1024Mi"}],
                        }
                    ],
                }
            },
            "metrics": [{"resource": {"target": {"averageValue": "1000m"}}}],
        },
    }
    stored = canonical(manifest)
    pod = stored["spec"]["template"]["spec"]
    assert stored["metadata"] == manifest["metadata"]
    assert stored["spec"]["selector"] == manifest["spec"]["selector"]
    assert pod["nodeSelector"] == {"averageValue": "1000m"}
    assert pod["volumes"] == [{"emptyDir": {"sizeLimit": "1Gi"}}]
    assert pod["containers"][0]["resources"] == {"limits": {"memory": "1Gi", "gpu": "1"}, "requests": {"cpu": "250m"}}
    assert pod["containers"][0]["env"] == [{"name": "limits", "value": "1024Mi"}]
    assert stored["spec"]["metrics"][0]["resource"]["target"]["averageValue"] == "1"


def test_zero_values_that_would_get_a_default_and_nulls_are_left_out_and_meaningful_ones_stay():
    container = {
        "imagePullPolicy": "",
        "command": None,
        "tty": False,
        "env": [],
        "readinessProbe": {"failureThreshold": 0},
    }
    manifest = {"spec": {"replicas": 0, "paused": False, "volumes": [{"emptyDir": {}}], "containers": [container]}}
    assert canonical(manifest) == {
        "spec": {
            "replicas": 0,
            "paused": False,
            "volumes": [{"emptyDir": {}}],
            "containers": [{"tty": False, "env": [], "readinessProbe": {}}],
        }
    }
    assert "imagePullPolicy" in manifest["spec"]["containers"][0]


def test_what_is_owned_as_one_value_is_written_out_with_its_defaults_and_without_empty_texts():
    env = [
        {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1000m"}}},
    ]
    manifest = {"env": env, "envFrom": [{"prefix": "", "configMapRef": {"name": "c"}}], "tolerations": [{"key": ""}]}
    assert canonical(manifest) == {
        "env": [
            {"name": "POD", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}},
            {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1"}}},
        ],
        "envFrom": [{"configMapRef": {"name": "c"}}],
        "tolerations": [{}],
    }
