"""A model server for pods of kwok: it answers the golden requests of one version, as a test says, at an address of the loopback."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

Json = dict[str, Any]

ADDRESS = "127.0.0.1"


class Golden:
    """Answers what `body` and `status` say, after `seconds`; `gone` takes its port away."""

    def __init__(self, body: str = '{"label": "fraud"}', status: int = 200) -> None:
        self.body, self.status = body, status
        self.asked: list[str] = []
        self.held = threading.Event()
        self.held.set()
        self._server = ThreadingHTTPServer((ADDRESS, 0), self._handler())
        self.port: int = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.held.set()
        self.gone()

    def gone(self) -> None:
        """Take connections no more."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()

    def back(self) -> None:
        """Take connections again, at the same port."""
        self._server = ThreadingHTTPServer((ADDRESS, self.port), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def fields(self) -> Json:
        """What of a spec makes a version's pods answer here."""
        return {"server": {"port": self.port}, "env": {"KWOK_ADDRESS": ADDRESS}}

    def _handler(golden) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                golden.asked.append(self.path)
                golden.held.wait(30)
                answer = golden.body.encode()
                self.send_response(golden.status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                return

        return Handler
