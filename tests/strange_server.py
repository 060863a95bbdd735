"""A server on loopback that is not the one that was expected."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer


class Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(self.server.code)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def answering(code: int | None) -> Iterator[str]:
    """Give the address of a server that is not Prefect's, or, without a code, of none."""
    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        address = f"http://127.0.0.1:{server.server_port}/api"
        if code is not None:
            server.code = code
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield address
            server.shutdown()
            return
    yield address
