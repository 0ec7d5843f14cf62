"""The server as a process of its own: what a container runtime sees of it."""

import concurrent.futures
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import httpx2
import pytest

from tests.unit.model_server.conftest import EXAMPLE

FEATURES = {"features": [5.1, 3.5, 1.4, 0.2]}
DEADLINE = 60


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def running(**environment):
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "modelserver", "--host", "127.0.0.1", "--port", str(port)],
        cwd=EXAMPLE,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    process.url = f"http://127.0.0.1:{port}"
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=DEADLINE)


def until_answers(process, path, status=200, contains=""):
    deadline = time.monotonic() + DEADLINE
    while True:
        with contextlib.suppress(httpx2.TransportError):
            answer = httpx2.get(process.url + path)
            if answer.status_code == status and contains in answer.text:
                return
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        threading.Event().wait(0.02)


def test_sigterm_lets_the_request_in_flight_finish_and_ends_with_0(model_path):
    with (
        running(MODEL_URI=str(model_path), FAULT_LATENCY="2") as process,
        concurrent.futures.ThreadPoolExecutor() as pool,
    ):
        until_answers(process, "/health")
        answer = pool.submit(httpx2.post, process.url + "/predict", json=FEATURES, timeout=30)
        until_answers(process, "/metrics", contains="http_requests_in_progress 2.0")  # it and this scrape
        process.send_signal(signal.SIGTERM)
        assert answer.result(timeout=DEADLINE).status_code == 200
        assert process.wait(timeout=DEADLINE) == 0


def test_sigterm_ends_a_server_in_the_middle_of_its_load(model_path):
    with running(MODEL_URI=str(model_path), FAULT_LOAD_SECONDS="3600") as process:
        until_answers(process, "/health", 503)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=DEADLINE) == 0


def test_sigterm_before_the_server_is_up_ends_it_too(model_path):
    with running(MODEL_URI=str(model_path)) as process:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=DEADLINE) in {0, -signal.SIGTERM}


def test_a_model_that_does_not_load_ends_the_process_with_1_and_its_last_words_on_stderr(model_path):
    with running(MODEL_URI=str(model_path), FAULT_LOAD="crash") as process:
        stdout, stderr = process.communicate(timeout=DEADLINE)
        assert process.returncode == 1
        assert stderr.strip().splitlines()[-1] == "FileNotFoundError: /models/model.pkl"
        lines = [json.loads(line) for line in stdout.splitlines()]
        assert [line["error"] for line in lines if line["level"] == "error"] == ["FileNotFoundError: /models/model.pkl"]


def test_a_crash_by_request_count_cuts_the_connection_and_ends_the_process_with_1(model_path):
    with running(MODEL_URI=str(model_path), FAULT_CRASH_AFTER="2") as process:
        until_answers(process, "/health")
        for _ in range(2):
            assert httpx2.post(process.url + "/predict", json=FEATURES).status_code == 200
        with pytest.raises(httpx2.TransportError):
            httpx2.post(process.url + "/predict", json=FEATURES)
        assert process.wait(timeout=DEADLINE) == 1


def test_a_crash_by_time_ends_the_process_with_1_and_says_why(model_path):
    with running(MODEL_URI=str(model_path), FAULT_CRASH_AFTER="0s") as process:
        _, stderr = process.communicate(timeout=DEADLINE)
        assert process.returncode == 1
        assert stderr.strip().splitlines()[-1] == "FAULT_CRASH_AFTER: 0 s are over"


def test_a_setting_that_cannot_be_read_ends_the_process_with_2_and_names_it():
    with running(MODEL_URI="s3://models/fraud/2") as process:
        _, stderr = process.communicate(timeout=DEADLINE)
        assert process.returncode == 2
        assert stderr.startswith("MODEL_URI='s3://models/fraud/2': expected an absolute path")
