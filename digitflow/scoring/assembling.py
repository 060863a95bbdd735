"""The new table's rows: those scored now and those that stay, in the order of the walk."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from digitflow.errors import OutputError
from digitflow.scoring.columns import numbers_in, taken
from digitflow.scoring.known import SCORED, Comparison, Source
from digitflow.scoring.scored import read_rows

#: Files whose rows are put in order together.
_BLOCK_FILES = 8192


def assembled(comparison: Comparison, scored: Source) -> Iterator[pa.Table]:
    """Put the rows of all sources in order, block by block.

    Parameters
    ----------
    comparison : Comparison
        What was decided of each file, all of them.
    scored : Source
        The parts of this run.

    Yields
    ------
    pyarrow.Table
        The rows of some files.

    Raises
    ------
    OutputError
        If rows cannot be read.
    """
    origins = np.frombuffer(comparison.origins, np.uint16)
    rows = {SCORED: _KeptRows(scored)}
    rows |= {origin: _KeptRows(source) for origin, source in comparison.sources.items()}
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


class _KeptRows:
    """The rows of a source that stay, taken file by file."""

    def __init__(self, source: Source):
        self._source = source
        self._batches = _kept_rows(source)
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


def _kept_rows(source: Source) -> Iterator[tuple[pa.RecordBatch, np.ndarray]]:
    """Read the rows that stay, and for each of them how many files that stay come before."""
    kept = np.frombuffer(source.kept, bool)
    numbers = np.cumsum(kept) - 1
    n_files = 0
    for file in source.files:
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
