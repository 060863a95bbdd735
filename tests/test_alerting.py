"""The failure hook: a real command, a real server; nothing it does may raise or take for ever."""

import json
import os
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from digitflow import alerting
from digitflow.alerting import send_alert

FACTS = {"text": "nightly: the disk is full", "exit_code": 6, "output": Path("scored")}


class Webhook(HTTPServer):
    def __init__(self, code: int):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.code, self.received = code, []
        self.url = f"http://127.0.0.1:{self.server_address[1]}/secret"


class _Handler(BaseHTTPRequestHandler):
    server: Webhook

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append((self.headers["Content-Type"], json.loads(content)))
        self.send_response(self.server.code)
        self.send_header("Location", "/elsewhere")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def webhook(request: pytest.FixtureRequest) -> Iterator[Webhook]:
    with Webhook(getattr(request, "param", 204)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_nothing_is_done_where_nobody_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(alerting.VARIABLE, raising=False)

    assert send_alert(FACTS) is None


def test_a_command_is_given_the_facts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(alerting.VARIABLE, f"cat > '{tmp_path}/told.json' && echo noise")

    assert send_alert(FACTS) is None
    assert json.loads((tmp_path / "told.json").read_text()) == FACTS | {"output": "scored"}


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("sh -c 'echo no mail server >&2; exit 3'", "sh ended with 3 (no mail server)"),
        ("no-such-command", "no-such-command ended with 127 ("),
        ("exit 1", "exit ended with 1"),
    ],
)
def test_a_command_that_fails_is_told_of(command: str, problem: str):
    assert send_alert(FACTS, command).startswith(f"the failure hook {problem}")


def test_a_command_that_hangs_is_killed_with_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(alerting, "TIME_LIMIT", 0.5)
    held = tmp_path / "held"
    os.mkfifo(held)
    reader = os.open(held, os.O_RDONLY | os.O_NONBLOCK)

    problem = send_alert(FACTS, f"exec 3> {held}; sleep 600 | sleep 600")

    assert problem == "the failure hook took longer than 0.5 s and was killed"
    os.set_blocking(reader, True)
    assert os.read(reader, 1) == b""  # the last one that held it is gone
    os.close(reader)


def test_a_webhook_is_posted_to(webhook: Webhook):
    assert send_alert(FACTS, webhook.url) is None
    assert webhook.received == [("application/json", FACTS | {"output": "scored"})]


@pytest.mark.parametrize("webhook", [302, 404, 500], indirect=True)
def test_a_webhook_that_does_not_take_it_is_told_of_without_its_secret(webhook: Webhook):
    problem = send_alert(FACTS, webhook.url)

    assert problem == f"the failure hook at 127.0.0.1 answered {webhook.code}"
    assert len(webhook.received) == 1


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/x", "http://", "http://[/x", "https://a:b/"])
def test_a_webhook_that_is_not_there_is_told_of(url: str):
    assert "cannot be reached (" in send_alert(FACTS, url)


def test_a_webhook_that_never_answers_is_left(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(alerting, "TIME_LIMIT", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        problem = send_alert(FACTS, f"http://127.0.0.1:{silent.getsockname()[1]}/")

    assert problem.startswith("the failure hook at 127.0.0.1 ")
