"""Any number of sorted streams as one, with few of them open at a time."""

import heapq
import marshal
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

#: Streams that are read side by side. A process may have some hundred files open, and each of those
#: takes up to three megabytes.
AT_ONCE = 64

_BLOCK = 4096  # entries


def merged(
    streams: Sequence[Iterator[tuple[Any, ...]]], folder: Path | None = None
) -> Iterator[tuple[Any, ...]]:
    """Merge sorted streams, of equal entries those of the earlier stream first.

    Parameters
    ----------
    streams : sequence of iterator of tuple
        Each sorted; of bytes and int.
    folder : Path or None
        Where temporary files may lie, where there are many streams.

    Returns
    -------
    iterator of tuple

    Raises
    ------
    OSError
        If the temporary files cannot be written.
    """
    while len(streams) > AT_ONCE:
        starts = range(0, len(streams), AT_ONCE)
        groups = [heapq.merge(*streams[start : start + AT_ONCE]) for start in starts]
        streams = [_through_file(group, folder) for group in groups]
    return heapq.merge(*streams)


def _through_file(
    entries: Iterator[tuple[Any, ...]], folder: Path | None
) -> Iterator[tuple[Any, ...]]:
    """Write a stream to a file as soon as its first entry is asked for, and read it from there."""
    with TemporaryFile(dir=folder) as file:
        while block := list(islice(entries, _BLOCK)):
            marshal.dump(block, file)
        marshal.dump([], file)
        file.seek(0)
        while block := marshal.load(file):
            yield from block
