"""The threads that read images, and the places in their queue."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request

from digitflow.web.problems import ProblemError

# What waited so long is no longer waited for, s.
_PATIENCE = 30.0

_Result = TypeVar("_Result")


class ReaderPool:
    """Threads that read images, with a bounded queue before them.

    Parameters
    ----------
    n_threads : int
        How many images are read at once.
    queue : int
        How many more may wait.

    Attributes
    ----------
    n_threads : int
    draining : bool
        Set it to be ready no more; what is still asked is done all the same.
    """

    def __init__(self, n_threads: int, queue: int) -> None:
        self.n_threads = n_threads
        self.draining = False
        self._n_places = n_threads + queue
        self._n_taken = 0
        self._lock = threading.Lock()
        self._executor = ThreadPoolExecutor(n_threads, thread_name_prefix="reader")

    @property
    def n_taken(self) -> int:
        """Return how many images are waiting or being read."""
        return self._n_taken

    def check_open(self) -> None:
        """Refuse if the server is stopping.

        Raises
        ------
        ProblemError
        """
        if self.draining:
            detail = "the server is stopping"
            raise ProblemError(503, detail, "draining", headers={"Retry-After": "5"})

    async def run(
        self,
        calls: Sequence[Callable[[], _Result]],
        request: Request,
    ) -> list[_Result]:
        """Run calls in the threads and return what they give, in their order.

        Parameters
        ----------
        calls : sequence of callable
            One for each image. All of them are taken, or none.
        request : Request
            For which they are; its whole body must have been read.

        Raises
        ------
        ProblemError
            If the queue has no place for them, or they waited too long.
        ClientDisconnect
            If the client left meanwhile.
        """
        futures = self._submit(calls)
        results: asyncio.Future[list[_Result]] = asyncio.gather(*map(asyncio.wrap_future, futures))
        left: asyncio.Future[Any] = asyncio.ensure_future(_until_left(request))
        try:
            await asyncio.wait(
                [results, left], timeout=_PATIENCE, return_when=asyncio.FIRST_COMPLETED
            )
            if results.done():
                return results.result()
            if left.done():
                raise ClientDisconnect
            detail = "waited too long; try again later"
            raise ProblemError(503, detail, "timeout", headers={"Retry-After": "5"})
        finally:
            left.cancel()
            for future in futures:
                future.cancel()  # what has not begun is never begun

    def close(self) -> None:
        """Wait for what runs, and end the threads."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    def _submit(self, calls: Sequence[Callable[[], _Result]]) -> list["Future[_Result]"]:
        """Take a place for each call, and queue them."""
        with self._lock:
            if self._n_taken + len(calls) > self._n_places:
                raise ProblemError(
                    429, "too much to read at once; try again", "busy", headers={"Retry-After": "1"}
                )
            self._n_taken += len(calls)
        futures = [self._executor.submit(call) for call in calls]
        for future in futures:
            # Called as well where the call was cancelled, and only when its thread is free again.
            future.add_done_callback(self._leave)
        return futures

    def _leave(self, _: "Future[Any]") -> None:
        with self._lock:
            self._n_taken -= 1


async def _until_left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
