from pathlib import Path

import pytest
from modelserver.faults import Faults, SettingError
from modelserver.settings import BAKED_IN, Settings


def test_without_any_variable_the_baked_in_model_is_served_without_faults():
    assert Settings.from_environment({}) == Settings(path=BAKED_IN, name=None, version=None, faults=Faults())


def test_empty_variables_count_as_absent():
    names = ("MODEL_URI", "MODEL_NAME", "MODEL_VERSION", "FAULT_ERROR_SHARE", "FAULT_LOAD", "FAULT_CRASH_AFTER")
    assert Settings.from_environment(dict.fromkeys(names, "")) == Settings()


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("/models/fraud/model.pkl", "/models/fraud/model.pkl"),
        ("file:///models/fraud/model.pkl", "/models/fraud/model.pkl"),
        ("file:///models/a%20b.pkl", "/models/a b.pkl"),
    ],
)
def test_a_model_uri_is_a_path_on_this_machine(uri, path):
    assert Settings.from_environment({"MODEL_URI": uri}).path == Path(path)


@pytest.mark.parametrize("uri", ["s3://models/fraud/2", "https://example.com/m", "file://elsewhere/m", "models/m.pkl"])
def test_a_model_uri_of_another_kind_is_refused_by_name(uri):
    with pytest.raises(SettingError) as refused:
        Settings.from_environment({"MODEL_URI": uri})
    assert f"MODEL_URI={uri!r}" in str(refused.value)


def test_every_fault_is_read_from_its_variable():
    environment = {
        "FAULT_ERROR_SHARE": "0.2",
        "FAULT_LATENCY": "0.5",
        "FAULT_LATENCY_SHARE": "0.25",
        "FAULT_LOAD_SECONDS": "40",
        "FAULT_LOAD": "crash",
        "FAULT_CRASH_AFTER": "500",
    }
    assert Faults.from_environment(environment) == Faults(0.2, 0.5, 0.25, 40.0, True, 500, None)
    assert Faults.from_environment({"FAULT_CRASH_AFTER": "30s"}) == Faults(crash_after_seconds=30.0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FAULT_ERROR_SHARE", "20%"),
        ("FAULT_ERROR_SHARE", "1.5"),
        ("FAULT_ERROR_SHARE", "nan"),
        ("FAULT_LATENCY", "-1"),
        ("FAULT_LATENCY", "inf"),
        ("FAULT_LATENCY_SHARE", "-0.1"),
        ("FAULT_LOAD_SECONDS", "soon"),
        ("FAULT_LOAD", "hang"),
        ("FAULT_CRASH_AFTER", "-5"),
        ("FAULT_CRASH_AFTER", "5m"),
        ("FAULT_CRASH_AFTER", "²"),
    ],
)
def test_a_fault_that_cannot_be_read_is_refused_with_its_name_and_value(name, value):
    with pytest.raises(SettingError) as refused:
        Faults.from_environment({name: value})
    assert f"{name}={value!r}: expected" in str(refused.value)
