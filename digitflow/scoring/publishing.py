"""Tables in object stores: made on a local disk, and uploaded when they are whole."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import wraps
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar, cast

import pyarrow as pa
from pyarrow import parquet

from digitflow.errors import DigitflowError, OutputError, UsageError
from digitflow.files import as_output_error, replacing, write_text
from digitflow.scoring.scored import read_facts
from digitflow.scoring.stopwatch import Stopwatch
from digitflow.scoring.stores import StorePath, failure_of, filesystem_of, is_uri, parse_uri, why
from digitflow.scoring.summary import ScoreSummary
from digitflow.scoring.working import locked
from digitflow.settings import cache_folder

#: Bytes handed to the store at a time; no more of a table is in memory.
_CHUNK_BYTES = 64 * 2**20

#: What tells a version of an object from another, beside its size.
_VERSION = ("ETag", "Last-Modified")

_Score = TypeVar("_Score", bound=Callable[..., ScoreSummary])


def publishing(score: _Score) -> _Score:
    """Let a function that scores a folder into a local table take the URI of a table too."""

    @wraps(score)
    def scored(images: Path | str, output: Path | str, **options: Any) -> ScoreSummary:
        if not is_uri(output):
            return score(images, output, **options)
        place = checked_output(images, output, options.get("partition_by"))
        stopwatch = Stopwatch()
        with staged(place) as table:
            stopwatch.lap("plan")
            summary = score(images, table, **options)
            stopwatch.skip()
        stopwatch.lap("assemble")
        more = stopwatch.seconds
        profile = {stage: spent + more.get(stage, 0) for stage, spent in summary.profile.items()}
        seconds = summary.seconds + sum(more.values())
        return replace(summary, output=str(place), seconds=seconds, profile=profile)

    return cast(_Score, scored)


def checked_output(
    images: Path | str, output: Path | str, partition_by: str | None = None
) -> StorePath:
    """Return the place of a table that a URI names.

    Raises
    ------
    UsageError, OutputError
        If it is no URI of a table or lies among the images, or a table is to be partitioned.
    """
    place = parse_uri(str(output))
    path = str(output).partition("?")[0]
    if place.key == place.bucket or path.endswith("/"):
        raise OutputError(f"{place}: a table is one object; name it, as …/out.parquet")
    if partition_by is not None:
        raise UsageError(
            f"--partition-by {partition_by}: is for a local dataset; leave it out, or name a local "
            "folder, with a slash at its end"
        )
    folder = parse_uri(str(images)) if is_uri(images) else None
    if (
        folder
        and folder.endpoint == place.endpoint
        and f"{place.key}/".startswith(f"{folder.key}/")
    ):
        raise OutputError(f"{place}: lies among the images; name a place outside their folder")
    return place


@contextmanager
def staged(place: StorePath) -> Iterator[Path]:
    """Give a local file in place of a table in a store, and upload it when the block ended well.

    At first it is what the store has. It lies in a folder of its own in the user's cache, locked as
    long as the run lives, in which an interrupted run finds what it had finished, and one that
    could not upload its table the table.

    Yields
    ------
    Path
        The local table, which may not exist.

    Raises
    ------
    OutputError
        If the store cannot be reached, has something else there, or takes no table; if another run
        on this machine is making it, or another machine has changed it meanwhile.
    """
    name = hashlib.sha256(str(place).encode()).hexdigest()[:24]
    folder = Path(os.path.realpath(cache_folder()), "tables", name)
    table, record = folder / "table.parquet", folder / "origin.json"
    with _told_as(place, table):
        with as_output_error(table):
            folder.parent.mkdir(parents=True, exist_ok=True)
        lock = locked(folder, place)
        is_done = False
        try:
            with as_output_error(table):
                origin, copy = _fetch(place, table, record)
            yield table
            if _signature(table) != copy:
                _publish(place, table, origin)
            is_done = True
        finally:
            if is_done or not _is_of_use(table, record):
                shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)


@contextmanager
def outlined(
    images: Path | str, output: Path | str, partition_by: str | None = None
) -> Iterator[Path | str]:
    """Give a local file in place of a table, of its columns and facts, but without its rows.

    It is enough to check a request with. A local output is given as it is.

    Raises
    ------
    UsageError, OutputError
        As `staged`.
    """
    if not is_uri(output):
        yield output
        return
    place = checked_output(images, output, partition_by)
    with TemporaryDirectory() as folder:
        outline = Path(os.path.realpath(folder), "table.parquet")
        if _origin(place) is not None:
            _write_outline(place, outline)
        with _told_as(place, outline):
            yield outline


def _fetch(place: StorePath, table: Path, record: Path) -> tuple[Any, Any]:
    """Bring the local table to what the store has, unless it was made from that very object.

    Returns what the store has, and what tells the local file from a later one.
    """
    origin = _origin(place)
    known = _read(record)
    if known is None or known["origin"] != origin:
        record.unlink(missing_ok=True)
        table.unlink(missing_ok=True)
        if origin is not None:
            _download(place, table)
            if _origin(place) != origin:
                raise OutputError(f"{place}: is being changed by someone else; wait, and run again")
        known = {"origin": origin, "copy": _signature(table)}
        write_text(record, json.dumps(known))
    return origin, known["copy"]


def _is_of_use(table: Path, record: Path) -> bool:
    """Tell whether there are parts of an unfinished run, or a table that was not uploaded."""
    known = _read(record)
    is_new = known is not None and _signature(table) not in (None, known["copy"])
    return is_new or any(table.parent.glob(".*.digitflow"))


def _read(record: Path) -> Any:
    try:
        return json.loads(record.read_bytes())
    except (OSError, ValueError):
        return None


def _signature(table: Path) -> list[int] | None:
    try:
        facts = table.stat()
    except FileNotFoundError:
        return None
    return [facts.st_ino, facts.st_size, facts.st_mtime_ns]


def _origin(place: StorePath) -> list[str] | None:
    """Return what tells an object from other versions of it, or None where there is none."""
    from pyarrow import fs

    with _store_answers(place):
        files = filesystem_of(place)
        found = files.get_file_info(place.key)
        if found.type == fs.FileType.Directory:
            raise OutputError(f"{place}: is a folder; name a table in it, as …/out.parquet")
        if found.is_file:
            with files.open_input_file(place.key) as stream:
                facts = stream.metadata()
            return [str(found.size), *(facts.get(each, b"").decode() for each in _VERSION)]
        if files.get_file_info(place.bucket).type == fs.FileType.NotFound:
            raise OutputError(f"{place}: no such bucket; make it first, or check its name")
    return None


def _write_outline(place: StorePath, outline: Path) -> None:
    """Write what the footer of a table in a store says, which must be a scored one."""
    with _store_answers(place), filesystem_of(place).open_input_file(place.key) as stream:
        try:
            schema = parquet.ParquetFile(stream).schema_arrow
        except (pa.ArrowException, OSError) as error:
            if failure_of(error)[0]:
                raise
            schema = pa.schema([])
    with outline.open("wb") as sink:
        parquet.ParquetWriter(sink, schema).close()
    if read_facts(outline) is None:
        raise OutputError(
            f"{place}: exists and is not a scored table; it is left as it is, name another"
        )


def _download(place: StorePath, table: Path) -> None:
    with TemporaryDirectory() as folder:
        _write_outline(place, Path(folder, "outline"))
    with _store_answers(place):
        source = filesystem_of(place).open_input_file(place.key)
    with source, replacing(table) as temporary, temporary.open("wb") as sink:
        while content := _next_chunk(place, source):
            sink.write(content)


def _next_chunk(place: StorePath, source: pa.NativeFile) -> bytes:
    with _store_answers(place):
        content: bytes = source.read(_CHUNK_BYTES)
    return content


def _publish(place: StorePath, table: Path, origin: list[str] | None) -> None:
    """Put a table into a store, whole or not at all, unless there is another than at first."""
    try:
        if _origin(place) != origin:
            raise OutputError(f"{place}: was changed by someone else meanwhile; run again")
        with _store_answers(place), ThreadPoolExecutor(1) as thread:
            # To close a stream is to publish what it was given, even if an exception does it on its
            # way out. SIGINT and SIGTERM, which could raise one between two chunks, are for the
            # main thread only; after a chunk that failed, the stream refuses to be closed.
            thread.submit(_put, filesystem_of(place), table, place.key).result()
        now = _origin(place)
        if now is None or now[0] != str(table.stat().st_size):
            raise OutputError(f"{place}: the store has not taken all of it; run again")
    except BaseException as error:
        error.add_note("the table is kept: the same command without --fresh uploads it")
        raise


def _put(files: Any, table: Path, key: str) -> None:
    with pa.memory_map(os.fspath(table)) as source:
        stream = files.open_output_stream(key, compression=None)
        while chunk := source.read_buffer(_CHUNK_BYTES):
            stream.write(chunk)
            stream.flush()  # in the background, all of them would be in memory
        stream.close()


@contextmanager
def _store_answers(place: StorePath) -> Iterator[None]:
    """Turn a failure of the store into one line."""
    try:
        yield
    except DigitflowError:
        raise
    except OSError as error:
        raise OutputError(f"{place}: {why(error)}") from None


@contextmanager
def _told_as(place: StorePath, table: Path) -> Iterator[None]:
    """Name the place in the store where a message names the local table."""
    try:
        yield
    except DigitflowError as error:
        is_local = isinstance(error, OutputError)  # a full disk, say, which is not the store's
        known_as = f"{place} (made in {table.parent})" if is_local else str(place)
        error.args = (str(error).replace(os.fspath(table), known_as),)
        raise
