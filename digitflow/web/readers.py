"""The processes that read images, and the places in the queues before them."""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request

from digitflow.errors import ImageError
from digitflow.web.problems import ProblemError
from digitflow.web.processes import CallFailedError, CallProcess, ProcessEndedError

#: Up to this size a request goes by the quick lane, bytes: MNIST's own digits do, drawings do not.
QUICK = 2048

# What waits so long is no longer waited for, and what is read so long is cut off, s.
_PATIENCE = 30

# How far those who read small and large images stand back behind the server, which has to answer
# at once whoever asks for its health, and behind each other.
_NICE_QUICK, _NICE_SLOW = 5, 10

_logger = logging.getLogger(__name__)

_Result = TypeVar("_Result")


class ReaderPool:
    """Processes that read images, in two lanes: nobody waits long for a small one.

    A digit of 28×28 takes a millisecond, a photo a hundred: in one queue, few photos would keep
    many digits waiting.

    Parameters
    ----------
    n_processes : int
        How many large images are read at once; small ones are read beside them, one at a time.
    queue : int
        How many more may wait in each lane.

    Attributes
    ----------
    quick, slow : Lane
    draining : bool
        Set it to be ready no more; what is still asked is done all the same.
    """

    def __init__(self, n_processes: int, queue: int) -> None:
        self.quick = Lane(1, queue, _NICE_QUICK)
        self.slow = Lane(n_processes, queue, _NICE_SLOW)
        self.draining = False

    def lane_for(self, n_bytes: int) -> "Lane":
        """Return where to read images of so many bytes, all those of a request together."""
        return self.quick if n_bytes <= QUICK else self.slow

    def check_open(self) -> None:
        """Refuse if the server is stopping.

        Raises
        ------
        ProblemError
        """
        if self.draining:
            detail = "the server is stopping"
            raise ProblemError(503, detail, "draining", headers={"Retry-After": "5"})

    def start(self, call: Callable[[], object]) -> None:
        """Start the processes with a first call, and do not wait; else they start when needed."""
        self.quick.start(call)
        self.slow.start(call)

    def close(self) -> None:
        """End the processes, whatever they do."""
        self.quick.close()
        self.slow.close()


class Lane:
    """Processes that read images, with a bounded queue before them.

    Parameters
    ----------
    n_processes : int
        How many images are read at once.
    queue : int
        How many more may wait.
    nice : int
        As in `CallProcess`.
    """

    def __init__(self, n_processes: int, queue: int, nice: int = 0) -> None:
        self._n_places = n_processes + queue
        self._n_taken = 0
        self._lock = threading.Lock()
        self._closed = False
        self.processes = tuple(CallProcess(_PATIENCE, nice) for _ in range(n_processes))
        self._idle = deque(self.processes)
        # Each thread does nothing but wait for a process.
        self._executor = ThreadPoolExecutor(n_processes, thread_name_prefix="lane")

    @property
    def n_taken(self) -> int:
        """Return how many images are waiting or being read."""
        return self._n_taken

    async def run(
        self, calls: Sequence[Callable[[], _Result]], request: Request
    ) -> list[_Result | ImageError]:
        """Make calls in the processes and return what they give, in their order.

        Parameters
        ----------
        calls : sequence of callable
            One for each image, as for `CallProcess`. All of them are taken, or none.
        request : Request
            For which they are; its whole body must have been read.

        Returns
        -------
        list
            An image that cannot be read has its error in its place.

        Raises
        ------
        ProblemError
            If the queue has no place for them, they took too long, or a process died of them.
        DigitflowError
            If a call raises one that does not tell of the image.
        ClientDisconnect
            If the client left meanwhile.
        """
        futures = self._submit(calls)
        results: asyncio.Future[list[_Result | ImageError]] = asyncio.gather(
            *map(asyncio.wrap_future, futures)
        )
        left: asyncio.Future[Any] = asyncio.ensure_future(_until_left(request))
        try:
            await asyncio.wait(
                [results, left], timeout=_PATIENCE, return_when=asyncio.FIRST_COMPLETED
            )
            if results.done():
                return results.result()
            if left.done():
                raise ClientDisconnect
            raise _overtime()
        finally:
            left.cancel()
            for future in futures:
                future.cancel()  # what has not begun is never begun

    def start(self, call: Callable[[], object]) -> None:
        """Start the processes with a first call, and do not wait."""
        for _ in self.processes:
            self._executor.submit(self._make, call)

    def close(self) -> None:
        """End the processes and the threads."""
        self._closed = True
        self._executor.shutdown(wait=False, cancel_futures=True)
        for process in self.processes:
            process.kill()
        self._executor.shutdown(wait=True)
        for process in self.processes:
            process.close()

    def _submit(self, calls: Sequence[Callable[[], _Result]]) -> "list[Future[Any]]":
        """Take a place for each call, and queue them."""
        with self._lock:
            if self._n_taken + len(calls) > self._n_places:
                raise ProblemError(
                    429, "too much to read at once; try again", "busy", headers={"Retry-After": "1"}
                )
            self._n_taken += len(calls)
        futures = [self._executor.submit(self._make, call) for call in calls]
        for future in futures:
            # Called as well where the call was cancelled, and only when its process is free again.
            future.add_done_callback(self._leave)
        return futures

    def _make(self, call: Callable[[], _Result]) -> _Result | ImageError:
        """Make a call in a process that is free; there are as many as threads."""
        process = self._idle.pop()
        try:
            return process.call(call)
        except ImageError as error:
            return error
        except CallFailedError as error:
            _logger.error("an image provoked an unexpected error: %s", error.where)
            return ImageError("unreadable", f"unexpected {error.what}; please report this file")
        except ProcessEndedError as error:
            if not self._closed:
                _logger.error("a process that read an image ended: %s", error)
                process.start()
            raise _overtime() if error.is_overtime else _died() from error
        finally:
            self._idle.append(process)

    def _leave(self, _: "Future[Any]") -> None:
        with self._lock:
            self._n_taken -= 1


def _overtime() -> ProblemError:
    detail = "reading took too long; try again later, or send a smaller image"
    return ProblemError(503, detail, "timeout", headers={"Retry-After": "5"})


def _died() -> ProblemError:
    detail = "the process that read the image ended; try again, and report the image if it recurs"
    return ProblemError(503, detail, "ended", headers={"Retry-After": "5"})


async def _until_left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
