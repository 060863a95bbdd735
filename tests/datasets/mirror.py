"""A mirror on this machine that answers as it is told to, well or badly."""

import hashlib
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from digitflow.datasets.catalogue import RemoteFile

#: What the mirror of the tests has, and what the catalogue knows of such a file.
NAME = "images.gz"
BODY = bytes(range(256)) * 1000
FILE = RemoteFile(NAME, hashlib.sha256(BODY).hexdigest(), len(BODY))
#: Of some files neither SHA-256 nor size is known.
MD5_FILE = RemoteFile(NAME, md5=hashlib.md5(BODY).hexdigest())

Answer = Callable[["Request"], None]


class Request(BaseHTTPRequestHandler):
    """One request, and the means to answer it."""

    server: "Mirror"

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.end_headers()

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        answer = self.server.answers.get(self.path.removeprefix("/"), not_found)
        answer(self)

    def reply(self, body: bytes, status: int = 200, **headers: str) -> None:
        """Send a whole answer; the headers' `_` stand for `-`."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


class Mirror(ThreadingHTTPServer):
    """Serves `answers`, by file name, and remembers which paths it was asked for."""

    daemon_threads = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Request)
        self.answers: dict[str, Answer] = {}
        self.asked: list[str] = []
        self.closing = threading.Event()  # ends the answers that would never end
        self.scheme = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_port}/"

    def handle_error(self, *args: object) -> None:
        """Say nothing of a client that hangs up: that is what some tests are about."""


@contextmanager
def running_mirror(certificate: Path | None = None) -> Iterator[Mirror]:
    """Start a mirror, with https where a certificate is given, and stop it at the end."""
    with Mirror() as mirror:
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            mirror.socket = context.wrap_socket(mirror.socket, server_side=True)
            mirror.scheme = "https"
        thread = threading.Thread(target=mirror.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield mirror
        finally:
            mirror.closing.set()
            mirror.shutdown()
            thread.join()


def sending(body: bytes) -> Answer:
    return lambda request: request.reply(body, Content_Length=str(len(body)))


def not_found(request: Request) -> None:
    request.reply(b"", status=404)
