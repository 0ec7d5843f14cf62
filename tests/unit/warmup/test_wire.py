"""The conversation with a pod, held against a real server on the loopback."""

import asyncio
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from modelrollout.api.warmup import GoldenRequest
from modelrollout.runtime.clock import SystemClock
from modelrollout.warmup.wire import LARGEST_ANSWER, Unanswered, Wire, url


class _Pod(BaseHTTPRequestHandler):
    def do_GET(self):
        self._answer()

    def do_POST(self):
        self._answer()

    def _answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        self.server.seen.append((self.command, self.path, dict(self.headers), body))
        if self.path == "/hang":
            self.server.released.wait(10)
            return
        status = {"/away": 503, "/elsewhere": 302}.get(self.path, 200)
        answer = b"x" * (LARGEST_ANSWER + 1) if self.path == "/huge" else b'{"ok": true}'
        self.send_response(status)
        self.send_header("Location", f"http://127.0.0.1:{self.server.server_port}/secret")
        self.send_header("Set-Cookie", "a=b")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        return


@pytest.fixture
def pod():
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Pod)
    server.seen, server.released = [], threading.Event()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.released.set()
    server.shutdown()
    server.server_close()


def ask(pod, path="/predict", within=5.0, **fields):
    request = GoldenRequest.model_validate({"name": "g", "path": path, **fields})

    async def once():
        wire = Wire(SystemClock())
        try:
            return await wire.send(request, "127.0.0.1", pod.server_port, within)
        finally:
            await wire.close()

    return asyncio.run(once())


def test_json_is_posted_with_its_type_and_the_answer_comes_with_its_time(pod):
    answer = ask(pod, "/v1/predict?raw=%20", json={"x": [1.5]}, headers={"X-Team": "risk"})
    method, path, headers, body = pod.seen[0]
    assert (method, path, json.loads(body)) == ("POST", "/v1/predict?raw=%20", {"x": [1.5]})
    assert headers["Content-Type"] == "application/json"
    assert headers["X-Team"] == "risk"
    assert headers["User-Agent"] == "modelrollout-warm-up"
    assert (answer.status, answer.body, answer.whole) == (200, b'{"ok": true}', True)
    assert 0 < answer.seconds < 5


def test_a_text_goes_out_as_it_is_and_a_header_that_is_named_goes_before_the_default(pod):
    ask(pod, body="ping ü", headers={"content-type": "text/csv"})
    _, _, headers, body = pod.seen[0]
    assert body == "ping ü"
    assert [value for name, value in headers.items() if name.lower() == "content-type"] == ["text/csv"]


def test_no_redirect_is_followed(pod):
    assert ask(pod, "/elsewhere").status == 302
    assert [path for _, path, _, _ in pod.seen] == ["/elsewhere"]


def test_no_proxy_is_taken_from_the_environment(pod, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert ask(pod).status == 200


def test_an_answer_that_is_too_large_is_cut(pod):
    answer = ask(pod, "/huge")
    assert not answer.whole
    assert len(answer.body) == LARGEST_ANSWER


def test_a_pod_that_cannot_answer_now_has_not_answered(pod):
    with pytest.raises(Unanswered, match="it answered 503"):
        ask(pod, "/away")
    assert ask(pod, "/away", expect={"status": 503}).status == 503


def test_an_answer_that_does_not_come_is_late(pod):
    with pytest.raises(Unanswered, match=r"no answer within 0\.3s") as caught:
        ask(pod, "/hang", within=0.3)
    assert caught.value.late


def test_a_closed_port_is_no_late_answer(pod):
    pod.shutdown()
    pod.server_close()
    with pytest.raises(Unanswered, match="no connection") as caught:
        ask(pod)
    assert not caught.value.late


def test_an_address_of_version_6_stands_in_brackets():
    assert url("fd00::7", 8000, "/a") == "http://[fd00::7]:8000/a"
    with pytest.raises(ValueError, match="does not appear to be an IPv4 or IPv6 address"):
        url("example.com", 8000, "/a")
