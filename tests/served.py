"""A real server in a process of its own, and clients that speak to it as no library would."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

_PATIENCE = 60  # s for a server to start or to end


@dataclass
class Served:
    """A server under test."""

    process: "subprocess.Popen[str]"
    url: str
    log: Path  # its stderr

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(_PATIENCE)

    def n_open_files(self) -> int:
        return psutil.Process(self.process.pid).num_fds()

    def megabytes(self) -> float:
        return psutil.Process(self.process.pid).memory_info().rss / 1e6


@contextmanager
def serving(folder: Path, *words: object, **environment: str) -> Iterator[Served]:
    """Run `digitflow serve` on a free port with its log in a folder; end it if need be."""
    command = [sys.executable, "-m", "digitflow", "serve", "--port", "0", *map(str, words)]
    log = folder / f"server-{time.monotonic_ns()}.log"
    with (
        log.open("w") as stderr,
        subprocess.Popen(
            command,
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        ) as process,
    ):
        try:
            line = process.stdout.readline()
            assert line.startswith("digitflow listens on http://"), log.read_text()
            yield Served(process, line.split()[3], log)
        finally:
            process.kill()


@dataclass(frozen=True)
class Answer:
    """An answer, and when it came."""

    status: int  # 0 if the connection ended without one
    headers: dict[str, str]  # names in lower case
    body: bytes
    seconds: float  # from the beginning of the exchange to the end of the connection or answer


async def read_answer(reader: asyncio.StreamReader, began: float) -> Answer:
    """Read one answer that tells its length; none where the connection ends."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return Answer(0, {}, b"", time.monotonic() - began)
    first, *lines = head.decode("latin-1").split("\r\n")[:-2]
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    status = int(first.split()[1])
    if status == 100:
        return await read_answer(reader, began)
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Answer(status, headers, body, time.monotonic() - began)


async def send_raw(port: int, content: bytes, end: bool = False) -> list[Answer]:
    """Send bytes, perhaps end the sending side, and return all answers until the server closes.

    The server is given a minute to close.
    """
    began = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answers = []
    try:
        async with asyncio.timeout(_PATIENCE):
            writer.write(content)
            if end:
                writer.write_eof()
            while (answer := await read_answer(reader, began)).status:
                answers.append(answer)
    finally:
        writer.close()
    return answers


def request(
    target: str, body: bytes = b"", *headers: str, method: str | None = None, close: bool = True
) -> bytes:
    """Return a request, as a client writes it, that wants the connection closed."""
    method = method or ("POST" if body else "GET")
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost", *headers]
    lines += ["Connection: close"] * close + [f"Content-Length: {len(body)}"] * bool(body)
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def image_request(content: bytes, *headers: str, close: bool = True) -> bytes:
    """Return a request to read an image."""
    return request("/v1/predict", content, "Content-Type: image/png", *headers, close=close)
