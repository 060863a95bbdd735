"""The new table's rows: those scored now and those that stay, in the order of the walk."""

from collections.abc import Iterator
from itertools import zip_longest

import numpy as np
import pyarrow as pa

from digitflow.errors import OutputError
from digitflow.scoring.columns import numbers_in, taken
from digitflow.scoring.known import SCORED, Comparison, Source
from digitflow.scoring.scored import read_rows

#: Files whose rows are put in order together.
_BLOCK_FILES = 8192


def assembled(
    comparison: Comparison, scored: Source, wanted: np.ndarray | None = None
) -> Iterator[pa.Table]:
    """Put the rows of all sources in order, block by block.

    Parameters
    ----------
    comparison : Comparison
        What was decided of each file, all of them.
    scored : Source
        The parts of this run.
    wanted : array of bool, shape (n_files,), or None
        For each file whether its rows are wanted; of a table whose rows stay, all must be or none.
        Default: all.

    Yields
    ------
    pyarrow.Table
        The rows of some files.

    Raises
    ------
    OutputError
        If rows cannot be read.
    """
    origins = np.frombuffer(comparison.origins, np.uint32)
    sources = {SCORED: scored, **comparison.sources}
    if wanted is not None:
        for origin in sources.keys() - comparison.tables:
            sources[origin] = _narrowed(sources[origin], wanted[origins == origin])
        origins = origins[wanted]
    rows = {origin: _KeptRows(source) for origin, source in sources.items()}
    for start in range(0, len(origins), _BLOCK_FILES):
        block = origins[start : start + _BLOCK_FILES]
        batches: list[pa.RecordBatch] = []
        places: list[np.ndarray] = []
        for origin in np.unique(block).tolist():
            wanted = np.flatnonzero(block == origin)
            for batch, files in rows[origin].of_next(len(wanted)):
                batches.append(batch)
                places.append(wanted[files])
        table = pa.Table.from_batches(batches).unify_dictionaries()
        order = np.argsort(np.concatenate(places), kind="stable")
        in_order = (order == np.arange(len(order))).all()
        yield table if in_order else taken(table, order)


def _narrowed(source: Source, wanted: np.ndarray) -> Source:
    """Return a source of whose files that stay only those stay that are wanted."""
    kept = np.frombuffer(source.kept, np.uint8).copy()
    kept[np.flatnonzero(kept)] = wanted
    return Source(source.files, source.model_id, bytearray(kept.tobytes()), source.counts)


class _KeptRows:
    """The rows of a source that stay, taken file by file."""

    def __init__(self, source: Source):
        self._source = source
        self._batches = kept_rows(source)
        self._rest: tuple[pa.RecordBatch, np.ndarray] | None = None
        self._n_taken = 0  # files

    def of_next(self, n_files: int) -> Iterator[tuple[pa.RecordBatch, np.ndarray]]:
        """Give the rows of the next files, and for each row which of these files is its own."""
        first, end = self._n_taken, self._n_taken + n_files
        last = -1
        while (current := self._rest or next(self._batches, None)) is not None:
            batch, files = current
            cut = int(np.searchsorted(files, end))
            if cut:
                last = int(files[cut - 1])
                yield batch.slice(0, cut), files[:cut] - first
            self._rest = (batch.slice(cut), files[cut:]) if cut < len(files) else None
            if self._rest:
                break
        if last != end - 1:
            raise OutputError(f"{self._source.files[-1]}: was changed meanwhile; run again")
        self._n_taken = end


def kept_rows(source: Source) -> Iterator[tuple[pa.RecordBatch, np.ndarray]]:
    """Read the rows that stay, and for each of them how many files that stay come before."""
    kept = np.frombuffer(source.kept, bool)
    numbers = np.cumsum(kept) - 1
    n_files = 0
    for file, count in zip_longest(source.files, source.counts):
        if count is not None and not kept[n_files : n_files + count].any():
            n_files += count
            continue
        for batch in read_rows(file):
            files = n_files - 1 + np.cumsum(numbers_in(batch.column("segment")) == 0)
            n_files = int(files[-1]) + 1
            if n_files > len(kept):
                raise OutputError(f"{file}: was changed meanwhile; run again")
            stay = kept[files]
            if stay.all():
                yield batch, numbers[files]
            elif stay.any():
                yield taken(batch, np.flatnonzero(stay)), numbers[files][stay]
