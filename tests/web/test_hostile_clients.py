"""Clients that are slow, lie, or send too much: all are answered in time, and health too."""

import asyncio
import io
import json
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from PIL import Image
from served import Answer, Served, image_request, read_answer, request, send_raw, serving

DEADLINE = 1.0  # s, of heads, bodies and answers
N_CLIENTS = 50
LATEST = DEADLINE + 1  # s
CONNECTIONS = 80

Connect = Callable[..., socket.socket]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    deadlines = [f"--{stage}-deadline={DEADLINE}" for stage in ("header", "body", "write")]
    folder = tmp_path_factory.mktemp("server")
    with serving(folder, *deadlines, "--max-body", 1, "--connections", CONNECTIONS) as server:
        yield server


@pytest.fixture(autouse=True)
def still_well(server: Served) -> Iterator[None]:
    """Check after each test that the server still answers, and never failed."""
    yield
    assert asyncio.run(send_raw(server.port, request("/livez")))[0].status == 200
    assert "level=error" not in server.log.read_text()


@pytest.fixture
def seven(repository: Path) -> bytes:
    return (repository / "tests/images/seven.png").read_bytes()


@pytest.fixture
def connect(server: Served) -> Iterator[Connect]:
    """Return what opens connections to the server; they are closed at the end."""
    with ExitStack() as opened:

        def connect(receive_buffer: int = 0) -> socket.socket:
            client = opened.enter_context(socket.socket())
            if receive_buffer:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            client.settimeout(LATEST)
            client.connect(("127.0.0.1", server.port))
            return client

        yield connect


def all_at_once(
    server: Served, client: Callable[[int], Awaitable[Answer]]
) -> tuple[list[Answer], list[Answer]]:
    """Return what many clients at once were answered, and what was answered about health."""

    async def ask_health(done: asyncio.Event) -> list[Answer]:
        answers = []
        while not done.is_set():
            answers += await send_raw(server.port, request("/livez"))
        return answers

    async def run() -> tuple[list[Answer], list[Answer]]:
        done = asyncio.Event()
        asking = asyncio.create_task(ask_health(done))
        answers = await asyncio.gather(*(client(server.port) for _ in range(N_CLIENTS)))
        done.set()
        return answers, await asking

    return asyncio.run(run())


async def drip(port: int, begin: bytes, drop: bytes) -> Answer:
    """Send a beginning and then a drop now and then, until the server answers."""
    began = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(begin)
    answering = asyncio.create_task(read_answer(reader, began))
    while not (await asyncio.wait([answering], timeout=0.1))[0]:
        writer.write(drop)
    await read_to_the_end(reader)
    writer.close()
    return answering.result()


async def read_to_the_end(reader: asyncio.StreamReader) -> None:
    """Wait until the server has closed the connection."""
    with suppress(ConnectionError):  # because it was still being sent something
        assert not await asyncio.wait_for(reader.read(), LATEST)


@pytest.mark.parametrize(
    ("begin", "drop"),
    [
        (b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Slow: ", b"a"),
        (b"G", b""),
        (b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999\r\n\r\n", b"a"),
        (
            b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
            b"Content-Length: 999\r\n\r\n",
            b"",
        ),
        (
            b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n",
            b"1\r\na\r\n",
        ),
    ],
    ids=["head", "silent head", "body of no type", "silent body", "chunks"],
)
def test_slow_senders_are_cut_off(server: Served, begin: bytes, drop: bytes):
    answers, health = all_at_once(server, lambda port: drip(port, begin, drop))

    assert {answer.status for answer in answers} <= {408, 415}
    assert all(
        DEADLINE * 0.9 < answer.seconds < LATEST for answer in answers if answer.status == 408
    )
    assert {answer.status for answer in health} == {200}
    assert max(answer.seconds for answer in health) < 1


def test_clients_that_say_nothing_are_left(server: Served):
    answers, _ = all_at_once(server, lambda port: drip(port, b"", b""))

    assert {answer.status for answer in answers} == {0}
    assert all(DEADLINE * 0.9 < answer.seconds < LATEST for answer in answers)


@pytest.mark.parametrize("speed", [0, 1000])
def test_slow_readers_are_cut_off(server: Served, speed: int, connect: Connect):
    """They read so many bytes in a second; one that takes an answer in time is not slow."""
    # More than fits into what the systems on both sides hold for a connection.
    asked = request("/openapi.json", close=False) * 20
    before = server.n_open_files()
    clients = [connect(receive_buffer=4096) for _ in range(N_CLIENTS)]
    for client in clients:
        client.sendall(asked)
    for client in clients:
        client.recv(1)  # the first answer is on its way
    began = time.monotonic()

    health = []
    n_read = 0
    # The clients' systems need not tell them before they have read what is on its way.
    while server.n_open_files() > before and time.monotonic() < began + 10 * DEADLINE:
        drop = int(speed * (time.monotonic() - began)) - n_read
        n_read += drop
        for client in clients:
            with suppress(OSError):
                client.recv(drop or 1, socket.MSG_DONTWAIT | (0 if drop else socket.MSG_PEEK))
        health += asyncio.run(send_raw(server.port, request("/livez")))
    seconds = time.monotonic() - began

    assert server.n_open_files() <= before
    assert seconds < LATEST + 2  # in which the server makes all these answers
    assert {answer.status for answer in health} == {200}


def one_answer(server: Served, content: bytes, end: bool = False) -> Answer:
    """Return the only answer to some bytes; it must come before any deadline has passed."""
    (answer,) = asyncio.run(send_raw(server.port, content, end))
    assert answer.seconds < DEADLINE * 0.9
    return answer


FORM = "Content-Type: multipart/form-data; boundary="
HEAD = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n"


def form_of(n_fields: int) -> bytes:
    part = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
    return part * n_fields + b"--x--\r\n"


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (request("/livez", b"", *["X-Many: 1"] * 10_000), 431),
        (request("/livez", b"", *["a:"] * 3000), 431),
        (request("/livez", b"", *["X-Many: 1"] * 101), 431),
        (request("/livez", b"", "X-Long: " + "a" * 1_000_000), 431),
        (request("/" + "a" * 100_000), 431),
        (b"GET " * 100_000, 431),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"\0" * 1000, 400),
        (b"GET /livez HTTP/1.1\r\n\r\n", 400),
        (b"GET /livez HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n", 400),
        (b"GET /livez HTTP/1.1\r\nHost : localhost\r\n\r\n", 400),
        (b"GET /livez HTTP/1.1\r\nHost: localhost\r\nNo colon\r\n\r\n", 400),
        (request("/v1/predict", form_of(10_000), FORM + "x"), 400),
        (request("/v1/predict", form_of(1), FORM + "x" * 10_000), 400),
        (request("/v1/predict", form_of(1), FORM), 400),
        (request("/v1/predict", b"a" * 100_000, FORM + "x"), 400),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, bytes) else str(value),
)
def test_too_much_or_nonsense_is_refused(server: Served, content: bytes, status: int):
    answer = one_answer(server, content)

    assert answer.status == status
    check_problem(answer)


def check_problem(answer: Answer) -> None:
    """Check that an answer is a problem document with all that every answer carries."""
    assert answer.headers["content-type"] == "application/problem+json"
    problem = json.loads(answer.body)
    assert problem["status"] == answer.status
    assert problem["title"]
    assert problem["detail"]
    assert problem["instance"] == answer.headers["x-request-id"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")


@pytest.mark.parametrize(
    "content",
    [
        HEAD + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG",
        HEAD + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        HEAD + b"Content-Length: +3\r\n\r\nabc",
        HEAD + b"Content-Length: 0x3\r\n\r\nabc",
        HEAD + b"Content-Length: -1\r\n\r\n",
        HEAD + b"Content-Length: " + b"9" * 40 + b"\r\n\r\n",
        HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        CHUNKED + b"Transfer-Encoding: identity\r\n\r\n0\r\n\r\n",
        CHUNKED.replace(b"1.1", b"1.0") + b"\r\n0\r\n\r\n",
        CHUNKED + b"\r\nzz\r\n",
        CHUNKED + b"\r\n-1\r\n\r\n",
        CHUNKED + b"\r\n1\r\nabGET / HTTP/1.1\r\n\r\n",
        CHUNKED + b"\r\n" + b"1\r\na\r\n" * 20_000,
        CHUNKED + b"\r\n1;" + b"a" * 100_000,
        CHUNKED + b"\r\n0\r\n" + b"a: b\r\n" * 100_000,
    ],
)
def test_bodies_whose_end_is_doubtful_are_refused(server: Served, content: bytes):
    answer = one_answer(server, content)

    assert 400 <= answer.status < 500
    check_problem(answer)


def test_a_refused_head_has_no_body(connect: Connect):
    client = connect()
    client.sendall(CHUNKED.replace(b"POST /v1/predict", b"HEAD /") + b"\r\nzz\r\n")
    with client.makefile("rb") as stream:
        answer = stream.read()

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.endswith(b"\r\n\r\n")


def test_a_body_shorter_than_declared_is_refused_at_its_end(server: Served):
    answer = one_answer(server, HEAD + b"Content-Length: 100\r\n\r\nabc", end=True)

    assert answer.status == 400
    check_problem(answer)


def test_what_comes_after_the_declared_body_is_another_request(server: Served, seven: bytes):
    content = image_request(seven, close=False) + b"smuggled\r\n\r\n"

    answers = asyncio.run(send_raw(server.port, content))

    assert [answer.status for answer in answers] == [200, 400]


def test_pipelined_requests_are_answered_in_order(server: Served, seven: bytes):
    wanted = ["GET /livez", "POST /v1/predict", "GET /nowhere", "GET /readyz"]
    requests = [
        request("/livez", b"", "X-Request-ID: one", close=False),
        image_request(seven, "X-Request-ID: two", close=False),
        request("/nowhere", b"", "X-Request-ID: three", close=False),
        request("/readyz", b"", "X-Request-ID: four"),
    ]

    answers = asyncio.run(send_raw(server.port, b"".join(requests)))

    assert [answer.status for answer in answers] == [200, 200, 404, 200], wanted
    ids = [answer.headers["x-request-id"] for answer in answers]
    assert ids == ["one", "two", "three", "four"]


@pytest.mark.parametrize("close", [True, False])
@pytest.mark.parametrize("chunked", [True, False])
def test_too_large_a_body_is_refused_and_the_client_hears_of_it(
    connect: Connect, chunked: bool, close: bool
):
    body = bytes(5_000_000)
    if chunked:
        content = CHUNKED + b"Connection: close\r\n" * close + b"\r\n"
        content += b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    else:
        content = image_request(body, close=close)

    # Sent whole before anything is read, as simple clients do.
    client = connect()
    client.sendall(content)

    assert client.recv(100).startswith(b"HTTP/1.1 413 ")


def test_too_large_a_body_need_not_be_sent_at_all(connect: Connect):
    head = HEAD + b"Content-Length: 5000000\r\nExpect: 100-continue\r\n\r\n"

    client = connect()
    client.sendall(head)

    assert client.recv(100).startswith(b"HTTP/1.1 413 ")


def test_many_silent_connections_keep_nobody_out(server: Served, seven: bytes, connect: Connect):
    for _ in range(CONNECTIONS + 20):
        connect()

    answer = one_answer(server, image_request(seven))

    assert answer.status == 200


def test_beyond_the_connections_only_health_is_answered(
    server: Served, seven: bytes, connect: Connect
):
    unfinished = HEAD + b"Content-Length: 10\r\nExpect: 100-continue\r\n\r\n"
    busy = [connect() for _ in range(CONNECTIONS)]
    for client in busy:
        client.sendall(unfinished)
    for client in busy:
        assert client.recv(100).startswith(b"HTTP/1.1 100 ")  # now its body is waited for

    for target in ("/livez", "/readyz"):
        assert one_answer(server, request(target)).status == 200
    answer = one_answer(server, image_request(seven))

    assert answer.status == 503
    assert answer.headers["retry-after"] == "1"
    assert answer.headers["connection"] == "close"
    check_problem(answer)
    for client in busy:
        client.close()
    # Until the server has noticed that they left.
    deadline = time.monotonic() + LATEST
    while one_answer(server, image_request(seven)).status != 200:
        assert time.monotonic() < deadline


def test_a_burst_leaves_nothing_behind(server: Served):
    small = io.BytesIO()
    Image.new("L", (28, 28)).save(small, "PNG")

    async def burst(n_clients: int) -> list[Answer]:
        asked = image_request(small.getvalue())
        clients = (send_raw(server.port, asked) for _ in range(n_clients))
        return [answer for answers in await asyncio.gather(*clients) for answer in answers]

    asyncio.run(burst(50))  # what is made once is made
    before = server.n_open_files(), server.megabytes()

    for _ in range(5):
        statuses = {answer.status for answer in asyncio.run(burst(60))}
        assert statuses <= {200, 429}
    assert asyncio.run(burst(1))[0].status == 200

    deadline = time.monotonic() + LATEST
    while server.n_open_files() > before[0] and time.monotonic() < deadline:
        assert asyncio.run(burst(1))[0].status == 200
    assert server.n_open_files() <= before[0]
    assert server.megabytes() < before[1] + 20
