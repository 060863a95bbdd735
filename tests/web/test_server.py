"""`digitflow serve` as its operator meets it: start, refusals, log, signals, load."""

import asyncio
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from asked import encoded
from PIL import Image
from served import Answer, Served, image_request, read_answer, request, send_raw, serving
from starlette.types import Receive, Scope, Send
from support import change_manifest

from digitflow import settings
from digitflow.cli import main
from digitflow.models.bundle import load_bundle
from digitflow.models.promotions import promote
from digitflow.web.options import ServerOptions
from digitflow.web.server import TakingTurns, let_nobody_in, listening

TOKEN = "correct-horse-battery-staple"
PATIENCE = 60  # s


@pytest.fixture
def seven(repository: Path) -> bytes:
    return (repository / "tests/images/seven.png").read_bytes()


@pytest.fixture
def images(seven: bytes) -> dict[str, bytes]:
    """Return an image for each lane."""
    picture = Image.open(io.BytesIO(seven)).convert("L")
    return {
        "quick": encoded(picture.resize((28, 28))),
        "slow": encoded(picture.resize((1000, 1000)), "JPEG"),
    }


def ask(server: Served, content: bytes) -> Answer:
    return asyncio.run(send_raw(server.port, content))[0]


def run_serve(*words: object, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a server that should end by itself."""
    command = [sys.executable, "-m", "digitflow", "serve", *map(str, words)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, env=os.environ | environment
    )


def test_it_answers_when_it_says_so_and_is_light(tmp_path: Path, seven: bytes):
    with serving(tmp_path) as server:
        taken = psutil.Process(server.process.pid).cpu_times()
        answer = ask(server, image_request(seven))
        maps = Path(f"/proc/{server.process.pid}/maps").read_text()

        assert server.url.startswith("http://127.0.0.1:")
        assert answer.status == 200
        assert json.loads(answer.body)["text"] == "7"
        # The processor's time: the machine may have other things to do.
        assert taken.user + taken.system < 2
        assert "tensorflow" not in maps
        assert "litert" in maps


def commands_of(document: Path) -> list[str]:
    """Return the lines of a document's shell blocks, without their comments."""
    blocks = re.findall(r"```sh\n(.*?)```", document.read_text(), re.DOTALL)
    return [line.partition(" #")[0].strip() for block in blocks for line in block.splitlines()]


def test_the_documented_requests_are_answered(tmp_path: Path, repository: Path, seven: bytes):
    if shutil.which("curl") is None:
        pytest.skip("needs curl")
    for name in ("photo.jpg", "a.png", "b.png"):
        (tmp_path / name).write_bytes(seven)
    asked = [line for line in commands_of(repository / "docs/serving.md") if "curl" in line]
    assert len(asked) > 2

    with serving(tmp_path) as server:
        for line in asked:
            command = line.replace("curl", "curl -sS --fail-with-body", 1)
            command = command.replace("http://127.0.0.1:8000", server.url)
            done = subprocess.run(
                command, shell=True, cwd=tmp_path, capture_output=True, text=True, check=True
            )
            answer = json.loads(done.stdout)
            texts = {each["text"] for each in answer.get("results", [answer])}
            assert texts == {"7"}, line


def test_the_documented_options_are_taken(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr("digitflow.web.server.serve", lambda options, log: None)
    text = (repository / "docs/serving.md").read_text()
    blocks = "".join(re.findall(r"```\w+\n(.*?)```", text, re.DOTALL))
    lines = re.findall(r"digitflow (serve .*?)(?: +#|$)", blocks, re.MULTILINE)

    assert len(lines) > 3
    assert [main(line.split()) for line in lines] == [0] * len(lines)
    with pytest.raises(SystemExit):
        main(["serve", "--help"])
    options = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
    assert options - set(re.findall(r"--[a-z-]+", text)) == {"--help"}


def test_two_servers_run_side_by_side_but_not_on_one_port(tmp_path: Path):
    with serving(tmp_path) as first, serving(tmp_path) as second:
        assert first.port != second.port
        assert {ask(server, request("/readyz")).status for server in (first, second)} == {200}

        third = run_serve("--port", first.port)

    assert third.returncode == 2
    assert third.stdout == ""
    assert third.stderr == (
        f"error: 127.0.0.1:{first.port}: cannot be listened on (Address already in use); "
        "choose another with --port or --host\n"
    )


@pytest.mark.parametrize(
    ("words", "token", "said"),
    [
        (["--host", "0.0.0.0"], None, "--host 0.0.0.0: others could use the server; set a token"),
        (["--host", "::"], None, "--host ::: others could use the server"),
        (["--host", "0.0.0.0"], "short", "DIGITFLOW_TOKEN: give at least 16 characters"),
        ([], "0123456789 abcdef", "DIGITFLOW_TOKEN: give at least 16 characters, ASCII"),
        (["--host", "192.0.2.1", "--no-auth"], None, "192.0.2.1:0: cannot be listened on (Cannot"),
        (["--host", "no.such.invalid", "--no-auth"], None, "--host no.such.invalid: is not known"),
        (["--host", "a..b", "--no-auth"], None, "--host a..b: is not known"),
        (["--model", "nosuch"], None, "model 'nosuch' is not known"),
        (["--model", "mnist@9"], None, "model 'mnist' has no version '9'"),
    ],
)
def test_what_cannot_be_served_is_told_in_one_line(words: list[str], token: str | None, said: str):
    done = run_serve("--port", 0, *words, **({"DIGITFLOW_TOKEN": token} if token else {}))

    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"error: {said}")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--port", "65536"),
        ("--port", "x"),
        ("--drain", "0"),
        ("--drain", "1e300"),
        ("--max-body", "nan"),
        ("--max-body", "1e308"),
        ("--allowed-origin", "app.example"),
        ("--allowed-origin", "https://app.example/page"),
        ("--allowed-origin", "https://me@app.example"),
        ("--allowed-origin", "https://app.example:x"),
        ("--allowed-origin", "*"),
        ("--allowed-host", "https://digits.example"),
        ("--allowed-host", "digits.example:8000"),
        ("--allowed-host", "*.example"),
        ("--allowed-host", ""),
    ],
)
def test_values_that_make_no_sense_are_wrong_usage(
    option: str, value: str, capsys: pytest.CaptureFixture[str]
):
    with pytest.raises(SystemExit) as ended:
        main(["serve", option, value])

    assert ended.value.code == 2
    assert f"argument {option}: '{value}'" in capsys.readouterr().err


def test_names_and_origins_are_taken_as_browsers_write_them(monkeypatch: pytest.MonkeyPatch):
    taken: list[ServerOptions] = []
    monkeypatch.setattr("digitflow.web.server.serve", lambda options, log: taken.append(options))
    words = ["serve"]
    for origin in ("https://App.example:443/", "http://[::1]:80", "http://app.example:443"):
        words += ["--allowed-origin", origin]
    for host in ("Digits.example", "büro.example"):
        words += ["--allowed-host", host]

    assert main(words) == main(["serve"]) == 0

    origins = ("https://app.example", "http://[::1]", "http://app.example:443")
    assert taken[0].allowed_origins == origins
    assert taken[0].allowed_hosts == ("digits.example", "xn--bro-hoa.example")
    assert taken[1] == ServerOptions()


def test_another_address_needs_the_token(tmp_path: Path):
    with serving(tmp_path, "--host", "0.0.0.0", DIGITFLOW_TOKEN=TOKEN) as server:
        known = f"Authorization: Bearer {TOKEN}"

        assert ask(server, request("/livez")).status == 200
        assert ask(server, request("/v1/models")).status == 401
        assert ask(server, request("/v1/models", b"", known)).status == 200
        assert TOKEN not in server.log.read_text()


def test_another_address_without_a_token_must_be_asked_for(tmp_path: Path):
    with serving(tmp_path, "--host", "0.0.0.0", "--no-auth") as server:
        assert ask(server, request("/v1/models")).status == 200


def test_a_line_for_each_request_but_health(tmp_path: Path):
    with serving(tmp_path, "--log", "json") as server:
        ask(server, request("/nowhere?secret=1", b"", "X-Request-ID: one"))
        ask(server, request("/livez"))
        ask(server, b"nonsense\r\n\r\n")
        server.stop()
        lines = [json.loads(line) for line in server.log.read_text().splitlines()[:-1]]

    assert [line.get("status") for line in lines if "status" in line] == [404, 400]
    asked = next(line for line in lines if line.get("id") == "one")
    assert asked["path"] == "/nowhere"
    assert asked["client"] == "127.0.0.1"
    assert asked["method"] == "GET"
    assert asked["level"] == "info"
    assert asked["bytes"] > 0 <= asked["ms"]
    assert "secret" not in server.log.read_text()


def test_a_quiet_server_tells_only_what_goes_wrong(tmp_path: Path):
    with serving(tmp_path, "--log", "quiet") as server:
        ask(server, request("/nowhere"))
        server.stop()

        assert server.log.read_text() == "terminated\n"


def test_lines_cannot_be_forged(tmp_path: Path):
    with serving(tmp_path, "--log", "logfmt") as server:
        ask(server, request('/"%0alevel=error'))
        ask(server, request("/a=b", b"", "X-Request-ID: a b=c"))
        log = server.log.read_text()

    assert 'path="/\\"%0alevel=error"' in log
    assert 'path="/a=b"' in log
    assert "a b=c" not in log


def test_answers_are_sent_without_delay():
    # Without this, each answer waits 40 ms for the client to acknowledge the answer's head.
    with listening("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP


def test_health_does_not_wait_for_many_that_came_before():
    began = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        began.append(scope["path"])

    async def ask_for_all() -> None:
        turns = TakingTurns(app)
        paths = [*(["/v1/predict"] * 100), "/livez"]
        await asyncio.gather(*(turns({"type": "http", "path": path}, None, None) for path in paths))

    asyncio.run(ask_for_all())

    assert began.index("/livez") < 10
    assert began.count("/v1/predict") == 100


@pytest.mark.parametrize(
    ("number", "exit_code", "said"),
    [(signal.SIGTERM, 143, "terminated\n"), (signal.SIGINT, 130, "interrupted\n")],
)
def test_a_signal_ends_it_with_its_exit_code(
    tmp_path: Path, number: signal.Signals, exit_code: int, said: str
):
    with serving(tmp_path, "--log", "quiet") as server:
        # An open connection does not hold it up.
        with socket.create_connection(("127.0.0.1", server.port)):
            began = time.monotonic()
            assert server.stop(number) == exit_code
            assert time.monotonic() - began < 10
        assert server.log.read_text() == said


def test_a_client_that_never_ends_does_not_hold_it_up_longer_than_the_drain(tmp_path: Path):
    with serving(tmp_path, "--drain", 1, "--body-deadline", 600) as server:
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            words = ["Content-Type: image/png", "Expect: 100-continue", "Content-Length: 9"]
            client.sendall(request("/v1/predict", b"", *words, method="POST"))
            assert client.recv(100).startswith(b"HTTP/1.1 100 ")
            began = time.monotonic()
            assert server.stop() == 143
        assert 1 < time.monotonic() - began < 10


def test_its_processes_end_with_it_however_it_ends(tmp_path: Path, images: dict[str, bytes]):
    with serving(tmp_path) as server:
        assert ask(server, image_request(images["slow"])).status == 200
        others = psutil.Process(server.process.pid).children(recursive=True)
        assert len(others) >= 2
        assert server.stop(signal.SIGKILL) == -signal.SIGKILL

    assert psutil.wait_procs(others, PATIENCE)[1] == []


def test_a_process_that_is_killed_costs_no_more_than_its_own_request(
    tmp_path: Path, images: dict[str, bytes]
):
    with serving(tmp_path) as server:

        def kill_all() -> None:
            for process in psutil.Process(server.process.pid).children():
                process.kill()

        def are_replaced(answers: list[Answer]) -> bool:
            statuses = [answer.status for answer in answers]
            return 503 in statuses and statuses[-5:] == [200] * 5

        answers = under_load(
            server, image_request(images["slow"], close=False), False, kill_all, are_replaced
        )

        processes = psutil.Process(server.process.pid).children()
    assert {answer.status for answer in answers} == {200, 503}
    assert sum(answer.status == 503 for answer in answers) <= len(processes)


async def ask_again_and_again(
    server: Served, content: bytes, close: bool, answers: list[Answer], stop: asyncio.Event
) -> None:
    """Ask until told to stop or nobody listens, and note all answers.

    One without status is a request that was sent, and dropped.
    """
    while not stop.is_set():
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        except ConnectionError:
            return
        last = False
        while not (last or stop.is_set()):
            writer.write(content)
            answers.append(await read_answer(reader, time.monotonic()))
            last = close or "connection" in answers[-1].headers or not answers[-1].status
        writer.close()


def under_load(
    server: Served,
    content: bytes,
    close: bool,
    act: Callable[[], None],
    done: Callable[[list[Answer]], bool] = lambda answers: False,
) -> list[Answer]:
    """Let clients ask while something is done, until they see it, or nobody listens any more."""

    async def run() -> list[Answer]:
        answers: list[Answer] = []
        stop = asyncio.Event()
        clients = [
            asyncio.create_task(ask_again_and_again(server, content, close, answers, stop))
            for _ in range(20)
        ]
        async with asyncio.timeout(PATIENCE):
            while len(answers) < len(clients):
                await asyncio.wait(clients, timeout=0.05)
            await asyncio.to_thread(act)
            while not done(answers) and not all(client.done() for client in clients):
                await asyncio.wait(clients, timeout=0.05)
            stop.set()
            await asyncio.gather(*clients)
        return answers

    return asyncio.run(run())


def test_whoever_comes_before_the_close_is_let_in_and_nobody_after():
    with listening("127.0.0.1", 0) as listener:
        address = listener.getsockname()
        with socket.create_connection(address, PATIENCE) as early:
            let_nobody_in(listener)
            with pytest.raises(TimeoutError):
                socket.create_connection(address, 0.2)
            early.sendall(b"a request")
            listener.settimeout(PATIENCE)
            with listener.accept()[0] as accepted:
                accepted.settimeout(PATIENCE)
                assert accepted.recv(100) == b"a request"
                accepted.sendall(b"an answer")
            assert early.recv(100) == b"an answer"
            listener.settimeout(0)
            with pytest.raises(BlockingIOError):
                listener.accept()


@pytest.mark.parametrize("close", [True, False], ids=["close", "keep alive"])
@pytest.mark.parametrize("lane", ["quick", "slow"])
def test_sigterm_under_load_drops_no_request(
    tmp_path: Path, images: dict[str, bytes], lane: str, close: bool
):
    with serving(tmp_path) as server:
        answers = under_load(
            server,
            image_request(images[lane], close=close),
            close,
            lambda: server.process.send_signal(signal.SIGTERM),
        )

        assert server.process.wait(PATIENCE) == 143
        assert "level=error" not in server.log.read_text()
    assert {answer.status for answer in answers} == {200}
    assert len(answers) > 20


@pytest.mark.parametrize("lane", ["quick", "slow"])
def test_a_promoted_model_is_picked_up_and_no_request_dropped(
    tmp_path: Path, images: dict[str, bytes], lane: str
):
    shipped = settings.shipped_models_folder() / "mnist" / settings.PRETRAINED_VERSION
    second = shutil.copytree(shipped, settings.models_folder() / "mnist" / "second")
    change_manifest(second, version="second")
    bundle = load_bundle(second)

    with serving(tmp_path) as server:

        def is_picked_up(answers: list[Answer]) -> bool:
            return bool(answers) and bundle.model_id.encode() in answers[-1].body

        answers = under_load(
            server,
            image_request(images[lane], close=False),
            False,
            lambda: promote(bundle, "a test"),
            is_picked_up,
        )

    assert {answer.status for answer in answers} == {200}
    ids = {json.loads(answer.body)["model_id"] for answer in answers}
    assert ids == {load_bundle(shipped).model_id, bundle.model_id}
