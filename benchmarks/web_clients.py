"""Clients of a server under measurement: many that upload images, and one that asks for health.

    python benchmarks/web_clients.py PORT

asks for health until its standard input ends, and then prints what became of it, as JSON.
"""

import asyncio
import http.client
import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass

_BOUNDARY = b"digits"
_HEALTH_EVERY = 0.05  # s
_TIMEOUT = 60.0  # s


@dataclass(frozen=True)
class Asked:
    """A request and what became of it."""

    kind: str  # of the image
    status: int  # 0 if the connection broke
    seconds: float  # from the first byte sent to the last one received
    text: str  # the beginning of the answer


def upload_of(image: bytes) -> bytes:
    """Return the request that uploads an image as a browser's form would."""
    form = b'--%s\r\nContent-Disposition: form-data; name="file"; filename="image"\r\n' % _BOUNDARY
    body = b"%s\r\n%s\r\n--%s--\r\n" % (form, image, _BOUNDARY)
    head = (
        "POST /v1/predict HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Type: multipart/form-data; boundary={_BOUNDARY.decode()}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def upload_for(
    port: int, clients: Sequence[tuple[str, Sequence[bytes]]], seconds: float
) -> list[Asked]:
    """Let clients upload at once, each one image after another, and return all that was asked.

    Parameters
    ----------
    port : int
    clients : sequence of (str, sequence of bytes)
        For each client the kind of its images, and the requests that it goes round.
    seconds : float
        After which no request is begun.
    """
    until = time.perf_counter() + seconds
    asked: list[Asked] = []
    await asyncio.gather(
        *(
            _upload(port, kind, requests, random.Random(number), until, asked)
            for number, (kind, requests) in enumerate(clients)
        )
    )
    return asked


async def _upload(
    port: int,
    kind: str,
    requests: Sequence[bytes],
    chance: random.Random,
    until: float,
    asked: list[Asked],
) -> None:
    writer = None
    while (began := time.perf_counter()) < until:
        head, body = b"", b""
        with suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
            async with asyncio.timeout(_TIMEOUT):
                if writer is None:
                    reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(chance.choice(requests))
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.partition(b"content-length:")[2].split(b"\r\n")[0])
                body = await reader.readexactly(length)
        status = int(head.split()[1]) if body else 0
        seconds = time.perf_counter() - began
        asked.append(Asked(kind, status, seconds, body[:300].decode(errors="replace")))
        if writer and (not status or b"connection: close" in head):
            writer.close()
            writer = None
        if status != 200:
            # As told by Retry-After, and not all at once.
            await asyncio.sleep(min(chance.uniform(0.5, 1.5), max(0, until - began)))
    if writer:
        writer.close()


@contextmanager
def asking_for_health(port: int) -> Iterator[list[Asked]]:
    """Ask for health every 50 ms, on a new connection each time, and note what becomes of it.

    A process of its own asks: in this one it would wait for the others' clients, not the server.
    """
    asked: list[Asked] = []
    command = [sys.executable, __file__, str(port)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield asked
        finally:
            output, _ = process.communicate()
    asked.extend(Asked(**each) for each in json.loads(output))


def ask_for_health(port: int) -> list[Asked]:
    """Ask for health until the standard input ends."""
    asked = []
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set())).start()
    while not ended.wait(_HEALTH_EVERY):
        asked.append(_ask_health(port))
    return asked


def _ask_health(port: int) -> Asked:
    began, status = time.perf_counter(), 0
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT)
    with suppress(OSError, http.client.HTTPException):
        connection.request("GET", "/livez")
        answer = connection.getresponse()
        answer.read()
        status = answer.status
    connection.close()
    return Asked("health", status, time.perf_counter() - began, "")


if __name__ == "__main__":
    print(json.dumps([asdict(each) for each in ask_for_health(int(sys.argv[1]))]))
