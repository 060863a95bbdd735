"""Scored tables and their parts read back, a small piece at a time, whatever their size."""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from digitflow.errors import OutputError, UsageError
from digitflow.scoring import table
from digitflow.scoring.stores import check_local
from digitflow.scoring.table import FORMAT_VERSION, METADATA_KEY, table_schema


def read_batches(
    path: Path, columns: Sequence[str] | None = None, batch_rows: int | None = None
) -> Iterator[pa.RecordBatch]:
    """Read a part or a table bit by bit, whatever row groups it has.

    Parameters
    ----------
    path : Path
        The Parquet file.
    columns : sequence of str or None
        Which to read. Default: all.
    batch_rows : int or None
        Rows at a time, at most. Default: as many as a row group has.

    Yields
    ------
    pyarrow.RecordBatch
        At least one row, in their order; without metadata.

    Raises
    ------
    OSError, pyarrow.ArrowException
        If the file is damaged or cannot be read.
    """
    with path.open("rb") as stream:
        # Read ahead, the whole file would be in memory.
        file = parquet.ParquetFile(stream, page_checksum_verification=True, pre_buffer=False)
        batch_rows = batch_rows or table.ROW_GROUP_ROWS
        for batch in file.iter_batches(batch_rows, columns=columns, use_threads=False):
            if batch.num_rows:
                yield batch.replace_schema_metadata(None)


def read_rows(
    path: Path, columns: Sequence[str] | None = None, batch_rows: int | None = None
) -> Iterator[pa.RecordBatch]:
    """Read one of a run's own files, as `read_batches` does.

    Raises
    ------
    OutputError
        If the file is damaged or cannot be read.
    """
    try:
        yield from read_batches(path, columns, batch_rows)
    except (OSError, pa.ArrowException) as error:
        what = str(error).partition("\n")[0]
        raise OutputError(
            f"{path}: cannot be read back ({what}); run again, with --fresh if it stays so"
        ) from error


def has_columns(path: Path, n_classes: int) -> bool:
    """Tell whether a Parquet file has the columns of `table_schema`, no more and no less."""
    with path.open("rb") as stream:
        return parquet.read_schema(stream).equals(table_schema(n_classes))


def is_whole(path: Path, n_classes: int) -> bool:
    """Tell whether a file is a part that can be read to its end."""
    try:
        return all(batch.schema.equals(table_schema(n_classes)) for batch in read_rows(path))
    except OutputError:
        return False


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
    if not isinstance(facts, dict):
        return None
    is_ours = all(isinstance(facts.get(name), dict) for name in ("model", "run"))
    return facts if is_ours else None


@dataclass(frozen=True)
class ScoredTable:
    """A scored table: one file, or a folder of parts."""

    path: Path
    files: tuple[Path, ...]  # at least one
    facts: dict[str, Any]  # of its model and run; of the last part where there are several
    model_ids: tuple[str, ...]  # the models that scored it, each once

    @property
    def name(self) -> str:
        """What messages call it: one line of valid text."""
        return shown(self.path)

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yield the rows in their order, with these columns only.

        Raises
        ------
        UsageError
            If a file is damaged.
        """
        for file in self.files:
            try:
                yield from read_batches(file, list(columns))
            except (OSError, pa.ArrowException) as error:
                why = " ".join(str(error).split())[:200]
                raise UsageError(
                    f"{shown(file)}: cannot be read ({why}); score the folder again"
                ) from error


def open_table(path: Path | str) -> ScoredTable:
    """Open a scored table, without reading its rows.

    Parameters
    ----------
    path : Path or str
        A Parquet file, or a folder of them with all of its sub-folders. Names that begin with `.`
        or `_` are left out, as every reader of Parquet folders does.

    Raises
    ------
    UsageError
        If it is missing, holds no scored table, or one of a newer format.
    """
    check_local(path)
    path = Path(path)
    files = tuple(_parts_of(path))
    if not files:
        raise UsageError(f"{shown(path)}: holds no Parquet files; name a scored table")
    told = [_read_facts(file) for file in files]
    model_ids = dict.fromkeys(facts["model"]["model_id"] for facts in told)
    return ScoredTable(path, files, told[-1], tuple(model_ids))


def shown(path: Path) -> str:
    """Return a path as one line of valid text."""
    text = os.fsencode(path).decode(errors="backslashreplace")
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def _parts_of(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        if not path.is_file():
            why = "is not a regular file" if path.exists() else "no such file or folder"
            raise UsageError(f"{shown(path)}: {why}; name a scored table")
        yield path
        return
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "_")))
        for name in sorted(names):
            if name.endswith(".parquet") and not name.startswith((".", "_")):
                yield Path(folder, name)


def _read_facts(file: Path) -> dict[str, Any]:
    """Return the facts of a file that is a scored table of a known format."""
    try:
        with file.open("rb") as stream:
            schema = parquet.ParquetFile(stream).schema_arrow
            facts = json.loads((schema.metadata or {}).get(METADATA_KEY, b"null"))
    except (OSError, pa.ArrowException, ValueError) as error:
        why = " ".join(str(error).split())[:200]
        raise UsageError(f"{shown(file)}: is not a whole Parquet file ({why})") from error
    problem = _find_problem(facts, schema)
    if problem:
        raise UsageError(f"{shown(file)}: {problem}; name a table that `digitflow score` wrote")
    return facts


def _find_problem(facts: Any, schema: pa.Schema) -> str | None:
    """Return why a file is no scored table that can be read, or None."""
    if not isinstance(facts, dict):
        return "is not a scored table"
    version = facts.get("format_version")
    if not isinstance(version, int) or version > FORMAT_VERSION:
        return f"has format {version!r:.20}, this digitflow reads up to {FORMAT_VERSION}"
    model = facts.get("model")
    if not isinstance(model, dict) or not isinstance(model.get("model_id"), str):
        return "does not say which model scored it"
    names = model.get("class_names")
    if not isinstance(names, list) or not names or not all(isinstance(n, str) for n in names):
        return "does not say which classes its model knows"
    for column in table_schema(len(names)):
        place = schema.get_field_index(column.name)
        if place < 0 or schema.field(place).type != column.type:
            return f"has no column {column.name!r} of {column.type}"
    return None
