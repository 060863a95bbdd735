"""Connections on which a client has only so much time and room; uvicorn bounds neither.

Every stage of a request has its deadline: its head, its body, and the taking of the answer. There
is a limit to connections, and beyond it some more on which health alone is answered.
"""

import asyncio
import secrets
from typing import Any

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol, RequestResponseCycle
from uvicorn.server import ServerState

from digitflow.web.answering import complete_headers
from digitflow.web.logs import log_answer
from digitflow.web.options import ServerOptions
from digitflow.web.problems import ProblemError

#: Connections beyond the limit, on which health is answered and nothing else.
SPARE_CONNECTIONS = 64

_MOST_HEADERS = 100
_LONGEST_HEAD = 16 * 1024  # bytes of the request line and all headers
# Bytes read at once: as many lines as they hold are parsed before anybody else is served.
_READ_AT_ONCE = 16 * 1024
# A body may have this many chunks, and one more for each so many bytes of it.
_MOST_SMALL_CHUNKS = 1000
_BYTES_PER_CHUNK = 256
# How long open connections are waited on for a request when the server is told to stop, s.
_LAST_CALL = 0.5

_CLOSE = (b"connection", b"close")
_TOO_LONG = 431


class BoundedProtocol(H11Protocol):
    """HTTP/1.1 on one connection.

    Parameters
    ----------
    options : ServerOptions
        Of which it takes the deadlines and the number of connections.
    config, server_state, app_state, _loop
        As uvicorn gives them.
    """

    def __init__(
        self,
        options: ServerOptions,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.conn: _BoundedConnection = _BoundedConnection()
        self._options = options
        self._stage: tuple[str, RequestResponseCycle | None] = ("", None)
        self._stage_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._since = self.loop.time()
        self._closes_soon = False  # with the next answer

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take up a connection, if there is room for it."""
        super().connection_made(transport)
        transport.max_size = _READ_AT_ONCE  # type: ignore[attr-defined]
        # So that writing is paused exactly as long as something is not sent yet.
        transport.set_write_buffer_limits(high=0)
        self._find_room()
        self._watch_stage()

    def handle_events(self) -> None:
        """Take up what was read."""
        before = self.cycle
        super().handle_events()
        if self._closes_soon and self.cycle is not before:
            self._make_last()
        self._watch_stage()

    def eof_received(self) -> None:
        """Say what is missing, if the client ended in the middle of a request."""
        if self._stage[0] == "body" or self._has_begun_head():
            self._refuse(ProblemError(400, "the connection ended before the request", "incomplete"))

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget all deadlines."""
        super().connection_lost(exc)
        for timer in (self._stage_timer, self._write_timer):
            if timer is not None:
                timer.cancel()

    def pause_writing(self) -> None:
        """Give the client its time to take what is not sent yet."""
        super().pause_writing()
        self._write_timer = self.loop.call_later(self._options.write_deadline, self.transport.abort)

    def resume_writing(self) -> None:
        """Note that all was sent."""
        super().resume_writing()
        if self._write_timer is not None:
            self._write_timer.cancel()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no request, or too much of one."""
        error = self.conn.error
        if isinstance(error, _RefusedError):
            problem = ProblemError(error.error_status_hint, str(error), "protocol")
        elif error is not None and error.error_status_hint == _TOO_LONG:
            detail = f"the head of the request is longer than {_LONGEST_HEAD // 1024} KiB"
            problem = ProblemError(_TOO_LONG, detail, "protocol")
        else:
            problem = ProblemError(400, "the request is no valid HTTP/1.1", "protocol")
        self._refuse(problem)

    def shutdown(self) -> None:
        """Let what has begun end, and a request that is on its way still be answered."""
        self._closes_soon = True
        if self.cycle is not None and not self.cycle.response_complete:
            self._make_last()
        else:
            self.loop.call_later(_LAST_CALL, self._close_if_waiting)

    def _make_last(self) -> None:
        """Tell the client that the answer under way is the last on this connection."""
        self.cycle.keep_alive = False
        self.cycle.default_headers = [*self.cycle.default_headers, _CLOSE]

    def _close_if_waiting(self) -> None:
        if self._waits_for_head() and not self._has_begun_head():
            self.transport.close()

    def _waits_for_head(self) -> bool:
        return self.conn.their_state is h11.IDLE

    def _has_begun_head(self) -> bool:
        return self._waits_for_head() and bool(self.conn.trailing_data[0])

    def _watch_stage(self) -> None:
        """Start the deadline of the stage that the client is in; one that goes on keeps its own."""
        stage = self._find_stage()
        if stage == self._stage:
            return
        self._stage = stage
        if self._stage_timer is not None:
            self._stage_timer.cancel()
        if name := stage[0]:
            seconds = self._deadline_of(name)
            self._stage_timer = self.loop.call_later(seconds, self._cut_off, name)

    def _find_stage(self) -> tuple[str, RequestResponseCycle | None]:
        """Return what the client is sending, and after which request or of which."""
        if self.transport.is_closing():
            return "", None
        if self.conn.their_state is h11.SEND_BODY:
            return "body", self.cycle
        # Between two requests uvicorn waits for the first byte, for `timeout_keep_alive`.
        if self._has_begun_head() or (self._waits_for_head() and self.cycle is None):
            return "head", self.cycle
        return "", None

    def _cut_off(self, stage: str) -> None:
        """End a connection whose client was too slow, with an answer if it asked anything."""
        if stage == "head" and not self._has_begun_head():
            self.transport.close()
            return
        detail = f"the {stage} of the request took longer than {self._deadline_of(stage):g} s"
        self._refuse(ProblemError(408, detail, "slow"))

    def _deadline_of(self, stage: str) -> float:
        options = self._options
        return options.header_deadline if stage == "head" else options.body_deadline

    def _refuse(self, problem: ProblemError) -> None:
        """Answer with a problem, if nothing was answered yet, and end the connection."""
        cycle = self.cycle
        under_way = cycle is not None and not cycle.response_complete
        request_id = None
        if under_way:
            request_id = cycle.scope["state"].get("request_id")
            # For the app the client has left.
            cycle.disconnected = True
            cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            request_id = request_id or secrets.token_hex(8)
            self._send(problem, request_id, under_way and cycle.scope["method"] == "HEAD")
            if under_way:
                cycle.scope["state"]["refused"] = problem.status  # for the log
            else:
                log_answer(
                    id=request_id,
                    client=self.client and self.client[0],
                    status=problem.status,
                    problem=problem.detail,
                )
        self.transport.close()

    def _send(self, problem: ProblemError, request_id: str, head_only: bool) -> None:
        response = problem.response(request_id)
        complete_headers(response.headers, request_id)
        headers = [*self.server_state.default_headers, *response.raw_headers, _CLOSE]
        reason = STATUS_PHRASES[problem.status]
        for event in (
            h11.Response(status_code=problem.status, headers=headers, reason=reason),
            h11.Data(data=b"" if head_only else bytes(response.body)),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")

    def _find_room(self) -> None:
        """Make room for this connection, or let it ask for health alone, or end it."""
        if len(self.connections) <= self._options.connections:
            return
        others = [
            each
            for each in self.connections
            if isinstance(each, BoundedProtocol) and not each.transport.is_closing()
        ]
        excess = len(others) - self._options.connections
        waiting = [each for each in others if each is not self and each._waits_for_head()]
        if excess > 0 and waiting:
            min(waiting, key=lambda each: each._since).transport.close()
        elif excess > SPARE_CONNECTIONS:
            self.transport.abort()
        elif excess > 0:
            self._closes_soon = True
            self.app_state = {**self.app_state, "crowded": True}


class _RefusedError(h11.RemoteProtocolError):
    """What is valid, but sent by no honest client."""


class _BoundedConnection(h11.Connection):
    """What h11 knows of a connection, with limits to what it takes.

    Attributes
    ----------
    error : RemoteProtocolError or None
        Why the client is not listened to any more.
    """

    def __init__(self) -> None:
        super().__init__(h11.SERVER, _LONGEST_HEAD)
        self.error: h11.RemoteProtocolError | None = None
        self._n_chunks = 0
        self._n_bytes = 0

    def next_event(self) -> Any:
        """Return the next event, if it is within the limits."""
        try:
            event = super().next_event()
            if isinstance(event, h11.Request):
                self._check_head(event)
            elif isinstance(event, h11.Data):
                self._check_chunks(event)
        except h11.RemoteProtocolError as error:
            self.error = error
            raise
        return event

    def _check_head(self, request: h11.Request) -> None:
        self._n_chunks = self._n_bytes = 0
        if len(request.headers) > _MOST_HEADERS:
            raise _RefusedError(f"more than {_MOST_HEADERS} headers", _TOO_LONG)
        if request.http_version not in (b"1.0", b"1.1"):
            raise _RefusedError("speak HTTP/1.1", 400)
        names = {name for name, _ in request.headers}
        # Whoever forwards such a request may think that it ends elsewhere, and another begins.
        if b"transfer-encoding" in names:
            if b"content-length" in names:
                raise _RefusedError("both Content-Length and Transfer-Encoding", 400)
            if request.http_version < b"1.1":
                raise _RefusedError("Transfer-Encoding in HTTP/1.0", 400)

    def _check_chunks(self, data: h11.Data) -> None:
        self._n_chunks += data.chunk_start
        self._n_bytes += len(data.data)
        if self._n_chunks > _MOST_SMALL_CHUNKS + self._n_bytes / _BYTES_PER_CHUNK:
            raise _RefusedError("too many small chunks", 400)
