"""Tell someone that a run failed: by a command or a webhook that the operator names."""

import json
import os
import shlex
import signal
import subprocess
import threading
from collections.abc import Mapping
from email.message import Message
from http.client import HTTPException
from tempfile import TemporaryFile
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

#: Names the command or the webhook.
VARIABLE = "DIGITFLOW_ON_FAILURE"

#: What a command or a webhook may take, seconds. A run waits for it no longer.
TIME_LIMIT = 30.0


def send_alert(facts: Mapping[str, Any], target: str | None = None) -> str | None:
    """Hand facts, as JSON, to a command on its standard input, or post them to a webhook.

    Parameters
    ----------
    facts : mapping
        What JSON can hold; paths become text.
    target : str, optional
        The URL of a webhook (``https://…``, ``http://…``); all else is a command of the shell.
        Default: the environment's `VARIABLE`; where that is not set, nothing is done.

    Returns
    -------
    str or None
        One line that tells why it did not work, or None. Nothing is raised: what is told of is
        more important than that it could not be told.
    """
    target = target or os.environ.get(VARIABLE)
    if not target:
        return None
    content = json.dumps(facts, default=str).encode()
    try:
        if target.startswith(("https://", "http://")):
            return _post(target, content)
        return _run(target, content)
    except OSError as error:
        return f"the failure hook cannot be started ({error.strerror})"


def _run(command: str, content: bytes) -> str | None:
    """Run a command in a session of its own, which ends with it at the time limit."""
    # Files in place of pipes: nobody waits for those who hold the other end.
    with TemporaryFile() as told, TemporaryFile() as said:
        told.write(content)
        told.seek(0)
        with subprocess.Popen(
            command,
            shell=True,
            stdin=told,
            stdout=subprocess.DEVNULL,
            stderr=said,
            start_new_session=True,
        ) as process:
            try:
                code = process.wait(TIME_LIMIT)
            except BaseException as error:
                os.killpg(process.pid, signal.SIGKILL)
                if not isinstance(error, subprocess.TimeoutExpired):
                    raise
                return f"the failure hook took longer than {TIME_LIMIT:g} s and was killed"
        name = shlex.quote(command.split(maxsplit=1)[0])
        return None if code == 0 else f"the failure hook {name} ended with {code}{_last_of(said)}"


def _last_of(said: IO[bytes]) -> str:
    """Return the last line that a command wrote to its standard error."""
    said.seek(0)
    lines = said.read(1 << 16).decode(errors="replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return f" ({last[:200]})" if last else ""


def _post(url: str, content: bytes) -> str | None:
    """Post to a webhook; in a thread, as a server may answer byte by byte for ever."""
    problems = ["took too long"]

    def post() -> None:
        headers = {"Content-Type": "application/json", "User-Agent": "digitflow"}
        try:
            request = Request(url, content, headers, method="POST")
            with build_opener(_NoRedirect).open(request, timeout=TIME_LIMIT):
                problems.clear()
        except HTTPError as error:
            problems[:] = [f"answered {error.code}"]
        except (OSError, ValueError, HTTPException) as error:
            reason = error.reason if isinstance(error, URLError) else error
            problems[:] = [f"cannot be reached ({' '.join(str(reason).split())[:200]})"]

    thread = threading.Thread(target=post, daemon=True)
    thread.start()
    thread.join(TIME_LIMIT)
    return f"the failure hook at {_host_of(url)} {problems[0]}" if problems else None


def _host_of(url: str) -> str:
    """Return the part of a webhook's URL that is no secret."""
    try:
        return urlsplit(url).hostname or "?"
    except ValueError:
        return "?"


class _NoRedirect(HTTPRedirectHandler):
    """Takes no answer but that of the webhook itself: elsewhere the facts would not arrive."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> None:
        return None
