"""What every request and its answer get: an id, headers, and a line in the log."""

import asyncio
import logging
import re
import secrets
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from digitflow.web.logs import log_answer
from digitflow.web.problems import ProblemError

_logger = logging.getLogger(__name__)

#: What is asked so often, and says so little, that it is not logged.
HEALTH = frozenset({"/livez", "/readyz"})

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

_FOR_ALL = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(self), microphone=(), geolocation=()",
    "cache-control": "no-store",
}
_NOTHING = "default-src 'none'; frame-ancestors 'none'"
_OWN_PAGE = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data: blob:; media-src 'self' blob:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Answers:
    """Give every request an id, and every answer its id, headers and a line in the log.

    An answer that comes before the request is read whole ends only when the rest was read, so that
    no client is cut off while it sends, before it has seen the answer.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer(scope, receive, send)
        try:
            if scope["state"].get("crowded") and scope["path"] not in HEALTH:
                detail = "too many connections; try again"
                raise ProblemError(503, detail, "busy", headers={"Retry-After": "1"})
            await self._app(_as_get(scope), answer.receive, answer.send)
        except ProblemError as problem:
            await answer.send_problem(problem)
        except asyncio.CancelledError:
            # The time for stopping is over.
            stopping = ProblemError(503, "the server is stopping", headers={"Retry-After": "5"})
            await answer.send_problem(stopping)
            raise
        except Exception:
            _logger.exception("request %s: failed", answer.request_id)
            detail = "the server failed; its log has the reason under the request's id"
            await answer.send_problem(ProblemError(500, detail))
        finally:
            answer.log()


def _as_get(scope: Scope) -> Scope:
    """Return a request, with GET in the place of HEAD: uvicorn leaves out the answer's body."""
    return {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope


class _Answer:
    """One request and what becomes of it."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        self._began = time.perf_counter()
        self._status = 0  # none yet
        self._sent = 0  # bytes of the answer's body
        self._read_whole = False
        self.request_id = _request_id(Headers(scope=scope).get("x-request-id"))
        scope.setdefault("state", {})["request_id"] = self.request_id

    async def receive(self) -> Message:
        """Receive for the app, and note when all was read."""
        message = await self._receive()
        self._read_whole = not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        """Send for the app; headers before, the rest of the request after."""
        if message["type"] == "http.response.start":
            self._status = message["status"]
            complete_headers(MutableHeaders(scope=message), self.request_id)
        else:
            self._sent += len(message.get("body", b""))
            if not message.get("more_body", False) and not self._read_whole:
                await self._send({**message, "more_body": True})
                while not self._read_whole:
                    await self.receive()
                message = {"type": "http.response.body", "body": b""}
        await self._send(message)

    async def send_problem(self, problem: ProblemError) -> None:
        """Send a problem, if nothing was sent yet."""
        if not self._status:
            await problem.response(self.request_id)(self._scope, self.receive, self.send)

    def log(self) -> None:
        """Write a line in the access log."""
        if self._scope["path"] in HEALTH:
            return
        client = self._scope.get("client")
        facts = {
            "id": self.request_id,
            "client": client[0] if client else None,
            "method": self._scope["method"],
            "path": self._scope["raw_path"].decode("ascii", "replace")[:200],
            "status": self._scope["state"].get("refused", self._status) or None,
            "bytes": self._sent,
            "ms": round(1000 * (time.perf_counter() - self._began), 1),
        }
        log_answer(**facts)


def _request_id(given: str | None) -> str:
    """Return the client's id of a request if it is one, else a new one."""
    return given if given and _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)


def complete_headers(headers: MutableHeaders, request_id: str) -> None:
    """Add to the headers of an answer what every answer carries, but for what it says itself."""
    for name, value in _FOR_ALL.items():
        headers.setdefault(name, value)
    is_page = headers.get("content-type", "").startswith("text/html")
    headers.setdefault("content-security-policy", _OWN_PAGE if is_page else _NOTHING)
    headers["x-request-id"] = request_id
