"""Files that appear whole or not at all, and their digests.

The order is that of SQLite and Iceberg: temporary name, write, fsync, rename, fsync of the folder.
"""

import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from digitflow.errors import DigitflowError, OutputError


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sync(path: Path) -> None:
    """Flush a file or a folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def replacing(path: Path, *, make_folder: bool = True) -> Iterator[Path]:
    """Give a temporary path to write to; on success it takes the place of `path` in one step.

    On any error the temporary file is removed and `path` stays as it was. Its folder is made if
    need be, unless `make_folder` is false.

    Raises
    ------
    OutputError
        If the folder cannot be written to, or something else than a regular file is there.
    """
    with as_output_error(path):
        if path.exists() and not path.is_file():  # as /dev/null, which root could replace
            raise OutputError(f"{path}: is no regular file; name another place")
        if make_folder:
            path.parent.mkdir(parents=True, exist_ok=True)
        temporary = _temporary_name(path)
        temporary.touch(exist_ok=False)
        try:
            yield temporary
            sync(temporary)
            temporary.replace(path)
            sync(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a small file in one step."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write a small text file (UTF-8) in one step."""
    write_bytes(path, text.encode())


def _why_not_written(path: Path | str, error: OSError) -> str:
    """Return the line that tells why a file could not be written, and how much space there is."""
    try:
        free = f"{shutil.disk_usage(Path(path).parent).free / 1e6:.0f} MB are free there"
    except OSError:
        free = "its folder is out of reach"
    why = error.strerror or str(error)
    return f"{path}: cannot be written ({why}); {free}, mend that or choose another place"


@contextmanager
def building_folder(path: Path) -> Iterator[Path]:
    """Give a temporary folder to fill; on success it becomes `path` in one step.

    Raises
    ------
    OutputError
        If `path` exists already or its parent cannot be written to.
    """
    with as_output_error(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = _temporary_name(path)
        temporary.mkdir()
        try:
            yield temporary
            if path.exists():
                raise OutputError(f"{path}: exists already; remove it or choose another name")
            for file in temporary.rglob("*"):
                sync(file)
            sync(temporary)
            temporary.rename(path)
            sync(path.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def as_output_error(path: Path | str) -> Iterator[None]:
    """Turn the system's errors into one that says why `path` could not be written.

    Raises
    ------
    OutputError
        In place of any `OSError` that is no error of digitflow's own.
    """
    try:
        yield
    except DigitflowError:
        raise
    except OSError as error:
        raise OutputError(_why_not_written(path, error)) from error


def _temporary_name(path: Path) -> Path:
    """Return a hidden name beside a path; unlike tempfile, it leaves the permissions usual."""
    return path.with_name(f".{path.name[:40]}.{secrets.token_hex(8)}")
