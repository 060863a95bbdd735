"""What stands between the network and the API: plain ASGI middlewares.

From the outside in: request id, log and headers of every answer; names by which the server may be
called; origins of pages; the bearer token; the size of bodies.
"""

import asyncio
import hmac
import ipaddress
import logging
import re
import secrets
import time
import urllib.parse
from collections.abc import Iterable
from http import HTTPStatus

from fastapi import FastAPI
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from digitflow.web.logs import log_answer
from digitflow.web.options import ServerOptions
from digitflow.web.page_files import page_files
from digitflow.web.problems import ProblemError, request_id_of

_logger = logging.getLogger(__name__)

#: What is asked so often, and says so little, that it is not logged.
HEALTH = frozenset({"/livez", "/readyz"})

#: Bodies that are held at once, in bodies of the largest size; more get a 503.
_LARGEST_HELD = 8

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_LOCAL_NAMES = frozenset({"localhost"})

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

_PREFLIGHT = {
    "access-control-allow-methods": "GET, POST",
    "access-control-allow-headers": "authorization, content-type, x-request-id",
    "access-control-max-age": "600",
}


def protect(app: FastAPI, options: ServerOptions) -> None:
    """Add the guards to an app.

    Parameters
    ----------
    app : FastAPI
    options : ServerOptions
        Of which it takes the token, the names, the origins and the size of bodies.
    """
    # The last one added is the outermost.
    app.add_middleware(BodyLimit, max_body=options.max_body)
    if options.token is not None:
        app.add_middleware(BearerToken, token=options.token)
    app.add_middleware(Origins, allowed=options.allowed_origins)
    app.add_middleware(Hosts, allowed=(options.host, *options.allowed_hosts))
    app.add_middleware(Answers)


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


class Hosts:
    """Answer only those who call the server by one of its names, or by a bare address.

    A page elsewhere can let its own name point here (DNS rebinding), and its script would then be
    of the same origin as the server. It cannot do so without a name.
    """

    def __init__(self, app: ASGIApp, allowed: Iterable[str]) -> None:
        self._app = app
        self._allowed = _LOCAL_NAMES | {name.lower().rstrip(".") for name in allowed}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or say that it is not for this server."""
        if scope["type"] == "http" and (problem := self._find_problem(Headers(scope=scope))):
            await _refuse(problem, scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _find_problem(self, headers: Headers) -> ProblemError | None:
        given = headers.get("host", "")
        host = _host_of(given)
        if host is None:
            return ProblemError(400, "Host: names no host; send the name of this server", "host")
        if host in self._allowed or _is_address(host):
            return None
        detail = "Host: is no name of this server; allow it with `--allowed-host`, or use another"
        return ProblemError(421, detail, "host")


class Origins:
    """Answer pages of this server and of the origins that were allowed, and no others.

    Any page can send forms and images here from its reader's browser. So it is not enough that it
    cannot read the answer.
    """

    def __init__(self, app: ASGIApp, allowed: Iterable[str]) -> None:
        self._app = app
        self._allowed = frozenset(allowed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it for the page that it comes from."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        if origin is None or _is_same(origin, headers.get("host", "")):
            await self._app(scope, receive, send)
        elif origin not in self._allowed:
            detail = "Origin: this page may not use the server; allow it with `--allowed-origin`"
            await _refuse(ProblemError(403, detail, "origin"), scope, receive, send)
        elif scope["method"] == "OPTIONS" and "access-control-request-method" in headers:
            allow = {"access-control-allow-origin": origin, "vary": "origin"}
            answer = Response(None, HTTPStatus.NO_CONTENT, _PREFLIGHT | allow)
            await answer(scope, receive, send)
        else:
            await self._app(scope, receive, _allowing(origin, send))


def _allowing(origin: str, send: Send) -> Send:
    """Return what lets a page of an origin read the answer."""

    async def send_allowing(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["access-control-allow-origin"] = origin
            headers["access-control-expose-headers"] = "x-request-id, retry-after"
            headers.add_vary_header("origin")
        await send(message)

    return send_allowing


class BearerToken:
    """Answer only those who know the token, but for health and the page."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or ask for the token."""
        if scope["type"] != "http" or _is_public(scope["path"]) or self._is_known(scope):
            await self._app(scope, receive, send)
            return
        detail = "send the server's token, as `Authorization: Bearer …`"
        challenge = {"WWW-Authenticate": 'Bearer realm="digitflow"'}
        await _refuse(ProblemError(401, detail, "token", headers=challenge), scope, receive, send)

    def _is_known(self, scope: Scope) -> bool:
        scheme, _, given = Headers(scope=scope).get("authorization", "").partition(" ")
        # In constant time: how long it takes must not tell how much of it is right.
        right = hmac.compare_digest(given.strip().encode(), self._token)
        return right and scheme.lower() == "bearer"


class BodyLimit:
    """Take bodies up to a size each, and a few times as much of all requests together."""

    def __init__(self, app: ASGIApp, max_body: int) -> None:
        self._app = app
        self._max_body = max_body
        self._max_held = _LARGEST_HELD * max_body
        self._held = 0  # bytes that all requests under way have sent so far

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or say that it is too large."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "0")
        if not declared.isdecimal():
            await _refuse(ProblemError(400, "Content-Length: is no number"), scope, receive, send)
        elif int(declared) > self._max_body:
            await _refuse(self._too_large(), scope, receive, send)
        else:
            await self._answer_counting(scope, receive, send)

    async def _answer_counting(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request while counting what it sends."""
        held = 0
        started = False
        problem: ProblemError | None = None

        async def receive_some() -> Message:
            nonlocal held, problem
            message = await receive()
            size = len(message.get("body", b""))
            held += size
            self._held += size
            if held > self._max_body:
                problem = self._too_large()
            elif self._held > self._max_held:
                detail = "too many large requests at once; try again"
                problem = ProblemError(503, detail, "busy", headers={"Retry-After": "1"})
            if problem:
                raise problem
            return message

        async def send_unless_refused(message: Message) -> None:
            # Whatever the app makes of the error, the client is told of the problem itself.
            nonlocal started
            if problem is None or started:
                started = True
                await send(message)

        try:
            await self._app(scope, receive_some, send_unless_refused)
        except Exception:
            if problem is None or started:
                raise
        finally:
            self._held -= held
        if problem is not None and not started:
            await _refuse(problem, scope, receive, send)

    def _too_large(self) -> ProblemError:
        most = self._max_body / 2**20
        return ProblemError(
            413, f"the request is larger than {most:g} MiB; send less at once", "size"
        )


async def _refuse(problem: ProblemError, scope: Scope, receive: Receive, send: Send) -> None:
    await problem.response(request_id_of(Request(scope)))(scope, receive, send)


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


def _host_of(given: str) -> str | None:
    """Return the host in a Host header or an origin, without its port; None if there is none."""
    try:
        parts = urllib.parse.urlsplit(f"//{given}")
        parts.port  # noqa: B018 - says whether it is a number
    except ValueError:
        return None
    plain = parts.netloc == given and "@" not in given
    return parts.hostname.rstrip(".") if plain and parts.hostname else None


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_same(origin: str, host: str) -> bool:
    """Tell whether an origin is that of this server, behind whatever speaks TLS for it."""
    _, separator, authority = origin.partition("://")
    return bool(separator) and authority.lower() == host.lower()


def _is_public(path: str) -> bool:
    """Tell whether anyone may ask for a path: health, and the page, which asks for the token."""
    return path in HEALTH or path in page_files()
