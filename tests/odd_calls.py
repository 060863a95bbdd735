"""Calls of a kind that no image should lead to, where other processes can import them."""

import os
import signal


def fail(*_: object) -> None:
    """Raise what nobody expects."""
    raise RuntimeError("of a kind\nnobody thought of")


def end(*_: object) -> None:
    """End the process, as a fault in native code does."""
    os.kill(os.getpid(), signal.SIGKILL)
