"""Processes in which images are read, so that no image can hold up or end the server itself.

Such a process makes the calls that come over a socket, one after another, and ends when nobody is
at the other end any more, however the server ended.
"""

import os
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from digitflow.errors import DigitflowError
from digitflow.settings import ONE_THREAD
from digitflow.signals import signals_held

_Result = TypeVar("_Result")


class CallFailedError(Exception):
    """A call raised what nobody expected.

    Parameters
    ----------
    what : str
        The error, in one line.
    where : str
        Its traceback.
    """

    def __init__(self, what: str, where: str) -> None:
        super().__init__(what, where)
        self.what = what
        self.where = where


class ProcessEndedError(Exception):
    """A process ended in the middle of a call.

    Parameters
    ----------
    exit_code : int
        Negative for the signal that ended it.
    """

    def __init__(self, exit_code: int) -> None:
        super().__init__(f"exit code {exit_code}")
        self.exit_code = exit_code

    @property
    def is_overtime(self) -> bool:
        """Tell whether it was cut off because the call took too long."""
        return self.exit_code == -signal.SIGALRM


class CallProcess:
    """A process that makes calls, one at a time; after its end the next call starts it anew.

    Parameters
    ----------
    longest : int
        A call that takes longer is cut off, s.
    nice : int
        How far it stands back where others want the same core, as `os.nice` has it.
    """

    def __init__(self, longest: int, nice: int = 0) -> None:
        self._settings = longest, nice
        self._running: tuple[subprocess.Popen[bytes], Connection] | None = None

    @property
    def pid(self) -> int | None:
        """Return its number; None where it was not started."""
        return self._running[0].pid if self._running else None

    def start(self) -> None:
        """Start it, unless it runs; it is ready some tenths of a second later."""
        self._start()

    def call(self, call: Callable[[], _Result]) -> _Result:
        """Make a call there, and return what it gives.

        Parameters
        ----------
        call : callable
            That can be pickled, such as a `partial` of a module's function.

        Raises
        ------
        DigitflowError
            If the call raises one.
        CallFailedError
            If it raises anything else.
        ProcessEndedError
            If the process dies of it, or it takes too long.
        """
        process, connection = self._start()
        try:
            connection.send(call)
            result, error = connection.recv()
        except (EOFError, OSError):
            self.close()
            raise ProcessEndedError(process.returncode) from None
        if error is not None:
            raise error
        return result

    def kill(self) -> None:
        """End it now, whatever it does; another thread may wait in `call` meanwhile."""
        if running := self._running:
            running[0].kill()

    def close(self) -> None:
        """End it, and let go of what was held for it."""
        if self._running is not None:
            process, connection = self._running
            self._running = None
            connection.close()
            process.kill()
            process.wait()

    def _start(self) -> "tuple[subprocess.Popen[bytes], Connection]":
        if self._running is not None and self._running[0].poll() is None:
            return self._running
        self.close()
        ours, theirs = socket.socketpair()
        words = ", ".join(map(str, (theirs.fileno(), *self._settings)))
        script = f"from {__name__} import make_calls; make_calls({words})"
        # A terminal or a service manager signals all processes: the server alone answers, and ends
        # the others when they are done.
        with theirs, signals_held():
            process = subprocess.Popen(
                # As this process finds its modules, and nowhere else.
                [sys.executable, "-P", "-c", script],
                env=os.environ | ONE_THREAD | {"PYTHONPATH": os.pathsep.join(sys.path)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        self._running = process, Connection(ours.detach())
        return self._running


def make_calls(descriptor: int, longest: int, nice: int) -> None:
    """Make the calls that come over a socket, until its other end is closed.

    Parameters
    ----------
    descriptor : int
        Of the socket.
    longest, nice : int
        As in `CallProcess`.
    """
    os.nice(nice)
    with Connection(descriptor) as connection, suppress(EOFError, OSError):
        while True:
            call = connection.recv()
            # The system ends the process when the time is over, even where native code hangs.
            signal.alarm(longest)
            answer = _answer(call)
            signal.alarm(0)
            connection.send(answer)


def _answer(call: Callable[[], Any]) -> tuple[Any, Exception | None]:
    """Return what a call gives, or what it raises."""
    try:
        return call(), None
    except DigitflowError as error:
        return None, error
    except Exception as error:
        said = " ".join(str(error).split())[:200]
        what = f"{type(error).__name__} ({said})"
        return None, CallFailedError(what, traceback.format_exc())
