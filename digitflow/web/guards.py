"""Who may ask the API, and how much: plain ASGI middlewares.

From the outside in: names by which the server may be called; origins of pages; the bearer token;
the size of bodies. Around them is what every answer gets (`answering`).
"""

import hmac
import ipaddress
import urllib.parse
from collections.abc import Iterable
from http import HTTPStatus

from fastapi import FastAPI
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from digitflow.web.answering import HEALTH, Answers
from digitflow.web.options import ServerOptions
from digitflow.web.page_files import page_files
from digitflow.web.problems import ProblemError, request_id_of

#: Bodies that are held at once, in bodies of the largest size; more get a 503.
_LARGEST_HELD = 8

_LOCAL_NAMES = frozenset({"localhost"})

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
