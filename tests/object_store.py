"""An S3 server on loopback (moto's), and a client to fill it.

Run as a script it serves: `python object_store.py FAULT`, and prints its port. As long as the file
FAULT exists, it holds what is to happen to requests instead of being served.
"""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any


@dataclass
class ObjectStore:
    """A bucket of its own on a running server."""

    port: int
    bucket: str
    fault: Path  # see `failing`

    def uri(self, key: str, credentials: str = "") -> str:
        query = f"endpoint_override=127.0.0.1:{self.port}&scheme=http"
        return f"s3://{credentials}{self.bucket}/{key}?{query}"

    def known_as(self, key: str) -> str:
        return f"s3://{self.bucket}/{key}?endpoint_override=127.0.0.1:{self.port}"

    @property
    def client(self) -> Any:
        import boto3

        return boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{self.port}",
            region_name="us-east-1",
            aws_access_key_id="key",
            aws_secret_access_key="secret",
        )

    def put(self, objects: dict[str, bytes]) -> None:
        client = self.client
        for key, content in objects.items():
            client.put_object(Bucket=self.bucket, Key=key, Body=content)

    def put_folder(self, folder: Path, prefix: str) -> None:
        """Put the regular files of a folder whose names are valid text."""
        files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
        self.put({f"{prefix}/{path.relative_to(folder)}": path.read_bytes() for path in files})

    def get(self, key: str) -> bytes:
        return self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read()

    def list_keys(self) -> list[str]:
        listed = self.client.list_objects_v2(Bucket=self.bucket)
        return [each["Key"] for each in listed.get("Contents", [])]

    @contextmanager
    def failing(self, pattern: str, **what: object) -> Iterator[None]:
        """Let requests that match ``METHOD /bucket/key?query`` go wrong, as `Faults` says."""
        self.fault.write_text(json.dumps({"pattern": pattern, **what}))
        try:
            yield
        finally:
            self.fault.unlink()


@contextmanager
def serving(folder: Path) -> Iterator[Callable[[str], ObjectStore]]:
    """Run a server, and give what makes a new bucket in it."""
    fault = folder / "fault.json"
    command = [sys.executable, __file__, os.fspath(fault)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
        try:
            assert server.stdout
            port = int(server.stdout.readline())

            def new_bucket(name: str) -> ObjectStore:
                store = ObjectStore(port, name, fault)
                store.client.create_bucket(Bucket=name)
                return store

            yield new_bucket
        finally:
            server.kill()


class Faults:
    """Stands before a server's application, and does what the fault file says.

    `status` and `code` answer with an error; `fifo` serves a request once somebody reads a named
    pipe; `together` serves requests once so many wait.
    """

    def __init__(self, application: Callable[..., Any], fault: Path):
        self.application, self.fault = application, fault
        self.together: dict[int, threading.Barrier] = {}

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable:
        line = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}?{environ['QUERY_STRING']}"
        try:
            fault = json.loads(self.fault.read_text())
        except (FileNotFoundError, ValueError):
            fault = None
        if fault is None or not re.search(fault["pattern"], line):
            return self.application(environ, start_response)
        if "together" in fault:
            n = fault["together"]
            self.together.setdefault(n, threading.Barrier(n)).wait(timeout=60)
            return self.application(environ, start_response)
        if "fifo" in fault:
            Path(fault["fifo"]).write_text("reached")
            return self.application(environ, start_response)
        body = f"<Error><Code>{fault['code']}</Code><Message>so be it</Message></Error>".encode()
        headers = [("Content-Type", "text/xml"), ("Content-Length", str(len(body)))]
        start_response(f"{fault['status']} Error", headers)
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else body]


def serve(fault: Path) -> None:
    import moto.s3.models
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    moments = (datetime(2024, 1, 1, tzinfo=UTC) + timedelta(minutes=n) for n in range(10**9))
    lock = threading.Lock()

    def next_moment() -> datetime:
        """Each object is a minute younger than the last, and all are old: their rows can stay."""
        with lock:
            return next(moments).replace(tzinfo=None)

    moto.s3.models.utcnow = next_moment
    application = Faults(DomainDispatcherApplication(create_backend_app), fault)
    server = make_server("127.0.0.1", 0, application, threaded=True)
    print(server.port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
