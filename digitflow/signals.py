"""Signals that would strike at a bad moment, or the wrong process."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def signals_deferred() -> Iterator[None]:
    """Let SIGINT and SIGTERM wait until the block is left, where Python code handles them.

    The exception that a handler raises can be lost where it strikes: native code that is being
    imported may swallow it or put another in its place. A signal that simply ends the process
    still does so at once.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # handlers run in the main thread only
        return
    waiting: list[int] = []

    def wait(signum: int, frame: FrameType | None) -> None:
        waiting.append(signum)

    numbers = (signal.SIGINT, signal.SIGTERM)
    handlers = ((number, signal.getsignal(number)) for number in numbers)
    handled = {number: handler for number, handler in handlers if callable(handler)}
    for number in handled:
        signal.signal(number, wait)
    try:
        yield
    finally:
        for number, handler in handled.items():
            signal.signal(number, handler)
        for signum in waiting:
            signal.raise_signal(signum)


@contextmanager
def signals_held() -> Iterator[None]:
    """Hold SIGINT and SIGTERM back; processes that this thread starts meanwhile never get them.

    A terminal or a service manager sends them to all processes, but the one that started the others
    answers alone, and ends these: should they die first, it would take that for a failure.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
