"""Which rows are known already, and which files must be scored.

The files of the folder and the rows of earlier runs come in the same order, that of the walk, and
are compared as streams: a few bytes of memory for each file, whatever the rows hold.
"""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from digitflow.errors import OutputError
from digitflow.scoring.columns import bytes_in, known_in, numbers_in, words_in
from digitflow.scoring.days import Days, day_of
from digitflow.scoring.merging import merged
from digitflow.scoring.plan import Found, place_in_walk
from digitflow.scoring.scored import read_rows

#: A file that was changed this short a time before it was scored, or later, is scored again: it may
#: have been changed once more without its time telling. FAT tells times to 2 s, others are finer.
#: (Git calls such files racily clean.)
GRAIN_US = 2_000_000

#: The first origins of a file's rows: this run; the first of the earlier tables.
SCORED, TABLE = range(2)

#: In place of an earlier table: none had rows of the file.
NEW = 0

_OF_PLACES = pa.schema({"path": pa.string(), "path_bytes": pa.binary(), "segment": pa.int16()})
_NEEDED = [*_OF_PLACES.names, "status", "size_bytes", "modified_at", "model_id", "scored_at"]
_BATCH_ROWS = 2048  # of each source: many may be open at once
_NEVER_KEPT = -1  # in place of a size, which no file has

#: Place in the walk, origin, size in bytes, time in µs. It sorts as the walk does.
_Entry = tuple[bytes, int, int, int]


@dataclass
class Source:
    """Parquet files with known rows, in the order of the walk from the first to the last."""

    files: Sequence[Path]
    model_id: str | None = None  # whose rows may stand for files that are there; None: no one's
    kept: bytearray = field(default_factory=bytearray)  # for each file scored in it, 1 or 0
    counts: list[int] = field(default_factory=list)  # for each Parquet file, files scored in it

    @property
    def trusted(self) -> bool:
        """Whether any of its rows may stand for files that are there."""
        return self.model_id is not None


class Comparison:
    """Files beside known rows, and what is decided of each.

    Parameters
    ----------
    tables : sequence of Source
        The earlier table; of a dataset each part, which then has an order of its own.
    left : sequence of Source
        What interrupted runs left.
    keep_removed : bool
        Whether the rows of files that are gone stay.
    folder : Path or None
        Where temporary files may lie. Default: the system's place for them.
    days : Days or None
        If only the dated folders of these days are scored: all other rows stay.

    Attributes
    ----------
    sources : dict of int to Source
        All known rows by their origin: `TABLE` and the numbers that follow.
    origins : array of uint32
        For each file that is to have rows, in order: `SCORED` or the origin of known rows.
    homes : array of uint32
        For each of them the origin of the earlier table that had rows of it, or `NEW`.
    new_days : list of (str or None, int)
        Of the `NEW` ones in their order: the day of the dated folder, and how many follow in it.
    n_removed : int
        Files of the earlier tables that are gone, and their rows with them.
    n_unseen : int
        Files that are gone or not of the days, and whose rows stay.
    """

    def __init__(
        self,
        tables: Sequence[Source],
        left: Sequence[Source] = (),
        keep_removed: bool = False,
        folder: Path | None = None,
        days: Days | None = None,
    ):
        self.sources = dict(enumerate([*tables, *left], TABLE))
        self.tables = range(TABLE, TABLE + len(tables))
        self.keep_removed = keep_removed
        self.folder = folder
        self.days = days
        self.origins, self.homes = array("I"), array("I")
        self.new_days: list[tuple[str | None, int]] = []
        self.n_removed = self.n_unseen = 0

    @property
    def n_kept(self) -> int:
        """How many files keep the rows that an earlier table had."""
        origins = np.frombuffer(self.origins, np.uint32)
        return int(np.count_nonzero((origins > SCORED) & (origins < self.tables.stop)))

    @property
    def table_files(self) -> list[Path]:
        """The Parquet files of the earlier tables."""
        return [file for table in self.tables for file in self.sources[table].files]

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
        entries = merged([_entries(*each) for each in self.sources.items()], self.folder)
        entry = next(entries, None)
        for file in files:
            place = place_in_walk(file.path)
            while entry is not None and entry[0] < place:
                entry = self._pass_by(entry, entries)
            origin, home = SCORED, NEW
            while entry is not None and entry[0] == place:
                keeps = origin == SCORED and _stands_for(entry, file)
                self.sources[entry[1]].kept.append(keeps)
                if entry[1] in self.tables and (keeps or home == NEW):
                    home = entry[1]
                origin = entry[1] if keeps else origin
                entry = next(entries, None)
            self._account(origin, home, place)
            if origin == SCORED:
                yield file
        while entry is not None:
            entry = self._pass_by(entry, entries)

    def nothing_changed(self) -> bool:
        """Tell whether the new table would hold exactly the earlier one's rows."""
        n_known = sum(len(self.sources[table].kept) for table in self.tables)
        return self.n_kept == len(self.origins) == n_known

    def _pass_by(self, entry: _Entry, entries: Iterator[_Entry]) -> _Entry | None:
        """Decide on the rows of a file that is gone, and return the next file's entry."""
        home = NEW
        stays = self.keep_removed or (self.days is not None and not self.days.holds(entry[0]))
        while True:
            home = entry[1] if entry[1] in self.tables else home
            following = next(entries, None)
            # Where several have rows of it, the last are the newest.
            is_last = following is None or following[0] != entry[0]
            self.sources[entry[1]].kept.append(stays and is_last)
            if following is None or is_last:
                break
            entry = following
        if stays:
            self.n_unseen += 1
            self._account(entry[1], home, entry[0])
        elif home != NEW:
            self.n_removed += 1
        return following

    def _account(self, origin: int, home: int, place: bytes) -> None:
        self.origins.append(origin)
        self.homes.append(home)
        if home == NEW:
            day = day_of(place)
            last, n_files = self.new_days[-1] if self.new_days else (day, 0)
            if last == day and n_files:
                self.new_days[-1] = (day, n_files + 1)
            else:
                self.new_days.append((day, 1))


def tells_its_files(source: Source) -> bool:
    """Tell whether it can be read which files a source has rows of."""
    try:
        return all(entry for entry in _entries(TABLE, Source(source.files, source.model_id)))
    except OutputError:
        return False


def _stands_for(entry: _Entry, file: Found) -> bool:
    """Tell whether known rows are those that scoring a file again would give."""
    if file.problem or file.size_bytes != entry[2] or file.modified_at_ns is None:
        return False
    return file.modified_at_ns // 1000 == entry[3]


def _entries(origin: int, source: Source) -> Iterator[_Entry]:
    """Read the entry of each file that a source has rows of."""
    last = b""
    for file in source.files:
        n_files = 0
        for places, segments, sizes, times in _keys(file, source.model_id):
            for place, segment, size, time in zip(places, segments, sizes, times, strict=True):
                if segment == 0 and place > last:
                    n_files += 1
                    yield place, origin, size, time
                elif segment == 0 or place != last:
                    raise OutputError(
                        f"{file}: its rows are not in the order in which they were written; "
                        "run again with --fresh"
                    )
                last = place
        source.counts.append(n_files)


def _keys(
    file: Path, model_id: str | None
) -> Iterator[tuple[list[bytes], list[int], list[int], list[int]]]:
    """Read place, segment, size and time of rows; where none may stand, no size is known."""
    columns = _OF_PLACES.names if model_id is None else _NEEDED
    for rows in read_rows(file, columns, _BATCH_ROWS):
        if model_id is None and rows.schema != _OF_PLACES:
            raise OutputError(f"{file}: has other columns than those of its files; use --fresh")
        segments = numbers_in(rows.column("segment")).tolist()
        sizes = times = [_NEVER_KEPT] * len(segments)
        if model_id is not None:
            known = numbers_in(rows.column("size_bytes"))
            sizes = np.where(_usable(rows, model_id), known, _NEVER_KEPT).tolist()
            times = numbers_in(rows.column("modified_at")).tolist()
        yield _places(rows), segments, sizes, times


def _places(rows: pa.RecordBatch) -> list[bytes]:
    paths, raw = bytes_in(rows.column("path")), rows.column("path_bytes")
    if raw.null_count < len(raw):
        paths = [name or path for name, path in zip(bytes_in(raw), paths, strict=True)]
    return [place_in_walk(path) for path in paths]


def _usable(rows: pa.RecordBatch, model_id: str) -> np.ndarray:
    """Tell of each row whether it stands as long as its file keeps its size and time.

    One that another model made may have stayed while its file was gone, which may be back.
    """
    size, time = rows.column("size_bytes"), rows.column("modified_at")
    read = ~_is_word(rows.column("status"), "error")
    settled = numbers_in(time) < numbers_in(rows.column("scored_at")) - GRAIN_US
    by_model = _is_word(rows.column("model_id"), model_id)
    return read & by_model & known_in(size) & known_in(time) & settled


def _is_word(column: pa.DictionaryArray, word: str) -> np.ndarray:
    return np.array([each == word for each in words_in(column)], bool)[numbers_in(column)]
