"""The scored table: its columns, its parts, and the file it becomes."""

import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from digitflow.files import replacing, sync
from digitflow.scoring.columns import column_of, known_in, numbers_in, words_in

#: Where the facts of a run are kept in the file's metadata. What has none is not a scored table.
METADATA_KEY = b"digitflow"

#: The version of the columns, of the facts, and of how a picture becomes its rows. Rows of another
#: version are never kept: raise it, and the next run scores everything anew.
FORMAT_VERSION = 2

#: The columns that are counted.
COUNTED = ("status", "reason", "label")

#: Rows in a row group: large enough to compress and to skip by statistics, small enough to hold.
ROW_GROUP_ROWS = 65_536


@dataclass(slots=True)
class Row:
    """One digit, or one file that gave none: the columns that differ from row to row."""

    path: bytes
    status: str = "ok"
    reason: str | None = None
    message: str | None = None
    segment: int = 0  # the digit's place in reading order
    x: int | None = None  # px, in the oriented image, as the three below
    y: int | None = None
    width: int | None = None
    height: int | None = None
    ink: float | None = None  # of the digit as the model sees it, 0 (none) to 1 (all)
    label: str | None = None
    digit: int | None = None
    confidence: float | None = None  # 0 to 1, calibrated
    probabilities: np.ndarray | None = None  # (n_classes,), float32
    image_width: int | None = None  # px
    image_height: int | None = None  # px
    format: str | None = None
    mode: str | None = None
    orientation: int | None = None  # EXIF, 1 to 8
    polarity: str | None = None
    n_frames: int | None = None
    size_bytes: int | None = None
    modified_at: int | None = None  # µs since 1970, UTC
    content_hash: str | None = None


def table_schema(n_classes: int) -> pa.Schema:
    """Return the columns of the scored table.

    Parameters
    ----------
    n_classes : int
        How many probabilities a row holds.

    Returns
    -------
    pyarrow.Schema
        Without metadata.
    """
    word = pa.dictionary(pa.int32(), pa.string())
    moment = pa.timestamp("us", tz="UTC")
    return pa.schema(
        {
            "path": pa.string(),
            "path_bytes": pa.binary(),
            "segment": pa.int16(),
            "x": pa.int32(),
            "y": pa.int32(),
            "width": pa.int32(),
            "height": pa.int32(),
            "ink": pa.float32(),
            "status": word,
            "reason": word,
            "message": pa.string(),
            "label": word,
            "digit": pa.int8(),
            "confidence": pa.float32(),
            "probabilities": pa.list_(pa.float32(), n_classes),
            "image_width": pa.int32(),
            "image_height": pa.int32(),
            "format": word,
            "mode": word,
            "orientation": pa.int8(),
            "polarity": word,
            "n_frames": pa.int32(),
            "size_bytes": pa.int64(),
            "modified_at": moment,
            "content_hash": pa.string(),
            "model_id": word,
            "run_id": word,
            "scored_at": moment,
        }
    )


def table_of(
    rows: Sequence[Row], n_classes: int, model_id: str, run_id: str, scored_at: int
) -> pa.Table:
    """Turn rows into a table.

    Parameters
    ----------
    rows : sequence of Row
        At least one.
    n_classes : int
        The length of each row's probabilities.
    model_id, run_id : str
        The same in every row.
    scored_at : int
        The same in every row: µs since 1970, at the latest when the first file was opened, so
        that whatever was changed before was seen.

    Returns
    -------
    pyarrow.Table
        With the columns of `table_schema`.
    """
    schema = table_schema(n_classes)
    names = Row.__slots__
    columns: dict[str, Sequence[Any]] = dict(
        zip(names, zip(*map(attrgetter(*names), rows), strict=True), strict=True)
    )
    columns["path"], columns["path_bytes"] = _texts_and_raw_names(columns["path"])
    columns["model_id"] = [model_id] * len(rows)
    columns["run_id"] = [run_id] * len(rows)
    columns["scored_at"] = [scored_at] * len(rows)
    arrays = [column_of(columns[each.name], each.type) for each in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def write_part(table: pa.Table, path: Path) -> None:
    """Write one part of a table, whole or not at all.

    Its folder is not made: where it has vanished, so has the run that wanted the part.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    with (
        replacing(path, make_folder=False) as temporary,
        _writer(temporary, table.schema) as writer,
    ):
        writer.write_table(table)


def part_content(table: pa.Table) -> bytes:
    """Return what `write_part` would write, for a part that is written elsewhere."""
    stream = io.BytesIO()
    with _writer_into(stream, table.schema) as writer:
        writer.write_table(table)
    return stream.getvalue()


@dataclass
class RowCounts:
    """What rows there are."""

    n_rows: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)  # of rows that are not `ok`
    labels: Counter[str] = field(default_factory=Counter)  # of rows that were read

    def add(self, rows: pa.RecordBatch) -> None:
        """Count rows of a scored table, of which the columns `COUNTED` will do."""
        self.n_rows += rows.num_rows
        counters = (self.statuses, self.reasons, self.labels)
        for counter, name in zip(counters, COUNTED, strict=True):
            column = rows.column(name)
            counts = np.bincount(numbers_in(column)[known_in(column)])
            words = words_in(column)
            counter.update({words[place]: int(counts[place]) for place in np.flatnonzero(counts)})


def write_table(
    tables: Iterable[pa.Table], output: Path, temporary: Path, facts: dict[str, Any]
) -> RowCounts:
    """Join tables into one file, which takes the place of `output` in one step.

    Parameters
    ----------
    tables : iterable of pyarrow.Table
        In the order of their rows.
    output : Path
        The scored table.
    temporary : Path
        Where to build the file, on the same file system as `output`.
    facts : dict
        The model and the run, as JSON can hold them; `read_facts` gives them back.

    Returns
    -------
    RowCounts
        What rows there are.

    Raises
    ------
    OSError
        If the table cannot be written. Then `output` is as it was, unless its folder was all that
        could not be synced, and nothing is left at `temporary`.
    """
    schema = table_schema(len(facts["model"]["class_names"]))
    schema = schema.with_metadata({METADATA_KEY: json.dumps(facts)})
    counts = RowCounts()
    try:
        with _writer(temporary, schema) as writer:
            for group in _row_groups(tables):
                for batch in group.select(COUNTED).to_batches():
                    counts.add(batch)
                writer.write_table(group, row_group_size=ROW_GROUP_ROWS)
        sync(temporary)
        temporary.replace(output)
    finally:
        temporary.unlink(missing_ok=True)
    sync(output.parent)
    return counts


@contextmanager
def _writer(path: Path, schema: pa.Schema) -> Iterator[parquet.ParquetWriter]:
    # Arrow is given open files throughout, since it takes no path that is not UTF-8.
    with path.open("wb") as stream, _writer_into(stream, schema) as writer:
        yield writer


def _writer_into(stream: IO[bytes], schema: pa.Schema) -> parquet.ParquetWriter:
    return parquet.ParquetWriter(
        stream,
        schema,
        compression="zstd",
        # Elsewhere nearly every value is different: dictionaries would cost time and space.
        use_dictionary=[each.name for each in schema if pa.types.is_dictionary(each.type)],
        write_statistics=True,
        write_page_checksum=True,
    )


def _row_groups(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Join tables until they fill a row group."""
    waiting: list[pa.Table] = []
    for table in tables:
        waiting.append(table)
        if sum(table.num_rows for table in waiting) >= ROW_GROUP_ROWS:
            yield pa.concat_tables(waiting).unify_dictionaries()
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting).unify_dictionaries()


def _texts_and_raw_names(paths: Sequence[bytes]) -> tuple[list[str], list[bytes | None]]:
    """Return each path as text, and its bytes where the text alone would not find the file."""
    texts: list[str] = []
    raw: list[bytes | None] = []
    for path in paths:
        try:
            texts.append(path.decode())
            raw.append(None)
        except UnicodeDecodeError:
            texts.append(path.decode(errors="backslashreplace"))
            raw.append(path)
    return texts, raw
