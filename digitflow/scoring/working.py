"""The hidden folder beside the output in which a run keeps its parts, one run at a time."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from digitflow.errors import OutputError


@contextmanager
def working_folder(output: Path) -> Iterator[Path]:
    """Give an empty folder on the output's file system, removed at the end.

    It is locked as long as the run lives: the lock dies with its process, so what a killed run
    left is recognised as such and cleared away here.

    Parameters
    ----------
    output : Path
        The file that the run will make.

    Yields
    ------
    Path
        The folder, hidden, beside the output.

    Raises
    ------
    OutputError
        If the folder cannot be made or another run is using it.
    """
    folder = output.with_name(f".{output.name}.digitflow")
    lock = _locked(folder, output)
    try:
        _empty(folder)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _locked(folder: Path, output: Path) -> int:
    """Make the folder if need be and lock it; return the descriptor that holds the lock."""
    while True:
        try:
            folder.mkdir(exist_ok=True)
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except FileNotFoundError:
            if not folder.parent.is_dir():
                raise OutputError(f"{folder.parent}: has vanished; make it again") from None
            continue
        except OSError as error:
            raise OutputError(
                f"{output}: its folder cannot be written to ({error.strerror}); choose another"
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # A run that has just ended may have removed this very folder after we opened it.
            if os.path.samestat(os.fstat(lock), folder.stat()):
                return lock
        except FileNotFoundError:
            pass
        except OSError as error:
            os.close(lock)
            if isinstance(error, BlockingIOError):
                raise OutputError(
                    f"{output}: another run is writing it; wait, or choose another"
                ) from error
            raise OutputError(
                f"{output}: its folder allows no locks ({error.strerror}); choose another"
            ) from error
        os.close(lock)


def _empty(folder: Path) -> None:
    for leftover in folder.iterdir():
        if leftover.is_dir() and not leftover.is_symlink():
            shutil.rmtree(leftover)
        else:
            leftover.unlink()
