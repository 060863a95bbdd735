"""What Prometheus is told: requests, digits and the queue, in a registry of each app's own."""

import time
from collections.abc import Collection, Iterable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from digitflow.web.readers import ReaderPool

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

_SECONDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_METHODS = frozenset({"GET", "HEAD", "POST", "OPTIONS"})


class Metrics:
    """The figures of one server.

    Parameters
    ----------
    pool : ReaderPool
        Whose queue is told of.
    """

    def __init__(self, pool: ReaderPool) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)  # memory, open files, time of the processor
        self.requests = Counter(
            "digitflow_requests",
            "Requests answered.",
            ["method", "path", "status"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "digitflow_request_seconds",
            "Time from a request's headers to the end of its answer.",
            ["path"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.digits = Counter(
            "digitflow_digits",
            "Digits read, by the scored table's status and reason; `error` are unreadable images.",
            ["status", "reason"],
            registry=self.registry,
        )
        self.feedback = Counter(
            "digitflow_feedback_images", "Corrected images stored.", registry=self.registry
        )
        places = Gauge(
            "digitflow_images_in_work",
            "Images waiting or being read: small ones (quick), and all else (slow).",
            ["lane"],
            registry=self.registry,
        )
        places.labels("quick").set_function(lambda: pool.quick.n_taken)
        places.labels("slow").set_function(lambda: pool.slow.n_taken)

    def count_digits(self, judged: Iterable[tuple[str, str | None]]) -> None:
        """Count the digits of an image, each by its status and reason."""
        for status, reason in judged:
            self.digits.labels(status, reason or "").inc()

    def count_fault(self, reason: str) -> None:
        """Count an image that could not be read."""
        self.digits.labels("error", reason).inc()

    def exposition(self) -> bytes:
        """Return all figures in Prometheus' text format."""
        return generate_latest(self.registry)


class MeasuringMiddleware:
    """Count and time every request, the refused ones too.

    Parameters
    ----------
    app : ASGI application
    metrics : Metrics
    paths : collection of str
        The paths that are told apart; all else is `other`, as anybody may ask for anything.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, paths: Collection[str]) -> None:
        self._app = app
        self._metrics = metrics
        self._paths = frozenset(paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start = time.perf_counter()
        status = 500  # where no answer ever begins

        async def note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, note_status)
        finally:
            path = scope["path"] if scope["path"] in self._paths else "other"
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self._metrics.requests.labels(method, path, status).inc()
            self._metrics.seconds.labels(path).observe(time.perf_counter() - start)
