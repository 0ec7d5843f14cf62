import collections
import contextlib
import itertools
import json
import logging
import random
import threading
import time

import pytest
from fastapi.testclient import TestClient
from modelserver import loading
from modelserver.app import create_app
from modelserver.faults import FaultInjector, Faults
from modelserver.settings import Settings
from modelserver.telemetry import BUCKETS, JsonFormatter
from prometheus_client.parser import text_string_to_metric_families

FEATURES = {"features": [5.1, 3.5, 1.4, 0.2]}


def until(condition, *, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "the condition did not come true in time"
        threading.Event().wait(0.005)
    return value


@contextlib.contextmanager
def serve(path, *, wait=True, seed=1, **faults):
    settings = Settings(path=path, faults=Faults(**faults))
    last_words = []
    app = create_app(settings, last_words.append, injector=FaultInjector(settings.faults, random.Random(seed)))
    with TestClient(app, raise_server_exceptions=False) as client:
        client.last_words = last_words
        if wait:
            until(lambda: client.get("/health").status_code == 200)
        yield client


def samples(client, name):
    families = text_string_to_metric_families(client.get("/metrics").text)
    return {
        tuple(sorted(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
        if sample.name == name
    }


def requests_counted(client, handler):
    counted = collections.Counter()
    for labels, value in samples(client, "http_requests_total").items():
        if dict(labels)["handler"] == handler:
            counted[dict(labels)["status"]] += value
    return +counted


@pytest.fixture(scope="module")
def client(model_path):
    with serve(model_path) as client:
        yield client


def test_a_prediction_names_class_probability_and_version(client):
    answer = client.post("/predict", json=FEATURES)
    assert answer.status_code == 200
    assert answer.json() == {"prediction": 0, "probability": pytest.approx(0.98, abs=0.02), "model_version": "7"}


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ('{"features": [1, 2, 3]}', "features: expected 4 values (sepal length (cm), sepal width (cm), "),
        ('{"features": [1, 2, 3, 4, 5]}', "got 5"),
        ('{"features": []}', "got 0"),
        ('{"features": [1, 2, 3, "4"]}', "features.3: Input should be a valid number"),
        ('{"features": [1, 2, 3, true]}', "features.3: Input should be a valid number"),
        ('{"features": [1, 2, 3, NaN]}', "features.3: Input should be a finite number"),
        ('{"features": [1, 2, 3, 1e999]}', "features.3: Input should be a finite number"),
        ('{"features": [1e308, 1e308, -1e308, 1e308]}', "too large"),
        ('{"feature": [1, 2, 3, 4]}', "features: Field required; feature: Extra inputs are not permitted"),
        ("[1, 2, 3, 4]", "body: "),
        ("{", "JSON decode error"),
        ("", "Field required"),
    ],
)
def test_a_question_that_cannot_be_answered_gets_422_and_the_reason(client, body, detail):
    answer = client.post("/predict", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert detail in answer.json()["detail"]


def test_health_says_healthy_with_the_version_once_loaded(client):
    answer = client.get("/health")
    assert answer.status_code == 200
    assert answer.json() == {"status": "healthy", "model_loaded": True, "version": "7"}


def test_until_the_model_is_loaded_only_liveness_is_good(model_path, monkeypatch):
    may_load = threading.Event()
    load = loading.load

    def slow_load(settings):
        assert may_load.wait(30)
        return load(settings)

    monkeypatch.setattr(loading, "load", slow_load)
    with serve(model_path, wait=False) as client:
        assert client.get("/livez").status_code == 200
        health = client.get("/health")
        assert health.status_code == 503
        assert health.json() == {"status": "loading", "model_loaded": False, "version": None}
        refused = client.post("/predict", json=FEATURES)
        assert (refused.status_code, refused.json()["detail"]) == (503, "the model is not loaded yet")
        assert refused.headers["Retry-After"] == "1"
        assert samples(client, "model_info") == {}
        may_load.set()
        until(lambda: client.get("/health").status_code == 200)
        assert client.post("/predict", json=FEATURES).status_code == 200


def test_a_load_delay_by_fault_keeps_the_server_unready_and_does_not_hold_up_its_end(model_path):
    began = time.monotonic()
    with serve(model_path, wait=False, load_seconds=3_600) as client:
        assert client.get("/health").status_code == 503
        assert client.get("/livez").status_code == 200
    assert time.monotonic() - began < 60


def test_a_model_that_is_missing_ends_the_process_with_its_path(tmp_path):
    with serve(tmp_path / "none.pkl", wait=False) as client:
        assert until(lambda: client.last_words) == [f"FileNotFoundError: {tmp_path}/none.pkl"]


def test_the_load_crash_fault_reads_like_a_missing_file(model_path):
    with serve(model_path, wait=False, load_crash=True) as client:
        assert until(lambda: client.last_words) == ["FileNotFoundError: /models/model.pkl"]


def test_the_error_share_is_the_share_of_predictions_answered_500(model_path):
    with serve(model_path, error_share=0.2) as client:
        statuses = [client.post("/predict", json=FEATURES).status_code for _ in range(400)]
        assert set(statuses) == {200, 500}
        assert 50 <= statuses.count(500) <= 110
        counted = requests_counted(client, "/predict")
        assert counted == {"200": statuses.count(200), "500": statuses.count(500)}
        assert client.get("/health").status_code == 200


def test_an_error_share_of_one_fails_every_prediction_and_no_probe(model_path):
    with serve(model_path, error_share=1.0) as client:
        assert {client.post("/predict", json=FEATURES).status_code for _ in range(20)} == {500}
        assert client.get("/livez").status_code == client.get("/health").status_code == 200


def test_added_latency_hits_its_share_and_shows_in_the_histogram(model_path):
    with serve(model_path, latency=0.06, latency_share=0.5) as client:
        for _ in range(20):
            assert client.post("/predict", json=FEATURES).status_code == 200
        buckets = {
            float(dict(labels)["le"]): value
            for labels, value in samples(client, "http_request_duration_seconds_bucket").items()
            if dict(labels)["handler"] == "/predict"
        }
    assert buckets[float("inf")] == 20
    slow = 20 - buckets[0.05]
    assert 4 <= slow <= 16


def test_requests_beyond_the_crash_count_end_the_process(model_path):
    with serve(model_path, crash_after_requests=3) as client:
        for _ in range(3):
            client.post("/predict", json=FEATURES)
        assert client.last_words == []
        client.post("/predict", json=FEATURES)
        assert "FAULT_CRASH_AFTER" in client.last_words[0]


def test_the_crash_by_time_needs_no_request(model_path):
    with serve(model_path, wait=False, crash_after_seconds=0.01) as client:
        assert until(lambda: client.last_words) == ["FAULT_CRASH_AFTER: 0.01 s are over"]


def test_probes_scrapes_and_predictions_are_counted_under_their_own_handler(model_path):
    with serve(model_path, wait=False) as client:
        until(lambda: client.get("/health").status_code == 200)
        client.post("/predict", json=FEATURES)
        client.post("/predict", json={"features": []})
        client.get("/livez")
        client.get("/metrics")
        client.get("/predict")
        client.get("/some/scanner/path")
        client.request("BREW", "/another")
        assert requests_counted(client, "/predict") == {"200": 1, "422": 1, "405": 1}
        assert requests_counted(client, "/livez") == {"200": 1}
        assert requests_counted(client, "none") == {"404": 2}
        assert requests_counted(client, "/health")["200"] == 1
        assert requests_counted(client, "/metrics")["200"] >= 1
        methods = {dict(labels)["method"] for labels in samples(client, "http_requests_total")}
        assert methods == {"GET", "POST", "none"}


def test_the_series_of_predictions_exist_before_the_first_request(model_path):
    with serve(model_path, wait=False) as client:
        counted = samples(client, "http_requests_total")
        assert {(value, dict(labels)["status"]) for labels, value in counted.items()} >= {(0, "200"), (0, "500")}
        le = {dict(labels)["le"] for labels in samples(client, "http_request_duration_seconds_bucket")}
        assert le == {f"{bound}" for bound in BUCKETS} | {"+Inf"}


def test_the_buckets_resolve_ten_milliseconds_to_five_seconds():
    assert {0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0} <= set(BUCKETS)
    inner = [bound for bound in BUCKETS if 0.01 <= bound <= 5]
    assert all(high / low <= 2.5 for low, high in itertools.pairwise(inner))


def test_the_loaded_model_is_named_in_the_metrics(client):
    assert samples(client, "model_info") == {(("name", "iris"), ("version", "7")): 1.0}


def test_a_failed_request_is_one_json_line_with_its_cause(model_path, caplog):
    with serve(model_path, error_share=1.0) as client, caplog.at_level(logging.ERROR):
        answer = client.post("/predict", json=FEATURES)
    assert answer.json() == {"detail": "internal error", "model_version": "7"}
    (record,) = [record for record in caplog.records if record.name == "modelserver.telemetry"]
    line = json.loads(JsonFormatter().format(record))
    assert (line["level"], line["handler"], line["method"], line["status"]) == ("error", "/predict", "POST", 500)
    assert line["error"] == "InjectedError: FAULT_ERROR_SHARE=1 chose this request"
    assert line["time"].endswith("+00:00")
