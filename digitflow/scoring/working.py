"""The hidden folder beside the output in which a run keeps its parts, one run at a time."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from digitflow.errors import OutputError

#: How often the folder is made again when it goes before it is locked. Each time but the first,
#: another run must have ended at that very moment.
_ATTEMPTS = 20


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
    for _ in range(_ATTEMPTS):
        lock = _opened(folder, output)
        if lock is not None and _holds(lock, folder, output):
            return lock
    raise OutputError(f"{output}: no folder can be made beside it; choose another place")


def _opened(folder: Path, output: Path) -> int | None:
    """Make and open the folder; return its descriptor, or None where it went in between."""
    try:
        folder.mkdir(exist_ok=True)
        return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except FileNotFoundError:
        if not folder.parent.is_dir():
            raise OutputError(f"{folder.parent}: has vanished; make it again") from None
        return None
    except OSError as error:
        raise OutputError(
            f"{output}: its folder cannot be written to ({error.strerror}); choose another"
        ) from error


def _holds(lock: int, folder: Path, output: Path) -> bool:
    """Lock the folder; close it and return False where it is not what lies there any more."""
    held = False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # A run that has just ended may have removed this very folder after we opened it.
        held = os.path.samestat(os.fstat(lock), folder.stat())
    except FileNotFoundError:
        pass
    except BlockingIOError as error:
        raise OutputError(
            f"{output}: another run is writing it; wait, or choose another"
        ) from error
    except OSError as error:
        raise OutputError(
            f"{output}: its folder allows no locks ({error.strerror}); choose another"
        ) from error
    finally:
        if not held:
            os.close(lock)
    return held


def _empty(folder: Path) -> None:
    for leftover in folder.iterdir():
        if leftover.is_dir() and not leftover.is_symlink():
            shutil.rmtree(leftover)
        else:
            leftover.unlink()
