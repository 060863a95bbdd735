"""Into the cache: nothing enters that is not, byte for byte, what was expected."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from digitflow.datasets.catalogue import RemoteFile
from digitflow.datasets.transfers import (
    LARGEST,
    PassingError,
    RefusedError,
    download,
    find_unreachable,
    find_wrong_digest,
)
from digitflow.errors import DatasetUnavailableError, OutputError

GRACE = 20.0  # s that any download may take
SLOWEST = 30_000  # bytes/s; what is slower counts as stalled
PAUSE = 1.0  # s before a mirror that was busy or broke off is asked once more


def is_cached(file: RemoteFile, folder: Path) -> bool:
    """Tell whether the file is in the folder with the right content.

    Raises
    ------
    DatasetUnavailableError
        If there is a file that cannot be read.
    """
    path = folder / file.name
    try:
        return (
            path.is_file()
            and file.size in (None, path.stat().st_size)
            and find_wrong_digest(file, path) is None
        )
    except OSError as error:
        why = error.strerror or str(error)
        raise DatasetUnavailableError(
            f"{path.absolute()}: cannot be read ({why}); make it readable or remove it"
        ) from error


def fetch_all(
    title: str, files: Sequence[RemoteFile], mirrors: Sequence[str], folder: Path
) -> list[Path]:
    """Bring those of a data set's files into the folder that are not there yet.

    Parameters
    ----------
    title : str
        The data set's name, for the message.
    files, mirrors, folder
        As in `fetch`.

    Returns
    -------
    list of Path
        The files that had to be downloaded; empty if all were in the folder.

    Raises
    ------
    DatasetUnavailableError
        If a file can be had from no mirror; within seconds when none of them answers.
    OutputError
        If the folder cannot be written to.
    """
    missing, faults = check_obtainable(title, files, mirrors, folder)
    return [fetch(file, mirrors, folder, known_faults=faults) for file in missing]


def check_obtainable(
    title: str, files: Sequence[RemoteFile], mirrors: Sequence[str], folder: Path
) -> tuple[list[RemoteFile], dict[str, str]]:
    """Return which files are not in the folder, and which mirrors do not answer, with the reason.

    Raises
    ------
    DatasetUnavailableError
        If files are missing and no mirror answers; within seconds.
    """
    missing = [file for file in files if not is_cached(file, folder)]
    faults = find_unreachable(mirrors) if missing else {}
    if missing and len(faults) == len(mirrors):
        raise _unavailable(title, missing, folder, faults)
    return missing, faults


def fetch(
    file: RemoteFile,
    mirrors: Sequence[str],
    folder: Path,
    *,
    known_faults: Mapping[str, str] | None = None,
    deadline: float | None = None,
) -> Path:
    """Return a file of the cache, downloaded first if it is missing or damaged.

    A file that is there and right is returned at once, and nothing is written. Otherwise the
    mirrors are tried in order, those that were busy or broke off once more; what arrives takes the
    old file's place only once its size and its digest are right. Several processes may do this at
    the same time: one downloads.

    Parameters
    ----------
    file : RemoteFile
        What is wanted.
    mirrors : sequence of str
        Addresses to which the file's name is appended.
    folder : Path
        Where the file belongs; made if need be.
    known_faults : mapping of str to str, optional
        Mirrors not to be tried, each with the reason.
    deadline : float, optional
        Seconds that one mirror may take; by default `GRACE` and the time that `SLOWEST` gives.

    Raises
    ------
    DatasetUnavailableError
        If the file can be had from no mirror.
    OutputError
        If the folder cannot be written to.
    """
    path = folder / file.name
    if is_cached(file, folder):
        return path
    if deadline is None:
        deadline = GRACE + (file.size or LARGEST) / SLOWEST
    with _locked(folder, timeout=deadline * (2 * len(mirrors) + 1)):
        # Another process may have brought it in the meantime.
        if is_cached(file, folder):
            return path
        _remove_leftovers(path)
        faults = dict(known_faults or {})
        left = [mirror for mirror in mirrors if mirror not in faults]
        for pause in (0.0, PAUSE):
            time.sleep(pause if left else 0.0)
            for mirror in left.copy():
                try:
                    download(mirror + file.name, file, path, deadline)
                    return path
                except RefusedError as refusal:
                    faults[mirror] = str(refusal)
                    if not isinstance(refusal, PassingError):
                        left.remove(mirror)
    raise _unavailable(file.name, [file], folder, faults)


def _remove_leftovers(path: Path) -> None:
    """Remove what killed processes left of a file; whoever calls holds the folder's lock."""
    for leftover in path.parent.glob(f".{path.name[:40]}." + "[0-9a-f]" * 16):
        with suppress(OSError):
            leftover.unlink()


@contextmanager
def _locked(folder: Path, timeout: float) -> Iterator[None]:
    """Keep other processes from downloading into the folder."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock")
        lock.acquire(timeout=timeout)
    except Timeout as error:
        raise DatasetUnavailableError(
            f"{folder.absolute()}: another process has been downloading into it for"
            f" {timeout:.0f} s; wait for it or end it"
        ) from error
    except OSError as error:
        why = error.strerror or str(error)
        raise OutputError(
            f"{folder.absolute()}: cannot be written ({why}); choose another folder with"
            " DIGITFLOW_DATA"
        ) from error
    try:
        yield
    finally:
        lock.release()


def _unavailable(
    what: str, missing: Sequence[RemoteFile], folder: Path, faults: Mapping[str, str]
) -> DatasetUnavailableError:
    state = "damaged" if any((folder / file.name).exists() for file in missing) else "not"
    names = ", ".join(file.name for file in missing)
    tried = "; ".join(f"{mirror}: {fault}" for mirror, fault in faults.items())
    return DatasetUnavailableError(
        f"{what} is {state} in {folder.absolute()} (put {names} there by hand)"
        f" and cannot be downloaded ({tried})"
    )
