"""The hidden folder beside the output in which a run keeps its parts, one run at a time."""

import fcntl
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from digitflow.errors import BundleError, OutputError
from digitflow.files import write_text
from digitflow.scoring.stores import StorePath

#: How often the folder is made again when it goes before it is locked. Each time but the first,
#: another run must have ended at that very moment.
_ATTEMPTS = 20

#: The file that tells of which run the parts are.
_RECORD = "run.json"

_PARTS = "part-*.parquet"


@dataclass(frozen=True)
class Begun:
    """A run that has begun in its working folder."""

    parts: Path  # the folder for its parts, empty
    left: list[list[Path]]  # what interrupted runs left: the parts of each, the last run's last
    fresh: bool  # whether it, or the one that it goes on with, was told to score everything anew


@contextmanager
def working_folder(output: Path, fresh: bool = False) -> Iterator[Path]:
    """Give a folder on the output's file system, which goes when the run has done its work.

    It is locked as long as the run lives: the lock dies with its process. Where the run fails or
    is interrupted, finished parts stay for the next one, and the exception tells so in a note.

    Parameters
    ----------
    output : Path
        The file that the run will make.
    fresh : bool
        Whether the run was told to score everything anew.

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
    lock = locked(folder, output)
    try:
        yield folder
    except BaseException as error:
        if not any(folder.glob(f"*/{_PARTS}")):
            shutil.rmtree(folder, ignore_errors=True)
        elif not isinstance(error, BundleError):  # after which another model will score
            command = "the same command without --fresh" if fresh else "the same command"
            error.add_note(f"what is finished is kept: {command} goes on from there")
        raise
    else:
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)


def begin(
    folder: Path, identity: dict[str, Any], fresh: bool, is_whole: Callable[[Path], bool]
) -> Begun:
    """Take up what interrupted runs left in a working folder, where it is of use, or clear it away.

    Parameters
    ----------
    folder : Path
        The working folder, locked.
    identity : dict
        What two runs have in common that give the same rows, as JSON can hold it.
    fresh : bool
        Whether nothing is to be taken up.
    is_whole : callable
        Tells whether a part can be used.

    Returns
    -------
    Begun
        The run.

    Raises
    ------
    OSError
        If the folder cannot be written to.
    """
    record = folder / _RECORD
    known = None if fresh else _read(record)
    was_fresh = known == {**identity, "fresh": True}
    resumes = was_fresh or known == {**identity, "fresh": False}
    left = []
    for leftover in list(folder.iterdir()):
        if not _is_folder(leftover):
            if leftover != record or not resumes:
                leftover.unlink()
            continue
        # An orphaned worker may live on for a moment, but will find its folder no more.
        fenced = leftover.rename(folder / secrets.token_hex(4))
        if resumes:
            left.append(_usable_parts(fenced, is_whole))
        else:
            shutil.rmtree(fenced)
    if not resumes:
        write_text(record, json.dumps({**identity, "fresh": fresh}))
    parts = folder / secrets.token_hex(4)
    parts.mkdir()
    left = sorted(filter(None, left), key=_time_of)
    return Begun(parts, left, fresh or was_fresh)


def _usable_parts(folder: Path, is_whole: Callable[[Path], bool]) -> list[Path]:
    """Return the parts of an interrupted run; all else is removed."""
    parts = {part for part in folder.glob(_PARTS) if is_whole(part)}
    for leftover in list(folder.iterdir()):
        if _is_folder(leftover):
            shutil.rmtree(leftover)
        elif leftover not in parts:
            leftover.unlink()
    return sorted(parts)


def _time_of(parts: list[Path]) -> int:
    """Return when the last part of a run was written."""
    return max(part.stat().st_mtime_ns for part in parts)


def _read(record: Path) -> Any:
    try:
        return json.loads(record.read_bytes())
    except (OSError, ValueError):
        return None


def locked(folder: Path, output: Path | StorePath) -> int:
    """Make the folder if need be and lock it; return the descriptor that holds the lock.

    Raises
    ------
    OutputError
        If it cannot be made, or another run holds it.
    """
    for _ in range(_ATTEMPTS):
        lock = _opened(folder, output)
        if lock is not None and _holds(lock, folder, output):
            return lock
    raise OutputError(f"{output}: no folder can be made beside it; choose another place")


def _opened(folder: Path, output: Path | StorePath) -> int | None:
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


def _holds(lock: int, folder: Path, output: Path | StorePath) -> bool:
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


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()
