"""Serve the API and the page until told to stop, and then end what has begun."""

import asyncio
import contextlib
import ctypes
import gc
import ipaddress
import socket
import struct
from collections.abc import Iterator
from functools import partial
from typing import Any

import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from digitflow.errors import DigitflowError, UsageError
from digitflow.web.api import create_app
from digitflow.web.deadlines import BoundedProtocol
from digitflow.web.guards import HEALTH
from digitflow.web.logs import log_to_console
from digitflow.web.options import ServerOptions

#: The shortest token that is taken, characters.
SHORTEST_TOKEN = 16

_BACKLOG = 512  # connections that the system holds until they are taken up
# Of what is sent to a client, so much may lie in the system's memory, bytes.
_SEND_BUFFER = 64 * 1024
_KEEP_ALIVE = 5  # s between two requests of a connection
# Requests that may begin before others are heard.
_AT_ONCE = 4
# How long connections that the system has let in are still taken up, s.
_LAST_CONNECTIONS = 0.05

_SO_ATTACH_FILTER = 26  # of Linux; Python has no name for it
# For a filter that the system runs on each packet, from the TCP header on (classic BPF): what
# begins a connection, a SYN without ACK, is dropped, and all else let pass.
_NO_NEW_CONNECTION = (
    (0x30, 0, 0, 13),  # load the flags,
    (0x54, 0, 0, 0x12),  # of them SYN and ACK;
    (0x15, 0, 1, 0x02),  # if it is SYN alone,
    (0x06, 0, 0, 0),  # drop the packet,
    (0x06, 0, 0, 0xFFFFFFFF),  # else take it whole
)


def serve(options: ServerOptions, log: str = "quiet") -> None:
    """Serve until SIGINT or SIGTERM, which are raised again when all that had begun is answered.

    Parameters
    ----------
    options : ServerOptions
    log : str
        What is written to stderr, one of `digitflow.web.logs.FORMATS`.

    Raises
    ------
    UsageError
        If the address cannot be listened on, or would be open to anyone.
    UnknownModelError, BundleError
        If the model cannot be loaded.
    """
    check_exposure(options)
    with listening(options.host, options.port) as listener, contextlib.closing(log_to_console(log)):
        app = create_app(options)
        config = uvicorn.Config(
            TakingTurns(app),
            loop="asyncio",
            http=partial(BoundedProtocol, options),  # type: ignore[arg-type]
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            # No address is taken from a request, also not from one of a proxy.
            proxy_headers=False,
            backlog=_BACKLOG,
            timeout_keep_alive=_KEEP_ALIVE,
            timeout_graceful_shutdown=options.drain,  # type: ignore[arg-type]
        )
        _Server(config, app, address_of(listener)).run([listener])


def check_exposure(options: ServerOptions) -> None:
    """Check that only this machine, or those who know a token, can use the server.

    Raises
    ------
    UsageError
        If anyone else could, unless that was asked for, or if the token is too short.
    """
    token = options.token
    if token is not None and (len(token) < SHORTEST_TOKEN or not token.isascii() or " " in token):
        raise UsageError(
            f"DIGITFLOW_TOKEN: give at least {SHORTEST_TOKEN} characters, ASCII without spaces; "
            "for example what `openssl rand -hex 32` prints"
        )
    if token is None and not options.no_auth and not _is_loopback(options.host):
        raise UsageError(
            f"--host {options.host}: others could use the server; set a token in DIGITFLOW_TOKEN, "
            "or serve anyone with --no-auth"
        )


@contextlib.contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """Give a socket that listens on an address.

    Raises
    ------
    UsageError
        If the address is not known here, or is taken.
    """
    family, kind, protocol, _, address = _resolve(host, port)
    # asyncio sends without delay only where it knows the protocol to be TCP.
    with socket.socket(family, kind, protocol) as listener:
        # A restarted server need not wait for what is left of the connections of the one before.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        try:
            listener.bind(address)
            listener.listen(_BACKLOG)
        except OSError as error:
            raise UsageError(
                f"{_joined(host, port)}: cannot be listened on ({error.strerror}); "
                "choose another with --port or --host"
            ) from error
        yield listener


def let_nobody_in(listener: socket.socket) -> None:
    """Begin no further connection on a socket that listens; those begun can still be accepted.

    Whoever comes now asks again a second later, and is refused when the socket is closed by then.
    Otherwise a connection could come between the last that was accepted and the close, and its
    request would be lost.
    """
    code = ctypes.create_string_buffer(
        b"".join(struct.pack("HBBI", *each) for each in _NO_NEW_CONNECTION)
    )
    program = struct.pack("HP", len(_NO_NEW_CONNECTION), ctypes.addressof(code))
    try:
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
    except OSError:  # a sandbox that knows no filters
        listener.listen(0)


def address_of(listener: socket.socket) -> str:
    """Return the address under which a browser finds a socket."""
    host, port = listener.getsockname()[:2]
    return f"http://{_joined(host, port)}"


class TakingTurns:
    """Let few requests begin at once, but for health, so that it never waits for many of them.

    What one does at its beginning takes a millisecond, in which nobody else is heard. Of many
    that came together, each would wait for all others, and so would health.

    Parameters
    ----------
    app : ASGI application
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request when it is its turn."""
        if scope["type"] == "http" and scope["path"] not in HEALTH:
            async with self._turns:
                await asyncio.sleep(0)  # until the others were heard
        await self._app(scope, receive, send)


class _Server(uvicorn.Server):
    """uvicorn's server, which says when it is ready, and takes leave of nobody too early."""

    def __init__(self, config: uvicorn.Config, app: FastAPI, address: str) -> None:
        super().__init__(config)
        self._app = app
        self._address = address

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and tell the address."""
        try:
            await super().startup(sockets)
        except SystemExit as error:  # uvicorn's, when the app fails
            raise DigitflowError("the server could not start; its log says why") from error
        # What is there for good need not be looked through again and again, for 50 ms each time.
        gc.collect()
        gc.freeze()
        print(f"digitflow listens on {self._address} (Ctrl-C stops it)", flush=True)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop: take up who is at the door, then let all that has begun end."""
        self._app.state.pool.draining = True
        for listener in sockets or []:
            let_nobody_in(listener)
        await asyncio.sleep(_LAST_CONNECTIONS)
        await super().shutdown(sockets)


def _resolve(host: str, port: int) -> tuple[int, int, int, str, tuple[Any, ...]]:
    """Return the first address of a host and a port, as `socket.getaddrinfo` does."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or "no valid name"
        raise UsageError(f"--host {host}: is not known ({why}); give an address") from error
    return found[0]


def _is_loopback(host: str) -> bool:
    return ipaddress.ip_address(str(_resolve(host, 0)[4][0]).partition("%")[0]).is_loopback


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
