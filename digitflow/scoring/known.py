"""Which rows are known already, and which files must be scored.

The files of the folder and the rows of earlier runs come in the same order, that of the walk, and
are compared as streams: a few bytes of memory for each file, whatever the rows hold.
"""

import heapq
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from digitflow.errors import OutputError
from digitflow.scoring.columns import bytes_in, known_in, numbers_in, words_in
from digitflow.scoring.plan import Found, place_in_walk
from digitflow.scoring.scored import read_rows

#: A file that was changed this short a time before it was scored, or later, is scored again: it may
#: have been changed once more without its time telling. FAT tells times to 2 s, others are finer.
#: (Git calls such files racily clean.)
GRAIN_US = 2_000_000

#: The origins of a file's rows: this run, the earlier table, what an interrupted run left.
SCORED, TABLE, LEFT = range(3)

_NEEDED = ["path", "path_bytes", "segment", "status", "size_bytes", "modified_at", "scored_at"]
_NEVER_KEPT = -1  # in place of a size, which no file has

#: Place in the walk, origin, size in bytes, time in µs. It sorts as the walk does.
_Entry = tuple[bytes, int, int, int]


@dataclass
class Source:
    """Parquet files with known rows, in the order of the walk from the first to the last."""

    files: Sequence[Path]
    trusted: bool = True  # whether its rows may stand for files that are there
    kept: bytearray = field(default_factory=bytearray)  # for each file scored in it, 1 or 0


class Comparison:
    """Files beside known rows, and what is decided of each.

    Parameters
    ----------
    table : Source
        The earlier table.
    left : iterable of Source
        What interrupted runs left.
    keep_removed : bool
        Whether the rows of files that are gone stay.

    Attributes
    ----------
    origins : array of int
        For each file that the new table accounts for, in order: `SCORED`, `TABLE`, or `LEFT` plus
        the place of the source in `left`.
    n_removed : int
        Files of the earlier table that are gone, and their rows with them.
    """

    def __init__(self, table: Source, left: Iterable[Source] = (), keep_removed: bool = False):
        self.sources = {TABLE: table, **dict(enumerate(left, LEFT))}
        self.keep_removed = keep_removed
        self.origins = array("H")
        self.n_removed = 0

    def unknown(self, files: Iterable[Found]) -> Iterator[Found]:
        """Decide on each file, and give those that must be scored.

        Parameters
        ----------
        files : iterable of Found
            In the order of `walk`.

        Yields
        ------
        Found
            What is new, was changed, could not be scored before, or may have been changed unseen.

        Raises
        ------
        OutputError
            If known rows cannot be read or are not in the order of the walk.
        """
        entries = heapq.merge(*(_entries(*each) for each in self.sources.items()))
        entry = next(entries, None)
        for file in files:
            place = place_in_walk(file.path)
            while entry is not None and entry[0] < place:
                entry = self._pass_by(entry, entries)
            origin = SCORED
            while entry is not None and entry[0] == place:
                keeps = origin == SCORED and _stands_for(entry, file)
                self.sources[entry[1]].kept.append(keeps)
                origin = entry[1] if keeps else origin
                entry = next(entries, None)
            self.origins.append(origin)
            if origin == SCORED:
                yield file
        while entry is not None:
            entry = self._pass_by(entry, entries)

    def nothing_changed(self) -> bool:
        """Tell whether the new table would hold exactly the earlier one's rows."""
        n_files = len(self.origins)
        return self.origins.count(TABLE) == n_files == len(self.sources[TABLE].kept)

    def _pass_by(self, entry: _Entry, entries: Iterator[_Entry]) -> _Entry | None:
        """Decide on the rows of a file that is gone, and return the next entry."""
        following = next(entries, None)
        # Where several have rows of it, the last are the newest.
        is_last = following is None or following[0] != entry[0]
        keeps = self.keep_removed and is_last
        self.sources[entry[1]].kept.append(keeps)
        if keeps:
            self.origins.append(entry[1])
        elif not self.keep_removed and entry[1] == TABLE:
            self.n_removed += 1
        return following


def _stands_for(entry: _Entry, file: Found) -> bool:
    """Tell whether known rows are those that scoring a file again would give."""
    if file.problem or file.size_bytes != entry[2] or file.modified_at_ns is None:
        return False
    return file.modified_at_ns // 1000 == entry[3]


def _entries(origin: int, source: Source) -> Iterator[_Entry]:
    """Read the entry of each file that a source has rows of."""
    last = b""
    for file in source.files:
        for rows in read_rows(file, _NEEDED):
            segments = numbers_in(rows.column("segment")).tolist()
            sizes = numbers_in(rows.column("size_bytes"))
            usable = _usable(rows) if source.trusted else np.zeros(rows.num_rows, bool)
            sizes = np.where(usable, sizes, _NEVER_KEPT).tolist()
            times = numbers_in(rows.column("modified_at")).tolist()
            places = _places(rows)
            for place, segment, size, time in zip(places, segments, sizes, times, strict=True):
                if segment == 0 and place > last:
                    yield place, origin, size, time
                elif segment == 0 or place != last:
                    raise OutputError(
                        f"{file}: its rows are not in the order in which they were written; "
                        "run again with --fresh"
                    )
                last = place


def _places(rows: pa.RecordBatch) -> list[bytes]:
    paths, raw = bytes_in(rows.column("path")), rows.column("path_bytes")
    if raw.null_count < len(raw):
        paths = [name or path for name, path in zip(bytes_in(raw), paths, strict=True)]
    return [place_in_walk(path) for path in paths]


def _usable(rows: pa.RecordBatch) -> np.ndarray:
    """Tell of each row whether it stands as long as its file keeps its size and time."""
    status, size, time = (rows.column(name) for name in ("status", "size_bytes", "modified_at"))
    read = np.array([word != "error" for word in words_in(status)], bool)[numbers_in(status)]
    settled = numbers_in(time) < numbers_in(rows.column("scored_at")) - GRAIN_US
    return read & known_in(size) & known_in(time) & settled
