"""A receiver of webhooks on this machine, which has bad days."""

import json
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

from typing_extensions import override


SECRET = "T0SECRET0PATH"  # noqa: S105 - it opens nothing
_LINGER_0 = struct.pack("ii", 1, 0)


class Hook(ThreadingHTTPServer):
    """Answers as its list of answers says, and 200 where that is at its end.

    An answer is a status, a place to redirect to, or one of `hang`, `drip` and `reset`.
    """

    daemon_threads = True

    def __init__(self, answers: tuple[int | str, ...]) -> None:
        super().__init__(("127.0.0.1", 0), _Receiver)
        self.answers = list(answers)
        self.tried: list[dict[str, Any]] = []
        self.arrived: list[dict[str, Any]] = []
        self.headers: dict[str, str] = {}
        self.ends = threading.Event()

    @property
    def address(self) -> str:
        scheme = "https" if isinstance(self.socket, ssl.SSLSocket) else "http"
        return f"{scheme}://127.0.0.1:{self.server_port}/services/{SECRET}?key={SECRET}"

    @override
    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: whoever posts may go away."""


class _Receiver(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        hook = cast(Hook, self.server)
        told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        hook.headers = dict(self.headers)
        hook.tried.append(told)
        match hook.answers.pop(0) if hook.answers else 200:
            case int(status):
                if status == 200:
                    hook.arrived.append(told)
                self._answer(status)
            case "hang":
                hook.ends.wait()
            case "drip":
                self._drip(hook)
            case "reset":
                linger = (socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_0)
                self.connection.setsockopt(*linger)
            case place:
                self._answer(307, place)

    def _answer(self, status: int, place: str = "") -> None:
        self.send_response(status)
        if place:
            self.send_header("Location", place)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def _drip(self, hook: Hook) -> None:
        with suppress(OSError):
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Endless: ")
            while not hook.ends.wait(0.01):
                self.wfile.write(b"x")

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def hook(*answers: int | str, tls: ssl.SSLContext | None = None) -> Iterator[Hook]:
    """Run a receiver, and let nothing of it live on."""
    server = Hook(answers)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.ends.set()
        server.shutdown()
        thread.join()
        server.server_close()
