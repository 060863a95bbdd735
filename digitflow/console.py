"""What native libraries may not print on the console."""

import contextlib
import io
import os
import sys
import tempfile
from collections.abc import Iterator


@contextlib.contextmanager
def native_chatter_hidden() -> Iterator[None]:
    """Keep what C++ code and converters print off the console, unless they fail.

    TensorFlow and LiteRT write informational lines straight to the file descriptors before any
    log level can reach them. What was held back is printed after all when an exception leaves the
    block. Not for code that runs while other threads print.
    """
    with tempfile.TemporaryFile() as held, contextlib.redirect_stdout(io.StringIO()) as printed:
        sys.stderr.flush()
        saved = [(number, os.dup(number)) for number in (1, 2)]
        try:
            for number, _ in saved:
                os.dup2(held.fileno(), number)
            yield
        except BaseException:
            _restore(saved)
            held.seek(0)
            sys.stderr.write(held.read().decode(errors="replace") + printed.getvalue())
            raise
        finally:
            _restore(saved)


def _restore(saved: list[tuple[int, int]]) -> None:
    while saved:
        number, copy = saved.pop()
        os.dup2(copy, number)
        os.close(copy)
