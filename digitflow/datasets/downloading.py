"""From the mirrors into the cache: nothing enters that is not, byte for byte, what was expected.

Whatever waits on the network does so in a daemon thread, because no timeout of requests covers the
look-up of a name or an answer that trickles in byte by byte; the caller waits until its deadline
and then goes on without the thread.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent import futures
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, ParamSpec, TypeVar
from urllib.parse import urljoin, urlsplit

import requests
from filelock import FileLock, Timeout
from tqdm import tqdm

from digitflow.datasets.catalogue import RemoteFile
from digitflow.errors import DatasetUnavailableError, OutputError
from digitflow.files import replacing, sha256_of

CONNECT_TIMEOUT = 3.0  # s
READ_TIMEOUT = 10.0  # s between two packets
PROBE_DEADLINE = 6.0  # s until a mirror must have answered at all
GRACE = 20.0  # s that any download may take
SLOWEST = 30_000  # bytes/s; what is slower counts as stalled
CHUNK = 1 << 16  # bytes

P = ParamSpec("P")
T = TypeVar("T")


class _RefusedError(Exception):
    """Why a mirror's answer was not taken, in a few words."""


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
            path.is_file() and path.stat().st_size == file.size and sha256_of(path) == file.sha256
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
        If a file can be had from no mirror; within `PROBE_DEADLINE` when none of them answers.
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
        If files are missing and no mirror answers; within `PROBE_DEADLINE`.
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
    mirrors are tried in order; what arrives takes the old file's place only once its size and its
    SHA-256 are right. Several processes may do this at the same time: one downloads.

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
        deadline = GRACE + file.size / SLOWEST
    with _locked(folder, timeout=deadline * (len(mirrors) + 1)):
        # Another process may have brought it in the meantime.
        if is_cached(file, folder):
            return path
        faults = dict(known_faults or {})
        for mirror in mirrors:
            if mirror in faults:
                continue
            try:
                _download(mirror + file.name, file, path, deadline)
                return path
            except _RefusedError as refusal:
                faults[mirror] = str(refusal)
    raise _unavailable(file.name, [file], folder, faults)


def find_unreachable(mirrors: Sequence[str], deadline: float = PROBE_DEADLINE) -> dict[str, str]:
    """Ask all mirrors at once, and return those that did not answer, each with the reason.

    Any answer counts, of whatever status. This is known within `deadline` seconds, also where
    packets are dropped or names are not resolved.
    """
    answers = {mirror: _in_background(_probe, mirror) for mirror in mirrors}
    futures.wait(answers.values(), timeout=deadline)
    faults = {}
    for mirror, answer in answers.items():
        if not answer.done():
            faults[mirror] = f"no answer in {deadline:g} s"
        elif error := answer.exception():
            faults[mirror] = _in_few_words(error)
    return faults


class _Session(requests.Session):
    """A session that follows no redirect from https to plain http."""

    def get_redirect_target(self, response: requests.Response) -> str | None:
        target = super().get_redirect_target(response)
        if target and urlsplit(response.url).scheme == "https":
            scheme = urlsplit(urljoin(response.url, target)).scheme
            if scheme != "https":
                response.close()
                raise _RefusedError(f"redirects from https to {scheme}")
        return target


def _probe(mirror: str) -> None:
    with requests.Session() as session:
        session.head(mirror, timeout=(CONNECT_TIMEOUT, READ_TIMEOUT), allow_redirects=False)


def _download(url: str, file: RemoteFile, path: Path, deadline: float) -> None:
    """Download to `path`, or raise _RefusedError and leave `path` as it was."""
    with replacing(path) as temporary:
        # On a terminal only: in a log a bar is noise.
        with (
            temporary.open("wb") as stream,
            tqdm(
                desc=file.name,
                total=file.size,
                unit="B",
                unit_scale=True,
                leave=False,
                disable=None,
            ) as bar,
        ):
            # After the deadline the stream is closed, and the thread's next write ends it.
            transfer = _in_background(_transfer, url, file.size, stream, bar)
            try:
                transfer.result(timeout=deadline)
            except futures.TimeoutError:
                raise _RefusedError(f"stalled, not complete after {deadline:g} s") from None
            except (requests.RequestException, ValueError) as error:
                raise _RefusedError(_in_few_words(error)) from error
        if sha256_of(temporary) != file.sha256:
            raise _RefusedError("wrong content: the SHA-256 differs")


def _transfer(url: str, size: int, stream: BinaryIO, bar: tqdm) -> None:
    """Copy the body of an answer to the stream, and never more than `size` bytes of it."""
    with (
        _Session() as session,
        session.get(
            url,
            stream=True,
            timeout=(CONNECT_TIMEOUT, READ_TIMEOUT),
            # The digest is that of the packed file.
            headers={"Accept-Encoding": "identity"},
        ) as response,
    ):
        _check_head(response, size)
        received = 0
        for chunk in response.iter_content(CHUNK):
            received += len(chunk)
            if received > size:
                raise _RefusedError(f"more than the expected {size:,} bytes")
            stream.write(chunk)
            bar.update(len(chunk))
    if received < size:
        raise _RefusedError(f"truncated: {received:,} of {size:,} bytes")


def _check_head(response: requests.Response, size: int) -> None:
    if response.status_code != requests.codes.ok:
        raise _RefusedError(f"HTTP status {response.status_code}")
    if response.headers.get("Content-Type", "").lower().startswith("text/html"):
        raise _RefusedError("a web page instead of the file")
    declared = response.headers.get("Content-Length", "")
    if declared.isdecimal() and int(declared) != size:
        raise _RefusedError(f"{int(declared):,} bytes instead of {size:,}")


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


def _in_background(
    function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> futures.Future[T]:
    """Run a function in a daemon thread, which the interpreter does not wait for at its end."""
    future: futures.Future[T] = futures.Future()

    def work() -> None:
        try:
            future.set_result(function(*args, **kwargs))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=work, name=f"digitflow-{function.__name__}", daemon=True).start()
    return future


def _in_few_words(error: BaseException) -> str:
    """Return the cause at the bottom of an error of requests, in one short line."""
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "truncated: the connection broke off"
    while cause := error.__cause__ or error.__context__:
        error = cause
    words = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(words).split())[:120]


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
