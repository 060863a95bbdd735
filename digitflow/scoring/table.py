"""The scored table: its columns, its parts, and how the parts become one file.

Arrow arrays are made from buffers: the convenient constructors import pandas, which would cost
every worker a second.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from digitflow.files import replacing, sync

#: Where the facts of a run are kept in the file's metadata. What has none is not a scored table.
METADATA_KEY = b"digitflow"

#: The version of the columns and of the facts, for readers to come.
FORMAT_VERSION = 1

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


def table_of(rows: Sequence[Row], n_classes: int, model_id: str, run_id: str) -> pa.Table:
    """Turn rows into a table that was scored now.

    Parameters
    ----------
    rows : sequence of Row
        At least one.
    n_classes : int
        The length of each row's probabilities.
    model_id, run_id : str
        The same in every row.

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
    columns["scored_at"] = [int(datetime.now().timestamp() * 1e6)] * len(rows)
    arrays = [_column(columns[each.name], each.type) for each in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def write_part(table: pa.Table, path: Path) -> None:
    """Write one part of a table, whole or not at all.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    with replacing(path) as temporary, _writer(temporary, table.schema) as writer:
        writer.write_table(table)


def assemble(parts: Iterable[Path], output: Path, n_classes: int, facts: dict[str, Any]) -> None:
    """Join parts into one file, which takes the place of `output` in one step.

    The file is built beside the first part, on the same file system as `output`, so that what a
    killed run leaves is found and removed with its parts.

    Parameters
    ----------
    parts : iterable of Path
        In the order of their rows.
    output : Path
        The scored table.
    n_classes : int
        The length of each row's probabilities.
    facts : dict
        The model and the run, as JSON can hold them; `read_facts` gives them back.

    Raises
    ------
    OSError
        If a part cannot be read or the table cannot be written.
    """
    facts = {"format_version": FORMAT_VERSION, **facts}
    schema = table_schema(n_classes).with_metadata({METADATA_KEY: json.dumps(facts)})
    parts = list(parts)
    whole = parts[0].with_name("table.parquet")
    with _writer(whole, schema) as writer:
        for group in _row_groups(parts):
            writer.write_table(group, row_group_size=ROW_GROUP_ROWS)
    sync(whole)
    whole.replace(output)
    sync(output.parent)


def read_facts(path: Path) -> dict[str, Any] | None:
    """Return what the metadata of a scored table says of its model and run.

    Parameters
    ----------
    path : Path
        A regular file, of any kind.

    Returns
    -------
    dict or None
        None where the file is not a scored table.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    with path.open("rb") as stream:
        try:
            metadata = parquet.ParquetFile(stream).schema_arrow.metadata or {}
            facts = json.loads(metadata.get(METADATA_KEY, b"null"))
        except (pa.ArrowException, OSError, ValueError):  # what pyarrow raises for other bytes
            return None
    return facts if isinstance(facts, dict) else None


@contextmanager
def _writer(path: Path, schema: pa.Schema) -> Iterator[parquet.ParquetWriter]:
    # Arrow is given open files throughout, since it takes no path that is not UTF-8.
    with (
        path.open("wb") as stream,
        parquet.ParquetWriter(
            stream,
            schema,
            compression="zstd",
            # Elsewhere nearly every value is different: dictionaries would cost time and space.
            use_dictionary=[each.name for each in schema if pa.types.is_dictionary(each.type)],
            write_statistics=True,
            write_page_checksum=True,
        ) as writer,
    ):
        yield writer


def _row_groups(parts: Iterable[Path]) -> Iterator[pa.Table]:
    """Read parts and join them until they fill a row group."""
    waiting: list[pa.Table] = []
    for part in parts:
        with part.open("rb") as stream:
            file = parquet.ParquetFile(stream, page_checksum_verification=True)
            waiting.append(file.read(use_threads=False))
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


def _column(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """Make one Arrow array of a sequence in which None is null."""
    if pa.types.is_dictionary(kind):
        words = list(dict.fromkeys(value for value in values if value is not None))
        places = {word: place for place, word in enumerate(words)}
        indices = _numbers([places.get(value) for value in values], kind.index_type)
        return pa.DictionaryArray.from_arrays(indices, _texts(words, kind.value_type))
    if pa.types.is_fixed_size_list(kind):
        return _vectors(values, kind)
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        return _texts(values, kind)
    return _numbers(values, kind)


def _numbers(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    dtype = np.int64 if pa.types.is_timestamp(kind) else kind.to_pandas_dtype()
    validity = _validity(values)
    if validity:
        values = [0 if value is None else value for value in values]
    content = pa.py_buffer(np.array(values, dtype))
    return pa.Array.from_buffers(kind, len(values), [validity, content])


def _texts(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    coded = [value.encode() if isinstance(value, str) else value or b"" for value in values]
    offsets = np.zeros(len(values) + 1, np.int32)
    np.cumsum([len(each) for each in coded], out=offsets[1:])
    buffers = [_validity(values), pa.py_buffer(offsets), pa.py_buffer(b"".join(coded))]
    return pa.Array.from_buffers(kind, len(values), buffers)


def _vectors(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    flat = np.zeros((len(values), kind.list_size), np.float32)
    known = [place for place, value in enumerate(values) if value is not None]
    if known:
        flat[known] = [values[place] for place in known]
    child = pa.Array.from_buffers(kind.value_type, flat.size, [None, pa.py_buffer(flat)])
    return pa.Array.from_buffers(kind, len(values), [_validity(values)], children=[child])


def _validity(values: Sequence[Any]) -> pa.Buffer | None:
    """Return Arrow's bitmap of what is not null, or None where nothing is."""
    known = np.fromiter((value is not None for value in values), bool, len(values))
    return None if known.all() else pa.py_buffer(np.packbits(known, bitorder="little"))
