"""What native libraries may not print on the console."""

import contextlib
import io
import os
import sys
import tempfile
import threading
from collections.abc import Iterator

# The console belongs to the whole process: one thread at a time, or it may be lost for good.
_ONE_AT_A_TIME = threading.RLock()


@contextlib.contextmanager
def native_chatter_hidden(*, also_on_failure: bool = False) -> Iterator[None]:
    """Keep what native code and converters print off the console, unless they fail.

    TensorFlow, LiteRT and libtiff write lines straight to the file descriptors, where no log level
    reaches them. What other threads print meanwhile is held back too.

    Parameters
    ----------
    also_on_failure : bool
        False prints what was held back when an error leaves the block, but not when a signal ends
        it; True drops it all the same, for code whose exception says enough.
    """
    with (
        _ONE_AT_A_TIME,
        tempfile.TemporaryFile() as held,
        contextlib.redirect_stdout(io.StringIO()) as printed,
    ):
        saved = [(number, os.dup(number)) for number in (1, 2) if _is_open(number)]
        try:
            for number, _ in saved:
                os.dup2(held.fileno(), number)
            yield
        except Exception:
            _restore(saved)
            if not also_on_failure and sys.stderr:
                held.seek(0)
                sys.stderr.write(held.read().decode(errors="replace") + printed.getvalue())
            raise
        finally:
            _restore(saved)


def _is_open(descriptor: int) -> bool:
    """Tell whether a file descriptor is open; a caller may have closed the console."""
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def _restore(saved: list[tuple[int, int]]) -> None:
    while saved:
        number, copy = saved.pop()
        os.dup2(copy, number)
        os.close(copy)
