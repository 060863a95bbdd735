"""Files that someone else may have put there, read without trust."""

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

_PIECE = 1 << 20  # bytes


def read_regular_file(path: Path, limit: int) -> Iterator[bytes]:
    """Read a regular file piece by piece, following no link and never blocking.

    Parameters
    ----------
    path : Path
        The file.
    limit : int
        How many bytes it may have.

    Yields
    ------
    bytes
        At most 1 MiB.

    Raises
    ------
    OSError
        If there is no such file, it is something else, is larger, or cannot be read.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, "a link, not a regular file", path) from error
        raise
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", path)
        n_bytes, n_read = facts.st_size, 0
        while n_bytes <= limit and (piece := os.read(descriptor, _PIECE)):
            yield piece
            n_read += len(piece)
            n_bytes = max(n_bytes, n_read)  # it may grow meanwhile
        if n_bytes > limit:
            raise OSError(errno.EFBIG, f"larger than the {limit:,} bytes it may have", path)
    finally:
        os.close(descriptor)
